"""Paired timing: A, B, A, B, ... so that a machine that slows down slows both; each pair's ratio, and its spread."""

import time
from collections.abc import Callable
from statistics import median


def paired(a: Callable[[], object], b: Callable[[], object], repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of `repeats` runs of a and of b, in turn, after one uncounted run of each."""
    a(), b()
    pairs = [(_seconds(a), _seconds(b)) for _ in range(repeats)]
    return [first for first, _ in pairs], [second for _, second in pairs]


def ratio(numerator: list[float], denominator: list[float]) -> str:
    """Median, minimum and maximum of the ratios of pairs: '2.31 (2.20 to 2.44)'."""
    ratios = [x / y for x, y in zip(numerator, denominator, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
