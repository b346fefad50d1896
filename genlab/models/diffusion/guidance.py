"""Classifier-free guidance: push the denoiser away from any picture, towards one of the class asked for."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genlab.core import Law
from genlab.models.diffusion.denoiser import Denoiser, acts, checked, finite

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


class ClassifierFreeGuidance:
    """eps* = (1 + rho) eps(x, y, t) - rho eps(x, t): away from any picture, towards one of class y.

    interval: the part of 0..1 in which t / T must lie for it to act (Kynkaanniemi et al., 2024). rescale: how far the
    spread of eps* is brought back to that of the conditional eps, 0 to 1 (Lin et al., 2023). against: labels (B,) to
    push away from, in the place of no label: negative prompts.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        rho: float,
        interval: tuple[float, float] = (0.0, 1.0),
        rescale: float = 0.0,
        against: Int[Tensor, " B"] | None = None,
    ):
        self.denoiser, self.rho, self.rescale = denoiser, finite(rho, "guidance"), finite(rescale, "rescale")
        self.against = against
        self.interval = checked(interval)
        self.schedule, self.null_label = denoiser.schedule, denoiser.null_label

    def noise(
        self, x_t: Float[Tensor, "B C H W"], t: Int[Tensor, " B"], label: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B C H W"]:
        """eps*(x_t, y, t); both passes go through the network as one batch."""
        if label is None or self.rho == 0 or not acts(t, self.interval, self.schedule):
            return self.denoiser.noise(x_t, t, label)
        null = torch.full_like(label, self.denoiser.null_label) if self.against is None else self.against
        eps = self.denoiser.noise(torch.cat([x_t, x_t]), torch.cat([t, t]), torch.cat([label, null]))
        conditional, unconditional = eps.chunk(2)
        guided = (1 + self.rho) * conditional - self.rho * unconditional
        if self.rescale:
            spread = conditional.flatten(1).std(1) / guided.flatten(1).std(1)
            guided = guided * (1 + self.rescale * (spread - 1))[:, None, None, None]
        return guided
