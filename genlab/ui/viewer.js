// The viewer's behaviour. `element`, `props`, `watch` come from gradio's HTML component; viewer.py says what arrives.
//
// Anything on the page can set blend weights, without the server:
//   document.dispatchEvent(new CustomEvent("gl-blend", { detail: { mesh: "body", weights: [0.5, -1.2] } }));
// `weights` is the whole list, or {index: weight} for some of it. Every viewer with an item of that name follows. Of an
// item with a rig `detail` may also hold: pose (all of its joints' rotation vectors, one after the other), turn ({joint:
// [x, y, z]}, radians), steps ({shape, bend, skin}: false leaves that step of the law out), play (the name of a clip, ""
// for none), paint (a joint whose weights to show, or null); of any item: hidden, opacity, label, at ([x, y, z]); of the
// scene: box, two corners of what the camera sees, or focus ({joint, size}) instead.
const find = (selector) => element.querySelector(selector);
const root = find(".gl-view"), stage = find(".gl-orbit"), tags = find(".gl-tags"), ended = new AbortController();
const BLANK = { scene: null, items: new Map(), clips: new Map(), camera: null, frame: null, serial: 0, status: "", pace: 16 };
let versions = 0; // no two states of any two items share one
const FOV = (28 * Math.PI) / 180; // narrow, as with the lens that portraits are taken with

// A component that was hidden is made anew, with its last value alone; so what its stage held outlives it here.
const places = (globalThis.glPlaces ??= new Map());
const state = { ...BLANK, ...places.get(PLACE), painter: null, asked: 0, frames: 0, rested: false };
places.set(PLACE, state);

class Trouble extends Error {} // whose message is for the visitor
const check = (fine, sentence) => { if (!fine) throw new Trouble(sentence); };
const numbers = (list, length) => Array.isArray(list) && list.length === length && list.every(Number.isFinite);
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

// -- what arrives -----------------------------------------------------------------------------------------------------

const ARRAYS = { i2: Int16Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array }, MOST = 16e6;

// Exactly `length` bytes out of `bytes`, which a stranger may have made to swell without end.
async function inflate(bytes, length) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const out = new Uint8Array(length);
  let at = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (at + part.value.length > length) reader.cancel();
    check(at + part.value.length <= length, "An array is longer than it says.");
    out.set(part.value, at);
    at += part.value.length;
  }
  check(at === length, "An array is shorter than it says.");
  return out;
}

// The inverse of `packed` in viewer.py: the array, whose last axis has `columns` entries.
async function unpack(packed, columns, rows) {
  const Kind = ARRAYS[packed?.type], width = Kind?.BYTES_PER_ELEMENT, shape = packed?.shape;
  check(width && Array.isArray(shape) && shape.every((n) => Number.isInteger(n) && n >= 0), "An array has no shape.");
  const count = shape.reduce((a, b) => a * b, 1);
  check(count <= MOST && shape[shape.length - 1] === columns, "An array has the wrong shape.");
  check(rows === undefined || count === rows * columns, `An array has ${count / columns} rows where ${rows} belong.`);
  const text = atob(packed.data), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const planes = await inflate(bytes, count * width), out = new Kind(count), raw = new Uint8Array(out.buffer);
  for (let p = 0; p < width; p++) for (let i = 0; i < count; i++) raw[i * width + p] = planes[p * count + i];
  for (let i = columns; i < count; i++) out[i] += out[i - columns];
  return out;
}

