"""Learned gradient descent: the contract, the law by hand, and what a clumsy caller is told."""

import dataclasses
import math

import pytest
import torch
from contract import keeps_contract
from people import batch, tiny_body

from genlab.models.body import (
    SMPL,
    Camera,
    LearnedGradientDescent,
    LearnedGradientDescentConfig,
    OptimizationFit,
)
from genlab.models.body.fit import Observed, observe, reprojection
from genlab.models.body.joint_sets import JOINT_SETS, JOINTS, POINTS

TINY = LearnedGradientDescentConfig(width=16, blocks=1)
PAPER = LearnedGradientDescentConfig(width=16, blocks=1, rotation="axis-angle", residual=False, longest=4)


@pytest.fixture
def fitter() -> LearnedGradientDescent:
    model = LearnedGradientDescent(TINY)
    model.set_body(tiny_body())
    for p in model.parameters():  # networks that say something
        torch.nn.init.normal_(p, std=0.05)
    return model.eval()


@pytest.mark.parametrize("config", [TINY, PAPER], ids=["ours", "paper"])
def test_contract(config, tmp_path, monkeypatch):
    monkeypatch.setattr("genlab.models.body.fit.SMPL.from_pretrained", lambda name: tiny_body())
    keeps_contract(LearnedGradientDescent(config), batch(16), tmp_path)


@pytest.mark.parametrize("config", [TINY, PAPER], ids=["ours", "paper"])
def test_a_step_reads_the_gradient_of_the_reprojection_error(config):
    """Theta' = Theta + 0.1 N(compress(dL/dTheta), Theta, x, ...), with dL/dTheta by finite differences."""
    model = LearnedGradientDescent(config).eval()
    model.set_body(tiny_body())
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.05)
    seen = batch(2)
    observed = Observed.of(seen["where"], seen["confidence"])
    asked = {}
    model.update.register_forward_pre_hook(lambda module, inputs: asked.update(x=inputs[0].detach()))
    theta = (model.start(observed) + 0.1 * torch.randn(2, model.update.leave.out_features)).detach().requires_grad_()
    points = model.points(theta, observed)
    after = model.step(theta, observed, points)
    unknowns = theta.shape[1]
    gradient = torch.sinh(asked["x"][:, :unknowns]) / 30
    assert torch.allclose(asked["x"][:, unknowns : 2 * unknowns], theta)
    assert torch.allclose(after, theta + 0.1 * model.update(asked["x"]))

    def L(theta):
        return reprojection(observed, model.points(theta, observed))[0]

    for i in torch.randperm(unknowns)[:12].tolist():
        step = torch.zeros(unknowns)
        step[i] = 1e-2
        with torch.no_grad():
            slope = (L(theta + step) - L(theta - step)) / 2e-2
        assert torch.allclose(slope, gradient[:, i], atol=2e-3, rtol=2e-2)


def test_the_residual_is_shown_to_ours_alone():
    ours, paper = LearnedGradientDescent(TINY), LearnedGradientDescent(PAPER)
    assert ours.update.enter.in_features == 3 * len(POINTS) + 2 * (24 * 6 + 13) + 2 * len(POINTS)
    assert paper.update.enter.in_features == 3 * len(POINTS) + 2 * (24 * 3 + 13)


def test_fit_is_the_last_of_its_steps(fitter):
    seen = batch(3)
    keypoints, camera = 500 * seen["where"][:, :24] * torch.tensor([1.0, -1]) + 320, Camera(500, (320, 320))
    states = list(fitter.fit_steps(keypoints, None, camera, steps=3))
    assert len(states) == 4
    last = fitter.fit(keypoints, None, camera, steps=3)
    assert torch.equal(states[-1].pose, last.pose) and last.vertices.shape == (3, fitter.body.config.vertices, 3)
    assert not torch.equal(states[0].pose, states[1].pose)
    own = fitter.body(last.betas, last.pose, last.transl)
    assert torch.allclose(own.joints, last.joints, atol=1e-5)
    assert not last.pose.requires_grad and (last.transl[:, 2] < 0).all()
    assert len(list(fitter.fit_steps(keypoints, None, camera))) == TINY.iterations + 1


