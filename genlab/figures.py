"""Measured figures: metrics.json read, and written as numbers with their spread and tables that shrink to a grid where
two settings vary."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from shlex import quote

from genlab.names import METRICS, GenlabError, holds

NAMES = {"fid": "FID", "kid": "KID", "bits_per_dim": "bits/dim", "psnr": "PSNR", "iou": "IoU"}
NAMES |= {"mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE", "pa_mpjpe_p90": "PA-MPJPE, 90 % below", "pve": "PVE"}
NAMES |= {"error_2d": "2D error", "mse": "MSE", "kl": "KL", "mig": "MIG"}
NAMES |= {"clip_score": "CLIPScore", "r_precision": "R-precision"}
ARROWS = {"higher": " ↑", "lower": " ↓"}


@dataclass(frozen=True)
class Metric:
    """One measured figure as metrics.json holds it. `value` is None where nobody has measured it."""

    name: str
    value: float | int | None = None
    spread: float | int | None = None
    unit: str = ""
    better: str = ""
    samples: int | None = None
    seeds: int | None = None
    dataset: str = ""
    split: str = ""
    settings: dict = field(default_factory=dict)
    headline: bool = False
    note: str = ""

    @classmethod
    def read(cls, item: dict) -> "Metric":
        """From an entry of metrics.json; what it leaves out keeps the default. Raises ValueError."""
        kinds = {f.name: f.type for f in fields(cls)}
        given = {key: item[key] for key in kinds if item.get(key) is not None}
        wrong = [key for key in given if not isinstance(given[key], kinds[key])]
        if wrong or "name" not in given:
            key = wrong[0] if wrong else "name"
            raise ValueError(f"the {key} of a figure is {item.get(key)!r}")
        return cls(**given)


MOST_BYTES = 10_000_000  # of metrics.json; ours are a hundredth of it
RECORD = {
    "training": dict | None,
    "metrics": list,
    "measured": dict,
    "unmeasured": list,
    "weights_sha256": str,
    "samples": int | None,
}


def read(folder: Path) -> dict:
    """What metrics.json says of a model's training and of its figures, an entry of `metrics` for each; of neither where
    there is no such file. Raises GenlabError for a file that holds anything else."""
    record, file = {"training": None, "metrics": []}, folder / METRICS
    try:
        if holds(folder, METRICS):
            if file.stat().st_size > MOST_BYTES:
                raise ValueError(f"larger than {MOST_BYTES} bytes")
            record = {**record, **json.loads(file.read_text(encoding="utf-8"))}
        for key, kind in RECORD.items():
            if key in record and not isinstance(record[key], kind):
                raise ValueError(f"{key!r} is {record[key]!r}")
        for entry in record["metrics"]:
            if not isinstance(entry, dict) or not isinstance(entry.get("measured", {}), dict):
                raise ValueError(f"{entry!r} is no figure")
            Metric.read(entry)
    except (OSError, ValueError, TypeError, RecursionError) as error:  # TypeError: it holds no {...}
        raise GenlabError(
            f"{file} is no record of a model ({error}). Put it back as it was; or delete it, and with it what it says "
            f"of the training, and measure again: genlab evaluate {quote(str(folder))}"
        ) from error
    return record


def number(x: float | int) -> str:
    """Whole numbers with thousands apart, others to four significant digits.

    >>> number(1240371), number(0.043219)
    ('1,240,371', '0.04322')
    """
    if isinstance(x, int) or not math.isfinite(x):
        return f"{x:,}"
    return f"{x:,.0f}" if abs(x) >= 1e4 else f"{x:.4g}"


def value(metric: Metric) -> str:
    """The value, its spread to two digits and the value to as many decimals, the unit.

    >>> value(Metric("agreement", 0.99123, 0.00071)), value(Metric("agreement", 0.99970001, 7e-8)), value(Metric("fid"))
    ('0.99123 ± 0.00071', '0.9997 ± 0', 'not measured')
    """
    if metric.value is None:
        return "not measured"
    unit = f" {metric.unit}" if metric.unit else ""
    spread = metric.spread
    if spread and spread < 1e-6 * abs(metric.value):  # seeds that agree, but for the last digit of a float
        spread = 0
    if not spread or not math.isfinite(spread):
        return number(metric.value) + (" ± 0" if spread == 0 else "") + unit
    decimals = min(max(0, 1 - math.floor(math.log10(spread))), 8)
    return f"{metric.value:.{decimals}f} ± {spread:.{decimals}f}{unit}"


def duration(seconds: float) -> str:
    """
    >>> duration(8012), duration(312), duration(41.3)
    ('2 h 14 min', '5 min 12 s', '41 s')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def label(metric: Metric, full: bool = False) -> str:
    """The metric's name as people write it; `full` adds its settings and leaves out the arrow."""
    name = NAMES.get(metric.name, metric.name.replace("_", " "))
    if full:
        return f"{name} ({settings(metric.settings)})" if metric.settings else name
    return name + ARROWS.get(metric.better, "")


