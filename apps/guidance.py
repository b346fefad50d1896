"""Guidance: one knob between "any digit" and "surely a seven"."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np

from genlab import GenlabError, ui, viz
from genlab.ui import pipeline_tab

TITLE = "Guidance"
SUMMARY = 'Turn one knob from "any digit" to "surely a seven": quality against diversity.'
FAMILY = "diffusion"
MODELS = ["ddpm-mnist", "noisy-classifier-mnist", "cnn-mnist"]

DDPM, CLASSIFIER, JUDGE = MODELS
DIGITS = [str(digit) for digit in range(10)]
KNOBS = ui.Knobs(
    label=ui.Choice("Class", "all", [*zip(DIGITS, DIGITS, strict=True), ("all ten", "all"), ("any", "any")]),
    guidance=ui.Number("rho (diffusers guidance_scale = 1 + rho)", 2.0, 0, 12, 0.1),
    steps=ui.Number("Steps", 50, 5, 100),
    sampler=ui.Choice("Sampler", "ddim", ["ddim", "ddpm", "dpm++", "unipc"]),
    seed=ui.Number("Seed", 7, 0, 2**31 - 1, box=True),
    n=ui.Number("Pictures", 20, 1, 20),
    eta=ui.Number("eta (DDIM only: 0 adds no noise, 1 as much as DDPM)", 0.0, 0, 1, 0.05),
    low=ui.Number("From t / T (guidance acts)", 0.0, 0, 1, 0.05),
    high=ui.Number("Up to t / T (guidance acts)", 1.0, 0, 1, 0.05),
    rescale=ui.Number("Rescale (brings the spread of the noise back)", 0.0, 0, 1, 0.05),
    classifier=ui.Number("Classifier scale (a second network pushes too)", 0.0, 0, 10, 0.1),
    reach=ui.Number("Keep around strokes (pixels, when you draw)", 0, 0, 6),
)
TRY = {  # the lesson in order; a knob that is not named goes back to its default, except seed and number
    "no guidance": {"guidance": 0.0},
    "a little": {"guidance": 1.0},
    "too much": {"guidance": 12.0},
    "only in the middle": {"guidance": 12.0, "low": 0.3, "high": 0.8},
    "all sevens": {"label": "7", "guidance": 6.0},
    "a classifier instead": {"guidance": 0.0, "classifier": 4.0},
}
NOTICE = """
## What to notice
- At rho = 0 the network is only *told* the class: strokes break, and a few digits in a hundred read as another (✗).
- A little guidance mends that. More makes every digit more typical, and all digits of a class alike: agreement rises,
  diversity falls.
- The same noise leads to the same pose at every rho: noise decides slant and width, guidance the class.
- Drag the scrubber. The judge is sure long before the picture is sharp. Guidance that acts only in the middle draws
  digits that read as well, and keeps most of the diversity (try "only in the middle").
"""
WATCH, SWEEP, DRAW = VIEWS = ("watch", "sweep", "draw")
READY, BEGUN, WHOLE = "ready", "begun", "whole"  # of a film: it came with the page, runs or was left, or is done
RHOS = (0.0, 1.0, 2.0, 4.0, 8.0)
PANELS = ("xₜ: what the sampler holds", "x̂₀: the digit the network sees in it")
DRAWING = ui.drawn(ui.strokes([[(9, 8), (12, 5.5), (16, 5.5), (19, 8)]]))  # the top of a 0, 2, 3, 8 or 9
SECONDS = 60.0  # of a run, by the clock on the wall
RUNS = ui.Runs(SECONDS)
SHELF = ui.Shelf(*MODELS, fast=(DDPM,))
ARRIVAL = Path(__file__).parent / "pictures" / "guidance.json"  # written by `python -m scripts.arrival guidance`


# -- what all views and endpoints are made of --------------------------------------------------------------------------


def asked(label: str, n: int) -> list[int] | None:
    """The class of each of n pictures; None for any."""
    if label == "any":
        return None
    return [i % 10 if label == "all" else int(label) for i in range(n)]


def denoise(knobs: dict, n: int, known=None, mask=None) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """After each step: t, x_t and the predicted x_0 as bytes (n, 28, 28), and the judge's probabilities (n, 10)."""
    states = SHELF[DDPM].sample_steps(
        n,
        label=asked(knobs["label"], n),
        guidance=knobs["guidance"],
        steps=knobs["steps"],
        sampler=knobs["sampler"],
        eta=knobs["eta"],
        interval=(min(knobs["low"], knobs["high"]), max(knobs["low"], knobs["high"])),
        rescale=knobs["rescale"],
        classifier=SHELF[CLASSIFIER] if knobs["classifier"] else None,
        classifier_scale=knobs["classifier"],
        known=ui.tensor(known),
        mask=ui.tensor(mask),
        generator=ui.seeded(knobs["seed"]),
    )
    for t, x_t, x_0 in states:
        x_t, x_0 = ((x + 1) / 2 for x in (x_t, x_0))
        logits = ui.infer(SHELF[JUDGE], x_0.clamp(0, 1))
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        yield t, viz.to_uint8(x_t), viz.to_uint8(x_0), odds / odds.sum(axis=1, keepdims=True)