def test_what_is_missing_changes_nothing(fitter):
    """Where a keypoint is not seen its place may be anything: NaN too."""
    seen = batch(2)
    keypoints, camera = seen["where"][:, :24] * torch.tensor([1.0, -1]), Camera(1.0)
    confidence = torch.ones(2, 24)
    confidence[:, [5, 20]] = 0
    one = fitter.fit(keypoints, confidence, camera)
    keypoints[:, 5] = math.nan
    keypoints[:, 20] = 77.0
    assert torch.equal(one.pose, fitter.fit(keypoints, confidence, camera).pose)


def test_a_picture_may_be_scaled_and_shifted_with_its_camera(fitter):
    seen = batch(2)
    keypoints = seen["where"][:, :24] * torch.tensor([1.0, -1])
    one = fitter.fit(keypoints, None, Camera(1.0))
    other = fitter.fit(900 * keypoints + torch.tensor([400.0, 300]), None, Camera(900, (400, 300), (800, 600)))
    assert torch.allclose(one.pose, other.pose, atol=1e-3)


@pytest.mark.parametrize("joints", JOINT_SETS)
def test_known_joint_sets(fitter, joints):
    seen = batch(2)
    index = [POINTS.index(name) for name in JOINT_SETS[joints]]
    state = fitter.fit(seen["where"][:, index] * torch.tensor([1.0, -1]), None, Camera(1.0), joints=joints)
    assert state.pose.isfinite().all()


