// How the viewer draws a scene: with WebGL2 in a small studio, or without it by the painter's algorithm.
//
// Both are painters, {kind, draw(items, lens, frame, ratio, rough), end()}, for items as `create` in viewer.js makes them.

// Rods and balls of a skeleton or a cloud, one in seven numbers: from, to, radius. A ball ends where it begins.
function rods({ now, pairs, size, width }) {
  const balls = size > 0 ? now.length / 3 : 0, count = pairs.length / 2, out = new Float32Array(7 * (count + balls));
  const put = (row, a, b, radius) => {
    for (let k = 0; k < 3; k++) {
      out[7 * row + k] = now[3 * a + k];
      out[7 * row + 3 + k] = now[3 * b + k];
    }
    out[7 * row + 6] = radius;
  };
  for (let i = 0; i < count; i++) put(i, pairs[2 * i], pairs[2 * i + 1], width / 2);
  for (let i = 0; i < balls; i++) put(count + i, i, i, size / 2);
  return out;
}

// A colour for each of them: its joint's, or where a bone begins.
function dyes({ pairs, colors, size }) {
  const count = pairs.length / 2, balls = size > 0 ? colors.length / 3 : 0, out = new Uint8Array(3 * (count + balls));
  for (let i = 0; i < count + balls; i++) {
    const from = 3 * (i < count ? pairs[2 * i] : i - count);
    out.set(colors.subarray(from, from + 3), 3 * i);
  }
  return out;
}

// -- WebGL2 -----------------------------------------------------------------------------------------------------------

// A studio: soft light from above, a key light behind the visitor's left shoulder, a rim where surfaces turn away.
const SHARED = `#version 300 es
precision highp float;
uniform mat4 view, projection;
vec3 lit(vec3 colour, vec3 n, vec3 eye) {
  float sky = .5 + .5 * dot(n, view[1].xyz), away = 1. - max(dot(n, eye), 0.);
  vec3 key = normalize(vec3(-.5, .62, .6)), fill = normalize(vec3(.85, .1, .5));
  vec3 light = mix(vec3(.13, .125, .12), vec3(.33, .345, .37), sky);
  light += vec3(.88, .86, .83) * max(dot(n, key), 0.) + vec3(.10, .105, .115) * max(dot(n, fill), 0.);
  vec3 c = pow(colour, vec3(2.2)) * light + .05 * pow(max(dot(n, normalize(key + eye)), 0.), 24.);
  return pow(c + .22 * pow(away, 3.5) * (.35 + .65 * sky), vec3(1. / 2.2));
}`;
const MESH = [`
layout(location = 0) in vec3 point; layout(location = 1) in vec3 normal; layout(location = 2) in vec3 colour;
uniform vec3 at; out vec3 n, p, tint;
void main() {
  vec4 seen = view * vec4(point + at, 1.);
  n = mat3(view) * normal / max(length(normal), 1e-30);
  p = seen.xyz; tint = colour; gl_Position = projection * seen;
}`, `
in vec3 n, p, tint; uniform float opacity, smoothed; out vec4 color;
void main() {
  vec3 flatly = cross(dFdx(p), dFdy(p)), m = smoothed * n + (1. - smoothed) * flatly / max(length(flatly), 1e-30);
  vec3 eye = normalize(-p); m /= max(length(m), 1e-6);
  if (dot(m, eye) < 0. && !gl_FrontFacing || smoothed < .5 && dot(m, eye) < 0.) m = -m;
  float a = opacity < 1. ? mix(opacity, 1., .6 * pow(1. - max(dot(m, eye), 0.), 2.)) : 1.;
  color = vec4(lit(tint, m, eye) * a, a);
}`];
const ROD = [`
layout(location = 0) in vec3 a; layout(location = 1) in vec3 b; layout(location = 2) in vec3 colour;
layout(location = 3) in float radius;
uniform vec3 at; uniform vec2 size; uniform float least;
out vec2 spot; out vec3 tint; flat out vec4 ends; flat out vec2 radii;
void main() {
  vec4 from = view * vec4(a + at, 1.), to = view * vec4(b + at, 1.), f = projection * from, t = projection * to;
  gl_Position = vec4(2., 2., 2., 1.);
  if (min(f.w, t.w) < 1e-4) return;
  ends = vec4(f.xy / f.w, t.xy / t.w) * .5 * size.xyxy;
  radii = max(radius * projection[1][1] * .5 * size.y / vec2(f.w, t.w), vec2(least));
  vec2 along = ends.zw - ends.xy;
  along = length(along) > 1e-3 ? normalize(along) : vec2(1., 0.);
  bool last = gl_VertexID > 1;
  float r = max(radii.x, radii.y) + 1.;
  spot = last ? ends.zw + along * r : ends.xy - along * r;
  spot += vec2(-along.y, along.x) * (gl_VertexID % 2 == 0 ? r : -r);
  vec4 nearer = projection * ((last ? to : from) + vec4(0., 0., radius, 0.));
  tint = colour; gl_Position = vec4(2. * spot / size, nearer.z / nearer.w, 1.);
}`, `
in vec2 spot; in vec3 tint; flat in vec4 ends; flat in vec2 radii; out vec4 color;
void main() {
  vec2 way = ends.zw - ends.xy, d = spot - ends.xy;
  float t = clamp(dot(d, way) / max(dot(way, way), 1e-6), 0., 1.), r = mix(radii.x, radii.y, t);
  d = (d - way * t) / r;
  float cover = clamp((1. - length(d)) * r + .5, 0., 1.);
  if (cover < .02) discard;
  color = vec4(lit(tint, vec3(d, sqrt(max(1. - dot(d, d), 0.))), vec3(0., 0., 1.)), 1.) * cover;
}`];
const FLOOR = [`
uniform vec3 centre; uniform float reach; out vec2 spot;
void main() {
  spot = (vec2(gl_VertexID % 2, gl_VertexID / 2) * 2. - 1.) * reach;
  gl_Position = projection * view * vec4(centre + vec3(spot.x, 0., spot.y), 1.);
}`, `
in vec2 spot; uniform vec3 centre, ink; uniform float reach, dark, coarse; uniform sampler2D shadow; out vec4 color;
float grid(vec2 p) {
  vec2 width = fwidth(p), near = abs(fract(p - .5) - .5) / max(width, 1e-6);
  return (1. - min(min(near.x, near.y), 1.)) * (1. - smoothstep(.15, .6, max(width.x, width.y)));
}
void main() {
  float fade = pow(max(1. - length(spot) / reach, 0.), 1.6);
  float lines = fade * max(.5 * grid((spot + centre.xz) / coarse), .22 * grid((spot + centre.xz) * 5. / coarse));
  float shade = dark * texture(shadow, spot / reach + .5).r;
  color = vec4(ink * lines * (1. - shade), lines + shade - lines * shade);
}`];

