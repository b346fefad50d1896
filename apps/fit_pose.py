"""Fit a pose: dots in a picture become a body, by learned steps beside ordinary descent, both against the clock."""

import functools
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from genlab import GenlabError, ui, viz

TITLE = "Fit a pose"
SUMMARY = "Drag a joint, let go, and a body follows: four learned steps against two hundred of ordinary descent."
FAMILY = "body"
MODELS = ["lgd-body", "optimization-body", "smpl-open"]

LGD, DESCENT, BODY = MODELS
POSES = {"walk": 0.36, "stretch": 2.62, "squat": 1.7, "wave": 1.9}  # motions of genlab.data.motions, at these seconds
KNOBS = ui.Knobs(
    pose=ui.Choice("Pose", "walk", [("walk", "walk"), ("arms up", "stretch"), "squat", "wave", "random"]),
    noise=ui.Number("Noise (pixels)", 0, 0, 30),
    missing=ui.Number("Joints missing", 0, 0, 20),
    steps=ui.Number("Learned steps", 4, 0, 12),
    descent=ui.Number("Steps of the descent", 200, 10, 600, 10),
    prior=ui.Number("Pose prior of the descent", 1.0, 0, 4, 0.1),
    seed=ui.Number("Seed", 7, 0, 2**31 - 1, box=True),
    method=ui.Choice("Descent by", "adam", [("Adam", "adam"), ("L-BFGS", "lbfgs")]),
    joints=ui.Choice(
        "Joints of the figure",
        "smpl",
        [("SMPL 24", "smpl"), ("COCO 17", "coco"), ("OpenPose 18", "openpose18"), ("OpenPose 25", "openpose25")],
    ),
    turn=ui.Number("Turned (degrees; 180: seen from behind)", 35, -180, 180, 5),
    focal=ui.Number("Focal length (sides of the picture)", 2.0, 0.5, 5, 0.1),
    truth=ui.Switch("true body as a ghost", True),
)
POSING = ("pose", "noise", "missing", "seed", "joints", "turn", "focal")  # these knobs make the figure
TRY = {  # the lesson in order; a knob that is not named goes back to its default, except the seed
    "a walk": {},
    "arms up": {"pose": "stretch"},
    "half of the joints": {"missing": 12},
    "noisy keypoints": {"noise": 12},
    "ten steps": {"steps": 10, "pose": "squat"},
    "descent without a prior": {"prior": 0.0},
}
NOTICE = """
## What to notice
- The learned descent is done before the ordinary one has taken a handful of steps. Its first guess (step 0) is a plain
  regression; each step reads the gradient of the error and mends what the guess got wrong.
- Noisy dots are met more closely by two hundred steps of ordinary descent, and that is no gain: compare the two
  charts, and turn the bodies. On a walk both end near the body; waving or squatting, and under noise, the learned steps
  mostly end nearer. With arms stretched up, which neither has seen much of, both are off. A picture says nothing of
  depth; what fills the gap is what each has learned of poses.
- Without a prior the descent follows every dot, noise included, into poses that no body takes.
- Hide joints: what is not seen comes from experience alone.
"""
SIZE, FILLED = (480, 440), 0.84  # of an example's picture, pixels; how much of it the person takes up
LANES = {"lgd": "learned", "descent": "descent"}
COLORS = {"lgd": "#6f9fd8", "descent": "#de8a52", "truth": "#8a93a0"}  # as in style.css, but paler: lit by lamps
PLACES = {"lgd": (-0.62, 0, 0), "descent": (0.62, 0, 0)}
TITLES = ("Error in the picture, pixels", "Error in space, mm")
MOVED = ("The figure was moved:", "nobody knows the true body any more.")
READ = ("These are your keypoints:", "the body that was seen is not known.")
SECONDS = 20.0  # of a run, by the clock on the wall
DRAWN = 0.15  # seconds in which the page draws the learned fit, before the descent takes the processor they may share
RUNS = ui.Runs(SECONDS)
SHELF = ui.Shelf(*MODELS)
ARRIVAL = Path(__file__).parent / "pictures" / "fit_pose.json"  # written by `python -m scripts.arrival fit_pose`


