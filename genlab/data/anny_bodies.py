"""Adult bodies that anyone may use, from Anny: a body of CC0 MakeHuman data that age, sex, height, weight, muscle and
more deform. An artist's shapes, not scans; their heights and weights follow the WHO's tables.

    rig = load()                       topology, skinning weights and landmarks, on SMPL's 24 joints
    vertices, joints = rig.sample(n)   bodies in a T-pose, pelvis at the origin

Metres, y up, facing +z. The first load builds Anny's body, which takes two minutes and 2 GB of disk (ANNY_CACHE_DIR).
Brégier et al.: Human Mesh Modeling for Anny Body, 2025. https://arxiv.org/abs/2511.03589
"""

import re
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genlab.names import require
from genlab.ops.kinematics import forward_kinematics, from_rest
from genlab.ops.rotations import axis_angle_to_matrix
from genlab.ops.skinning import linear_blend_skinning

# Where each of SMPL's joints is: the mean of these bones' heads (a bone without side stands for both, or the middle).
HEADS = {
    "pelvis": "upperleg01.L upperleg01.R",
    "left_hip": "upperleg01.L",
    "right_hip": "upperleg01.R",
    "spine1": "spine04",
    "left_knee": "lowerleg01.L",
    "right_knee": "lowerleg01.R",
    "spine2": "spine03 spine02",
    "left_ankle": "foot.L",
    "right_ankle": "foot.R",
    "spine3": "spine01",
    "left_foot": "toe1-1.L toe2-1.L toe3-1.L toe4-1.L toe5-1.L",
    "right_foot": "toe1-1.R toe2-1.R toe3-1.R toe4-1.R toe5-1.R",
    "neck": "neck01",
    "left_collar": "clavicle.L",
    "right_collar": "clavicle.R",
    "head": "head",
    "left_shoulder": "upperarm01.L",
    "right_shoulder": "upperarm01.R",
    "left_elbow": "lowerarm01.L",
    "right_elbow": "lowerarm01.R",
    "left_wrist": "wrist.L",
    "right_wrist": "wrist.R",
    "left_hand": "finger2-1.L finger3-1.L finger4-1.L finger5-1.L",
    "right_hand": "finger2-1.R finger3-1.R finger4-1.R finger5-1.R",
}
JOINTS = tuple(HEADS)
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
# The first joint that a bone, or the nearest bone above it that is named here, moves with. Patterns over bone labels.
MOVES_WITH = {
    r"root|pelvis\.[LR]|spine05": "pelvis",
    r"upperleg01\.(.)": "hip",
    r"lowerleg01\.(.)": "knee",
    r"foot\.(.)": "ankle",
    r"toe\d-1\.(.)": "foot",
    r"spine04": "spine1",
    r"spine03": "spine2",
    r"spine01": "spine3",
    r"neck01": "neck",
    r"head": "head",
    r"clavicle\.(.)": "collar",
    r"upperarm01\.(.)": "shoulder",
    r"lowerarm01\.(.)": "elbow",
    r"wrist\.(.)": "wrist",
    r"finger[2-5]-1\.(.)": "hand",
}
INFLUENCES = 6  # joints that a vertex follows, at most
SUPPORT = 8  # vertices that carry a landmark


@dataclass
class Rig:
    """What all the bodies share. `landmarks` maps a name to its SUPPORT vertices and their weights."""

    faces: Int[Tensor, "F 3"]
    weights: Float[Tensor, "V 24"]
    landmarks: dict[str, tuple[Int[Tensor, " S"], Float[Tensor, " S"]]]
    anny: Any = field(repr=False)

    def sample(self, n: int, seed: int = 0, batch: int = 100) -> tuple[Float[Tensor, "n V 3"], Float[Tensor, "n 24 3"]]:
        """Vertices and joints of n adults, 18 to 80 years old, in a T-pose with the pelvis at the origin."""
        distribution = require("anny.shape_distribution", extra="body").SimpleShapeDistribution(
            self.anny, morphological_age_distribution=torch.distributions.Uniform(18.0, 80.0)
        )
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            _, people = distribution.sample(n)
            parts = []
            for some in torch.arange(n).split(batch):
                v, joints = rest(self.anny, {key: value[some].float() for key, value in people.items()})
                parts.append(t_pose(v, joints, self.weights))
        vertices, joints = (torch.cat(part) for part in zip(*parts, strict=True))
        return vertices - joints[:, :1], joints - joints[:, :1]


