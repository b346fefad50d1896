"""beta-vae-scenes: one thing on a field by ten numbers, and each nat of them dear."""

from genlab.recipes import _factors

RECIPE = _factors.recipe(
    name="beta-vae-scenes",
    # 0.1 in the paper's measure, beta x numbers / pixel values; at 100 nothing but the field is worth its nats
    beta=30.0,
    summary="One thing on a field by ten numbers, each nat of them dear: a beta-VAE, for its traversals.",
)
