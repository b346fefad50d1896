"""How many scenes are drawn, said and said falsely a second, on one thread."""

import time
from statistics import median

from benchmarks.timing import table

N = 2_000


def run(options) -> str:
    import torch

    from genlab.data import scenes

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    some = scenes.sample(N, seed=0)
    what = {
        "pictures, 64 x 64": lambda: scenes.draw(some),
        "captions": lambda: scenes.captions(some),
        "paraphrases": lambda: scenes.paraphrases(some),
        "negatives": lambda: scenes.negatives(some),
    }
    rows = []
    for name, make in what.items():
        make()
        rates = []
        for _ in range(options.repeats):
            start = time.perf_counter()
            make()
            rates.append(N / (time.perf_counter() - start))
        rows.append([name, f"{median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"])
    torch.set_num_threads(threads)
    return table(["scenes, one thread", "a second (least to most)"], rows)
