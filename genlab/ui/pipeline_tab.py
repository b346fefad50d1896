"""A tab that paints with any Stable-Diffusion-like pipeline of diffusers: the same knobs, rho first of all.

    if offered():
        with gr.Tab("Your own pipeline"):
            build_tab(app)

At home any Hub id or folder may be named. Strangers choose among GENLAB_PIPELINES; without it the tab is not offered.
"""

import base64
import io
from collections.abc import Iterator
from contextlib import closing
from html import escape

import numpy as np

from genlab.names import GenlabError, did_you_mean, require
from genlab.ui import limits
from genlab.ui.bench import Bench
from genlab.ui.frame import Frame, frame, markdown
from genlab.ui.judges import Judges
from genlab.ui.knobs import Choice, Knobs, Number
from genlab.ui.media import picture_file
from genlab.ui.panels import call_text, equation, python_text
from genlab.ui.runs import Run, Runs
from genlab.ui.shelf import gpu, infer, seeded, tensor

gr = require("gradio", extra="apps")

OWN = "own"  # the scheduler that came with the pipeline
# Those that fit where Stable Diffusion's fits; a pipeline of another kind says which it takes.
SCHEDULERS = ("DDIM", "DDPM", "DPM++ 2M", "DPM++ 2S", "UniPC", "Euler", "Euler ancestral", "Heun", "DEIS", "PNDM")
EXAMPLE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
PROMPT = "a lighthouse on a cliff at dawn, oil painting"
TRY = {  # in the order of the lesson; prompt and seed stay, so that one change shows
    "no guidance": {"guidance": 0.0},
    "as usual": {"guidance": 6.5},
    "too much": {"guidance": 24.0},
    "half the steps": {"steps": 12, "scheduler": "DPM++ 2M"},
}
WELCOME = """
<div class="gl-empty"><div><b>Name a pipeline, say what to paint, and press Generate.</b>
<p>Its weights are fetched once, several GB for Stable Diffusion. A picture then takes seconds on a GPU, minutes on a
CPU, and shows as it forms. Only safetensors are read; no code that comes with a pipeline is run.</p></div></div>
"""
EASEL = """
.gl-painting, .gl-empty { display: block; width: 100%; max-width: min(640px, 66vh); aspect-ratio: 1; margin: 0 auto;
  border: 1px solid var(--border-color-primary); border-radius: 4px; background: var(--background-fill-secondary);
  object-fit: contain; }
.gl-empty { display: grid; place-items: center; padding: 32px; color: var(--body-text-color-subdued); }
.gl-empty div { max-width: 48ch; font-size: 18px; line-height: 28px; }
.gl-empty b { font-weight: 600; color: var(--body-text-color); }
.gl-empty p { margin: 8px 0 0; }
"""


def offered() -> bool:
    """Whether visitors may use the tab at all. Raises GenlabError if GENLAB_PIPELINES is malformed."""
    allowed = limits.allowed_pipelines()
    return allowed is None or bool(allowed)


BENCH = Bench()
JUDGES = Judges()
RUNS = Runs()


def knobs() -> Knobs:
    """The numbers and choices, within the limits in force."""
    bounds = limits.limits()
    return Knobs(
        guidance=Number("rho (diffusers guidance_scale = 1 + rho)", 6.5, 0, 30, 0.1),
        steps=Number("Steps", 25, 1, bounds.steps),
        scheduler=Choice("Scheduler", OWN, [("the pipeline's own", OWN), *SCHEDULERS], menu=True),
        seed=Number("Seed", 42, 0, 2**31 - 1, box=True),
        height=Number("Height (0: as trained)", 0, 0, bounds.side, 8, box=True),
        width=Number("Width (0: as trained)", 0, 0, bounds.side, 8, box=True),
    )


def permitted(source) -> str:
    """The pipeline's name if this visitor may run it. Raises GenlabError."""
    name, allowed = limits.text(source, 300), limits.allowed_pipelines()
    if not name:
        raise GenlabError(f"Name a pipeline first: a Hub id such as {EXAMPLE}, or a folder.")
    if allowed is not None and name not in allowed:
        raise GenlabError(f"This page runs {', '.join(allowed) or 'no pipelines'}{did_you_mean(name, allowed)}.")
    return name


@gpu(60)
def clip_score(judge: str, image, prompt: str) -> float:
    """CLIPScore of a PIL image and its prompt; the judge is on the bench already."""
    clip, pixels = JUDGES[judge], np.asarray(image.convert("RGB"), dtype=np.float32)
    return float(infer(clip.clip_score, tensor(pixels.transpose(2, 0, 1)[None] / 255).to(clip.device), [prompt])[0])


def sides(source: str, values: dict) -> dict[str, int | None]:
    """Height and width in the multiples that the pipeline, on the bench already, can paint; None: as trained."""
    multiple = BENCH.get(source).result().multiple
    return {side: values[side] - values[side] % multiple or None for side in ("height", "width")}


