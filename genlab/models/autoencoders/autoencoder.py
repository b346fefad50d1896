"""The autoencoder: a picture through a narrow place and back."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from genlab.core import Law, Model
from genlab.nn.codec import check_codec, check_codes, check_pictures, code_shape, decoder, encoder

LAW = Law(
    latex=r"z = f_\phi(x), \qquad \hat{x} = g_\theta(z), \qquad "
    r"\min_{\phi,\,\theta}\ \mathbb{E}\,\lVert x - g_\theta(f_\phi(x)) \rVert^2",
    symbols={
        "x": "a picture",
        "z": "its code: a few numbers, with nothing said of how they are spread",
        r"f_\phi": "the encoder, a network",
        r"g_\theta": "the decoder, another",
        r"\hat{x}": "the picture that the code stands for",
    },
    paper="Hinton, Salakhutdinov: Reducing the Dimensionality of Data with Neural Networks",
    year=2006,
    url="https://doi.org/10.1126/science.1127647",
    code="Autoencoder.loss",
)


@dataclass(frozen=True)
class AutoencoderConfig:
    """body, widths, activation, patch: see `genlab.nn.codec`."""

    image_size: int = 28
    channels: int = 1
    latents: int = 2
    body: Literal["mlp", "conv", "map"] = "mlp"
    widths: tuple[int, ...] = (512, 256)
    activation: Literal["tanh", "relu", "silu"] = "relu"
    patch: int = 1

    def __post_init__(self):
        check_codec(self.image_size, self.channels, self.latents, self.body, self.widths, self.activation, self.patch)


class Autoencoder(Model):
    """Pictures in [0, 1] to codes (B, latents), or (B, latents, h, w) with body 'map', and back."""

    config: AutoencoderConfig

    def __init__(self, config: AutoencoderConfig = AutoencoderConfig()):
        super().__init__(config)
        c = config
        self.encoder = encoder(c.image_size, c.channels, c.latents, c.body, c.widths, c.activation, c.patch)
        self.decoder = decoder(c.image_size, c.channels, c.latents, c.body, c.widths, c.activation, c.patch)

    def encode(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B ..."]:
        """z = f(x). Raises ValueError for what is no picture."""
        check_pictures(x, self.config.channels, self.config.image_size)
        return self.encoder(x.to(self.dtype))

    def decode(self, z: Float[Tensor, "B ..."]) -> Float[Tensor, "B C H W"]:
        """x_hat = g(z), in [0, 1]. Raises ValueError for what is no code."""
        check_codes(z, self.code_shape)
        return self.decoder(z.to(self.dtype)).sigmoid()

    @property
    def code_shape(self) -> tuple[int, ...]:
        c = self.config
        return code_shape(c.image_size, c.latents, c.body, c.widths, c.patch)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return self.decode(self.encode(x))

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The squared error of a picture, summed over its pixels. batch: image (B, C, H, W) in [0, 1]."""
        x = batch["image"]
        error = (self(x).float() - x).square().flatten(1).sum(dim=1).mean()
        return error, {"mse": error.item() / x[0].numel()}
