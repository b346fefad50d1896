"""A world of few factors, one thing on a field, and how far the numbers of a code keep its factors apart."""

from dataclasses import replace

import torch
from torch import Tensor

from genlab.data import scenes
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.metrics import mutual_information_gap
from genlab.models.autoencoders import VAE, VAEConfig
from genlab.recipes import _scenes
from genlab.train import Batch

SIZE = 32
FACTORS = ("across", "down", "shape", "colour", "size", "field")


def config(beta: float) -> VAEConfig:
    # patch=2: convolutions at 16 x 16 and 8 x 8
    return VAEConfig(
        image_size=SIZE, channels=3, latents=10, body="conv", widths=(32, 64), activation="silu", patch=2, beta=beta
    )


def world(n: int, seed: int) -> scenes.Scenes:
    """One plain thing each, of any shape and colour, wherever it may lie."""
    some = scenes.sample(n, seed, split="any", most=1)
    return replace(some, texture=torch.zeros_like(some.texture))


def factors(some: scenes.Scenes) -> Tensor:
    """(N, 6): what FACTORS names, of each scene."""
    cell = some.cell[:, 0]
    return torch.stack([cell % 3, cell // 3, some.shape[:, 0], some.colour[:, 0], some.size[:, 0], some.field], dim=1)


def fresh(batch: Batch) -> Batch:
    return {"image": _scenes.pictures(world(len(batch["number"]), int(torch.randint(2**39, ()))), SIZE)}


def splits() -> dict[str, Batch]:
    valid = world(2_000, _scenes.VALID_SEED)
    return {"train": _scenes.numbers(), "valid": {"image": scenes.draw(valid, SIZE)}}


def evaluate(model: VAE, samples: int | None = None):
    n = samples or 10_000

    def run() -> list[Metric]:
        some = world(n, _scenes.TEST_SEED)
        image = _scenes.pictures(some, SIZE)
        generator = torch.Generator().manual_seed(0)
        codes, terms, error = [], [], []
        for part in image.split(500):
            codes.append(model.encode(part).mean)
            terms.append(model.elbo(part, generator))
            error.append((model.decode(codes[-1]) - part).square().flatten(1).mean(dim=1))
        common = {"samples": n, "dataset": "one thing of genlab.data.scenes", "settings": {"beta": model.config.beta}}
        gap = mutual_information_gap(torch.cat(codes), factors(some))
        kl, mse = torch.cat([part.kl for part in terms]), torch.cat(error)
        note = f"mutual information gap over {', '.join(FACTORS)}; codes in 20 bins; 1: each has a number of its own"
        return [
            Metric("mig", gap, better="higher", headline=True, note=note, **common),
            Metric("mse", mse.mean().item(), mse.std().item(), better="lower", headline=True, **common),
            Metric("kl", kl.mean().item(), kl.std().item(), unit="nats", **common),
        ]

    yield Job("mig", run)


@torch.no_grad()
def golden(model: VAE) -> dict[str, Tensor]:
    image = _scenes.pictures(world(4, 0), SIZE)
    code = model.encode(image).mean
    return {"image": image, "code": code, "back": model.decode(code)}


@torch.no_grad()
def traversals(model: VAE) -> Tensor:
    """A row for each number of the code: one scene, that number brought from -2 to 2."""
    code = model.encode(_scenes.pictures(world(1, 3), SIZE)).mean[0]
    return model.traverse(code, torch.linspace(-2, 2, 9))
