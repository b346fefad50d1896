"""The nets of the importance-weighted autoencoders' paper (Burda et al., 2016), one stochastic layer, on its bits."""

from collections.abc import Callable

from genlab.data import binarized_mnist
from genlab.models.autoencoders import VAE, VAEConfig
from genlab.recipes import _codes, _nats
from genlab.train import Objective, Recipe


def recipe(name: str, samples: int, summary: str, otherwise: str, loss: Callable = VAE.loss, **more) -> Recipe:
    """784 - 200 - 200 - 50 and back, tanh, trained by the bound with `samples` samples. otherwise: what is done in
    another way than in the paper. more: of a recipe.

    On bits that were drawn once it is the encoder that overfits (Shu et al., 2018, https://arxiv.org/abs/1805.08913):
    weight decay shrinks it alone, and the decoder is the worse for any."""
    return Recipe(
        name=name,
        summary=summary,
        model=VAE,
        config=VAEConfig(latents=50, widths=(200, 200), activation="tanh", samples=samples),
        data=binarized_mnist.splits,
        objectives=(Objective(loss=loss, decays=lambda model: model.encoder.parameters()),),
        weight_decay=0.1,
        ema=0.999,
        precision="bf16",
        validate_every=5_000,
        evaluate=_nats.evaluate,
        golden=lambda model: _codes.golden_pictures(model, lambda image: model.encode(image).mean),
        samples=_nats.pictures,
        source="binarized MNIST (Larochelle; Salakhutdinov & Murray), the files of the papers, checked by MD5",
        intended_use="The paper's own net, held against the paper's figure. Teaching.",
        limits=f"{otherwise} What is done otherwise was chosen by digits for validation. Its nats bound -log p(x) from "
        "above, by 5,000 codes a picture; and they are of this static binarization, on which models overfit: papers "
        "that draw new bits at every pass report lower figures.",
        snippet=f"""import genlab
import torch
from genlab.data import binarized_mnist

vae = genlab.from_pretrained("{name}")
digits = binarized_mnist.load("test")["image"][:8].float() / 255
vae.log_prob(digits, importance_samples=64, generator=torch.Generator().manual_seed(0))  # nats, (8,)""",
        **more,
    )
