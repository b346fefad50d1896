// The figure's behaviour. `element`, `props`, `trigger`, `watch` come from gradio's HTML component; figure.py says what
// arrives. Whoever fits a body to it shows the fit by an event, in the browser, at once:
//   document.dispatchEvent(new CustomEvent("gl-fit", { detail: [{ name, names, bones, xy: [[u, v], ...], trail: [xy, ...] }] }));
// `trail`: the same joints earlier on. `name` picks the colour, by the class gl-lane-NAME. A change, before it is sent to
// the server, is told by the event "gl-moved": whoever plays a fit of what was there before may pause.
const SVG = "http://www.w3.org/2000/svg", find = (selector) => element.querySelector(selector);
const svg = find("svg"), joints = find(".gl-joints"), bones = find(".gl-bones"), fits = find(".gl-fits");
const picture = find("image"), said = find("output"), chooser = find("input");
const toggle = find("[data-tool=switch]"), undo = find("[data-tool=undo]");
const LARGEST = { bytes: 10e6, pixels: 40e6, side: 1280 };
let state = null, chosen = null, held = null, limb = false, waiting = 0, lanes = [];
let brought = null; // how the figure came into the picture behind it, and what it was before
const past = [], future = [], REMEMBERED = 100; // what the joints were before each change, and before each undo

const words = (name) => name.replaceAll("_", " ");
const unit = () => Math.max(...state.size) / 500;
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
function draw(tag, attributes, parent) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

// Anew when there are other joints; else nodes stay, and with them the keyboard's focus.
function load(value) {
  if (!value?.xy || held || waiting) return; // what the visitor moves just now is newer
  const same = state && value.joints === state.joints;
  if (JSON.stringify(joined(value)) !== JSON.stringify(state && joined(state))) {
    forget(); // somebody else's figure
    brought = null;
    chosen = joints.contains(document.activeElement) ? Number(document.activeElement.dataset.joint) : null;
  }
  state = structuredClone(value);
  const [w, h] = state.size;
  svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
  svg.style.aspectRatio = `${w} / ${h}`;
  picture.setAttribute("width", w);
  picture.setAttribute("height", h);
  if (!same) {
    chosen = null;
    joints.replaceChildren();
    bones.replaceChildren();
    state.bones.forEach(() => draw("line", {}, bones));
    state.names.forEach((_, k) => {
      const node = draw("g", { tabindex: 0, role: "button", "data-joint": k }, joints);
      draw("circle", { class: "gl-grip" }, node);
      draw("circle", { class: "gl-dot" }, node);
    });
  }
  show();
}

// What an undo brings back: the places, who is seen, and that nobody had moved any.
const joined = ({ xy, c, true: known }) => structuredClone({ xy, c, true: known });
function remember() {
  past.push(joined(state));
  if (past.length > REMEMBERED) past.shift();
  future.length = 0;
}
const forget = () => (past.length = future.length = 0);

// One change back, or with the lists the other way round one forth.
function back(from, to) {
  if (held || !from.length) return;
  to.push(joined(state));
  Object.assign(state, from.pop());
  show();
  publish();
}

function show() {
  const u = unit();
  svg.style.setProperty("--u", u);
  [...joints.children].forEach((node, k) => {
    const [x, y] = state.xy[k], on = state.c[k] > 0;
    node.setAttribute("transform", `translate(${x} ${y})`);
    node.setAttribute("aria-label", `${words(state.names[k])}, ${on ? "seen" : "not seen"}, x ${Math.round(x)}, y ${Math.round(y)}`);
    node.setAttribute("aria-pressed", String(on));
    node.classList.toggle("gl-unseen", !on);
    node.classList.toggle("gl-chosen", k === chosen);
    node.children[0].setAttribute("r", 13 * u);
    node.children[1].setAttribute("r", (state.names.length > 18 && /hand|foot|collar|spine|eye|ear|toe|heel/.test(state.names[k]) ? 4 : 5.5) * u);
  });
  state.bones.forEach(([a, b], i) => {
    const [p, q] = [state.xy[a], state.xy[b]];
    Object.entries({ x1: p[0], y1: p[1], x2: q[0], y2: q[1] }).forEach(([key, v]) => bones.children[i].setAttribute(key, v));
    bones.children[i].classList.toggle("gl-unseen", !(state.c[a] > 0 && state.c[b] > 0));
  });
  const seen = state.c.filter((c) => c > 0).length;
  said.textContent = chosen === null ? `${seen} of ${state.c.length} seen` : words(state.names[chosen]);
  toggle.disabled = chosen === null;
  undo.setAttribute("aria-disabled", String(!past.length)); // disabled, it would lose the keyboard's focus
  toggle.textContent = chosen !== null && !(state.c[chosen] > 0) ? "Switch on" : "Switch off";
  paint();
}

