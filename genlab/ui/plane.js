// The plane's behaviour. `element`, `props`, `trigger`, `watch` come from gradio's HTML component; plane.py says what
// arrives, plane_spaces.js (glSpaces) decodes. Each picture under the pointer counts in data-frames; data-ms is how
// long the last one took to decode.
const find = (selector) => element.querySelector(selector);
const root = find(".gl-plane"), map = find(".gl-plane-map canvas"), glass = find(".gl-plane-glass canvas");
const facts = find("dl"), strip = find(".gl-plane-strip"), more = find(".gl-plane-more");
const small = root.classList.contains("gl-small"), CELLS = 17, STEPS = 9, SHOWN = 8, GRIP = 16;
const LETTERS = "abcdefgh"; // of the samples in the strip, and on a map of digits, where a number would be one more
// Of labels, on the dark map: Okabe and Ito's, some a little lighter, and two greys
const COLOURS = "#ffffff #E69F00 #56B4E9 #00b386 #F0E442 #4b9be0 #ef6c1a #CC79A7 #a3adba #cbb994".split(" ");
const BLANK = {
  space: "", at: [0, 0], ends: null, marks: [], behind: "pictures", strip: "", samples: [], target: "", alt: "",
  status: "", side: "", touched: false,
};

// A component that was hidden is made anew, with its last value alone; so what its stage held outlives it here.
const places = (globalThis.glPlanes ??= new Map());
const state = places.get(PLACE) ?? { ...BLANK, serial: -1 };
places.set(PLACE, state);
let look = null, held = null, apart = [0, 0], asked = 0, settle = 0, layer = null, target = null;
const ended = new AbortController();
const idle = () => small && !look && !state.touched; // beside samples, a code that nobody chose would be the loudest
const one = () => glSpaces.known.get(state.space);
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const number = (x) => x.toFixed(2).replace("-", "\u2212");
const pair = (z) => `(${number(z[0])}, ${number(z[1])})`;
const make = (tag) => document.createElement(tag);

// -- from codes to the canvas and back; lengths in CSS pixels ---------------------------------------------------------

const box = () => one()?.box ?? [-3, 3, -3, 3];
const width = () => map.clientWidth || 1, height = () => map.clientHeight || 1;
function place([a, b]) {
  const [left, right, bottom, top] = box();
  return [((a - left) / (right - left)) * width(), ((top - b) / (top - bottom)) * height()];
}
function code(event, [dx, dy] = [0, 0]) {
  const at = map.getBoundingClientRect(), [left, right, bottom, top] = box();
  const x = clamp((event.clientX + dx - at.left) / at.width, 0, 1);
  const y = clamp((event.clientY + dy - at.top) / at.height, 0, 1);
  return [left + x * (right - left), top - y * (top - bottom)];
}
const unit = () => width() / (box()[1] - box()[0]);

// -- pictures ---------------------------------------------------------------------------------------------------------

// The picture of a code on a canvas: decoded, or while the layers are on their way the nearest one of the sheet.
function picture(canvas, z) {
  const space = one();
  if (!space?.size) return null;
  const [h, w] = space.size;
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d"), pixels = glSpaces.decode(state.space, z);
  if (pixels) {
    const image = context.createImageData(w, h);
    pixels.forEach((p, i) => image.data.set([255 * p, 255 * p, 255 * p, 255], 4 * i)); // rounded
    context.putImageData(image, 0, 0);
  } else if (space.pictures) {
    const [left, right, bottom, top] = space.box, cell = (share) => clamp(Math.floor(CELLS * share), 0, CELLS - 1);
    const column = cell((z[0] - left) / (right - left)), row = cell((top - z[1]) / (top - bottom));
    context.drawImage(space.pictures, column * w, row * h, w, h, 0, 0, w, h);
  }
  return pixels;
}

// Where no sheet came along the page makes one, a row at a time.
function ownSheet() {
  const space = one();
  if (!space?.layers || space.pictures || space.making) return;
  space.making = true;
  const [h, w] = space.size, whole = make("canvas"), cell = make("canvas"), [left, right, bottom, top] = space.box;
  Object.assign(whole, { width: CELLS * w, height: CELLS * h });
  let row = 0;
  (function next() {
    for (let column = 0; column < CELLS; column++) {
      const x = left + ((column + 0.5) / CELLS) * (right - left), y = top - ((row + 0.5) / CELLS) * (top - bottom);
      picture(cell, [x, y]);
      whole.getContext("2d").drawImage(cell, column * w, row * h);
    }
    if (++row < CELLS && one() === space) return setTimeout(next);
    if (row < CELLS) return (space.making = false); // another space came on the stage; it begins anew when back
    space.pictures = whole;
    document.dispatchEvent(new CustomEvent("gl-space", { detail: space.name }));
  })();
}

