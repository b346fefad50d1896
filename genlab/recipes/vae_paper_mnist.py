"""vae-paper-mnist: the VAE of the IWAE paper; it reports 88.71 nats on these bits."""

from genlab.recipes import _iwae

RECIPE = _iwae.recipe(
    "vae-paper-mnist",
    samples=1,
    paper=88.71,
    summary="The plain VAE that papers compare with: two hidden layers of 200, 50 numbers, static bits.",
)
