"""Encoders and decoders of pictures: the two halves of every autoencoder.

mlp:   numbers -> hidden layers -> numbers, and the same backwards
conv:  residual blocks, halved between levels, then a linear layer to a vector; backwards the same, doubled
map:   as conv, but the code stays a small picture, as latent diffusion wants it
"""

import math
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

BODIES = ("mlp", "conv", "map")
ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU}


def check_codec(
    image_size: int, channels: int, latents: int, body: str, widths: tuple[int, ...], activation: str, patch: int
) -> None:
    """Raises ValueError for a config from which no encoder and decoder can be built."""
    if body not in BODIES or activation not in ACTIVATIONS:
        raise ValueError(f"body is one of {', '.join(BODIES)}, activation one of {', '.join(ACTIVATIONS)}")
    if not (1 <= len(widths) <= 8 and all(1 <= width <= 65_536 for width in widths)):
        raise ValueError(f"widths are 1 to 8 positive numbers, not {widths}")
    if not (1 <= image_size <= 4_096 and 1 <= channels <= 64 and 1 <= latents <= 65_536):
        raise ValueError("image_size, channels and latents are positive numbers of a usual size")
    if body == "mlp" and patch != 1:
        raise ValueError("patch is for convolutions: with body 'mlp' leave it at 1")
    if patch < 1 or (body != "mlp" and image_size % (patch * 2 ** (len(widths) - 1))):
        raise ValueError(
            f"image_size {image_size} cannot be cut into patches of {patch} and halved {len(widths) - 1} times, once "
            "between two widths"
        )


def check_pictures(x: Tensor, channels: int, image_size: int) -> None:
    """Raises ValueError for what would be taken for other pictures than it is."""
    shape = (channels, image_size, image_size)
    if not isinstance(x, Tensor):
        raise ValueError(f"pictures are a tensor (B, {', '.join(map(str, shape))}), not a {type(x).__name__}")
    if x.ndim != 4 or x.shape[1:] != shape:
        raise ValueError(f"pictures are (B, {', '.join(map(str, shape))}), not {tuple(x.shape)}")
    if not x.is_floating_point():
        raise ValueError(f"pictures are numbers in [0, 1], not {x.dtype}: bytes are divided by 255")
    if not len(x):
        return
    low, high = x.detach().aminmax()
    if not (low >= -1e-2 and high <= 1 + 1e-2):  # so written, it refuses NaN
        raise ValueError(f"pictures are numbers in [0, 1], not {low:.3g} to {high:.3g}: bytes are divided by 255")


def check_codes(z: Tensor, shape: tuple[int, ...]) -> None:
    """Raises ValueError for what is no batch of codes of this shape."""
    codes = f"(B, {', '.join(map(str, shape))})"
    if not isinstance(z, Tensor):
        raise ValueError(f"codes are a tensor {codes}, not a {type(z).__name__}")
    if z.ndim != len(shape) + 1 or z.shape[1:] != shape:
        raise ValueError(f"codes are {codes}, not {tuple(z.shape)}")


def code_shape(image_size: int, latents: int, body: str, widths: tuple[int, ...], patch: int) -> tuple[int, ...]:
    """The shape of one picture's code: (latents,), or (latents, side, side) where it is a map."""
    side = _side(image_size, widths, patch)
    return (latents, side, side) if body == "map" else (latents,)


def encoder(
    image_size: int, channels: int, outputs: int, body: str, widths: tuple[int, ...], activation: str, patch: int
) -> nn.Sequential:
    """(B, C, H, W) -> (B, outputs), or for a map (B, outputs, h, w)."""
    act = ACTIVATIONS[activation]
    if body == "mlp":
        layers = [nn.Flatten(), *_hidden((channels * image_size**2, *widths), act)]
        return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))
    layers = [Unshuffle(patch), nn.Conv2d(channels * patch**2, widths[0], 3, padding=1)]
    for width, following in pairwise(widths):
        layers += [Residual(width, act), nn.Conv2d(width, following, 3, stride=2, padding=1)]
    layers += [Residual(widths[-1], act), act()]
    if body == "map":
        return nn.Sequential(*layers, nn.Conv2d(widths[-1], outputs, 1))
    side = _side(image_size, widths, patch)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * side**2, outputs))


def decoder(
    image_size: int, channels: int, latents: int, body: str, widths: tuple[int, ...], activation: str, patch: int
) -> nn.Sequential:
    """(B, latents) or (B, latents, h, w) -> (B, channels, H, W)."""
    act, back = ACTIVATIONS[activation], widths[::-1]
    if body == "mlp":
        pixels = (channels, image_size, image_size)
        layers = [*_hidden((latents, *back), act), nn.Linear(back[-1], math.prod(pixels))]
        return nn.Sequential(*layers, nn.Unflatten(1, pixels))
    side = _side(image_size, widths, patch)
    if body == "map":
        layers = [nn.Conv2d(latents, back[0], 1)]
    else:
        layers = [nn.Linear(latents, back[0] * side**2), nn.Unflatten(1, (back[0], side, side))]
    for width, following in pairwise(back):
        layers += [Residual(width, act), nn.Conv2d(width, 4 * following, 3, padding=1), Shuffle(2)]
    layers += [Residual(back[-1], act), act(), nn.Conv2d(back[-1], channels * patch**2, 3, padding=1)]
    return nn.Sequential(*layers, Shuffle(patch))


def _side(image_size: int, widths: tuple[int, ...], patch: int) -> int:
    return image_size // patch >> (len(widths) - 1)


def _hidden(widths: tuple[int, ...], act: type[nn.Module]) -> list[nn.Module]:
    return [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), act())]


class Unshuffle(nn.PixelUnshuffle):
    """p x p pixels become channels; of no picture at all, too, which torch leaves as it is."""

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        (_, c, h, w), p = x.shape, self.downscale_factor
        return super().forward(x) if len(x) else x.reshape(0, c * p * p, h // p, w // p)


class Shuffle(nn.PixelShuffle):
    """The way back."""

    def forward(self, x: Float[Tensor, "B D h w"]) -> Float[Tensor, "B C H W"]:
        (_, c, h, w), p = x.shape, self.upscale_factor
        return super().forward(x) if len(x) else x.reshape(0, c // p**2, h * p, w * p)


class Residual(nn.Module):
    """x + conv(a(conv(a(x)))), which starts as x."""

    def __init__(self, channels: int, act: type[nn.Module]):
        super().__init__()
        self.act = act()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x + self.conv2(self.act(self.conv1(self.act(x))))
