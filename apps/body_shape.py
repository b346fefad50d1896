"""Body shape: ten numbers are a person, a rotation for each joint is a pose, and the mesh follows."""

import functools
import json
import re
import threading
from collections import OrderedDict
from pathlib import Path

import gradio as gr
import numpy as np

from genlab import GenlabError, ui, viz
from genlab.ui import limits

TITLE = "Body shape"
SUMMARY = "Ten numbers make a person, a turn for each joint makes a pose: SMPL, one step of its law at a time."
FAMILY = "body"
MODELS = ["smpl-open", "smpl-open-low"]

BODY, LOW = MODELS
ARRIVAL = Path(__file__).parent / "pictures" / "body_shape.json"  # written by `python -m scripts.arrival body_shape`
# What the weights say of themselves, read here without loading them: joints, what each beta does, the mean body's sizes
ABOUT = {"joints": ["pelvis"], "effects": [""] * 10, "mean": {}}
ABOUT |= json.loads(ARRIVAL.read_text(encoding="utf-8")) if ARRIVAL.is_file() else {}
JOINTS = ABOUT["joints"]
TRUNK = 22  # joints that SMPL-H has too, where SMPL has two hands more, and it has fingers
BETAS = [f"b{n}" for n in range(10)]
AXES = ("x", "y", "z")
MOTIONS = ("still", "walk", "stretch", "squat", "wave")
FEET = (7, 8)  # the ankles: their mean stays where it is while a motion plays
KNOBS = ui.Knobs(
    **{name: ui.Number(f"β{'₀₁₂₃₄₅₆₇₈₉'[n]} {ABOUT['effects'][n]}", 0.0, -4, 4, 0.1) for n, name in enumerate(BETAS)},
    motion=ui.Choice("Motion", "walk", [("hold a pose", "still"), *MOTIONS[1:]]),
    joint=ui.Choice("Joint", "left_elbow", [(name.replace("_", " "), name) for name in JOINTS], menu=True),
    shape=ui.Switch("shape blend", True),
    bend=ui.Switch("pose blend", True),
    skin=ui.Switch("skinning", True),
    skeleton=ui.Switch("skeleton"),
    weights=ui.Switch("the joint's weights"),
    close=ui.Switch("the joint from near"),
    template=ui.Switch("template"),
    compare=ui.Switch("before | now"),
    seed=ui.Number("Seed", 9, 0, 2**31 - 1, box=True),
)
DEFAULTS = KNOBS.defaults() | {"pose": "", "before": ""}
DRAGGED = [*BETAS, "pose"]
ELBOW, KNEE = "left_shoulder:-90,0,0;left_elbow:0,-120,0", "left_knee:110,0,0"
TRY = {  # the lesson in order; what is not named goes back to its default
    "tall and slim": {"b0": 2.0, "b1": 1.5, "motion": "walk"},
    "the mean": {"motion": "still", "template": True},
    "elbow, no pose blend": {
        "motion": "still", "pose": ELBOW, "bend": False, "close": True, "compare": True, "before": f"|{ELBOW}|111",
    },
    "the knee's weights": {"motion": "still", "pose": KNEE, "joint": "left_knee", "weights": True, "skeleton": True},
    "random person": {"random": True, "motion": "stretch"},
    "walk": {"motion": "walk", "skeleton": True},
}  # fmt: skip
NOTICE = """
## What to notice
- The betas are standard deviations of a population: at 0 the mean, at ±2 one in twenty is farther out. The first moves
  the body most, the last hardly: PCA put them in that order.
- The joints follow the shape. They are regressed from the surface, so a taller person walks with longer bones.
- Skinning alone is a weighted mean of rigid turns: a bent elbow loses volume on the inside and creases. The pose blend
  adds what the turn is known to do, before the skinning.
- Seen from near, "before" is the veil over the joint: what the pose blend holds, and skinning alone loses.
- Paint a joint's weights: yellow follows it wholly, the bare skin not at all, and the crease is where colours change.
"""
# Dragging needs no server: the page holds the template, directions and weights, and this tells its bodies what to do.
SCRIPT = (
    f"const DEFAULTS = {json.dumps(DEFAULTS)}, JOINTS = {json.dumps(JOINTS)};"
    """
const RAD = Math.PI / 180;
const rows = (text) => text.split(";").filter(Boolean).map((row) => row.split(":"));
const angles = (text) => Object.fromEntries(rows(text).map(([name, xyz]) => [name, xyz.split(",").map(Number)]));
const pose = (text) => {
  const turns = angles(text);
  return JOINTS.map((name) => (turns[name] ?? [0, 0, 0]).map((degrees) => degrees * RAD));
};
const VEIL = { opacity: 0.15, label: "" }; // its label would stand above the head, and what is near is not
const tell = (mesh, detail) => document.dispatchEvent(new CustomEvent("gl-blend", { detail: { mesh, ...detail } }));
const betas = (v) => Array.from({ length: 10 }, (_, n) => Number(v[`b${n}`]) || 0);
let last = null, timer = 0;
const held = () => last;
// One value alone, of what is dragged: gradio takes longer to look all of them up than we to draw the body.
const put = (name, value) => show(Object.keys(DEFAULTS).map((key) => (key === name ? value : last?.[key])));

function show(values) {
  const v = (last = Object.fromEntries(Object.keys(DEFAULTS).map((name, i) => [name, values[i] ?? DEFAULTS[name]])));
  const move = (text) => (v.motion === "still" ? { turn: { ...pose(text) } } : { play: v.motion });
  const joint = Math.max(JOINTS.indexOf(v.joint), 0), close = v.close && { joint, size: 0.14 };
  const apart = v.compare && !close, at = apart ? [0.84, 0, -0.45] : [0, 0, 0]; // side by side, as the camera stands
  const [w, d] = apart ? [1.35, 0.5] : [0.8, 0.3], box = [[-w, 0, -d], [w, 2, d]], label = apart ? "now" : "";
  const steps = { shape: v.shape, bend: v.bend, skin: v.skin }, paint = v.weights ? joint : null;
  const look = { paint, at, label, opacity: v.skeleton ? 0.55 : 1, ...(close ? { focus: close } : { box }) };
  tell("body", { weights: betas(v), ...move(v.pose), steps, ...look });
  tell("bones", { hidden: !v.skeleton });
  tell("template", { hidden: !v.template, at });
  const [shape, text, flags] = v.before.split("|"), [s, b, k] = [...(flags || "111")].map((flag) => flag === "1");
  const then = shape ? shape.split(",").map(Number) : betas({});
  const was = { weights: then, ...move(text ?? ""), steps: { shape: s, bend: b, skin: k }, at: at.map((x) => -x) };
  const seen = apart ? { opacity: 1, label: "before" } : VEIL;
  tell("before", { hidden: !v.compare, ...(v.compare ? was : {}), ...seen });
  clearTimeout(timer);
  timer = setTimeout(link, 200); // browsers allow few changes of the address a second
}

function link() {
  const changed = Object.entries(last).filter(([name, value]) => value !== DEFAULTS[name]);
  const words = changed.map(([name, value]) => [name, value === true ? "1" : value === false ? "0" : String(value)]);
  glRelink({ names: Object.keys(last), values: Object.fromEntries(words) });
}

function turn(joint, x, y, z, text) { // the pose with one joint turned; a motion gives way to it
  const turns = { ...angles(text), [joint]: [x, y, z].map((a) => Math.round(Number(a)) || 0) };
  const kept = Object.entries(turns).filter(([, xyz]) => xyz.some(Boolean));
  return [kept.map(([name, xyz]) => `${name}:${xyz.join()}`).join(";"), "still"];
}
const pick = (joint, text) => angles(text)[joint] ?? [0, 0, 0];
const keep = (on, ...values) => {
  const v = Object.fromEntries(Object.keys(DEFAULTS).map((name, i) => [name, values[i]]));
  return on ? `${betas(v).join()}|${v.pose}|${[v.shape, v.bend, v.skin].map(Number).join("")}` : "";
};
const anew = () => last && show(Object.values(last));
globalThis.glBody?.ended.abort();
const seconds = () => Number(document.querySelector(".gl-view")?.dataset.seconds) || 0;
globalThis.glBody = { show, put, held, turn, pick, keep, seconds, ended: new AbortController() };
document.addEventListener("gl-scene", anew, { signal: globalThis.glBody.ended.signal });
"""
)
SHOW = "(...values) => { globalThis.glBody?.show(values); }"
SHELF = ui.Shelf(*MODELS)
FACTS = {"height": "cm", "chest": "cm", "waist": "cm", "hip": "cm", "volume": "l"}
WORDS = {"shape": "shape_blend", "bend": "pose_blend", "skin": "skinning"}  # our knobs, and SMPL's arguments


