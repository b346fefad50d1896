"""The nets of the importance-weighted autoencoders' paper (Burda et al., 2016), one stochastic layer, on its bits."""

import torch
from torch import nn

from genlab.data import binarized_mnist
from genlab.models.autoencoders import VAE, VAEConfig
from genlab.recipes import _codes, _nats
from genlab.train import Batch, Recipe


@torch.no_grad()
def start(model: VAE, data: Batch) -> None:
    """The output begins with the log odds of ink at each pixel: no pass is spent on learning the mean picture."""
    layer = [layer for layer in model.decoder if isinstance(layer, nn.Linear)][-1]
    layer.bias.copy_(torch.logit(data["image"].float().mean(dim=0).flatten() / 255, eps=1e-3))


def recipe(name: str, samples: int, summary: str) -> Recipe:
    """784 - 200 - 200 - 50 and back, tanh, trained by the bound with `samples` samples. 120 passes, for one number of
    samples as for the other; the paper takes 3,280."""
    return Recipe(
        name=name,
        summary=summary,
        model=VAE,
        config=VAEConfig(latents=50, widths=(200, 200), activation="tanh", samples=samples),
        data=binarized_mnist.splits,
        steps=60_000,
        batch_size=100,
        lr=3e-3,
        ema=0.999,
        precision="bf16",
        start=start,
        validate_every=5_000,
        evaluate=lambda model, samples=None: _nats.evaluate(model, samples),
        golden=lambda model: _codes.golden_pictures(model, lambda image: model.encode(image).mean),
        samples=_nats.pictures,
        published=False,
        source="binarized MNIST (Larochelle; Salakhutdinov & Murray), the files of the papers, checked by MD5",
        intended_use="The paper's own net, held against the paper's figure. Teaching.",
        limits="Its nats are a bound from below, by 5,000 codes a picture; and they are of this static binarization, "
        "on which models overfit: papers that draw new bits at every pass report lower figures.",
        snippet=f"""import genlab
import torch
from genlab.data import binarized_mnist

vae = genlab.from_pretrained("{name}")
digits = binarized_mnist.load("test")["image"][:8].float() / 255
vae.log_prob(digits, importance_samples=64, generator=torch.Generator().manual_seed(0))  # nats, (8,)""",
    )