@gpu(120)
def paint(source: str, prompt: str, negative: str, values: dict, previews: bool = True) -> Iterator[tuple]:
    """After each step (step, steps, image or None); the pipeline is on the bench already. Raises GenlabError."""
    pipeline = BENCH.get(source).result()
    yield from pipeline.sample_steps(
        prompt,
        negative=negative,
        guidance=values["guidance"],
        steps=values["steps"],
        scheduler=None if values["scheduler"] == OWN else values["scheduler"],
        generator=seeded(values["seed"]),
        previews=previews,
        **sides(source, values),
    )


def python(source: str, prompt: str, negative: str, values: dict, judge: str = "") -> str:
    """Python that paints what is on the stage, and scores it where there is a judge."""
    arguments = {
        "negative": repr(negative),
        "guidance": values["guidance"],
        "steps": values["steps"],
        "scheduler": None if values["scheduler"] == OWN else repr(values["scheduler"]),
        "height": values["height"] or None,
        "width": values["width"] or None,
        "generator": f"torch.Generator().manual_seed({values['seed']})",
    }
    call = call_text("pipeline.sample", arguments, {"negative": "''", "scheduler": None, "height": None, "width": None})
    scored = [
        "",
        f"clip = OpenCLIP.from_pretrained({judge!r})",
        "pixels = torch.from_numpy(np.array(image.convert('RGB'))).permute(2, 0, 1)[None] / 255",
        f"clip.clip_score(pixels, [{prompt!r}])",
    ]
    return python_text(
        *["import numpy as np"][: bool(judge)],
        "import torch",
        "",
        "from genlab.models.diffusion.pipeline import Pipeline",
        *["from genlab.models.vision_language import OpenCLIP"][: bool(judge)],
        "",
        f"pipeline = Pipeline.from_pretrained({source!r})",
        "image = " + call.replace("(\n", f"(\n    {prompt!r},\n", 1),
        'image.save("painting.png")',
        *(scored if judge else []),
    )


def law(values: dict) -> str:
    """The equation of guidance at these knobs."""
    rho = values["guidance"]
    now = {
        r"\rho": f"**{rho:g}** (guidance_scale {1 + rho:g})",
        r"\epsilon_\theta(x_t, y, t)": "told the prompt",
        r"\epsilon_\theta(x_t, t)": "told the negative prompt, or nothing" if rho else "not computed at rho = 0",
        r"\epsilon^*": f"{1 + rho:g} × told − {rho:g} × untold" if rho else "as told",
        "t": f"{values['steps']} steps",
    }
    return equation("diffusion", "ClassifierFreeGuidance", now)


def picture(image, alt: str, final: bool) -> str:
    """An `<img>` of a PIL image: a light preview, or the whole thing, to be saved as it is."""
    kind, options = ("png", {}) if final else ("webp", {"quality": 70})
    packed = io.BytesIO()
    image.save(packed, kind, **options)
    return f'<img class="gl-painting" alt="{escape(alt)}" src="data:image/{kind};base64,{_text(packed)}">'


def _text(packed: io.BytesIO) -> str:
    return base64.b64encode(packed.getvalue()).decode()


def say(text: str, error: bool = False) -> str:
    """A sentence under the stage; a screen reader reads it out."""
    return f'<p class="gl-status{" gl-error" if error else ""}" role="status">{escape(text)}</p>'


# -- the tab -----------------------------------------------------------------------------------------------------------


def build_tab(app, endpoint: str = "pipeline_sample") -> None:
    """The tab's content, in the present context of the gradio app, with its events and its endpoint. Each page of a
    site calls its endpoint by another name: names are shared by the whole site."""
    RUNS.seconds = limits.limits().seconds
    kinds = knobs()
    with frame() as page:
        source, prompt, negative, judge, lock, made = _controls(page, kinds)
        with page.stage:
            stage = gr.HTML(WELCOME, css_template=EASEL, apply_default_css=False)
            status = gr.HTML(say(""), apply_default_css=False)
            page.suggest(TRY)
        with page.below:
            told = markdown()
            with gr.Accordion("Python", open=False):
                code = markdown()

    def run(request: gr.Request, source, prompt, negative, judge, *values):
        values = kinds.clean(dict(zip(kinds, values, strict=True)))
        present = RUNS.begin(request.session_hash)
        try:
            source, judge = permitted(source), JUDGES.permitted(judge)
            prompt, negative = limits.text(prompt), limits.text(negative)
            for text in BENCH.waiting(source, present):
                yield {status: say(text)}
            if not present.going:
                return
            last, image = (0, 0), None
            with closing(paint(source, prompt, negative, values)) as steps:
                for step, of, image in steps:
                    if not present.going:
                        break
                    last = (step, of)
                    left = f"Step {step} of {of}, {present.left(step, of):.0f} s left"
                    shown = {status: say(left)}
                    if image is not None:
                        alt = f"{prompt}: step {step} of {of}, rho {values['guidance']:g}, seed {values['seed']}"
                        shown[stage] = picture(image, alt, final=step == of)
                    yield shown
            if present.replaced:
                return
            text, said = (
                python(source, prompt, negative, values | sides(source, values), judge),
                _ending(present, *last),
            )
            yield {status: say(said), told: law(values), code: text}
            if judge and image is not None and present.going:
                for text in JUDGES.waiting(judge, present):
                    yield {status: say(f"{said} {text}")}
                if present.going:
                    yield {status: say(f"{said} CLIPScore {clip_score(judge, image, prompt):.2f} by {judge}.")}
        except GenlabError as error:
            yield {status: say(str(error), error=True)}

    def again(request: gr.Request):
        """The present run ends at its next step, before the next one waits for its place."""
        RUNS.end(request.session_hash, "replaced")

    def over(request: gr.Request):
        RUNS.end(request.session_hash)

    def fresh(seed, lock, request: gr.Request):
        again(request)
        return kinds["seed"].clean(seed) if lock else int(np.random.default_rng().integers(10_000))

    def suggestion(name, seed, height, width, request: gr.Request):
        again(request)
        kept = {"seed": seed, "height": height, "width": width}
        return [*kinds.clean(kinds.defaults() | kept | TRY[name]).values()]

    quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    values = [made[name] for name in kinds]
    kept = [made[name] for name in ("seed", "height", "width")]
    starts = [
        page.generate.click(fresh, [made["seed"], lock], made["seed"], **quick),
        page.suggested(suggestion, kept, values),
    ]
    for start in starts:
        start.then(
            run,
            [source, prompt, negative, judge, *values],
            [stage, status, told, code],
            show_progress="hidden",
            api_visibility="private",
            trigger_mode="multiple",
            concurrency_limit=1,
            concurrency_id="pipeline",
        )
    page.stop.click(over, **quick)
    app.load(lambda: law(kinds.defaults()), None, told, **quick)  # it needs torch, and so comes after the page
    gr.api(pipeline_sample, api_name=endpoint, concurrency_limit=1, concurrency_id="pipeline")