@ui.gpu(int(SECONDS))
def walk(rows: list[dict], n: int, known=None, mask=None) -> Iterator[tuple]:
    """The states of several runs abreast, one for each set of knobs: all of them hold one accelerator, once."""
    yield from zip(*(denoise(knobs, n, known, mask) for knobs in rows), strict=True)


def verdict(images: np.ndarray, odds: np.ndarray, label: str) -> dict:
    """What the judge reads, how often that is what was asked, and how much pictures of one class differ.

    Diversity is the variance of a pixel among pictures of one class, averaged; None unless some class came twice.
    """
    labels, reads = asked(label, len(images)), odds.argmax(axis=1)
    right = None if labels is None else reads == np.array(labels)
    x, spread = images.reshape(len(images), -1) / 255, []
    for digit in set(labels or ()):
        same = x[np.array(labels) == digit]
        spread += [same.var(axis=0, ddof=1).mean()] if len(same) > 1 else []
    sure = odds.max(axis=1) if labels is None else odds[np.arange(len(odds)), labels]
    return {
        "reads": [int(digit) for digit in reads],
        "marks": [f"{d}" if right is None else f"{d} {'✗✓'[int(right[i])]}" for i, d in enumerate(reads)],
        "agreement": None if right is None else float(right.mean()),
        "diversity": float(np.mean(spread)) if spread else None,
        "confidence": float(sure.mean()),
    }


def summary(found: dict, n: int) -> str:
    """A verdict in a few words."""
    if found["agreement"] is None:
        return f"the judge reads {', '.join(map(str, found['reads']))}"
    text = f"{round(found['agreement'] * n)} of {n} read as asked"
    return text + ("" if found["diversity"] is None else f", diversity {found['diversity']:.3f}")


def settings(knobs: dict) -> str:
    text = f"rho {knobs['guidance']:g}, {knobs['steps']} {knobs['sampler']} steps, seed {knobs['seed']}"
    return text + (f", classifier scale {knobs['classifier']:g}" if knobs["classifier"] else "")


def known_part(drawing: str, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """The drawn picture (1, 28, 28), and where it holds: all within `reach` pixels of a stroke."""
    known = ui.ink(drawing)
    padded = np.pad(known > 0.05, reach)
    mask = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1)).any(axis=(2, 3))
    return known[None], mask[None]


# -- the three views: each yields what its film shows next, and at the end what the judge found ----------------------


def film_of(view: str, knobs: dict, n: int, **about) -> ui.Film:
    acts = knobs["guidance"] > 0 or knobs["classifier"] > 0
    band = (1000 * min(knobs["low"], knobs["high"]), 1000 * max(knobs["low"], knobs["high"])) if acts else None
    words = {name: word for name, word in KNOBS.words(knobs).items() if name != KNOBS["seed"].label}
    return ui.Film(
        f"{view}-{time.time_ns()}", of=knobs["steps"], band=band, knobs=words, noise=str(knobs["seed"]), **about
    )


def link(view: str, knobs: dict, drawing: str = "") -> dict:
    """The query that leads back to what is on the stage."""
    values = KNOBS.query(knobs) | ({"view": view} if view != WATCH else {})
    if view == DRAW and drawing != DRAWING:
        values["ink"] = ui.packed(drawing)
    return {"names": [*KNOBS, "view", "ink"], "values": values}


def progress(run: ui.Run, done: int, of: int) -> str:
    return f"Step {done} of {of}" + (f", {run.left(done, of):.1f} s left" if done > 2 else "")  # before: a guess


