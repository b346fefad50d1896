"""People in pictures, made for learning to fit them: captured poses on random bodies before random cameras, and what a
detector of joints would see, with its errors and gaps."""

import functools

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from genlab.data import mocap
from genlab.models.body import SMPL
from genlab.models.body.camera import seen
from genlab.models.body.fit import points_of
from genlab.models.body.joint_sets import JOINT_SETS, JOINTS, POINTS
from genlab.ops.rotations import axis_angle_to_matrix, matrix_to_axis_angle

Batch = dict[str, Tensor]
SWAPPED = [
    JOINTS.index(j.replace("left", "*").replace("right", "left").replace("*", "right")) for j in JOINTS
]  # each joint's mirror image
UPPER = [JOINTS.index(j) for j in JOINTS if not any(part in j for part in ("pelvis", "hip", "knee", "ankle", "foot"))]
ARMS = [
    [
        JOINTS.index(j)
        for j in JOINTS
        if j.startswith(side) and j.endswith(("collar", "shoulder", "elbow", "wrist", "hand"))
    ]
    for side in ("left", "right")
]
MIXED = ((UPPER, 0.3), *((arm, 0.15) for arm in ARMS))  # what a pose takes from another one, and how often
LEGS = [i for i, name in enumerate(POINTS) if any(p in name for p in ("knee", "ankle", "foot", "toe", "heel"))]
# Which points a detector gives: most often our joints, which is what the app's figure has; then the known sets.
SETS = {"smpl": 0.4, "coco": 0.2, "openpose18": 0.1, "openpose25": 0.2, "all": 0.1}


@functools.cache
def body() -> SMPL:
    return SMPL.from_pretrained("smpl-open")


def rest_joints() -> Float[Tensor, "24 3"]:
    return body().J_regressor @ body().v_template


def splits() -> dict[str, Batch]:
    """Poses to learn from, and people held out, already photographed."""
    clips = mocap.training()
    train = mocap.poses(clips["train"], use="training", every=2, apart=0.07, rest=rest_joints())
    valid = mocap.poses(clips["valid"], use="measuring", rest=rest_joints())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        valid = photographed({"pose": valid[:1_000]}, mixed=False)
    return {"train": {"pose": train}, "valid": valid}


def photographed(batch: Batch, mixed: bool = True, noise: float | None = None, missing: float | None = None) -> Batch:
    """Poses (B, 24, 3) as batches of `LearnedGradientDescent.loss`.

    mixed: half of the poses mirrored, some with the upper body or an arm of another, all a little disturbed. noise:
    standard deviation of the keypoints in shares of their box, else random up to 3 %, more often little than much,
    since the less there is the more can be got right. missing: share of the joints that are not seen, else random: for
    three bodies in five up to 60 %; legs, as if hidden by a table, for one in ten.
    """
    pose = batch["pose"]
    B, like = len(pose), pose
    if mixed:
        pose = torch.where(chance(like, 0.5)[:, :, None], mirrored(pose), pose)
        for part, share in MIXED:
            other = pose[torch.randperm(B, device=pose.device)]
            taken = torch.isin(torch.arange(24), torch.tensor(part)).to(pose.device)
            pose = torch.where(chance(like, share)[:, :, None] & taken[None, :, None], other, pose)
        pose = pose + 0.05 * torch.randn_like(pose)
    pose = turned(pose)
    betas = torch.randn(B, 10).to(like).clamp(-3, 3)
    depth = torch.exp(uniform(like, 0.6, 2.2))  # 1.8 to 9 m
    place = torch.cat([uniform(like, -0.3, 0.3) * depth, uniform(like, -0.25, 0.25) * depth, -depth], dim=1)
    points = points_of(body().to(like.device), betas, pose, place)
    where = seen(points)
    size = (where.amax(dim=1) - where.amin(dim=1)).amax(dim=1)[:, None, None]
    sd = 0.03 * uniform(like, 0, 1) ** 2 if noise is None else torch.full((B, 1), noise).to(like)
    where = where + sd[:, :, None] * size * torch.randn_like(where)
    there = visible(like, missing)
    return {
        "pose": pose,
        "betas": betas,
        "transl": place,
        "where": where * there[..., None],
        "confidence": there.to(like),
    }


def mirrored(pose: Float[Tensor, "B 24 3"]) -> Float[Tensor, "B 24 3"]:
    """Left and right exchanged: a reflection at x = 0 keeps a rotation's x and turns y and z round."""
    return pose[:, SWAPPED] * torch.tensor([1.0, -1.0, -1.0]).to(pose)


def turned(pose: Float[Tensor, "B 24 3"]) -> Float[Tensor, "B 24 3"]:
    """The body facing anywhere, the camera looking a little up or down, and not quite level."""
    yaw, pitch, roll = uniform(pose, -torch.pi, torch.pi), *(0.2 * torch.randn(2, len(pose), 1).to(pose))
    zero = torch.zeros_like(yaw)
    R = axis_angle_to_matrix(torch.cat([zero, yaw, zero], dim=1)) @ axis_angle_to_matrix(pose[:, 0])
    R = axis_angle_to_matrix(torch.cat([pitch, zero, roll / 4], dim=1)) @ R
    return torch.cat([matrix_to_axis_angle(R)[:, None], pose[:, 1:]], dim=1)


def visible(like: Tensor, missing: float | None) -> Bool[Tensor, "B P"]:
    """Which points are given, and seen; never fewer than six."""
    B = len(like)
    if missing is not None:
        sets = torch.zeros(1, dtype=torch.long).expand(B)
    else:
        sets = torch.multinomial(torch.tensor(list(SETS.values())), B, replacement=True)
    given = torch.stack([torch.tensor([name in JOINT_SETS.get(one, POINTS) for name in POINTS]) for one in SETS])[
        sets
    ].to(like.device)
    if missing is None:
        rate = uniform(like, 0, 0.6) * chance(like, 0.6)
        hidden = chance(like, 0.1) & torch.isin(torch.arange(len(POINTS)), torch.tensor(LEGS)).to(like.device)[None]
    else:
        rate, hidden = torch.full((B, 1), missing).to(like), torch.zeros(B, 1, dtype=torch.bool, device=like.device)
    # of those given, the share `rate` with the lowest lots: exactly so many, not only on average
    lot = torch.rand(B, len(POINTS)).to(like).masked_fill(~given, 2.0)
    rank = lot.argsort(dim=1).argsort(dim=1)
    count = given.sum(dim=1, keepdim=True)
    dropped = rank < (rate * count).round().minimum(count - 6)
    seen_ = given & ~dropped & ~hidden
    few = seen_.sum(dim=1, keepdim=True) < 6
    return torch.where(few, given, seen_)


def uniform(like: Tensor, low: float, high: float) -> Float[Tensor, "B 1"]:
    return low + (high - low) * torch.rand(len(like), 1).to(like)


def chance(like: Tensor, p: float) -> Bool[Tensor, "B 1"]:
    return (torch.rand(len(like), 1) < p).to(like.device)
