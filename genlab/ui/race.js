// The race's behaviour. `element`, `props` and `watch` come from gradio's HTML component; race.py says what arrives.
const find = (selector) => element.querySelector(selector), root = find(".gl-race");
const range = find("input"), play = find(".gl-play"), charts = [...element.querySelectorAll(".gl-charts figure")];
const state = { run: null, about: null, lanes: {}, before: null, at: 0, end: false, whole: false, timer: 0 };
const told = new Map(); // what each mesh was last told: a body takes time to bend and to draw
const DECADE = 700, FIRST = 5; // milliseconds that a factor of ten takes to play; none is earlier on the axis
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const all = () => Object.values(state.lanes).flat();
const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const digits = (x) => (x >= 100 ? x.toFixed(0) : x >= 1 ? x.toPrecision(2) : x.toFixed(2)).replace(/\.0$/, "");
const clock = (ms) => (ms < 999.5 ? `${digits(ms)} ms` : `${(ms / 1000).toPrecision(2)} s`);

// What a lane holds at the cursor: its newest state by then, or its first.
function present(lane) {
  const states = state.lanes[lane];
  let found = states[0];
  for (const s of states) if (s.ms <= state.at) found = s;
  return found;
}

const span = () => {
  const times = all().map((s) => s.ms);
  return [Math.max(Math.min(...times), 1), Math.max(...times, 10)];
};

// -- what the cursor changes elsewhere on the page --------------------------------------------------------------------

function show() {
  const { about } = state;
  if (!about || !all().length) return;
  const [low, high] = span(), fits = [];
  range.value = (1000 * Math.log(Math.max(state.at, low) / low)) / Math.log(high / low);
  for (const lane of Object.keys(about.words)) {
    const now = state.lanes[lane]?.length ? present(lane) : null;
    if (now) {
      const trail = state.lanes[lane].filter((s) => s.ms < now.ms).map((s) => s.xy);
      fits.push({ name: lane, names: about.names, bones: about.bones, xy: now.xy, trail: lane === about.leader ? trail : [] });
      tell(lane, now, { weights: now.betas, pose: now.pose });
    }
    if (!now || lane !== about.leader) continue;
    const values = { n: now.n, L: now.loss };
    for (const [name, value] of Object.entries(values))
      document.querySelectorAll(`.gl-now-${name}`).forEach((node) => (node.textContent = value ?? "–"));
  }
  const ghost = about.truth;
  for (const mesh of about.ghosts ?? []) tell(mesh, about.run, ghost ? { weights: ghost.betas, pose: ghost.pose, hidden: !ghost.shown } : { hidden: true });
  document.dispatchEvent(new CustomEvent("gl-fit", { detail: fits }));
  const steps = Object.entries(about.words).filter(([lane]) => state.lanes[lane]?.length);
  const said = steps.map(([lane, word]) => `${word} ${present(lane).ms <= state.at ? `step ${present(lane).n}` : "not yet"}`);
  find("output").textContent = `${clock(Math.max(state.at, low))}: ${said.join(", ")}`;
  range.setAttribute("aria-valuetext", find("output").textContent);
  charts.forEach((figure, i) => chart(figure, i));
}

function tell(mesh, about, detail) {
  if (told.get(mesh) === about) return;
  told.set(mesh, about);
  document.dispatchEvent(new CustomEvent("gl-blend", { detail: { mesh, ...detail } }));
}

// -- the charts: error against time, both logarithmic -----------------------------------------------------------------

const WIDTH = 440, HEIGHT = 156, LEFT = 44, RIGHT = 92, TOP = 8, BOTTOM = 26;

function chart(figure, i) {
  const { about, lanes, before } = state, svg = figure.querySelector("svg");
  figure.querySelector("figcaption").textContent = about.titles[i];
  const curves = Object.fromEntries(Object.entries(lanes).map(([lane, states]) => [lane, states.filter((s) => s.errors[i] > 0)]));
  const old = Object.fromEntries(Object.entries(before ?? {}).map(([lane, states]) => [lane, states.filter((s) => s.errors[i] > 0)]));
  const values = [...Object.values(curves), ...Object.values(old)].flat().map((s) => s.errors[i]);
  if (!Object.values(curves).flat().length) {
    const rows = about.unknown.map((row, k) => `<text x="${LEFT}" y="${HEIGHT / 2 - 10 + 20 * k}" class="gl-none">${escape(row)}</text>`);
    svg.innerHTML = rows.join("");
    return svg.setAttribute("aria-label", about.unknown.join(" "));
  }
  const [t0, t1] = [Math.min(span()[0], FIRST), Math.max(span()[1], 100)], [y0, y1] = [Math.min(...values) / 1.25, Math.max(...values) * 1.25];
  const sx = (ms) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(Math.max(ms, t0) / t0)) / Math.log(t1 / t0);
  const sy = (v) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * Math.log(v / y0)) / Math.log(y1 / y0);
  const parts = [];
  for (const v of marks(y0, y1, [1, 2, 5]))
    parts.push(`<line class="rule" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${sy(v)}" y2="${sy(v)}"/><text class="tick" x="${LEFT - 6}" y="${sy(v) + 4}" text-anchor="end">${v}</text>`);
  for (const ms of marks(t0, t1, [1]))
    parts.push(`<text class="tick" x="${sx(ms)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${ms < 1000 ? `${ms} ms` : `${ms / 1000} s`}</text>`);
  const line = (states) => states.map((s) => `${sx(s.ms).toFixed(1)},${sy(s.errors[i]).toFixed(1)}`).join(" ");
  for (const [lane, states] of Object.entries(old))
    if (states.length) parts.push(`<polyline class="gl-before gl-lane-${lane}" points="${line(states)}"/>`);
  const ends = [];
  for (const [lane, states] of Object.entries(curves)) {
    if (!states.length) continue;
    const now = present(lane), last = states[states.length - 1], dots = states.length < 25 ? states : [];
    parts.push(`<g class="gl-lane-${lane}"><polyline points="${line(states)}"/>${dots.map((s) => `<circle class="gl-step" cx="${sx(s.ms)}" cy="${sy(s.errors[i])}" r="3"/>`).join("")}`);
    if (now.errors[i] > 0 && now.ms <= state.at) parts.push(`<circle class="gl-here" cx="${sx(now.ms)}" cy="${sy(now.errors[i])}" r="5"/>`);
    parts.push("</g>");
    ends.push({ lane, x: sx(last.ms) + 8, y: sy(last.errors[i]) + 4, text: `${about.words[lane]} ${digits(last.errors[i])}`, last });
  }
  const words = ends.map(({ lane, last }) => `${about.words[lane]} ends at ${digits(last.errors[i])} after ${clock(last.ms)}`);
  ends.sort((a, b) => a.y - b.y); // words at the ends of lines keep apart
  ends.forEach((end, k) => { if (k && end.y - ends[k - 1].y < 15 && Math.abs(end.x - ends[k - 1].x) < 80) end.y = ends[k - 1].y + 15; });
  for (const { lane, x, y, text } of ends) parts.push(`<text class="name gl-lane-${lane}" x="${x}" y="${Math.min(y, HEIGHT - BOTTOM - 2)}">${escape(text)}</text>`);
  parts.push(`<line class="gl-cursor" x1="${sx(state.at)}" x2="${sx(state.at)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/>`);
  svg.innerHTML = parts.join("");
  svg.setAttribute("aria-label", `${about.titles[i]} against time in milliseconds: ${words.join("; ")}.`);
}