function webgl(gl) {
  const programs = [MESH, ROD, FLOOR].map(link), made = new Map();
  const plane = gl.createVertexArray(), soft = gl.createTexture();
  let shadowOf = "", shadowAt = "", shadowless = 0;

  function link([vertex, fragment]) {
    const it = gl.createProgram(), places = {};
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, SHARED + source);
      gl.compileShader(shader);
      gl.attachShader(it, shader);
    }
    gl.linkProgram(it);
    check(gl.getProgramParameter(it, gl.LINK_STATUS) || gl.isContextLost(), "The graphics driver refused a program.");
    for (let i = 0; i < gl.getProgramParameter(it, gl.ACTIVE_UNIFORMS); i++) {
      const { name } = gl.getActiveUniform(it, i);
      places[name] = gl.getUniformLocation(it, name);
    }
    return { it, places };
  }
  function use({ it, places }, values) {
    gl.useProgram(it);
    for (const [name, value] of Object.entries(values)) {
      if (typeof value === "number") gl.uniform1f(places[name], value);
      else if (value.length === 16) gl.uniformMatrix4fv(places[name], false, value);
      else gl[`uniform${value.length}fv`](places[name], value);
    }
  }
  function fill(gpu, key, data, target, layout = []) { // a buffer is made once for an item, then filled again
    const first = !gpu[key];
    gl.bindBuffer(target, (gpu[key] ??= gl.createBuffer()));
    if (!first) return gl.bufferSubData(target, 0, data);
    gl.bufferData(target, data, gl.DYNAMIC_DRAW);
    for (const [place, size, stride, offset] of layout) {
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, size, key === "colors" ? gl.UNSIGNED_BYTE : gl.FLOAT, true, stride, offset);
      gl.vertexAttribDivisor(place, gpu.rods ? 1 : 0);
    }
  }
  function upload(item) {
    const gpu = made.get(item) ?? { vao: gl.createVertexArray(), rods: !item.faces };
    made.set(item, gpu);
    gl.bindVertexArray(gpu.vao);
    if (gpu.version === item.version) return gpu;
    if (gpu.rods) fill(gpu, "points", rods(item), gl.ARRAY_BUFFER, [[0, 3, 28, 0], [1, 3, 28, 12], [3, 1, 28, 24]]);
    else {
      fill(gpu, "points", item.now, gl.ARRAY_BUFFER, [[0, 3, 0, 0]]);
      fill(gpu, "normals", item.normals, gl.ARRAY_BUFFER, [[1, 3, 0, 0]]);
      if (!gpu.faces) fill(gpu, "faces", item.faces, gl.ELEMENT_ARRAY_BUFFER);
    }
    if (item.colors) fill(gpu, "colors", gpu.rods ? dyes(item) : item.colors, gl.ARRAY_BUFFER, [[2, 3, 0, 0]]);
    if (gpu.rods) gpu.count = item.pairs.length / 2 + (item.size > 0 ? item.now.length / 3 : 0);
    gpu.version = item.version;
    return gpu;
  }
  function paint(item, lens, ratio) {
    const gpu = upload(item), { matrices, width, height } = lens;
    gl.vertexAttrib3f(2, ...item.color.map((c) => c / 255));
    if (gpu.rods) {
      use(programs[1], { ...matrices, at: item.at, size: [width * ratio, height * ratio], least: 1.2 * ratio });
      gl.enable(gl.SAMPLE_ALPHA_TO_COVERAGE); // round edges that hide nothing behind them
      gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, gpu.count);
      return gl.disable(gl.SAMPLE_ALPHA_TO_COVERAGE);
    }
    use(programs[0], { ...matrices, at: item.at, opacity: item.opacity, smoothed: item.smooth === false ? 0 : 1 });
    const kind = item.faces instanceof Uint16Array ? gl.UNSIGNED_SHORT : gl.UNSIGNED_INT;
    const clear = item.opacity < 1, passes = clear ? [false, true] : [true]; // depth first, then only what is in front
    gl.polygonOffset(clear ? 1 : 0, clear ? 32 : 0); // a veil gives way where it lies on something solid
    for (const coloured of passes) {
      gl.colorMask(coloured, coloured, coloured, coloured);
      gl.drawElements(gl.TRIANGLES, item.faces.length, kind, 0);
    }
  }
  function ground(items, lens, { centre, floor, reach }, rough) {
    const place = [centre, floor, reach].join(), now = [place, ...items.map((item) => item.version)].join();
    gl.bindTexture(gl.TEXTURE_2D, soft);
    if (now !== shadowOf && !(rough && place === shadowAt && shadowless++ < 5)) { // where time is short it lags a little
      const cells = shadow(items, centre, floor, reach / 2);
      gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, CELLS, CELLS, 0, gl.RED, gl.UNSIGNED_BYTE, cells);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
      [shadowOf, shadowAt, shadowless] = [now, place, 0];
    }
    const ink = (getComputedStyle(root).color.match(/[\d.]+/g) ?? [128, 128, 128]).slice(0, 3).map((c) => c / 255);
    const dark = document.body.classList.contains("dark") ? 0.8 : 0.5, tens = 10 ** Math.floor(Math.log10(reach / 2.5));
    const coarse = reach / 2.5 < 5 * tens ? tens : 5 * tens; // lines 1 or 5 apart in some power of ten, and in fifths
    gl.bindVertexArray(plane);
    use(programs[2], { ...lens.matrices, centre: [centre[0], floor, centre[2]], reach, ink, dark, coarse });
    gl.depthMask(false);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.depthMask(true);
  }
  function forget(item, gpu) {
    for (const key of ["points", "normals", "faces", "colors"]) gl.deleteBuffer(gpu[key] ?? null);
    gl.deleteVertexArray(gpu.vao);
    made.delete(item);
  }
  function draw(items, lens, frame, ratio, rough) {
    for (const [item, gpu] of made) if (!items.includes(item)) forget(item, gpu);
    gl.viewport(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
    gl.enable(gl.POLYGON_OFFSET_FILL);
    gl.polygonOffset(0, 0);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const far = (item) => Math.hypot(...item.at.map((x, i) => x - lens.eye[i]));
    for (const item of items) if (item.opacity >= 1) paint(item, lens, ratio);
    if (frame.floor !== false) ground(items, lens, frame, rough);
    const clear = items.filter((item) => item.opacity < 1).sort((a, b) => far(b) - far(a));
    for (const item of clear) paint(item, lens, ratio);
  }
  return { kind: "webgl2", draw, end: () => gl.getExtension("WEBGL_lose_context")?.loseContext() };
}

