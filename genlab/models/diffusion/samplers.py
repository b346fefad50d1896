"""From noise to picture: DDPM and DDIM of our own; DPM-Solver++ and UniPC through diffusers' schedulers.

All see the same thing: at time t the denoiser's eps, from it the picture it implies, clipped to the pixel range,

    x_0 = clip((x_t - sigma_t eps) / alpha_t, -1, 1),

and step to an earlier time s. A run visits `steps` times, evenly spaced down from T ("trailing" in diffusers' words),
or from an earlier time, where it starts from a noised picture. Latents are clipped wider than pixels.
"""

import numbers
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from genlab.core import Law
from genlab.models.diffusion.denoiser import finite
from genlab.models.diffusion.schedule import NoiseSchedule
from genlab.names import require

LAW = Law(
    latex=r"x_s = \alpha_s\,\hat{x}_0 + \sqrt{\sigma_s^2 - \eta^2\tilde\beta}\;\epsilon + \eta\sqrt{\tilde\beta}\;z,"
    r"\qquad \tilde\beta = \frac{\sigma_s^2}{\sigma_t^2}\Bigl(1-\frac{\alpha_t^2}{\alpha_s^2}\Bigr)",
    symbols={
        r"x_s": "the picture at the next, less noisy time s < t",
        r"\hat{x}_0": "the picture the network sees in the noise, clipped to the range of pixels",
        r"\epsilon": "the noise that this picture leaves over",
        r"\alpha_s,\ \sigma_s": "how much picture and how much noise there is at time s",
        r"\eta": "0: deterministic (DDIM); 1: as random as DDPM",
        r"\tilde\beta": r"the variance of $q(x_s \mid x_t, x_0)$",
        r"z": "fresh Gaussian noise",
    },
    paper="Song, Meng, Ermon: Denoising Diffusion Implicit Models",
    year=2021,
    url="https://arxiv.org/abs/2010.02502",
    code="ddim_step",
)


class Step(NamedTuple):
    """t: the time now reached (0 at the end). x_t: the picture at that time. x_0: the picture predicted on the way."""

    t: int
    x_t: Float[Tensor, "B C H W"]
    x_0: Float[Tensor, "B C H W"]


@dataclass(frozen=True)
class Inpaint:
    """known (in [-1, 1]) holds where keep is true; each step is walked `resample` times (Lugmayr et al., 2022)."""

    known: Float[Tensor, "B C H W"]
    keep: Bool[Tensor, "B C H W"]
    resample: int = 1


def check_walk(n, steps, timesteps: int, resample, generator) -> None:
    """Raise ValueError for what no sampler can walk; Python's and numpy's integers are whole numbers, True is none."""

    def whole(value):
        return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 1

    if not whole(n):
        raise ValueError(f"n is a whole number, at least 1, not {n!r}")
    if not (whole(steps) and steps <= timesteps):
        raise ValueError(f"steps lie in 1..{timesteps}, a whole number, not {steps!r}")
    if not whole(resample):
        raise ValueError(f"resample is a whole number, at least 1, not {resample!r}")
    if generator is not None and not isinstance(generator, torch.Generator):
        raise ValueError(f"generator is a torch.Generator, seeded with manual_seed, not {generator!r}")


Update = Callable[
    [Tensor, Tensor, Tensor, int, int, Callable[[], Tensor]], Tensor
]  # (x_t, x_0, eps, t, s, draw) -> x_s


def spaced_times(start: int, steps: int) -> list[int]:
    """`steps` times from the start down, evenly spaced, and 0: [1000, 980, ..., 20, 0]."""
    return [round(start * (steps - i) / steps) for i in range(steps + 1)]


def ddim_step(
    schedule: NoiseSchedule, x_0: Tensor, eps: Tensor, t: int, s: int, eta: float, z: Tensor | None
) -> Float[Tensor, "B C H W"]:
    """x_s = alpha_s x_0 + sqrt(sigma_s^2 - var) eps + sqrt(var) z,
    var = eta^2 (sigma_s^2 / sigma_t^2) (1 - alpha_t^2 / alpha_s^2)."""
    alpha, sigma = schedule.alpha, schedule.sigma
    var = eta**2 * (sigma[s] / sigma[t]) ** 2 * (1 - (alpha[t] / alpha[s]) ** 2)
    x_s = alpha[s] * x_0 + (sigma[s] ** 2 - var).clamp(min=0).sqrt() * eps
    return x_s if z is None else x_s + var.sqrt() * z


def ddpm_step(
    schedule: NoiseSchedule, x_t: Tensor, x_0: Tensor, t: int, s: int, z: Tensor | None
) -> Float[Tensor, "B C H W"]:
    """Ancestral: a draw from q(x_s | x_t, x_0) = N(mean, var), where over the jump beta = 1 - alpha_t^2 / alpha_s^2,

    mean = (alpha_s beta x_0 + sqrt(1 - beta) sigma_s^2 x_t) / sigma_t^2,  var = beta sigma_s^2 / sigma_t^2.
    """
    alpha, sigma = schedule.alpha, schedule.sigma
    beta = 1 - (alpha[t] / alpha[s]) ** 2
    mean = (alpha[s] * beta * x_0 + (1 - beta).sqrt() * sigma[s] ** 2 * x_t) / sigma[t] ** 2
    return mean if z is None else mean + beta.sqrt() * sigma[s] / sigma[t] * z


