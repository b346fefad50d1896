"""The nets of the importance-weighted autoencoders' paper (Burda et al., 2016), one stochastic layer, on its bits."""

from collections.abc import Callable

from torch import Tensor

from genlab.data import binarized_mnist
from genlab.models.autoencoders import VAE, VAEConfig
from genlab.recipes import _codes, _nats
from genlab.train import Batch, Objective, Recipe


def loss(model: VAE, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """Minus the bound, for one sample too: through its gradient, which vanishes where q is exact, as many steps teach
    more than with the KL in closed form."""
    bound = model.bound(batch["image"], model.config.samples).mean()
    return -bound, {"bound": bound.item()}


def recipe(
    name: str, samples: int, summary: str, steps: int, lr: float, start: Callable[[VAE, Batch], None], passes: str
) -> Recipe:
    """784 - 200 - 200 - 50 and back, tanh, trained by the bound with `samples` samples."""
    return Recipe(
        name=name,
        summary=summary,
        model=VAE,
        config=VAEConfig(latents=50, widths=(200, 200), activation="tanh", samples=samples),
        data=binarized_mnist.splits,
        start=start,
        objectives=(Objective(loss=loss),),
        steps=steps,
        batch_size=100,
        lr=lr,
        ema=0.999,
        precision="bf16",
        validate_every=5_000,
        evaluate=lambda model, samples=None: _nats.evaluate(model, samples),
        golden=lambda model: _codes.golden_pictures(model, lambda image: model.encode(image).mean),
        samples=_nats.pictures,
        source="binarized MNIST (Larochelle; Salakhutdinov & Murray), the files of the papers, checked by MD5",
        intended_use="The paper's own net, held against the paper's figure. Teaching.",
        limits=f"{passes} Its nats bound -log p(x) from above, by 5,000 codes a picture; and they are of this static "
        "binarization, on which models overfit: papers that draw new bits at every pass report lower figures.",
        snippet=f"""import genlab
import torch
from genlab.data import binarized_mnist

vae = genlab.from_pretrained("{name}")
digits = binarized_mnist.load("test")["image"][:8].float() / 255
vae.log_prob(digits, importance_samples=64, generator=torch.Generator().manual_seed(0))  # nats, (8,)""",
    )
