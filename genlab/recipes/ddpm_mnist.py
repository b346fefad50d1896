"""ddpm-mnist: class-conditional diffusion of handwritten digits, with the label dropped one time in ten."""

import copy

import torch

from genlab.core import fast_dtype, from_pretrained
from genlab.data import mnist
from genlab.evaluate import Job
from genlab.models.diffusion import DDPM, DDPMConfig
from genlab.recipes._digits import classes_by_rho, four_of_each, golden_noise
from genlab.recipes._judge import Judge, bits_per_dim
from genlab.train import Recipe

RHOS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
STEPS = (10, 20, 50)


def evaluate(model, samples=None):
    """Quality against diversity over rho and steps, the fast samplers, classifier guidance, bits/dim."""
    n, test = samples or 10_000, mnist.load("test")
    judge = Judge("cnn-mnist", test, mnist.HUB_ID)
    # as the app draws
    fast = copy.deepcopy(model).to(dtype=fast_dtype(), memory_format=torch.channels_last)

    def figures(headline=False, extra=None, **knobs):
        def sample(label, generator):
            return fast.sample(len(label), label=label, generator=generator, **knobs, **(extra or {}))

        settings = {("rho" if key == "guidance" else key): value for key, value in knobs.items()}
        return judge.figures(sample, n, settings, headline)

    def training_pictures():
        """What the figures are for pictures as good as real: training pictures in the place of samples."""
        train = mnist.load("train")
        order = [torch.nonzero(train["label"] == y)[:, 0] for y in range(10)]

        def sample(label, generator):
            chosen = [order[y][torch.randint(len(order[y]), (), generator=generator)] for y in label.tolist()]
            return train["image"][torch.stack(chosen)].float() / 255

        return judge.figures(sample, n, {"pictures": "training set"})

    yield Job("bits/dim", lambda: [bits_per_dim(model, test, mnist.HUB_ID, samples)])
    yield Job("rho=1 steps=50 ddim", lambda: figures(guidance=1.0, steps=50, sampler="ddim", headline=True))
    yield Job("rho=1 steps=20 dpm++", lambda: figures(guidance=1.0, steps=20, sampler="dpm++", headline=True))
    yield Job("training pictures", training_pictures)
    yield Job("rho=1 steps=20 unipc", lambda: figures(guidance=1.0, steps=20, sampler="unipc"))
    for steps in STEPS:
        for rho in RHOS:
            if (rho, steps) != (1.0, 50):
                yield Job(
                    f"rho={rho:g} steps={steps} ddim",
                    lambda rho=rho, steps=steps: figures(guidance=rho, steps=steps, sampler="ddim"),
                )
    middle = {"guidance": 8.0, "steps": 20, "sampler": "ddim", "interval": (0.3, 0.8)}
    yield Job("rho=8 steps=20 interval", lambda: figures(**middle))
    for scale in (1.0, 4.0):
        guide = {"classifier": from_pretrained("noisy-classifier-mnist", dtype=fast_dtype())}
        yield Job(
            f"classifier_scale={scale:g}",
            lambda scale=scale, guide=guide: figures(
                guidance=0.0, steps=20, sampler="ddim", classifier_scale=scale, extra=guide
            ),
        )


RECIPE = Recipe(
    name="ddpm-mnist",
    summary="Draws handwritten digits from noise, any class you ask for; made for turning the guidance knob.",
    model=DDPM,
    # patch=2: convolutions at 14 x 14 and 7 x 7 only, which is about three times as fast as a net of the same size that
    # also works at 28 x 28, diffusers' UNet2DModel (python -m benchmarks unet).
    config=DDPMConfig(widths=(64, 128), blocks=1, patch=2, prediction="v"),
    data=mnist.splits,
    steps=5_200,  # 12 passes
    batch_size=128,
    lr=1.5e-3,
    warmup=500,
    ema=0.9995,
    precision="bf16",
    validate_every=2_000,
    preview=four_of_each,
    evaluate=evaluate,
    golden=golden_noise,
    samples=classes_by_rho,
    dataset=mnist.HUB_ID,
    intended_use="Seeing what guidance does: quality against diversity, samplers against steps, inpainting. A small "
    "exact reference for research on samplers and guidance. Teaching.",
    limits="Digits of 28 x 28 grey pixels only. The larger rho, the more alike the digits of one class: FID is lowest "
    "near rho = 0.5 and rises from there, as in the paper. The bits/dim are an upper bound, and no match for flows "
    "trained for likelihood, which reach about 1.05 on MNIST (Glow, in Grathwohl et al., 2019): they "
    "weigh most the few least noisy steps, which training visits no more often than any others and without the "
    "bound's large weights, since the eye hardly sees them.",
    snippet="""import genlab

ddpm = genlab.from_pretrained("ddpm-mnist")
digits = ddpm.sample(16, label=7, guidance=1.0, steps=50)  # (16, 1, 28, 28) in [0, 1]""",
)
