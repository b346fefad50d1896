// Chips of a sentence. `element`, `props`, `watch` and `trigger` come from gradio's HTML component; assemble.py says what arrives.
const KINDS = ["size", "texture", "colour", "shape"];
const find = (selector) => element.querySelector(selector);
const make = (tag, text, more = {}) => Object.assign(document.createElement(tag), { textContent: text }, more);
let said = null, open = "0.colour";

const nth = (i) => ["the first thing", "the second thing", "the third thing"][i];
const placed = () => said.things.length - 1; // the thing whose place is said, if there are one or three
const unseen = (thing) => UNSEEN.includes(`${thing[2]} ${thing[3]}`);
const words = (kind) => (kind === "colour" ? Object.keys(COLOURS) : kind === "field" ? Object.keys(FIELDS) : WORDS[kind]);

function get(slot) {
  const [i, kind] = slot.split(".");
  return kind ? said.things[i][KINDS.indexOf(kind)] : said[slot];
}
function set(slot, word) {
  const [i, kind] = slot.split(".");
  if (kind) said.things[i][KINDS.indexOf(kind)] = word;
  else said[slot] = word;
}
function dot(kind, word) {
  const rgb = kind === "colour" ? COLOURS[word] : kind === "field" ? FIELDS[word] : null;
  const node = make("s", "");
  if (rgb) node.style.background = `rgb(${rgb})`;
  return rgb ? node : "";
}
function chip(slot, label) {
  const kind = slot.split(".").pop(), word = get(slot), button = make("button", "", { type: "button" });
  button.dataset.slot = slot;
  button.append(dot(kind, word), word || (kind === "field" ? "any" : `any ${kind}`));
  button.classList.toggle("gl-unsaid", !word);
  button.setAttribute("aria-expanded", String(slot === open));
  button.setAttribute("aria-label", `${label}: ${word || "not said"}`);
  return button;
}
function thing(i) {
  const [size, texture, colour, shape] = said.things[i];
  const first = size || (texture === "plain" ? "" : texture) || colour || shape;
  return [make("i", /^[aeiou]/.test(first) ? "an" : "a"), ...KINDS.map((kind) => chip(`${i}.${kind}`, `${kind} of ${nth(i)}`))];
}
function render() {
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset : null;
  const n = said.things.length, row = [];
  said.things.forEach((_, i) => {
    if (i === 1) row.push(chip("relation", "how the first lies to the second"));
    if (i === 2) row.push(make("i", ","));
    row.push(...thing(i));
  });
  if (n && n !== 2) row.push(chip("place", `place of ${nth(placed())}`));
  row.push(make("i", `${n ? ", " : ""}on${get("field") ? " a" : ""}`), chip("field", "background"), make("i", "field"));
  const act = (what, sign, words) => {
    const button = make("button", sign, { type: "button", title: words });
    button.setAttribute("aria-label", words);
    button.dataset.do = what;
    row.push(button);
  };
  if (n < MOST) act("add", "+", n ? "another thing" : "a thing");
  if (n > 1) act("remove", "\u2212", "without the last thing");
  find(".gl-say").replaceChildren(...row);

  const [i, of] = open.split("."), kind = of || i, choices = find(".gl-choices");
  const there = find(`[data-slot="${open}"]`);
  choices.replaceChildren(...(there ? words(kind) : []).map((word) => {
    const button = make("button", "", { type: "button" }), other = of && [...said.things[i]];
    if (other) other[KINDS.indexOf(kind)] = word;
    button.dataset.word = word;
    button.append(dot(kind, word), word);
    button.setAttribute("aria-pressed", String(get(open) === word));
    if (other && (kind === "colour" || kind === "shape") && unseen(other)) {
      button.append(" \u25c7");
      button.title = `${other[2]} ${other[3]}: never seen in training`;
    }
    return button;
  }));
  choices.setAttribute("aria-label", there ? there.getAttribute("aria-label") : "");

  find(".gl-more").textContent = said.exact ? "" : "as far as the sentence is understood";
  for (const [name, word] of Object.entries(focused || {})) element.querySelector(`[data-${name}="${word}"]`)?.focus();
}
function load(value) {
  try { said = JSON.parse(value); } catch { return; }
  render();
}
function publish() {
  said.exact = true;
  props.value = JSON.stringify(said);
  trigger("input");
}
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { slot, word } = button.dataset, n = said.things.length;
  if (slot) open = slot === open ? "" : slot;
  if (word !== undefined) set(open, word);
  if (button.dataset.do === "add") {
    const shapes = words("shape"), colours = words("colour"), taken = said.things.map((t) => t.join(" "));
    const fresh = shapes.flatMap((s) => colours.map((c) => ["large", "plain", c, s])).filter((t) => !unseen(t));
    said.things.push(fresh[(7 * n + 12) % fresh.length]);
    if (taken.includes(said.things[n].join(" "))) said.things[n][0] = "small";
    said.relation ||= words("relation")[0];
    if (n === 2) said.place ||= words("place")[0];
    open = `${n}.colour`;
  }
  if (button.dataset.do === "remove") {
    said.things.pop();
    if (n === 2) said.place ||= words("place")[4];
    open = `${n - 2}.colour`;
  }
  render();
  if (word !== undefined || button.dataset.do) publish();
});
watch("value", () => load(props.value));
load(props.value);
