"""vae-paper-mnist: the VAE of the IWAE paper; it reports 88.71 nats on these bits."""

import torch
from torch import nn

from genlab.models.autoencoders import VAE
from genlab.recipes import _iwae
from genlab.train import Batch


@torch.no_grad()
def start(model: VAE, data: Batch) -> None:
    """As the paper's: Glorot's weights, and an output that begins with the log odds of ink at each pixel."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    layers[-1].bias.copy_(torch.logit(data["image"].float().mean(dim=0).flatten() / 255, eps=1e-3))


RECIPE = _iwae.recipe(
    "vae-paper-mnist",
    samples=1,
    start=start,
    steps=250_000,
    lr=3e-3,
    summary="The plain VAE that papers compare with: two hidden layers of 200, 50 numbers, static bits.",
    passes="The paper reports 88.71 nats, after 3,280 passes in batches of 20; these are 500 in batches of 100.",
)
