"""vae-scenes: the twin of beta-vae-scenes with beta = 1, to see what beta does."""

from genlab.models.autoencoders import VAE
from genlab.recipes import _factors
from genlab.train import Recipe

RECIPE = Recipe(
    name="vae-scenes",
    summary="The same as beta-vae-scenes with beta = 1: sharper pictures, numbers that mean several things at once.",
    model=VAE,
    config=_factors.config(beta=1.0),
    data=_factors.splits,
    augment=_factors.fresh,  # scenes are made as they are needed
    steps=1_500,
    batch_size=128,
    lr=1e-3,
    ema=0.998,
    validate_every=500,
    evaluate=_factors.evaluate,
    golden=_factors.golden,
    samples=_factors.traversals,
    source="genlab.data.scenes, made as it trains",
    intended_use="Traversals: what each number of a code stands for, with beta and without. Teaching.",
    limits="One plain thing on a field, 32 x 32; shapes and colours have no natural order, so no number can hold one "
    "of them evenly.",
    snippet="""import genlab
import torch

vae = genlab.from_pretrained("vae-scenes")
vae.traverse(torch.zeros(10), torch.linspace(-2, 2, 9))  # (10, 9, 3, 32, 32)""",
)
