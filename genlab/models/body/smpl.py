"""SMPL: a body from a few numbers of shape and a rotation for each joint, by two linear maps and skinning."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from genlab.core import Law, Model
from genlab.models.body import files
from genlab.models.body.joint_sets import JOINTS, PARENTS, joint_set
from genlab.names import GenlabError, LoadError
from genlab.ops.kinematics import forward_kinematics, from_rest, levels
from genlab.ops.rotations import axis_angle_to_matrix, rotation_6d_to_matrix
from genlab.ops.skinning import linear_blend_skinning

LAW = Law(
    latex=r"""\begin{aligned}
M(\beta, \theta) &= W\bigl(T(\beta, \theta),\ J(\beta),\ \theta,\ \mathcal{W}\bigr) \\
T(\beta, \theta) &= \bar T + \sum_{n} \beta_n S_n + \sum_{k > 0} \bigl(R_k(\theta) - R_k(\theta^*)\bigr) P_k, \qquad
J(\beta) = \mathcal{J}\,\bigl(\bar T + \sum_{n} \beta_n S_n\bigr)
\end{aligned}""",
    symbols={
        "M": "the body: its vertices, metres, for a shape and a pose",
        r"\beta": "the shape: weights of the shape directions, in standard deviations",
        r"\theta": "the pose: each joint's rotation against its parent; \\( \\theta^* \\) is the rest pose, a T",
        r"\bar T": "the template: the mean body's vertices, metres",
        "S_n": "shape direction n: where one standard deviation of it moves each vertex",
        r"R_k(\theta)": "joint k's rotation against its parent, as a matrix",
        "P_k": "pose blend shapes of joint k: what its rotation's nine numbers add; the root has none",
        r"J(\beta)": "where the joints of this shape are",
        r"\mathcal{J}": "the joint regressor: each joint as a weighted sum of vertices, the weights summing to one",
        r"\mathcal{W}": "the skinning weights: how much each vertex follows each joint",
        "W": "linear-blend skinning: every vertex follows the weighted mean of its joints' transforms",
    },
    paper="Loper, Mahmood, Romero, Pons-Moll, Black: SMPL: A Skinned Multi-Person Linear Model",
    year=2015,
    url="https://doi.org/10.1145/2816795.2818013",
    code="SMPL.forward",
)


BODY = 22  # the first joints of SMPL's tree, which SMPL-H has too, before it grows fingers
SKEW = 0.01  # how far R R^T of a rotation may be from 1, in full precision


@dataclass(frozen=True)
class SMPLConfig:
    """bending: how many joints' rotations bend each vertex beyond skinning; in the published files all but the root.
    landmarks: points on the skin with a name, each a weighted mean of `support` vertices."""

    vertices: int = 6_890
    faces: int = 13_776
    betas: int = 10
    parents: tuple[int, ...] = PARENTS
    bending: int = len(PARENTS) - 1
    landmarks: tuple[str, ...] = ()
    support: int = 8

    def __post_init__(self):
        if len(self.parents) > files.MAX_JOINTS:
            raise ValueError(f"a body has at most {files.MAX_JOINTS} joints, not {len(self.parents)}")
        levels(self.parents)  # raises ValueError for what is no tree
        if min(self.vertices, self.faces, self.betas, self.support) < 1 or len(self.parents) < 2:
            raise ValueError("a body has vertices, faces, betas and two joints or more, a landmark has support")
        if not 0 <= self.bending < len(self.parents):
            raise ValueError(
                f"bending is at most the {len(self.parents) - 1} joints below the root, not {self.bending}"
            )
        if len(set(self.landmarks)) != len(self.landmarks):
            raise ValueError("two landmarks have one name")


class BodyOutput(NamedTuple):
    """Metres, y up; at rest the body faces +z and its left hand is towards +x."""

    vertices: Float[Tensor, "B V 3"]
    joints: Float[Tensor, "B J 3"]


class SMPL(Model):
    """A body: `body(betas, pose, transl) -> BodyOutput(vertices, joints)`.

    betas: (B, n) for any n up to the config's, missing ones are 0. pose: each joint's rotation against its parent, as
    axis-angle in radians (B, J, 3) or (B, 3 J), matrices (B, J, 3, 3) or 6D (B, J, 6), a matrix's first two rows.
    transl: (B, 3), metres. One shape goes with a batch of poses, and the other way round. Raises ValueError for all
    else, NaN and infinity too, and for matrices and 6D that are no rotations unless they are being learned.
    """

    config: SMPLConfig

    def __init__(self, config: SMPLConfig = SMPLConfig()):
        super().__init__(config)
        V, J, B, K = config.vertices, len(config.parents), config.betas, config.bending
        self.register_buffer("v_template", torch.zeros(V, 3))
        self.register_buffer("shapedirs", torch.zeros(V, 3, B))
        self.register_buffer("posedirs", torch.zeros(V, 3, K, 9))
        self.register_buffer("J_regressor", torch.zeros(J, V))
        self.register_buffer("weights", torch.zeros(V, J))
        self.register_buffer("faces", torch.zeros(config.faces, 3, dtype=torch.int32))
        if K < J - 1:  # which joints bend each vertex
            self.register_buffer("bends", torch.zeros(V, K, dtype=torch.uint8))
        if config.landmarks:
            L, S = len(config.landmarks), config.support
            self.register_buffer("landmark_vertices", torch.zeros(L, S, dtype=torch.int32))
            self.register_buffer("landmark_weights", torch.zeros(L, S))
        self._prepared: tuple[Any, _Basis, Any] | None = None

    # -- the law -----------------------------------------------------------------------------------------------------

    def forward(
        self,
        betas: Float[Tensor, "..."],
        pose: Float[Tensor, "..."],
        transl: Float[Tensor, "..."] | None = None,
        *,
        shape_blend: bool = True,
        pose_blend: bool = True,
        skinning: bool = True,
    ) -> BodyOutput:
        """Template and shape directions, the pose blend, then skinning; each but the template can be left out."""
        beta, R, transl = self._checked(betas, pose, transl, rigid=True)
        basis = self._basis()
        beta = beta if shape_blend else torch.zeros_like(beta)
        blend, J = beta, basis.joints(beta)
        if pose_blend:
            turned = R[:, 1:] - torch.eye(3, dtype=R.dtype, device=R.device)  # R(theta) - R(theta*)
            blend = torch.cat([beta.expand(len(R), -1), turned.flatten(1)], dim=1)
        T = torch.addmm(basis.template, blend, basis.directions[: blend.shape[1]])  # all x, then all y, then all z
        G, t = forward_kinematics(R, J, self.config.parents)
        v = T.unflatten(1, (3, -1)).transpose(1, 2).expand(len(R), -1, -1)  # (B, V, 3), and padding
        if skinning:
            v = linear_blend_skinning(v, from_rest(G, t, J), basis.weights)
        else:
            t = J.expand(len(R), -1, -1)
        v = v[:, : self.config.vertices]
        return BodyOutput(v, t) if transl is None else BodyOutput(v + transl[:, None], t + transl[:, None])

    def keypoints(
        self,
        betas: Float[Tensor, "..."],
        pose: Float[Tensor, "..."],
        transl: Float[Tensor, "..."] | None = None,
        joints: str | Sequence[str] = "smpl",
    ) -> Float[Tensor, "B K 3"]:
        """Joints, and landmarks skinned with them, without any vertex: template and shape directions are regressed
        once, so a batch of poses costs the joints' kinematics alone. Landmarks leave the pose blend out.

        joints: 'smpl' (the body's own, all of them), 'coco', 'openpose18', 'openpose25', or names of joints and
        landmarks. Raises GenlabError for what this body lacks.
        """
        beta, R, transl = self._checked(betas, pose, transl)
        basis = self._basis()
        J = basis.joints(beta)
        G, points = forward_kinematics(R, J, self.config.parents)
        if joints != "smpl":
            select = _selection(joint_set(joints), self.config.parents, self.config.landmarks, R.dtype, R.device)
            if select.shape[1] > points.shape[1]:
                points = torch.cat([points, basis.landmarks(beta, from_rest(G, points, J))], dim=1)
            points = select @ points
        return points if transl is None else points + transl[:, None]

    # -- what the law is computed with -------------------------------------------------------------------------------

    def _basis(self) -> "_Basis":
        """The buffers as the law needs them: regrouped once, and again when they change."""
        buffers = [b for name, b in self._buffers.items() if name != "faces"]
        key = [(b.data_ptr(), 0 if b.is_inference() else b._version) for b in buffers]
        if self._prepared is None or self._prepared[0] != key:
            with torch.no_grad(), torch.inference_mode(False):
                self._prepared = (key, _Basis(self), buffers)  # kept, so that no others can come to lie where they do
        return self._prepared[1]

    def __getstate__(self):
        return {**self.__dict__, "_prepared": None}

    def _checked(self, betas, pose, transl, *, rigid: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """betas (b, n), rotations (B, J, 3, 3), transl (B, 3), with b = B or one of them 1 -> (B).

        rigid: matrices are looked at. It costs nothing beside a mesh, but as much as the joints alone, which fitters
        ask for thousands of times, with rotations of their own making."""
        c, J, like = self.config, len(self.config.parents), self.v_template
        betas, pose = (torch.as_tensor(x, device=like.device, dtype=like.dtype) for x in (betas, pose))
        if betas.ndim != 2 or betas.shape[1] > c.betas:
            raise ValueError(f"betas are (B, n), n at most {c.betas}, not {tuple(betas.shape)}")
        if betas.shape[1] < c.betas:
            betas = F.pad(betas, (0, c.betas - betas.shape[1]))
        match tuple(pose.shape[1:]):
            case (n,) if n == 3 * J:
                R = _rotations(pose.unflatten(1, (J, 3)))
            case (n, 3) if n == J:
                R = _rotations(pose)
            case (n, 6) if n == J:
                R = rotation_6d_to_matrix(pose)
            case (n, 3, 3) if n == J:
                R = pose
            case _:
                raise ValueError(
                    f"pose is (B, {J}, 3) or (B, {3 * J}) axis-angle, (B, {J}, 6) or (B, {J}, 3, 3), "
                    f"not {tuple(pose.shape)}"
                )
        given = {"betas": betas, "pose": R}
        if transl is not None:
            given["transl"] = transl = torch.as_tensor(transl).to(like)
            if transl.ndim != 2 or transl.shape[1] != 3:
                raise ValueError(f"transl is (B, 3), not {tuple(transl.shape)}")
        sizes = {name: len(x) for name, x in given.items()}
        B = max(sizes.values())
        if not {*sizes.values()} <= {1, B} or 0 in sizes.values():
            told = ", ".join(f"{name} of {n}" for name, n in sizes.items())
            raise ValueError(f"{told} bodies: of as many each, at least one, or of one for all")
        if sum((0 * x.detach()).sum() for x in given.values()).item() != 0:  # 0 * NaN and 0 * infinity are NaN
            wrong = [name for name, x in given.items() if not x.isfinite().all()]
            raise ValueError(f"{' and '.join(wrong)} holds NaN or infinity")
        may_fail = pose.shape[1:] in ((J, 6), (J, 3, 3))  # an axis-angle is a rotation always
        if rigid and may_fail and not R.requires_grad:  # while they are learned they may be on their way
            _check_rotations(R)
        return betas, R.expand(B, -1, -1, -1), transl

    # -- other tools' files ------------------------------------------------------------------------------------------

    @classmethod
    def from_file(cls, path: str | Path) -> "SMPL":
        """A published body: `.npz` or `.pkl` of SMPL, SMPL-H or MANO. Nothing in the file is executed, and with
        `save_pretrained` it is safetensors from then on. Raises LoadError."""
        found = files.read(path)
        V, J = found["weights"].shape
        parents, B = tuple(found["parents"].tolist()), found["shapedirs"].shape[2]
        if J < 2:
            raise LoadError(f"{path} is a body of one joint, which has no pose: give one of SMPL's kind")
        config = SMPLConfig(V, len(found["faces"]), B, parents, bending=J - 1)
        body = cls(config)
        tensors = {key: torch.from_numpy(np.asarray(found[key], np.float32)) for key in files.ALIKE}
        tensors["posedirs"] = tensors["posedirs"].unflatten(2, (J - 1, 9))
        tensors["faces"] = torch.from_numpy(found["faces"].astype(np.int32))
        body.load_state_dict(tensors, strict=True, assign=True)
        return body.eval()

    def save_npz(self, path: str | Path) -> None:
        """The `.npz` that other tools read: the keys and shapes of the published files. Landmarks stay behind. Raises
        GenlabError."""
        arrays = {key: getattr(self, key).detach().cpu().float().numpy() for key in files.ALIKE if key != "posedirs"}
        arrays["posedirs"] = self.dense_posedirs().cpu().float().numpy()
        arrays |= {"parents": np.array(self.config.parents), "faces": self.faces.cpu().numpy()}
        files.write(path, arrays)

    def dense_posedirs(self) -> Float[Tensor, "V 3 P"]:
        """The pose blend shapes of all joints, P = 9 (J - 1), zero where a joint does not bend a vertex."""
        V, K, J = self.config.vertices, self.config.bending, len(self.config.parents)
        own = self.posedirs.to(self.v_template.dtype)
        if K == J - 1:
            return own.flatten(2)
        dense = own.new_zeros(V, 3, J - 1, 9)
        place = self.bends.long()[:, None, :, None].expand_as(own)
        return dense.scatter_add_(2, place, own).flatten(2)


class _Basis:
    """The linear maps of a body, coordinates apart and directions as rows, so that each is one matrix product. Points
    of no weight fill up the rows to whole cache lines: products with such rows take two thirds of the time."""

    def __init__(self, body: SMPL):
        dtype = body.v_template.dtype
        for name, most in (("bends", len(body.config.parents) - 2), ("landmark_vertices", body.config.vertices - 1)):
            numbers = getattr(body, name, None)
            if numbers is not None and numbers.numel() and not 0 <= numbers.min() <= numbers.max() <= most:
                raise GenlabError(
                    f"{name} of this body lie outside 0 to {most}: its weights are broken, fetch them again"
                )
        broken = [key for key, b in body.named_buffers() if b.is_floating_point() and not b.isfinite().all()]
        if broken:
            raise GenlabError(
                f"{broken[0]} of this body holds NaN or infinity: its weights are broken, fetch them again"
            )
        shape = body.shapedirs.to(dtype).permute(2, 1, 0)  # (n, 3, V)
        pose = body.dense_posedirs().permute(2, 1, 0)
        pad = (0, -body.config.vertices % 16)
        self.template = F.pad(body.v_template.t(), pad).reshape(1, -1)
        self.directions = F.pad(torch.cat([shape, pose]), pad).flatten(1)
        self.weights = F.pad(body.weights.to(dtype).t(), pad).contiguous().t()
        regressor = body.J_regressor.to(dtype)
        self.J_template = (regressor @ body.v_template).t().reshape(-1, 1)  # (3 J, 1)
        self.J_shape = torch.einsum("jv,ncv->cjn", regressor, shape).flatten(0, 1)
        if body.config.landmarks:
            v, w = body.landmark_vertices.long(), body.landmark_weights.to(dtype)  # (L, S)
            share = w[..., None] * self.weights[v]  # (L, S, J)
            rest = F.pad(body.v_template[v], (0, 1), value=1.0)  # (L, S, 4): homogeneous
            turn = F.pad(body.shapedirs.to(dtype)[v], (0, 0, 0, 1))
            self.moments = torch.einsum("lsj,lsc->jcl", share, rest).reshape(1, -1)
            self.moments_shape = torch.einsum("lsj,lscn->njcl", share, turn).flatten(1)

    def joints(self, beta: Float[Tensor, "b n"]) -> Float[Tensor, "b J 3"]:
        """J(beta), with the bodies last in memory."""
        return torch.addmm(self.J_template, self.J_shape, beta.t()).unflatten(0, (3, -1)).permute(2, 1, 0)

    def landmarks(self, beta: Float[Tensor, "b n"], A: Float[Tensor, "B J 3 4"]) -> Float[Tensor, "B L 3"]:
        """sum_v r_v sum_k w_vk A_k [T_v, 1] = sum_k A_k m_k, with the moments m_k = sum_v r_v w_vk [T_v, 1]."""
        rows = A.transpose(1, 2).flatten(2)  # (B, 3, J 4)
        m = torch.addmm(self.moments, beta, self.moments_shape).unflatten(1, (rows.shape[2], -1))
        return (rows @ m).transpose(1, 2)


def _rotations(pose: Float[Tensor, "B J 3"]) -> Float[Tensor, "B J 3 3"]:
    """With the bodies last in memory, as kinematics are fastest."""
    return axis_angle_to_matrix(pose.transpose(0, 1)).transpose(0, 1)


def _check_rotations(R: Float[Tensor, "B J 3 3"]) -> None:
    """Raises ValueError for matrices that scale, shear or mirror."""
    most = max(SKEW, 16 * torch.finfo(R.dtype).eps)  # as our own rotations of half precision need
    R = R.detach().float()
    off = (R @ R.mT - torch.eye(3, device=R.device)).abs().max().nan_to_num(torch.inf, torch.inf)
    x, y, z = R.unbind(-2)
    mirrors = ((torch.linalg.cross(x, y) * z).sum(-1) < 0).any()
    if (off > most) | mirrors:
        what = f"R R^T is off 1 by up to {off.item():.2g}" if off > most else "some have a determinant of -1"
        raise ValueError(f"pose holds matrices that are no rotations: {what}")


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # whoever asks first: others want gradients through it
def _selection(
    names: tuple[str, ...],
    parents: tuple[int, ...],
    landmarks: tuple[str, ...],
    dtype: torch.dtype,
    device: torch.device,
) -> Float[Tensor, "K P"]:
    """Each wanted point as a mean of joints and landmarks; of joints alone where no landmark is wanted."""
    known = JOINTS if parents == PARENTS else JOINTS[:BODY] if parents[:BODY] == PARENTS[:BODY] else ()
    there = (*known, *[""] * (len(parents) - len(known)), *landmarks)
    made = {"mid_hip": ("left_hip", "right_hip"), "mid_shoulder": ("left_shoulder", "right_shoulder")}
    points = len(there) if set(names) & set(landmarks) else len(parents)
    select = torch.zeros(len(names), points)
    for row, name in zip(select, names, strict=True):
        parts = made.get(name, (name,))
        absent = [part for part in parts if part not in there]
        if absent:
            raise GenlabError(
                f"this body has no {absent[0]}: it knows {', '.join(filter(None, there)) or 'no names'}; "
                "'smpl' asks for its joints alone"
            )
        row[[there.index(part) for part in parts]] = 1 / len(parts)
    return select.to(device, dtype)