def sampler_steps(
    sampler: str,
    denoiser,
    x_T: Float[Tensor, "B C H W"],
    label: Int[Tensor, " B"] | None,
    steps: int,
    eta: float = 0.0,
    inpaint: Inpaint | None = None,
    generator: torch.Generator | None = None,
    start: int | None = None,
    bound: float = 1.0,
) -> Iterator[Step]:
    """Walk from x_T at t = T (or x at t = start) to t = 0 in `steps` steps, x_0 within [-bound, bound]. Raises
    ValueError for an unknown sampler or a bad eta."""
    if not isinstance(sampler, str) or sampler not in SAMPLERS:
        raise ValueError(f"sampler is one of {', '.join(map(repr, SAMPLERS))}, not {sampler!r}")
    if not 0 <= finite(eta, "eta") <= 1:
        raise ValueError(f"eta lies in [0, 1], not {eta}")
    schedule = denoiser.schedule
    times = spaced_times(schedule.timesteps if start is None else start, steps)
    update = SAMPLERS[sampler](schedule, times, eta)
    single = sampler in ("ddpm", "ddim")
    passes = inpaint.resample if inpaint and single else 1
    if passes < 1:
        raise ValueError(f"resample is at least 1, not {passes}")

    def draw() -> Tensor:
        return torch.randn(x_T.shape, generator=generator, device=generator.device if generator else None).to(
            x_T.device
        )

    @torch.no_grad()  # here, not around the generator: between two steps the caller's gradients are the caller's own
    def step(x: Tensor, t: int, s: int) -> Step:
        alpha, sigma = schedule.alpha[t], schedule.sigma[t]
        for last in [False] * (passes - 1) + [True]:
            if inpaint:
                x = torch.where(inpaint.keep, alpha * inpaint.known + sigma * draw(), x)
            eps = denoiser.noise(x, torch.full((len(x),), t, device=x.device), label)
            x_0 = ((x - sigma * eps) / alpha).clamp(-bound, bound)
            if inpaint:
                x_0 = torch.where(inpaint.keep, inpaint.known, x_0)
            eps = (x - alpha * x_0) / sigma  # the noise that the clipped picture implies
            x_s = update(x, x_0, eps, t, s, draw)
            if not last:  # back to t, so that the filled-in part can come to terms with the known one
                ratio = alpha / schedule.alpha[s]
                x = ratio * x_s + (1 - ratio**2).clamp(min=0).sqrt() * draw()
        return Step(s, x_s, x_0)

    x = x_T
    for t, s in zip(times, times[1:], strict=False):
        reached = step(x, t, s)
        x = reached.x_t
        yield reached


def _ddim(schedule: NoiseSchedule, times: list[int], eta: float) -> Update:
    return lambda x, x_0, eps, t, s, draw: ddim_step(schedule, x_0, eps, t, s, eta, draw() if eta and s else None)


def _ddpm(schedule: NoiseSchedule, times: list[int], eta: float) -> Update:
    return lambda x, x_0, eps, t, s, draw: ddpm_step(schedule, x, x_0, t, s, draw() if s else None)


def _diffusers(class_name: str, **options) -> Callable[[NoiseSchedule, list[int], float], Update]:
    """A multistep scheduler of diffusers on our own betas. It is handed x_0, which we clip, and keeps its history."""

    def make(schedule: NoiseSchedule, times: list[int], eta: float) -> Update:
        diffusers = require("diffusers", extra="apps")
        scheduler = getattr(diffusers, class_name)(
            num_train_timesteps=schedule.timesteps,
            trained_betas=schedule.beta[1:].tolist(),
            prediction_type="sample",
            timestep_spacing="trailing",
            **options,
        )
        scheduler.set_timesteps(len(times) - 1)
        # Our times, not theirs, which for some numbers of steps are one too many (a float arange). They count 0 .. T-1
        # where we count 1 .. T, and write sigma for our sigma / alpha.
        scheduler.timesteps = torch.tensor(times[:-1]) - 1
        scheduler.sigmas = (schedule.sigma / schedule.alpha).cpu()[times]
        return lambda x, x_0, eps, t, s, draw: scheduler.step(x_0, t - 1, x).prev_sample

    return make


SAMPLERS = {
    "ddim": _ddim,
    "ddpm": _ddpm,
    "dpm++": _diffusers("DPMSolverMultistepScheduler", algorithm_type="dpmsolver++", final_sigmas_type="zero"),
    "unipc": _diffusers("UniPCMultistepScheduler", final_sigmas_type="zero"),
}
