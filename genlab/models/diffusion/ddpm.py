"""Denoising diffusion: learn to see the noise in a noisy picture, then remove it little by little."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from genlab.core import Law, Model
from genlab.models.diffusion.classifier_guidance import ClassifierGuidance
from genlab.models.diffusion.guidance import ClassifierFreeGuidance
from genlab.models.diffusion.samplers import Inpaint, Step, check_walk, sampler_steps
from genlab.models.diffusion.schedule import NoiseSchedule, check_schedule
from genlab.nn.embeddings import sinusoidal
from genlab.nn.unet import UNet, check_encoder

LAW = Law(
    latex=r"x_t = \alpha_t\,x_0 + \sigma_t\,\epsilon, \qquad "
    r"\min_\theta\ \mathbb{E}\;w_t\,\lVert \epsilon - \epsilon_\theta(x_t, y, t) \rVert^2",
    symbols={
        r"x_0": "a picture, scaled to [-1, 1]",
        r"\epsilon": "Gaussian noise of the picture's size",
        r"t": "the step, 1 .. T; the larger, the noisier",
        r"\alpha_t": r"how much of the picture is left, $\sqrt{\prod_{i \le t}(1-\beta_i)}$",
        r"\sigma_t": r"how much noise there is, $\sqrt{1-\alpha_t^2}$",
        r"\epsilon_\theta": "the network's estimate of the noise",
        r"w_t": r"1 where the network predicts the noise; $1/\alpha_t^2$ where it predicts "
        r"$v = \alpha_t\epsilon - \sigma_t x_0$, since $\lVert v - v_\theta \rVert^2 = "
        r"\lVert \epsilon - \epsilon_\theta \rVert^2 / \alpha_t^2$",
        r"y": "the class, or the null class where it was dropped",
    },
    paper="Ho, Jain, Abbeel: Denoising Diffusion Probabilistic Models",
    year=2020,
    url="https://arxiv.org/abs/2006.11239",
    code="DDPM.loss",
)


@dataclass(frozen=True)
class DDPMConfig:
    """prediction: what the network puts out, the noise, or v = alpha eps - sigma x_0 (Salimans & Ho, 2022), from which
    eps = alpha v + sigma x_t: the noise with x_t fed once more to the output, so it need not pass through the net."""

    image_size: int = 28
    channels: int = 1
    classes: int = 10
    widths: tuple[int, ...] = (64, 128)
    blocks: int = 1
    patch: int = 2
    attention: tuple[int, ...] = ()
    embedding: int = 128
    dropout: float = 0.0
    schedule: Literal["linear", "cosine"] = "cosine"
    timesteps: int = 1000
    prediction: Literal["noise", "v"] = "v"
    drop_label: float = 0.1  # the share of labels replaced by the null class in training

    def __post_init__(self):
        check_schedule(self.schedule, self.timesteps)
        check_encoder(self.image_size, self.channels, self.widths, self.blocks, self.patch, self.embedding)
        if self.prediction not in ("noise", "v"):
            raise ValueError(f"prediction is 'noise' or 'v', not {self.prediction!r}")
        if not 1 <= self.classes <= 100_000:
            raise ValueError(f"classes lies in 1..100000, not {self.classes}")
        if not (0 <= self.dropout < 1 and 0 <= self.drop_label < 1):
            raise ValueError("dropout and drop_label lie in [0, 1)")


class DDPM(Model):
    """A class-conditional denoising diffusion model on a U-Net.

    Pictures go in and out in [0, 1]; inside, x_t lives around [-1, 1]. Label `classes` is the null class: no condition.
    """

    config: DDPMConfig

    def __init__(self, config: DDPMConfig = DDPMConfig()):
        super().__init__(config)
        c = config
        self.schedule = NoiseSchedule(c.schedule, c.timesteps)
        self.time = nn.Sequential(nn.Linear(c.embedding, c.embedding), nn.SiLU(), nn.Linear(c.embedding, c.embedding))
        self.label = nn.Embedding(c.classes + 1, c.embedding)
        self.unet = UNet(c.channels, c.widths, c.embedding, c.blocks, c.patch, c.attention, c.dropout)

    # -- noising -----------------------------------------------------------------------------------------------------

    def q_sample(
        self, x_0: Float[Tensor, "B C H W"], t: Int[Tensor, " B"], eps: Float[Tensor, "B C H W"]
    ) -> Float[Tensor, "B C H W"]:
        """x_t = alpha_t x_0 + sigma_t eps: t steps of noising at once."""
        alpha, sigma = self.schedule.at(t)
        return alpha * x_0 + sigma * eps

    @property
    def null_label(self) -> int:
        """The label that stands for no condition."""
        return self.config.classes

    # -- denoising ---------------------------------------------------------------------------------------------------

    def output(
        self, x_t: Float[Tensor, "B C H W"], t: Int[Tensor, " B"], label: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B C H W"]:
        """What the network predicts, noise or v, in float32."""
        if label is None:
            label = torch.full_like(t, self.null_label)
        e = self.time(sinusoidal(t, self.config.embedding).to(self.dtype)) + self.label(label)
        return self.unet(x_t.to(self.dtype), F.silu(e)).float()

    def noise(
        self, x_t: Float[Tensor, "B C H W"], t: Int[Tensor, " B"], label: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B C H W"]:
        """eps_theta(x_t, y, t), the noise in x_t; `label=None` is the null class."""
        out = self.output(x_t, t, label)
        if self.config.prediction == "noise":
            return out
        alpha, sigma = self.schedule.at(t)
        return alpha * out + sigma * x_t

    # -- learning ----------------------------------------------------------------------------------------------------

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """E || target - output(x_t, y, t) ||^2 over random t, noise and dropped labels.

        batch: image (B, C, H, W) in [0, 1], label (B,). The log also holds the error of the noise itself, which
        compares across parametrisations.
        """
        x_0 = 2 * batch["image"] - 1
        B = len(x_0)
        t = self.schedule.random_times(B)
        eps = torch.randn_like(x_0)
        dropped = torch.rand(B, device=x_0.device) < self.config.drop_label
        label = torch.where(dropped, self.null_label, batch["label"])

        alpha, sigma = self.schedule.at(t)
        x_t = self.q_sample(x_0, t, eps)
        out = self.output(x_t, t, label)
        if self.config.prediction == "noise":
            loss = noise_error = F.mse_loss(out, eps)
        else:
            error = (out - (alpha * eps - sigma * x_0)).square()
            loss, noise_error = error.mean(), (alpha.square() * error).mean()
        return loss, {"noise_mse": noise_error.item()}

    @torch.no_grad()
    def variational_bound(
        self,
        image: Float[Tensor, "B C H W"],
        label: Int[Tensor, " B"] | None = None,
        draws: int | None = None,
        generator: torch.Generator | None = None,
    ) -> dict[str, Float[Tensor, " B"]]:
        """L_T + sum_{t>1} L_{t-1} + L_0 >= -log p(x_0), in nats per example (Ho et al., eq. 5), for 8-bit pictures.

        The reverse step is Gaussian with the posterior's variance (beta_1 at t = 1); L_0 is the probability of the
        8-bit value under it. draws=None sums all T terms; else each example's sum is estimated, without bias, from
        that many stratified t. Returns prior, diffusion, decoder and total.
        """
        x_0, T = 2 * image.float() - 1, self.config.timesteps
        B, device = len(x_0), x_0.device
        beta, alpha, sigma = (self.schedule.beta.double(), self.schedule.alpha.double(), self.schedule.sigma.double())

        def noised(t: Int[Tensor, " B"]) -> tuple[Tensor, Tensor]:
            eps = torch.randn(x_0.shape, generator=generator).to(device)
            return eps, self.noise(self.q_sample(x_0, t, eps), t, label)

        prior = (0.5 * ((alpha[T] * x_0.double()) ** 2 + sigma[T] ** 2 - 1 - 2 * sigma[T].log())).flatten(1).sum(1)

        # KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) = weight_t || eps - eps_theta ||^2, equal variances
        weight = beta.square() / (2 * (1 - beta) * sigma.square())  # over the reverse variance, below
        variance = beta[1:] * sigma[:-1].square() / sigma[1:].square()  # of q(x_{t-1} | x_t, x_0), t = 1 .. T
        weight = weight[2:] / variance[1:]  # t = 2 .. T
        count = T - 1 if draws is None else draws
        diffusion = torch.zeros(B, dtype=torch.float64, device=device)
        for k in range(count):
            if draws is None:
                t = torch.full((B,), k + 2, device=device)
            else:
                u = (k + torch.rand(B, generator=generator)) / draws
                t = 2 + (u * (T - 1)).long().clamp(max=T - 2).to(device)
            eps, guess = noised(t)
            diffusion += weight[t - 2] * (eps - guess).double().square().flatten(1).sum(1) * ((T - 1) / count)

        t = torch.ones(B, dtype=torch.long, device=device)
        eps, guess = noised(t)
        x_1 = self.q_sample(x_0, t, eps).double()
        mean = (x_1 - beta[1] / sigma[1] * guess.double()) / (1 - beta[1]).sqrt()
        decoder = -_discrete_log_prob(x_0.double(), mean, beta[1].sqrt()).flatten(1).sum(1)
        parts = {"prior": prior, "diffusion": diffusion, "decoder": decoder, "total": prior + diffusion + decoder}
        return {key: value.float() for key, value in parts.items()}

    # -- sampling ----------------------------------------------------------------------------------------------------

    def sample_steps(
        self,
        n: int,
        *,
        label: int | list[int] | Int[Tensor, " B"] | None = None,
        guidance: float = 0.0,
        steps: int = 50,
        sampler: str = "ddim",
        eta: float = 0.0,
        interval: tuple[float, float] = (0.0, 1.0),
        rescale: float = 0.0,
        classifier: Model | None = None,
        classifier_scale: float = 0.0,
        known: Float[Tensor, "C H W"] | Float[Tensor, "B C H W"] | None = None,
        mask: Tensor | None = None,
        resample: int = 1,
        generator: torch.Generator | None = None,
    ) -> Iterator[Step]:
        """Denoise n pictures from pure noise, yielding (t, x_t, predicted x_0) after each of `steps` steps.

        label: a class for all, one for each, or None for the null class. guidance: rho, 0 for none, acting while t / T
        lies in `interval`. sampler: 'ddpm' (ancestral), 'ddim' (eta = 0 deterministic, 1 ancestral), 'dpm++', 'unipc'.
        classifier, classifier_scale: a NoisyClassifier that pushes as well, within the same interval. known, mask: a
        picture in [0, 1] and where it holds (1 = keep); the rest is filled in, with `resample` passes over each step
        (RePaint; ddpm and ddim only). Raises ValueError.
        """
        c = self.config
        check_walk(n, steps, c.timesteps, resample, generator)
        n, steps = int(n), int(steps)
        label = self._labels(label, n)
        denoiser = ClassifierFreeGuidance(self, guidance, interval, rescale)
        if classifier is None and classifier_scale != 0:
            raise ValueError("classifier_scale needs a classifier that pushes: give classifier, a NoisyClassifier")
        if classifier is not None:
            denoiser = ClassifierGuidance(denoiser, classifier, classifier_scale, interval)
        inpaint = None if known is None and mask is None else self._inpaint(known, mask, n, resample)
        shape = (n, c.channels, c.image_size, c.image_size)
        x_T = torch.randn(shape, generator=generator, device=generator.device if generator else None).to(self.device)
        yield from sampler_steps(sampler, denoiser, x_T, label, steps, eta, inpaint, generator)

    def sample(self, n: int, **knobs) -> Float[Tensor, "B C H W"]:
        """n pictures in [0, 1]: the last of `sample_steps`, whose knobs it takes."""
        for step in self.sample_steps(n, **knobs):  # noqa: B007
            pass
        return to_image(step.x_t)

    def _labels(self, label, n: int) -> Int[Tensor, " B"] | None:
        if label is None:
            return None
        what = f"label is a class, a whole number, or {n} of them, not {str(label)[:100]}"
        try:
            label = torch.as_tensor(label, device=self.device)
        except (TypeError, ValueError, RuntimeError) as error:  # no numbers, ragged, or beyond 64 bits
            raise ValueError(what) from error
        whole = not (label.is_floating_point() or label.is_complex() or label.dtype == torch.bool)
        if not whole or label.ndim > 1 or label.numel() not in (1, n):
            raise ValueError(what)
        if label.min() < 0 or label.max() > self.config.classes:
            raise ValueError(f"labels lie in 0..{self.config.classes - 1} ({self.config.classes} = no class)")
        return label.long().expand(n)

    def _inpaint(self, known, mask, n: int, resample: int) -> Inpaint:
        c = self.config
        if known is None or mask is None:
            raise ValueError("known and mask go together: the picture, and where it holds")
        try:
            known = torch.as_tensor(known, dtype=torch.float32, device=self.device)
            keep = torch.as_tensor(mask, dtype=torch.float32, device=self.device)
        except (TypeError, ValueError, RuntimeError) as error:  # no numbers, or ragged
            raise ValueError(f"known and mask are tensors of pictures: {error}") from error
        if keep.isnan().any():
            raise ValueError("mask holds NaN: 1 is to keep, 0 to fill in")
        if not (known.isfinite().all() and known.min() >= 0 and known.max() <= 1):
            raise ValueError("known is a picture in [0, 1]")
        shape = (n, c.channels, c.image_size, c.image_size)
        try:
            return Inpaint((2 * known - 1).expand(shape), (keep > 0.5).expand(shape), resample)
        except RuntimeError as error:
            raise ValueError(f"known and mask must fit {shape}, not {known.shape} and {keep.shape}") from error


def to_image(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """From the model's range to pictures in [0, 1]."""
    return ((x + 1) / 2).clamp(0, 1)


def _discrete_log_prob(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """log of the Gaussian's mass in the 8-bit bin around x (edges at -1 and 1 reach to infinity)."""
    upper = torch.special.ndtr((x - mean + 1 / 255) / scale).where(x < 0.999, torch.ones_like(x))
    lower = torch.special.ndtr((x - mean - 1 / 255) / scale).where(x > -0.999, torch.zeros_like(x))
    return (upper - lower).clamp(min=1e-12).log()
