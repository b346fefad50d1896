"""Guidance: push the denoiser towards a condition. Each wrapper takes any denoiser and is one.

A denoiser has `noise(x_t, t, label) -> eps`, a `schedule` and a `null_label`; nothing else is asked of it.
"""

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genlab.core import Law
from genlab.models.diffusion.schedule import NoiseSchedule

LAW = Law(
    latex=r"\epsilon^*(x_t, y, t) = (1+\rho)\,\epsilon_\theta(x_t, y, t) - \rho\,\epsilon_\theta(x_t, t)",
    symbols={
        r"\rho": "guidance strength; 0 is none (the guidance_scale of diffusers is 1 + rho)",
        r"\epsilon_\theta(x_t, y, t)": "noise the network sees, told the class y",
        r"\epsilon_\theta(x_t, t)": "noise the network sees, told nothing",
        r"\epsilon^*": "the noise that is removed instead",
        r"t": "the step, T .. 1; guidance acts only while t / T lies in its interval",
    },
    paper="Ho, Salimans: Classifier-Free Diffusion Guidance",
    year=2022,
    url="https://arxiv.org/abs/2207.12598",
    code="ClassifierFreeGuidance.noise",
)


@runtime_checkable
class Denoiser(Protocol):
    schedule: NoiseSchedule
    null_label: int

    def noise(
        self, x_t: Float[Tensor, "B C H W"], t: Int[Tensor, " B"], label: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B C H W"]: ...


class ClassifierFreeGuidance:
    """eps* = (1 + rho) eps(x, y, t) - rho eps(x, t): away from any picture, towards one of class y.

    interval: the part of 0..1 in which t / T must lie for it to act (Kynkaanniemi et al., 2024). rescale: how far the
    spread of eps* is brought back to that of the conditional eps, 0 to 1 (Lin et al., 2023).
    """

    def __init__(
        self,
        denoiser: Denoiser,
        rho: float,
        interval: tuple[float, float] = (0.0, 1.0),
        rescale: float = 0.0,
    ):
        self.denoiser, self.rho, self.rescale = denoiser, _finite(rho, "guidance"), _finite(rescale, "rescale")
        self.interval = _checked(interval)
        self.schedule, self.null_label = denoiser.schedule, denoiser.null_label

    def noise(
        self, x_t: Float[Tensor, "B C H W"], t: Int[Tensor, " B"], label: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B C H W"]:
        """eps*(x_t, y, t); both passes go through the network as one batch."""
        if label is None or self.rho == 0 or not _acts(t, self.interval, self.schedule):
            return self.denoiser.noise(x_t, t, label)
        null = torch.full_like(label, self.denoiser.null_label)
        eps = self.denoiser.noise(torch.cat([x_t, x_t]), torch.cat([t, t]), torch.cat([label, null]))
        conditional, unconditional = eps.chunk(2)
        guided = (1 + self.rho) * conditional - self.rho * unconditional
        if self.rescale:
            spread = conditional.flatten(1).std(1) / guided.flatten(1).std(1)
            guided = guided * (1 + self.rescale * (spread - 1))[:, None, None, None]
        return guided


class ClassifierGuidance:
    """eps* = eps(x, y, t) - s sigma_t grad_x log p(y | x_t): up the slope of a classifier that reads noisy pictures
    (Dhariwal & Nichol, 2021, algorithm 2)."""

    def __init__(self, denoiser: Denoiser, classifier, scale: float, interval: tuple[float, float] = (0.0, 1.0)):
        if not torch.equal(classifier.schedule.alpha.cpu(), denoiser.schedule.alpha.cpu()):
            raise ValueError("the classifier was made for another noise schedule than the denoiser's")
        self.denoiser, self.classifier, self.scale = denoiser, classifier, _finite(scale, "classifier_scale")
        self.interval = _checked(interval)
        self.schedule, self.null_label = denoiser.schedule, denoiser.null_label

    def noise(
        self, x_t: Float[Tensor, "B C H W"], t: Int[Tensor, " B"], label: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B C H W"]:
        eps = self.denoiser.noise(x_t, t, label)
        if label is None or self.scale == 0 or not _acts(t, self.interval, self.schedule):
            return eps
        _, sigma = self.schedule.at(t)
        return eps - self.scale * sigma * self.gradient(x_t, t, label)

    def gradient(
        self, x_t: Float[Tensor, "B C H W"], t: Int[Tensor, " B"], label: Int[Tensor, " B"]
    ) -> Float[Tensor, "B C H W"]:
        """grad_x log p(y | x_t)."""
        with torch.enable_grad():
            x = x_t.detach().requires_grad_()
            log_p = self.classifier(x, t).float().log_softmax(dim=1)
            told = label < log_p.shape[1]  # the null label asks for no class, and nothing pushes towards it
            wanted = log_p.gather(1, label.clamp(max=log_p.shape[1] - 1)[:, None])[:, 0]
            return torch.autograd.grad((wanted * told).sum(), x)[0].float()


def _finite(value: float, name: str) -> float:
    if not (math.isfinite(value) and abs(value) <= 1e4):
        raise ValueError(f"{name} is a finite number of at most 10000, not {value}")
    return value


def _checked(interval: tuple[float, float]) -> tuple[float, float]:
    low, high = interval
    if not 0 <= low <= high <= 1:
        raise ValueError(f"the guidance interval must satisfy 0 <= low <= high <= 1, not {interval}")
    return low, high


def _acts(t: Int[Tensor, " B"], interval: tuple[float, float], schedule: NoiseSchedule) -> bool:
    """Whether guidance acts at this step; all examples of a sampling batch share t."""
    return interval[0] <= t[0].item() / schedule.timesteps <= interval[1]
