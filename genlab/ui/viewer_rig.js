// Bodies that move in the page: joints turn, and the mesh follows by the law of SMPL, as genlab.models.body computes it.
//
//   T = base + sum_n beta_n S_n + sum_k (R_k - I) P_k,    J = joints + sum_n beta_n moves_n,    v_i = sum_k w_ik A_k T_i
//
// `rig` holds parents, joints (J 3), moves (n of J 3), and in slots of one for each vertex: whom it follows (joint) by
// which share, largest first; and which joint bends it by which directions, nine times three (rig.py packs them).

const STEPS = ["shape", "bend", "skin"]; // of the law, each of which can be left out

async function unpackRig(about, count, degrees, old) {
  const rig = { ...old };
  if (about.parents) {
    const J = about.parents.length, before = (p, k) => Number.isInteger(p) && (k ? p >= 0 && p < k : p === -1);
    check(J > 1 && J <= 256 && about.parents.every(before), "The joints of a rig are no tree.");
    check(numbers(about.joints, 3 * J), "A rig has no joints.");
    const moved = Array.isArray(about.moves) && about.moves.length === degrees;
    check(moved && about.moves.every((move) => numbers(move, 3 * J)), "A rig's joints do not move as its mesh does.");
    const [follow, share] = [await unpack(about.follow, 1), await unpack(about.share, 1)];
    const slots = follow.length / count, inside = follow.every((k) => k < J);
    const fits = Number.isInteger(slots) && share.length === follow.length;
    check(fits && inside, "The weights of a rig do not fit its mesh.");
    const part = Float32Array.from(share, (s) => s / 65535);
    for (let v = 0; v < count; v++) { // shares sum to one again, though each was rounded
      let sum = 0;
      for (let s = 0; s < slots; s++) sum += part[s * count + v];
      for (let s = 0; s < slots; s++) part[s * count + v] /= sum || 1;
    }
    Object.assign(rig, { parents: about.parents, joints: about.joints, moves: about.moves, follow, share: part, slots });
  }
  check(rig.parents, "A rig has no joints.");
  if (about.bending) {
    const [bends, bending] = [await unpack(about.bends, 1), await unpack(about.bending, 27)], { scale } = about.bending;
    const fits = bending.length === 27 * bends.length && numbers(scale, bends.length / count);
    check(fits && bends.every((k) => k < rig.parents.length), "What bends a mesh does not fit it.");
    Object.assign(rig, { bends, bending, scale });
  }
  return rig;
}

// Rodrigues' formula: nine numbers, row by row.
function rotation(x, y, z) {
  const angle = Math.hypot(x, y, z), a = angle < 1e-6 ? 1 : Math.sin(angle) / angle;
  const b = angle < 1e-6 ? 0.5 : (1 - Math.cos(angle)) / (angle * angle);
  return [
    1 - b * (y * y + z * z), b * x * y - a * z, b * x * z + a * y,
    b * x * y + a * z, 1 - b * (x * x + z * z), b * y * z - a * x,
    b * x * z - a * y, b * y * z + a * x, 1 - b * (x * x + y * y),
  ];
}

const product = (a, b) => a.map((_, i) => {
  const row = i - (i % 3), column = i % 3;
  return a[row] * b[column] + a[row + 1] * b[3 + column] + a[row + 2] * b[6 + column];
});

// Each joint's own rotation R (9), its transform A from the rest pose (12, row by row), and its place.
function kinematics({ parents, joints, moves }, weights, pose) {
  const J = Float64Array.from(joints), G = [], A = new Float32Array(12 * parents.length), R = [];
  weights.forEach((w, n) => { if (w) for (let i = 0; i < J.length; i++) J[i] += w * moves[n][i]; });
  const places = new Float32Array(J.length);
  parents.forEach((parent, k) => {
    const local = rotation(pose[3 * k], pose[3 * k + 1], pose[3 * k + 2]), up = G[parent];
    R.push(local);
    G.push(up ? product(up, local) : local);
    for (let r = 0; r < 3; r++) {
      let t = up ? places[3 * parent + r] : J[r];
      if (up) for (let c = 0; c < 3; c++) t += up[3 * r + c] * (J[3 * k + c] - J[3 * parent + c]);
      places[3 * k + r] = t;
      for (let c = 0; c < 3; c++) {
        A[12 * k + 4 * r + c] = G[k][3 * r + c];
        t -= G[k][3 * r + c] * J[3 * k + c];
      }
      A[12 * k + 4 * r + 3] = t;
    }
  });
  return { R, A, places, rest: Float32Array.from(J) };
}

// What the joints' rotations add to the vertices before skinning.
function bendInto(now, { bends, bending, scale }, R) {
  const count = now.length / 3, still = R.map((r) => Math.abs(r[0] + r[4] + r[8] - 3) < 1e-9);
  const f = Float32Array.from(R.flatMap((r) => r.map((x, i) => x - (i % 4 ? 0 : 1))));
  for (let s = 0; s < scale.length; s++)
    for (let v = 0; v < count; v++) {
      const k = bends[s * count + v];
      if (still[k]) continue;
      let at = 27 * (s * count + v), x = 0, y = 0, z = 0;
      for (let e = 9 * k; e < 9 * k + 9; e++, at += 3) {
        x += f[e] * bending[at]; y += f[e] * bending[at + 1]; z += f[e] * bending[at + 2];
      }
      now[3 * v] += scale[s] * x; now[3 * v + 1] += scale[s] * y; now[3 * v + 2] += scale[s] * z;
    }
}

