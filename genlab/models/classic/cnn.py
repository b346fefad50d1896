"""The convolutional network: local filters, shared over the picture, pooled."""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from genlab.core import Law, Model

LAW = Law(
    latex=r"h_{o}(i, j) = \max\Bigl(0,\ b_o + \sum_{c}\sum_{u,v} w_{o,c}(u, v)\; x_c(i + u,\ j + v)\Bigr)",
    symbols={
        "x_c": "channel c of the input picture",
        "i, j": "a place in the picture",
        "u, v": "a place in the filter, from -1 to 1",
        "w_{o,c}": "the filter from channel c to channel o, the same at every place",
        "b_o": "shift of channel o: batch normalisation's, whose scale is part of w",
        "h_o": "channel o of the output",
    },
    paper="LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition",
    year=1998,
    url="https://doi.org/10.1109/5.726791",
    code="CNN.features",
)


@dataclass(frozen=True)
class CNNConfig:
    """Per width two 3x3 convolutions and a 2x2 max-pool; then a hidden layer of `features` units and the classes."""

    image_size: int = 28
    channels: int = 1
    classes: int = 10
    widths: tuple[int, ...] = (32, 64)
    features: int = 128
    dropout: float = 0.3

    def __post_init__(self):
        if not (1 <= len(self.widths) <= 8 and all(w > 0 for w in self.widths)):
            raise ValueError(f"widths are 1 to 8 positive numbers, not {self.widths}")
        if self.image_size >> len(self.widths) < 1 or min(self.channels, self.classes, self.features) < 1:
            raise ValueError("channels, classes and features are positive, image_size at least 2^len(widths)")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout lies in [0, 1), not {self.dropout}")


class CNN(Model):
    """Pictures in [0, 1] to class logits; `features` are what FID and KID compare."""

    config: CNNConfig

    def __init__(self, config: CNNConfig = CNNConfig()):
        super().__init__(config)
        layers, c = [], config.channels
        for w in config.widths:
            for c_in in (c, w):
                layers += [nn.Conv2d(c_in, w, 3, padding=1, bias=False), nn.BatchNorm2d(w), nn.ReLU()]
            layers += [nn.MaxPool2d(2), nn.Dropout2d(config.dropout / 2)]
            c = w
        self.convolutions = nn.Sequential(*layers)
        side = config.image_size >> len(config.widths)
        self.hidden = nn.Linear(c * side**2, config.features)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.features, config.classes)

    def features(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """The last hidden layer, before dropout and the logits."""
        return F.relu(self.hidden(self.convolutions(x.to(self.dtype)).flatten(1)))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        """Logits of the classes."""
        return self.head(self.dropout(self.features(x)))

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy; the accuracy in the log. batch: image (B, C, H, W) in [0, 1], label (B,)."""
        logits = self(batch["image"]).float()
        accuracy = (logits.argmax(1) == batch["label"]).float().mean()
        return F.cross_entropy(logits, batch["label"]), {"accuracy": accuracy.item()}