// The fits: what they have gone through, their bones, and how far each joint still is from where it is seen.
function paint() {
  fits.replaceChildren();
  if (!state) return;
  for (const { name, names, bones: pairs, xy, trail = [] } of lanes) {
    const group = draw("g", { class: `gl-lane-${name}` }, fits), path = (points) => points.map((p) => p.join(",")).join(" ");
    if (trail.length) xy.forEach((p, k) => draw("polyline", { class: "gl-trail", points: path([...trail.map((t) => t[k]), p]) }, group));
    pairs.forEach(([a, b]) => draw("line", { x1: xy[a][0], y1: xy[a][1], x2: xy[b][0], y2: xy[b][1] }, group));
    names.forEach((joint, k) => {
      const i = state.names.indexOf(joint);
      if (i < 0 || !(state.c[i] > 0)) return;
      draw("line", { class: "gl-off", x1: xy[k][0], y1: xy[k][1], x2: state.xy[i][0], y2: state.xy[i][1] }, group);
    });
  }
}

function choose(k) {
  chosen = k;
  show();
}

// Move a joint, alone or with all that hangs on it, as far as the picture goes: beyond it a pointer may not reach them.
// Who is outside already holds nobody back, and is drawn in alone. first: what was before is to be remembered.
function move(k, x, y, first) {
  const all = new Set([k]);
  if (limb) for (let grown = true; grown; ) {
    grown = false;
    for (const [a, b] of state.bones) if (all.has(a) && !all.has(b)) grown = all.add(b);
  }
  const by = [x, y].map((to, axis) => {
    const most = state.size[axis], at = state.xy[k][axis];
    const places = [at, ...[...all].map((i) => state.xy[i][axis]).filter((place) => place >= 0 && place <= most)];
    return clamp(to - at, Math.min(0, -Math.min(...places)), Math.max(0, most - Math.max(...places)));
  });
  if (!by.some(Boolean)) return false;
  if (first) remember();
  for (const i of all) state.xy[i] = state.xy[i].map((at, axis) => at + by[axis]);
  state.true = false;
  show();
  return true;
}

function flip(k) {
  remember();
  state.c[k] = state.c[k] > 0 ? 0 : 1;
  show();
  publish();
}

function publish() {
  clearTimeout(waiting);
  waiting = 0;
  document.dispatchEvent(new CustomEvent("gl-moved"));
  props.value = structuredClone(state);
  trigger("input");
}

const where = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
const jointOf = (event) => {
  const node = event.target.closest?.("[data-joint]");
  return node ? Number(node.dataset.joint) : null;
};
// The joint nearest to the pointer, if it is near: some lie close together, and a captured pointer hits none.
function nearest(event) {
  const { x, y } = where(event), far = state.xy.map((p) => Math.hypot(p[0] - x, p[1] - y)), least = Math.min(...far);
  return least <= 16 * unit() ? far.indexOf(least) : null;
}

svg.addEventListener("pointerdown", (event) => {
  const k = event.button === 0 && state ? nearest(event) : null;
  if (k === null) return;
  const { x, y } = where(event);
  svg.setPointerCapture(event.pointerId);
  held = { k, off: [x - state.xy[k][0], y - state.xy[k][1]], from: [x, y], pulled: false, moved: false };
  joints.children[k].focus({ preventScroll: true });
  choose(k);
  event.preventDefault();
});
svg.addEventListener("pointermove", (event) => {
  if (!held) return;
  const { x, y } = where(event);
  held.pulled ||= Math.hypot(x - held.from[0], y - held.from[1]) > 1.5 * unit();
  if (held.pulled && move(held.k, x - held.off[0], y - held.off[1], !held.moved)) held.moved = true;
});
for (const end of ["pointerup", "pointercancel"])
  svg.addEventListener(end, () => {
    if (held?.moved) publish();
    held = null;
  });
svg.addEventListener("dblclick", (event) => {
  const k = state && nearest(event);
  if (k !== null) flip(k);
});
joints.addEventListener("focusin", (event) => jointOf(event) !== null && !held && choose(jointOf(event)));
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
joints.addEventListener("keydown", (event) => {
  const k = jointOf(event), step = (event.shiftKey ? 20 : 4) * unit(), arrow = ARROWS[event.key];
  if (k === null || event.ctrlKey || event.metaKey || event.altKey) return;
  if (arrow) {
    const to = state.xy[k].map((at, axis) => at + step * arrow[axis]);
    if (move(k, ...to, !waiting)) { // a key that is held down is one move
      clearTimeout(waiting);
      waiting = setTimeout(publish, 250);
    }
  } else if (["Delete", "Backspace", " ", "Enter"].includes(event.key)) flip(k);
  else return;
  event.preventDefault();
  event.stopPropagation();
});

