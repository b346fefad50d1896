"""How well do pictures and texts fit? What every CLIP answers, from features of length 1, whoever made them."""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from genlab.words import strings

Features = Float[Tensor, "N D"]


@runtime_checkable
class TwoTowers(Protocol):
    """Pictures (N, C, H, W) in [0, 1], or a list where the towers take any size, and texts to features of length 1, and
    how sharply to tell them apart."""

    def encode_image(self, images: Tensor) -> Features: ...

    def encode_text(self, texts: Sequence[str]) -> Features: ...

    @property
    def temperature(self) -> float: ...


class Scoring:
    """The answers, on top of the two towers."""

    @torch.no_grad()
    def score(self: TwoTowers, images: Tensor | Sequence[Tensor], texts: Sequence[str]) -> Float[Tensor, "N M"]:
        """The cosine of each picture with each text, each encoded once."""
        return self.encode_image(images) @ self.encode_text(texts).T

    @torch.no_grad()
    def clip_score(self: TwoTowers, images: Tensor | Sequence[Tensor], texts: Sequence[str]) -> Float[Tensor, " N"]:
        """CLIPScore of each picture with its own text: 2.5 max(cos, 0) (Hessel et al., 2021). Raises ValueError."""
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} pictures and {len(texts)} texts make no pairs")
        return 2.5 * (self.encode_image(images) * self.encode_text(texts)).sum(dim=1).clamp_min(0)

    @torch.no_grad()
    def classifier(self: TwoTowers, classes: Sequence[str], templates: Sequence[str] = ("{}",)) -> Float[Tensor, "K D"]:
        """A row a class: the mean of its features in each template ("a photo of a {}"), brought back to length 1.
        Raises ValueError for a template without a place for the class."""
        classes, templates = strings(classes, "classes"), strings(templates, "templates")
        places = all(text.count("{}") == 1 and not set("{}") & set(text.replace("{}", "")) for text in templates)
        if not classes or not templates or not places:
            raise ValueError('zero-shot classes take a name each and templates with a place for it: "a photo of a {}"')
        every = self.encode_text([template.replace("{}", name) for name in classes for template in templates])
        mean = every.unflatten(0, (len(classes), len(templates))).mean(dim=1)
        return torch.nn.functional.normalize(mean, dim=1)

    @torch.no_grad()
    def zero_shot(
        self: TwoTowers,
        images: Tensor | Sequence[Tensor],
        classes: Sequence[str],
        templates: Sequence[str] = ("{}",),
        temperature: float | None = None,
    ) -> Float[Tensor, "N K"]:
        """p(class | picture) = softmax(cos / temperature) over the classes, the learned temperature by default. Raises
        ValueError."""
        if temperature is not None and not 1e-6 <= temperature < math.inf:
            raise ValueError(f"temperature is positive and finite, not {temperature!r}")
        cosines = self.encode_image(images) @ self.classifier(classes, templates).T
        return (cosines / (self.temperature if temperature is None else temperature)).softmax(dim=1)
