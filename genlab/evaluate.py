"""`genlab evaluate NAME`: measure the saved weights, write the figures, the golden outputs, the pictures and the card.

A recipe's `evaluate(model, samples)` yields jobs, each some figures with a key. metrics.json holds the figures of each
finished job as soon as there are any, under the weights' hash: so a measurement of hours can be stopped and go on, on
another machine too, and no figure of other weights gets on a card. (Changed how a figure is measured? Then --fresh.)
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
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from genlab import cards, figures, viz
from genlab.core import from_pretrained
from genlab.facts import commit, hardware
from genlab.figures import Metric
from genlab.names import CARD, GOLDEN, METRICS, SAMPLES, WEIGHTS, GenlabError, require, resolve


@dataclass(frozen=True)
class Job:
    """One piece of a measurement: `run()` gives its figures."""

    key: str
    run: Callable[[], list[Metric]]


def evaluate(
    name: str | Path,
    *,
    samples: int | None = None,
    only: str = "*",
    fresh: bool = False,
    quiet: bool = False,
) -> Path:
    """Measure a bundled name or a folder; the folder. samples: fewer than the recipe's own, for a quick look (the card
    says how many). only: the jobs whose key fits this pattern, such as 'rho=1 *'; the card names what is left to do.
    fresh: measure again what is known already. Raises GenlabError."""
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
    record = figures.read(folder)
    asked = {"weights_sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(), "samples": samples}
    same = all(record.get(key) == value for key, value in asked.items())
    known: dict[str, list[dict]] = {}
    for entry in record["metrics"] if same and not fresh else ():
        known.setdefault(entry.get("job", ""), []).append(entry)
    jobs = list(recipe.evaluate(model, samples)) if recipe.evaluate else []
    due = [job for job in jobs if job.key not in known and fnmatchcase(job.key, only)]
    if jobs and not due and not any(fnmatchcase(job.key, only) for job in jobs):
        raise GenlabError(f"no job fits {only!r}. There are: {', '.join(repr(job.key) for job in jobs)}")

    def keep() -> None:
        record.update(asked, unmeasured=[job.key for job in jobs if job.key not in known])
        record["metrics"] = [entry for job in jobs for entry in known.get(job.key, ())]
        _replace(folder / METRICS, lambda file: file.write_text(json.dumps(record, indent=2) + "\n"))

    bar = require("tqdm", extra="train").tqdm(due, desc=f"evaluate {folder.name}", unit="job", disable=quiet)
    for job in bar:
        bar.set_postfix_str(job.key)
        with torch.no_grad():
            known[job.key] = _entries(job)
        options = ["--samples", str(samples)] if samples else []
        here = {"date": datetime.date.today().isoformat(), "commit": commit(), "hardware": hardware(model.device)}
        command = shlex.join(["genlab", "evaluate", str(name), *options])
        record["measured"] = here | {"command": command, "torch": torch.__version__}
        for entry in known[job.key]:
            entry["measured"] = here
        keep()
    keep()
    with torch.no_grad():
        golden = recipe.golden(model) if recipe.golden else None
        pictures = recipe.samples(model) if recipe.samples else None
    if golden is not None:
        whole = {key: tensor.contiguous().clone() for key, tensor in golden.items()}  # no parts of one another
        _replace(folder / GOLDEN, lambda file: save_file(whole, file))
    if pictures is not None:
        scale = 3 if max(pictures.shape[-2:]) <= 64 else 1  # a digit's pixels are few enough to be seen as squares
        picture = viz.png(viz.tile(pictures, gap=4, scale=scale))
        _replace(folder / SAMPLES, lambda file: file.write_bytes(picture))
    _replace(folder / CARD, lambda file: file.write_text(cards.render(folder)))
    return folder


def recipe_of(folder: Path):
    """The recipe that made a folder's weights: by the record of their training, else by the folder's name."""
    recipe = cards.find_recipe(folder.resolve().name, figures.read(folder))
    if recipe is None:
        raise GenlabError(f"no recipe says how to measure {folder.name}: genlab/recipes/ holds none of that name")
    return recipe


def _entries(job: Job) -> list[dict]:
    """The figures of a job as metrics.json holds them. Raises GenlabError if one is no number."""
    found = job.run()
    for metric in found:
        if metric.value is not None and not math.isfinite(metric.value):
            raise GenlabError(f"{job.key}: {metric.name} is {metric.value}: too few samples, or a broken model")
    return [{"job": job.key, **dataclasses.asdict(metric)} for metric in found]


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
