"""Rotations of space in four notations, each to the matrix and back.

    axis-angle  a = theta u      R = exp([a]_x) = I + (sin theta / theta) [a]_x + ((1 - cos theta) / theta^2) [a]_x^2
    quaternion  q = (w, x, y, z) = (cos theta/2, u sin theta/2), of unit length; q and -q are the same rotation
    6D          the first two rows of R; any two rows that are not parallel become R by Gram-Schmidt (Zhou et al., 2019)

Matrices turn column vectors: x' = R x. All take any leading dimensions, and their gradients hold at the zero rotation.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def axis_angle_to_matrix(a: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Rodrigues' formula, with [a]_x^2 = a a^T - theta^2 I. The nine numbers of the result lie apart in memory."""
    a = a.movedim(-1, 0).contiguous()
    square = a.square().sum(0)
    small = square < 1e-6 if a.dtype == torch.float64 else square < 1e-3
    theta = torch.where(small, 1.0, square).sqrt()  # the branch not taken has a gradient too
    sine = torch.where(small, 1 + square * (square / 120 - 1 / 6), theta.sin() / theta)
    # 1 - cos theta = 2 sin^2(theta / 2), which does not cancel
    versine = torch.where(small, 0.5 + square * (square / 720 - 1 / 24), 2 * ((theta / 2).sin() / theta).square())
    one = torch.eye(3, dtype=a.dtype, device=a.device).view(3, 3, *[1] * square.ndim)
    R = (1 - versine * square) * one + a[:, None] * (versine * a)
    return R.movedim((0, 1), (-2, -1)) + cross_matrix((sine * a).movedim(0, -1))


def matrix_to_axis_angle(R: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3"]:
    """The rotation vector, of length at most pi."""
    q = matrix_to_quaternion(R)
    w, xyz = q[..., :1], q[..., 1:]
    square = xyz.square().sum(-1, keepdim=True)
    small = square < 1e-8
    half_sine = torch.where(small, torch.ones_like(square), square).sqrt()
    # theta / sin(theta / 2), and its series 2 + sin^2(theta / 2) / 3
    scale = torch.where(small, 2 + square / 3, 2 * torch.atan2(half_sine, w) / half_sine)
    return scale * xyz


def quaternion_to_matrix(q: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 3 3"]:
    """Of any length but zero: only the direction counts."""
    w, x, y, z = F.normalize(q, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def matrix_to_quaternion(R: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 4"]:
    """Unit length, w >= 0. Of the four ways to solve for q the one that divides by the largest number (Shepperd)."""
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in R.unbind(-2))
    # 4 q q^T, row by row: each row is q times one of its own entries
    table = torch.stack(
        [
            torch.stack([1 + a + e + i, h - f, c - g, d - b], -1),
            torch.stack([h - f, 1 + a - e - i, b + d, c + g], -1),
            torch.stack([c - g, b + d, 1 - a + e - i, f + h], -1),
            torch.stack([d - b, c + g, f + h, 1 - a - e + i], -1),
        ],
        dim=-2,
    )
    best = table.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*table.shape[:-2], 1, 4)
    q = F.normalize(table.gather(-2, best)[..., 0, :], dim=-1)
    return torch.where(q[..., :1] < 0, -q, q)


def rotation_6d_to_matrix(d: Float[Tensor, "*B 6"]) -> Float[Tensor, "*B 3 3"]:
    """Gram-Schmidt on the two rows; the third is their cross product."""
    one, two = d[..., :3], d[..., 3:]
    x = F.normalize(one, dim=-1)
    y = F.normalize(two - (x * two).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-2)


def matrix_to_rotation_6d(R: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 6"]:
    """The first two rows."""
    return R[..., :2, :].flatten(-2)


def cross_matrix(a: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """[a]_x, with [a]_x b = a x b."""
    x, y, z = a.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).unflatten(0, (3, 3)).movedim((0, 1), (-2, -1))