def ending(run: ui.Run, done: int, of: int, text: str) -> str:
    """The last line of a run: how it ended, and what came of it."""
    how = {"stopped": f"Stopped after {done} of {of} steps: ", "time": f"Out of time after {done} of {of} steps: "}
    return how.get(run.ended, "") + text


def watch(knobs: dict, run: ui.Run, drawing: str, view: str = WATCH) -> Iterator[tuple[dict, dict | None]]:
    """Pictures while they form: x_t beside the predicted x_0."""
    drawing = drawing if view == DRAW else ""
    n = min(knobs["n"], 10) if drawing else knobs["n"]
    film = film_of(view, knobs, n, panels=PANELS[1:] if drawing else PANELS, columns=min(n, 5), score="judge")
    part = known_part(drawing, knobs["reach"]) if drawing else ()
    shown = 0.0
    for ((t, x_t, x_0, odds),) in walk([knobs], n, *part):
        found = verdict(x_0, odds, knobs["label"])
        film.add(t, *([x_0] if drawing else [x_t, x_0]), captions=found["marks"], score=found["confidence"])
        if not run.going:
            break
        if run.elapsed - shown > 0.04:  # 25 pictures a second are enough for the eye
            shown = run.elapsed
            yield film.live(progress(run, len(film.frames), knobs["steps"]), link(view, knobs, drawing)), None
    if run.replaced:
        return
    done = len(film.frames)
    text = f"{summary(found, n)} (judge {JUDGE}). {done} {knobs['sampler']} steps{run.took}."
    what = "completions of the drawing" if drawing else "generated digits"
    alt = f"{n} {what} at {settings(knobs)}; {summary(found, n)}."
    yield film.whole(ending(run, done, knobs["steps"], text), alt=alt, link=link(view, knobs, drawing)), found


def sweep(knobs: dict, run: ui.Run, drawing: str) -> Iterator[tuple[dict, dict | None]]:
    """rho by seed: a row for each rho, a column for each noise; all rows walk down from T together."""
    n = 10
    film = film_of(
        SWEEP, knobs, n, panels=["Each column starts from the same noise"], columns=n, rows=[f"rho {r:g}" for r in RHOS]
    )
    shown = 0.0
    for states in walk([knobs | {"guidance": rho} for rho in RHOS], n):
        found = [verdict(x_0, odds, knobs["label"]) for _, _, x_0, odds in states]
        marks = [mark for row in found for mark in row["marks"]]
        score = float(np.mean([row["confidence"] for row in found]))
        film.add(states[0][0], np.concatenate([x_0 for _, _, x_0, _ in states]), captions=marks, score=score)
        if not run.going:
            break
        if run.elapsed - shown > 0.04:
            shown = run.elapsed
            yield film.live(progress(run, len(film.frames), knobs["steps"]), link(SWEEP, knobs)), None
    if run.replaced:
        return
    notes = [summary(row, n) for row in found]
    alt = f"Digits from the same noise: {'; '.join(f'rho {r:g}: {note}' for r, note in zip(RHOS, notes, strict=True))}."
    text = f"{len(RHOS)} x {n} pictures{run.took} (judge {JUDGE})."
    done = ending(run, len(film.frames), knobs["steps"], text)
    yield film.whole(done, alt=alt, link=link(SWEEP, knobs), notes=notes), {"rows": found}


def draw(knobs: dict, run: ui.Run, drawing: str) -> Iterator[tuple[dict, dict | None]]:
    """The drawn part stays, the rest forms around it."""
    if not drawing:
        yield ui.Film.message("Draw part of a digit first, on the black square."), None
        return
    yield from watch(knobs, run, drawing, DRAW)


VIEW = {WATCH: watch, SWEEP: sweep, DRAW: draw}


# -- the texts that follow the stage -----------------------------------------------------------------------------------