// A pad's value as numbers; null for none.
const inside = (value) => value ? Float32Array.from(value.match(/../g), (b) => parseInt(b, 16) / 255) : null;

// log p(x | z), pixels being Bernoulli with the decoder's logits: sum of x y - log(1 + e^y).
function likelihood(z) {
  const y = target && glSpaces.output(state.space, z);
  if (!y || y.length !== target.length) return null;
  let nats = 0;
  for (let i = 0; i < y.length; i++)
    nats += target[i] * y[i] - Math.max(y[i], 0) - Math.log1p(Math.exp(-Math.abs(y[i])));
  return nats;
}

function showGlass() {
  const z = look ?? state.at, space = one();
  root.classList.toggle("gl-idle", idle());
  const began = performance.now(), decoded = picture(glass, z);
  root.dataset.ms = (performance.now() - began).toFixed(2);
  root.dataset.frames = Number(root.dataset.frames) + 1;
  if (space?.size) root.dataset.state = decoded ? "live" : space.pictures ? "ready" : "empty";
  const rows = [["z", pair(z)]];
  if (space?.rings.length) rows.push(["log p(z)", `${number(-Math.log(2 * Math.PI) - (z[0] ** 2 + z[1] ** 2) / 2)}`]);
  const nats = likelihood(z);
  if (nats !== null) rows.push(["log p(x | z)", nats.toFixed(0).replace("-", "\u2212")]);
  if (facts.children.length !== rows.length)
    facts.replaceChildren(...rows.map(() => Object.assign(make("div"), { innerHTML: "<dt></dt><dd></dd>" })));
  rows.forEach(([name, value], i) => {
    facts.children[i].firstChild.textContent = name;
    facts.children[i].lastChild.textContent = value;
  });
  glass.setAttribute("aria-label", `The picture that the code ${pair(z)} stands for`);
  if (!small) document.querySelectorAll(".gl-now-z").forEach((node) => (node.textContent = pair(z)));
}

// Where the letters A and B are held, off the ends of the line: what lies there stays in view.
function handles() {
  const [a, b] = state.ends.map(place), long = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
  const away = [(18 * (a[0] - b[0])) / long || 18, (18 * (a[1] - b[1])) / long];
  const within = (x, long) => clamp(x, 10, long - 10);
  const put = ([x, y], sign) => [within(x + sign * away[0], width()), within(y + sign * away[1], height())];
  return [put(a, 1), put(b, -1)];
}

function along() {
  const [a, b] = state.ends ?? [state.at, state.at];
  return Array.from({ length: STEPS }, (_, k) => [0, 1].map((i) => a[i] + (k / (STEPS - 1)) * (b[i] - a[i])));
}

function showStrip() {
  const ends = state.strip === "ends" && state.ends, samples = state.strip === "samples" ? state.samples : [];
  const cells = ends ? along() : samples.slice(0, SHOWN).map((s) => s.at);
  strip.hidden = !cells.length;
  strip.style.setProperty("--cols", ends ? STEPS : cells.length);
  strip.style.setProperty("--narrow", Math.ceil(cells.length / 2));
  while (strip.children.length > cells.length) strip.lastChild.remove();
  while (strip.children.length < cells.length) {
    const cell = make("figure");
    cell.append(Object.assign(make("canvas"), { width: 28, height: 28 }), make("figcaption"));
    strip.append(cell);
  }
  let coming = false;
  cells.forEach((z, k) => {
    const [canvas, caption] = strip.children[k].children;
    coming = !picture(canvas, z);
    canvas.setAttribute("role", "img");
    const sample = () => `${LETTERS[k]} ${state.samples[k].caption ?? ""}`.trim();
    const word = ends ? ["A", ...Array(STEPS - 2).fill(""), "B"][k] : sample();
    caption.textContent = word;
    caption.classList.toggle("gl-wrong", word.includes("\u2717"));
    const alt = ends ? `Step ${k + 1} of ${STEPS} from A to B` : `Sample ${word}`;
    canvas.setAttribute("aria-label", alt);
  });
  strip.classList.toggle("gl-coming", coming);
  strip.dataset.coming = ends && !state.error ? "the nearest of the map, until the decoder is here" : "";
}

