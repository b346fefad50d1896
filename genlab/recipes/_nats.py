"""Nats on the papers' own bits: minus the importance-weighted bound, the more samples the nearer to -log p(x)."""

import math

import torch
from torch import Tensor

from genlab.data import binarized_mnist
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.models.autoencoders import VAE

FEW, MANY = 64, 5_000  # samples of the bound


def evaluate(model: VAE, samples: int | None = None, some: int | None = None):
    """The bound with 1, FEW and MANY samples. some: the last on so many of the pictures alone, drawn at random, for
    decoders that take their time: what it gains over FEW varies little from picture to picture, so the mean over all
    with FEW and the mean gain of some tell the mean over all with MANY, to a few hundredths of a nat."""

    def figure(values: Tensor, error: float, k: int, note: str = "") -> list[Metric]:
        where = {"dataset": "static binarization of MNIST", "split": "test", "samples": len(values)}
        note = "minus the importance-weighted bound on log p(x); spread: standard error over pictures" + note
        settings, headline = {"importance samples": k}, k == MANY
        found = {"unit": "nats", "better": "lower", "settings": settings, "headline": headline, "note": note}
        return [Metric("nats", values.mean().item(), error, **found, **where)]

    def nats(k: int) -> list[Metric]:
        image = binarized_mnist.load("test")["image"][:samples].float() / 255
        values = -model.log_prob(image, k, torch.Generator().manual_seed(0))
        return figure(values, _error(values), k)

    def extrapolated() -> list[Metric]:
        image = binarized_mnist.load("test")["image"][:samples].float() / 255
        generator = torch.Generator().manual_seed(0)
        values = -model.log_prob(image, FEW, generator)
        rows = torch.randperm(len(image), generator=generator)[:some]
        gain = model.log_prob(image[rows], MANY, generator) + values[rows]
        note = f"; the gain over {FEW} samples, {gain.mean():.3f} ± {_error(gain):.3f}, from {len(rows):,} of them"
        return figure(values - gain.mean(), math.hypot(_error(values), _error(gain)), MANY, note)

    for k in (1, FEW):
        yield Job(f"nats k={k}", lambda k=k: nats(k))
    yield Job(f"nats k={MANY}", (lambda: nats(MANY)) if some is None else extrapolated)


def _error(values: Tensor) -> float:
    return values.std().item() / len(values) ** 0.5


@torch.no_grad()
def pictures(model: VAE) -> Tensor:
    """What the decoder draws of codes from the prior: probabilities of ink."""
    return model.sample(40, generator=torch.Generator().manual_seed(0)).unflatten(0, (4, 10))
