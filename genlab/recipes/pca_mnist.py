"""pca-mnist: digits by two numbers, the best that a matrix can do."""

from genlab.data import mnist
from genlab.evaluate import Job
from genlab.models.autoencoders import LinearAutoencoder, LinearAutoencoderConfig
from genlab.recipes import _codes
from genlab.train import Recipe


def fit(recipe: Recipe) -> LinearAutoencoder:
    return LinearAutoencoder(recipe.config).fit(mnist.splits()["train"]["image"].float() / 255)


def evaluate(model, samples=None):
    yield Job("mse", lambda: _codes.reconstruction(model, samples, {"codes": model.config.latents}))


RECIPE = Recipe(
    name="pca-mnist",
    summary="Digits by two numbers and back through one matrix: principal component analysis as an autoencoder.",
    model=LinearAutoencoder,
    config=LinearAutoencoderConfig(latents=2),
    fit=fit,
    evaluate=evaluate,
    golden=lambda model: _codes.golden_pictures(model, model.encode),
    samples=_codes.there_and_back,
    dataset=mnist.HUB_ID,
    intended_use="The baseline beside ae-mnist and vae-mnist: what non-linear codes of the same width gain. Teaching.",
    limits="Two directions of grey values tell some digits apart and blur the rest; that is the point.",
    snippet="""import genlab
import torch

pca = genlab.from_pretrained("pca-mnist")
pca.decode(torch.tensor([[4.0, 0.0]]))  # (1, 1, 28, 28): four of the first component""",
)
