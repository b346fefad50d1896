// The matrix's behaviour. `element`, `props`, `trigger` and `watch` come from gradio's HTML component; matrix.py says
// what arrives.
const find = (selector) => element.querySelector(selector), root = find(".gl-matrix"), grid = find(".gl-matrix-grid");
const make = (tag, className, text) => Object.assign(document.createElement(tag), { className: className ?? "", textContent: text ?? "" });
const VIRIDIS = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"].map((hex) => hex.match(/../g).map((b) => parseInt(b, 16)));
const FOR = [213, 94, 0], AGAINST = [0, 114, 178]; // Okabe-Ito
const COOLEST = 0.002, HOTTEST = 2, STEPS = 200, BARS = 10, FAINT = 0.02; // a drop that is drawn at full strength, at least
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const number = (x, digits = 2) => x.toFixed(digits).replace("-", "\u2212");
const three = (x) => Number(x.toPrecision(2)).toString();
const percent = (p) => (p < 0.0005 ? "0 %" : p < 0.0995 ? `${(100 * p).toFixed(1)} %` : `${Math.round(100 * p)} %`);

// A component that was hidden is made anew, with its last value alone; so what it showed outlives it here.
const places = (globalThis.glMatrices ??= new Map());
const state = places.get(PLACE) ?? { all: null, turned: null, cell: [0, 0], overlay: null, serial: -1, said: null };
places.set(PLACE, state);

const temperature = () => state.turned ?? state.all.temperature;
// softmax of a column over the temperature
function shares(column) {
  const logits = state.all.cells.map((row) => row[column] / temperature()), most = Math.max(...logits);
  const odds = logits.map((x) => Math.exp(x - most)), sum = odds.reduce((a, b) => a + b, 0);
  return odds.map((x) => x / sum);
}
function colour(x) {
  const [low, high] = state.all.range, at = clamp((x - low) / (high - low || 1), 0, 1) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return VIRIDIS[i].map((a, k) => Math.round(a + (at - i) * (VIRIDIS[i + 1][k] - a)));
}
function ink(rgb) { // the one of black and white that stands out more
  const [r, g, b] = rgb.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return (light + 0.05) / 0.05 > 1.05 / (light + 0.05) ? "#000" : "#fff";
}
const best = (list) => list.indexOf(Math.max(...list));

// -- the grid ---------------------------------------------------------------------------------------------------------

