"""iwae-paper-mnist: the same net trained by the bound with 50 samples; the paper reports 87.10 nats on these bits."""

from genlab.recipes import _iwae

RECIPE = _iwae.recipe(
    "iwae-paper-mnist",
    samples=50,
    paper=87.10,
    summary="The importance-weighted autoencoder: the VAE's net, trained by a tighter bound of 50 samples.",
)