// What stands above each cell of the floor, blurred, and fainter the higher it is: a shadow as under a cloudy sky.
const CELLS = 96;
function shadow(items, centre, floor, reach) {
  let grid = new Float32Array(CELLS * CELLS);
  const cell = (2 * reach) / CELLS;
  for (const { faces, now, at } of items)
    for (let f = 0; f < (faces?.length ?? 0); f += 3) {
      const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
      const [ux, uz, vx, vz] = [now[b] - now[a], now[b + 2] - now[a + 2], now[c] - now[a], now[c + 2] - now[a + 2]];
      const column = Math.floor(((now[a] + now[b] + now[c]) / 3 + at[0] - centre[0] + reach) / cell);
      const row = Math.floor(((now[a + 2] + now[b + 2] + now[c + 2]) / 3 + at[2] - centre[2] + reach) / cell);
      const above = Math.abs((now[a + 1] + now[b + 1] + now[c + 1]) / 3 + at[1] - floor);
      if (row < 0 || column < 0 || row >= CELLS || column >= CELLS) continue;
      grid[row * CELLS + column] += (Math.abs(ux * vz - uz * vx) / 4) * Math.exp((-5 * above) / reach);
    }
  for (let pass = 0; pass < 6; pass++) { // along x and along z, three times: nearly a Gaussian
    const next = new Float32Array(CELLS * CELLS), step = pass % 2 ? CELLS : 1;
    for (let i = 3 * step; i < next.length - 3 * step; i++)
      for (let k = -2; k <= 2; k++) next[i] += grid[i + k * step] / 5;
    grid = next;
  }
  return Uint8Array.from(grid, (g) => 255 * (1 - Math.exp((-2.2 * g) / (cell * cell))));
}