# -- what is seen: a body that we know, through a camera ---------------------------------------------------------------


def person(knobs: dict) -> dict[str, np.ndarray]:
    """The true body that the knobs describe: betas (10,), pose (24, 3), and where it stands."""
    rng = np.random.default_rng(knobs["seed"])
    if knobs["pose"] == "random":
        pose = viz.to_numpy(SHELF[DESCENT].poses(1, generator=ui.seeded(knobs["seed"]), spread=0.9))[0]
    else:
        at = ui.tensor(np.array([POSES[knobs["pose"]]], np.float32))
        pose = viz.to_numpy(ui.part("data.motions").MOTIONS[knobs["pose"]](at))[0]
    pose = np.concatenate([turned(pose[0], np.radians(knobs["turn"]))[None], pose[1:]])
    betas = rng.normal(size=10).clip(-2, 2)
    return {"betas": betas.astype(np.float32), "pose": pose.astype(np.float32)}


def turned(a: np.ndarray, yaw: float) -> np.ndarray:
    """The rotation vector `a`, and then a turn about the vertical: a product of quaternions."""
    angle = np.linalg.norm(a)
    w, v = np.cos(angle / 2), a * (np.sin(angle / 2) / angle if angle > 1e-8 else 0.5)
    c, s = np.cos(yaw / 2), np.sin(yaw / 2)
    q = np.array([c * w - s * v[1], c * v[0] + s * v[2], c * v[1] + s * w, c * v[2] - s * v[0]])
    q = q if q[0] >= 0 else -q
    sine = np.linalg.norm(q[1:])
    return q[1:] * (2 * np.arctan2(sine, q[0]) / sine if sine > 1e-8 else 2.0)


def camera(knobs: dict, figure: ui.Figure):
    w, h = figure.size
    return ui.part("models.body").Camera(knobs["focal"] * max(w, h), (w / 2, h / 2), (float(w), float(h)))


def pictured(knobs: dict) -> ui.Figure:
    """What a detector sees of the person: joints in the middle of the picture, a little off, and some not at all.

    Which way noise goes, and who is missing first, is the seed's: the knobs only say how much."""
    true, rng = person(knobs), np.random.default_rng([knobs["seed"], 1])
    blank = ui.Figure(knobs["joints"], np.zeros((0, 2)), np.zeros(0), SIZE, true=True)
    seen, place = camera(knobs, blank), np.array([0, 0, -3 * knobs["focal"]], np.float32)
    for _ in range(6):  # each time nearer to the middle, and to the size
        xy = viz.to_numpy(seen.project(points(true, place, knobs["joints"])))[0].astype(float)
        low, high = xy.min(axis=0), xy.max(axis=0)
        metres = -place[2] / (knobs["focal"] * max(SIZE))  # a pixel's, where the person stands
        u, v = (np.array(SIZE) - low - high) / 2 * metres
        larger = ((high - low) / np.array(SIZE)).max() / FILLED
        place = (place + [u, -v, 0]).astype(np.float32) * np.float32(larger)
    xy = xy + knobs["noise"] * rng.normal(size=xy.shape)
    c = np.ones(len(xy))
    c[rng.permutation(len(xy))[: min(knobs["missing"], len(xy) - 4)]] = 0
    return replace(blank, xy=xy, c=c)


def points(body: dict, place: np.ndarray, joints: str = "smpl"):
    rows = [ui.tensor(x[None]) for x in (body["betas"], body["pose"], place)]
    return SHELF[BODY].keypoints(*rows, joints=joints).cpu()


# -- fitting -----------------------------------------------------------------------------------------------------------


