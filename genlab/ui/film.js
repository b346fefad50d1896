// The film's behaviour. `element`, `props` and `watch` come from gradio's HTML component; film.py says what arrives.
const find = (selector) => element.querySelector(selector);
const make = (tag, className, text) => Object.assign(document.createElement(tag), { className, textContent: text ?? "" });
const panels = find(".gl-panels"), bar = find(".gl-bar"), range = find("input"), play = find(".gl-play");
const state = { run: null, about: null, frames: [], at: 0, before: null, mode: "steps", timer: null, room: [], coming: null };

function layout(about) {
  panels.replaceChildren(...about.panels.map((title) => {
    const panel = make("figure", "gl-panel");
    const grid = make("div", about.rows.length ? "gl-grid gl-rows" : "gl-grid");
    grid.setAttribute("role", "img");
    grid.style.setProperty("--cols", about.cols);
    grid.style.setProperty("--narrow", about.cols % 5 ? 4 : 5); // columns of a table on a phone
    for (let i = 0; i < about.n; i++) {
      if (about.rows.length && i % about.cols === 0) {
        const head = make("p", "gl-row-head");
        head.append(make("b", "", about.rows[i / about.cols]), make("span", "gl-row-note"));
        grid.append(head);
      }
      const cell = make("div", "gl-cell");
      const canvas = make("canvas");
      [canvas.height, canvas.width] = about.size;
      cell.append(canvas, make("span", "gl-caption"));
      grid.append(cell);
    }
    panel.append(make("figcaption", "", title), grid);
    return panel;
  }));
  panels.classList.toggle("gl-few", about.n <= 2);
  panels.classList.toggle("gl-four", about.n > 2 && about.cols === 2); // two by two: the scrubber stays on the screen
}

// Draw the pictures of `panel` of a frame into the panel at place `where`.
function paint(where, frame, panel, about) {
  const [height, width] = about.size;
  panels.children[where].querySelectorAll("canvas").forEach((canvas, i) => {
    const left = (panel * about.n + i) * width;
    canvas.getContext("2d").drawImage(frame.image, left, frame.row * height, width, height, 0, 0, width, height);
  });
}

const spoken = (className, { head, words }) => {
  const node = make("span", className);
  node.append(make("b", "", head), ...words.flatMap(([text, right]) =>
    [" ", right === false ? make("em", "", `\u2717\u00a0${text}`) : text]));
  return node;
};

// The words under the pictures. Those of a step get the room that is expected, or that the last step's take, and are
// cut there: early pictures are full of mistakes, and what stands below would jump. rooms: captions to leave room for.
function caption(where, frame, show, rooms) {
  panels.children[where].querySelectorAll(".gl-caption").forEach((span, i) => {
    const told = frame.captions[i] || "", plain = typeof told === "string", said = plain && !show ? "" : told;
    span.classList.toggle("gl-told", !plain);
    span.classList.toggle("gl-ghost", !plain && !show); // takes the same room, so that the panels' rows are level
    span.classList.toggle("gl-wrong", plain && said.includes("\u2717"));
    if (plain) return void (span.textContent = said);
    const others = rooms.map((captions) => captions[i]).filter((other) => other?.words);
    span.replaceChildren(spoken("gl-said", said), make("span", "gl-room"), ...others.map((other) => spoken("gl-room", other)));
  });
}

// A caption that is cut ends in an ellipsis, however many lines its room has.
function clamp() {
  panels.querySelectorAll(".gl-said").forEach((node) => {
    const lines = Math.floor(node.clientHeight / parseFloat(getComputedStyle(node).lineHeight));
    node.style.webkitLineClamp = lines || ""; // none yet, of a film out of sight
  });
}
new ResizeObserver(clamp).observe(panels);

const heads = ({ words, nowWords }) => [`before: ${words}`, `now: ${nowWords}`];

