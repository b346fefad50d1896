"""The reader of scenes: what lies in each cell of a picture, said by a convolutional network.

It is trained on true pictures alone, knows of no text, and so can judge what generators of pictures make of a sentence.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from genlab.core import Law, Model
from genlab.nn.codec import check_codec, check_pictures, encoder

LAW = Law(
    latex=r"\log p_\theta(s, f \mid x) = \log p_\theta(f \mid x) + \sum_{c=1}^{G^2} \Bigl( \log p_\theta(s_c \mid x) + "
    r"[s_c \ne \varnothing] \sum_a \log p_\theta(s_{c,a} \mid x) \Bigr)",
    symbols={
        "x": "a picture",
        "f": "its field, the background",
        "c": "one of the cells of a grid, G to a side",
        "G^2": "how many cells there are",
        "s, s_c": r"the shapes in all cells, and in cell c: one of the shapes, or $\varnothing$, none",
        "s_{c,a}": "what attribute a of the thing in cell c is: its colour, texture, size",
        "a": "an attribute",
        r"p_\theta": "the network's probability, of each by itself, given the picture",
    },
    paper="LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition",
    year=1998,
    url="https://doi.org/10.1109/5.726791",
    code="Reader.log_prob",
)


@dataclass(frozen=True)
class ReaderConfig:
    """cells: of the grid, along a side. shapes: how many there are, none not counted. attributes: how many values each
    attribute of a thing has. fields: how many backgrounds. widths, patch: see `genlab.nn.codec`."""

    image_size: int = 64
    channels: int = 3
    cells: int = 3
    shapes: int = 6
    attributes: tuple[int, ...] = (8, 3, 2)
    fields: int = 6
    widths: tuple[int, ...] = (48, 96)
    patch: int = 4
    features: int = 128

    def __post_init__(self):
        check_codec(self.image_size, self.channels, self.features, "map", self.widths, "silu", self.patch)
        sizes = (self.cells, self.shapes, self.fields, *self.attributes)
        if not all(1 <= size <= 1_000 for size in sizes) or self.cells > 32:
            raise ValueError("cells, shapes, fields and the values of attributes are positive numbers of a usual size")


class Reader(Model):
    """Pictures in [0, 1] to what is in each cell, row by row, and to the field."""

    config: ReaderConfig

    def __init__(self, config: ReaderConfig = ReaderConfig()):
        super().__init__(config)
        c = config
        self.pixels = encoder(c.image_size, c.channels, c.features, "map", c.widths, "silu", c.patch)
        self.cell = nn.Conv2d(c.features, c.features, 3, stride=3)
        self.thing = nn.Linear(c.features, 1 + c.shapes + sum(c.attributes))
        self.field = nn.Linear(c.features, c.fields)

    def cells(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B N F"]:
        """What the network sees in each of the N cells; it looks at each through 3 x 3 points of its features.
        Raises ValueError for what is no picture."""
        check_pictures(x, self.config.channels, self.config.image_size)
        h = self.pixels(2 * x.to(self.dtype) - 1)
        h = F.interpolate(h, size=(3 * self.config.cells,) * 2, mode="bilinear", align_corners=False)
        return F.silu(self.cell(h)).flatten(2).mT

    def features(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """The mean over the cells: what FID compares."""
        return self.cells(x).mean(dim=1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B N K"], Float[Tensor, "B fields"]]:
        """Logits of each cell, none and the shapes first, then each attribute's values; and of the fields."""
        seen = self.cells(x)
        return self.thing(seen).float(), self.field(seen.mean(dim=1)).float()

    @torch.no_grad()
    def read(self, x: Float[Tensor, "B C H W"]) -> tuple[Int[Tensor, "B N A"], Int[Tensor, " B"]]:
        """The most likely shape of each cell, -1 for none, and its attributes behind it; and the field."""
        thing, field = self(x)
        shape, *attributes = (part.argmax(dim=-1) for part in self._parts(thing))
        return torch.stack([shape - 1, *attributes], dim=-1), field.argmax(dim=1)

    def log_prob(self, x: Float[Tensor, "B C H W"], things: Int[Tensor, "B N A"], field: Int[Tensor, " B"]) -> Tensor:
        """Nats of what is in each picture: things as `read` gives them."""
        thing, fields = self(x)
        shape, *attributes = self._parts(thing)
        there = things[..., 0] >= 0
        nats = _log_prob(shape, things[..., 0] + 1)
        for number, values in enumerate(attributes, 1):
            nats = nats + torch.where(there, _log_prob(values, things[..., number].clamp_min(0)), 0.0)
        return nats.sum(dim=1) + _log_prob(fields, field)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """-log p; in evaluation the share of pictures read without a mistake too. batch: image (B, C, H, W) in [0, 1],
        things (B, N, 1 + attributes), field (B,)."""
        nats = self.log_prob(batch["image"], batch["things"], batch["field"])
        if self.training:
            return -nats.mean(), {}
        whole = right(*self.read(batch["image"]), batch["things"], batch["field"])
        return -nats.mean(), {"right": whole.float().mean().item()}

    def _parts(self, thing: Float[Tensor, "B N K"]) -> tuple[Tensor, ...]:
        return thing.split([1 + self.config.shapes, *self.config.attributes], dim=-1)


def _log_prob(logits: Tensor, value: Tensor) -> Tensor:
    return logits.log_softmax(dim=-1).gather(-1, value[..., None])[..., 0]


def right(things: Tensor, field: Tensor, true_things: Tensor, true_field: Tensor) -> Bool[Tensor, " B"]:
    """Of which pictures all is read as it is; what is said of nothing does not count."""
    nothing = (true_things[..., :1] < 0) & (torch.arange(true_things.shape[-1], device=things.device) > 0)
    return ((things == true_things) | nothing).flatten(1).all(dim=1) & (field == true_field)