def equation(knobs: dict) -> str:
    rho = knobs["guidance"]
    told = {"all": "each picture its digit", "any": "nothing: no class is asked"}.get(
        knobs["label"], f"y = {knobs['label']}"
    )
    now = {
        r"\rho": f"**{rho:g}**",
        r"\epsilon_\theta(x_t, y, t)": told,
        r"\epsilon_\theta(x_t, t)": "nothing" if rho else "not computed at rho = 0",
        r"\epsilon^*": f"{1 + rho:g} × told − {rho:g} × untold" if rho else "as told",
        "t": '<span class="gl-now-t">0</span>' + f", acts in {1000 * knobs['low']:g} … {1000 * knobs['high']:g}",
    }
    law = ui.equation(FAMILY, "ClassifierFreeGuidance", now)
    if knobs["classifier"]:  # then the noise that this law gives is what the classifier pushes further
        pushed = {
            r"\epsilon_\theta(x_t, y, t)": "what the law above gives",
            "s": f"**{knobs['classifier']:g}**",
            r"p_\phi(y \mid x_t, t)": f"{CLASSIFIER} reads it",
            "t": now["t"],
        }
        law += "\n\n" + ui.equation(FAMILY, "ClassifierGuidance", pushed)
    return law


def python(view: str, knobs: dict, drawing: str) -> str:
    """Python that draws what is on the stage."""
    n = {WATCH: knobs["n"], SWEEP: 10, DRAW: min(knobs["n"], 10)}[view]
    labels = asked(knobs["label"], n)
    arguments = {
        "label": labels if labels is None or knobs["label"] == "all" else labels[0],
        "guidance": "rho" if view == SWEEP else knobs["guidance"],
        "steps": knobs["steps"],
        "sampler": repr(knobs["sampler"]),
        "eta": knobs["eta"],
        "interval": (min(knobs["low"], knobs["high"]), max(knobs["low"], knobs["high"])),
        "rescale": knobs["rescale"],
        "classifier": f'genlab.from_pretrained("{CLASSIFIER}")' if knobs["classifier"] else None,
        "classifier_scale": knobs["classifier"],
        **({"known": "known", "mask": "mask"} if view == DRAW else {}),
        "generator": f"torch.Generator().manual_seed({knobs['seed']})",
    }
    defaults = {"label": None, "guidance": 0.0, "steps": 50, "sampler": "'ddim'", "eta": 0.0, "interval": (0.0, 1.0)}
    defaults |= {"rescale": 0.0, "classifier": None, "classifier_scale": 0.0}
    call = ui.call_text("ddpm.sample", {"n": n} | arguments, defaults)
    lines = ["import genlab", "import torch", "", f'ddpm = genlab.from_pretrained("{DDPM}", dtype=genlab.fast_dtype())']
    if view == DRAW:
        lines = [
            "import base64",
            "import zlib",
            "",
            *lines,
            f'pixels = zlib.decompress(base64.urlsafe_b64decode("{ui.packed(drawing)}=="))',
            "known = torch.tensor(list(pixels)).reshape(1, 28, 28) / 255",
            f"reach = {knobs['reach']}  # pixels around the strokes that are kept",
            "mask = torch.nn.functional.max_pool2d((known > 0.05).float(), 2 * reach + 1, 1, reach)",
        ]
    if view == SWEEP:
        return ui.python_text(
            *lines, "images = {}", f"for rho in {RHOS}:", *(f"    {x}" for x in f"images[rho] = {call}".splitlines())
        )
    return ui.python_text(*lines, f"images = {call}")


def chart(points: list[tuple[float, float, str]]) -> str:
    """Agreement against diversity: the card's curve over rho, and what this visitor's runs measured."""
    measured = {}
    for name in ("agreement", "diversity"):
        for entry in ui.measured(DDPM, name):
            at = entry.get("settings", {})
            if at.keys() == {"rho", "steps", "sampler"} and (at["steps"], at["sampler"]) == (50, "ddim"):
                measured.setdefault(at["rho"], {})[name] = entry["value"]
    curve = sorted((rho, pair) for rho, pair in measured.items() if len(pair) == 2)
    lines = []
    if curve:
        xy = [(pair["diversity"], 100 * pair["agreement"]) for _, pair in curve]
        lines.append(viz.Line(xy, [f"rho {rho:g}" for rho, _ in curve], color="var(--body-text-color-subdued)"))
    if points:
        xy = [(diversity, 100 * agreement) for diversity, agreement, _ in points]
        lines.append(viz.Line(xy[:-1], [word for *_, word in points[:-1]], joined=False))
        lines.append(viz.Line(xy[-1:], [f"now: {points[-1][2]}"], joined=False, now=True))
    said = "; ".join(f"{word}: agreement {100 * a:.3g} %, diversity {d:.3g}" for d, a, word in points)
    alt = f"Agreement against diversity. {said or 'No run measured yet'}."
    drawn = viz.line_chart(
        lines,
        x="diversity within a class (pixel variance)",
        y="read as asked (%)",
        alt=alt,
        width=560,
        height=340,
        y_most=100,
        y_span=5,
    )
    return "<h2>Quality against diversity</h2>" + (drawn or "<p>Generate, and your run appears here.</p>")