def load() -> Rig:
    """Raises GenlabError where anny is not installed."""
    anny = require("anny", extra="body")
    body = anny.Anny(topology="anny-noeyes-notongue", skinning_method="lbs", phenotypes="all").float()
    weights = _weights(body)
    middle = {key: torch.full((1,), 0.5) for key in body.phenotype_labels}
    vertices, _ = rest(body, middle)
    coco = anny.KeypointsRegressor.coco(body, labels=["nose", "left_ear", "right_ear"])
    landmarks = {name: _strongest(w) for name, w in zip(coco.labels, coco.regression_weights, strict=True)}
    heads = _y_up(
        body.get_rest_model(body.get_phenotype_blendshape_coefficients(**middle))["rest_bone_poses"][0, :, :3, 3]
    )
    for side, letter in (("left", "L"), ("right", "R")):  # the eyeballs are left out: the lids before them
        lids = (vertices[0] - heads[body.bone_labels.index(f"eye.{letter}")] - torch.tensor([0, 0, 0.015])).norm(dim=1)
        landmarks[f"{side}_eye"] = _even(lids.topk(SUPPORT, largest=False).indices)
    bones = body.dense_vertex_bone_weights
    for side, letter in (("left", "L"), ("right", "R")):
        for name, bone, way in (
            ("big_toe", f"toe1-2.{letter}", (0.0, 0.0, 1.0)),
            ("small_toe", f"toe5-3.{letter}", (0.0, 0.0, 1.0)),
            ("heel", f"foot.{letter}", (0.0, -0.5, -1.0)),
        ):
            far = vertices[0] @ torch.tensor(way) - 10 * (bones[:, body.bone_labels.index(bone)] < 0.5)
            landmarks[f"{side}_{name}"] = _even(far.topk(SUPPORT).indices)
    return Rig(body.get_triangular_faces(), weights, landmarks, body)


def rest(body, people: dict[str, Tensor]) -> tuple[Float[Tensor, "n V 3"], Float[Tensor, "n 24 3"]]:
    """Vertices and joints of such people as Anny has them: standing, arms half raised."""
    found = body.get_rest_model(body.get_phenotype_blendshape_coefficients(**people))
    heads = found["rest_bone_poses"][:, :, :3, 3]
    joints = [
        heads[:, [body.bone_labels.index(bone) for bone in bones.split()]].mean(dim=1) for bones in HEADS.values()
    ]
    return _y_up(found["rest_vertices"]), _y_up(torch.stack(joints, dim=1))


def t_pose(
    v: Float[Tensor, "n V 3"], joints: Float[Tensor, "n 24 3"], weights: Float[Tensor, "V 24"]
) -> tuple[Float[Tensor, "n V 3"], Float[Tensor, "n 24 3"]]:
    """Arms brought to the horizontal, straight to the side. A third of the shoulder's way is the collar bone's, as in
    a person, which spares the skin of the shoulder."""
    R = torch.eye(3).expand(len(v), 24, 3, 3).clone()
    for side, x in (("left", 1.0), ("right", -1.0)):
        collar, shoulder, elbow, wrist = (JOINTS.index(f"{side}_{j}") for j in ("collar", "shoulder", "elbow", "wrist"))
        ahead = torch.tensor([x, 0.0, 0.0]).expand(len(v), 3)
        upper, lower = joints[:, elbow] - joints[:, shoulder], joints[:, wrist] - joints[:, elbow]
        whole = _turn(upper, ahead)
        R[:, collar] = _turn(upper, ahead, share=0.25)
        R[:, shoulder] = R[:, collar].mT @ whole
        R[:, elbow] = whole.mT @ _turn(lower, ahead)
    G, t = forward_kinematics(R, joints, PARENTS)
    return linear_blend_skinning(v, from_rest(G, t, joints), weights), t


def _turn(a: Float[Tensor, "n 3"], b: Float[Tensor, "n 3"], share: float = 1.0) -> Float[Tensor, "n 3 3"]:
    """The smallest rotation from one direction to another, or a share of it."""
    a, b = (torch.nn.functional.normalize(x, dim=-1) for x in (a, b))
    axis = torch.linalg.cross(a, b)
    sine = axis.norm(dim=-1, keepdim=True)
    angle = torch.atan2(sine, (a * b).sum(-1, keepdim=True))
    return axis_angle_to_matrix(share * angle * axis / sine.clamp_min(1e-9))


def _weights(body) -> Float[Tensor, "V 24"]:
    """Anny's weights, summed over the bones that move with a joint; the INFLUENCES largest of each vertex."""
    bones = body.dense_vertex_bone_weights
    weights = torch.zeros(len(bones), 24)
    for bone in range(len(body.bone_labels)):
        weights[:, JOINTS.index(_joint_of(body, bone))] += bones[:, bone]
    kept = weights.topk(INFLUENCES, dim=1)
    weights = torch.zeros_like(weights).scatter(1, kept.indices, kept.values)
    return weights / weights.sum(dim=1, keepdim=True)


def _joint_of(body, bone: int) -> str:
    while bone >= 0:
        for pattern, joint in MOVES_WITH.items():
            if match := re.fullmatch(pattern, body.bone_labels[bone]):
                side = {"L": "left_", "R": "right_"}.get(match[1], "") if match.re.groups else ""
                return side + joint
        bone = int(body.bone_parents[bone])
    raise ValueError(f"bone {bone} hangs on no joint")


def _strongest(weights: Float[Tensor, " V"]) -> tuple[Int[Tensor, " S"], Float[Tensor, " S"]]:
    kept = weights.topk(SUPPORT)
    return kept.indices, kept.values / kept.values.sum()


def _even(vertices: Int[Tensor, " S"]) -> tuple[Int[Tensor, " S"], Float[Tensor, " S"]]:
    return vertices, torch.full((SUPPORT,), 1 / SUPPORT)


def _y_up(points: Float[Tensor, "... 3"]) -> Float[Tensor, "... 3"]:
    """From z up, facing -y."""
    x, y, z = points.unbind(-1)
    return torch.stack([x, z, -y], dim=-1)
