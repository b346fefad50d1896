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
NIGHT = {"steps": 25_000, "dreams": 100, "lr": 1e-3}  # of an encoder that learns from dreams: two minutes on a core


def evaluate(model: VAE, samples: int | None = None, some: int | None = None, asleep: bool = False):
    """The bound with 1, FEW and MANY samples. some: the last on so many of the pictures alone, drawn at random, for
    decoders that take their time: what it gains over FEW varies little from picture to picture, so the mean over all
    with FEW and the mean gain of some tell the mean over all with MANY, to a few hundredths of a nat. asleep: the last
    by an encoder taught for this, too, which tells the decoder's share of what is missing from the encoder's."""

    def figure(values: Tensor, error: float, k: int, note: str = "", **more) -> list[Metric]:
        where = {"dataset": "static binarization of MNIST", "split": "test", "samples": len(values)}
        note = "minus the importance-weighted bound on log p(x); spread: standard error over pictures" + note
        settings, headline = {"importance samples": k} | more, k == MANY
        found = {"unit": "nats", "better": "lower", "settings": settings, "headline": headline, "note": note}
        return [Metric("nats", values.mean().item(), error, **found, **where)]

    def nats(k: int, model: VAE = model, **more) -> list[Metric]:
        image = binarized_mnist.load("test")["image"][:samples].float() / 255
        values = -model.log_prob(image, k, torch.Generator().manual_seed(0))
        return figure(values, _error(values), k, **more)

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
    if asleep:
        note = "; the same decoder, its codes proposed by an encoder that learned from the decoder's dreams alone"
        more = {"note": note, "codes proposed by": "an encoder taught on dreams"}
        yield Job(f"nats k={MANY}, asleep", lambda: nats(MANY, slept(model), **more))


def slept(model: VAE, steps: int = NIGHT["steps"], dreams: int = NIGHT["dreams"], lr: float = NIGHT["lr"]) -> VAE:
    """The model, its encoder taught what codes the decoder's dreams are of: E log q(z | x), z from the prior and x
    drawn of it, is raised, as in the sleep of wake-sleep (Hinton et al., 1995).

    Any q gives a bound. The encoder's own training asks it for likely codes of digits that it saw; this asks it to
    cover all codes that might be, of pictures without end: nearer to what a bound by many samples wants.
    """
    taught = copy.deepcopy(model)
    optimizer = torch.optim.Adam(taught.encoder.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator(model.device).manual_seed(0)
    with torch.enable_grad():
        for _ in range(steps):
            z = torch.randn(dreams, *model.code_shape, generator=generator, device=model.device)
            x = torch.bernoulli(model.decode(z).detach(), generator=generator)
            optimizer.zero_grad()
            (-taught.encode(x).log_prob(z).mean()).backward()
            optimizer.step()
            schedule.step()
    return taught


def _error(values: Tensor) -> float:
    return values.std().item() / len(values) ** 0.5


@torch.no_grad()
def pictures(model: VAE) -> Tensor:
    """What the decoder draws of codes from the prior: probabilities of ink."""
    return model.sample(40, generator=torch.Generator().manual_seed(0)).unflatten(0, (4, 10))
