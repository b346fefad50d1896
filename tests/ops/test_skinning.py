"""Kinematics and skinning: a hand-worked example, brute force, and gradients against finite differences."""

import math

import pytest
import torch

from genlab.ops.kinematics import forward_kinematics, from_rest, levels
from genlab.ops.rotations import axis_angle_to_matrix
from genlab.ops.skinning import BODIES, linear_blend_skinning

TREE = (-1, 0, 1, 1, 0, 4, 5)


def quarter(*axis: float) -> torch.Tensor:
    """A quarter turn."""
    return axis_angle_to_matrix(torch.tensor(axis, dtype=torch.float64) * math.pi / 2)


def test_two_bones_by_hand():
    """An arm of two bones, each 1 m long, along x; the shoulder turns 90 degrees about z, the elbow 90 about y."""
    joints = torch.tensor([[[0.0, 0, 0], [1, 0, 0]]], dtype=torch.float64)
    R = torch.stack([quarter(0, 0, 1), quarter(0, 1, 0)])[None]
    G, t = forward_kinematics(R, joints, (-1, 0))
    assert torch.allclose(t[0], torch.tensor([[0.0, 0, 0], [0, 1, 0]], dtype=torch.float64))  # the arm points up
    v = torch.tensor([[[0.5, 0, 0], [2, 0, 0], [1, 0.2, 0]]], dtype=torch.float64)
    weights = torch.tensor([[1.0, 0], [0, 1], [0.5, 0.5]], dtype=torch.float64)
    posed = linear_blend_skinning(v, from_rest(G, t, joints), weights)[0]
    assert torch.allclose(posed[0], torch.tensor([0, 0.5, 0], dtype=torch.float64))  # on the upper arm
    assert torch.allclose(posed[1], torch.tensor([0, 1, -1.0], dtype=torch.float64))  # the hand: to the back
    # at the elbow: the mean of where the upper arm takes it, (-0.2, 1, 0), and where the forearm does, the same
    assert torch.allclose(posed[2], torch.tensor([-0.2, 1, 0], dtype=torch.float64))


def test_levels_of_a_tree():
    assert levels(TREE) == [[0], [1, 4], [2, 3, 5], [6]]
    assert levels((-1,)) == [[0]]


@pytest.mark.parametrize("parents", [(), (0,), (-1, -1), (-1, 1), (-1, 2, 0), (-1, 0, -2), (1, -1)])
def test_what_is_no_tree_is_told(parents):
    with pytest.raises(ValueError, match="parents are a tree"):
        levels(parents)


def test_kinematics_are_those_of_one_joint_after_the_other():
    g = torch.Generator().manual_seed(0)
    R = axis_angle_to_matrix(torch.randn(5, len(TREE), 3, generator=g, dtype=torch.float64))
    joints = torch.randn(5, len(TREE), 3, generator=g, dtype=torch.float64)
    G, t = forward_kinematics(R, joints, TREE)
    turned, placed = [R[:, 0]], [joints[:, 0]]
    for k, p in enumerate(TREE[1:], start=1):
        turned.append(turned[p] @ R[:, k])
        placed.append(placed[p] + (turned[p] @ (joints[:, k] - joints[:, p])[..., None])[..., 0])
    assert torch.allclose(G, torch.stack(turned, 1)) and torch.allclose(t, torch.stack(placed, 1))
    one = forward_kinematics(R, joints[:1], TREE)[1]  # one rest pose for all
    assert torch.allclose(one[0], t[0]) and not torch.allclose(one[1], t[1])


@pytest.mark.parametrize("batch", [1, BODIES, 2 * BODIES + 1])
def test_skinning_is_the_weighted_sum(batch):
    g = torch.Generator().manual_seed(1)
    v = torch.randn(batch, 9, 3, generator=g, dtype=torch.float64, requires_grad=True)
    A = torch.randn(batch, 4, 3, 4, generator=g, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(9, 4, generator=g, dtype=torch.float64, requires_grad=True)
    homogeneous = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
    assert torch.allclose(
        linear_blend_skinning(v, A, weights), torch.einsum("vj,bjrc,bvc->bvr", weights, A, homogeneous)
    )
    assert torch.autograd.gradcheck(linear_blend_skinning, (v, A, weights))


def test_what_inference_asked_for_first_serves_gradients_later():
    tree = (-1, 0, 1, 2, 3, 3)  # of no other test
    R, joints = torch.eye(3).expand(2, 6, 3, 3), torch.randn(1, 6, 3, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        forward_kinematics(R.clone(), joints, tree)
    R = R.clone().requires_grad_()
    forward_kinematics(R, joints, tree)[1].sum().backward()
    assert R.grad.isfinite().all() and R.grad.any()


def test_gradients_reach_the_rotations_through_everything():
    g = torch.Generator().manual_seed(2)
    joints = torch.randn(2, len(TREE), 3, generator=g, dtype=torch.float64)
    v = torch.randn(2, 6, 3, generator=g, dtype=torch.float64)
    weights = torch.rand(6, len(TREE), generator=g, dtype=torch.float64)

    def posed(a):
        G, t = forward_kinematics(axis_angle_to_matrix(a), joints, TREE)
        return linear_blend_skinning(v, from_rest(G, t, joints), weights)

    for scale in (0.0, 0.7):
        a = (scale * torch.randn(2, len(TREE), 3, generator=g, dtype=torch.float64)).requires_grad_()
        assert torch.autograd.gradcheck(posed, a)


def test_rest_stays_at_rest():
    joints = torch.randn(1, len(TREE), 3, generator=torch.Generator().manual_seed(3))
    G, t = forward_kinematics(torch.eye(3).expand(1, len(TREE), 3, 3), joints, TREE)
    A = from_rest(G, t, joints)
    assert torch.allclose(A, torch.eye(3, 4).expand_as(A), atol=1e-6)
