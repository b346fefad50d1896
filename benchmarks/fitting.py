"""Fitting a body to keypoints: four learned steps against Adam and L-BFGS on the same prior, the same people, in turn.

People are CMU's performers held out, in random shapes before random cameras, keypoints 1 % of their box off (median
errors). One body by itself, and many at a time; one thread, as the operations are small.
"""

import time
from statistics import median

import torch

import genlab
from benchmarks.timing import ratio, table
from genlab.recipes import _fitting as fitting


def run(options) -> str:
    lgd, descent = genlab.from_pretrained("lgd-body"), genlab.from_pretrained("optimization-body")
    variants = {
        "lgd-body, 4 steps": lambda *seen: lgd.fit(*seen),
        "Adam + prior, 200 steps": lambda *seen: descent.fit(*seen, steps=200),
        "L-BFGS + prior, 100 iterations": lambda *seen: descent.fit(*seen, steps=20, method="lbfgs"),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return "\n\n".join(_compare(variants, n, options.repeats) for n in (1, 256))
    finally:
        torch.set_num_threads(threads)


def _compare(variants: dict, n: int, repeats: int) -> str:
    if n > 1:  # L-BFGS goes body by body: no faster for many
        variants = {name: fit for name, fit in variants.items() if "L-BFGS" not in name}
    seconds, found = {name: [] for name in variants}, {name: [] for name in variants}
    runs = repeats if n > 1 else 8 * repeats  # more people, where each run has one
    for seed in range(runs + 1):
        batch = fitting.people("cmu", n, seed, noise=0.01, missing=0.0)
        for name, fit in variants.items():
            start = time.perf_counter()
            state = fit(*fitting.seen(batch), fitting.CAMERA)
            if seed:  # the first run warms up
                seconds[name].append(time.perf_counter() - start)
                found[name].append(fitting.errors(state, batch))
    first = next(iter(variants))
    rows = []
    for name, mine in seconds.items():
        mm = (
            f"{torch.cat([one[key] for one in found[name]]).median():.1f}" for key in ("mpjpe", "pa_mpjpe", "error_2d")
        )
        rows.append([name, *mm, f"{1000 * median(mine) / n:.2f}", ratio(mine, seconds[first])])
    head = [f"batch {n}", "MPJPE, mm", "PA-MPJPE, mm", "2D, % of the box", "ms a person", "times the first's time"]
    return table(head, rows)
