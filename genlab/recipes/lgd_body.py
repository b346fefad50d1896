"""lgd-body: a body from keypoints in four steps, each of which a network reads off the gradient."""

from genlab.models.body import LearnedGradientDescent, LearnedGradientDescentConfig
from genlab.recipes import _people
from genlab.train import Recipe

RECIPE = Recipe(
    name="lgd-body",
    summary="Fits a human body to 2D keypoints in four learned steps.",
    model=LearnedGradientDescent,
    config=LearnedGradientDescentConfig(),
    data=_people.splits,
    augment=_people.photographed,
    steps=13_000,
    batch_size=256,
    lr=1e-3,
    warmup=200,
    ema=0.999,
    validate_every=500,
    checkpoint_every=250,
)
