"""vae-paper-mnist: the VAE of the IWAE paper; it reports 88.71 nats on these bits."""

import torch
from torch import Tensor, nn

from genlab.models.autoencoders import VAE
from genlab.names import TrainError
from genlab.recipes import _iwae
from genlab.train import Batch


def start(model: VAE, data: Batch) -> None:
    """Nearly as the paper's: Glorot's weights, and an output that begins with the log odds of ink at each pixel."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    layers[-1].bias.copy_(torch.logit(data["image"].float().mean(dim=0).flatten() / 255, eps=1e-3))


def loss(model: VAE, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """Minus the bound with one sample: the ELBO, but the gradient that it gives the encoder vanishes, noise and all,
    where q is exact (Roeder et al., 2017)."""
    if model.config.beta != 1:
        raise TrainError("vae-paper-mnist raises the bound, which has no beta: leave config.beta at 1")
    bound = model.bound(batch["image"], model.config.samples).mean()
    return -bound, {"bound": bound.item()}


RECIPE = _iwae.recipe(
    "vae-paper-mnist",
    samples=1,
    start=start,
    loss=loss,
    steps=150_000,
    batch_size=100,
    lr=3e-3,
    summary="The plain VAE that papers compare with: two hidden layers of 200, 50 numbers, static bits.",
    otherwise="The paper reports 88.71 nats, after 3,280 passes in batches of 20. These weights saw 300 in batches of "
    "100, the encoder's with weight decay, and are averaged; the encoder's gradient is the path's alone.",
)
