"""Diffusion of codes against diffusion of pixels: the same data, sentences, text tower, samplers and seconds of
training; what a picture takes, and how good it is by then. Codes are looked at early too, when they are already no
worse than pixels in the end: training changes what a picture is worth, and not what it takes.

The denoiser of pixels folds 2 x 2 of them and has one level more, of half the channels; its smallest map is 8 x 8.
"""

import copy
from dataclasses import replace
from statistics import median

import torch

from benchmarks.sides import Side, drawn, in_turns
from benchmarks.timing import paired, ratio, table
from genlab.core import from_pretrained
from genlab.data import scenes
from genlab.metrics import frechet_distance
from genlab.models.diffusion import LatentDiffusion
from genlab.recipes import _asked, _scenes
from genlab.recipes.ldm_scenes import CONFIG, RECIPE

PIXELS = replace(CONFIG, codec="", scale=1.0, patch=2, widths=(64, *CONFIG.widths), attention=(1, 2))
PICTURES = 500
EARLY = 0.2  # of the training


def run(options) -> str:
    data = _scenes.numbers()
    sides = {}
    for name, config in {"codes": CONFIG, "pixels": PIXELS}.items():
        torch.manual_seed(0)
        sides[name] = Side(LatentDiffusion(config), RECIPE, data)
    trained = []  # name, seconds, steps, model
    for share in (EARLY, 1):
        in_turns(list(sides.values()), share * options.seconds)
        for name, side in sides.items():
            if share == 1 or name == "codes":
                trained.append((name, share * options.seconds, side.step, copy.deepcopy(side.average)))

    asked = scenes.sample(PICTURES, _scenes.TEST_SEED + 6)
    prompts = scenes.captions(asked)

    calls = [lambda side=side: drawn(side.average, prompts[:16]) for side in sides.values()]
    times = dict(zip(sides, paired(*calls, options.repeats), strict=True))
    reader = from_pretrained("reader-scenes")
    true = reader.features(_scenes.pictures(scenes.sample(2_000, _scenes.TEST_SEED + 7)))
    rows = []
    for name, seconds, steps, model in trained:
        image = drawn(model, prompts)
        right = _asked.compare(prompts, *reader.read(image))
        shares = [f"{100 * right[what].float().mean():.0f} %" for what in ("field", "count", "colour", "shape")]
        size = f"{sum(p.numel() for p in model.parameters()):,}"
        fid = f"{frechet_distance(true, reader.features(image)):.0f}"
        took = f"{1000 * median(times[name]) / 16:.0f} ms"
        rows.append([name, size, f"{seconds:.0f} s, {steps:,} steps", fid, *shares, took])
    head = ["diffusion of", "parameters", "trained", "FID (reader)", "field right", "count"]
    head += ["colour", "shape", "a picture takes"]
    slower = ratio(times["pixels"], times["codes"])
    note = f"A picture of pixels takes {slower} times as long (30 steps, rho = 2, 16 at once)."
    return table(head, rows) + f"\n\n{note}"
