"""How models want their pictures: resized, cropped or padded, cut into patches, normalised; on tensors, in batches."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

RESAMPLE = {2: "bilinear", 3: "bicubic"}  # PIL's numbers
MOST_TOKENS = 1 << 14  # of a picture: the largest models known have 1024
LONGEST = 100  # a picture at most so many times as long as it is wide: its shorter side grows to the model's size


@dataclass(frozen=True)
class Frame:
    """How a model wants its pictures: resized, cropped or padded in the middle, normalised.

    resize: "shortest" or "longest" side to fill `size` (height, width), or "squash" to it. rounding: of half a pixel
    beside the crop. fill: the grey of the padding.
    """

    resize: str
    size: tuple[int, int]
    crop: tuple[int, int]
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fill: float = 0.0
    rounding: Callable[[float], int] = round

    def __post_init__(self):
        if self.resize not in ("shortest", "longest", "squash") or self.interpolation not in RESAMPLE.values():
            raise ValueError(f"pictures resized by {self.resize!r} and {self.interpolation!r} are not known here")
        _check_colours(self.mean, self.std)
        if not all(isinstance(n, int) and 1 <= n <= 4096 for n in (*self.size, *self.crop)):
            raise ValueError(f"pictures of {self.size} cropped to {self.crop} are no sensible size")

    def __call__(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 h w"]:
        return normalise(self._crop(resize(images, self._target(*images.shape[2:]), self.interpolation)), self)

    def _target(self, h: int, w: int) -> tuple[int, int]:
        if self.resize == "squash":
            return self.size
        if self.resize == "shortest" and self.size[0] == self.size[1]:
            side = self.size[0]
            return (side, int(side * w / h)) if h <= w else (int(side * h / w), side)
        ratio = (min if self.resize == "shortest" else max)(h / self.size[0], w / self.size[1])
        return max(1, round(h / ratio)), max(1, round(w / ratio))

    def _crop(self, images: Tensor) -> Tensor:
        (h, w), (crop_h, crop_w) = images.shape[2:], self.crop
        down, across = max(0, crop_h - h), max(0, crop_w - w)
        if down or across:
            sides = (across // 2, across - across // 2, down // 2, down - down // 2)
            images = F.pad(images, sides, value=self.fill)
        top, left = (self.rounding(max(0, n) / 2) for n in (h - crop_h, w - crop_w))
        return images[:, :, top : top + crop_h, left : left + crop_w]


@dataclass(frozen=True)
class Patches:
    """How SigLIP 2 with free resolution wants its pictures: nearly as they are, in at most `most` square patches."""

    patch: int
    most: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self):
        _check_colours(self.mean, self.std)
        if not 1 <= self.patch <= 1024 or not 1 <= self.most <= MOST_TOKENS:
            raise ValueError(f"{self.most} patches of {self.patch} pixels are no sensible size")

    def __call__(self, images: Float[Tensor, "B 3 H W"]) -> dict[str, Tensor]:
        from transformers.models.siglip2.image_processing_siglip2 import get_image_size_for_max_num_patches

        size = get_image_size_for_max_num_patches(*images.shape[2:], self.patch, self.most)
        x = normalise(resize(images, size, self.interpolation), self)
        x = x.unflatten(3, (-1, self.patch)).unflatten(2, (-1, self.patch))  # B 3 down patch across patch
        x = x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        mask = (torch.arange(self.most, device=x.device) < x.shape[1]).int().expand(len(x), -1)
        shape = torch.tensor([[n // self.patch for n in size]], device=x.device).expand(len(x), -1)
        x = F.pad(x, (0, 0, 0, self.most - x.shape[1]))
        return {"pixel_values": x, "pixel_attention_mask": mask, "spatial_shapes": shape}


def resize(images: Float[Tensor, "B 3 H W"], size: tuple[int, int], mode: str) -> Float[Tensor, "B 3 h w"]:
    """As PIL resizes (a filter that widens when it shrinks; across, then down, held in [0, 1] after each), but not
    rounded to 8 bits."""
    for step in ((images.shape[2], size[1]), size):
        if images.shape[2:] != step:
            images = F.interpolate(images, step, mode=mode, antialias=True).clamp(0, 1)
    return images


def normalise(images: Float[Tensor, "B 3 H W"], how: Frame | Patches) -> Float[Tensor, "B 3 H W"]:
    mean, std = (torch.tensor(c, device=images.device, dtype=images.dtype)[:, None, None] for c in (how.mean, how.std))
    return (images - mean) / std


def batches(images) -> tuple[list[Tensor], Tensor]:
    """Pictures of one size together, and where each of the given ones went. No picture at all: one, and nowhere."""
    if isinstance(images, Tensor):
        _check_pictures(images, 4)
        return [images if len(images) else images.new_zeros(1, 3, 8, 8)], torch.arange(len(images))
    groups: dict[tuple, list[int]] = {}
    for i, image in enumerate(images):
        _check_pictures(image, 3)
        groups.setdefault((image.shape, image.dtype, image.device), []).append(i)
    if not groups:
        return [torch.zeros(1, 3, 8, 8)], torch.arange(0)
    order = torch.tensor([i for group in groups.values() for i in group]).argsort()
    return [torch.stack([images[i] for i in group]) for group in groups.values()], order


def _check_pictures(images, ndim: int) -> None:
    form = "(N, 3, H, W)" if ndim == 4 else "(3, H, W) each in a list"
    if not isinstance(images, Tensor) or images.ndim != ndim or images.shape[-3] != 3:
        got = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"pictures are tensors {form} of red, green and blue, not {got}")
    if not images.is_floating_point():
        raise ValueError(f"pictures are floats in [0, 1], not {images.dtype}: divide bytes by 255")
    short, long = sorted(images.shape[-2:])
    if short < 1 or long > LONGEST * short:
        raise ValueError(f"a picture of {images.shape[-2]} x {images.shape[-1]} pixels is empty, or too thin to resize")
    if images.numel():
        low, high = (n.item() for n in images.detach().aminmax())
        if not (low >= -1e-3 and high <= 1 + 1e-3):  # not, for NaN compares as false
            raise ValueError(f"pictures are in [0, 1] and without NaN, not from {low:.3g} to {high:.3g}")


def _check_colours(mean, std) -> None:
    numbers = all(isinstance(n, int | float) for n in (*mean, *std))
    if not numbers or (len(mean), len(std)) != (3, 3) or not all(0 < n < float("inf") for n in std):
        raise ValueError(f"mean {mean} and std {std} do not normalise red, green and blue")
