"""What a tailor measures: height, girths of chest, waist and hip, and the volume, of a body in its rest pose.

A girth is the length of a tape drawn tight around a horizontal slice, so the perimeter of the slice's convex hull. By
Cauchy's formula that is the support function summed over all directions, and so needs no hull:

    L = integral over phi of h(phi),    h(phi) = max over the slice's points p of p . (cos phi, sin phi)

The volume is a sum over faces of signed tetrahedra, |a b c| / 6. All of it can be differentiated.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genlab.models.body.joint_sets import JOINTS, PARENTS
from genlab.models.body.smpl import BODY, SMPL

# Where the tape lies: between the heights of two joints, and so much of the way from the first to the second. Chosen on
# the mean body of smpl-open: the chest where the breast is widest, the waist where the trunk is narrowest, the hip
# where it is widest.
TAPES = {"chest": ("spine3", "spine2", 0.1), "waist": ("spine1", "spine2", 0.85), "hip": ("left_hip", "spine1", -0.4)}
SHOULDERS = (JOINTS.index("left_shoulder"), JOINTS.index("right_shoulder"))
# Of a circle: with an ellipse of a waist's form the girth is then exact to a thousandth of a millimetre.
DIRECTIONS = 180


def measurements(body: SMPL, betas: Float[Tensor, "B n"]) -> dict[str, Tensor]:
    """height, chest, waist and hip (B,) in metres, volume in cubic metres. Raises ValueError for a body that does not
    begin with SMPL's joints: it has no hips by that name."""
    J = len(body.config.parents)
    if tuple(body.config.parents[:BODY]) != PARENTS[:BODY]:
        raise ValueError(f"the tape is laid by SMPL's joints, and the {J} of this body are others")
    betas = torch.as_tensor(betas, dtype=body.v_template.dtype, device=body.v_template.device)
    v, joints = body(betas, torch.zeros(1, J, 3).to(betas))
    faces = body.faces.long()
    a, b, c = (v[:, faces[:, k]] for k in range(3))
    found = {"height": v[..., 1].amax(1) - v[..., 1].amin(1)}
    edges = _torso_edges(body)
    for name, (one, two, share) in TAPES.items():
        start, end = (joints[:, JOINTS.index(joint), 1] for joint in (one, two))
        found[name] = girth(v, edges, start + share * (end - start))
    return found | {"volume": (a * torch.linalg.cross(b, c)).sum(-1).sum(1) / 6}


def girth(v: Float[Tensor, "B V 3"], edges: Int[Tensor, "E 2"], height: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """The perimeter of the convex hull of the points in which edges cross the plane y = height; 0 where none does."""
    phi = torch.arange(DIRECTIONS, device=v.device, dtype=v.dtype) * (2 * math.pi / DIRECTIONS)
    directions = torch.stack([phi.cos(), phi.sin()])
    out = []
    for points, y in zip(v, height, strict=True):
        above = points[:, 1] > y
        crossing = edges[above[edges[:, 0]] != above[edges[:, 1]]]
        p, q = points[crossing[:, 0]], points[crossing[:, 1]]
        share = (y - p[:, 1]) / (q[:, 1] - p[:, 1])
        slice_ = (p + share[:, None] * (q - p))[:, [0, 2]]
        h = (slice_ @ directions).amax(0) if len(crossing) else phi.new_zeros(DIRECTIONS)
        out.append(h.mean() * 2 * math.pi)
    return torch.stack(out)


def _torso_edges(body: SMPL) -> Int[Tensor, "E 2"]:
    """The edges of all triangles that follow the arms, with hands or fingers, by less than half."""
    arms = list(SHOULDERS)
    for joint, parent in enumerate(body.config.parents):
        if parent in arms:
            arms.append(joint)
    faces = body.faces.long()
    faces = faces[(body.weights[:, arms].float().sum(1) < 0.5)[faces].all(1)]
    return torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
