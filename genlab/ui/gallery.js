// Search and order of the front page. Everything is in the page already, so both answer at once.
const find = element.querySelector(".gl-search");
const none = element.querySelector(".gl-none");
const body = element.querySelector("tbody");

function search() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const node of element.querySelectorAll("[data-find]")) {
    node.hidden = !words.every((word) => node.dataset.find.includes(word));
    shown += !node.hidden;
  }
  for (const section of element.querySelectorAll(".gl-shelf, .gl-models"))
    section.hidden = !section.querySelector("[data-find]:not([hidden])");
  none.hidden = shown > 0;
  none.textContent = shown ? "" : `Nothing here is called “${find.value.trim()}”.`;
}

function sort(button) {
  const key = button.dataset.sort;
  const head = button.closest("th");
  const down = head.ariaSort === "ascending";
  for (const other of element.querySelectorAll("th[aria-sort]")) other.ariaSort = "none";
  head.ariaSort = down ? "descending" : "ascending";
  const number = key === "size";
  const order = (a, b) => (number ? a.dataset[key] - b.dataset[key] : a.dataset[key].localeCompare(b.dataset[key]));
  body.append(...[...body.rows].sort((a, b) => (down ? order(b, a) : order(a, b))));
}

find?.addEventListener("input", search);
find?.addEventListener("keydown", (event) => {
  if (event.key === "Enter") element.querySelector("a[data-find]:not([hidden]), tr[data-find]:not([hidden]) a")?.click();
  if (event.key !== "Escape" || !find.value) return;
  event.preventDefault(); // some browsers clear the field by themselves, and then tell nobody
  find.value = "";
  search();
});
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-sort]");
  if (button) sort(button);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, textarea, [contenteditable=true]") || !find.offsetParent) return;
  event.preventDefault();
  find.focus();
});
