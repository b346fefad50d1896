"""optimization-body: the pose prior of fitting by Adam or L-BFGS, a mixture of Gaussians over captured poses."""

from functools import partial

import torch
from torch import Tensor

from genlab.data import mocap
from genlab.models.body import OptimizationFit, OptimizationFitConfig
from genlab.names import require
from genlab.recipes import _fitting as fitting
from genlab.recipes import _people
from genlab.train import Recipe

LEAST = 1e-3  # added to each variance, radians squared: some joints hardly turn, such as the collar bones' twist


def fit(recipe: Recipe) -> OptimizationFit:
    """Expectation maximisation on the poses that lgd-body learns from, and their mirror images."""
    pose = _people.splits()["train"]["pose"]
    pose = torch.cat([pose, _people.mirrored(pose)])[:, 1:].flatten(1).double().numpy()
    mixture = require("sklearn.mixture", extra="train").GaussianMixture(
        recipe.config.components, reg_covar=LEAST, random_state=recipe.seed, max_iter=200
    )
    mixture.fit(pose)
    model = OptimizationFit(recipe.config)
    model.log_weights.copy_(torch.from_numpy(mixture.weights_).log())
    model.means.copy_(torch.from_numpy(mixture.means_))
    model.whitening.copy_(torch.from_numpy(mixture.precisions_cholesky_))
    return model


def evaluate(model: OptimizationFit, samples=None):
    """Adam beside the same without a prior, and L-BFGS, of which each body takes seconds, on fewer."""
    adam = partial(model.fit_steps, steps=200)
    yield from fitting.by_condition(adam, samples, {"method": "Adam", "steps": 200})
    shown = (0, 10, 20, 50, 100, 200)
    for method, knobs in {"Adam": {}, "Adam, no prior": {"prior": 0.0}}.items():
        yield fitting.by_step(partial(adam, **knobs), samples, shown, {"method": method})
    for method, knobs in {"L-BFGS": {}, "L-BFGS, no prior": {"prior": 0.0}}.items():
        lbfgs = partial(model.fit_steps, steps=20, method="lbfgs", **knobs)
        yield fitting.by_step(lbfgs, min(samples or 60, 60), (0, 2, 5, 10, 20), {"method": method})
    yield fitting.timed(adam, {"method": "Adam", "steps": 200})


@torch.no_grad()
def golden(model: OptimizationFit) -> dict[str, Tensor]:
    pose = 0.3 * torch.randn(8, 24, 3, generator=torch.Generator().manual_seed(0))
    return {"pose": pose, "log_prior": model.log_prior(pose)}


@torch.no_grad()
def samples(model: OptimizationFit) -> Tensor:
    """Three people, seen by 24 keypoints with 1 % of noise: Adam's start, its state after 20, 40, 100 and 200 steps,
    and in blue who it is."""
    batch = fitting.made_up()
    states = list(model.fit_steps(*fitting.seen(batch), fitting.CAMERA, steps=200))
    return fitting.pictures(model.body, [states[n] for n in (0, 20, 40, 100, 200)], batch)


RECIPE = Recipe(
    name="optimization-body",
    summary="Fits a human body to 2D keypoints by Adam or L-BFGS, with a prior of how people hold themselves.",
    model=OptimizationFit,
    config=OptimizationFitConfig(),
    fit=fit,
    evaluate=evaluate,
    golden=golden,
    samples=samples,
    source="Poses from [CMU's motion capture](http://mocap.cs.cmu.edu) on this skeleton; no copy on the Hub, "
    "`genlab/data/mocap.py` says in which form they are read. Measured on Bandai-Namco's motion data too (CC BY-NC "
    "4.0, so never trained on).",
    intended_use="The yardstick of lgd-body, and a slower, steadier fit of a body to the joints of a picture.",
    limits="Its prior knows CMU's poses; its minima are many, and it takes the best of four ways to face. Depth is a "
    "guess that one picture cannot check. " + mocap.CMU.credit,
    snippet="""import torch
import genlab

fitter = genlab.from_pretrained("optimization-body")
camera = fitter.camera(focal=1000, size=(640, 480))
joints = fitter.body(torch.zeros(1, 10), torch.zeros(1, 24, 3), torch.tensor([[0.0, 0.0, -4.0]])).joints
for fit in fitter.fit_steps(camera.project(joints), camera=camera, steps=100):  # method="lbfgs" for L-BFGS
    print(fit.losses.item())""",
)
