"""A classifier that reads noisy pictures, so that its gradient can guide a denoiser at every noise level."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from genlab.core import Law, Model
from genlab.models.diffusion.schedule import NoiseSchedule, check_schedule
from genlab.nn.embeddings import sinusoidal
from genlab.nn.unet import Encoder, check_encoder

LAW = Law(
    latex=r"\min_\phi\ \mathbb{E}_{x_0, y, t, \epsilon}\ -\log p_\phi(y \mid x_t, t), \qquad "
    r"x_t = \alpha_t\,x_0 + \sigma_t\,\epsilon",
    symbols={
        r"p_\phi(y \mid x_t, t)": "the probability the network gives class y",
        r"x_0": "a picture, scaled to [-1, 1], and y its class",
        r"\epsilon": "Gaussian noise of the picture's size",
        r"t": "the step, drawn evenly from 0 .. T; the larger, the noisier",
        r"\alpha_t": r"how much of the picture is left, $\sqrt{1-\sigma_t^2}$",
        r"\sigma_t": "how much noise there is, by the denoiser's own schedule",
    },
    paper="Dhariwal, Nichol: Diffusion Models Beat GANs on Image Synthesis",
    year=2021,
    url="https://arxiv.org/abs/2105.05233",
    code="NoisyClassifier.loss",
)


@dataclass(frozen=True)
class NoisyClassifierConfig:
    """The encoder half of the denoiser's U-Net; the schedule must be that of the denoiser it guides."""

    image_size: int = 28
    channels: int = 1
    classes: int = 10
    widths: tuple[int, ...] = (32, 64)
    blocks: int = 1
    patch: int = 2
    embedding: int = 64
    schedule: Literal["linear", "cosine"] = "cosine"
    timesteps: int = 1000

    def __post_init__(self):
        check_schedule(self.schedule, self.timesteps)
        check_encoder(self.image_size, self.channels, self.widths, self.blocks, self.patch, self.embedding)
        if self.classes < 1:
            raise ValueError(f"classes is at least 1, not {self.classes}")


class NoisyClassifier(Model):
    """log p(y | x_t, t): the encoder of a U-Net told the time, global average pooling, one linear layer."""

    config: NoisyClassifierConfig

    def __init__(self, config: NoisyClassifierConfig = NoisyClassifierConfig()):
        super().__init__(config)
        c = config
        self.schedule = NoiseSchedule(c.schedule, c.timesteps)
        self.time = nn.Sequential(nn.Linear(c.embedding, c.embedding), nn.SiLU(), nn.Linear(c.embedding, c.embedding))
        self.encoder = Encoder(c.channels, c.widths, c.embedding, c.blocks, c.patch)
        self.head = nn.Linear(c.widths[-1], c.classes)

    def forward(self, x_t: Float[Tensor, "B C H W"], t: Int[Tensor, " B"]) -> Float[Tensor, "B K"]:
        """Logits of the classes."""
        e = F.silu(self.time(sinusoidal(t, self.config.embedding).to(self.dtype)))
        h, _ = self.encoder(x_t.to(self.dtype), e)
        return self.head(F.silu(h).mean(dim=(2, 3)))

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy of the label, over pictures noised to random times. batch: image in [0, 1], label."""
        x_0 = 2 * batch["image"] - 1
        t = torch.randint(0, self.config.timesteps + 1, (len(x_0),), device=x_0.device)
        alpha, sigma = self.schedule.at(t)
        logits = self(alpha * x_0 + sigma * torch.randn_like(x_0), t).float()
        accuracy = (logits.argmax(1) == batch["label"]).float().mean()
        return F.cross_entropy(logits, batch["label"]), {"accuracy": accuracy.item()}