# -- what a stranger may send ------------------------------------------------------------------------------------------


def clean_pose(value) -> dict[str, list[int]]:
    """Degrees about x, y, z by the joint's name, out of "left_elbow:0,-90,0;..." or a mapping; senseless parts go."""
    if isinstance(value, str):
        found = re.findall(r"(\w{1,20}):(-?\d{1,4}),(-?\d{1,4}),(-?\d{1,4})", value[:4000])
        value = {name: turns for name, *turns in found}
    turns = {}
    for name, xyz in value.items() if isinstance(value, dict) else ():
        if name in JOINTS and isinstance(xyz, list | tuple) and len(xyz) == 3:
            turn = [ui.Number("", 0, -180, 180).clean(degrees) for degrees in xyz]
            turns |= {name: turn} if any(turn) else {}
    return turns


def pose_text(turns: dict, names=JOINTS) -> str:
    return ";".join(f"{name}:{','.join(map(str, xyz))}" for name, xyz in turns.items() if name in names)


def clean_before(value) -> str:
    """betas|pose|flags, as the page's script writes it; "" for none."""
    parts = value.split("|") if isinstance(value, str) and len(value) < 6000 else []
    if len(parts) != 3 or not re.fullmatch("[01]{3}", parts[2]):
        return ""
    betas = [KNOBS["b0"].clean(beta) for beta in parts[0].split(",")[:10]] if parts[0] else []
    betas = [*betas, *[0.0] * (10 - len(betas))] if betas else []
    return f"{','.join(f'{beta:g}' for beta in betas)}|{pose_text(clean_pose(parts[1]))}|{parts[2]}"


