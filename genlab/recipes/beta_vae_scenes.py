"""beta-vae-scenes: one thing on a field by ten numbers, each pressed to mean one thing."""

from genlab.models.autoencoders import VAE
from genlab.recipes import _factors
from genlab.train import Recipe

RECIPE = Recipe(
    name="beta-vae-scenes",
    summary="One thing on a field by ten numbers, pressed to mean one thing each: a beta-VAE, for its traversals.",
    model=VAE,
    config=_factors.config(beta=3.0),
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

vae = genlab.from_pretrained("beta-vae-scenes")
vae.traverse(torch.zeros(10), torch.linspace(-2, 2, 9))  # (10, 9, 3, 32, 32)""",
)
