"""Forward kinematics: where a tree of joints stands when each of them is turned.

    G_root = (R_root, j_root),    G_k = G_parent(k) (R_k, j_k - j_parent(k))

A transform (R, t) takes x to R x + t, and the product of two is one after the other. Skinning wants each joint's
transform from the rest pose instead, which carries a point given in the rest pose along with the joint:

    A_k = (R of G_k, t of G_k - R of G_k j_k)
"""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


@lru_cache(maxsize=64)
def levels(parents: tuple[int, ...]) -> list[list[int]]:
    """The joints by their distance from the root. Raises ValueError where parents (-1 for the root) are no tree with
    one root in which each parent comes before its children."""
    roots = [joint for joint, parent in enumerate(parents) if parent == -1]
    if roots != [0] or any(not 0 <= parent < joint for joint, parent in enumerate(parents) if joint):
        raise ValueError(f"parents are a tree: -1 for joint 0, then for each joint one before it, not {parents}")
    depth = [0]
    for parent in parents[1:]:
        depth.append(depth[parent] + 1)
    tree: list[list[int]] = [[] for _ in range(max(depth) + 1)]
    for joint, level in enumerate(depth):
        tree[level].append(joint)
    return tree


Span = slice | Tensor


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # whoever asks first: the tensors stay, and others want gradients through them
def _plan(parents: tuple[int, ...], device: torch.device) -> tuple[list[tuple[Span, Span]], Tensor]:
    """For each level below the root its joints and their parents; and the parents of all joints but the root."""
    rows = [(level, [parents[joint] for joint in level]) for level in levels(parents)[1:]]
    return [(_span(a, device), _span(b, device)) for a, b in rows], torch.tensor(parents[1:], device=device)


def _span(joints: list[int], device: torch.device) -> Span:
    """These joints as an index: a slice, which copies nothing, where they are evenly spaced."""
    step = joints[1] - joints[0] if len(joints) > 1 else 1
    if step > 0 and joints == list(range(joints[0], joints[-1] + 1, step)):
        return slice(joints[0], joints[-1] + 1, step)
    return torch.tensor(joints, device=device)


def forward_kinematics(
    R: Float[Tensor, "B J 3 3"], joints: Float[Tensor, "#B J 3"], parents: tuple[int, ...]
) -> tuple[Float[Tensor, "B J 3 3"], Float[Tensor, "B J 3"]]:
    """Rotation and place of each joint in the world: R of G_k, t of G_k.

    R: each joint's rotation against its parent. joints: their places in the rest pose, metres. All joints of one level
    go together, so the time grows with the depth of the tree. Differentiable once. Fastest where R and joints have the
    bodies last in memory, as the results do. Raises ValueError for what is no tree.
    """
    G = _Kinematics.apply(R.permute(2, 3, 1, 0), joints.permute(2, 1, 0), parents)
    return G[:, :3].permute(3, 2, 0, 1), G[:, 3].permute(2, 1, 0)


class _Kinematics(torch.autograd.Function):
    """G (3, 4, J, B) of R (3, 3, J, B) and joints (3, J, B or 1): bodies last, so that every operation runs along them.
    X_k = [R_k, j_k - j_parent(k); 0, 1] is a joint against its parent, and G_k = G_parent(k) X_k."""

    @staticmethod
    def forward(ctx, R: Tensor, joints: Tensor, parents: tuple[int, ...]) -> Tensor:
        tree, up = _plan(parents, R.device)
        X = R.new_zeros(4, 4, *R.shape[2:])
        X[:3, :3], X[:3, 3], X[3, 3] = R, joints, 1
        X[:3, 3, 1:] -= joints[:, up]
        G = X[:3].clone()
        for level, parent in tree:
            G[:, :, level] = (_at(G, parent)[:, :, None] * _at(X, level)).sum(1)
        ctx.save_for_backward(X, G)
        ctx.parents, ctx.one = parents, joints.shape[2] < R.shape[3]
        return G

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        X, G = ctx.saved_tensors
        tree, up = _plan(ctx.parents, X.device)
        g, g_X = grad.clone(memory_format=torch.contiguous_format), torch.empty_like(G)
        for level, parent in reversed(tree):
            Y = _at(g, level)
            g_X[:, :, level] = (_at(G, parent)[:, :3, None] * Y[:, None]).sum(0)
            from_level = (Y[:, None] * _at(X, level)).sum(2)
            if isinstance(parent, slice):
                g[:, :, parent] += from_level
            else:  # brothers add up
                g.index_add_(2, parent, from_level)
        g_X[:, :, 0] = g[:, :, 0]
        g_R, g_joints = g_X[:, :3], g_X[:, 3].sum(-1, keepdim=True) if ctx.one else g_X[:, 3].clone()
        return g_R, g_joints.index_add(1, up, g_joints[:, 1:], alpha=-1), None


def _at(x: Tensor, joints: Span) -> Tensor:
    return x[:, :, joints] if isinstance(joints, slice) else x.index_select(2, joints)


def from_rest(
    G: Float[Tensor, "B J 3 3"], t: Float[Tensor, "B J 3"], joints: Float[Tensor, "#B J 3"]
) -> Float[Tensor, "B J 3 4"]:
    """A_k: the transforms that carry points of the rest pose, as [R | t]."""
    return torch.cat([G, (t - (G * joints[..., None, :]).sum(-1))[..., None]], dim=-1)