@pytest.mark.parametrize(
    ("keypoints", "knobs", "says"),
    [
        (torch.zeros(1, 17, 2), {}, "keypoints of 'smpl' are"),
        (torch.zeros(1, 24, 2), {"joints": "mpii"}, "joints is one of"),
        (torch.full((1, 24, 2), math.nan), {}, "too few joints are seen"),
        (torch.zeros(1, 24, 2), {"confidence": torch.zeros(1, 24)}, "too few joints are seen"),
        (torch.zeros(1, 24, 2), {"confidence": torch.full((1, 24), 2.0)}, "confidence lies in"),
        (torch.zeros(1, 24, 2), {"confidence": torch.ones(1, 23)}, "one for each joint"),
        (torch.full((1, 24, 2), 1e6), {}, "too far from the camera's axis"),
        (torch.full((1, 24, 2), 900.0), {"camera": Camera(500, (50, 50), (100, 100))}, "far outside the picture"),
        (torch.zeros(1, 24, 2), {"steps": -1}, "steps is a whole number"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_clumsy_use_is_told_at_once(fitter, keypoints, knobs, says):
    with pytest.raises(ValueError, match=says):
        fitter.fit_steps(keypoints, **knobs)


@pytest.mark.parametrize(
    "wrong", [{"focal": 0.0}, {"focal": math.nan}, {"center": (1.0, 2.0, 3.0)}, {"size": (0.0, 5.0)}]
)
def test_a_camera_that_is_none_is_told(wrong):
    with pytest.raises(ValueError, match="camera|center|size"):
        Camera(**wrong)


def test_camera_by_hand():
    """One metre to the left of a body that faces it, a metre up, four metres off: 250 pixels right and up of 1000."""
    camera = Camera(1_000.0, (320.0, 240.0))
    pixels = camera.project(torch.tensor([[[1.0, 1.0, -4.0]]]))
    assert torch.allclose(pixels, torch.tensor([[[570.0, -10.0]]]))
    assert torch.allclose(camera.rays(pixels), torch.tensor([[[0.25, 0.25]]]))


def test_place_is_where_it_is_seen():
    """transl = d (c + s a, c + s b, -1): at a = b = 0 the root is seen in the middle of the box, whatever the depth."""
    observed = observe(100 * torch.rand(3, 24, 2), None, Camera(500.0, (50.0, 50.0)))
    for log_depth in (-1.0, 0.0, 1.0):
        t = observed.transl(torch.tensor([[0.0, 0.0, log_depth]]).repeat(3, 1))
        assert torch.allclose(t[:, :2] / -t[:, 2:], observed.middle, atol=1e-6)


def test_it_learns_to_go_on_from_its_guess():
    """After a short training on a few people the steps lead nearer to them than the first guess."""
    torch.manual_seed(0)
    model = LearnedGradientDescent(LearnedGradientDescentConfig(width=48, blocks=1, iterations=3, longest=3))
    model.set_body(tiny_body())
    people = batch(32)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(80):
        optimizer.zero_grad()
        model.loss(people)[0].backward()
        optimizer.step()
    pixels = people["where"][:, :24] * torch.tensor([1.0, -1])
    losses = [state.losses.mean().item() for state in model.eval().fit_steps(pixels, None, Camera(1.0), steps=3)]
    assert losses[3] < 0.7 * losses[0]


def test_the_callers_body_stays_as_it_is():
    model, mine = LearnedGradientDescent(TINY), tiny_body().double()
    model.set_body(mine)
    assert model.body.dtype == torch.float32 and mine.dtype == torch.float64


def test_another_body_is_checked(fitter):
    from genlab.models.body import SMPL, SMPLConfig

    with pytest.raises(ValueError, match="joints and 10 betas is fitted"):
        fitter.set_body(SMPL(SMPLConfig(vertices=4, faces=2, betas=5)))
    assert "_body" not in dict(fitter.named_modules()) and not any("v_template" in key for key in fitter.state_dict())
    assert len(JOINTS) == 24


@pytest.mark.parametrize("kind", ["ours", "descent"])
def test_fits_in_any_mode_and_from_any_kind_of_numbers(fitter, kind):
    if kind == "descent":
        fitter = OptimizationFit()
        fitter.set_body(tiny_body())
    seen = batch(2)
    keypoints, camera = seen["where"][:, :24] * torch.tensor([1.0, -1]), Camera(1.0)
    one = fitter.fit(keypoints, None, camera, steps=2)
    with torch.inference_mode():
        assert torch.allclose(fitter.fit(keypoints, None, camera, steps=2).pose, one.pose, atol=1e-5)
    for given in (keypoints.tolist(), keypoints.numpy(), keypoints.double(), keypoints.clone().requires_grad_()):
        assert torch.allclose(fitter.fit(given, None, camera, steps=2).pose, one.pose, atol=1e-5)


def test_a_body_without_landmarks_is_fitted_to_its_joints():
    config = dataclasses.replace(tiny_body().config, landmarks=())
    bare = SMPL(config)
    bare.load_state_dict({key: value for key, value in tiny_body().state_dict().items() if "landmark" not in key})
    fitter = LearnedGradientDescent(TINY)
    fitter.set_body(bare)
    seen = batch(1)
    keypoints = seen["where"][:, :24] * torch.tensor([1.0, -1])
    assert fitter.fit(keypoints, None, Camera(1.0)).pose.isfinite().all()
    with pytest.raises(ValueError, match="the body has no nose"):
        fitter.fit(torch.rand(1, 17, 2), None, Camera(1.0), joints="coco")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((None,), "keypoints are numbers"),
        (([[[None, None]] * 24],), "keypoints are numbers"),
        ((torch.rand(1, 24, 2), "x"), "confidence are numbers"),
        ((torch.rand(1, 24, 2), torch.full((1, 24), 1e-44)), "too few joints"),
        ((torch.rand(0, 24, 2),), "nobody to fit"),
        ((torch.full((1, 24, 2), 5.0),), "in one place"),
        ((torch.rand(2, 24, 2), None, Camera(torch.ones(3))), "one for all 2 bodies or one for each"),
        (
            (torch.rand(1, 24, 2), None, Camera(torch.ones(1), torch.zeros(4, 2))),
            "one for all 1 bodies or one for each",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "asked",
)
def test_what_is_no_set_of_keypoints_is_told(fitter, arguments, says):
    with pytest.raises(ValueError, match=says):
        fitter.fit(*arguments)


def test_a_fitter_in_half_precision_says_so(fitter):
    with pytest.raises(ValueError, match="float32"):
        fitter.bfloat16().fit(torch.rand(1, 24, 2))
