"""lgd-body: a body from keypoints in four steps, each of which a network reads off the gradient."""

import torch
from torch import Tensor

from genlab.data import mocap
from genlab.models.body import LearnedGradientDescent, LearnedGradientDescentConfig
from genlab.recipes import _fitting as fitting
from genlab.recipes import _people
from genlab.train import Recipe


def evaluate(model: LearnedGradientDescent, samples=None):
    """By condition after the trained number of steps; by step, beyond it too; and its time."""
    yield from fitting.by_condition(model.fit_steps, samples, {"steps": model.config.iterations})
    yield fitting.by_step(lambda *seen: model.fit_steps(*seen, steps=10), samples, range(11))
    yield fitting.timed(model.fit_steps, {"steps": model.config.iterations})


@torch.no_grad()
def golden(model: LearnedGradientDescent) -> dict[str, Tensor]:
    """Three people, keypoints a little off: where they end, and how near that is."""
    batch = fitting.made_up()
    keypoints, confidence = fitting.seen(batch)
    state = model.fit(keypoints, confidence, fitting.CAMERA)
    return {"keypoints": keypoints, "joints": state.joints, "losses": state.losses}


@torch.no_grad()
def samples(model: LearnedGradientDescent) -> Tensor:
    """Three people, seen by 24 keypoints with 1 % of noise: the first guess, the state after each of four steps, and
    in blue who it is."""
    batch = fitting.made_up()
    return fitting.pictures(model.body, list(model.fit_steps(*fitting.seen(batch), fitting.CAMERA, steps=4)), batch)


RECIPE = Recipe(
    name="lgd-body",
    summary="Fits a human body to 2D keypoints in four learned steps.",
    model=LearnedGradientDescent,
    config=LearnedGradientDescentConfig(),
    data=_people.splits,
    augment=_people.photographed,
    steps=20_000,  # some 5 million people: captured poses are few, what is seen of them never comes twice
    batch_size=256,
    lr=1e-3,
    warmup=200,
    ema=0.999,
    validate_every=500,
    checkpoint_every=250,
    evaluate=evaluate,
    golden=golden,
    samples=samples,
    source="Poses from [CMU's motion capture](http://mocap.cs.cmu.edu) on this skeleton; no copy on the Hub, "
    "`genlab/data/mocap.py` says in which form they are read. Measured on Bandai-Namco's motion data too (CC BY-NC "
    "4.0, so never trained on).",
    intended_use="Seeing how a learned optimiser differs from gradient descent; a quick first fit of a body to the "
    "joints that a 2D detector gives: COCO's, OpenPose's, or SMPL's own.",
    limits="It knows poses like those of CMU's motion capture: walking, running, sports, gestures. It has seen "
    "no pictures, only keypoints made from poses, with even noise; a detector's errors are less even. Depth is a guess "
    "that one picture cannot check. The body is smpl-open, with its limits: adults, no hands, no face. Figures are for "
    "made-up people in captured poses and must not stand beside those of 3DPW or Human3.6M. " + mocap.CMU.credit,
    snippet="""import torch
import genlab

fitter = genlab.from_pretrained("lgd-body")
x = [320, 328, 312, 338, 302, 362, 278, 384, 256, 392, 248, 345, 295, 350, 290, 352, 288]
y = [90, 82, 82, 86, 86, 140, 140, 204, 204, 262, 262, 270, 270, 350, 350, 430, 430]
keypoints = torch.tensor([x, y]).T[None]  # (1, 17, 2): COCO's, in pixels of a 640 x 480 picture
fit = fitter.fit(keypoints, camera=fitter.camera(focal=600, size=(640, 480)), joints="coco")
fit.pose, fit.betas, fit.transl, fit.vertices  # (1, 24, 3), (1, 10), (1, 3), (1, 13348, 3)""",
)
