"""Fitting by optimisation: the prior against scipy, the energy by hand, and that both ways down find who is there."""

import math

import numpy as np
import pytest
import torch
from contract import keeps_to_its_config, saves_and_loads
from people import batch, tiny_body

from genlab.models.body import Camera, OptimizationFit, OptimizationFitConfig
from genlab.models.body.fit import Observed, reprojection
from genlab.models.body.optimization import DESCENTS, TURNING, YAWS, within


@pytest.fixture
def fitter() -> OptimizationFit:
    """A prior of two rather wide Gaussians."""
    model = OptimizationFit(OptimizationFitConfig(components=2))
    generator = torch.Generator().manual_seed(0)
    model.log_weights.copy_(torch.tensor([0.3, 0.7]).log())
    model.means.copy_(0.1 * torch.randn(2, TURNING, generator=generator))
    model.whitening.copy_(3 * torch.eye(TURNING) + 0.1 * torch.randn(2, TURNING, TURNING, generator=generator).triu())
    model.set_body(tiny_body())
    return model.eval()


def keypoints(n: int = 2) -> tuple[torch.Tensor, dict]:
    seen = batch(n)
    return 500 * seen["where"][:, :24] * torch.tensor([1.0, -1.0]) + 250, seen


def test_contract(fitter, tmp_path):
    keeps_to_its_config(fitter)
    saves_and_loads(fitter, tmp_path)


def test_the_prior_is_the_mixture_of_its_gaussians(fitter):
    stats = pytest.importorskip("scipy.stats")
    pose = 0.2 * torch.randn(5, 24, 3, generator=torch.Generator().manual_seed(1))
    x = pose[:, 1:].flatten(1).double().numpy()
    density = np.zeros(5)
    for w, mean, W in zip(fitter.log_weights.exp(), fitter.means, fitter.whitening.double(), strict=True):
        normal = stats.multivariate_normal(mean.double().numpy(), np.linalg.inv((W @ W.T).numpy()))
        density += w.item() * normal.pdf(x)
    assert np.allclose(fitter.log_prior(pose).numpy(), np.log(density), rtol=1e-3, atol=1e-2)


def test_the_prior_does_not_care_which_way_a_body_faces(fitter):
    pose = 0.2 * torch.randn(2, 24, 3)
    turned = pose.clone()
    turned[:, 0] = torch.randn(2, 3)
    assert torch.equal(fitter.log_prior(pose), fitter.log_prior(turned))


def test_the_energy_is_minus_the_log_posterior(fitter):
    """At the true body: no distance, so what is left is the prior; a keypoint sigma away costs 1/2."""
    seen = batch(2)
    observed = Observed.of(seen["where"], seen["confidence"])
    transl, half = seen["transl"], observed.half
    depth = -transl[:, 2:]
    place = torch.cat([(transl[:, :2] / depth - observed.middle) / half, (depth * half).log()], dim=1)
    theta = torch.cat([seen["pose"].flatten(1), seen["betas"], place], dim=1)
    assert torch.allclose(observed.transl(place), transl, atol=1e-4)
    prior = 0.5 * seen["betas"].square().sum(1) - fitter.log_prior(seen["pose"])
    assert torch.allclose(fitter.energy(theta, observed), prior, rtol=1e-4, atol=1e-2)
    moved = observed.where.clone()
    moved[:, 3, 0] += fitter.config.sigma * half[:, 0]  # a spine joint: it does not change the box
    off = Observed(moved, observed.confidence, observed.middle, half)
    assert torch.allclose(fitter.energy(theta, off, prior=0.0), torch.full((2,), 0.5), atol=1e-2)


