// The drawing pad: a soft brush on a canvas of SIZE x SIZE pixels, shown large.
const canvas = element.querySelector("canvas"), context = canvas.getContext("2d");
canvas.width = canvas.height = SIZE;
let pixels = new Uint8ClampedArray(SIZE * SIZE), tool = "draw", last = null, cursor = [SIZE / 2, SIZE / 2], pointing = false;

function show() {
  const image = context.createImageData(SIZE, SIZE);
  pixels.forEach((v, i) => image.data.set([v, v, v, 255], 4 * i));
  context.putImageData(image, 0, 0);
  context.strokeStyle = "#e8590c";
  if (pointing) context.strokeRect(cursor[0] - 1.5, cursor[1] - 1.5, 3, 3);
}
function load(value) {
  const bytes = String(value || "").match(/../g) || [];
  pixels = new Uint8ClampedArray(SIZE * SIZE);
  if (bytes.length === pixels.length) bytes.forEach((b, i) => (pixels[i] = parseInt(b, 16)));
  show();
}
// Same brush as pad.strokes in pad.py: ink falls off over one pixel around the line from a to b.
function stroke(a, b) {
  const radius = tool === "erase" ? 2.2 : 1.5, dx = b[0] - a[0], dy = b[1] - a[1], length = Math.max(dx * dx + dy * dy, 1e-9);
  for (let y = 0; y < SIZE; y++)
    for (let x = 0; x < SIZE; x++) {
      const along = Math.min(Math.max(((x + 0.5 - a[0]) * dx + (y + 0.5 - a[1]) * dy) / length, 0), 1);
      const far = Math.hypot(x + 0.5 - a[0] - along * dx, y + 0.5 - a[1] - along * dy);
      const amount = 255 * Math.min(Math.max(radius + 0.6 - far, 0), 1), i = y * SIZE + x;
      pixels[i] = tool === "erase" ? Math.min(pixels[i], 255 - amount) : Math.max(pixels[i], amount);
    }
  show();
}
function where(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * SIZE, ((event.clientY - box.top) / box.height) * SIZE];
}
function publish() {
  props.value = pixels.some((v) => v) ? Array.from(pixels, (v) => v.toString(16).padStart(2, "0")).join("") : "";
  trigger("input");
}
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointing = false;
  last = where(event);
  stroke(last, last);
  event.preventDefault();
});
canvas.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!step && event.key !== " ") return;
  event.preventDefault();
  pointing = true;
  const before = cursor;
  if (step) cursor = cursor.map((v, k) => Math.min(Math.max(v + step[k], 0), SIZE));
  if (!step || event.shiftKey) stroke(before, cursor), publish();
  show();
});
canvas.addEventListener("blur", () => ((pointing = false), show()));
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
element.querySelectorAll("button").forEach((button) =>
  button.addEventListener("click", () => {
    if (button.dataset.tool === "clear") return load(""), publish();
    tool = button.dataset.tool;
    element.querySelectorAll("[data-tool][aria-pressed]").forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
  })
);
watch("value", () => load(props.value));
load(props.value);
