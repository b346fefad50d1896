function relink() { // let the page's address lead back to what is shown
  const text = element.querySelector("[data-link]")?.dataset.link;
  if (!text) return;
  const { names, values } = JSON.parse(text), url = new URL(location.href);
  for (const name of names) url.searchParams.delete(name);
  for (const [name, word] of Object.entries(values)) url.searchParams.set(name, word);
  history.replaceState(history.state, "", url);
}
watch("value", relink);
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-index]");
  if (button) trigger("select", { index: Number(button.dataset.index) });
});