// Reads news of an item; what it returns puts them in place, once all news of all items are known to be good.
async function change(item, news) {
  const next = {}, named = JSON.stringify(item.name), rows = item.base && item.base.length / 3;
  check(news && typeof news === "object", `There is no news of ${named}.`);
  if (news.vertices) {
    const { scale, middle } = news.vertices, whole = await unpack(news.vertices, 3, rows);
    check(Number.isFinite(scale) && numbers(middle, 3), `The vertices of ${named} are not numbers.`);
    next.base = Float32Array.from(whole, (q, i) => q * scale + middle[i % 3]);
    check(next.base.every(Number.isFinite), `The vertices of ${named} are out of reach.`);
  }
  const length = (next.base ?? item.base)?.length;
  check(length, `${named} has no vertices.`);
  if (news.colors) next.colors = await unpack(news.colors, 3, length / 3);
  if (news.directions) {
    next.directions = await unpack(news.directions, 3);
    next.scales = news.directions.scale;
    const fits = numbers(next.scales, next.directions.length / length);
    check(fits, `The directions of ${named} do not fit its vertices.`);
  }
  const count = (next.scales ?? item.scales).length, weights = news.weights ?? item.weights;
  if (news.rig) next.rig = await unpackRig(news.rig, length / 3, count, item.rig);
  check(numbers(weights, count), `${named} takes ${count} weights, all of them numbers.`);
  return () => Object.assign(item, next, { weights, thin: null, asked: ++versions });
}

async function create(about, others, clips) {
  const { name, at, color, label, smooth, opacity = 1, size = 0, width = 0, hidden = false, play = "" } = about ?? {};
  check(typeof name === "string" && numbers(at, 3) && numbers(color, 3), "An item is not described.");
  check(numbers([opacity, size, width], 3), `The sizes of ${JSON.stringify(name)} are not numbers.`);
  const item = { name, at, color, label, smooth, opacity, size, width, hidden: Boolean(hidden), scales: [], weights: [] };
  if (about.of !== undefined) return follower(item, about, others.get(about.of));
  (await change(item, { ...about, weights: about.directions ? about.weights : [] }))();
  if (item.rig) rest(item);
  if (about.faces) item.faces = await unpack(about.faces, 3);
  else item.pairs = await unpack(about.pairs, 2);
  if (about.coarse) item.coarse = await unpack(about.coarse, 3);
  const count = item.base.length / 3, joined = [item.faces ?? item.pairs, item.coarse ?? []];
  const inside = joined.every((list) => list.every((i) => i < count));
  check(inside, `${JSON.stringify(name)} joins vertices that it does not have.`);
  if (play) Object.assign(item, act(item, { play }, clips));
  blend(item);
  return item;
}

function rest(item) {
  item.pose = new Float32Array(3 * (item.source ?? item).rig.parents.length);
  item.steps = { shape: true, bend: true, skin: true };
}

// A copy of a body, or its bones: it owns what differs, and looks the rest up in its source.
function follower(item, { kind }, source) {
  check(source?.rig && (kind === "copy" || kind === "bones"), `${JSON.stringify(item.name)} follows nobody.`);
  item.source = source;
  rest(item);
  const { faces, coarse, base, scales, smooth } = source;
  if (kind === "copy") Object.assign(item, { faces, coarse, base, scales, smooth });
  else Object.assign(item, { bones: true, opacity: 1, pairs: source.rig.parents.flatMap((p, k) => (k ? [p, k] : [])) });
  item.weights = scales.map(() => 0);
  blend(item);
  return item;
}

// What is drawn of an item: all of it, or where time is short its thin twin.
const drawn = (item) => (state.rough && item.coarse ? (item.thin ??= thin(item)) : item);
const stale = (item) => item.done !== item.asked || (item.bones && item.seen !== drawn(item.source).version);

// An item of its coarse triangles and their vertices alone. What it does not own (weights, pose, place) is the item's,
// so it does what that is told. Soles are in it whole: their lowest vertex stands on the floor, and without it all would
// sink a little.
function thin(item) {
  const own = { now: null, normals: null, coarse: null, done: null };
  const tint = { get: () => item.colors && gather(item.colors, few, count, 3) };
  const count = item.base.length / 3, source = item.source && drawn(item.source), few = source?.few ?? fewer(item);
  const twin = Object.assign(Object.create(item, { colors: tint }), own, { few });
  if (source) return Object.assign(twin, { source, base: source.base, faces: source.faces });
  const { base, coarse, directions, rig } = item, place = new Uint32Array(count);
  few.forEach((v, i) => (place[v] = i));
  Object.assign(twin, { base: gather(base, few, count, 3), faces: coarse.map((v) => place[v]) });
  if (directions) twin.directions = gather(directions, few, count, 3);
  if (rig) twin.rig = { ...rig };
  for (const [key, columns] of [["follow", 1], ["share", 1], ["bends", 1], ["bending", 27]])
    if (rig?.[key]) twin.rig[key] = gather(rig[key], few, count, columns);
  return twin;
}