function layout() {
  const { rows, columns, cells, name, range } = state.all;
  grid.style.setProperty("--cols", columns.length);
  grid.classList.toggle("gl-pixelated", state.all.pixelated);
  grid.setAttribute("aria-label", `${name} of ${columns.length} pictures and ${rows.length} texts`);
  const line = () => Object.assign(make("div"), { role: "row" });
  const head = line(), corner = make("div", "gl-matrix-corner");
  corner.setAttribute("role", "columnheader");
  const scale = make("div", "gl-matrix-scale"), bar = make("i");
  bar.style.background = `linear-gradient(90deg, ${VIRIDIS.map((c) => `rgb(${c})`).join(",")})`;
  scale.append(number(range[0]), bar, number(range[1]));
  corner.append(make("div", "", name), scale);
  if (rows.length > 1) corner.append(make("div", "", "\u25CF best text of its picture"));
  if (columns.length > 1) corner.append(make("div", "", "\u25C6 best picture of its text"));
  head.append(corner);
  columns.forEach((column, j) => {
    const cell = make("div"), button = make("button"), image = make("img");
    cell.setAttribute("role", "columnheader");
    Object.assign(image, { src: column.src, alt: column.alt });
    Object.assign(button, { type: "button", title: column.alt, tabIndex: -1 });
    button.append(image, make("span", "", column.name));
    button.addEventListener("click", () => choose(best(cells.map((row) => row[j])), j));
    cell.append(button);
    head.append(cell);
  });
  const digits = range[1] - range[0] < 0.3 ? 3 : 2;
  const tops = columns.map((_, j) => best(cells.map((row) => row[j])));
  grid.replaceChildren(head, ...rows.map((row, i) => {
    const made = line(), title = make("div");
    title.setAttribute("role", "rowheader");
    title.append(...marked(row.text, row.mark ?? []));
    if (row.note) title.append(make("small", row.warn ? "gl-warn" : "", row.note));
    made.append(title);
    const first = best(cells[i]);
    cells[i].forEach((x, j) => {
      const cell = make("div"), button = make("button", "", ""), rgb = colour(x);
      cell.setAttribute("role", "gridcell");
      button.type = "button";
      button.style.background = `rgb(${rgb})`;
      button.style.color = ink(rgb);
      const marks = (rows.length > 1 && tops[j] === i ? "\u25CF" : "") + (columns.length > 1 && first === j ? "\u25C6" : "");
      button.append(make(marks ? "b" : "span", "", number(x, digits)));
      if (marks) button.append(make("span", "gl-best", marks));
      const words = (marks.includes("\u25CF") ? ", the best text of this picture" : "") + (marks.includes("\u25C6") ? ", the best picture of this text" : "");
      button.setAttribute("aria-label", `${number(x)}: ${columns[j].name}, ${row.text}${words}`);
      button.addEventListener("click", () => choose(i, j));
      for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => hint(i, j));
      for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => root.classList.remove("gl-pointed"));
      button.addEventListener("keydown", (event) => move(event, i, j));
      cell.append(button);
      made.append(cell);
    });
    return made;
  }));
  fade();
}
// A text's words, those in `mark` (positions) underlined.
function marked(text, mark) {
  if (!mark.length) return [text];
  return text.split(" ").flatMap((word, k) => {
    if (!mark.includes(k)) return [`${word} `];
    const said = word.replace(/\W+$/, ""); // a comma that follows is not wrong
    return [make("mark", "", said), `${word.slice(said.length)} `];
  });
}
const button = (i, j) => grid.children[i + 1]?.children[j + 1]?.firstElementChild;
function move(event, i, j) {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -j], End: [0, 1e6] }[event.key];
  if (!step) return;
  event.preventDefault();
  const { rows, columns } = state.all;
  const next = [clamp(i + step[0], 0, rows.length - 1), clamp(j + step[1], 0, columns.length - 1)];
  button(i, j).tabIndex = -1;
  button(...next).tabIndex = 0;
  button(...next).focus();
}
function hint(i, j) {
  const { rows, columns, cells, also, name } = state.all;
  const more = also.map((one) => `${one.name} ${number(one.cells[i][j])}`).join(", ");
  root.classList.add("gl-pointed");
  find(".gl-matrix-hint").textContent = `Picture ${columns[j].name}, \u201C${rows[i].text}\u201D: ${name} ${number(cells[i][j], 3)}, ${more}, p ${percent(shares(j)[i])}`;
}

// Pictures that are out of sight on the right make the grid fade there.
function fade() {
  grid.classList.toggle("gl-goes-on", grid.scrollWidth - grid.clientWidth - grid.scrollLeft > 4);
}
grid.addEventListener("scroll", fade, { passive: true });
// A chosen cell that is out of sight comes into it: a picture that was just added stands last.
function reveal() {
  const [i, j] = state.cell, { left, right } = button(i, j).getBoundingClientRect();
  const from = grid.children[i + 1].firstElementChild.getBoundingClientRect().right, to = grid.getBoundingClientRect().right;
  grid.scrollLeft += Math.max(right + 3 - to, 0) - Math.max(from - left, 0); // with its frame
}
new ResizeObserver(fade).observe(grid);

// -- one cell in detail -------------------------------------------------------------------------------------------------

