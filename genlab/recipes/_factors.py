"""VAEs of a world of few factors, one thing on a field, and how far the numbers of a code keep its factors apart."""

import torch
from torch import Tensor

from genlab.data import scenes
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.metrics import mutual_information_gap
from genlab.models.autoencoders import VAE, VAEConfig
from genlab.recipes import _scenes
from genlab.train import Batch, Recipe

SIZE = 32


def fresh(batch: Batch) -> Batch:
    return {"image": _scenes.pictures(scenes.single(len(batch["number"]), _scenes.seed()), SIZE)}


def splits() -> dict[str, Batch]:
    valid = scenes.single(2_000, _scenes.VALID_SEED)
    return {"train": _scenes.numbers(), "valid": {"image": scenes.draw(valid, SIZE)}}


def evaluate(model: VAE, samples: int | None = None):
    n = samples or 10_000

    def run() -> list[Metric]:
        some = scenes.single(n, _scenes.TEST_SEED)
        image = _scenes.pictures(some, SIZE)
        generator = torch.Generator().manual_seed(0)
        codes, terms, error = [], [], []
        for part in image.split(500):
            codes.append(model.encode(part).mean)
            terms.append(model.elbo(part, generator))
            error.append((model.decode(codes[-1]) - part).square().flatten(1).mean(dim=1))
        common = {"samples": n, "dataset": "one thing of genlab.data.scenes", "settings": {"beta": model.config.beta}}
        gap = mutual_information_gap(torch.cat(codes), scenes.factors(some))
        kl, mse = torch.cat([part.kl for part in terms]), torch.cat(error)
        note = f"mutual information gap over {', '.join(scenes.FACTORS)}; 1: each has a number of its own"
        return [
            Metric("mig", gap, better="higher", headline=True, note=note, **common),
            Metric("mse", mse.mean().item(), mse.std().item(), better="lower", headline=True, **common),
            Metric("kl", kl.mean().item(), kl.std().item(), unit="nats", **common),
        ]

    yield Job("mig", run)


@torch.no_grad()
def golden(model: VAE) -> dict[str, Tensor]:
    image = _scenes.pictures(scenes.single(4, 0), SIZE)
    code = model.encode(image).mean
    return {"image": image, "code": code, "back": model.decode(code)}


@torch.no_grad()
def traversals(model: VAE) -> Tensor:
    """A row for each number of the code: one scene, that number brought from -2 to 2."""
    code = model.encode(_scenes.pictures(scenes.single(1, 3), SIZE)).mean[0]
    return model.traverse(code, torch.linspace(-2, 2, 9))


def recipe(name: str, beta: float, summary: str) -> Recipe:
    """How a VAE of that world is trained, whatever its beta."""
    return Recipe(
        name=name,
        summary=summary,
        model=VAE,
        # patch=2: convolutions at 16 x 16 and 8 x 8
        config=VAEConfig(
            image_size=SIZE,
            channels=3,
            latents=10,
            body="conv",
            widths=(32, 64),
            activation="silu",
            patch=2,
            likelihood="gaussian",  # its learned deviation makes the small parts of a picture count, too
            beta=beta,
        ),
        data=splits,
        augment=fresh,  # scenes are made as they are needed
        steps=2_000,
        batch_size=128,
        lr=2e-3,
        ema=0.998,
        precision="bf16",
        validate_every=500,
        evaluate=evaluate,
        golden=golden,
        samples=traversals,
        source="genlab.data.scenes, made as it trains",
        intended_use="Traversals: what each number of a code stands for, with beta and without. Teaching.",
        limits="One plain thing on a field, 32 x 32; shapes and colours have no natural order, so no number can hold "
        "one of them evenly.",
        snippet=f"""import genlab
import torch

vae = genlab.from_pretrained("{name}")
vae.traverse(torch.zeros(10), torch.linspace(-2, 2, 9))  # (10, 9, 3, 32, 32)""",
    )