def steps_of(lane: str, knobs: dict, figure: ui.Figure) -> Iterator[Any]:
    """The states of one fitter, which all fit the same body."""
    fitter = SHELF[LGD if lane == "lgd" else DESCENT]
    fitter.set_body(SHELF[BODY])
    how = {"steps": knobs["steps"]}
    if lane == "descent":
        how = {"steps": knobs["descent"], "method": knobs["method"], "prior": knobs["prior"]}
    xy, c = (ui.tensor(x[None].astype(np.float32)) for x in (figure.xy, figure.c))
    return fitter.fit_steps(xy, c, camera(knobs, figure), joints=figure.joints, **how)


@ui.gpu(int(SECONDS))
def walk(lane: str, knobs: dict, figure: ui.Figure) -> Iterator[tuple[float, Any]]:
    """Milliseconds spent so far, sending aside, and the state that they led to."""
    spent, began = 0.0, time.perf_counter()
    for state in steps_of(lane, knobs, figure):
        spent += time.perf_counter() - began
        yield 1000 * spent, state
        began = time.perf_counter()


REHEARSED: set[tuple[str, str]] = set()  # lanes and methods


def rehearse(lane: str, method: str) -> None:
    """The first fit of a lane, off the clock: it sets up the fitter's body, and for L-BFGS torch loads its compiler."""
    if (lane, method) not in REHEARSED:
        figure = ui.Figure("smpl", np.random.default_rng(0).uniform(100, 300, (24, 2)), np.ones(24), SIZE)
        [*steps_of(lane, KNOBS.defaults() | {"descent": 2, "method": method}, figure)]
        REHEARSED.add((lane, method))


def measured(state, figure: ui.Figure, true: dict | None) -> dict[str, Any]:
    """A state's errors: root mean square over the joints that are seen, pixels; and the mean of the joints' distances
    from the true ones, mm, the pelvis in the same place, where the true body is known."""
    found = {"pixels": float(np.sqrt(viz.to_numpy(state.losses)[0])) * figure.box / 2, "mm": None}
    if true is not None:
        off = viz.to_numpy(state.joints)[0] - true["joints"]
        found["mm"] = 1000 * float(np.linalg.norm(off - off[0], axis=1).mean())
    return found


def truth_of(knobs: dict, figure: ui.Figure) -> dict | None:
    """The body behind the figure; None where the figure was moved, or is somebody else's."""
    if not figure.true:
        return None
    true = person(knobs)
    return true | {"joints": viz.to_numpy(points(true, np.zeros(3, np.float32)))[0].astype(float)}


def link(knobs: dict, figure: ui.Figure) -> dict:
    """The query that leads back to what is on the stage."""
    values = KNOBS.query(knobs)
    if not figure.true or not np.array_equal(figure.c > 0, pictured(knobs).c > 0):
        values["points"] = figure.packed()
    return {"names": [*KNOBS, "points"], "values": values}


def clock(ms: float) -> str:
    return f"{ms:.0f} ms" if ms < 999.5 else f"{ms / 1000:.1f} s"


def brief(found: dict) -> str:
    return f"{found['pixels']:.2g} pixels" + ("" if found["mm"] is None else f", {found['mm']:.0f} mm in space")