function choose(i, j) {
  if (i === state.cell[0] && j === state.cell[1] && state.overlay) return;
  state.cell = [i, j];
  state.overlay = null;
  relink();
  detail();
  trigger("select", { row: i, column: j });
}
function detail() {
  const { rows, columns, cells, also, name } = state.all, [i, j] = state.cell, p = shares(j);
  find(".gl-matrix-detail").hidden = false;
  grid.querySelectorAll(".gl-here").forEach((node) => node.classList.remove("gl-here"));
  grid.querySelectorAll("[role=gridcell] button").forEach((node) => { node.tabIndex = -1; node.removeAttribute("aria-current"); });
  button(i, j).classList.add("gl-here");
  button(i, j).setAttribute("aria-current", "true");
  button(i, j).tabIndex = 0;
  grid.children[0].children[j + 1].classList.add("gl-here");
  grid.children[i + 1].children[0].classList.add("gl-here");
  const say = find(".gl-matrix-say");
  say.replaceChildren(`Picture ${columns[j].name} and \u201C${rows[i].text}\u201D: ${name} `, make("b", "", number(cells[i][j], 3)));
  for (const one of also) say.append(`, ${one.name} `, make("b", "", number(one.cells[i][j])));
  for (const [key, word] of Object.entries({ row: rows[i].text, column: columns[j].alt, value: number(cells[i][j], 3) })) now(key, word);
  bars(p);
  heat();
  paint();
}
function now(key, word) {
  document.querySelectorAll(`.gl-now-${key}`).forEach((node) => (node.textContent = word));
}
function bars(p) {
  const { rows, columns } = state.all, [i, j] = state.cell;
  let shown = rows.map((_, k) => k);
  if (rows.length > BARS) shown = shown.sort((a, b) => p[b] - p[a]).slice(0, BARS);
  const list = find(".gl-matrix-bars");
  list.setAttribute("aria-label", `Picture ${columns[j].name}: the share of each text, together 100 %`);
  list.replaceChildren(...shown.map((k) => {
    const item = make("li"), made = make("button", k === i ? "gl-here" : ""), bar = make("span", "gl-matrix-bar"), fill = make("i");
    made.type = "button";
    made.title = rows[k].text;
    fill.style.width = `calc((100% - 60px) * ${p[k].toFixed(4)})`;
    bar.append(fill, make("em", "", percent(p[k])));
    made.append(make("span", "", rows[k].short ?? rows[k].text), bar);
    made.addEventListener("click", () => choose(k, j));
    item.append(made);
    return item;
  }));
  const least = rows.length > BARS ? percent(p[shown[BARS - 1]]) : "";
  if (least) list.append(make("li", "gl-matrix-more", `and ${rows.length - BARS} more, each ${least === percent(0) ? "" : "at most "}${least}`));
}
function heat() {
  const [i, j] = state.cell, range = find(".gl-matrix-heat input"), learned = find(".gl-matrix-heat button");
  const at = temperature();
  find(".gl-matrix-heat label").textContent = "p(text | picture) at temperature \u03C4";
  range.value = Math.round((STEPS * Math.log(at / COOLEST)) / Math.log(HOTTEST / COOLEST));
  range.setAttribute("aria-label", "Temperature");
  range.setAttribute("aria-valuetext", three(at));
  find(".gl-matrix-heat output").textContent = three(at);
  learned.textContent = state.turned === null ? "as learned" : `back to ${three(state.all.temperature)}, as learned`;
  learned.disabled = state.turned === null;
  now("temperature", three(at));
  now("logit", number(state.all.cells[i][j] / at, 1));
}
function turn(to) {
  state.turned = to;
  bars(shares(state.cell[1]));
  heat();
}
function released() {
  relink();
  trigger("release", { temperature: state.turned });
}
find(".gl-matrix-heat input").addEventListener("input", (event) => {
  if (state.all) turn(Number((COOLEST * (HOTTEST / COOLEST) ** (event.target.value / STEPS)).toPrecision(2)));
});
find(".gl-matrix-heat input").addEventListener("change", released);
find(".gl-matrix-heat button").addEventListener("click", () => {
  turn(null);
  find(".gl-matrix-heat input").focus();
  released();
});