toggle.addEventListener("click", () => chosen !== null && flip(chosen));
undo.addEventListener("click", () => back(past, future));
document.addEventListener("keydown", (event) => {
  const ours = element.isConnected && element.offsetParent && !event.target.closest?.("textarea, input:not([type=range])");
  if (!ours || !(event.ctrlKey || event.metaKey) || event.altKey || event.key.toLowerCase() !== "z") return;
  event.preventDefault();
  if (event.shiftKey) back(future, past);
  else back(past, future);
});
find("[data-tool=limb]").addEventListener("click", (event) => {
  limb = !limb;
  event.currentTarget.setAttribute("aria-pressed", String(limb));
});

// -- the picture behind: read, shrunk and shown here; it never leaves the browser --------------------------------------

const tool = find("[data-tool=picture]");
tool.addEventListener("click", () => {
  if (!picture.hasAttribute("href")) return chooser.click();
  picture.removeAttribute("href");
  svg.classList.remove("gl-backed");
  tool.textContent = "Picture behind";
  takeBack();
});
chooser.addEventListener("change", async () => {
  const file = chooser.files[0];
  chooser.value = "";
  if (file) await behind(file).catch((error) => (said.textContent = error.friendly ?? "That is no picture that can be read here."));
});
const refuse = (friendly) => { throw Object.assign(new Error(friendly), { friendly }); };

async function behind(file) {
  if (!/^image\/(png|jpeg|webp)$/.test(file.type)) refuse("Choose a PNG, JPEG or WebP picture.");
  if (file.size > LARGEST.bytes) refuse("That picture is too large: up to 10 MB.");
  const bytes = new DataView(await file.slice(0, 65536).arrayBuffer()), told = stated(bytes);
  if (told && told[0] * told[1] > LARGEST.pixels) refuse("That picture has too many pixels: up to 40 million."); // before it is unpacked
  const image = new Image(), address = URL.createObjectURL(file);
  try {
    image.src = address;
    await image.decode();
    const [w, h] = [image.naturalWidth, image.naturalHeight];
    if (w * h > LARGEST.pixels || Math.min(w, h) < 16) refuse("That picture has too many pixels, or too few: up to 40 million.");
    const scale = Math.min(1, LARGEST.side / Math.max(w, h)), canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.max(16, Math.round(w * scale)), Math.max(16, Math.round(h * scale))];
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    picture.setAttribute("href", canvas.toDataURL("image/jpeg", 0.85));
    picture.removeAttribute("hidden");
    fit(canvas.width, canvas.height, w, h);
  } finally {
    URL.revokeObjectURL(address);
  }
  svg.classList.add("gl-backed");
  tool.textContent = "Remove picture";
}

// The size that a PNG's header states; others are bounded by their file's size well enough.
function stated(view) {
  const png = view.byteLength > 24 && view.getUint32(0) === 0x89504e47;
  return png ? [view.getUint32(16), view.getUint32(20)] : null;
}

// Keypoints of this very picture keep their places; any other figure comes into its middle.
function fit(w, h, wide, high) {
  if (!state) return;
  const seen = state.xy.filter((_, k) => state.c[k] > 0), sides = [0, 1].map((i) => seen.map((p) => p[i]));
  const [low, top] = [sides.map((s) => Math.min(...s)), sides.map((s) => Math.max(...s))];
  const own = !state.true && state.read && top[0] <= 1.02 * wide && top[1] <= 1.02 * high;
  const scale = own ? w / wide : 0.8 * Math.min(w / (top[0] - low[0]), h / (top[1] - low[1]));
  const from = own ? [0, 0] : [(low[0] + top[0]) / 2, (low[1] + top[1]) / 2], to = own ? [0, 0] : [w / 2, h / 2];
  const before = structuredClone(state);
  state.xy = state.xy.map((p) => p.map((x, i) => (x - from[i]) * scale + to[i]));
  Object.assign(state, { size: [w, h], true: false });
  brought = { before, after: JSON.stringify(joined(state)), back: (p) => p.map((x, i) => (x - to[i]) / scale + from[i]) };
  anew();
}

// Without the picture the figure is what it was before, and what was done to it since is kept.
function takeBack() {
  if (!brought) return;
  const { before, after, back } = brought, { size } = before;
  brought = null;
  if (JSON.stringify(joined(state)) === after) state = before;
  else Object.assign(state, { size, xy: state.xy.map(back) });
  anew();
}

// A figure in a picture of another size.
function anew() {
  forget(); // places were of another picture
  load(state);
  publish();
}

document.addEventListener("gl-fit", (event) => {
  if (!element.isConnected) return;
  lanes = event.detail ?? [];
  paint();
});
watch("value", () => load(props.value));
load(props.value);