def race(knobs: dict, figure: ui.Figure, run: ui.Run) -> Iterator[tuple[dict, dict | None]]:
    """What the race shows next, and at the end what came of it: first the learned steps, then the descent."""
    true, back = truth_of(knobs, figure), link(knobs, figure)
    seen, names = camera(knobs, figure), ui.part("models.body").JOINT_SETS["smpl"]
    ghost = None if true is None else {"pose": true["pose"].round(4).ravel().tolist(), "shown": knobs["truth"]}
    shown = ui.Race(
        f"fit-{time.time_ns()}",
        LANES,
        leader="lgd",
        names=names,
        bones=ui.bones(names),
        titles=TITLES,
        unknown=READ if figure.read else MOVED,
        ghosts=["truth-lgd", "truth-descent"],
        truth=ghost and ghost | {"betas": true["betas"].round(3).tolist()},
    )
    found, sent, name = {}, 0.0, {"adam": "Adam", "lbfgs": "L-BFGS"}[knobs["method"]]
    for lane in LANES:
        if lane == "descent" and name == "L-BFGS" and (lane, knobs["method"]) not in REHEARSED:
            yield shown.live("L-BFGS loads some ten seconds long, the first time ...", back), None
        began = run.elapsed
        rehearse(lane, knobs["method"])
        run.started += run.elapsed - began
        for n, (ms, state) in enumerate(walk(lane, knobs, figure)):
            now = measured(state, figure, true)
            uv = viz.to_numpy(seen.project(state.joints.cpu()))[0]
            pose, betas = viz.to_numpy(state.pose)[0], viz.to_numpy(state.betas)[0]
            loss = f"{float(viz.to_numpy(state.losses)[0]):.2g}"
            shown.add(lane, ms, n, (now["pixels"], now["mm"]), uv, pose, betas, loss=loss)
            found[lane] = now | {"ms": ms, "steps": n, "loss": loss}
            if not run.going:
                break
            if lane != "lgd" and run.elapsed - sent > 0.08:
                sent = run.elapsed
                yield shown.live(f"{name}: step {n} of {knobs['descent']}", back), None
        if lane == "lgd" and not run.replaced:
            yield shown.live(f"Learned: {brief(now)} after {clock(ms)}. Now the descent ...", back), None
            time.sleep(DRAWN)
        if run.replaced:
            return
        if run.ended:
            break
    told = [f"{'Learned' if lane == 'lgd' else name}: {brief(f)} after {clock(f['ms'])}" for lane, f in found.items()]
    how = {"stopped": "Stopped. ", "time": f"Out of time after {SECONDS:.0f} s. "}.get(run.ended, "")
    alt = f"A body fitted to {figure.seen} of {len(figure.c)} joints. {'. '.join(told)}."
    yield shown.whole(f"{how}{'. '.join(told)}.", alt=alt, link=back), found


# -- the texts that follow the stage -----------------------------------------------------------------------------------


def equation(knobs: dict, figure: ui.Figure, found: dict) -> str:
    f = found.get("lgd", {})
    now = {
        r"\Theta_n": f'n = <span class="gl-now-n">{f.get("steps", knobs["steps"])}</span> of {knobs["steps"]}: '
        "24 rotations, 10 betas, a place",
        r"\mathcal{N}_w": f"{LGD}: {f['ms'] / max(f['steps'], 1):.0f} ms a step" if f else LGD,
        "x": f"{len(figure.c)} joints, {figure.joints}",
        "c_i": f"{figure.seen} above 0, {len(figure.c) - figure.seen} missing",
        r"X_i(\Theta)": "the body on the left",
        r"\pi": f"focal length {knobs['focal'] * max(figure.size):.0f} pixels",
        "L": f'<span class="gl-now-L">{f.get("loss", "–")}</span> (halves of the box, squared)',
    }
    return ui.equation(FAMILY, "LearnedGradientDescent", now)


