watch("value", () => {
  const link = element.querySelector("[data-link]")?.dataset.link;
  if (link) glRelink(JSON.parse(link));
  if (!element.querySelector(".gl-found")) return; // a sentence while one waits: what stands below stays where it is
  element.style.minHeight = "";
  element.style.minHeight = `${element.offsetHeight}px`;
});
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-index]");
  if (button) trigger("select", { index: Number(button.dataset.index) });
});