@pytest.mark.parametrize("method", DESCENTS)
def test_both_ways_down_arrive(fitter, method):
    """Someone four metres off: after some steps the joints are seen within 2 % of the box, and mostly in place."""
    pixels, seen = keypoints(1)
    steps = {"adam": 80, "lbfgs": 5}[method]
    states = list(fitter.fit_steps(pixels, None, Camera(500.0, (250.0, 250.0)), steps=steps, method=method))
    assert len(states) == steps + 1
    assert states[-1].losses.max() < 0.02**2 < 0.01 < states[0].losses.min()
    true = fitter.body.keypoints(seen["betas"], seen["pose"])
    ours = states[-1].joints - states[-1].joints[:, :1]
    assert (ours - (true - true[:, :1])).norm(dim=-1).median() < 0.12


def test_four_ways_to_face_are_tried(fitter):
    """Seen from behind, a body is found from behind."""
    pixels, seen = keypoints(1)
    around = fitter.body.keypoints(
        seen["betas"], torch.cat([torch.tensor([[[0, math.pi, 0]]]), seen["pose"][:, 1:]], 1)
    )
    pixels = Camera(500.0, (250.0, 250.0)).project(around + seen["transl"][:, None])
    observed = Observed.of(torch.rand(1, 37, 2), torch.ones(1, 37))
    assert fitter.start(observed).shape[0] == YAWS
    last = fitter.fit(pixels, None, Camera(500.0, (250.0, 250.0)), steps=60)
    assert last.joints[0, 16, 0] < last.joints[0, 17, 0]  # its left shoulder is on the left of the picture


@pytest.mark.parametrize("method", DESCENTS)
@pytest.mark.parametrize("steps", [0, 1, 4, 6])
def test_there_is_a_state_for_the_start_and_for_each_step(fitter, method, steps):
    pixels, _ = keypoints(1)
    states = list(fitter.fit_steps(pixels, None, Camera(500.0, (250.0, 250.0)), steps=steps, method=method))
    assert len(states) == steps + 1


def test_seeds_play_no_part(fitter):
    pixels, _ = keypoints(1)
    one, two = (fitter.fit(pixels, None, Camera(500.0, (250.0, 250.0)), steps=5) for _ in range(2))
    assert torch.equal(one.pose, two.pose)


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"steps": -1}, "steps is a whole number"),
        ({"method": "newton"}, "method is one of"),
        ({"prior": -1.0}, "prior lies in"),
        ({"prior": math.nan}, "prior lies in"),
        ({"prior": True}, "prior lies in .* not True"),
        ({"rate": 0.0}, "rate lies in"),
        ({"rate": True}, "rate lies in .* not True"),
    ],
    ids=str,
)
def test_clumsy_use_is_told_at_once(fitter, knobs, says):
    with pytest.raises(ValueError, match=says):
        fitter.fit_steps(torch.rand(1, 24, 2), **knobs)


@pytest.mark.parametrize("knob", ["x", [1.0], None, True, 1j, torch.ones(1), math.nan, math.inf, -1])
def test_a_knob_of_no_number_in_range_is_none(knob):
    """What the annotations promise is checked for those who do not check types, as these tests do."""
    assert not within(knob, 0, 100) and within(np.float32(3), 0, 100) and within(0, 0, 100)


@pytest.mark.parametrize("n", [0, -1, True, 10**9])
def test_as_many_poses_as_there_is_room_for(fitter, n):
    with pytest.raises(ValueError, match="n is a whole number from 1 to 100000"):
        fitter.poses(n)
    with pytest.raises(ValueError, match="spread lies in"):
        fitter.poses(2, spread=math.inf)


def test_loss_is_that_of_the_state(fitter):
    pixels, _ = keypoints(1)
    state = fitter.fit(pixels, None, Camera(500.0, (250.0, 250.0)), steps=3)
    where = Camera(500.0, (250.0, 250.0)).rays(pixels)
    every = torch.zeros(1, 37, 2)
    every[:, :24] = where
    there = torch.cat([torch.ones(1, 24), torch.zeros(1, 13)], dim=1)
    points = torch.cat([state.joints, torch.zeros(1, 13, 3)], dim=1)
    L, _ = reprojection(Observed.of(every, there), points)
    assert torch.allclose(L, state.losses, atol=1e-5)