def python(knobs: dict, figure: ui.Figure) -> str:
    """Python that fits what is on the stage."""
    rows = [f"[{x:.1f}, {y:.1f}, {c:.3g}]" for (x, y), c in zip(figure.xy, figure.c, strict=True)]
    lines = ["    " + ", ".join(rows[i : i + 4]) + "," for i in range(0, len(rows), 4)]
    (w, h), how = figure.size, f'joints="{figure.joints}"'
    slow = f'{how}, steps={knobs["descent"]}, method="{knobs["method"]}", prior={knobs["prior"]}'
    return ui.python_text(
        "import genlab",
        "import torch",
        "from genlab.models.body import Camera",
        "",
        "dots = torch.tensor([  # x, y, confidence",
        *lines,
        "])",
        "keypoints, confidence = dots[None, :, :2], dots[None, :, 2]",
        f"camera = Camera({knobs['focal'] * max(w, h):g}, ({w / 2:g}, {h / 2:g}), ({w}, {h}))",
        "",
        f'lgd = genlab.from_pretrained("{LGD}")',
        f"fit = lgd.fit(keypoints, confidence, camera, {how}, steps={knobs['steps']})",
        "print(fit.losses, fit.vertices.shape)  # and fit.pose, fit.betas, fit.transl, fit.joints",
        "",
        f'descent = genlab.from_pretrained("{DESCENT}")',
        f"slow = descent.fit(keypoints, confidence, camera, {slow})",
    )


# -- the page ----------------------------------------------------------------------------------------------------------


PACKING = threading.Lock()  # who opens the page while the bodies are packed waits for them, and packs none


def scene() -> dict:
    """The bodies, as all visitors get them."""
    body = SHELF[BODY]
    with PACKING:
        return bodies(body).value()


def bending() -> dict:
    """What bends the bodies' skin, as large as the rest."""
    body = SHELF[BODY]
    with PACKING:
        return ui.Scene.update({}) | {"update": packed_bending(body)}


@functools.lru_cache(maxsize=1)
def packed_bending(body) -> dict:
    return ui.Scene.update({"lgd": {"rig": ui.Rig.of(body)}})["update"]


@functools.lru_cache(maxsize=1)
def bodies(body) -> ui.Scene:
    """Two bodies side by side, each with the ghost of the true one. The race in the page poses them."""
    made = ui.Scene(
        "Two fitted bodies: the learned fit on the left, the descent on the right.",
        name="fit-pose",
        yaw=30,
        pitch=6,
        floor=0,
        box=[[-1.0, 0, -0.3], [1.0, 1.85, 0.3]],
    )
    shape = np.moveaxis(viz.to_numpy(body.shapedirs), 2, 0)
    rig = ui.Rig.of(body, bending=False)
    first = {"color": COLORS["lgd"], "label": LANES["lgd"], "at": PLACES["lgd"]}
    made.mesh("lgd", body.v_template, body.faces, directions=shape, rig=rig, **first)
    made.copy("descent", "lgd", color=COLORS["descent"], label="descent", at=PLACES["descent"])
    for lane, at in PLACES.items():
        made.copy(f"truth-{lane}", "lgd", color=COLORS["truth"], opacity=0.35, at=at, hidden=True)
    return made


def arrival() -> tuple[dict, np.ndarray]:
    """What is on the stage before the first click, computed from the weights; and the gallery's picture."""
    knobs = KNOBS.defaults()
    figure = pictured(knobs)
    *_, (shown, found) = race(knobs, figure, ui.Run())
    fits = [[*steps_of(lane, knobs, figure)][-1] for lane in LANES]
    stand = [viz.to_numpy(fit.vertices - fit.joints[:, :1])[0] for fit in fits]
    vertices = [v + PLACES[lane] for v, lane in zip(stand, LANES, strict=True)]
    colors = [np.tile(list(bytes.fromhex(COLORS[lane][1:])), (len(vertices[0]), 1)) for lane in LANES]
    faces = viz.to_numpy(SHELF[BODY].faces)
    faces = np.concatenate([faces, faces + len(vertices[0])])
    picture = viz.mesh_picture(np.concatenate(vertices), faces, np.concatenate(colors), size=(300, 400), yaw=0)
    shown |= {"still": True, "link": None}  # the address is the visitor's
    return {"figure": figure.value(), "race": shown, "found": found}, picture


