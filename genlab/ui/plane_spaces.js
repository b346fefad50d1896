// What planes are of, by name, for all planes of the page: `space` in plane.py says what arrives. A decoder runs here:
//   glSpaces.decode("codes", [0.5, -1]) -> Float32Array of pixels in [0, 1]; null while its layers are on their way.
// The event "gl-space" says that something has become known.
const glSpaces = (globalThis.glSpaces ??= (() => {
  const known = new Map();

  function bytes(text) {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out.buffer;
  }

  // The inverse of _layers in plane.py.
  function unpack({ shape: [rows, columns], weight, scale, bias }) {
    const whole = new Int16Array(bytes(weight)), scales = new Float32Array(bytes(scale));
    const out = new Float32Array(rows * columns);
    for (let r = 0, i = 0; r < rows; r++) for (let c = 0; c < columns; c++, i++) out[i] = whole[i] * scales[r];
    return { rows, columns, weight: out, bias: new Float32Array(bytes(bias)) };
  }

  function put(about) {
    const { layers, sheet, ...plain } = about;
    const one = known.get(about.name) ?? { name: about.name, points: [], labels: [], rings: [] };
    Object.assign(one, plain);
    if (layers) one.layers = layers.map(unpack);
    if (sheet && !one.pictures) {
      const image = new Image();
      image.src = sheet;
      image.decode().then(() => {
        one.pictures ??= image;
        document.dispatchEvent(new CustomEvent("gl-space", { detail: about.name }));
      });
    }
    known.set(about.name, one);
    document.dispatchEvent(new CustomEvent("gl-space", { detail: about.name }));
  }

  // What the last layer puts out, before the logistic function.
  function output(name, z) {
    const one = known.get(name);
    if (!one?.layers) return null;
    let x = Float32Array.from(z);
    one.layers.forEach(({ rows, columns, weight, bias }, l) => {
      const y = new Float32Array(rows), last = l === one.layers.length - 1;
      for (let r = 0; r < rows; r++) {
        let a = bias[r], b = 0, i = r * columns, c = 0;
        for (; c + 1 < columns; c += 2, i += 2) {
          a += weight[i] * x[c];
          b += weight[i + 1] * x[c + 1];
        }
        if (c < columns) a += weight[i] * x[c];
        y[r] = last ? a + b : one.activation === "tanh" ? Math.tanh(a + b) : Math.max(a + b, 0);
      }
      x = y;
    });
    return x;
  }

  const decode = (name, z) => output(name, z)?.map((y) => 1 / (1 + Math.exp(-y))) ?? null;
  return { known, put, output, decode };
})());
const takeSpaces = (list) => { for (const about of Array.isArray(list) ? list : []) glSpaces.put(about); };