function fewer({ base, coarse, rig }) {
  const few = new Set(coarse), ys = base.filter((_, i) => i % 3 === 1);
  const [low, high] = [Math.min, Math.max].map((most) => ys.reduce((a, b) => most(a, b)));
  if (rig) ys.forEach((y, v) => { if (y - low < (high - low) / 300) few.add(v); });
  return Uint32Array.from(few).sort();
}

// The rows of `few` out of an array that has `count` rows, or so many again and again.
function gather(array, few, count, columns) {
  const out = new array.constructor((array.length / count) * few.length);
  let at = 0;
  for (let block = 0; block < array.length; block += count * columns)
    for (const v of few) for (let k = 0; k < columns; k++) out[at++] = array[block + columns * v + k];
  return out;
}

// Where the vertices are now, base + sum of weights times directions, and the normals: sums over each vertex's faces,
// as long as twice the area. A shader could do the former, but the latter need it here; both take a few milliseconds.
function blend(item) {
  if (item.bones) {
    const { places: now, at, version: seen } = drawn(item.source);
    Object.assign(item, { now, at, seen, done: item.asked, version: ++versions });
    return;
  }
  const { base, directions, scales, rig } = item.source ?? item, { faces } = item;
  const length = base.length, now = (item.now ??= new Float32Array(length));
  now.set(base);
  if (item.steps?.shape !== false) item.weights.forEach((weight, k) => {
    const step = weight * scales[k], from = k * length;
    if (step) for (let i = 0; i < length; i++) now[i] += step * directions[from + i];
  });
  if (rig) pose(item, now, rig);
  const out = faces && (item.normals ??= new Float32Array(length)).fill(0);
  for (let f = 0; f < (faces?.length ?? 0); f += 3) {
    const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
    const ux = now[b] - now[a], uy = now[b + 1] - now[a + 1], uz = now[b + 2] - now[a + 2];
    const vx = now[c] - now[a], vy = now[c + 1] - now[a + 1], vz = now[c + 2] - now[a + 2];
    const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx;
    out[a] += x; out[a + 1] += y; out[a + 2] += z;
    out[b] += x; out[b + 1] += y; out[b + 2] += z;
    out[c] += x; out[c + 1] += y; out[c + 2] += z;
  }
  item.done = item.asked;
  item.version = ++versions;
}

// -- the camera -------------------------------------------------------------------------------------------------------

// The room that some items take: the corners of a box.
function room(items) {
  items = items.filter((item) => !item.hidden);
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (const item of items) {
    if (stale(item)) blend(item);
    for (let i = 0; i < item.now.length; i++) {
      const k = i % 3, x = item.now[i] + item.at[k];
      if (x < low[k]) low[k] = x;
      if (x > high[k]) high[k] = x;
    }
  }
  return items.length ? [low, high] : [[-1, 0, -1], [1, 2, 1]];
}

// Unit vectors to the right, up and back from what is looked at, in degrees from +z and from the horizon.
function axes(yaw, pitch) {
  const [sy, cy, sp, cp] = [yaw, pitch].flatMap((a) => [Math.sin((a * Math.PI) / 180), Math.cos((a * Math.PI) / 180)]);
  return [[cy, 0, -sy], [-sy * sp, cp, -cy * sp], [sy * cp, sp, cy * cp]];
}

// How far back the whole scene is seen, as it stands at first; zoom and turning start from there.
function distance(aspect) {
  const { half, margin } = state.frame, [right, up, back] = axes(...state.scene.view), t = Math.tan(FOV / 2) / margin;
  let far = 0;
  for (let corner = 0; corner < 8; corner++) {
    const d = half.map((x, k) => (corner & (1 << k) ? x : -x));
    far = Math.max(far, dot(d, back) + Math.max(Math.abs(dot(d, up)) / t, Math.abs(dot(d, right)) / (t * aspect)));
  }
  return far;
}

