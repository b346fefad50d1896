"""ae-mnist: digits by two numbers, as an autoencoder likes to lay them out."""

import torch

from genlab.data import mnist
from genlab.evaluate import Job
from genlab.models.autoencoders import Autoencoder, AutoencoderConfig
from genlab.recipes import _codes
from genlab.train import Recipe


def evaluate(model, samples=None):
    yield Job("mse", lambda: _codes.reconstruction(model, samples, {"codes": model.config.latents}))


@torch.no_grad()
def samples(model: Autoencoder):
    """The map: what codes stand for, over the middle nine tenths of the test digits' own."""
    code = model.encode(mnist.load("test")["image"].float() / 255)
    return _codes.chart(model, *code.quantile(torch.tensor([0.05, 0.95]), dim=0))


RECIPE = Recipe(
    name="ae-mnist",
    summary="Digits by two numbers and back: an autoencoder, with nothing to say where codes should lie.",
    model=Autoencoder,
    config=AutoencoderConfig(latents=2, widths=(512, 256)),
    data=mnist.splits,
    steps=12_000,  # 56 passes
    batch_size=256,
    lr=1e-3,
    ema=0.999,
    validate_every=2_000,
    evaluate=evaluate,
    golden=lambda model: _codes.golden_pictures(model, model.encode),
    samples=samples,
    dataset=mnist.HUB_ID,
    intended_use="Seeing what an autoencoder's codes are like beside PCA's and a VAE's of the same width. Teaching.",
    limits="Between and beyond the codes of digits it has learned nothing: pictures from codes drawn at random are "
    "often no digits. Two numbers are few.",
    snippet="""import genlab
import torch

ae = genlab.from_pretrained("ae-mnist")
codes = ae.encode(torch.rand(3, 1, 28, 28))  # (3, 2)
ae.decode(codes)  # (3, 1, 28, 28)""",
)
