"""Classifier guidance: push the denoiser up the slope of a classifier that reads noisy pictures."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genlab.core import Law
from genlab.models.diffusion.denoiser import Denoiser, acts, checked, finite

LAW = Law(
    latex=r"\epsilon^*(x_t, y, t) = \epsilon_\theta(x_t, y, t) - s\,\sigma_t\,\nabla_{x_t} \log p_\phi(y \mid x_t, t)",
    symbols={
        r"\epsilon^*": "the noise that is removed instead",
        r"\epsilon_\theta(x_t, y, t)": "noise the network sees, told the class y",
        r"s": "guidance strength; 0 is none",
        r"\sigma_t": "how much noise there is at step t",
        r"p_\phi(y \mid x_t, t)": "a classifier's probability of class y, given the noisy picture and the step",
        r"x_t": "the noisy picture",
        r"t": "the step, T .. 1; guidance acts only while t / T lies in its interval",
    },
    paper="Dhariwal, Nichol: Diffusion Models Beat GANs on Image Synthesis",
    year=2021,
    url="https://arxiv.org/abs/2105.05233",
    code="ClassifierGuidance.noise",
)


class ClassifierGuidance:
    """eps* = eps(x, y, t) - s sigma_t grad_x log p(y | x_t, t) (Dhariwal & Nichol, 2021, algorithm 2).

    classifier: gives logits of (x_t, t) and has the denoiser's schedule, as a NoisyClassifier. scale: s. interval: the
    part of 0..1 in which t / T must lie for it to act.
    """

    def __init__(self, denoiser: Denoiser, classifier, scale: float, interval: tuple[float, float] = (0.0, 1.0)):
        if not hasattr(classifier, "schedule"):
            raise ValueError(
                f"classifier reads noisy pictures, as a NoisyClassifier does, not {type(classifier).__name__}"
            )
        if not torch.equal(classifier.schedule.alpha.cpu(), denoiser.schedule.alpha.cpu()):
            raise ValueError("the classifier was made for another noise schedule than the denoiser's")
        self.denoiser, self.classifier, self.scale = denoiser, classifier, finite(scale, "classifier_scale")
        self.interval = checked(interval)
        self.schedule, self.null_label = denoiser.schedule, denoiser.null_label

    def noise(
        self, x_t: Float[Tensor, "B C H W"], t: Int[Tensor, " B"], label: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B C H W"]:
        """eps*(x_t, y, t)."""
        eps = self.denoiser.noise(x_t, t, label)
        if label is None or self.scale == 0 or not acts(t, self.interval, self.schedule):
            return eps
        _, sigma = self.schedule.at(t)
        return eps - self.scale * sigma * self.gradient(x_t, t, label)

    def gradient(
        self, x_t: Float[Tensor, "B C H W"], t: Int[Tensor, " B"], label: Int[Tensor, " B"]
    ) -> Float[Tensor, "B C H W"]:
        """grad_x log p(y | x_t, t)."""
        with torch.enable_grad():
            x = x_t.detach().requires_grad_()
            log_p = self.classifier(x, t).float().log_softmax(dim=1)
            told = label < log_p.shape[1]  # the null label asks for no class, and nothing pushes towards it
            wanted = log_p.gather(1, label.clamp(max=log_p.shape[1] - 1)[:, None])[:, 0]
            return torch.autograd.grad((wanted * told).sum(), x)[0].float()