def remember(points: list, knobs: dict, found: dict) -> list:
    """The chart's points with those of one more run; the last dozen."""
    rows = zip(RHOS, found["rows"], strict=True) if "rows" in found else [(knobs["guidance"], found)]
    also = f", classifier {knobs['classifier']:g}" if knobs["classifier"] else ""
    known = [(rho, row) for rho, row in rows if row["diversity"] is not None]
    return [*points, *((row["diversity"], row["agreement"], f"rho {rho:g}{also}") for rho, row in known)][-12:]


# -- the page ----------------------------------------------------------------------------------------------------------


def arrival() -> tuple[dict, np.ndarray]:
    """What is on the stage before the first click, computed from the weights: a film for each view; and the gallery's
    picture, the sweep over rho."""
    films = {}
    for view in VIEWS:
        *_, (film, found) = VIEW[view](KNOBS.defaults(), ui.Run(), DRAWING)
        films[view] = film | {"found": found}
    rows = [finished(ui.Run(), KNOBS.defaults() | {"guidance": rho}, 10)[0] for rho in RHOS]
    return films, viz.tile(np.concatenate(rows), 10, gap=1, scale=3)


def controls(frame: ui.Frame) -> dict:
    """The controls column; the components by knob, and the lock of the seed under "lock"."""
    made = {}
    with frame.controls:
        with frame.group("What"):
            made["label"] = KNOBS["label"].component(elem_classes="gl-chipset", show_label=False)
        with frame.group("How"):
            for name in ("guidance", "steps"):
                made[name] = KNOBS[name].component()
            made["sampler"] = KNOBS["sampler"].component(elem_classes="gl-chipset")
        with frame.group("Seed"), gr.Row(elem_classes="gl-seed"):
            made["seed"] = KNOBS["seed"].component(show_label=False, container=False, min_width=96)
            made["lock"] = gr.Checkbox(False, label="keep it", container=False, min_width=96)
        frame.buttons()
        with gr.Accordion("More", open=False):
            for name in KNOBS:
                if name not in made:
                    made[name] = KNOBS[name].component()
    return made


def build() -> gr.Blocks:
    """The app: the lesson, and beside it a tab for other people's pipelines, where visitors may use one."""
    with (
        gr.Blocks(title=f"{TITLE} · genlab", analytics_enabled=False) as app,
        ui.page(TITLE, SUMMARY, FAMILY, models=MODELS),
    ):
        if pipeline_tab.offered():
            with gr.Tabs(elem_classes="gl-apps"):
                with gr.Tab("Our digits"):
                    lesson(app)
                with gr.Tab("Any pipeline", elem_classes="gl-waits"):  # for the button
                    pipeline_tab.build_tab(app)
        else:
            lesson(app)
        endpoints()
    return app


