"""beta-vae-scenes: one thing on a field by ten numbers, each pressed to mean one thing."""

from genlab.recipes import _factors

RECIPE = _factors.recipe(
    name="beta-vae-scenes",
    beta=3.0,  # at 8 nothing but the field is worth its nats
    summary="One thing on a field by ten numbers, pressed to mean one thing each: a beta-VAE, for its traversals.",
)
