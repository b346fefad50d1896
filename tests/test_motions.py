"""Motions made by hand: they come round, move smoothly, and bend no joint the wrong way."""

import pytest
import torch

from genlab.data import motions
from genlab.models.body.joint_sets import JOINTS, PARENTS
from genlab.ops.rotations import axis_angle_to_matrix

SWAP = {"left": "right", "right": "left"}
MIRROR = [JOINTS.index("_".join(SWAP.get(word, word) for word in name.split("_"))) for name in JOINTS]


@pytest.mark.parametrize("name", motions.MOTIONS)
def test_a_clip_comes_round_smoothly(name):
    """No joint turns by more than 40 degrees a tenth of a second, from the last frame to the first neither."""
    clip = motions.clip(name, fps=30)
    assert clip.shape == (round(motions.PERIODS[name] * 30), len(PARENTS), 3) and clip.isfinite().all()
    R = axis_angle_to_matrix(torch.cat([clip, clip[:1]]).double())
    step = R[:-1].mT @ R[1:]
    turned = torch.rad2deg((step.diagonal(dim1=-2, dim2=-1).sum(-1) / 2 - 0.5).clamp(-1, 1).acos())
    assert turned.max() < 40 / 3
    assert turned.max() > 1, "and something moves"


@pytest.mark.parametrize("name", motions.MOTIONS)
def test_knees_bend_backwards_and_by_as_much_as_knees_can(name):
    clip = torch.rad2deg(motions.clip(name))
    knees = clip[:, [JOINTS.index("left_knee"), JOINTS.index("right_knee")]]
    assert knees[..., 0].min() >= 0 and knees[..., 0].max() < 150
    assert knees[..., 1:].abs().max() < 1e-3
    assert clip.norm(dim=-1).max() < 150


def test_half_a_stride_later_left_and_right_have_changed_places():
    t = torch.linspace(0, 1, 12, dtype=torch.float64)
    now, later = motions.walk(t), motions.walk(t + motions.PERIODS["walk"] / 2)
    assert torch.allclose(now[:, MIRROR] * torch.tensor([1.0, -1.0, -1.0]), later, atol=1e-6)


@pytest.mark.parametrize("name", motions.MOTIONS)
def test_a_motion_repeats_after_its_period(name):
    t = torch.linspace(0, 3, 7, dtype=torch.float64)
    move = motions.MOTIONS[name]
    assert torch.allclose(move(t), move(t + motions.PERIODS[name]), atol=1e-6)


def test_an_unknown_motion_is_told_which_there_are():
    with pytest.raises(ValueError, match="walk, stretch, squat, wave"):
        motions.clip("moonwalk")
