"""SMPL's pose blend shapes: what each joint's rotation adds to the skin at rest so that, skinned, it looks like flesh.

    v = B_v (T_v + sum_k (R_k - I) P_vk) + t_v,    minimise  sum_m w_mv |v - target|^2 + sum_k doubt_vk |P_vk|^2

B_v and t_v are the vertex's mean transform, as skinning blends it. Where each vertex listens to a few joints near it
the shapes are small and can be read: those are chosen one by one, by how much of the residual each explains. Doubt
grows with the distance: hips and spine bend together in most poses, but a hip that turns alone must not move the ribs.
w_mv is first 1, then more in those people and poses in which the shapes made this vertex worse, and the shapes are
fitted again.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from genlab.ops.kinematics import forward_kinematics, from_rest
from genlab.ops.rotations import axis_angle_to_matrix
from genlab.ops.skinning import linear_blend_skinning
from genlab.recipes import _elastic

RIDGE = 0.0005  # mean square of R - I, entry by entry, below which what a joint nearby seems to do is not believed
NEAR = 0.25  # metres from a joint to a vertex; beyond, doubt grows with the eighth power
SWEEPS = 8  # of the descent below: more change nothing
SOUND = 2.5  # radians; where one joint turns further than this the capture is at fault
AGAIN = 3  # fits after the first
WORSE = 6.0  # mm: where a vertex is so much further off than by plain skinning, it counts twice in the next fit


Samples = tuple[Tensor, Tensor, Tensor, Tensor]  # rest (M, V, 3), R (M, J, 3, 3), joints (M, J, 3), targets (M, V, 3)


def bending_joints(
    samples: Samples,
    weights: Float[Tensor, "V J"],
    parents: tuple[int, ...],
    bending: int = 4,
    ridge: float = RIDGE,
) -> Int[Tensor, "V K"]:
    """Which joints bend each vertex, 0 for joint 1: the root bends none. Chosen one by one: the next is the one with
    which z^T C^-1 z, over the joints so far, is largest."""
    f = _turns(samples[1])
    Gram, Z, doubt, allowed = f.T @ f, _explained(samples, weights, parents), *_doubt(samples, weights, parents, ridge)
    nine = torch.arange(9)
    bends = torch.zeros(len(allowed), 0, dtype=torch.long)
    for _ in range(bending):
        score = (allowed.to(Z) - 1).scatter(1, bends, -2.0)  # those far away only where no other is left
        for joint in range(allowed.shape[1]):
            rows = (score[:, joint] == 0).nonzero()[:, 0]
            among = torch.cat([bends[rows], torch.full((len(rows), 1), joint)], dim=1)
            index = (9 * among[..., None] + nine).flatten(1)
            own = doubt[rows].gather(1, among).repeat_interleave(9, dim=1)
            z = Z[index, rows[:, None]]  # (v, 9 (k + 1), 3)
            C = Gram[index[:, :, None], index[:, None, :]] + torch.diag_embed(own)
            score[rows, joint] = (z * torch.linalg.solve(C, z)).sum((1, 2))
        bends = torch.cat([bends, score.argmax(dim=1, keepdim=True)], dim=1)
    return bends.to(torch.uint8)


def pose_blend_shapes(
    samples: Samples,
    weights: Float[Tensor, "V J"],
    parents: tuple[int, ...],
    bends: Int[Tensor, "V K"],
    ridge: float = RIDGE,
    counts: Float[Tensor, "M V"] | None = None,
) -> Float[Tensor, "V 3 K 9"]:
    """P. counts: w, whose mean over the samples is 1.

    B_v weighs the residual r of each sample otherwise. As no singular value of a mean of rotations is above 1, C_v
    bounds the vertex's own Hessian, and these steps descend:

        P_v <- P_v + C_v^-1 (sum w f B_v^T r - doubt_v P_v),  C_v = sum w f f^T + doubt_v,  f = R - I,  r = target - v
    """
    f = _turns(samples[1])
    index = (9 * bends.long()[..., None] + torch.arange(9)).flatten(1)  # (V, 9 K)
    own = _doubt(samples, weights, parents, ridge)[0].gather(1, bends.long()).repeat_interleave(9, dim=1)
    C = torch.diag_embed(own)
    for some in torch.arange(len(C)).split(64):
        its = f[:, index[some]].transpose(0, 1)  # (v, M, 9 K)
        C[some] += (its if counts is None else its * counts[:, some].T[..., None]).transpose(1, 2) @ its
    factor = torch.linalg.cholesky(C)
    P, place = f.new_zeros(f.shape[1], len(weights), 3), index.T[..., None].expand(-1, -1, 3)
    for _ in range(SWEEPS):
        slope = _explained(samples, weights, parents, P, counts).gather(0, place)
        slope -= own.T[..., None] * P.gather(0, place)
        P.scatter_add_(0, place, torch.cholesky_solve(slope.transpose(0, 1), factor).transpose(0, 1))
    return P.gather(0, place).permute(1, 2, 0).unflatten(2, (-1, 9))


def _explained(
    samples: Samples,
    weights: Float[Tensor, "V J"],
    parents: tuple[int, ...],
    P: Float[Tensor, "F V 3"] | None = None,
    counts: Float[Tensor, "M V"] | None = None,
) -> Float[Tensor, "F V 3"]:
    """sum w f B^T r, a few samples after the other."""
    rest, R, joints, targets = samples
    f, A = _turns(R), from_rest(*forward_kinematics(R, joints, parents), joints)
    total = f.new_zeros(f.shape[1], 3 * len(weights))
    for some in torch.arange(len(f)).split(8):
        v = rest[some] if P is None else rest[some] + (f[some] @ P.flatten(1)).unflatten(1, (-1, 3))
        r = targets[some] - linear_blend_skinning(v, A[some], weights)
        B = torch.einsum("vj,bjrc->bvrc", weights, A[some, ..., :3])
        r = r if counts is None else counts[some, :, None] * r
        total += f[some].T @ torch.einsum("bvrc,bvr->bvc", B, r).flatten(1)
    return total.unflatten(1, (-1, 3))


def _doubt(
    samples: Samples, weights: Float[Tensor, "V J"], parents: tuple[int, ...], ridge: float
) -> tuple[Float[Tensor, "V N"], Bool[Tensor, "V N"]]:
    """doubt_vk for all joints below the root, and which of them a vertex may listen to."""
    rest, _, joints, _ = samples
    allowed = nearby(weights, parents)
    doubt = 1 + ((rest.mean(0)[:, None] - joints.mean(0)[1:]).norm(dim=-1) / NEAR) ** 8
    return len(rest) * torch.where(allowed, ridge * doubt, 1e6), allowed


def _turns(R: Float[Tensor, "M J 3 3"]) -> Float[Tensor, "M F"]:
    """f: R_k - I of all joints but the root, F = 9 (J - 1)."""
    return (R[:, 1:] - torch.eye(3).to(R)).flatten(1)


def nearby(weights: Float[Tensor, "V J"], parents: tuple[int, ...]) -> Bool[Tensor, "V N"]:
    """The joints below the root that skin a vertex, or are a step or two along the tree from such a one: with one step
    alone the chest does not hear the shoulder, and a crease shows where hearing ends."""
    steps = torch.eye(len(parents))
    for joint, parent in enumerate(parents):
        if parent >= 0:
            steps[joint, parent] = steps[parent, joint] = 1
    return ((weights > 0.01).float() @ steps @ steps > 0)[:, 1:]


def blended(
    rest: Float[Tensor, "M V 3"],
    R: Float[Tensor, "M J 3 3"],
    joints: Float[Tensor, "M J 3"],
    weights: Float[Tensor, "V J"],
    parents: tuple[int, ...],
    posedirs: Float[Tensor, "V 3 K 9"] | None = None,
    bends: Int[Tensor, "V K"] | None = None,
) -> Float[Tensor, "M V 3"]:
    """v, or without posedirs plain skinning."""
    if posedirs is not None:
        f = _turns(R).unflatten(1, (-1, 9))
        rest = rest.clone()
        for k, joint in enumerate(bends.long().T):
            rest += torch.einsum("mvi,vci->mvc", f[:, joint], posedirs[:, :, k].to(f))
    return linear_blend_skinning(rest, from_rest(*forward_kinematics(R, joints, parents), joints), weights)


# -- from bodies and poses to the shapes, and how good they are --------------------------------------------------------


def learn(
    vertices: Float[Tensor, "n V 3"],
    joints: Float[Tensor, "n J 3"],
    weights: Float[Tensor, "V J"],
    parents: tuple[int, ...],
    poses: Float[Tensor, "N J 3"],
    *,
    poses_each: int = 12,
    bending: int = 4,
    fleshes: Sequence[_elastic.Flesh],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Float[Tensor, "V 3 K 9"], Int[Tensor, "V K"]]:
    """Pose blend shapes from bodies, each in some poses of its own (axis-angle), and bent in the next of some solids,
    so that no fold of one of them is learned; a second or so for each pose."""
    poses = poses[poses[:, 1:].norm(dim=-1).amax(dim=1) < SOUND]
    if not (len(vertices) and len(poses) and poses_each and fleshes):
        raise ValueError(
            "pose blend shapes are learned from bodies, sound poses of them and solids: one or more of each"
        )
    pairs = [(body, (body * poses_each + k) % len(poses)) for body in range(len(vertices)) for k in range(poses_each)]
    samples = with_mirror(solve(vertices, joints, weights, parents, poses, pairs, fleshes, progress), weights)
    bends = bending_joints(samples, weights, parents, bending)
    P, counts = pose_blend_shapes(samples, weights, parents, bends), torch.ones(samples[0].shape[:2])
    for _ in range(AGAIN):
        counts *= 1 + (excess(samples, weights, parents, P, bends) / WORSE).clamp(min=0) ** 2
        counts /= counts.mean(dim=0)
        P = pose_blend_shapes(samples, weights, parents, bends, counts=counts)
    return P, bends


def excess(
    samples: Samples,
    weights: Float[Tensor, "V J"],
    parents: tuple[int, ...],
    posedirs: Float[Tensor, "V 3 K 9"],
    bends: Int[Tensor, "V K"],
) -> Float[Tensor, "M V"]:
    """How much further each vertex is from the flesh than by plain skinning, mm."""
    further = []
    for *some, target in zip(*(part.split(16) for part in samples), strict=True):
        bent, plain = (blended(*some, weights, parents, *how) for how in ((posedirs, bends), ()))
        further.append((bent - target).norm(dim=-1) - (plain - target).norm(dim=-1))
    return 1000 * torch.cat(further)


def apart(betas: Float[Tensor, "n B"], count: int) -> list[int]:
    """So many of some bodies, far from each other: the first is the most usual, each next the one whose nearest so far
    is furthest."""
    chosen = [int(betas.norm(dim=1).argmin())]
    while len(chosen) < min(count, len(betas)):
        chosen.append(int(torch.cdist(betas, betas[chosen]).amin(dim=1).argmax()))
    return chosen


def solve(vertices, joints, weights, parents, poses, pairs, fleshes, progress=None) -> Samples:
    """Where the flesh goes, for pairs (body, pose) of which those of one body follow each other; each body is bent in
    one of the solids, turn by turn."""
    body, pose = torch.tensor(pairs).T
    rest, joints, R = vertices[body], joints[body], axis_angle_to_matrix(poses[pose])
    A = from_rest(*forward_kinematics(R, joints, parents), joints)
    targets = torch.empty_like(rest)
    for i in range(len(pairs)):
        if i == 0 or body[i] != body[i - 1]:
            flesh = fleshes[int(body[i]) % len(fleshes)]
            own = flesh.of(rest[i], joints[i])  # takes as long as a pose
        targets[i] = own.posed(A[i])
        if progress:
            progress(i + 1, len(pairs))
    return rest, R, joints, targets


def with_mirror(samples: Samples, weights: Float[Tensor, "V J"]) -> Samples:
    """The samples and beside each its mirror image, so that both sides learn alike; the samples alone where the mean
    body, its skeleton and weights with it, is not its own mirror image."""
    rest, R, joints, targets = samples
    flip = torch.tensor([-1.0, 1.0, 1.0]).to(rest)
    (v, far), (j, _) = (_nearest(x.mean(0) * flip, x.mean(0)) for x in (rest, joints))
    if far > 0.005 or not torch.allclose(weights[v][:, j], weights, atol=0.01):
        return samples
    mirrored = (rest * flip)[:, v], flip[:, None] * R[:, j] * flip, (joints * flip)[:, j], (targets * flip)[:, v]
    return tuple(torch.cat(pair) for pair in zip(samples, mirrored, strict=True))


def compare(
    samples: Samples,
    faces: Int[Tensor, "F 3"],
    weights: Float[Tensor, "V J"],
    parents: tuple[int, ...],
    posedirs: Float[Tensor, "V 3 K 9"],
    bends: Int[Tensor, "V K"],
) -> dict[str, float]:
    """Volume against the rest pose, %, and distance of vertices from the flesh, mm, by plain skinning and with the
    shapes. Excess: how much further a vertex is from the flesh than by plain skinning, at worst."""
    rest, R, joints, targets = samples
    plain = blended(rest, R, joints, weights, parents)
    bent = blended(rest, R, joints, weights, parents, posedirs, bends)
    volume = volumes(rest, faces)
    change = [100 * (volumes(x, faces) / volume - 1) for x in (plain, targets, bent)]
    off = [1000 * (x - targets).norm(dim=-1) for x in (plain, bent)]
    rms = [float(x.square().mean().sqrt()) for x in off]
    return {
        "volume_skinning_percent": float(change[0].mean()),
        "volume_flesh_percent": float(change[1].mean()),
        "volume_percent": float(change[2].mean()),
        "volume_abs_percent": float(change[2].abs().mean()),
        "volume_worst_percent": float(change[2][change[2].abs().argmax()]),
        "residual_skinning_mm": rms[0],
        "residual_mm": rms[1],
        "residual_less_percent": 100 * (1 - rms[1] / rms[0]),
        "residual_mean_less_percent": 100 * (1 - float(off[1].mean() / off[0].mean())),
        "excess_worst_mm": float((off[1] - off[0]).max()),
    }


def volumes(v: Float[Tensor, "M V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, " M"]:
    return torch.tensor([_elastic.volume(body.double().numpy(), faces.numpy()) for body in v])


def _nearest(points: Float[Tensor, "P 3"], among: Float[Tensor, "P 3"]) -> tuple[Int[Tensor, " P"], float]:
    """The nearest of some points to each, and how far the furthest of these is."""
    near = [
        torch.cdist(some, among, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1) for some in points.split(256)
    ]
    return torch.cat([found.indices for found in near]), float(torch.cat([found.values for found in near]).max())
