"""vae-mnist: digits by two numbers, laid out so that any two numbers are a digit."""

import torch

from genlab.data import mnist
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.models.autoencoders import VAE, VAEConfig
from genlab.recipes import _codes
from genlab.train import Recipe


def evaluate(model, samples=None):
    def terms() -> list[Metric]:
        image = mnist.load("test")["image"][:samples].float() / 255
        generator = torch.Generator().manual_seed(0)
        parts = [model.elbo(part, generator) for part in image.split(500)]
        common = {"unit": "nats", "samples": len(image), "dataset": mnist.HUB_ID, "split": "test"}
        note = "of grey values as shares of a bit, so not to be held against nats on binarized digits"
        found = {"reconstruction": "higher", "kl": ""}
        values = {name: torch.cat([getattr(part, name) for part in parts]) for name in found}
        return [
            Metric(
                name, value.mean().item(), value.std().item(), better=found[name], headline=True, note=note, **common
            )
            for name, value in values.items()
        ]

    yield Job("mse", lambda: _codes.reconstruction(model, samples, {"codes": model.config.latents}))
    yield Job("elbo", terms)


def samples(model: VAE):
    """The map: what codes stand for, two deviations of the prior to each side."""
    return _codes.chart(model, torch.full((2,), -2.0), torch.full((2,), 2.0))


RECIPE = Recipe(
    name="vae-mnist",
    summary="Digits by two numbers and back, laid out evenly: a variational autoencoder whose map one can walk on.",
    model=VAE,
    config=VAEConfig(latents=2, widths=(512, 256), activation="relu"),
    data=mnist.splits,
    steps=12_000,  # 56 passes
    batch_size=256,
    lr=1e-3,
    ema=0.999,
    validate_every=2_000,
    evaluate=evaluate,
    golden=lambda model: _codes.golden_pictures(model, lambda image: model.encode(image).mean),
    samples=samples,
    dataset=mnist.HUB_ID,
    intended_use="A map of digits to walk on; the ELBO's two terms to see; a small decoder to try things on. Teaching.",
    limits="Two numbers are few: pictures are blurred, and 4 and 9 overlap. Pixels are grey values read as shares of a "
    "bit: its nats are no likelihood of grey pictures.",
    snippet="""import genlab
import torch

vae = genlab.from_pretrained("vae-mnist")
vae.decode(torch.tensor([[0.5, -1.0]]))  # (1, 1, 28, 28)
vae.sample(16)  # codes from the prior: (16, 1, 28, 28)""",
)