def controls(frame: ui.Frame) -> dict:
    """The controls column; the components by knob, and beside them the seed's lock and the upload."""
    made = {}
    with frame.controls:
        with frame.group("What"):
            made["pose"] = KNOBS["pose"].component(elem_classes="gl-chipset", show_label=False)
            made["upload"] = gr.UploadButton("Your keypoints: COCO or OpenPose JSON", file_types=[".json"], size="sm")
        with frame.group("How"):
            for name in ("noise", "missing", "steps", "descent", "prior"):
                made[name] = KNOBS[name].component()
        with frame.group("Seed"), gr.Row(elem_classes="gl-seed"):
            made["seed"] = KNOBS["seed"].component(show_label=False, container=False, min_width=96)
            made["lock"] = gr.Checkbox(False, label="keep it", container=False, min_width=96)
        frame.buttons("Random pose")
        with gr.Accordion("More", open=False):
            made["method"] = KNOBS["method"].component(elem_classes="gl-chipset")
            made["joints"] = KNOBS["joints"].component(elem_classes="gl-chipset")
            for name in KNOBS:
                if name not in made:
                    made[name] = KNOBS[name].component()
    return made


def build() -> gr.Blocks:
    """The page and its events. Nothing is computed here: the stage shows what was computed before, and models load with
    the first page."""
    ready = json.loads(ARRIVAL.read_text(encoding="utf-8")) if ARRIVAL.is_file() else {}
    with (
        gr.Blocks(title=f"{TITLE} · genlab", analytics_enabled=False) as app,
        ui.page(TITLE, SUMMARY, FAMILY, models=MODELS),
    ):
        with ui.frame() as frame:
            made = controls(frame)
            with frame.stage:
                with gr.Row(elem_classes="gl-pair"):
                    with gr.Column(min_width=280):
                        drawn = ui.figure(ready.get("figure"))
                    with gr.Column(min_width=280):
                        view = ui.viewer(ui.Scene.message("The bodies are on their way."))
                shown = ui.race(ready.get("race"))
                frame.suggest(TRY)
            with frame.below:
                law = ui.markdown()
                ui.markdown(NOTICE)
                with gr.Accordion("Python", open=False):
                    code = ui.markdown()
                with gr.Accordion("Under the hood", open=False):
                    source = ui.markdown()
                with gr.Accordion(f"Model card: {LGD}", open=False):
                    card = ui.markdown()
        events(app, frame, made, drawn, view, shown, {"law": law, "code": code, "source": source, "card": card}, ready)
        endpoints()
    return app