// The camera as numbers: where it stands, its axes, how it projects.
function lens(width, height) {
  const { yaw, pitch, zoom, pan } = state.camera, { centre, reach } = state.frame, [right, up, back] = axes(yaw, pitch);
  const t = Math.tan(FOV / 2), far = zoom * distance(width / height), near = 0.02 * far, end = far + 4 * reach;
  const eye = back.map((b, k) => centre[k] + pan[k] + far * b);
  const view = [0, 1, 2].flatMap((k) => [right[k], up[k], back[k], 0]);
  view.push(...[right, up, back].map((axis) => -dot(axis, eye)), 1);
  const depth = [(end + near) / (near - end), (2 * end * near) / (near - end)];
  const projection = [height / (t * width), 0, 0, 0, 0, 1 / t, 0, 0, 0, 0, depth[0], -1, 0, 0, depth[1], 0];
  const project = (point) => { // to pixels: x, y, depth, and how many of them a metre takes there
    const d = point.map((x, k) => x - eye[k]), z = -dot(d, back), scale = height / (2 * t * z);
    return [width / 2 + dot(d, right) * scale, height / 2 - dot(d, up) * scale, z, scale];
  };
  const toLight = back.map((b, k) => 0.6 * b + 0.62 * up[k] - 0.5 * right[k]);
  return { width, height, eye, right, up, back, near, far, toLight, project, matrices: { view, projection } };
}

function reset() {
  const [yaw, pitch] = state.scene.view;
  reframe();
  state.camera = { yaw, pitch, zoom: 1, pan: [0, 0, 0] };
  invalidate();
}

function reframe() {
  const items = [...state.items.values()], [low, high] = state.scene.box ?? room(items);
  const half = low.map((x, k) => Math.max((high[k] - x) / 2, 1e-6)), centre = low.map((x, k) => (x + high[k]) / 2);
  const floor = state.scene.floor === false ? false : (state.scene.floor ?? low[1]);
  const margin = items.some((item) => item.label && !item.hidden) ? 1.2 : 1.1; // a label stands above its item
  state.frame = { centre, half, floor, margin, reach: 2.6 * Math.max(half[1], Math.hypot(half[0], half[2])) };
}

function move({ yaw = 0, pitch = 0, zoom = 1, pan = [0, 0] }) {
  const camera = state.camera;
  if (!camera) return;
  camera.yaw = (camera.yaw + yaw) % 360;
  camera.pitch = clamp(camera.pitch + pitch, -89, 89);
  camera.zoom = clamp(camera.zoom * zoom, 0.05, 8);
  const { right, up, far, height } = lens(stage.clientWidth || 1, stage.clientHeight || 1);
  const metre = (2 * far * Math.tan(FOV / 2)) / height, most = 4 * state.frame.reach; // a pixel is so many metres
  camera.pan = camera.pan.map((x, k) => clamp(x + metre * (pan[1] * up[k] - pan[0] * right[k]), -most, most));
  stage.classList.add("gl-known"); // the hint has done its work
  invalidate();
}

// -- drawing, when something changed and only then --------------------------------------------------------------------

function invalidate() {
  state.asked ||= requestAnimationFrame(() => {
    state.asked = 0;
    try { draw(); } catch (error) { complain(error); }
  });
}

function draw() {
  const width = stage.clientWidth, height = stage.clientHeight, fine = Math.min(window.devicePixelRatio || 1, 2);
  if (!state.scene || !width || !height || ended.signal.aborted || find("img")) return;
  const moving = playing(), seen = lens(width, height), running = moving.some((item) => item.play.paused === undefined);
  hurry();
  const { rough } = state, ratio = rough ? 0.7 * fine : fine, canvas = find("canvas");
  const items = [...state.items.values()].filter((item) => !item.hidden).map(drawn);
  for (const item of items) if (stale(item)) blend(item);
  const size = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  state.painter.draw(items, seen, state.frame, ratio, rough);
  label(items, seen);
  const { yaw, pitch, zoom, pan } = state.camera;
  root.dataset.camera = [yaw, pitch, zoom, ...pan].map((x) => x.toFixed(3)).join(" ");
  root.dataset.frames = ++state.frames;
  root.dataset.playing = moving.map((item) => item.play.name).join(" ");
  if (running) onward();
}