function marks(low, high, heads) {
  const found = [];
  for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10)
    for (const head of heads) if (head * power >= low && head * power <= high) found.push(Number((head * power).toPrecision(3)));
  return found.length > 6 ? found.filter((v) => String(v).match(/^[0.]*1/)) : found;
}

// -- what arrives ------------------------------------------------------------------------------------------------------

function receive(value) {
  if (!value) return;
  if (value.link) glRelink(value.link);
  if (value.message) return say(value.message, value.error);
  if (!value.lanes) return;
  const begun = value.run !== state.run;
  if (begun) {
    stop();
    const before = state.whole ? state.lanes : null;
    Object.assign(state, { run: value.run, about: value, lanes: {}, before, at: 0, whole: false });
  }
  state.about = value;
  if (value.whole) state.whole = true;
  for (const [lane, states] of Object.entries(value.lanes))
    state.lanes[lane] = value.whole ? states : [...(state.lanes[lane] ?? []), ...states];
  say(value.status);
  if (begun && all().length) begin(value.still);
  if (state.end) state.at = span()[1];
  Object.assign(root.dataset, { state: value.whole ? "done" : "live", run: value.run });
  show();
}

function say(text, error = false) {
  const node = find(".gl-status");
  node.textContent = text;
  node.classList.toggle("gl-error", Boolean(error));
  if (error) root.dataset.state = "error";
}

// Play from the start, each factor of ten as long as the next; what is not yet computed is waited for.
function begin(atEnd = false) {
  stop();
  if (atEnd || still) return void Object.assign(state, { end: true, at: span()[1] });
  const [low] = span(), since = performance.now();
  let lag = 0;
  state.at = low;
  play.textContent = "\u2759\u2759";
  play.setAttribute("aria-label", "Pause");
  let drawn = 0, frame = since;
  const step = (now) => {
    const gap = now - frame; // a page that is busy drawing bodies is asked for fewer
    frame = now;
    state.timer = requestAnimationFrame(step);
    if (now - drawn < Math.max(60, 3 * gap)) return;
    drawn = now;
    const high = span()[1], wanted = low * 10 ** ((performance.now() - since - lag) / DECADE);
    if (wanted > high) lag += DECADE * Math.log10(wanted / high); // waiting is no playing
    state.at = Math.min(wanted, high);
    show();
    if (state.whole && state.at >= high) stop();
  };
  state.timer = requestAnimationFrame(step);
}

function stop() {
  cancelAnimationFrame(state.timer);
  state.end = false;
  state.timer = 0;
  play.textContent = "\u25B6";
  play.setAttribute("aria-label", "Play");
}

play.addEventListener("click", () => {
  if (state.timer) return stop();
  if (all().length) begin();
  show();
});
range.addEventListener("input", () => {
  stop();
  const [low, high] = span();
  state.at = low * (high / low) ** (Number(range.value) / 1000);
  show();
});

document.addEventListener("gl-moved", () => element.isConnected && stop()); // time for the new fit, not for the old one

// The viewer's bodies may come later than the race, and again.
const arrivals = new MutationObserver((changes) => {
  if (!element.isConnected) return arrivals.disconnect();
  if (!changes.some(({ target }) => target.classList.contains("gl-view") && target.dataset.state === "done")) return;
  told.clear();
  show();
});
arrivals.observe(document.body, { attributes: true, attributeFilter: ["data-state"], subtree: true });

let queue = Promise.resolve(); // the page's other parts come to be first
const accept = () => {
  const value = props.value;
  queue = queue.then(() => receive(value)).catch((error) => say(String(error), true));
};
watch("value", accept);
accept();