function skinInto(now, { follow, share, slots }, A) {
  const count = now.length / 3, m = new Float32Array(12);
  for (let v = 0; v < count; v++) {
    m.fill(0);
    for (let s = 0, at = v; s < slots && share[at] > 0; s++, at += count)
      for (let i = 0, k = 12 * follow[at], w = share[at]; i < 12; i++) m[i] += w * A[k + i];
    const x = now[3 * v], y = now[3 * v + 1], z = now[3 * v + 2];
    now[3 * v] = m[0] * x + m[1] * y + m[2] * z + m[3];
    now[3 * v + 1] = m[4] * x + m[5] * y + m[6] * z + m[7];
    now[3 * v + 2] = m[8] * x + m[9] * y + m[10] * z + m[11];
  }
}

// After the shape: bend, skin, and set the feet on the floor, which is at y = 0. Leaves where the joints are.
function pose(item, now, rig) {
  const { steps } = item, weights = steps.shape ? item.weights : item.weights.map(() => 0);
  const { R, A, places, rest } = kinematics(rig, weights, item.pose);
  if (steps.bend && rig.bending) bendInto(now, rig, R);
  if (steps.skin) skinInto(now, rig, A);
  item.places = steps.skin ? places : rest;
  const shift = [0, -Infinity, 0], feet = item.play?.clip.feet ?? [];
  for (let i = 1; i < now.length; i += 3) if (-now[i] > shift[1]) shift[1] = -now[i];
  if (steps.skin) // and the mean of the feet where it was at rest
    for (const k of feet) for (const c of [0, 2]) shift[c] += (rest[3 * k + c] - places[3 * k + c]) / feet.length;
  for (const list of [now, item.places]) for (let i = 0; i < list.length; i++) list[i] += shift[i % 3];
}

// The pose at some time, between two frames of a clip.
function posed({ frames, fps, size }, seconds) {
  const count = frames.length / size, at = (seconds * fps) % count, low = Math.floor(at), high = (low + 1) % count;
  return Float32Array.from({ length: size }, (_, i) => {
    const [a, b] = [frames[low * size + i], frames[high * size + i]];
    return a + (b - a) * (at - low);
  });
}

// How much each vertex follows one joint, as colours: none is the item's own, all is the yellow end of viridis.
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
function painted({ color, base }, { follow, share, slots }, joint) {
  const count = base.length / 3, out = new Uint8Array(base.length);
  for (let v = 0; v < count; v++) {
    let w = 0;
    for (let s = 0; s < slots; s++) if (follow[s * count + v] === Number(joint)) w += share[s * count + v];
    const at = Math.min(w, 0.9999) * (VIRIDIS.length - 1), low = Math.floor(at), much = Math.min(6 * w, 1);
    for (let c = 0; c < 3; c++) {
      const hue = VIRIDIS[low][c] + (VIRIDIS[low + 1][c] - VIRIDIS[low][c]) * (at - low);
      out[3 * v + c] = color[c] + (hue - color[c]) * much;
    }
  }
  return out;
}

// What an event tells an item to do: {pose, turn, steps, play, paint, hidden, opacity, label, at}. Returns
// what is to be put in place, or throws.
function act(item, { pose: whole, turn, steps, play, paint, hidden, at, opacity, label }, clips) {
  const next = {}, rig = item.source?.rig ?? item.rig, J = rig?.parents.length, named = JSON.stringify(item.name);
  const known = (k) => /^\d+$/.test(k) && Number(k) < J;
  if (whole !== undefined || turn !== undefined) {
    check(rig, `${named} has no joints to turn.`);
    check(whole === undefined || numbers(whole, 3 * J), `${named} takes a pose of ${3 * J} numbers.`);
    next.pose = Float32Array.from(whole ?? item.pose);
    for (const [k, a] of Object.entries(turn ?? {})) {
      check(known(k) && numbers(a, 3), `${named} has joints 0 to ${J - 1}, and each takes three numbers.`);
      next.pose.set(a, 3 * Number(k));
    }
    next.play = null;
  }
  if (steps !== undefined) {
    const fits = Object.entries(steps).every(([step, on]) => STEPS.includes(step) && typeof on === "boolean");
    check(fits, `Steps are ${STEPS.join(", ")}, each true or false.`);
    next.steps = { ...item.steps, ...steps };
  }
  if (play !== undefined) {
    const clip = clips.get(play);
    check(play === "" || (clip && rig && clip.size === 3 * J), `${named} does not know the motion ${JSON.stringify(play)}.`);
    next.play = !clip ? null : item.play?.name === play ? item.play : { name: play, clip, since: performance.now() };
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches && !navigator.userActivation?.hasBeenActive;
    if (next.play && calm) next.play.paused = 0; // nobody asked for it yet
  }
  if (paint !== undefined) {
    check(paint === null || (rig && known(String(paint))), `${named} has no joint ${JSON.stringify(paint)}.`);
    next.paint = paint;
    if (paint !== null || item.colors) next.colors = painted(item, rig, paint ?? -1);
  }
  if (label !== undefined) next.label = String(label);
  if (hidden !== undefined) next.hidden = Boolean(hidden);
  if (opacity !== undefined) {
    check(Number.isFinite(opacity), `${named} has no opacity.`);
    next.opacity = clamp(opacity, 0, 1);
  }
  if (at !== undefined) {
    check(numbers(at, 3), `${named} is to stand nowhere.`);
    next.at = at;
  }
  return next;
}