// The picture in grey, and over it what the number hangs on.
function paint() {
  const canvas = find("canvas"), context = canvas.getContext("2d"), [i, j] = state.cell, { rows, columns } = state.all;
  const image = grid.children[0].children[j + 1].querySelector("img"), side = canvas.width, mine = state.overlay;
  const words = find("figcaption");
  const draw = () => {
    if (state.cell[1] !== j || !image.naturalWidth) return;
    context.imageSmoothingEnabled = !state.all.pixelated;
    context.filter = mine ? "grayscale(1) contrast(0.55) brightness(1.25)" : "none";
    context.drawImage(image, 0, 0, side, side);
    context.filter = "none";
    if (!mine) return;
    const n = mine.drops.length, step = side / n, most = Math.max(...mine.drops.flat().map(Math.abs), FAINT);
    context.font = `600 ${Math.round(step / 2.2)}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    mine.drops.forEach((row, y) => row.forEach((drop, x) => {
      const part = Math.abs(drop) / most;
      if (part < 0.04) return;
      context.fillStyle = `rgba(${(drop > 0 ? FOR : AGAINST).join(",")}, ${(0.12 + 0.68 * part).toFixed(3)})`;
      context.fillRect(x * step, y * step, step, step);
      if (part < 0.35) return;
      context.fillStyle = "#fff";
      context.fillText(drop > 0 ? "+" : "\u2212", (x + 0.5) * step, (y + 0.5) * step);
    }));
  };
  image.complete ? draw() : image.addEventListener("load", draw, { once: true });
  if (!mine) {
    words.textContent = "";
    return canvas.setAttribute("aria-label", columns[j].alt);
  }
  const flat = mine.drops.flat(), up = Math.max(...flat), down = Math.min(...flat);
  const said = [];
  if (up > 0.005) said.push(`+ speaks for the text: covered, it costs up to ${number(up)}`);
  if (down < -0.005) said.push(`\u2212 speaks against it: covered, it adds up to ${number(-down)}`);
  words.textContent = said.length ? `What matters here. ${said.join("; ")}.` : "No single part matters here.";
  canvas.setAttribute("aria-label", `${columns[j].alt}, with the parts that matter to \u201C${rows[i].text}\u201D. ${words.textContent}`);
}

// -- what arrives -------------------------------------------------------------------------------------------------------

// In one line below the grid: what was said last, and while a cell is pointed at what it holds.
function status(text, error) {
  const node = find(".gl-status");
  node.textContent = text ?? "";
  node.classList.toggle("gl-error", Boolean(error));
}
// Let the page's address lead back to what is shown.
function relink() {
  const link = state.all?.link;
  if (!link) return;
  const values = { ...link.values };
  if (String(state.cell) !== String(state.all.home)) values[link.cell] = state.cell.join(",");
  if (state.turned !== null) values[link.temperature] = state.turned;
  glRelink({ names: [...link.names, link.cell, link.temperature], values });
}
function receive(value) {
  if (!value || value.serial === state.serial) return;
  state.serial = value.serial;
  if (value.message) {
    state.said = [value.message, value.error];
    root.dataset.state = value.error ? "error" : value.wait ? "waiting" : root.dataset.state;
    grid.classList.toggle("gl-faded", Boolean(value.wait));
    return status(...state.said);
  }
  if (value.overlay) {
    if (!state.all || String(value.overlay.cell) !== String(state.cell)) return; // another one was chosen meanwhile
    state.overlay = value.overlay;
    root.dataset.state = "done";
    return paint();
  }
  if (!value.cells) return;
  Object.assign(state, { all: value, turned: value.turned, cell: value.cell, overlay: value.overlaid ?? null, said: [value.status, false] });
  show();
  relink();
}
function show() {
  grid.classList.remove("gl-faded");
  layout();
  detail();
  reveal();
  status(...(state.said ?? [""]));
  root.dataset.state = state.overlay ? "done" : "numbers";
}
watch("value", () => receive(props.value));
if (state.all) show();
receive(props.value);