// Whether to draw roughly, fewer pixels, vertices and triangles: from when on the machine drew fewer than 28 pictures a
// second for a while, as without a graphics card. What has not changed for a moment is drawn well.
function hurry() {
  const now = performance.now();
  state.rough = Boolean(state.slow && !state.rested);
  state.rested = false;
  root.dataset.rough = state.rough ? "1" : "";
  clearTimeout(state.rest);
  requestAnimationFrame(() => { // the picture is done
    state.pace += (Math.min(performance.now() - now, 50) - state.pace) / 8; // milliseconds; a hiccup counts little
    state.slow ||= state.pace > 36;
    clearTimeout(state.rest);
    if (state.rough) state.rest = setTimeout(() => { state.rested = true; invalidate(); }, 400);
  });
}

// Items that play a clip, in the pose that is due.
function playing() {
  const moving = [...state.items.values()].filter((item) => item.play && !item.hidden);
  for (const item of moving) {
    const { clip, since, paused } = item.play, seconds = (paused ?? performance.now() - since) / 1000;
    Object.assign(item, { pose: posed(clip, seconds), asked: ++versions });
    root.dataset.seconds = seconds.toFixed(3);
  }
  return moving;
}

// The next picture of a clip; while nobody sees the stage, only a look now and then whether somebody does.
function onward() {
  const { top, bottom } = stage.getBoundingClientRect();
  if (bottom > 0 && top < innerHeight) invalidate();
  else setTimeout(() => { if (!ended.signal.aborted) onward(); }, 250);
}

function pause() {
  for (const { play } of state.items.values()) {
    if (!play) continue;
    if (play.paused === undefined) play.paused = performance.now() - play.since;
    else Object.assign(play, { since: performance.now() - play.paused, paused: undefined });
  }
  invalidate();
}

function label(items, seen) {
  const named = items.filter((item) => item.label);
  while (tags.children.length > named.length) tags.lastChild.remove();
  while (tags.children.length < named.length) tags.append(document.createElement("span"));
  named.forEach((item, i) => {
    const [low, high] = room([item]), [x, z] = [0, 2].map((k) => (low[k] + high[k]) / 2);
    const [[left, top], [, bottom]] = [high[1], low[1]].map((y) => seen.project([x, y, z]));
    const above = Math.max(top, Math.min(28, bottom)); // 28 px, a line and a gap, keep it on the stage till the item left
    tags.children[i].textContent = item.label;
    tags.children[i].style.transform = `translate(${left.toFixed(1)}px, ${above.toFixed(1)}px) translate(-50%, -140%)`;
  });
}

function say(text, error = false) {
  const node = find(".gl-status");
  node.textContent = text;
  node.classList.toggle("gl-error", error);
  root.dataset.state = error ? "error" : state.scene ? "done" : "empty";
}

function complain(error) {
  if (!(error instanceof Trouble)) console.warn(error);
  say(error instanceof Trouble ? error.message : "What arrived cannot be drawn.", true);
}

// A painter for this browser. One canvas gives one kind of context, so drawing without WebGL2 takes a fresh one.
function painter() {
  const gl = find("canvas").getContext("webgl2", { antialias: true, alpha: true, premultipliedAlpha: true });
  try {
    if (gl) return webgl(gl);
  } catch {}
  const plain = document.createElement("canvas");
  find("canvas").replaceWith(plain);
  return sketch(plain.getContext("2d"));
}

function begin() {
  state.painter = painter();
  root.dataset.painter = state.painter.kind;
  const canvas = find("canvas");
  canvas.addEventListener("webglcontextlost", (event) => {
    event.preventDefault(); // so that it may come back
    if (!ended.signal.aborted) say("The graphics card is busy elsewhere; the picture comes back by itself.", true);
  });
  canvas.addEventListener("webglcontextrestored", () => {
    state.painter = webgl(canvas.getContext("webgl2"));
    show();
  });
}