def tables(metrics: list[Metric]) -> str:
    """Headline figures first, then the rest: two settings that vary make a grid, one makes a column, none a row."""
    headline = [m for m in metrics if m.headline]
    parts = [_list(headline)] if headline else []
    alone, columns, grids = [], {}, []
    for group in _groups(metrics, lambda m: (m.name, m.dataset, m.split)):
        for part in _parts(group):
            keys = _varying(part)
            if len(keys) == 2:
                grids.append(part)
            elif len(keys) == 1:
                fixed = {k: v for k, v in part[0].settings.items() if k != keys[0]}
                columns.setdefault((keys[0], settings(fixed), part[0].dataset, part[0].split), []).append(part)
            else:
                alone += [m for m in part if not m.headline]
    parts += [_grid(part) for part in grids]
    parts += [_series(parts_of, key) for (key, *_), parts_of in columns.items()]
    parts += ["**Also measured**\n\n" + _list(alone)] if alone else []
    notes = dict.fromkeys(f"{label(m)}: {m.note}" for m in metrics if m.note)
    return "\n\n".join(parts + (["\n".join(f"- {note}" for note in notes)] if notes else []))


def _parts(group: list[Metric]) -> Iterable[list[Metric]]:
    """Split metrics of one name until at most two settings vary, each pair of them once.

    The two settings with the most values become the axes; the others tell the parts apart.
    """
    keys = _varying(group)
    axes = sorted(keys, key=lambda k: -len(_values(group, k)))[:2]
    others = [key for key in keys if key not in axes]
    if others:
        for part in _groups(group, lambda m: tuple(str(m.settings.get(key)) for key in others)):
            yield from _parts(part)
    else:
        yield group


def _varying(metrics: list[Metric]) -> list[str]:
    keys = dict.fromkeys(key for m in metrics for key in m.settings)
    return [key for key in keys if len(_values(metrics, key)) > 1]


def _values(metrics: list[Metric], key: str) -> list:
    """The distinct values of a setting: numbers in order, anything else as it comes."""
    found = list(dict.fromkeys(_text(m.settings.get(key)) for m in metrics))
    numbers = {_text(v): v for v in (m.settings.get(key) for m in metrics) if isinstance(v, int | float)}
    return sorted(found, key=numbers.get) if len(numbers) == len(found) else found


def _groups(metrics: list[Metric], key) -> list[list[Metric]]:
    found: dict = {}
    for metric in metrics:
        found.setdefault(key(metric), []).append(metric)
    return list(found.values())


def _list(metrics: list[Metric]) -> str:
    rows = [(label(m), value(m), _count(m.samples), _count(m.seeds), _data(m), settings(m.settings)) for m in metrics]
    return _table(("figure", "value", "n", "seeds", "data", "settings"), rows)


def _series(parts: list[list[Metric]], key: str) -> str:
    """Metrics that vary with one and the same setting: a row for each of its values, a column for each metric."""
    every = [m for part in parts for m in part]
    rows = []
    for setting in _values(every, key):
        cells = [next((value(m) for m in part if _text(m.settings.get(key)) == setting), "") for part in parts]
        rows.append((setting, *cells))
    return f"{_caption(every, f'By {_words(key)}', {key})}\n\n" + _table(
        (_words(key), *(label(part[0]) for part in parts)), rows
    )


def _grid(part: list[Metric]) -> str:
    """One metric over two settings: the one with more values goes down, the other across."""
    across, down = sorted(_varying(part), key=lambda k: len(_values(part, k)))
    cells = {(_text(m.settings.get(down)), _text(m.settings.get(across))): value(m) for m in part}
    columns = _values(part, across)
    rows = [(row, *(cells.get((row, column), "") for column in columns)) for row in _values(part, down)]
    title = f"{label(part[0])} by {_words(down)} and {_words(across)}"
    head = (f"{_words(down)} \\ {_words(across)}", *columns)
    return f"{_caption(part, title, {down, across})}\n\n{_table(head, rows)}"


def _caption(metrics: list[Metric], title: str, axes: set[str]) -> str:
    """The title, and whatever all of these figures have in common."""
    shared = {k: v for k, v in metrics[0].settings.items() if k not in axes}
    facts = [settings(shared), _data(metrics[0])]
    for word, counts in (("samples", {m.samples for m in metrics}), ("seeds", {m.seeds for m in metrics})):
        facts += [f"{_count(n)} {word}" for n in counts if n is not None and len(counts) == 1]
    return f"**{title}**" + "".join(f", {fact}" for fact in facts if fact)


def _table(head: tuple, rows: list[tuple]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def settings(chosen: dict) -> str:
    """
    >>> settings({"rho": 1.0, "batch_size": 64})
    'rho 1, batch size 64'
    """
    return ", ".join(f"{_words(key)} {_text(setting)}" for key, setting in chosen.items())


def _data(metric: Metric) -> str:
    return " ".join(filter(None, (metric.dataset, metric.split)))


def _text(setting) -> str:
    return number(setting) if isinstance(setting, float) else "" if setting is None else str(setting)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _count(n: int | None) -> str:
    return "" if n is None else number(n)
