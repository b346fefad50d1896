"""Rotations, against scipy's, against themselves, and their gradients against finite differences, at zero too."""

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from genlab.ops import rotations as r


def some(n: int = 200, seed: int = 0) -> torch.Tensor:
    """Rotation vectors of all lengths up to pi, zero and tiny ones among them."""
    g = torch.Generator().manual_seed(seed)
    a = torch.nn.functional.normalize(torch.randn(n, 3, generator=g, dtype=torch.float64), dim=-1)
    lengths = torch.rand(n, 1, generator=g, dtype=torch.float64) * math.pi
    lengths[:5, 0] = torch.tensor([0, 1e-12, 1e-6, 1e-3, math.pi - 1e-6])
    return a * lengths


def test_axis_angle_is_scipys():
    a = some()
    expected = torch.from_numpy(Rotation.from_rotvec(a.numpy()).as_matrix())
    assert torch.allclose(r.axis_angle_to_matrix(a), expected, atol=1e-14)
    assert torch.allclose(r.matrix_to_axis_angle(expected), a, atol=1e-7)


def test_quaternions_are_scipys_with_the_real_part_first():
    a = some()
    expected = Rotation.from_rotvec(a.numpy())
    q = torch.from_numpy(expected.as_quat(canonical=True, scalar_first=True))
    assert torch.allclose(r.matrix_to_quaternion(r.axis_angle_to_matrix(a)), q, atol=1e-7)
    assert torch.allclose(r.quaternion_to_matrix(-3 * q), torch.from_numpy(expected.as_matrix()), atol=1e-14)


@pytest.mark.parametrize("axis", [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0, -1.0, 1.0], [1.0, 1.0, 1.0]])
def test_half_turns_are_read_back(axis):
    """Where w is 0 the quaternion must come from another row of the table."""
    a = math.pi * torch.nn.functional.normalize(torch.tensor([axis], dtype=torch.float64), dim=-1)
    R = r.axis_angle_to_matrix(a)
    assert torch.allclose(r.axis_angle_to_matrix(r.matrix_to_axis_angle(R)), R, atol=1e-12)


def test_six_numbers_come_back_and_any_others_become_a_rotation():
    R = r.axis_angle_to_matrix(some())
    assert torch.allclose(r.rotation_6d_to_matrix(r.matrix_to_rotation_6d(R)), R, atol=1e-14)
    d = torch.randn(50, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    M = r.rotation_6d_to_matrix(d)
    assert torch.allclose(M @ M.transpose(-1, -2), torch.eye(3, dtype=torch.float64).expand(50, 3, 3), atol=1e-13)
    assert torch.allclose(torch.linalg.det(M), torch.ones(50, dtype=torch.float64))


@pytest.mark.parametrize("length", [1e-5, 1e-4, 0.01, 0.02, 0.0316, 0.0317, 0.1, 1.0, 3.0])
def test_single_precision_is_exact_to_its_last_digits_on_both_sides_of_the_series(length):
    a = torch.nn.functional.normalize(some(50, seed=2), dim=-1)[5:] * length
    assert (r.axis_angle_to_matrix(a.float()) - r.axis_angle_to_matrix(a)).abs().max() < 6e-7


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-3, 0.5, 2.0])
def test_gradients_hold_everywhere_and_at_zero(scale):
    g = torch.Generator().manual_seed(3)
    a = (scale * torch.randn(3, 3, generator=g, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(r.axis_angle_to_matrix, a)
    assert torch.autograd.gradgradcheck(r.axis_angle_to_matrix, a)
    assert torch.autograd.gradcheck(lambda a: r.matrix_to_axis_angle(r.axis_angle_to_matrix(a)), a)


def test_any_leading_dimensions():
    a = some(24).view(2, 3, 4, 3)
    assert r.axis_angle_to_matrix(a).shape == (2, 3, 4, 3, 3)
    assert torch.allclose(r.matrix_to_axis_angle(r.axis_angle_to_matrix(a)), a, atol=1e-7)
    assert r.axis_angle_to_matrix(a[0, 0, 0]).shape == (3, 3)


def test_the_cross_matrix_is_the_cross_product():
    a, b = some(10), some(10, seed=4)
    assert torch.allclose((r.cross_matrix(a) @ b[..., None])[..., 0], torch.linalg.cross(a, b))
