"""What a decoder's output says of a picture: p(x | z) as Bernoulli, Gaussian or discretised logistic pixels."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

LIKELIHOODS = ("bernoulli", "gaussian", "logistic")
LEVELS = 256  # of a byte


class Likelihood(nn.Module):
    """log p(x | y) of pictures x in [0, 1], summed over pixels, in nats; y is the decoder's output.

        bernoulli   x log s(y) + (1 - x) log(1 - s(y))           s: the logistic function; x is a bit, or a share of one
        gaussian    log N(x; s(y), sigma^2)                      a density
        logistic    log [s((x+ - s(y)) / w) - s((x- - s(y)) / w)]   the mass of the byte between x- and x+, its edges

    sigma and w are learned, one a channel.
    """

    def __init__(self, kind: str, channels: int):
        super().__init__()
        self.kind = kind
        if kind != "bernoulli":
            self.log_scale = nn.Parameter(torch.full((channels, 1, 1), -2.5))

    def mean(self, y: Float[Tensor, "... C H W"]) -> Float[Tensor, "... C H W"]:
        """The mean picture, in [0, 1]."""
        return y.sigmoid()

    def forward(self, x: Float[Tensor, "... C H W"], y: Float[Tensor, "... C H W"]) -> Float[Tensor, "..."]:
        if self.kind == "bernoulli":
            nats = x * y - F.softplus(y)
        elif self.kind == "gaussian":
            nats = -0.5 * ((x - y.sigmoid()) * (-self.log_scale).exp()).square()
            nats = nats - self.log_scale - 0.5 * math.log(2 * math.pi)
        else:
            nats = self._logistic(x, y.sigmoid())
        return nats.flatten(-3).sum(dim=-1)

    def _logistic(self, x: Tensor, mean: Tensor) -> Tensor:
        """log(s(b) - s(a)) = log s(b) + log s(-a) + log(1 - e^(a - b)); the first and last byte have a whole tail."""
        half, steep = 0.5 / (LEVELS - 1), (-self.log_scale).exp()
        a, b = (x - half - mean) * steep, (x + half - mean) * steep
        inner = F.logsigmoid(b) + F.logsigmoid(-a) + torch.log(-torch.expm1(a - b))
        return torch.where(x < half, F.logsigmoid(b), torch.where(x > 1 - half, F.logsigmoid(-a), inner))

    def draw(self, y: Float[Tensor, "... C H W"], generator: torch.Generator | None = None) -> Tensor:
        """A picture from p(x | y); what a Gaussian puts beyond [0, 1] is brought back to its ends."""
        if self.kind == "gaussian":
            noise = torch.randn(y.shape, generator=generator, device=(generator or y).device).to(y)
            return (y.sigmoid() + self.log_scale.exp() * noise).clamp(0, 1)
        u = torch.rand(y.shape, generator=generator, device=(generator or y).device).to(y)
        if self.kind == "bernoulli":
            return (u < y.sigmoid()).to(y)
        x = y.sigmoid() + self.log_scale.exp() * torch.logit(u, eps=1e-6)
        return (x.clamp(0, 1) * (LEVELS - 1)).round() / (LEVELS - 1)
