"""People in pictures, made for learning: what is said of them is so."""

import math

import pytest
import torch
from people import tiny_body

from genlab.models.body.camera import seen
from genlab.models.body.fit import points_of
from genlab.models.body.joint_sets import JOINT_SETS, POINTS
from genlab.ops.rotations import axis_angle_to_matrix
from genlab.recipes import _fitting, _people


@pytest.fixture(autouse=True)
def body(monkeypatch):
    one = tiny_body()
    monkeypatch.setattr(_people, "body", lambda: one)
    return one


def poses(n: int) -> torch.Tensor:
    return 0.3 * torch.randn(n, 24, 3)


def test_keypoints_are_where_the_body_is_seen(body):
    batch = _people.photographed({"pose": poses(20)}, noise=0.0, missing=0.0)
    points = points_of(body, batch["betas"], batch["pose"], batch["transl"])
    there = batch["confidence"] > 0
    assert torch.allclose(seen(points)[there], batch["where"][there], atol=1e-5)
    assert (batch["where"][~there] == 0).all()
    assert (batch["transl"][:, 2] < -1.7).all()


def test_noise_is_a_share_of_the_box(body):
    torch.manual_seed(0)
    batch = _people.photographed({"pose": poses(300)}, noise=0.03, missing=0.0)
    where = seen(points_of(body, batch["betas"], batch["pose"], batch["transl"]))
    size = (where.amax(dim=1) - where.amin(dim=1)).amax(dim=1)[:, None, None]
    off = ((batch["where"] - where) / size)[:, :24]
    assert off.std().item() == pytest.approx(0.03, rel=0.05)


@pytest.mark.parametrize("missing", [0.0, 0.2, 0.5])
def test_just_so_many_of_the_joints_are_missing(missing):
    batch = _people.photographed({"pose": poses(30)}, mixed=False, noise=0.0, missing=missing)
    assert (batch["confidence"].sum(dim=1) == 24 - round(24 * missing)).all()
    assert (batch["confidence"][:, 24:] == 0).all()


def test_learning_sees_every_set_and_gaps_but_never_too_few():
    torch.manual_seed(0)
    there = _people.photographed({"pose": poses(600)})["confidence"] > 0
    assert (there.sum(dim=1) >= 6).all()
    for names in JOINT_SETS.values():
        whole = torch.tensor([name in names for name in POINTS])
        assert (there == whole).all(dim=1).any()


def test_a_mirror_image_is_seen_mirrored(body):
    """Mirror the pose of a symmetric body: its joints are the mirrored joints of the other side."""
    pose = poses(4)
    joints = body.keypoints(torch.zeros(4, 10), pose)
    other = body.keypoints(torch.zeros(4, 10), _people.mirrored(pose))
    assert torch.allclose(other[:, _people.SWAPPED] * torch.tensor([-1.0, 1, 1]), joints, atol=1e-3)
    assert torch.allclose(_people.mirrored(_people.mirrored(pose)), pose)


def test_turning_keeps_the_pose_and_mostly_the_upright():
    pose = torch.zeros(500, 24, 3)
    turned = _people.turned(pose)
    assert torch.equal(turned[:, 1:], pose[:, 1:])
    up = axis_angle_to_matrix(turned[:, 0])[:, 1, 1]  # how upright: the cosine from the vertical
    assert up.median() > 0.95
    ahead = axis_angle_to_matrix(turned[:, 0])[:, :, 2]
    assert torch.atan2(ahead[:, 0], ahead[:, 2]).abs().max() > 0.9 * math.pi  # any way


def test_errors_of_the_true_body_are_nought():
    batch = _people.photographed({"pose": poses(3)}, mixed=False, noise=0.0, missing=0.0)
    body = _people.body()
    joints = body.keypoints(batch["betas"], batch["pose"], batch["transl"])
    state = _fitting.BodyFit(batch["pose"], batch["betas"], batch["transl"], joints, torch.zeros(3), body)
    found = _fitting.errors(state, batch, vertices=True)
    assert set(found) == {"mpjpe", "pa_mpjpe", "pve", "error_2d"}
    assert all(one.max() < 1e-2 for one in found.values())
