// The colour sketch: hard brushes on a canvas of SIZE x SIZE pixels, shown large. palette.py says what its value is.
const canvas = element.querySelector("canvas"), context = canvas.getContext("2d");
const BRUSHES = { small: 1.5, medium: 3.5, large: 7 };
canvas.width = canvas.height = SIZE;
let image = context.createImageData(SIZE, SIZE), brush = "large", colour = Object.keys(COLOURS)[0], last = null;
let cursor = [SIZE / 2, SIZE / 2], pointing = false;

function show() {
  context.putImageData(image, 0, 0);
  if (!pointing) return;
  context.strokeStyle = "#000";
  context.strokeRect(cursor[0] - BRUSHES[brush], cursor[1] - BRUSHES[brush], 2 * BRUSHES[brush], 2 * BRUSHES[brush]);
}
function load(value) {
  const bytes = String(value || "").match(/../g) || [];
  if (bytes.length === image.data.length) bytes.forEach((b, i) => (image.data[i] = parseInt(b, 16)));
  show();
}
function stroke(a, b) {
  const rgba = colour === "rub" ? [0, 0, 0, 0] : [...COLOURS[colour], 255], radius = BRUSHES[brush];
  const dx = b[0] - a[0], dy = b[1] - a[1], length = Math.max(dx * dx + dy * dy, 1e-9);
  for (let y = 0; y < SIZE; y++)
    for (let x = 0; x < SIZE; x++) {
      const along = Math.min(Math.max(((x + 0.5 - a[0]) * dx + (y + 0.5 - a[1]) * dy) / length, 0), 1);
      if (Math.hypot(x + 0.5 - a[0] - along * dx, y + 0.5 - a[1] - along * dy) <= radius) image.data.set(rgba, 4 * (y * SIZE + x));
    }
  show();
}
function ground(rgb) {
  const grounds = Object.values(GROUNDS).map(String);
  for (let i = 0; i < image.data.length; i += 4)
    if (!image.data[i + 3] || grounds.includes(String([...image.data.slice(i, i + 3)]))) image.data.set([...rgb, 255], i);
  show();
}
function publish() {
  props.value = Array.from(image.data, (v) => v.toString(16).padStart(2, "0")).join("");
  trigger("input");
}
function where(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * SIZE, ((event.clientY - box.top) / box.height) * SIZE];
}
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointing = false;
  last = where(event);
  stroke(last, last);
  event.preventDefault();
});
canvas.addEventListener("pointermove", (event) => {
  if (!last) return;
  const here = where(event);
  stroke(last, here);
  last = here;
});
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, () => {
    if (last) publish();
    last = null;
  });
canvas.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [-2, 0], ArrowRight: [2, 0], ArrowUp: [0, -2], ArrowDown: [0, 2] }[event.key];
  if (!step && event.key !== " ") return;
  event.preventDefault();
  pointing = true;
  if (step) cursor = cursor.map((v, k) => Math.min(Math.max(v + step[k], 0), SIZE));
  else stroke(cursor, cursor), publish();
  show();
});
canvas.addEventListener("blur", () => ((pointing = false), show()));

const button = (label, data, text = "") => {
  const node = Object.assign(document.createElement("button"), { type: "button", textContent: text, title: label });
  node.setAttribute("aria-label", label);
  Object.assign(node.dataset, data);
  return node;
};
const text = (words) => Object.assign(document.createElement("span"), { textContent: words });
const filled = (node, rgb) => ((node.style.background = `rgb(${rgb})`), node);
const [inks, grounds] = element.querySelectorAll(".gl-swatches"), brushes = element.querySelector(".gl-brushes");
inks.replaceChildren(text("paint"), ...Object.entries(COLOURS).map(([name, rgb]) => filled(button(name, { colour: name }), rgb)));
grounds.replaceChildren(text("field"), ...Object.entries(GROUNDS).map(([name, rgb]) => filled(button(`${name} field`, { ground: name }), rgb)));
brushes.replaceChildren(...Object.keys(BRUSHES).map((name) => button(`${name} brush`, { brush: name }, name)),
  button("Rub out: this is painted anew, the rest stays", { colour: "rub" }, "rub out"));
function press() {
  element.querySelectorAll("[data-colour]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.colour === colour)));
  element.querySelectorAll("[data-brush]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.brush === brush)));
}
element.addEventListener("click", (event) => {
  const data = event.target.closest("button")?.dataset;
  if (!data) return;
  if (data.ground) return ground(GROUNDS[data.ground]), publish();
  colour = data.colour ?? colour;
  brush = data.brush ?? brush;
  press();
});
press();
watch("value", () => load(props.value));
load(props.value);