// -- the map ----------------------------------------------------------------------------------------------------------

// The points of a space, each as the figure of its label in its colour; drawn once.
function pointLayer(space, ratio) {
  const key = [space.name, space.points.length, map.width].join();
  if (layer?.key === key) return layer.canvas;
  const canvas = Object.assign(make("canvas"), { width: map.width, height: map.height }), pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = `${small ? 9 : 11}px "IBM Plex Mono", monospace`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  space.points.forEach((z, i) => {
    if (small && i % 2) return;
    pen.fillStyle = COLOURS[space.labels[i] % COLOURS.length];
    pen.fillText(String(space.labels[i]), ...place(z));
  });
  layer = { key, canvas };
  return canvas;
}

function showMap() {
  const space = one(), ratio = Math.min(devicePixelRatio || 1, 2), pen = map.getContext("2d");
  const [w, h] = [width(), height()];
  const pixels = { width: Math.round(w * ratio), height: Math.round(h * ratio) };
  if (map.width !== pixels.width) Object.assign(map, pixels);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.fillStyle = "#0c0f13";
  pen.fillRect(0, 0, w, h);
  if (!space?.box) return;
  if (state.behind === "points" && space.points.length) {
    pen.drawImage(pointLayer(space, ratio), 0, 0, w, h);
  } else if (space.pictures) {
    pen.globalAlpha = 0.62; // what is drawn above it stays legible
    pen.drawImage(space.pictures, 0, 0, w, h);
    pen.globalAlpha = 1;
  }
  const [left, right, bottom, top] = space.box, [x0, y0] = place([0, 0]), u = unit();
  pen.font = '13px "IBM Plex Mono", monospace';
  const say = (text, x, y, colour = "#fff", align = "left") => {
    Object.assign(pen, { textAlign: align, textBaseline: "middle", fillStyle: colour });
    Object.assign(pen, { lineWidth: 4, lineJoin: "round", strokeStyle: "#0c0f13" });
    pen.strokeText(text, x, y);
    pen.fillText(text, x, y);
  };
  const stroke = (colour, thick = 1, dash = []) => {
    Object.assign(pen, { strokeStyle: colour, lineWidth: thick });
    pen.setLineDash(dash);
    pen.stroke();
    pen.setLineDash([]);
  };
  const path = (points) => {
    pen.beginPath();
    points.forEach((z, i) => (i ? pen.lineTo(...place(z)) : pen.moveTo(...place(z))));
  };
  path([[left, 0], [right, 0]]);
  stroke("rgba(255,255,255,.28)");
  path([[0, bottom], [0, top]]);
  stroke("rgba(255,255,255,.28)");
  for (const r of space.rings) {
    pen.beginPath();
    pen.arc(x0, y0, r * u, 0, 2 * Math.PI);
    stroke("rgba(255,255,255,.6)");
    if (!small) say(`${r}\u03c3`, x0 - 6, y0 - r * u - 9, "#dfe5ec", "right"); // where no lens lies
  }
  if (!small)
    for (const t of ticks(left, right)) {
      say(number(t).replace(/\.00$/, ""), place([t, 0])[0], h - 10, "#b7c0cc", "center");
      if (t > bottom && t < top) say(number(t).replace(/\.00$/, ""), 6, place([0, t])[1], "#b7c0cc");
    }
  const [across, up] = space.axes ?? ["z\u2081", "z\u2082"];
  say(across, w - 6, clamp(y0, 12, h - 12) - 12, "#fff", "right");
  say(up, clamp(x0, 4, w - 30) + 8, 12, "#fff");

  const drawn = state.strip === "samples" ? state.samples : [];
  drawn.slice(SHOWN).forEach((s) => {
    pen.beginPath();
    pen.arc(...place(s.at), 2.5, 0, 2 * Math.PI);
    stroke("#0c0f13", 2);
    pen.fillStyle = "#fff";
    pen.fill();
  });
  drawn.slice(0, SHOWN).forEach((s, k) => {
    pen.beginPath();
    pen.arc(...place(s.at), 8, 0, 2 * Math.PI);
    pen.fillStyle = "#F0E442";
    pen.fill();
    stroke("#0c0f13", 2);
    Object.assign(pen, { fillStyle: "#0c0f13", textAlign: "center", textBaseline: "middle" });
    pen.fillText(LETTERS[k], place(s.at)[0], place(s.at)[1] + 1);
  });
  state.marks.forEach((mark, k) => gaussian(mark, COLOURS[k ? 2 : 1], u, stroke, say));
  if (state.strip === "ends" && state.ends) {
    path(state.ends);
    stroke("#0c0f13", 5);
    path(state.ends);
    stroke("#F0E442", 2);
    along().forEach((z) => {
      pen.beginPath();
      pen.arc(...place(z), 2.5, 0, 2 * Math.PI);
      pen.fillStyle = "#F0E442";
      pen.fill();
    });
    handles().forEach(([x, y], k) => {
      pen.beginPath();
      pen.moveTo(...place(state.ends[k]));
      pen.lineTo(x, y);
      stroke("#F0E442", 2);
      pen.beginPath();
      pen.arc(x, y, 10, 0, 2 * Math.PI);
      pen.fillStyle = "#F0E442";
      pen.fill();
      stroke("#0c0f13", 2);
      Object.assign(pen, { fillStyle: "#0c0f13", textAlign: "center", textBaseline: "middle" });
      pen.fillText("AB"[k], x, y + 1);
    });
  }
  if (idle()) return;
  const [x, y] = place(look ?? state.at); // a cross around the code, which stays open in its middle
  for (const [colour, thick] of [["#0c0f13", 4], ["#fff", 2]]) {
    pen.beginPath();
    pen.arc(x, y, 9, 0, 2 * Math.PI);
    for (const [a, b] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(x + 5 * a, y + 5 * b);
      pen.lineTo(x + 14 * a, y + 14 * b);
    }
    stroke(colour, thick);
  }
}