def clean(values: dict) -> dict:
    """All of the page's state, in range."""
    also = {"pose": pose_text(clean_pose(values.get("pose"))), "before": clean_before(values.get("before"))}
    return KNOBS.clean(values) | also


def clean_betas(value) -> dict[str, float]:
    """The shape's knobs, out of a list of up to ten numbers."""
    given = list(value)[:10] if isinstance(value, list | tuple) else []
    return {name: KNOBS[name].clean(beta) for name, beta in zip(BETAS, given, strict=False)}


# -- the body ----------------------------------------------------------------------------------------------------------


def betas_of(knobs: dict):
    return ui.tensor(np.array([[knobs[name] for name in BETAS]], np.float32))


def named(body) -> tuple[str, ...]:
    """The names of a body's joints, as far as it has SMPL's: those that the page poses. SMPL-H's fingers have none."""
    ours, parents = ui.part("models.body.joint_sets"), tuple(body.config.parents)
    if parents == ours.PARENTS:
        return ours.JOINTS
    alike = len(parents) >= len(ours.PARENTS) and parents[:TRUNK] == ours.PARENTS[:TRUNK]
    return ours.JOINTS[:TRUNK] if alike else ()


def fitted(motion, body) -> np.ndarray:
    """(F, J, 3): a motion of SMPL's joints for a body that may have others after them, which rest."""
    known = len(named(body))
    return np.pad(viz.to_numpy(motion)[:, :known], ((0, 0), (0, len(body.config.parents) - known), (0, 0)))


def pose_of(knobs: dict, body, seconds: float = 0.0):
    """(1, J, 3) radians: of the motion at that time, or the pose that is held."""
    if knobs["motion"] != "still":
        at = ui.tensor(np.array([seconds], np.float32))
        return ui.tensor(fitted(ui.part("data.motions").MOTIONS[knobs["motion"]](at), body))
    pose, names = np.zeros((1, len(body.config.parents), 3), np.float32), named(body)
    for name, xyz in clean_pose(knobs["pose"]).items():
        if name in names:
            pose[0, names.index(name)] = np.radians(xyz)
    return ui.tensor(pose)