def lesson(app: gr.Blocks) -> None:
    """The page's content and its events. Nothing is computed here: the stage shows what the weights drew before, and
    models load with the first page."""
    ready = json.loads(ARRIVAL.read_text(encoding="utf-8")) if ARRIVAL.is_file() else {}
    with ui.frame() as frame:
        made = controls(frame)
        with frame.stage:
            with gr.Tabs(elem_classes="gl-views") as tabs:
                with gr.Tab("Watch", id=WATCH) as first:
                    films = {WATCH: ui.film(ui.Film.still(ready.get(WATCH)))}
                with gr.Tab("Sweep rho", id=SWEEP) as second:
                    films[SWEEP] = ui.film(ui.Film.still(ready.get(SWEEP)))
                with gr.Tab("Draw", id=DRAW) as third, gr.Row():
                    with gr.Column(scale=2, min_width=200):
                        pad = ui.pad(value=DRAWING)
                    with gr.Column(scale=5, min_width=300):
                        films[DRAW] = ui.film(ui.Film.still(ready.get(DRAW)))
            frame.suggest(TRY)
        with frame.below:
            with gr.Row(elem_classes="gl-two"):
                with gr.Column(min_width=320):
                    law = ui.markdown()
                with gr.Column(min_width=320):
                    trade = gr.HTML(apply_default_css=False)
            ui.markdown(NOTICE)
            with gr.Accordion("Python", open=False):
                code = ui.markdown()
            with gr.Accordion("Under the hood", open=False):
                source = ui.markdown()
            with gr.Accordion(f"Model card: {DDPM}", open=False):
                card = ui.markdown()

    # Which view is open; none before the link has been read. Not a State, for it must change together with the knobs.
    view = gr.Textbox("", visible="hidden", label="view")
    runs_so_far = gr.State(remember([], KNOBS.defaults(), ready[WATCH]["found"]) if ready else [])
    # what the film of each view shows: knobs, drawing, and whether it is READY, BEGUN or WHOLE
    on_stage = gr.State({name: [KNOBS.defaults(), DRAWING, READY] for name in ready})
    asked = gr.State(None)  # the seed of the last Generate, which may not be on the stage yet
    knobs = [made[name] for name in KNOBS]
    panels = [law, trade, code]

    def written(view, values, drawing, points):
        """The panels' texts for the run that is on the stage."""
        return {law: equation(values), trade: chart(points), code: python(view, values, drawing)}

    def restore(request: gr.Request):
        """The state that the link asks for."""
        query = dict(request.query_params)
        values = KNOBS.clean(query)
        at = query.get("view") if query.get("view") in VIEWS else WATCH
        drawing = ui.unpacked(query.get("ink")) or DRAWING
        return *values.values(), drawing, at, gr.Tabs(selected=at)

    def introduce():
        """What needs torch, and so comes after the page: the models, and the source of the equation."""
        SHELF.warm(lambda: [*denoise(KNOBS.defaults() | {"steps": 5}, 2)])
        return ui.under_the_hood(FAMILY, "ClassifierFreeGuidance"), ui.card_text(DDPM)

    def opened(name: str):
        """A view was opened; gradio says so of the first one too, as the page appears, which is to be ignored."""
        return lambda view: name if view else gr.skip()

    def refresh(request: gr.Request, view, drawing, points, showing, *values):
        """Run the view that is open, unless its film shows just that, or is about to."""
        values = KNOBS.clean(dict(zip(KNOBS, values, strict=True)))
        if view not in VIEWS or RUNS.going(request.session_hash, (view, values, drawing)):
            return
        if showing.get(view) in ([values, drawing, READY], [values, drawing, WHOLE]):
            came = showing[view][2] == READY  # of this film, the page itself brought the last picture only
            yield {films[view]: ready[view] if came else {"link": link(view, values, drawing)}}
            yield written(view, values, drawing, points)
            return
        yield from run(request, view, drawing, points, showing, *values.values())

    def run(request: gr.Request, view, drawing, points, showing, *values):
        """Run the view that is open, and stream it to its film."""
        if view not in VIEWS:
            return
        values, stage = KNOBS.clean(dict(zip(KNOBS, values, strict=True))), films[view]
        drawing = drawing if ui.ink(drawing).any() else ""  # whatever a stranger sends
        present = RUNS.begin(request.session_hash, (view, values, drawing))
        yield {on_stage: showing | {view: [values, drawing, BEGUN]}}
        try:
            if not SHELF.ready(JUDGE):
                yield {stage: ui.Film.message("Loading the models, a few seconds the first time.", wait=True)}
            for i, (shown, found) in enumerate(VIEW[view](values, present, drawing)):
                yield {stage: shown}
                if i == 0 and "message" not in shown:  # from here on the page is about this run
                    yield {law: equation(values), code: python(view, values, drawing)}
                if found:
                    if view != DRAW and not present.ended:  # half a run is no measurement
                        points = remember(points, values, found)
                    showing = showing | {view: [values, drawing, WHOLE]}
                    yield {runs_so_far: points, on_stage: showing, **written(view, values, drawing, points)}
        except GenlabError as error:
            yield {stage: ui.Film.message(str(error), error=True)}

    def over(request: gr.Request):
        RUNS.end(request.session_hash)

    def moved(request: gr.Request):
        """A control moved, or was only touched: the present run ends at its next step, and the next one begins."""
        RUNS.end(request.session_hash, "replaced")

    def fresh(seed, lock, view, showing, before, request: gr.Request):
        """Generate: another seed, unless it is kept, or was just typed: it is not the one on the stage, or on its way
        there."""
        moved(request)
        seed = KNOBS["seed"].clean(seed)
        typed = view in showing and seed not in (showing[view][0]["seed"], before)
        seed = seed if lock or typed else int(np.random.default_rng().integers(10_000))
        return seed, seed

    def suggestion(name, seed, n, request: gr.Request):
        moved(request)
        return [*KNOBS.clean(KNOBS.defaults() | {"seed": seed, "n": n} | TRY[name]).values()]

    quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    sliders = [made[name].release for name, knob in KNOBS.items() if isinstance(knob, ui.Number) and not knob.box]
    starts = [
        (refresh, gr.on([*sliders, made["label"].input, made["sampler"].input, pad.input], moved, **quick)),
        (
            run,
            frame.generate.click(
                fresh,
                [made["seed"], made["lock"], view, on_stage, asked],
                [made["seed"], asked],
                trigger_mode="always_last",
                **quick,
            ),
        ),
        (run, frame.suggested(suggestion, [made["seed"], made["n"]], knobs)),
    ]
    state = [view, pad, runs_so_far, on_stage, *knobs]
    shown = [*films.values(), runs_so_far, on_stage, *panels]
    queued = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
    queued |= {"concurrency_limit": 2, "concurrency_id": "guidance"}
    # The link names a view, and so does a tab: either way the change of view is what runs, once. No event that runs
    # nothing is queued beside it: as it ends, gradio closes the page's stream, now and then under the one that follows.
    app.load(restore, None, [*knobs, pad, view, tabs], **quick)
    for tab, name in ((first, WATCH), (second, SWEEP), (third, DRAW)):
        tab.select(opened(name), view, view, **quick)
    view.change(refresh, state, shown, **queued)
    for function, start in starts:
        start.then(function, state, shown, **queued)
    frame.stop.click(over, js=ui.STOPPING, **quick)
    app.load(introduce, None, [source, card], **quick)


