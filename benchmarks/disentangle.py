"""Does beta keep factors apart? The recipes of beta-vae-scenes and vae-scenes with three seeds each: the mutual
information gap. Seed 0 are the weights that come with genlab."""

import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from benchmarks.timing import table
from genlab.core import from_pretrained
from genlab.recipes import beta_vae_scenes, vae_scenes
from genlab.train import train

SEEDS = (0, 1, 2)


def run(options) -> str:
    rows = []
    for recipe in (beta_vae_scenes.RECIPE, vae_scenes.RECIPE):
        found = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                made = recipe.name
                if seed:
                    made = train(replace(recipe, seed=seed, tracker="none"), run_dir=Path(folder) / "run")
                model = from_pretrained(made)
            (job,) = recipe.evaluate(model)
            found.append({metric.name: metric.value for metric in job.run()})
        gaps = [one["mig"] for one in found]
        each = ", ".join(f"{gap:.3f}" for gap in gaps)
        others = [f"{mean(one[name] for one in found):.4g}" for name in ("kl", "mse")]
        rows.append([f"beta {recipe.config.beta:g}", f"{mean(gaps):.3f} ± {stdev(gaps):.3f}", each, *others])
    return table(["one thing of scenes, 32 x 32", "MIG, mean ± deviation", "by seed", "KL, nats", "MSE"], rows)
