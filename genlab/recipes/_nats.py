"""Nats on the papers' own bits: minus the importance-weighted bound, the more samples the nearer to -log p(x)."""

import copy
import math

import torch
from torch import Tensor

from genlab.data import binarized_mnist
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.models.autoencoders import VAE

FEW, MANY = 64, 5_000  # samples of the bound
NIGHT = 25_000  # steps of an encoder that learns from dreams, two minutes on a core


def evaluate(model: VAE, samples: int | None = None, some: int | None = None, taught: bool = False):
    """The bound with 1, FEW and MANY samples. some: the last on so many of the pictures alone, drawn at random, for
    decoders that take their time: what it gains over FEW varies little from picture to picture, so the mean over all
    with FEW and the mean gain of some tell the mean over all with MANY, to a few hundredths of a nat. taught: the last
    by an encoder taught for this, too: a tighter bound, so nearer to what the decoder alone is worth."""

    def figure(values: Tensor, error: float, k: int, note: str = "", name: str = "nats") -> list[Metric]:
        where = {"dataset": "static binarization of MNIST", "split": "test", "samples": len(values)}
        note = "minus the importance-weighted bound on log p(x); spread: standard error over pictures" + note
        settings, headline = {"importance samples": k}, k == MANY and name == "nats"
        found = {"unit": "nats", "better": "lower", "settings": settings, "headline": headline, "note": note}
        return [Metric(name, values.mean().item(), error, **found, **where)]

    def nats(k: int, by: VAE = model, **about) -> list[Metric]:
        image = binarized_mnist.load("test")["image"][:samples].float() / 255
        values = -by.log_prob(image, k, torch.Generator().manual_seed(0))
        return figure(values, _error(values), k, **about)

    def by_a_taught_encoder() -> list[Metric]:
        steps = NIGHT if samples is None else NIGHT // 25  # for a quick look
        note = f"; the same decoder, codes proposed by an encoder that learned from its dreams for {steps:,} steps"
        return nats(MANY, taught_on_dreams(model, steps), note=note, name="nats_by_a_taught_encoder")

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
    if taught:
        yield Job(f"nats k={MANY}, encoder taught on dreams", by_a_taught_encoder)


def taught_on_dreams(model: VAE, steps: int = NIGHT, dreams: int = 100, lr: float = 1e-3) -> VAE:
    """The model, its encoder taught to tell, of pictures that the decoder dreams, the codes they came from:
    E log q(z | x) is raised, z from the prior and x from p(x | z), the sleep of wake-sleep (Hinton et al., 1995).

    Any q gives a bound. The encoder's own training asks it for likely codes of digits that it saw; this asks it to
    cover all codes that might be, of pictures without end: nearer to what a bound by many samples wants.
    """
    taught = copy.deepcopy(model).float()
    optimizer = torch.optim.Adam(taught.encoder.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator(model.device).manual_seed(0)
    for _ in range(steps):
        with torch.no_grad():
            z = torch.randn(dreams, *model.code_shape, generator=generator, device=model.device)
            x = model.likelihood.draw(model.output(z), generator)
        with torch.enable_grad():
            (-taught.encode(x).log_prob(z).mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return taught


def _error(values: Tensor) -> float:
    return values.std().item() / len(values) ** 0.5


@torch.no_grad()
def pictures(model: VAE) -> Tensor:
    """What the decoder draws of codes from the prior: probabilities of ink."""
    return model.sample(40, generator=torch.Generator().manual_seed(0)).unflatten(0, (4, 10))