// -- without WebGL2: far things first, near things over them ----------------------------------------------------------

function sketch(pen) {
  const tone = (c, light) => `rgb(${c.map((x) => Math.round(Math.min(x * light, 255))).join()})`;
  function draw(items, lens, frame, ratio) {
    const marks = [];
    for (const item of items) {
      const { at, colors } = item, hue = (v) => (colors ? [...colors.subarray(3 * v, 3 * v + 3)] : item.color);
      const put = (p, k) => lens.project([p[k] + at[0], p[k + 1] + at[1], p[k + 2] + at[2]]);
      const seen = item.faces && Array.from({ length: item.now.length / 3 }, (_, v) => put(item.now, 3 * v));
      const { faces } = item, count = faces?.length ?? 0;
      const stride = 3 * Math.ceil(count / 180_000); // rather holes than a long wait
      for (let f = 0; f < count; f += stride) {
        const [a, b, c] = [seen[faces[f]], seen[faces[f + 1]], seen[faces[f + 2]]];
        const n = [0, 1, 2].map((k) => [0, 1, 2].reduce((sum, i) => sum + item.normals[3 * faces[f + i] + k], 0));
        const lean = (dot(n, lens.toLight) * Math.sign(dot(n, lens.back))) / (Math.hypot(...n) || 1);
        const colour = tone(hue(faces[f]), 0.5 + 0.55 * Math.max(lean, 0));
        marks.push([(a[2] + b[2] + c[2]) / 3, [a, b, c], 0.7, colour, item.opacity]);
      }
      const spans = item.pairs ? rods(item) : [], dye = item.pairs && colors && dyes(item);
      for (let r = 0; r < spans.length; r += 7) {
        const [a, b] = [put(spans, r), put(spans, r + 3)], wide = Math.max(2 * spans[r + 6] * a[3], 1.5);
        const c = dye ? [...dye.subarray((3 * r) / 7, (3 * r) / 7 + 3)] : item.color;
        marks.push([(a[2] + b[2]) / 2 - spans[r + 6], [a, b], wide, tone(c, 1), 1]);
      }
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, lens.width, lens.height);
    pen.lineCap = pen.lineJoin = "round";
    for (const [depth, path, wide, colour, opacity] of marks.sort((a, b) => b[0] - a[0])) {
      if (depth < lens.near) continue;
      pen.globalAlpha = opacity;
      pen.fillStyle = pen.strokeStyle = colour;
      pen.lineWidth = wide;
      pen.beginPath();
      const [[x, y], last] = path, ball = path.length === 2 && x === last[0] && y === last[1];
      if (ball) pen.arc(x, y, wide / 2, 0, 7);
      else for (const corner of path) pen.lineTo(corner[0], corner[1]);
      if (ball || path.length === 3) pen.fill();
      if (!ball) pen.stroke();
    }
  }
  return { kind: "2d", draw, end() {} };
}
