"""A whole guided sampling run: ours against the loop one writes with diffusers; and what our samplers themselves cost.

The plain loop is diffusers' DDIM at 50 steps with two passes a step, on the same weights in float32. Ours is what the
app runs: both passes in one batch, DPM-Solver++ at 20 steps, bfloat16 where the processor is fast at it. The judge
reads both, so that speed is compared at equal agreement.
"""

import copy
import time
from statistics import median

import torch

import genlab
from benchmarks.timing import ratio, table
from genlab.metrics import agreement

N, RHO = 100, 1.0


def run(options) -> str:
    import diffusers

    ddpm = genlab.from_pretrained("ddpm-mnist", dtype=torch.float32)
    fast = copy.deepcopy(ddpm).to(genlab.fast_dtype())
    judge = genlab.from_pretrained("cnn-mnist")
    label = torch.arange(N) % 10
    scheduler = diffusers.DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", timestep_spacing="trailing", clip_sample=True
    )

    @torch.no_grad()
    def plain(seed: int = 0) -> torch.Tensor:
        scheduler.set_timesteps(50)
        x = torch.randn(N, 1, 28, 28, generator=torch.Generator().manual_seed(seed))
        for t in scheduler.timesteps:
            times = torch.full((N,), int(t) + 1)
            conditional, unconditional = ddpm.noise(x, times, label), ddpm.noise(x, times)
            eps = unconditional + (1 + RHO) * (conditional - unconditional)
            x = scheduler.step(eps, t, x, use_clipped_model_output=True).prev_sample
        return (x.clamp(-1, 1) + 1) / 2

    def ours(seed: int = 0, model=fast, **knobs) -> torch.Tensor:
        knobs = {"steps": 20, "sampler": "dpm++", **knobs}
        return model.sample(N, label=label, guidance=RHO, generator=torch.Generator().manual_seed(seed), **knobs)

    variants = {
        "diffusers loop: DDIM 50, two passes, float32": plain,
        "ours: DDIM 50, one batch, float32": lambda seed=0: ours(seed, ddpm, steps=50, sampler="ddim"),
        f"ours: DDIM 50, one batch, {fast.dtype}": lambda seed=0: ours(seed, steps=50, sampler="ddim"),
        f"ours: DPM++ 20, one batch, {fast.dtype}": ours,
        f"ours: DPM++ 10, one batch, {fast.dtype}": lambda seed=0: ours(seed, steps=10),
    }
    seconds, right = {name: [] for name in variants}, {name: [] for name in variants}
    ours(steps=2), ours(0, ddpm, steps=2)  # warms up
    for seed in range(options.repeats):  # in turn, so that a machine that slows down slows all of them
        for name, variant in variants.items():
            start = time.perf_counter()
            image = variant(seed)
            seconds[name].append(time.perf_counter() - start)
            with torch.no_grad():
                right[name].append(agreement(judge(image), label))
    rows = []
    for name, mine in seconds.items():
        agrees = f"{100 * sum(right[name]) / options.repeats:.1f} %"
        theirs = next(iter(seconds.values()))
        rows.append([name, agrees, f"{N / median(mine):.0f}", ratio(theirs, mine)])
    read = f"judge agrees ({N * options.repeats} pictures, rho = {RHO:g})"
    head = ["variant", read, "pictures/s", "times faster than the loop"]
    return table(head, rows) + "\n\n" + _overhead(fast, label, options.repeats)


def _overhead(model, label, repeats: int) -> str:
    """Time of a sampling run beyond the time inside the network, from the same run."""
    rows = []
    for sampler in ("ddim", "ddpm", "dpm++", "unipc"):
        shares = []
        for seed in range(repeats + 1):
            inside, output = [], model.output

            def timed(*args, inside=inside, output=output):
                start = time.perf_counter()
                result = output(*args)
                inside.append(time.perf_counter() - start)
                return result

            model.output = timed
            start = time.perf_counter()
            generator = torch.Generator().manual_seed(seed)
            model.sample(len(label), label=label, guidance=RHO, steps=20, sampler=sampler, generator=generator)
            total = time.perf_counter() - start
            del model.output
            shares.append(100 * (total - sum(inside)) / sum(inside))
        shares = shares[1:]  # the first warms up
        rows.append([sampler, f"{median(shares):.1f} % ({min(shares):.1f} to {max(shares):.1f})"])
    return table(["sampler, 20 steps", "time beyond the network's"], rows)
