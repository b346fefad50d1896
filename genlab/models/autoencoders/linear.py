"""The linear autoencoder: the best one of its width is principal component analysis."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genlab.core import Law, Model
from genlab.nn.codec import check_codes, check_pictures

LAW = Law(
    latex=r"z = W (x - \mu), \qquad \hat{x} = \mu + W^\top z, \qquad "
    r"\min_{W,\,\mu}\ \mathbb{E}\,\lVert x - \hat{x} \rVert^2 \ \Rightarrow\ W W^\top = I",
    symbols={
        "x": "a picture, as one vector",
        r"\mu": "the mean picture",
        "W": "d rows: in the end the directions in which pictures differ most, or as many mixed from these",
        "z": "the code: d numbers",
        r"\hat{x}": "the picture that the code stands for",
        "I": "the identity: the best rows are of length 1 and at right angles, though nobody asked them to be",
    },
    paper="Baldi, Hornik: Neural Networks and Principal Component Analysis",
    year=1989,
    url="https://doi.org/10.1016/0893-6080(89)90014-2",
    code="LinearAutoencoder.encode",
)


@dataclass(frozen=True)
class LinearAutoencoderConfig:
    image_size: int = 28
    channels: int = 1
    latents: int = 2

    def __post_init__(self):
        if self.image_size < 1 or self.channels < 1:
            raise ValueError("image_size and channels are positive")
        if not 1 <= self.latents <= self.channels * self.image_size**2:
            raise ValueError(f"latents lies in 1..{self.channels * self.image_size**2}, the number of pixels")


class LinearAutoencoder(Model):
    """Pictures in [0, 1] to d numbers and back, by one matrix. `fit` solves it in closed form; `loss` learns it by
    descent, whose minima span the same subspace."""

    config: LinearAutoencoderConfig

    def __init__(self, config: LinearAutoencoderConfig = LinearAutoencoderConfig()):
        super().__init__(config)
        pixels = config.channels * config.image_size**2
        self.mean = nn.Parameter(torch.full((pixels,), 0.5))
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(config.latents, pixels)))

    def encode(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B Z"]:
        """z = W (x - mu). Raises ValueError for what is no picture."""
        check_pictures(x, self.config.channels, self.config.image_size)
        return (x.to(self.dtype).flatten(1) - self.mean) @ self.weight.T

    def decode(self, z: Float[Tensor, "B Z"]) -> Float[Tensor, "B C H W"]:
        """x_hat = mu + W^T z. Raises ValueError for what is no code."""
        check_codes(z, (self.config.latents,))
        size = self.config.image_size
        return (self.mean + z.to(self.dtype) @ self.weight).unflatten(1, (self.config.channels, size, size))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return self.decode(self.encode(x))

    @torch.no_grad()
    def fit(self, x: Float[Tensor, "N C H W"]) -> "LinearAutoencoder":
        """W and mu from pictures: the eigenvectors of their covariance with the largest eigenvalues. Raises
        ValueError."""
        check_pictures(x, self.config.channels, self.config.image_size)
        if len(x) < 2 or not x.isfinite().all():
            raise ValueError("a covariance takes two pictures or more, without NaN or infinity")
        x = x.flatten(1).double()
        mean = x.mean(dim=0)
        covariance = (x - mean).T @ (x - mean) / len(x)
        vectors = torch.linalg.eigh(covariance).eigenvectors.flip(1).T[: self.config.latents]
        signs = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True)).sign()  # else any machine's own
        self.mean.copy_(mean)
        self.weight.copy_(signs * vectors)
        return self

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The squared error of a picture, summed over its pixels. batch: image (B, C, H, W) in [0, 1]."""
        x = batch["image"]
        error = (self(x).float() - x).square().flatten(1).sum(dim=1).mean()
        return error, {"mse": error.item() / x[0].numel()}
