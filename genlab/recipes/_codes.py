"""How autoencoders of digits are measured and shown: how far off what comes back is, and what lies where in their
codes."""

from collections.abc import Callable

import torch
from torch import Tensor

from genlab.core import Model
from genlab.data import mnist
from genlab.figures import Metric


def reconstruction(model: Model, samples: int | None, settings: dict | None = None) -> list[Metric]:
    """The mean squared error of test digits that went through the code."""
    image = mnist.load("test")["image"][:samples].float() / 255
    error = torch.cat([(model(part) - part).square().flatten(1).mean(dim=1) for part in image.split(500)])
    return [
        Metric(
            "mse",
            error.mean().item(),
            error.std().item(),
            better="lower",
            samples=len(error),
            dataset=mnist.HUB_ID,
            split="test",
            settings=settings or {},
            headline=True,
            note="mean squared error of a pixel in [0, 1]; spread: standard deviation over pictures",
        )
    ]


@torch.no_grad()
def golden_pictures(model: Model, encode: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """The codes of four pictures of noise, and the pictures that come back."""
    c = model.config
    image = torch.rand(4, c.channels, c.image_size, c.image_size, generator=torch.Generator().manual_seed(0))
    code = encode(image)
    return {"image": image, "code": code, "back": model.decode(code)}


@torch.no_grad()
def there_and_back(model: Model) -> Tensor:
    """Ten test digits (first row) and what comes back of them (second row)."""
    test = mnist.load("test")
    first = [int((test["label"] == digit).nonzero()[0]) for digit in range(10)]
    image = test["image"][first].float() / 255
    return torch.stack([image, model(image)])


@torch.no_grad()
def chart(model: Model, low: Tensor, high: Tensor, side: int = 16) -> Tensor:
    """What codes of two numbers stand for, on a grid from one corner to the other: the second number grows upwards."""
    share = (torch.arange(side) + 0.5) / side
    x, y = (low[i] + share * (high[i] - low[i]) for i in range(2))
    code = torch.cartesian_prod(y.flip(0), x).flip(1)
    return model.decode(code).unflatten(0, (side, side))