function draw() {
  const { about, frames, before, mode } = state, frame = frames[state.at];
  if (!frame) return;
  const last = about.panels.length - 1, compare = mode === "change" && before;
  const shown = compare ? frames[frames.length - 1] : frame;
  about.panels.forEach((_, p) => paint(p, shown, p, about));
  if (compare) paint(0, before.frame, last, about);
  const other = before ?? state.coming; // what the end is, or will be, held against: it has its room from the first on
  const rooms = [about.room ?? [], other?.frame.captions ?? [], compare ? shown.captions : state.room];
  for (let p = 0; p <= last; p++) caption(p, shown, p === last, rooms);
  if (compare) caption(0, before.frame, true, rooms);
  panels.classList.toggle("gl-compared", Boolean(compare));
  const titles = compare ? heads(before) : about.panels;
  // the other titles are there unseen, so that the rows below are level and stay where they are
  const all = [...about.panels, ...(other ? heads(other) : [])];
  panels.querySelectorAll("figcaption").forEach((node, p) =>
    node.replaceChildren(make("span", "", titles[p]), ...all.map((title) => make("span", "gl-room", title))));
  clamp();
  panels.querySelectorAll(".gl-grid").forEach((node, p) => node.setAttribute("aria-label", `${titles[p]}. ${state.alt}`));
  const told = shown === frames[frames.length - 1] && about.titles || []; // of the end alone
  panels.children[last].querySelectorAll(".gl-cell").forEach((cell, i) => (cell.title = told[i] ?? ""));
  bar.classList.toggle("gl-off", Boolean(compare));
  range.max = Math.max((state.whole ? frames.length : about.of) - 1, 1);
  range.value = state.at;
  range.setAttribute("aria-valuetext", `t = ${frame.t}`);
  const sure = frame.score === null || !about.score ? "" : `\n${about.score} ${Math.round(100 * frame.score)} %`;
  find("output").textContent = `t = ${frame.t}${sure}`;
  for (const [name, value] of Object.entries(frame.now))
    document.querySelectorAll(`.gl-now-${name}`).forEach((node) => (node.textContent = value));
  track();
}

// Behind the scrubber: the score's curve, the band in which something acts, and where we are.
function track() {
  const { about, frames, at } = state, span = Math.max((state.whole ? frames.length : about.of) - 1, 1);
  const x = (i) => ((100 * i) / span).toFixed(2);
  const inside = frames.map((f, i) => [i, about.band && f.t >= about.band[0] && f.t <= about.band[1]]).filter((f) => f[1]);
  const known = frames.map((f, i) => [i, f.score]).filter((f) => f[1] !== null);
  let svg = "";
  if (inside.length) {
    const first = inside[0][0], final = inside[inside.length - 1][0];
    svg += `<rect class="gl-band" x="${x(first)}" y="0" width="${Math.max(x(final) - x(first), 0.8)}" height="24"/>`;
  }
  if (known.length > 1)
    svg += `<polyline class="gl-score" points="${known.map(([i, s]) => `${x(i)},${(22 - 20 * s).toFixed(2)}`).join(" ")}"/>`;
  svg += `<line class="gl-here" x1="${x(at)}" x2="${x(at)}" y1="0" y2="24"/>`;
  find("svg").innerHTML = svg;
}

function status(text, error) {
  const node = find(".gl-status");
  node.textContent = text;
  node.classList.toggle("gl-error", Boolean(error));
  node.setAttribute("aria-busy", String(Boolean(state.run) && !state.whole)); // read aloud at the end, not at each step
}