async function whole(value) {
  check(Array.isArray(value.items) && value.items.length <= 64 && numbers(value.view, 2), "There is no scene.");
  const items = new Map(), clips = new Map(), same = state.scene && state.scene.name === value.name;
  check(!value.box || (value.box.length === 2 && value.box.every((corner) => numbers(corner, 3))), "The box is none.");
  for (const [name, about] of Object.entries(value.clips ?? {})) {
    const { scale, fps, feet, shape } = about, size = shape?.[1];
    const frames = Float32Array.from(await unpack(about, size), (q) => q * scale);
    check(numbers([scale, fps], 2) && fps > 0 && frames.length && Array.isArray(feet), `The motion ${name} is none.`);
    check(feet.every((k) => Number.isInteger(k) && k >= 0 && 3 * k < size), `The motion ${name} has no such feet.`);
    clips.set(name, { frames, fps, feet, size });
  }
  for (const about of value.items) items.set(about?.name, await create(about, items, clips));
  Object.assign(state, { scene: value, items, clips });
  if (!same) reset();
  document.dispatchEvent(new CustomEvent("gl-scene", { detail: { name: value.name } })); // whoever moves it may do so now
}

async function update(value) {
  const applied = [];
  for (const [name, news] of Object.entries(value.update)) {
    check(state.items.has(name), `There is no ${JSON.stringify(name)} on this stage to change.`);
    applied.push(await change(state.items.get(name), news));
  }
  for (const apply of applied) apply();
  for (const item of state.items.values())
    if (value.update[item.source?.name]) Object.assign(item, { thin: null, asked: ++versions });
}

// The picture that the server sent along, in place of a drawing of our own.
function still(source) {
  const image = String(source).startsWith("data:image/") && Object.assign(new Image(), { src: source, alt: "" });
  find("img")?.remove();
  if (image) find("canvas").after(image);
  stage.classList.toggle("gl-still", Boolean(image));
  return `This browser has no WebGL2, so you see ${image ? "a still picture" : "a simpler drawing"}.`;
}

async function receive(value) {
  if (value === null || value === undefined || value === "") return;
  check(typeof value === "object", "What arrived is not a scene.");
  if (value.message) return say(String(value.message), Boolean(value.error));
  if (value.serial !== state.serial) await (value.update ? update(value) : whole(value));
  state.serial = value.serial;
  state.status = value.status ?? state.status;
  show(value.alt);
}

// Everything anew, on a canvas that may be new as well.
function show(alt) {
  if (!state.painter) begin();
  const excuse = state.painter.kind === "2d" ? still(state.scene.fallback) : "";
  state.scene.alt = alt ?? state.scene.alt;
  stage.setAttribute("aria-label", state.scene.alt);
  say([state.status, excuse].filter(Boolean).join(" "));
  invalidate();
}

// -- the hand ---------------------------------------------------------------------------------------------------------

const fingers = new Map(), TURN = 0.4; // degrees a pixel
let scrolled = -1e9, travel = [0, 0], scolded = false;
const listen = (node, name, act, options) => node.addEventListener(name, act, { signal: ended.signal, ...options });

