"""`genlab evaluate NAME`: measure the saved weights, write the figures, the golden outputs, the pictures and the card.

A recipe's `evaluate(model, samples)` yields jobs, each some figures with a key. Finished jobs are kept in runs/evaluate
(runs/ of the current folder, as in training), under the hashes of the weights and of the code that measures, so that a
measurement of hours can be stopped and go on, and no figure of other weights or of older code gets on a card.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import math
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
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
    if samples is not None and samples < 1:
        raise GenlabError(f"samples is 1 or more, not {samples}")
    folder = resolve(name)
    if not isinstance(folder, Path):
        raise GenlabError(f"{name} is on the Hub: fetch it into a folder first, its card is written beside its weights")
    recipe = recipe_of(folder)
    model = from_pretrained(folder)
    broken = [key for key, value in model.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise GenlabError(f"the weights in {folder} hold NaN or infinity ({broken[0]}): train the model again")
    record = _read(folder)
    sha = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    key = f"{folder.resolve().name}-{sha[:12]}-{_code()[:8]}-{samples or 'all'}"
    known = _Known(Path("runs") / "evaluate" / f"{key}.jsonl", fresh)
    metrics: list[Metric] = []
    if recipe.evaluate:
        jobs = list(recipe.evaluate(model, samples))
        bar = require("tqdm", extra="train").tqdm(jobs, desc=f"evaluate {folder.name}", unit="job", disable=quiet)
        for job in bar:
            bar.set_postfix_str(job.key)
            with torch.no_grad():
                metrics += known.get(job)
    record["weights_sha256"] = sha
    record["measured"] = {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "hardware": hardware(model.device),
        "command": shlex.join(["genlab", "evaluate", folder.name] + (["--samples", str(samples)] if samples else [])),
        "torch": torch.__version__,
    }
    record["metrics"] = [dataclasses.asdict(metric) for metric in metrics]
    with torch.no_grad():
        golden = recipe.golden(model) if recipe.golden else None
        pictures = recipe.samples(model) if recipe.samples else None
    if golden is not None:
        _replace(folder / GOLDEN, lambda file: save_file(golden, file))
    if pictures is not None:
        _replace(folder / SAMPLES, lambda file: file.write_bytes(viz.png(viz.tile(pictures, gap=4, scale=3))))
    _replace(folder / METRICS, lambda file: file.write_text(json.dumps(record, indent=2) + "\n"))
    _replace(folder / "README.md", lambda file: file.write_text(cards.render(folder)))
    return folder


def recipe_of(folder: Path):
    """The recipe that made a folder's weights: by the record of their training, else by the folder's name."""
    from importlib import import_module
    from importlib.util import find_spec

    named = (_read(folder).get("training") or {}).get("recipe") or folder.name.replace("-", "_")
    if not str(named).isidentifier() or named.startswith("_") or find_spec(f"genlab.recipes.{named}") is None:
        raise GenlabError(f"no recipe says how to measure {folder.name}: genlab/recipes/{named}.py does not exist")
    return import_module(f"genlab.recipes.{named}").RECIPE


class _Known:
    """Figures of finished jobs, one line each; a line cut short is a job unfinished."""

    def __init__(self, file: Path, fresh: bool):
        self.file, self.lines = file, {}
        if fresh:
            file.unlink(missing_ok=True)
        if file.is_file():
            for line in file.read_text().splitlines(keepends=True):
                if line.endswith("\n"):
                    entry = json.loads(line)
                    self.lines[entry["key"]] = [Metric.read(item) for item in entry["metrics"]]
            _replace(file, lambda new: new.write_text("".join(map(self._line, self.lines))))

    def get(self, job: Job) -> list[Metric]:
        if job.key not in self.lines:
            found = job.run()
            for metric in found:
                if metric.value is not None and not math.isfinite(metric.value):
                    raise GenlabError(f"{job.key}: {metric.name} is {metric.value}: too few samples, or a broken model")
            self.lines[job.key] = found
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with open(self.file, "a") as out:
                out.write(self._line(job.key))
        return self.lines[job.key]

    def _line(self, key: str) -> str:
        return json.dumps({"key": key, "metrics": [dataclasses.asdict(m) for m in self.lines[key]]}) + "\n"


def _code() -> str:
    """The hash of the code that a figure depends on: models, data, recipes and the measures themselves."""
    package, digest = Path(__file__).parent, hashlib.sha256()
    for part in ("data", "metrics.py", "models", "nn", "ops", "recipes"):
        here = package / part
        for file in sorted(here.rglob("*.py")) if here.is_dir() else [here]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _read(folder: Path) -> dict:
    file = folder / METRICS
    try:
        record = json.loads(file.read_text()) if file.is_file() else {"training": None, "metrics": []}
    except ValueError as error:
        raise GenlabError(
            f"{file} is no JSON ({error}): delete it, and what it says of the training with it"
        ) from error
    if not isinstance(record, dict) or not isinstance(record.get("training"), dict | None):
        raise GenlabError(f"{file} holds no record of a model: delete it")
    return record


def _replace(file: Path, write: Callable[[Path], object]) -> None:
    """Write beside, then put in place: whoever reads meanwhile sees the old file or the new one, whole."""
    partial = file.with_name(f".{file.name}")
    try:
        write(partial)
        os.replace(partial, file)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise GenlabError(
            f"{file} could not be written: {error}. Mend that and evaluate again: finished jobs are kept."
        ) from error
