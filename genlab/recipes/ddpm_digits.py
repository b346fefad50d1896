"""ddpm-digits: ddpm-mnist in a minute and without a network, on the 8 x 8 digits that come with scikit-learn."""

import torch
from torch import Tensor

from genlab.data import digits
from genlab.evaluate import Job
from genlab.models.diffusion import DDPM, DDPMConfig
from genlab.recipes._digits import classes_by_rho, four_of_each, golden_noise
from genlab.recipes._judge import Judge, bits_per_dim
from genlab.train import Recipe

DATASET = "digits of scikit-learn"


class NearestDigit(Judge):
    """Reads a picture as the class of the training digit nearest to it (97 % of the test digits); its features are the
    pixels themselves."""

    def prepare(self) -> None:
        train = digits.load("train")
        self.train, self.label = train["image"].flatten(1).float() / 255, train["label"]

    def see(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = image.flatten(1)
        apart = torch.cdist(features, self.train)
        logits = torch.stack([-apart[:, self.label == y].amin(dim=1) for y in range(10)], dim=1)
        return features, logits


def evaluate(model, samples=None):
    n, test = samples or 3_000, digits.load("test")
    judge = NearestDigit("the nearest training digit", test, DATASET)

    def figures(rho):
        def sample(label, generator):
            return model.sample(len(label), label=label, guidance=rho, steps=50, generator=generator)

        return judge.figures(sample, n, {"rho": rho, "steps": 50}, headline=rho == 1)

    yield Job("bits/dim", lambda: [bits_per_dim(model, test, DATASET, samples)])
    for rho in (0.0, 1.0, 4.0):
        yield Job(f"rho={rho:g}", lambda rho=rho: figures(rho))


RECIPE = Recipe(
    name="ddpm-digits",
    summary="Draws 8 x 8 handwritten digits from noise: a diffusion model to train in a minute, without a network.",
    model=DDPM,
    # patch=1: there are but 8 x 8 pixels, so every one gets its convolution
    config=DDPMConfig(image_size=8, widths=(32, 64), patch=1, embedding=64),
    data=digits.splits,
    steps=1_000,
    batch_size=64,
    lr=2e-3,
    ema=0.995,  # averages the last 200 steps or so, of few
    validate_every=250,
    checkpoint_every=250,
    preview=four_of_each,
    published=False,  # a try that anyone can repeat in a minute needs no weights to download
    evaluate=evaluate,
    golden=golden_noise,
    samples=classes_by_rho,
    intended_use="A first try of training and guidance on any machine; tests. Teaching.",
    limits="Digits of 8 x 8 grey pixels only, learned from 1,437 examples.",
    snippet="""import genlab

ddpm = genlab.from_pretrained("runs/ddpm-digits/model")
digits = ddpm.sample(16, label=7, guidance=1.0, steps=50)   # (16, 1, 8, 8) in [0, 1]""",
)
