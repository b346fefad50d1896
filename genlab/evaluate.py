"""`genlab evaluate NAME`: measure the saved weights, write the figures, the golden outputs, the pictures and the card.

A recipe's `evaluate(model, samples)` yields jobs, each some figures with a key. Finished jobs are kept beside the run,
under the weights' hash, so that a measurement of hours can be stopped and go on.
"""

import dataclasses
import datetime
import hashlib
import json
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from genlab import cards, viz
from genlab.core import from_pretrained
from genlab.facts import commit, hardware
from genlab.figures import Metric
from genlab.names import METRICS, WEIGHTS, GenlabError, require, resolve

GOLDEN = "golden.safetensors"
SAMPLES = "samples.png"


@dataclass(frozen=True)
class Job:
    """One piece of a measurement: `run()` gives its figures."""

    key: str
    run: Callable[[], list[Metric]]


def evaluate(name: str | Path, *, samples: int | None = None, fresh: bool = False, quiet: bool = False) -> Path:
    """Measure a bundled name or a folder; the folder. samples: fewer than the recipe's own, for a quick look (the card
    says how many). fresh: measure again what is already known. Raises GenlabError."""
    folder = resolve(name)
    if not isinstance(folder, Path):
        raise GenlabError(f"{name} is on the Hub: fetch it into a folder first, its card is written beside its weights")
    recipe = recipe_of(folder)
    model = from_pretrained(folder)
    sha = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    known = _Known(Path("runs") / "evaluate" / f"{folder.name}-{sha[:12]}-{samples or 'all'}.jsonl", fresh)
    metrics: list[Metric] = []
    if recipe.evaluate:
        jobs = list(recipe.evaluate(model, samples))
        bar = require("tqdm", extra="train").tqdm(jobs, desc=f"evaluate {folder.name}", unit="job", disable=quiet)
        for job in bar:
            bar.set_postfix_str(job.key)
            with torch.no_grad():
                metrics += known.get(job)
    record = _read(folder)
    record["weights_sha256"] = sha
    record["measured"] = {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "hardware": hardware(model.device),
        "command": shlex.join(["genlab", "evaluate", folder.name] + (["--samples", str(samples)] if samples else [])),
        "torch": torch.__version__,
    }
    record["metrics"] = [dataclasses.asdict(metric) for metric in metrics]
    if recipe.golden:
        _replace(folder / GOLDEN, lambda file: save_file(recipe.golden(model), file))
    if recipe.samples:
        _replace(
            folder / SAMPLES, lambda file: file.write_bytes(viz.png(viz.tile(recipe.samples(model), gap=4, scale=3)))
        )
    _replace(folder / METRICS, lambda file: file.write_text(json.dumps(record, indent=2) + "\n"))
    _replace(folder / "README.md", lambda file: file.write_text(cards.render(folder)))
    return folder


def recipe_of(folder: Path):
    """The recipe that made a folder's weights: by the record of their training, else by the folder's name."""
    from importlib import import_module
    from importlib.util import find_spec

    named = (_read(folder).get("training") or {}).get("recipe") or folder.name.replace("-", "_")
    if not str(named).isidentifier() or find_spec(f"genlab.recipes.{named}") is None:
        raise GenlabError(f"no recipe says how to measure {folder.name}: genlab/recipes/{named}.py does not exist")
    return import_module(f"genlab.recipes.{named}").RECIPE


class _Known:
    """Figures of finished jobs, one line each."""

    def __init__(self, file: Path, fresh: bool):
        self.file, self.lines = file, {}
        if fresh:
            file.unlink(missing_ok=True)
        if file.is_file():
            for line in file.read_text().splitlines():
                entry = json.loads(line)
                self.lines[entry["key"]] = [Metric.read(item) for item in entry["metrics"]]

    def get(self, job: Job) -> list[Metric]:
        if job.key not in self.lines:
            self.lines[job.key] = job.run()
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with open(self.file, "a") as out:
                found = [dataclasses.asdict(metric) for metric in self.lines[job.key]]
                out.write(json.dumps({"key": job.key, "metrics": found}) + "\n")
        return self.lines[job.key]


def _read(folder: Path) -> dict:
    file = folder / METRICS
    return json.loads(file.read_text()) if file.is_file() else {"training": None, "metrics": []}


def _replace(file: Path, write: Callable[[Path], object]) -> None:
    """Write beside, then put in place: whoever reads meanwhile sees the old file or the new one, whole."""
    partial = file.with_name(f".{file.name}")
    write(partial)
    os.replace(partial, file)