# -- endpoints: for programs, and as MCP tools -------------------------------------------------------------------------


def endpoints() -> None:
    """Name each model function for the API. Input is cleaned by the knobs, whatever a stranger sends."""
    for function in (guidance_sample, guidance_grid, guidance_inpaint, guidance_compare):
        gr.api(function, api_name=function.__name__, concurrency_limit=2, concurrency_id="guidance")


def finished(run: ui.Run, knobs: dict, n: int, *part: np.ndarray) -> tuple[np.ndarray, dict]:
    """Pictures as bytes (n, 28, 28) and what the judge found, after all steps or when the run's time is over."""
    step, began = 0, run.elapsed
    for ((_, _, x_0, odds),) in walk([knobs], n, *part):  # noqa: B007 (the last ones are used below)
        step += 1
        if not run.going:
            break
    found = verdict(x_0, odds, knobs["label"])
    del found["marks"]
    return x_0, found | {"steps": step, "complete": step == knobs["steps"], "seconds": round(run.elapsed - began, 3)}


def guidance_sample(
    label: str = "all",
    guidance: float = 2.0,
    steps: int = 50,
    sampler: str = "ddim",
    seed: int = 7,
    n: int = 20,
    eta: float = 0.0,
    low: float = 0.0,
    high: float = 1.0,
    rescale: float = 0.0,
    classifier: float = 0.0,
) -> tuple[gr.FileData, dict]:
    """Draw handwritten digits with guided diffusion: one PNG of all of them, and what a classifier reads in each.

    Args:
        label: a digit "0" to "9", "all" for the ten in turn, or "any" for no condition
        guidance: rho, 0 (none) to 12; the guidance_scale of diffusers is 1 + rho
        steps: 5 to 100
        sampler: "ddim", "ddpm", "dpm++" or "unipc"
        seed: 0 to 2147483647; the same seed draws the same digits
        n: how many, 1 to 20
        eta: for ddim, 0 (deterministic) to 1 (as random as ddpm)
        low: guidance acts from this share of the noise levels, 0 to 1
        high: guidance acts up to this share, 0 to 1
        rescale: 0 (off) to 1, brings the spread of the guided noise back to that of the conditional one
        classifier: scale of the push by a noisy classifier, 0 (off) to 10
    """
    knobs = KNOBS.clean(locals())
    images, found = finished(ui.Run(SECONDS), knobs, knobs["n"])
    return ui.picture_file(viz.tile(images, 5, gap=1, scale=4)), {"knobs": knobs, **found}