def stands(body, knobs: dict, seconds: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and joints with the feet on the floor, y = 0, as the page shows them."""
    like = body.v_template
    steps = {argument: knobs[name] for name, argument in WORDS.items()}
    count = body.config.betas
    betas, pose = betas_of(knobs)[:, :count].to(like), pose_of(knobs, body, seconds).to(like)
    vertices, joints = (viz.to_numpy(x[0]) for x in body(betas, pose, **steps))
    return vertices - [0, vertices[:, 1].min(), 0], joints - [0, vertices[:, 1].min(), 0]


def measured(body, betas) -> dict[str, np.ndarray]:
    """Height, chest, waist and hip in cm, volume in litres, of the rest pose."""
    found = ui.part("models.body.measurements").measurements(body, betas.to(body.v_template))
    return {name: viz.to_numpy(found[name]) * {"cm": 100, "l": 1000}[unit] for name, unit in FACTS.items()}


def facts(body, knobs: dict) -> dict[str, float]:
    betas = betas_of(knobs)[:, : body.config.betas] * knobs["shape"]
    return {name: round(float(x[0]), 1) for name, x in measured(body, betas).items()}


class Own:
    """Bodies out of visitors' own files, the last few, by path. On a page of their own machine only."""

    def __init__(self):
        self._lock, self._bodies = threading.Lock(), OrderedDict()

    def __getitem__(self, path: str):
        """The body of that path, "" for ours. Raises GenlabError."""
        if not path:
            return SHELF[BODY]
        if limits.is_public():
            raise GenlabError("Files are read on your own machine only: start genlab there, and load it again.")
        with self._lock:
            return self._bodies[path][1] if path in self._bodies else self._read(path)

    def again(self, path: str):
        """The body of that path as the file is now, read again if it has changed. Raises GenlabError."""
        with self._lock:
            if path in self._bodies and self._bodies[path][0] != stamp(path):
                self._read(path)  # raises where the new one is none, and the old one stays
        return self[path]

    def _read(self, path: str):
        at = stamp(path)  # before reading: what changes meanwhile is read again next time
        body = type(SHELF[BODY]).from_file(path)
        if not named(body):
            raise GenlabError(
                f"{Path(path).name} holds a body of {len(body.config.parents)} joints that are not SMPL's: this page "
                "shows those that begin with them, such as SMPL and SMPL-H."
            )
        self._bodies[path] = at, body
        while len(self._bodies) > 2:
            self._bodies.popitem(last=False)
        return body


def stamp(path: str) -> tuple[int, int] | None:
    """What tells one version of a file from the next; None where there is none."""
    try:
        about = Path(path).expanduser().stat()
    except (OSError, RuntimeError, ValueError):
        return None
    return about.st_mtime_ns, about.st_size


OWN = Own()
PACKING = threading.Lock()  # who opens the page while a scene is packed waits for it, and packs none of their own


def scene(path: str = "") -> dict:
    """A body with all that the page needs to move it but its pose blend, which is as large as the rest and follows."""
    body = OWN[path]
    with PACKING:
        return packed(body, path or BODY) | {"serial": ui.Scene.message("")["serial"]}


def bending(path: str = "") -> dict:
    """What the pose blend needs."""
    body = OWN[path]
    with PACKING:
        return ui.Scene.update({}) | {"update": packed_bending(body)}


# A scene is the same for all visitors, since the state is in their pages. A file that was read again is another body.
@functools.lru_cache(maxsize=3)
def packed(body, name: str) -> dict:
    shape = np.moveaxis(viz.to_numpy(body.shapedirs), 2, 0)[:10]
    shape = np.concatenate([shape, np.zeros((10 - len(shape), *shape.shape[1:]), shape.dtype)])
    made = ui.Scene("A human body.", name=name, yaw=28, pitch=7, floor=0, box=[[-0.8, 0, -0.3], [0.8, 2, 0.3]])
    rig = ui.Rig.of(body, bending=False, betas=10)
    made.mesh("body", body.v_template, body.faces, directions=shape, rig=rig, coarse=coarse() if name == BODY else None)
    made.copy("template", "body", opacity=0.3, color="#7f8fa6", hidden=True)
    made.copy("before", "body", color="#9aa3ad", label="before", hidden=True)
    made.bones("bones", "body", hidden=True)
    for motion in MOTIONS[1:]:
        made.clip(motion, fitted(ui.part("data.motions").clip(motion), body), feet=FEET)
    return made.value()


def coarse() -> np.ndarray:
    """The triangles of the low-poly body between those vertices of the full one that are nearest to its own."""
    full, low = (viz.to_numpy(SHELF[name].v_template) for name in MODELS)
    nearest = np.concatenate([((full - some[:, None]) ** 2).sum(-1).argmin(1) for some in np.array_split(low, 40)])
    return nearest[viz.to_numpy(SHELF[LOW].faces)]


@functools.lru_cache(maxsize=3)
def packed_bending(body) -> dict:
    return ui.Scene.update({"body": {"rig": ui.Rig.of(body)}})["update"]


# -- the texts ---------------------------------------------------------------------------------------------------------


def fact_list(now: dict, then: dict | None = None) -> str:
    """The measurements, and where there is a body to compare with, by how much they differ."""
    cells = []
    for name, unit in FACTS.items():
        if name not in now:
            continue
        differs = now[name] - then[name] if then else 0.0
        differs = f" ({differs:+.1f})".replace("-", "−") if abs(differs) > 0.05 else ""
        cells.append(f"<div><dt>{name}</dt><dd>{now[name]:.1f} <small>{unit}{differs}</small></dd></div>")
    return f'<dl class="gl-facts">{"".join(cells)}</dl>'


def before_of(knobs: dict) -> dict | None:
    """The knobs of the body on the left, if there is one."""
    if not knobs["compare"]:
        return None
    betas, pose, flags = (knobs["before"] or "||111").split("|")
    values = {name: beta for name, beta in zip(BETAS, betas.split(","), strict=False) if beta}
    values |= {name: flag == "1" for name, flag in zip(WORDS, flags, strict=True)}
    return clean(values | {"pose": pose, "motion": knobs["motion"]})


def in_words(knobs: dict) -> str:
    if knobs["motion"] != "still":
        return {"walk": "walking", "stretch": "stretching", "squat": "squatting", "wave": "waving"}[knobs["motion"]]
    turns = clean_pose(knobs["pose"])
    bent = ", ".join(f"{name.replace('_', ' ')} {', '.join(map(str, xyz))}°" for name, xyz in turns.items())
    return f"with {bent}" if bent else "in the rest pose, a T"


def alt(knobs: dict, found: dict) -> str:
    sizes = ", ".join(f"{name} {found[name]:g} {unit}" for name, unit in FACTS.items())
    left_out = [KNOBS[name].label for name in WORDS if not knobs[name]]
    text = f"A human body {in_words(knobs)}; {sizes}."
    text += f" Without {' and '.join(left_out)}." if left_out else ""
    return text + (" Beside it the body as it was before." if knobs["compare"] else "")


def legend(knobs: dict) -> str:
    """What the picture cannot say by itself: it stands on it."""
    says = []
    if knobs["compare"] and knobs["close"]:  # else they stand side by side, each with its name
        says.append(f"Solid: now{without(knobs)}. Veil: before{without(before_of(knobs))}.")
    if knobs["weights"]:
        joint = knobs["joint"].replace("_", " ")
        says.append(f"Painted: how much of each vertex follows the {joint}.")
        says.append("Bare skin 0, blue a quarter, teal half, yellow all.")
    return " ".join(says)


def without(knobs: dict) -> str:
    left_out = " and ".join(KNOBS[name].label for name in WORDS if not knobs[name])
    return left_out and f", without {left_out}"


def equation(knobs: dict, body) -> str:
    betas = ", ".join(f"{knobs[name]:g}" for name in BETAS)
    now = {
        r"\beta": f"**({betas})**",
        r"\theta": in_words(knobs),
        r"\bar T": "also shown as it is" if knobs["template"] else "under the shape",
        "S_n": f"{min(body.config.betas, 10)} of them" if knobs["shape"] else "left out",
        "P_k": "added" if knobs["bend"] else "left out",
        r"\mathcal{J}": "the skeleton on the stage" if knobs["skeleton"] else f"{len(body.config.parents)} joints",
        r"\mathcal{W}": f"those of the {knobs['joint'].replace('_', ' ')} are painted"
        if knobs["weights"]
        else "unseen",
        "W": "on" if knobs["skin"] else "left out: the mesh stays in the rest pose",
    }
    return ui.equation(FAMILY, "SMPL", now)


def python(knobs: dict, body, path: str = "") -> str:
    """Python that makes the body on the stage."""
    J, names = len(body.config.parents), named(body)
    betas = ", ".join(str(float(knobs[name])) for name in BETAS[: body.config.betas])
    load = ["import genlab", "import torch"]
    made = [f'body = genlab.from_pretrained("{BODY}")']
    if path:
        load, made = ["import torch", "from genlab.models.body import SMPL"], [f"body = SMPL.from_file({path!r})"]
    made.append(f"betas = torch.tensor([[{betas}]])")
    if knobs["motion"] != "still":
        load.append("from genlab.data import motions")
        made.append(f'pose = motions.clip("{knobs["motion"]}")  # one round, 30 frames a second')
        if len(names) < J:
            rest = f"torch.zeros(len(pose), {J - len(names)}, 3)"
            made.append(f"pose = torch.cat([pose[:, :{len(names)}], {rest}], dim=1)  # fingers at rest")
    else:
        made.append(f"pose = torch.zeros(1, {J}, 3)")
        for name, xyz in clean_pose(knobs["pose"]).items():
            turn = f"torch.deg2rad(torch.tensor([{', '.join(f'{degrees}.0' for degrees in xyz)}]))"
            made += [f"pose[0, {names.index(name)}] = {turn}  # {name}"] if name in names else []
    off = "".join(f", {argument}=False" for name, argument in WORDS.items() if not knobs[name])
    made += [f"vertices, joints = body(betas, pose{off})", ""]
    load.append("from genlab.models.body.measurements import measurements")
    return ui.python_text(*sorted(load), "", *made, "print(measurements(body, betas))")


def export(body, knobs: dict, kind: str, seconds: float = 0.0) -> dict:
    """A file of the body as it stands: "glb" and "obj" hold the mesh, "npz" the numbers too."""
    vertices, joints = stands(body, knobs, seconds)
    faces = viz.to_numpy(body.faces)
    if kind != "npz":
        return ui.mesh_file(vertices, faces, kind)
    arrays = {"betas": betas_of(knobs)[0, : body.config.betas], "faces": faces, "vertices": vertices, "joints": joints}
    if knobs["motion"] == "still":
        poses = viz.to_numpy(pose_of(knobs, body))
    else:  # a whole round, in the form of AMASS
        poses = fitted(ui.part("data.motions").clip(knobs["motion"]), body)
        arrays |= {"mocap_framerate": np.array(30.0), "trans": np.zeros((len(poses), 3), np.float32)}
    arrays["poses"] = poses.reshape(len(poses), -1)
    return ui.arrays_file({name: viz.to_numpy(x) for name, x in arrays.items()})


# -- the page ----------------------------------------------------------------------------------------------------------


def arrival() -> tuple[dict, np.ndarray]:
    """What the page knows before the weights are loaded; and the gallery's picture, eight people."""
    body, names = SHELF[BODY], ui.part("models.body.joint_sets").JOINTS
    two = ui.tensor(np.concatenate([np.zeros((1, 10)), 2 * np.eye(10)]).astype(np.float32))
    rest = np.zeros((1, len(names), 3), np.float32)
    sizes, joints = measured(body, two), viz.to_numpy(body(two, ui.tensor(rest)).joints)
    for word, (one, other) in {
        "arms": ("left_shoulder", "left_wrist"),
        "legs": ("left_hip", "left_ankle"),
        "shoulders": ("left_shoulder", "right_shoulder"),
    }.items():
        sizes[word] = 100 * np.linalg.norm(joints[:, names.index(one)] - joints[:, names.index(other)], axis=-1)
    effects = []
    for n in range(1, 11):
        grows = {name: x[n] - x[0] for name, x in sizes.items() if FACTS.get(name, "cm") == "cm"}
        most = sorted(grows, key=lambda name: -abs(grows[name]))[:2]
        effects.append(", ".join(f"{name} {grows[name]:+.0f} cm".replace("-", "−") for name in most))
    about = {
        "joints": list(names),
        "effects": effects,
        "mean": {name: round(float(sizes[name][0]), 1) for name in FACTS},
    }
    people, rng = [], np.random.default_rng(12)
    for i in range(8):
        knobs = DEFAULTS | {name: float(beta) for name, beta in zip(BETAS, rng.normal(0, 1.3, 10), strict=True)}
        vertices, _ = stands(body, knobs, i * 1.1 / 8)
        box = [[-0.42, 0, -0.5], [0.42, 1.95, 0.5]]
        people.append(viz.mesh_picture(vertices, body.faces, size=(300, 160), yaw=35, box=box, samples=3))
    return about, viz.tile(np.moveaxis(np.stack(people), -1, 1) / 255, 4, gap=0)


def controls(frame: ui.Frame) -> dict:
    """The controls column; the components by name."""
    made = {}
    with frame.controls:
        with frame.group("What: shape, and what each beta at +2 does"):
            for name in BETAS[:4]:
                made[name] = KNOBS[name].component()
            with gr.Accordion("Six more", open=False):
                for name in BETAS[4:]:
                    made[name] = KNOBS[name].component()
        with frame.group("How: pose"):
            made["motion"] = KNOBS["motion"].component(elem_classes="gl-chipset", show_label=False)
            made["joint"] = KNOBS["joint"].component()
            for axis, about in zip(AXES, ("to the side", "up", "ahead"), strict=True):
                made[axis] = gr.Slider(-180, 180, 0, step=1, label=f"Turn about {axis} ({about}), degrees", buttons=[])
        with frame.group("Seed"):
            with gr.Row(elem_classes="gl-seed"):
                made["seed"] = KNOBS["seed"].component(show_label=False, container=False, min_width=96)
                made["lock"] = gr.Checkbox(False, label="keep it", container=False, min_width=96)
            with gr.Row(elem_classes="gl-buttons"):
                frame.generate = gr.Button("Random person", variant="primary", elem_classes="gl-generate", min_width=96)
                made["reset"] = gr.Button("Reset", elem_classes="gl-stop", min_width=72)
    return made


def tools(made: dict) -> None:
    """Below the stage: the steps of the law, and what else is shown."""
    for title, names in (("The law", WORDS), ("Show", ("skeleton", "weights", "close", "template", "compare"))):
        with gr.Row(elem_classes="gl-tools"):
            gr.HTML(f"<b>{title}</b>", apply_default_css=False)
            for name in names:
                made[name] = KNOBS[name].component(container=False)


def build() -> gr.Blocks:
    with (
        gr.Blocks(title=f"{TITLE} · genlab", analytics_enabled=False) as app,
        ui.page(TITLE, SUMMARY, FAMILY, models=MODELS),
    ):
        lesson(app)
        endpoints()
    return app


def lesson(app: gr.Blocks) -> None:
    with ui.frame() as frame:
        made = controls(frame)
        with frame.stage:
            view = ui.viewer(ui.Scene.message("The body is on its way."), elem_classes="gl-low")
            sizes = gr.HTML(fact_list(ABOUT["mean"]), js_on_load=SCRIPT, apply_default_css=False)
            tools(made)
            frame.suggest(TRY)
            with gr.Row(elem_classes="gl-chips"):
                gr.HTML("<span>Take it with you</span>", apply_default_css=False)
                saves = {
                    kind: gr.Button(kind.upper(), size="sm", elem_classes="gl-chip", min_width=32) for kind in KINDS
                }
            download = gr.DownloadButton("file", elem_id="gl-body-file", elem_classes="gl-hidden")
        with frame.below:
            law = ui.markdown()
            ui.markdown(NOTICE)
            with gr.Accordion("Python", open=False):
                code = ui.markdown()
            if not limits.is_public():
                with gr.Accordion("Your own SMPL file", open=False):
                    ui.markdown(
                        "A `.npz` or `.pkl` of SMPL or SMPL-H, as its site gives it out. It is read on this machine, "
                        "goes nowhere, and nothing in it is executed."
                    )
                    path = gr.Textbox(
                        label="Path of the file",
                        placeholder="~/smpl/SMPL_NEUTRAL.npz",
                        max_lines=1,
                        elem_classes="gl-query",
                    )
                    load, back = gr.Button("Load"), gr.Button(f"Back to {BODY}")
                    said = ui.markdown()
            with gr.Accordion("Under the hood", open=False):
                source = ui.markdown()
            with gr.Accordion(f"Model card: {BODY}", open=False):
                card = ui.markdown()
    pose = gr.Textbox("", label="pose", elem_classes="gl-hidden")
    before = gr.Textbox("", label="before", elem_classes="gl-hidden")
    own = gr.State("")  # path of the visitor's own file
    made |= {"pose": pose, "before": before}
    state = [made[name] for name in DEFAULTS]
    panels = [view, sizes, law, code]

    def known(held) -> dict:
        return clean(held if isinstance(held, dict) else {})

    def measure(path, held):
        knobs, body = known(held), OWN[path]
        found, then = facts(body, knobs), before_of(knobs)
        shown = ui.Scene.update({}, alt=alt(knobs, found), status=legend(knobs))
        return shown, fact_list(found, then and facts(body, then))

    def follow(path, held):
        knobs = known(held)
        return *measure(path, knobs), equation(knobs, OWN[path]), python(knobs, OWN[path], path)

    def restore(request: gr.Request):
        """The state that the link asks for."""
        knobs = clean(dict(request.query_params))
        return *knobs.values(), *clean_pose(knobs["pose"]).get(knobs["joint"], [0, 0, 0])

    def arrive():
        return scene()

    def introduce():
        """What is large, or needs torch."""
        return bending(), ui.under_the_hood(FAMILY, "SMPL"), ui.card_text(BODY)

    def suggestion(name, seed):
        changes = TRY[name]
        values = dict(changes) | ({} if "random" not in changes else person(seed))
        knobs = clean(DEFAULTS | {"seed": seed} | values)
        return *knobs.values(), *clean_pose(knobs["pose"]).get(knobs["joint"], [0, 0, 0])

    def still(seed):
        """Everything as it came, but no motion."""
        return *clean(DEFAULTS | {"seed": seed, "motion": "still"}).values(), 0, 0, 0

    def anyone(seed, lock):
        """Another random person, unless the seed is kept."""
        seed = KNOBS["seed"].clean(seed) if lock else int(np.random.default_rng().integers(10_000))
        return seed, *person(seed).values()

    def save(kind):
        def make(path, held, seconds):
            return export(OWN[path], known(held), kind, KNOBS_TIME.clean(seconds))["path"]

        return make

    def load_own(path, held):
        """The visitor's own body on the stage, with what of the pose its joints can take; or a sentence why not."""
        path, knobs = limits.text(path), known(held)
        try:
            body = OWN.again(path)
            shown, bends = scene(path), bending(path)
        except (GenlabError, ValueError) as error:
            return *[gr.skip()] * 9, str(error)
        about = f"{len(body.v_template):,} vertices, {len(body.config.parents)} joints, {body.config.betas} betas."
        names = named(body)
        joint = knobs["joint"] if knobs["joint"] in names else KNOBS["joint"].default
        menu = gr.Dropdown([(name.replace("_", " "), name) for name in names], value=joint)
        turns, parts = clean_pose(knobs["pose"]), knobs["before"].split("|")
        parts[1:2] = [pose_text(clean_pose(text), names) for text in parts[1:2]]
        held = [menu, pose_text(turns, names), "|".join(parts), *turns.get(joint, [0, 0, 0])]
        return shown, bends, path, *held, f"On the stage: {about}"

    # At each step of a call gradio tells all its inputs and outputs, and copies what they hold. That this leaves time
    # to draw while a slider is dragged, one input brings what the page's script holds, and only the stage is told.
    every = gr.JSON(visible="hidden")
    asks = {"inputs": [own, every], "js": "(path) => [path, globalThis.glBody?.held()]"}
    quick = {"queue": False, "show_progress": "hidden", "show_progress_on": view, "api_visibility": "private"}
    latest = quick | {"trigger_mode": "always_last"}
    here = {"queue": False, "api_visibility": "private"}  # in the page alone
    turns = [made[axis] for axis in AXES]
    gr.on([made[name].change for name in DEFAULTS if name not in DRAGGED], None, state, None, js=SHOW, **here)
    for name in DRAGGED:
        js = f"(value) => {{ globalThis.glBody?.put({json.dumps(name)}, value); }}"
        made[name].change(None, made[name], None, js=js, **here)
    gr.on([made[name].change for name in BETAS], measure, outputs=panels[:2], **asks, **latest)
    settled = [made[name].release for name in BETAS]
    settled += [made[name].change for name in DEFAULTS if name not in BETAS and name != "seed"]
    gr.on(settled, follow, outputs=panels, **asks, **latest)
    js = "(joint, x, y, z, pose) => globalThis.glBody.turn(joint, x, y, z, pose)"
    gr.on([turn.input for turn in turns], None, [made["joint"], *turns, pose], [pose, made["motion"]], js=js, **here)
    js = "(joint, pose) => globalThis.glBody.pick(joint, pose)"
    made["joint"].input(None, [made["joint"], pose], turns, js=js, **here)
    js = "(...values) => globalThis.glBody.keep(...values)"
    made["compare"].input(None, [made["compare"], *state], before, js=js, **here)

    starts = [frame.generate.click(anyone, [made["seed"], made["lock"]], [made["seed"], *state[:10]], **quick)]
    starts.append(made["reset"].click(still, made["seed"], [*state, *turns], **quick))
    starts.append(frame.suggested(suggestion, [made["seed"]], [*state, *turns]))
    for start in starts:
        shown = start.then(None, state, None, js=SHOW, **here)  # what is folded away does not tell that it changed
        shown.then(follow, outputs=panels, **asks, **quick)
    queued = quick | {"queue": True, "concurrency_limit": 2, "concurrency_id": "body_shape"}  # as the endpoints
    for kind, button in saves.items():
        made_file = button.click(
            save(kind),
            [own, every, gr.Number(0, visible="hidden", label="seconds")],
            download,
            js="(path) => [path, globalThis.glBody.held(), globalThis.glBody.seconds()]",
            **queued,
        )
        made_file.then(None, js="() => document.querySelector('#gl-body-file').click()", **here)
    if not limits.is_public():
        more = gr.State()
        for event, where in ((load.click, path), (path.submit, path), (back.click, gr.State(""))):
            held = [made["joint"], pose, before, *turns]
            own_asks = asks | {"inputs": [where, every]}
            loading = event(load_own, outputs=[view, more, own, *held, said], **own_asks, **quick)
            loading.then(lambda bends: bends, more, view, **quick).then(follow, outputs=panels, **asks, **quick)
    opening = app.load(restore, None, [*state, *turns], **quick)
    opening.then(None, state, None, js=SHOW, **here)
    arriving = app.load(arrive, None, view, **quick)
    known_all = arriving.then(introduce, None, [view, source, card], **quick).then(None, state, None, js=SHOW, **here)
    known_all.then(follow, outputs=panels, **asks, **quick)


KINDS = ("glb", "obj", "npz")
KNOBS_TIME = ui.Number("Seconds", 0.0, 0, 3600, 0.001)


def person(seed) -> dict[str, float]:
    """A random person's betas: each from the normal distribution."""
    betas = np.random.default_rng(KNOBS["seed"].clean(seed)).normal(size=len(BETAS))
    return {name: KNOBS[name].clean(float(beta)) for name, beta in zip(BETAS, betas, strict=True)}


# -- endpoints: for programs, and as MCP tools -------------------------------------------------------------------------


def endpoints() -> None:
    """Name each model function for the API. Input is cleaned by the knobs, whatever a stranger sends."""
    for function in (body_shape_mesh, body_shape_pose, body_shape_measure, body_shape_random):
        gr.api(function, api_name=function.__name__, concurrency_limit=2, concurrency_id="body_shape")


def asked(betas, pose, motion, **switches) -> dict:
    return clean(clean_betas(betas) | {"pose": pose_text(clean_pose(pose)), "motion": motion} | switches)


def body_shape_mesh(
    betas: list[float],
    pose: dict[str, list[float]],
    motion: str = "still",
    seconds: float = 0.0,
    kind: str = "glb",
    shape: bool = True,
    bend: bool = True,
    skin: bool = True,
) -> tuple[gr.FileData, dict]:
    """Make a human body: its mesh as a file, and its measurements.

    Args:
        betas: up to ten numbers of shape, each -4 to 4, in standard deviations; missing ones are 0
        pose: degrees about x, y and z by the joint's name, such as {"left_elbow": [0, -90, 0]}
        motion: "still" for that pose, or "walk", "stretch", "squat" or "wave"
        seconds: of the motion, 0 to 3600
        kind: "glb", "obj", or "npz": betas, poses, vertices, faces and joints
        shape: False leaves the shape blend out
        bend: False leaves the pose blend out
        skin: False leaves the skinning out
    """
    knobs, kind = asked(betas, pose, motion, shape=shape, bend=bend, skin=skin), kind if kind in KINDS else "glb"
    body = SHELF[BODY]
    return export(body, knobs, kind, KNOBS_TIME.clean(seconds)), facts(body, knobs) | {"knobs": knobs}


def body_shape_pose(
    betas: list[float], pose: dict[str, list[float]], motion: str = "still", seconds: float = 0.0
) -> dict:
    """Where a body's joints are: metres, y up, the feet on the floor, by name.

    Args:
        betas: up to ten numbers of shape, each -4 to 4, in standard deviations
        pose: degrees about x, y and z by the joint's name
        motion: "still" for that pose, or "walk", "stretch", "squat" or "wave"
        seconds: of the motion, 0 to 3600
    """
    knobs = asked(betas, pose, motion)
    _, joints = stands(SHELF[BODY], knobs, KNOBS_TIME.clean(seconds))
    found = {name: [round(float(x), 4) for x in place] for name, place in zip(JOINTS, joints, strict=True)}
    return {"knobs": knobs, "joints": found}


def body_shape_measure(betas: list[float]) -> dict:
    """Measure a body: height and girth of chest, waist and hip in centimetres, volume in litres.

    Args:
        betas: up to ten numbers of shape, each -4 to 4, in standard deviations
    """
    return facts(SHELF[BODY], clean(clean_betas(betas)))


def body_shape_random(seed: int = 9) -> dict:
    """A random person of the population that the body was learned from: betas, and measurements.

    Args:
        seed: 0 to 2147483647; the same seed is the same person
    """
    betas = person(seed)
    return {"betas": list(betas.values()), **facts(SHELF[BODY], clean(betas))}