function setMode(mode) {
  state.mode = mode;
  element.querySelectorAll("[data-mode]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.mode === mode)));
  if (state.about) draw();
}

// What differs between two runs that share the seed and the pictures' layout, or null if they cannot be compared.
function difference(old, about, frame) {
  if (!old || old.about.n !== about.n || old.about.panels.length < 2) return null;
  if (old.frame.at < old.about.of - 1 || frame.at < about.of - 1) return null; // one was stopped half way
  const changed = Object.keys(about.knobs).filter((key) => about.knobs[key] !== old.about.knobs[key]);
  if (!changed.length || old.about.noise !== about.noise) return null;
  if (changed.length > 1 && changed.includes(about.subject)) return null; // other things, drawn in another way
  const pairs = changed.map((key) => differing(old.about.knobs[key], about.knobs[key]));
  const words = (k) => changed.map((key, i) => (key === about.subject ? `“${pairs[i][k]}”` : `${key} ${pairs[i][k] || "nothing"}`)).join(", ");
  return { frame: old.frame, words: words(0), nowWords: words(1) };
}

// Two texts, each without the words with which both begin and end, but for one on either side.
function differing(...texts) {
  const words = texts.map((text) => text.split(" ")), shorter = Math.min(...words.map((w) => w.length));
  const same = (at, most) => { let k = 0; while (k < most && at(words[0], k) === at(words[1], k)) k++; return k; };
  const first = same((w, k) => w[k], shorter), last = same((w, k) => w[w.length - 1 - k], shorter - first);
  const [from, rest] = [Math.max(first - 1, 0), Math.max(last - 1, 0)];
  return words.map((w) => [...(from ? ["\u2026"] : []), ...w.slice(from, w.length - rest), ...(rest ? ["\u2026"] : [])].join(" "));
}

function begin(about) {
  const whole = state.whole && state.frames.length && { about: state.about, frame: state.frames[state.frames.length - 1] };
  const old = state.about?.still ? null : whole || state.old; // a link asked for something else than what was on arrival
  stop();
  Object.assign(state, { run: about.run, about, frames: [], whole: false, before: null, old, alt: "" });
  state.coming = difference(old, about, { at: about.of - 1 }); // if the run is not stopped, what its end is held against
  const shape = JSON.stringify([about.panels, about.n, about.cols, about.rows, about.size]);
  if (shape !== state.shape) layout(about);
  if (shape !== state.shape || about.room?.length) state.room = []; // the run before's, which asked for other words
  state.shape = shape;
  panels.querySelectorAll(".gl-row-note").forEach((node) => (node.textContent = "")); // the run before's
  setMode("steps");
  find(".gl-modes").hidden = true;
}

async function receive(value) {
  if (!value) return;
  if (value.link) glRelink(value.link);
  if (value.message) {
    panels.classList.toggle("gl-faded", Boolean(value.wait || value.error)); // what is there is not what was asked for
    return status(value.message, value.error);
  }
  if (!value.sheet) return;
  const image = new Image();
  image.src = value.sheet;
  await image.decode();
  if (value.run !== state.run) begin(value);
  panels.classList.remove("gl-faded");
  if (value.whole) state.frames = [];
  const frames = value.whole ? value.frames : JSON.parse(value.frames);
  frames.forEach((frame, row) => state.frames.push({ ...frame, image, row }));
  state.about = value;
  state.whole = value.whole;
  state.at = state.frames.length - 1;
  status(value.status);
  bar.hidden = !value.whole && value.of < 2 || state.frames.length < 2 && value.whole;
  element.firstElementChild.setAttribute("data-state", value.whole ? "done" : "live");
  if (value.whole) finish(value);
  draw();
}

function finish(value) {
  state.alt = value.alt;
  state.room = state.frames[state.frames.length - 1].captions;
  panels.querySelectorAll(".gl-row-note").forEach((node, i) => (node.textContent = value.notes[i] ?? ""));
  state.before = difference(state.old, value, state.frames[state.frames.length - 1]);
  state.coming = null;
  if (state.before) {
    const [steps, change] = element.querySelectorAll("[data-mode]");
    steps.textContent = "step by step";
    change.textContent = "before | now";
    find(".gl-modes").hidden = false;
    setMode("change");
  }
}

function stop() {
  clearInterval(state.timer);
  state.timer = null;
  play.textContent = "\u25B6";
  play.setAttribute("aria-label", "Play");
}

range.addEventListener("input", () => {
  stop();
  if (state.mode !== "steps") setMode("steps");
  state.at = Math.min(Number(range.value), state.frames.length - 1);
  draw();
});
play.addEventListener("click", () => {
  if (state.timer) return stop();
  if (state.mode !== "steps") setMode("steps");
  if (state.at >= state.frames.length - 1) state.at = 0;
  play.textContent = "\u2759\u2759";
  play.setAttribute("aria-label", "Pause");
  state.timer = setInterval(() => {
    state.at = Math.min(state.at + 1, state.frames.length - 1);
    draw();
    if (state.at === state.frames.length - 1) stop();
  }, 80);
});
element.querySelectorAll("[data-mode]").forEach((button) => button.addEventListener("click", () => setMode(button.dataset.mode)));

let queue = Promise.resolve(); // one value after the other, though pictures decode at their own pace
const accept = () => {
  const value = props.value;
  queue = queue.then(() => receive(value)).catch((error) => status(String(error), true));
};
watch("value", accept);
accept();
