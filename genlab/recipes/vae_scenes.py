"""vae-scenes: the twin of beta-vae-scenes with beta = 1, to see what beta does."""

from genlab.recipes import _factors

RECIPE = _factors.recipe(
    name="vae-scenes",
    beta=1.0,
    summary="The same as beta-vae-scenes with beta = 1: sharper pictures, numbers that mean several things at once.",
)