def events(app, frame, made, drawn, view, shown, texts: dict, ready: dict) -> None:
    """What happens when."""
    knobs = [made[name] for name in KNOBS]
    asked = gr.Textbox("", visible="hidden", label="asked")  # what the link asks for beyond the page of arrival
    seed = gr.State(KNOBS["seed"].default)  # of the figure on the stage
    example = gr.State(KNOBS["pose"].default)  # which pose it is of, or was before a joint was moved

    def fit(request: gr.Request, values: dict, figure: ui.Figure | None, also: dict | None = None) -> Iterator[dict]:
        """Fit a figure, or the one that the knobs make, and stream it to the stage. `also` goes with what is first."""
        present, also = RUNS.begin(request.session_hash), also or {}
        try:
            for told in news(values, figure, present):
                if present.replaced:
                    break
                yield told | also
                also = {}
        except (GenlabError, ValueError) as error:
            if not present.replaced:
                yield {shown: ui.Race.message(f"{str(error)[:1].upper()}{str(error)[1:]}", error=True)}
        if present.replaced:  # the end of a generator sends its last message again, and None to all if there was none
            yield {shown: gr.skip()}

    def news(values: dict, figure: ui.Figure | None, run: ui.Run) -> Iterator[dict]:
        """What the stage and the texts show next. Raises GenlabError, ValueError."""
        if not SHELF.ready(BODY):
            yield {shown: ui.Race.message("Loading the models, a few seconds the first time.")}
        ours = figure is None
        if ours:
            figure = pictured(values)
            yield {drawn: figure.value(), example: values["pose"]}
        for state, found in race(values, figure, run):
            yield {shown: state}
            if found is not None:
                texts_now = {texts["law"]: equation(values, figure, found), texts["code"]: python(values, figure)}
                # the dots again: those of a run that this one replaced may have reached the page after ours
                yield {seed: values["seed"], **texts_now, **({drawn: figure.value()} if ours else {})}

    def cleaned(values) -> dict:
        return KNOBS.clean(dict(zip(KNOBS, values, strict=True)))

    def posed(request: gr.Request, *values):
        """A knob that makes the figure was moved."""
        yield from fit(request, cleaned(values), None)

    def changed(request: gr.Request, value, pose, *values):
        """A joint was moved or switched, or that undone, or a knob of the fitters moved: the figure stays."""
        figure, knobs, chosen = ui.Figure.of(value), cleaned(values), {}
        if figure is not None:
            if figure.true:
                knobs["pose"] = pose
            chosen = {made["pose"]: gr.Radio(value=pose if figure.true else None)}  # moved, it is none of ours any more
        yield from fit(request, knobs, figure, chosen)

    def uploaded(request: gr.Request, path, *values):
        try:
            with open(path, "rb") as file:
                figure = ui.read_keypoints(file.read(ui.LARGEST + 1))
        except (OSError, TypeError) as error:
            raise gr.Error("That file did not arrive: try again.", print_exception=False) from error
        except GenlabError as error:
            yield {shown: ui.Race.message(str(error), error=True)}
            return
        yield {drawn: figure.value(), made["pose"]: gr.Radio(value=None)}
        yield from fit(request, cleaned(values), figure)

    def opened(request: gr.Request, asked, *values):
        figure, knobs = ui.Figure.unpacked(asked), cleaned(values)
        if figure is not None:
            chosen = {} if figure.true else {made["pose"]: gr.Radio(value=None)}
            yield {drawn: figure.value(), example: knobs["pose"], **chosen}
        if asked:
            yield from fit(request, knobs, figure)

    def restore(request: gr.Request):
        """The state that the link asks for."""
        query = dict(request.query_params)
        values = KNOBS.clean(query)
        text = query.get("points") if ui.Figure.unpacked(query.get("points")) else ""
        return *values.values(), text or ("pose" if KNOBS.query(values) or not ready else "")

    def arrive():
        """The bodies, and the texts of the page of arrival: what needs torch, and so comes after the page."""
        SHELF.warm(lambda: [rehearse(lane, KNOBS["method"].default) for lane in LANES])
        return scene(), ui.under_the_hood(FAMILY, "LearnedGradientDescent"), ui.card_text(LGD)

    def introduce(query: str):
        """What bends the bodies' skin; and the texts, unless a run writes them."""
        bends = bending()
        if query or not ready:
            return bends, gr.skip(), gr.skip()
        figure = ui.Figure.of(ready["figure"])
        return bends, equation(KNOBS.defaults(), figure, ready["found"]), python(KNOBS.defaults(), figure)

    def anyone(now, lock, last):
        """A random pose, of another seed unless it is kept, or was just typed."""
        now = KNOBS["seed"].clean(now)
        typed = now != last
        return "random", now if lock or typed else int(np.random.default_rng().integers(10_000))

    def suggestion(name, now):
        return [*KNOBS.clean(KNOBS.defaults() | {"seed": now} | TRY[name]).values()]

    def over(request: gr.Request):
        RUNS.end(request.session_hash)

    quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    queued = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
    queued |= {"concurrency_limit": 4, "concurrency_id": "fit_pose"}
    stage = [shown, drawn, seed, example, made["pose"], texts["law"], texts["code"]]

    def heard(names):
        return [made[n].release if isinstance(KNOBS[n], ui.Number) else made[n].input for n in names if n != "seed"]

    app.load(restore, None, [*knobs, asked], **quick)
    asked.change(opened, [asked, *knobs], stage, **queued)
    fitting = heard(name for name in KNOBS if name not in POSING)
    gr.on([drawn.input, *fitting], changed, [drawn, example, *knobs], stage, **queued)
    gr.on(heard(POSING), posed, knobs, stage, **queued)
    made["upload"].upload(uploaded, [made["upload"], *knobs], stage, **queued)
    starts = [frame.generate.click(anyone, [made["seed"], made["lock"], seed], [made["pose"], made["seed"]], **quick)]
    starts.append(frame.suggested(suggestion, [made["seed"]], knobs))
    for start in starts:
        start.then(posed, knobs, stage, **queued)
    frame.stop.click(over, **quick)
    arriving = app.load(arrive, None, [view, texts["source"], texts["card"]], **quick)
    arriving.then(introduce, asked, [view, texts["law"], texts["code"]], **quick)