function ticks(low, high) {
  const step = [0.5, 1, 2, 5, 10, 20, 50, 100, 200].find((s) => (high - low) / s <= 8) ?? 500, out = [];
  const rim = 0.04 * (high - low); // there is no room for a word
  for (let t = Math.ceil(low / step) * step; t < high; t += step) if (t - low > rim && high - t > rim) out.push(t);
  return out;
}

// A Gaussian as its ellipses; where they are too small to see, also under a lens in the farthest corner.
function gaussian({ at, std = [0, 0], label = "" }, colour, u, stroke, say) {
  const pen = map.getContext("2d"), [x, y] = place(at);
  const rings = (cx, cy, scale) => {
    for (const k of [2, 1]) {
      pen.beginPath();
      pen.ellipse(cx, cy, Math.max(k * std[0] * scale, 0.5), Math.max(k * std[1] * scale, 0.5), 0, 0, 2 * Math.PI);
      stroke(colour, k === 1 ? 2 : 1.5);
    }
  };
  pen.beginPath();
  pen.arc(x, y, 3, 0, 2 * Math.PI);
  stroke("#0c0f13", 3);
  pen.fillStyle = colour;
  pen.fill();
  rings(x, y, u);
  say(label, x, y - Math.max(2 * std[1] * u, 4) - 10, colour, "center");
  const most = Math.max(...std) * 2 * u, side = 112;
  if (small || !most || most > 20) return;
  const times = Math.max(2, Math.floor(40 / most)), right = x < width() / 2, low = y < height() / 2;
  const cx = right ? width() - side / 2 - 8 : side / 2 + 36, cy = low ? height() - side / 2 - 32 : side / 2 + 32;
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(cx, cy);
  stroke(colour, 1, [2, 4]);
  pen.beginPath();
  pen.arc(cx, cy, side / 2, 0, 2 * Math.PI);
  pen.fillStyle = "#0c0f13";
  pen.fill();
  stroke(colour, 1);
  rings(cx, cy, u * times);
  say(`\u00d7 ${times}`, cx, cy + side / 2 - 12, colour, "center");
}

// -- what moves it ----------------------------------------------------------------------------------------------------