listen(stage, "pointerdown", (event) => {
  stage.setPointerCapture(event.pointerId);
  stage.focus({ preventScroll: true });
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  travel = [travel[1], 0];
});
listen(stage, "pointermove", (event) => {
  const last = fingers.get(event.pointerId), here = [event.clientX, event.clientY];
  if (!last) return;
  const [x, y] = [here[0] - last[0], here[1] - last[1]];
  const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
  fingers.set(event.pointerId, here);
  travel[1] += Math.abs(x) + Math.abs(y);
  if (other) { // each of two fingers moves the picture by half its way, and their distance is its size
    const span = (p) => Math.max(Math.hypot(p[0] - other[0], p[1] - other[1]), 8);
    move({ zoom: span(last) / span(here), pan: [x / 2, y / 2] });
  } else if (event.buttons & 6 || event.shiftKey) move({ pan: [x, y] });
  else move({ yaw: -TURN * x, pitch: TURN * y });
});
for (const end of ["pointerup", "pointercancel"]) listen(stage, end, (event) => fingers.delete(event.pointerId));
listen(stage, "contextmenu", (event) => event.preventDefault());
listen(stage, "dblclick", () => state.scene && travel[0] + travel[1] < 8 && reset()); // two quick drags are none
// A page that is being scrolled keeps scrolling when the stage comes under the pointer.
listen(window, "scroll", () => (scrolled = performance.now()), { passive: true, capture: true });
listen(stage, "wheel", (event) => {
  if (!event.ctrlKey && document.activeElement !== stage && performance.now() - scrolled < 400) return;
  event.preventDefault();
  const pixels = event.deltaY * (event.deltaMode ? 16 : 1), pinched = event.ctrlKey; // so trackpads tell of a pinch
  move({ zoom: Math.exp(clamp(pixels * (pinched ? 0.01 : 0.0015), -1, 1)) });
}, { passive: false });
const KEYS = { ArrowLeft: { yaw: -5 }, ArrowRight: { yaw: 5 }, ArrowUp: { pitch: 5 }, ArrowDown: { pitch: -5 } };
Object.assign(KEYS, { "+": { zoom: 0.9 }, "=": { zoom: 0.9 }, "-": { zoom: 1 / 0.9 }, _: { zoom: 1 / 0.9 } });
listen(stage, "keydown", (event) => {
  const ours = Object.hasOwn(KEYS, event.key) || event.key === "0" || (event.key === " " && root.dataset.playing);
  if (event.ctrlKey || event.metaKey || event.altKey || !ours) return;
  event.preventDefault();
  if (event.key === " ") return pause();
  if (event.key !== "0") move(KEYS[event.key]);
  else if (state.scene) reset();
});

// The box of that size around a joint of an item, where it is now.
function around(item, { joint, size }) {
  blend(item);
  const place = item.places?.slice(3 * joint, 3 * joint + 3);
  check(place?.length === 3 && size > 0, `${JSON.stringify(item.name)} has no such joint to look at.`);
  return [-size, size].map((half) => [...place].map((x, k) => x + item.at[k] + half));
}

listen(document, "gl-blend", (event) => {
  const { mesh, weights, box: seen, focus, ...more } = event.detail ?? {}, item = state.items.get(mesh);
  if (!item) return;
  const next = [...item.weights], entries = Object.entries(weights ?? {});
  const known = ([k, w]) => /^\d+$/.test(k) && Number(k) < next.length && Number.isFinite(w);
  if ((Array.isArray(weights) && weights.length !== next.length) || !entries.every(known))
    return say(`${JSON.stringify(mesh)} takes ${next.length} weights, all of them numbers.`, (scolded = true));
  for (const [k, w] of entries) next[Number(k)] = w;
  let box = seen;
  try {
    check(!box || (box.length === 2 && box.every((corner) => numbers(corner, 3))), "The box is none.");
    Object.assign(item, { weights: next, asked: ++versions }, act(item, more, state.clips));
    if (focus) box = around(item, focus);
  } catch (error) {
    scolded = true;
    return complain(error);
  }
  if (box) {
    state.scene.box = box;
    reframe();
  }
  if (scolded) show(); // all is well again
  else invalidate();
  scolded = false;
});

const theme = new MutationObserver(invalidate);
const shape = new ResizeObserver(() => (root.isConnected ? invalidate() : end()));
theme.observe(document.body, { attributes: true, attributeFilter: ["class"] }); // light or dark
shape.observe(stage);

function end() { // the component was taken off the page
  ended.abort();
  theme.disconnect();
  shape.disconnect();
  state.painter?.end();
}

find(".gl-hint").textContent = matchMedia("(hover: none)").matches
  ? "drag to turn, pinch to zoom"
  : "drag to turn, scroll to zoom, right-drag to move, double-click to reset";
if (state.scene) show();

let queue = Promise.resolve(); // one value after the other, though arrays are unpacked at their own pace
const accept = () => {
  const value = props.value;
  queue = queue.then(() => receive(value)).catch(complain);
};
watch("value", accept);
accept();
