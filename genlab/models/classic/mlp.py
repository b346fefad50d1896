"""The multilayer perceptron: the CNN's plain sibling, every pixel connected to every unit."""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from genlab.core import Law, Model

LAW = Law(
    latex=r"h_0 = x, \qquad h_k = \sigma(W_k h_{k-1} + b_k), \qquad \hat{y} = \mathrm{softmax}(W_{K+1} h_K + b_{K+1})",
    symbols={
        "x": "the picture, as one vector",
        "h_k": "the units of hidden layer k, of K in all",
        "W_k, b_k": "weights and biases of layer k",
        r"\sigma": "the non-linearity, unit by unit",
        r"\hat{y}": "the probability of each class",
    },
    paper="Rumelhart, Hinton, Williams: Learning Representations by Back-propagating Errors",
    year=1986,
    url="https://doi.org/10.1038/323533a0",
    code="MLP.forward",
)

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}


@dataclass(frozen=True)
class MLPConfig:
    """inputs: numbers in one example (784 for 28 x 28). widths: units of each hidden layer. dropout: the share of units
    silenced in training, on every hidden layer; `dropout_input` on the pixels."""

    inputs: int = 784
    classes: int = 10
    widths: tuple[int, ...] = (800, 800)
    activation: Literal["relu", "tanh", "sigmoid", "gelu"] = "relu"
    dropout: float = 0.5
    dropout_input: float = 0.2

    def __post_init__(self):
        if min((self.inputs, self.classes, *self.widths)) < 1 or len(self.widths) > 64:
            raise ValueError("inputs, classes and up to 64 widths are positive")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation is one of {', '.join(ACTIVATIONS)}, not {self.activation!r}")
        if not (0 <= self.dropout < 1 and 0 <= self.dropout_input < 1):
            raise ValueError("dropout and dropout_input lie in [0, 1)")


class MLP(Model):
    """Pictures (or any tensors of `inputs` numbers) to class logits."""

    config: MLPConfig

    def __init__(self, config: MLPConfig = MLPConfig()):
        super().__init__(config)
        widths = (config.inputs, *config.widths)
        layers: list[nn.Module] = [nn.Flatten(), nn.Dropout(config.dropout_input)]
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(a, b), ACTIVATIONS[config.activation](), nn.Dropout(config.dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], config.classes))

    def forward(self, x: Float[Tensor, "B ..."]) -> Float[Tensor, "B K"]:
        """Logits of the classes."""
        return self.layers(x.to(self.dtype))

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy, the maximum-likelihood loss; a weight prior (MAP) is the optimiser's weight decay."""
        logits = self(batch["image"]).float()
        accuracy = (logits.argmax(1) == batch["label"]).float().mean()
        return F.cross_entropy(logits, batch["label"]), {"accuracy": accuracy.item()}