def _controls(page: Frame, kinds: Knobs) -> tuple:
    allowed, most = limits.allowed_pipelines(), limits.limits().text
    made = {}
    with page.controls:
        with page.group("What"):
            if allowed is None:
                source = gr.Textbox(
                    label="Pipeline: a Hub id or a folder", placeholder=EXAMPLE, max_lines=1, max_length=300
                )
            else:
                source = gr.Dropdown(allowed, value=allowed[0], label="Pipeline")
            prompt = gr.Textbox(PROMPT, label="Prompt", lines=2, max_length=most)
            negative = gr.Textbox(label="Away from (negative prompt)", max_lines=1, max_length=most)
        with page.group("How"):
            for name in ("guidance", "steps", "scheduler"):
                made[name] = kinds[name].component()
        with page.group("Seed"), gr.Row(elem_classes="gl-seed"):
            made["seed"] = kinds["seed"].component(show_label=False, container=False, min_width=96)
            lock = gr.Checkbox(True, label="keep it", container=False, min_width=96)
        page.buttons()
        with gr.Accordion("More", open=False):
            for name in kinds:
                if name not in made:
                    made[name] = kinds[name].component()
            judge = JUDGES.component("CLIPScore by, or nothing")
    return source, prompt, negative, judge, lock, made


def _ending(run: Run, step: int, of: int) -> str:
    how = {"stopped": f"Stopped after {step} of {of} steps", "time": f"Out of time after {step} of {of} steps"}
    return f"{how.get(run.ended, f'{of} steps')} in {run.elapsed:.1f} s."


def pipeline_sample(
    source: str,
    prompt: str,
    negative: str = "",
    guidance: float = 6.5,
    steps: int = 25,
    scheduler: str = OWN,
    height: int = 0,
    width: int = 0,
    seed: int = 42,
) -> tuple[gr.FileData, dict]:
    """Paint a picture with a Stable-Diffusion-like pipeline of diffusers: a PNG, and the settings that it took.

    Args:
        source: the pipeline: a Hub id or a folder; on a public page one of those that it offers
        prompt: what to paint
        negative: what to keep away from
        guidance: rho, 0 (none) to 30; the guidance_scale of diffusers is 1 + rho
        steps: how many, from 1 up
        scheduler: "own" for the one that came with the pipeline, or a name such as "DPM++ 2M", "UniPC", "Euler"
        height: pixels, 0 for the height the pipeline was trained at
        width: pixels, 0 for the width the pipeline was trained at
        seed: 0 to 2147483647; the same seed paints the same picture
    """
    values = knobs().clean({k: v for k, v in locals().items() if k not in ("source", "prompt", "negative")})
    run = RUNS.begin(None)
    try:
        source, prompt, negative = permitted(source), limits.text(prompt), limits.text(negative)
        for _ in BENCH.waiting(source, run):
            pass
        with closing(paint(source, prompt, negative, values, previews=False)) as steps_taken:
            for at in steps_taken:
                if at.step < at.steps and not run.going:
                    raise GenlabError(
                        f"Out of time after {at.step} of {at.steps} steps: ask for fewer, or a smaller one."
                    )
        result = picture_file(np.asarray(at.image), "painting.png")
    except GenlabError as error:
        raise gr.Error(str(error), print_exception=False) from error
    facts = {"source": source, "prompt": prompt, "negative": negative, **values, "seconds": round(run.elapsed, 3)}
    return result, facts
