"""noisy-classifier-mnist: reads digits at every noise level, so that its gradient can guide ddpm-mnist."""

import torch

from genlab.core import from_pretrained
from genlab.data import mnist
from genlab.evaluate import Job
from genlab.models.diffusion import NoisyClassifier, NoisyClassifierConfig
from genlab.recipes._judge import classifier_error
from genlab.train import Recipe


def evaluate(model, samples=None):
    for t in (0, 200, 400, 600, 800):
        yield Job(
            f"test error at t={t}",
            lambda t=t: classifier_error(
                through_noise(model, t), mnist.load("test"), mnist.HUB_ID, {"t": t}, headline=t in (0, 400)
            ),
        )


def through_noise(model, t: int):
    """Pictures to the logits of what they are when noised to time t."""
    generator = torch.Generator().manual_seed(t)
    alpha, sigma = model.schedule.alpha[t], model.schedule.sigma[t]

    def predict(image):
        noise = torch.randn(image.shape, generator=generator)
        return model(alpha * (2 * image - 1) + sigma * noise, torch.full((len(image),), t))

    return predict


def golden(model):
    generator = torch.Generator().manual_seed(0)
    x_t, t = torch.randn(4, 1, 28, 28, generator=generator), torch.tensor([1, 250, 500, 1000])
    return {"x_t": x_t, "t": t, "logits": model(x_t, t)}


@torch.no_grad()
def samples(model):
    """Ten columns of classes; rows of classifier scale 0, 2, 8 from the same noise, ddpm-mnist told the class too."""
    ddpm, rows = from_pretrained("ddpm-mnist"), []
    for scale in (0.0, 2.0, 8.0):
        generator = torch.Generator().manual_seed(4)
        guide = {"classifier": model, "classifier_scale": scale}
        rows.append(ddpm.sample(10, label=list(range(10)), steps=50, generator=generator, **guide))
    return torch.stack(rows)


RECIPE = Recipe(
    name="noisy-classifier-mnist",
    summary="Reads handwritten digits through any amount of noise; its gradient guides the diffusion model.",
    model=NoisyClassifier,
    config=NoisyClassifierConfig(),  # schedule and timesteps are those of ddpm-mnist
    data=mnist.splits,
    steps=5_000,
    batch_size=128,
    lr=2e-3,
    weight_decay=1e-2,
    ema=0.998,
    precision="bf16",
    evaluate=evaluate,
    golden=golden,
    samples=samples,
    dataset=mnist.HUB_ID,
    intended_use="Classifier guidance of ddpm-mnist (`classifier=..., classifier_scale=...`), and seeing how long a "
    "digit can be read as noise rises.",
    limits="Made for the cosine schedule of ddpm-mnist with 1,000 steps; under another its sense of time is wrong.",
    snippet="""import genlab

ddpm = genlab.from_pretrained("ddpm-mnist")
classifier = genlab.from_pretrained("noisy-classifier-mnist")
digits = ddpm.sample(16, label=5, classifier=classifier, classifier_scale=3.0)""",
)
