// Page-wide behaviour: Enter generates, keys that move a slider count as letting it go, dark mode, the link and its copy.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("button, a, textarea, summary, [contenteditable=true], [role=option], [role=listbox], [role=combobox]")) return;
  // These run by themselves once they are left, with the seed that is there
  const box = event.target.closest(".gl-query input, .gl-controls input[type=number]");
  if (box && !box.closest(".gl-seed, .gl-waits")) {
    box.blur();
    return void box.focus();
  }
  const visible = [...document.querySelectorAll(".gl-generate")].find((node) => node.offsetParent);
  if (visible) {
    event.preventDefault();
    event.target.blur?.(); // a number counts once it is left
    visible.click();
    if (!matchMedia("(pointer: coarse)").matches) event.target.focus?.({ preventScroll: true }); // else a keyboard covers it
  }
});
document.addEventListener("keyup", (event) => {
  if (event.target.matches?.("input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key))
    event.target.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
});
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-gl]");
  if (button?.dataset.gl === "dark") remember(document.body.classList.toggle("dark"));
  if (button?.dataset.gl === "link") {
    const said = () => {
      button.textContent = "Link copied";
      setTimeout(() => (button.textContent = "Copy link"), 1600);
    };
    navigator.clipboard?.writeText(location.href).then(said, () => prompt("The link to what you see", location.href));
  }
});

// What was asked for is to be seen: a stage whose top is far out of sight comes into view.
document.addEventListener("click", (event) => {
  const stage = event.target.closest?.(".gl-suggest, .gl-generate")?.closest(".gl-frame")?.querySelector(".gl-stage");
  const share = stage ? stage.getBoundingClientRect().top / innerHeight : 0;
  if (share > -1 / 3 && share < 2 / 3) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  stage.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
});

// Whether this new value of a text box was typed, pasted or cut by somebody: what the page writes is no such event.
const typed = new WeakMap();
document.addEventListener("input", (event) => typed.set(event.target, event.target.value), true);
window.glTyped = (box, value) => {
  const node = document.querySelector(box), own = typed.get(node) === value;
  return own || (typed.delete(node), false); // over and done with, should the page come to write the same
};

// Let the page's address lead back to what is shown: of these names only those that have a value stay in it.
window.glRelink = ({ names, values }) => {
  const url = new URL(location.href);
  for (const name of names) url.searchParams.delete(name); // all, so that the same state has the same link
  for (const [name, word] of Object.entries(values)) url.searchParams.set(name, word);
  history.replaceState(history.state, "", url);
};

// Light or dark, as chosen, on every page of the site; before a choice it is the system's. A private window may refuse.
let dark = null;
try { dark = localStorage.getItem("gl-dark"); } catch {}
function remember(now) {
  dark = now ? "1" : "0";
  try { localStorage.setItem("gl-dark", dark); } catch {}
}
if (dark !== null) {
  const apply = () => document.body.classList.toggle("dark", dark === "1");
  new MutationObserver(apply).observe(document.body, { attributes: true, attributeFilter: ["class"] }); // gradio sets it too
  apply();
}