# -- endpoints: for programs, and as MCP tools -------------------------------------------------------------------------


def endpoints() -> None:
    """Name each model function for the API. Whatever a stranger sends is checked."""
    for function in (fit_pose_lgd, fit_pose_adam):
        gr.api(function, api_name=function.__name__, concurrency_limit=2, concurrency_id="fit_pose_api")


def answer(lane: str, keypoints: Any, asked: dict) -> dict:
    """Each state of a fit, as JSON."""
    knobs = KNOBS.clean(asked)
    try:
        figure = ui.read_keypoints(keypoints)
        rehearse(lane, knobs["method"])
        run, states = ui.Run(SECONDS), []
        for ms, state in walk(lane, knobs, figure):
            arrays = {name: viz.to_numpy(getattr(state, name))[0] for name in ("pose", "betas", "transl", "joints")}
            told = {name: [] if not np.isfinite(x).all() else x.round(5).tolist() for name, x in arrays.items()}
            loss = float(viz.to_numpy(state.losses)[0])
            states.append({"ms": round(ms, 2), "loss": loss if np.isfinite(loss) else None, **told})
            if not run.going:
                break
    except (GenlabError, ValueError) as error:
        raise gr.Error(str(error), print_exception=False) from None
    about = {"joints": figure.joints, "seen": figure.seen, "size": list(figure.size)}
    return about | {"focal": knobs["focal"] * max(figure.size), "complete": not run.ended, "steps": states}


def fit_pose_lgd(keypoints: dict, steps: int = 4, focal: float = 2.0) -> dict:
    """Fit a body to the joints of a person in a picture by learned gradient descent: after each step the pose (24
    rotation vectors), betas (10), place and joints (metres, camera space, y up), loss, and milliseconds so far.

    Args:
        keypoints: COCO {"keypoints": [x, y, v, ...]}, OpenPose {"people": [{"pose_keypoints_2d": [x, y, c, ...]}]}, or
            {"keypoints": [[x, y, c], ...]} with 24 (SMPL), 17, 18 or 25 rows; "size": [width, height] of the picture
        steps: 0 (the first guess alone) to 12; it was trained for 4
        focal: focal length in sides of the picture, 0.5 to 5
    """
    return answer("lgd", keypoints, {"steps": steps, "focal": focal})


def fit_pose_adam(
    keypoints: dict, steps: int = 200, method: str = "adam", prior: float = 1.0, focal: float = 2.0
) -> dict:
    """Fit a body to the joints of a person in a picture by ordinary descent with a prior: answers as /fit_pose_lgd.

    Args:
        keypoints: as of /fit_pose_lgd
        steps: 10 to 600
        method: "adam" or "lbfgs"
        prior: weight of the prior, 0 (none) to 4
        focal: focal length in sides of the picture, 0.5 to 5
    """
    return answer("descent", keypoints, {"descent": steps, "method": method, "prior": prior, "focal": focal})
