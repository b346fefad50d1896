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
    return [[joint for joint, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # whoever asks first: the tensors stay, and others want gradients through them
def _plan(parents: tuple[int, ...], device: torch.device) -> tuple[list[tuple[Tensor, Tensor]], Tensor, Tensor]:
    """For each level below the root its joints, and the rows of their parents in the level above; the parents; where
    each joint stands when the levels are put one after the other."""
    tree, rows = levels(parents), []
    for above, level in zip(tree, tree[1:], strict=False):
        rows.append((level, [above.index(parents[joint]) for joint in level]))
    order = [joint for level in tree for joint in level]
    place = [order.index(joint) for joint in range(len(parents))]
    up = [max(parent, 0) for parent in parents]
    found = [tuple(torch.tensor(part, device=device) for part in pair) for pair in rows]
    return found, torch.tensor(up, device=device), torch.tensor(place, device=device)


def forward_kinematics(
    R: Float[Tensor, "B J 3 3"], joints: Float[Tensor, "#B J 3"], parents: tuple[int, ...]
) -> tuple[Float[Tensor, "B J 3 3"], Float[Tensor, "B J 3"]]:
    """Rotation and place of each joint in the world: R of G_k, t of G_k.

    R: each joint's rotation against its parent. joints: their places in the rest pose, metres. All joints of one level
    go together, so the time grows with the depth of the tree. Raises ValueError for what is no tree.
    """
    plan, up, place = _plan(parents, joints.device)
    bones = joints - joints[:, up]
    turned, placed = [R[:, :1]], [joints[:, :1].expand(len(R), 1, 3)]  # of one level after the other
    for level, parent in plan:
        G = turned[-1][:, parent]
        placed.append(placed[-1][:, parent] + (G @ bones[:, level, :, None])[..., 0])
        turned.append(G @ R[:, level])
    return torch.cat(turned, dim=1)[:, place], torch.cat(placed, dim=1)[:, place]


def from_rest(
    G: Float[Tensor, "B J 3 3"], t: Float[Tensor, "B J 3"], joints: Float[Tensor, "#B J 3"]
) -> Float[Tensor, "B J 3 4"]:
    """A_k: the transforms that carry points of the rest pose, as [R | t]."""
    return torch.cat([G, (t - (G @ joints[..., None])[..., 0])[..., None]], dim=-1)
