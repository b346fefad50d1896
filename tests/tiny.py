"""A model with one config field of each kind, small enough to break a thousand times."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from genlab.core import Model
from genlab.models import classic


@dataclass(frozen=True)
class TinyConfig:
    width: int
    depth: int = 1
    scale: float = 1.0
    squash: bool = False
    activation: Literal["relu", "tanh"] = "relu"
    sizes: tuple[int, ...] = ()
    image: tuple[int, int] = (2, 2)
    note: str | None = None


class Tiny(Model):
    config: TinyConfig

    def __init__(self, config: TinyConfig):
        super().__init__(config)
        widths = [config.image[0] * config.image[1], *[config.width] * config.depth, *config.sizes]
        self.layers = nn.Sequential(*[nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)])
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        return self.layers(x) * self.config.scale


def export(monkeypatch) -> None:
    """Let `genlab.from_pretrained` find it, as it finds the models of the family `classic`."""
    monkeypatch.setattr(classic, "Tiny", Tiny, raising=False)
    monkeypatch.setattr(classic, "__all__", [*classic.__all__, "Tiny"])