// Draw with the next frame of the screen, once, whatever has changed until then.
function draw(...parts) {
  for (const part of parts.length ? parts : ["map", "glass", "strip"]) wanted.add(part);
  asked ||= requestAnimationFrame(() => {
    asked = 0;
    if (wanted.delete("glass")) showGlass();
    if (wanted.delete("strip")) showStrip();
    if (wanted.delete("map")) showMap();
  });
}
const wanted = new Set();

// For who does not see the map: what it shows, and what is chosen on it.
function tell() {
  const ends = state.strip === "ends" && state.ends ? `; A is at ${pair(state.ends[0])}, B at ${pair(state.ends[1])}` : "";
  map.setAttribute("aria-label", `${state.alt || "Map of codes."} The code chosen is ${pair(state.at)}${ends}.`);
}
function publish() {
  tell();
  clearTimeout(settle);
  settle = 0;
  const round = (z) => z.map((x) => Math.round(x * 1000) / 1000);
  props.value = { at: round(state.at), ends: state.ends?.map(round) ?? null };
  trigger("input");
}
const soon = () => {
  clearTimeout(settle);
  settle = setTimeout(publish, 400); // keys are pressed several times
};

const near = (event) => {
  if (state.strip !== "ends" || !state.ends) return null;
  const at = map.getBoundingClientRect(), [x, y] = [event.clientX - at.left, event.clientY - at.top];
  const far = handles().map((p) => Math.hypot(p[0] - x, p[1] - y)), k = far[0] < far[1] ? 0 : 1;
  return far[k] < GRIP ? k : null;
};
map.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  map.setPointerCapture(event.pointerId);
  held = near(event) ?? "look";
  const end = held === "look" ? null : place(state.ends[held]), corner = map.getBoundingClientRect();
  apart = end ? [end[0] - event.clientX + corner.left, end[1] - event.clientY + corner.top] : [0, 0];
  look = code(event, apart);
  draw("map", "glass");
});
map.addEventListener("pointermove", (event) => {
  look = code(event, held === null ? [0, 0] : apart);
  map.style.cursor = held === null && near(event) !== null ? "grab" : "";
  if (held === 0 || held === 1) {
    state.ends[held] = look;
    draw();
  } else draw("map", "glass");
});
map.addEventListener("pointerup", (event) => {
  if (held === "look") Object.assign(state, { at: code(event), touched: true });
  const done = held !== null;
  held = null;
  if (event.pointerType !== "mouse") look = null;
  draw();
  if (done) publish();
});
map.addEventListener("pointercancel", () => { held = null; look = null; draw(); });
map.addEventListener("pointerleave", () => {
  if (held !== null) return;
  look = null;
  draw("map", "glass");
});
map.addEventListener("keydown", (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  const end = state.strip === "ends" && state.ends ? "ab".indexOf(event.key.toLowerCase()) : -1;
  if (!way && end < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  look = null;
  state.touched = true;
  const [left, right, bottom, top] = box(), step = (event.shiftKey ? 0.1 : 0.02) * (right - left);
  const [x, y] = state.at;
  if (way) state.at = [clamp(x + step * way[0], left, right), clamp(y + step * way[1], bottom, top)];
  else state.ends[end] = [...state.at];
  draw();
  soon();
});

// -- what arrives -----------------------------------------------------------------------------------------------------

function show() {
  target = inside(state.target);
  if (more.innerHTML !== state.side) more.innerHTML = state.side;
  tell();
  const said = find(".gl-status");
  said.textContent = state.status;
  said.classList.toggle("gl-error", Boolean(state.error));
  ownSheet();
  draw();
}

function accept() {
  const value = props.value;
  if (!value || typeof value !== "object" || value.serial === undefined || value.serial === state.serial) return;
  const news = { ...value };
  if ("status" in news && !("error" in news)) news.error = false;
  if (held !== null || settle && news.at) delete news.at, held !== null && delete news.ends; // the visitor's is newer
  Object.assign(state, news);
  root.dataset.news = Number(root.dataset.news ?? 0) + 1;
  show();
}

document.addEventListener("gl-space", (event) => {
  if (!root.isConnected) return ended.abort();
  if (event.detail !== state.space) return;
  layer = null;
  ownSheet();
  draw();
}, { signal: ended.signal });
new ResizeObserver(() => root.isConnected && draw("map")).observe(map);
document.fonts?.ready.then(() => draw("map"));
watch("value", accept);
accept();
show();
