"""vae-binarized-mnist: how probable a VAE finds digits, on the very bits on which papers report nats."""

from genlab.data import binarized_mnist
from genlab.models.autoencoders import VAE, VAEConfig
from genlab.recipes import _codes, _nats
from genlab.train import Recipe

RECIPE = Recipe(
    name="vae-binarized-mnist",
    summary="Black or white digits, and how probable each picture is: a convolutional VAE, held against the papers' "
    "nats on their own bits.",
    model=VAE,
    # patch=2: all convolutions at 14 x 14 and 7 x 7, three times as fast as at 28 x 28
    config=VAEConfig(latents=32, body="conv", widths=(32, 64), activation="silu", patch=2),
    data=binarized_mnist.splits,
    steps=16_000,  # 41 passes
    batch_size=128,
    lr=1e-3,
    ema=0.999,
    validate_every=1_000,
    evaluate=lambda model, samples=None: _nats.evaluate(model, samples, some=1_000),
    golden=lambda model: _codes.golden_pictures(model, lambda image: model.encode(image).mean),
    samples=_nats.pictures,
    source="binarized MNIST (Larochelle; Salakhutdinov & Murray), the files of the papers, checked by MD5",
    intended_use="Nats to hold other densities of binary digits against; the importance-weighted bound to see rise.",
    limits="Its nats bound -log p(x) from above, by 64 codes for each of the 10,000 pictures, and by 5,000 for 1,000 "
    "of them, drawn at random, whose mean gain is taken as that of all. And they are of this static binarization, on "
    "which models overfit: papers that draw new bits at every pass report lower figures.",
    snippet="""import genlab
import torch
from genlab.data import binarized_mnist

vae = genlab.from_pretrained("vae-binarized-mnist")
digits = binarized_mnist.load("test")["image"][:8].float() / 255
vae.log_prob(digits, importance_samples=64, generator=torch.Generator().manual_seed(0))  # nats, (8,)""",
)
