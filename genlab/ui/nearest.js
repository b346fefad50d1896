watch("value", () => {
  const link = element.querySelector("[data-link]")?.dataset.link;
  if (link) glRelink(JSON.parse(link));
});
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-index]");
  if (button) trigger("select", { index: Number(button.dataset.index) });
});