def guidance_grid(
    label: str = "7", steps: int = 50, sampler: str = "ddim", seed: int = 7, n: int = 8
) -> tuple[gr.FileData, dict]:
    """Draw the same noises at rho 0, 1, 2, 4 and 8: a PNG with a row for each rho, and agreement and diversity by row.

    Args:
        label: a digit "0" to "9", "all" for the ten in turn, or "any" for no condition
        steps: 5 to 100
        sampler: "ddim", "ddpm", "dpm++" or "unipc"
        seed: 0 to 2147483647
        n: how many in a row, 1 to 20
    """
    knobs = KNOBS.clean(locals())
    run = ui.Run(SECONDS)  # one for all rows: what a call may cost is bounded
    images, found = zip(*(finished(run, knobs | {"guidance": rho}, knobs["n"]) for rho in RHOS), strict=True)
    rows = [{"guidance": rho, **row} for rho, row in zip(RHOS, found, strict=True)]
    return ui.picture_file(viz.tile(np.concatenate(images), knobs["n"], gap=1, scale=4)), {"knobs": knobs, "rows": rows}


def guidance_inpaint(
    drawing: list[list[float]],
    label: str = "any",
    guidance: float = 2.0,
    steps: int = 50,
    seed: int = 7,
    n: int = 10,
    reach: int = 0,
) -> tuple[gr.FileData, dict]:
    """Finish a digit of which a part is drawn: a PNG of several completions, and what a classifier reads in each.

    Args:
        drawing: 28 rows of 28 numbers from 0 (paper) to 1 (ink); must hold some ink
        label: a digit "0" to "9", "all" for the ten in turn, or "any" for no condition
        guidance: rho, 0 (none) to 12
        steps: 5 to 100
        seed: 0 to 2147483647
        n: how many, 1 to 10
        reach: what lies within so many pixels of the ink is kept too, 0 to 6
    """
    knobs = KNOBS.clean(locals())
    try:
        paper = np.nan_to_num(np.asarray(drawing, dtype=np.float32), posinf=1)
    except (TypeError, ValueError, OverflowError):
        paper = np.zeros(0)
    if paper.shape != (28, 28) or not (paper > 0.05).any():
        raise gr.Error(
            "drawing is 28 rows of 28 numbers between 0 and 1, some of them above 0.05", print_exception=False
        )
    images, found = finished(ui.Run(SECONDS), knobs, min(knobs["n"], 10), *known_part(ui.drawn(paper), knobs["reach"]))
    return ui.picture_file(viz.tile(images, 5, gap=1, scale=4)), {"knobs": knobs, **found}


def guidance_compare(
    knob: str = "guidance",
    before: str = "0",
    after: str = "4",
    label: str = "all",
    guidance: float = 2.0,
    steps: int = 50,
    sampler: str = "ddim",
    seed: int = 7,
    n: int = 10,
) -> tuple[gr.FileData, dict]:
    """Change one knob and nothing else, same noise: a PNG with the digits before above those after, and both verdicts.

    Args:
        knob: guidance, steps, sampler, eta, low, high, rescale, classifier, label or seed
        before: its value in the first row
        after: its value in the second row
        label: a digit "0" to "9", "all" for the ten in turn, or "any" for no condition
        guidance: rho, 0 (none) to 12
        steps: 5 to 100
        sampler: "ddim", "ddpm", "dpm++" or "unipc"
        seed: 0 to 2147483647
        n: how many in a row, 1 to 20
    """
    common = KNOBS.clean(locals())
    knobs = [name for name in KNOBS if name not in ("n", "reach")]
    if knob not in knobs:
        raise gr.Error(f"knob is one of {', '.join(knobs)}", print_exception=False)
    rows = [KNOBS.clean(common | {knob: value}) for value in (before, after)]
    run = ui.Run(SECONDS)
    images, found = zip(*(finished(run, row, common["n"]) for row in rows), strict=True)
    moved = float(np.abs(images[1].astype(float) - images[0]).mean() / 255)
    answer = {"knob": knob, "before": found[0] | {"knobs": rows[0]}, "after": found[1] | {"knobs": rows[1]}}
    picture = viz.tile(np.concatenate(images), common["n"], gap=1, scale=4)
    return ui.picture_file(picture), answer | {"mean_change": moved}
