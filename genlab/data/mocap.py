"""Human motion from four files of captured clips, and all of it on one skeleton: SMPL's 24 joints.

    load("cmu_amc")  ->  clips as they were recorded, each with its own skeleton        (also clip.world())
    training()       ->  CMU's, which are free: train and valid, no performer in both
    measuring()      ->  the same valid ones, and Bandai-Namco's, whose licence keeps them out of all training
    to_smpl(clip)    ->  the clip as local rotations (F, 24, 3) of SMPL's joints, so that limbs point as they did
    poses(clips)     ->  single poses (N, 24, 3), thinned out

Metres, radians, y up, 30 frames a second. The files have no copy on the Hub; they are where GENLAB_DATA says, and
`python -m genlab.data.mocap_files` makes them from the asf, amc and bvh files that CMU and Bandai-Namco publish.
"""

import math
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from genlab.names import DataError
from genlab.ops.kinematics import forward_kinematics, levels
from genlab.ops.rotations import axis_angle_to_matrix, cross_matrix, matrix_to_axis_angle

# -- licences, and who is on which side of the split -------------------------------------------------------------------


@dataclass(frozen=True)
class Licence:
    name: str
    may_train: bool  # or measure only
    credit: str


CMU = Licence(
    "free to use, also in products; the data themselves may not be sold",
    may_train=True,
    credit="The data used in this project was obtained from mocap.cs.cmu.edu. "
    "The database was created with funding from NSF EIA-0196217.",
)
BANDAI_NAMCO = Licence(
    "CC BY-NC 4.0",  # weights trained on it would carry the NC along
    may_train=False,
    credit="Bandai-Namco-Research-Motiondataset, Bandai Namco Research Inc., CC BY-NC 4.0.",
)
# In the order in which one of two copies of a take is preferred: the conversions to bvh (the next two) lost the length
# of the thorax, and the third has one skeleton for all its performers.
FILES = {"cmu_amc": CMU, "cmu_walk_bvh": CMU, "cmu_actions": CMU, "bandai_namco": BANDAI_NAMCO}

# Held out: subject 02, who does a little of everything, and six who walk. The performers of 28 clips of cmu_actions are
# not known (subject "cmu-unknown": basketball, its referee's signals, directing traffic, jumps, runs, soccer, one
# walk). They are safe in training alone, and only beside subjects who cannot be among them. So are these seven: CMU's
# index lists for each of them either nothing but what is here under their number (02, 45, 46, 47), or otherwise
# nothing of those kinds (12: tai chi; 43: bars; 55: dance, animals). None of the 28 equals a take of subject 02.
# What nobody can exclude: CMU says that one person may have two numbers.
HELD_OUT = ("cmu02", "cmu12", "cmu43", "cmu45", "cmu46", "cmu47", "cmu55")
# Left out: cmu_actions lost the root's turns beyond a quarter from the axis ahead, in one clip so that the body lies in
# the air. Its other three such clips are copies of takes that are whole elsewhere.
LEFT_OUT = ("train/directing_traffic_1",)


@dataclass(frozen=True)
class Clip:
    """One recording: the local rotation vector of each joint in each frame, and the skeleton that they turn."""

    file: str  # one of FILES
    name: str
    subject: str  # the performer; with Bandai-Namco the style, since nobody says which of three actors it was
    label: str
    fps: float
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root, which is joint 0; a parent comes before its children
    offsets: Float[Tensor, "J 3"]  # of a joint from its parent, in the parent's frame, metres
    rotations: Float[Tensor, "F J 3"]  # axis-angle, against the parent
    root: Float[Tensor, "F 3"]  # where joint 0 is, metres

    @property
    def licence(self) -> Licence:
        return FILES[self.file]

    @property
    def take(self) -> str:
        """The name at the source, equal for two copies of one take: cmu_actions has it behind "=" where it is known."""
        return self.name.rpartition("=")[2]

    def world(self) -> tuple[Float[Tensor, "F J 3 3"], Float[Tensor, "F J 3"]]:
        """Rotation and place of each joint in the world."""
        joints = torch.zeros_like(self.offsets)
        for joint, parent in enumerate(self.parents[1:], start=1):
            joints[joint] = joints[parent] + self.offsets[joint]
        G, t = forward_kinematics(axis_angle_to_matrix(self.rotations), joints[None], self.parents)
        return G, t + self.root[:, None]


def training() -> dict[str, list[Clip]]:
    """train and valid, of CMU alone and each take once; valid has the subjects of HELD_OUT. Raises DataError."""
    first: dict[str, Clip] = {}
    for clip in (clip for file, licence in FILES.items() if licence.may_train for clip in load(file)):
        if clip.name not in LEFT_OUT:
            first.setdefault(clip.take, clip)
    return {
        "train": [clip for clip in first.values() if clip.subject not in HELD_OUT],
        "valid": [clip for clip in first.values() if clip.subject in HELD_OUT],
    }


def measuring() -> dict[str, list[Clip]]:
    """cmu: the valid clips of `training`; bandai_namco: people, studio and motions that no training saw. Who also
    chooses a model by the former reports the latter. Raises DataError."""
    return {"cmu": training()["valid"], "bandai_namco": load("bandai_namco")}


# -- reading -----------------------------------------------------------------------------------------------------------

# What a file holds: kind of number, and shape by letters. C clips, F frames in all, J joints, S skeletons.
FORM = {
    "clip_name": ("U", "C"),
    "subject": ("U", "C"),
    "label": ("U", "C"),
    "clip_start": ("i", "C+1"),  # clip c is the frames clip_start[c] to clip_start[c + 1]
    "fps": ("f", ""),
    "joint_names": ("U", "J"),
    "parents": ("i", "J"),
    "skeleton": ("i", "C"),  # clip c has offsets[skeleton[c]]
    "offsets": ("f", "S J 3"),
    "rotvec_q": ("i", "F J 3"),  # times rotvec_scale: radians
    "rotvec_scale": ("f", ""),
    "root_position": ("f", "F 3"),
}
# What numpy and zipfile raise for a file that is cut, changed, packed another way, or a pickle.
UNREADABLE = (OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)


def load(file: str) -> list[Clip]:
    """The clips of one of FILES. Raises DataError where it is missing or not of the form above."""
    if file not in FILES:
        raise DataError(f"the files of motion are {', '.join(FILES)}, not {file!r}")
    folder = os.environ.get("GENLAB_DATA")
    path = Path(folder or "") / "mocap" / f"{file}.npz"
    if not folder or not path.is_file():
        where = f"GENLAB_DATA is {folder!r}, which has no mocap/{file}.npz" if folder else "GENLAB_DATA is not set"
        raise DataError(
            f"the captured motion {file} was not found: {where}. Set GENLAB_DATA to a folder that holds "
            f"mocap/{file}.npz; there is no copy on the Hub, but `python -m genlab.data.mocap_files --help` says how "
            "to make it from what its makers publish."
        )
    try:
        with np.load(path, allow_pickle=False) as archive:  # a pickle could run anything
            arrays = {key: archive[key] for key in archive.files}
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read: {error}. Fetch it again.") from error
    if wrong := problem(arrays):
        raise DataError(f"{path} is not a file of motion: {wrong}. Fetch it again.")
    return _clips(file, arrays)


def problem(arrays: dict[str, np.ndarray]) -> str | None:
    """What is wrong with a file's arrays, if anything."""
    if set(arrays) != set(FORM):
        return f"its arrays are {', '.join(sorted(arrays))}, not {', '.join(sorted(FORM))}"
    C, J = arrays["clip_name"].size, arrays["joint_names"].size
    S, frames = (len(arrays[key]) if arrays[key].ndim else 0 for key in ("offsets", "root_position"))
    sizes = {"C": C, "C+1": C + 1, "J": J, "S": S, "F": frames, "3": 3}
    for key, (kind, letters) in FORM.items():
        array, shape = arrays[key], tuple(sizes[letter] for letter in letters.split())
        if array.dtype.kind != kind or array.shape != shape:
            return f"{key} is {array.dtype} of shape {array.shape}, not {kind} of {shape}"
        if kind == "f" and not np.isfinite(array).all():
            return f"{key} has numbers that are not finite"
    start, skeleton = arrays["clip_start"], arrays["skeleton"]
    if start[0] != 0 or start[-1] != frames or (np.diff(start) <= 0).any():
        return "clip_start does not cut the frames into clips"
    if (skeleton < 0).any() or (skeleton >= S).any():
        return f"skeleton names others than its {S}"
    if arrays["fps"] <= 0 or arrays["rotvec_scale"] <= 0:
        return "fps and rotvec_scale are not positive"
    if len(set(arrays["joint_names"].tolist())) != J:
        return "two joints have one name"
    try:
        levels(tuple(arrays["parents"].tolist()))
    except ValueError as error:
        return str(error)
    return None


def _clips(file: str, arrays: dict[str, np.ndarray]) -> list[Clip]:
    rotations = torch.from_numpy(arrays["rotvec_q"].astype(np.float32) * np.float32(arrays["rotvec_scale"]))
    offsets, root = (torch.from_numpy(arrays[key].astype(np.float32)) for key in ("offsets", "root_position"))
    words = [arrays[key].tolist() for key in ("clip_name", "subject", "label")]
    start = arrays["clip_start"].tolist()
    return [
        Clip(
            file, name, subject, label, float(arrays["fps"]),
            joint_names=tuple(arrays["joint_names"].tolist()),
            parents=tuple(arrays["parents"].tolist()),
            offsets=offsets[skeleton],
            rotations=rotations[begin:end],
            root=root[begin:end],
        )
        for name, subject, label, skeleton, begin, end in zip(
            *words, arrays["skeleton"].tolist(), start, start[1:], strict=False
        )
    ]  # fmt: skip


# -- onto SMPL's skeleton ----------------------------------------------------------------------------------------------

# Each joint of ours turns as one of the source's, or half-way between two of them (a~b), or as its own parent (-).
# CMU's hand bends at two joints one after the other; the second has turned by both. Toes and finger tips stay straight,
# and so do the wrists of cmu_walk_bvh, which are 10 to 60 degrees off the same takes in the other files, and mirrored.
# Heads are as they were calibrated: of CMU's walkers each looks down by a mean of his own, 6 to 37 degrees.
TABLE = """
    ours            cmu_amc               cmu_walk_bvh     cmu_actions     bandai_namco
    pelvis          root                  Hips             Hips            Hips
    left_hip        lfemur                LeftHip          LeftUpLeg       UpperLeg_L
    right_hip       rfemur                RightHip         RightUpLeg      UpperLeg_R
    spine1          lowerback             lowerback        LowerBack       Hips~Spine
    left_knee       ltibia                LeftKnee         LeftLeg         LowerLeg_L
    right_knee      rtibia                RightKnee        RightLeg        LowerLeg_R
    spine2          upperback             Chest            Spine           Spine
    left_ankle      lfoot                 LeftAnkle        LeftFoot        Foot_L
    right_ankle     rfoot                 RightAnkle       RightFoot       Foot_R
    spine3          thorax                Chest2           Spine1          Chest
    left_foot       -                     -                -               -
    right_foot      -                     -                -               -
    neck            lowerneck~upperneck   lowerneck~Neck   Neck~Neck1      Neck
    left_collar     lclavicle             LeftCollar       LeftShoulder    Shoulder_L
    right_collar    rclavicle             RightCollar      RightShoulder   Shoulder_R
    head            head                  Head             Head            Head
    left_shoulder   lhumerus              LeftShoulder     LeftArm         UpperArm_L
    right_shoulder  rhumerus              RightShoulder    RightArm        UpperArm_R
    left_elbow      lradius               LeftElbow        LeftForeArm     LowerArm_L
    right_elbow     rradius               RightElbow       RightForeArm    LowerArm_R
    left_wrist      lhand                 -                LeftFingerBase  Hand_L
    right_wrist     rhand                 -                RightFingerBase Hand_R
    left_hand       -                     -                -               -
    right_hand      -                     -                -               -
"""
_OURS, *_COLUMNS = zip(*(row.split() for row in TABLE.strip().splitlines()), strict=True)
JOINTS = _OURS[1:]
SKELETONS = {column[0]: column[1:] for column in _COLUMNS}
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

WAYS = {  # the body faces +z, its left hand is towards +x
    "left": (1.0, 0.0, 0.0), "up": (0.0, 1.0, 0.0), "forward": (0.0, 0.0, 1.0),
    "right": (-1.0, 0.0, 0.0), "down": (0.0, -1.0, 0.0), "back": (0.0, 0.0, -1.0),
}  # fmt: skip
# The bones that must point as the source's do: from a joint to the next, and where they point in the T-pose.
LIMBS = {
    "left_hip": ("left_knee", "down"),
    "right_hip": ("right_knee", "down"),
    "left_knee": ("left_ankle", "down"),
    "right_knee": ("right_ankle", "down"),
    "left_shoulder": ("left_elbow", "left"),
    "right_shoulder": ("right_elbow", "right"),
    "left_elbow": ("left_wrist", "left"),
    "right_elbow": ("right_wrist", "right"),
}

# Where a joint's own x, y and z axes point when the source stands straight and looks ahead, its soles flat. CMU's are
# all "left up forward". Bandai-Namco's x axes run along the bones, on the left to their end and on the right from it.
BANDAI_AXES = {
    "Hips": "up right forward",
    "Spine Chest Neck Head": "up forward left",
    "Shoulder_L UpperArm_L LowerArm_L Hand_L": "left up forward",
    "Shoulder_R UpperArm_R LowerArm_R Hand_R": "left down back",
    "UpperLeg_L LowerLeg_L Foot_L": "down left forward",
    "UpperLeg_R LowerLeg_R Foot_R": "up left back",
}
BANDAI_INSTEP = math.radians(50)  # from the shin's line to the foot's: 40 degrees down to the toes when soles are flat


def to_smpl(
    clip: Clip, rest: Float[Tensor, "24 3"] | None = None
) -> tuple[Float[Tensor, "F 24 3"], Float[Tensor, "F 3"]]:
    """A clip as poses of SMPL's joints, local and axis-angle, and where the source's root is, metres.

        G_k = S_k N_k^T T_k D_k,    R_k = G_parent(k)^T G_k

    S_k: the rotation of the source's joint in the world. N_k: the same when the source stands straight, so S_k N_k^T is
    how far it has turned from there. T_k: the smallest rotation from a bone of the T-pose to the source's in that
    stance (arms down, legs apart), for limbs and what hangs on them. D_k: the smallest one from our bone in our rest
    pose to the T-pose, for limbs only. So G_k times our bone is S_k times the source's: each thigh, shin, upper arm and
    forearm points exactly as it did. Trunk, neck and head turn as the source's do. Twists are the source's own.

    rest: where our joints are in the rest pose; by default arms and legs that are exactly a T. Raises DataError for a
    skeleton that is not in TABLE, or whose limbs have no length or point the other way in its stance.
    """
    kind = _kind(clip)
    N, column = _stance(clip, kind), SKELETONS[kind]
    turned, A = clip.world()[0] @ N.mT, _into_t(clip, N, column) @ _from_rest(rest)
    G: list[Tensor] = []
    for joint, (source, parent) in enumerate(zip(column, PARENTS, strict=True)):
        G.append(G[parent] if source == "-" else _between(turned, clip.joint_names, source) @ A[joint])
    R = [G[0], *(G[parent].mT @ G[joint] for joint, parent in enumerate(PARENTS) if joint)]
    return matrix_to_axis_angle(torch.stack(R, dim=1)), clip.root


def _kind(clip: Clip) -> str:
    """The column of TABLE whose joints the clip has."""
    for kind, column in SKELETONS.items():
        if {name for cell in column for name in cell.split("~")} - {"-"} <= set(clip.joint_names):
            return kind
    raise DataError(f"{clip.name}: no skeleton of {', '.join(SKELETONS)} has the joints {', '.join(clip.joint_names)}")


def _stance(clip: Clip, kind: str) -> Float[Tensor, "J 3 3"]:
    """N: the rotation of each joint when the source stands straight."""
    N = torch.eye(3).repeat(len(clip.joint_names), 1, 1)
    if kind == "bandai_namco":
        instep = axis_angle_to_matrix(torch.tensor([0.0, -BANDAI_INSTEP, 0.0]))
        for joints, axes in BANDAI_AXES.items():
            for joint in joints.split():
                stands = torch.tensor([WAYS[way] for way in axes.split()]).mT
                N[clip.joint_names.index(joint)] = stands @ instep if joint.startswith("Foot") else stands
    return N


def _between(turned: Float[Tensor, "F J 3 3"], names: Sequence[str], source: str) -> Float[Tensor, "F 3 3"]:
    """One joint's rotation, or half-way from one to another: A exp(log(A^T B) / 2)."""
    A, *others = (turned[:, names.index(name)] for name in source.split("~"))
    return A @ axis_angle_to_matrix(matrix_to_axis_angle(A.mT @ others[0]) / 2) if others else A


def _into_t(clip: Clip, N: Float[Tensor, "J 3 3"], column: Sequence[str]) -> Float[Tensor, "24 3 3"]:
    """T: how the source, standing straight, holds each limb against a T-pose. What hangs on a limb goes with it."""
    starts = [clip.joint_names.index(column[JOINTS.index(joint)]) for joint in LIMBS]
    child = {parent: joint for joint, parent in enumerate(clip.parents)}  # of a limb there is one
    bones = torch.stack([clip.offsets[child[start]] if start in child else torch.zeros(3) for start in starts])
    limbs = _turn(_ways(), (N[starts] @ bones[..., None])[..., 0], f"{clip.name}: the bone of ")
    T: list[Tensor] = []
    for joint, parent in zip(JOINTS, PARENTS, strict=True):
        T.append(limbs[list(LIMBS).index(joint)] if joint in LIMBS else T[parent] if parent >= 0 else torch.eye(3))
    return torch.stack(T)


def _from_rest(rest: Float[Tensor, "24 3"] | None) -> Float[Tensor, "24 3 3"]:
    """D: from our limbs' bones in our rest pose to the T-pose."""
    D = torch.eye(3).repeat(24, 1, 1)
    if rest is not None:
        start = [JOINTS.index(joint) for joint in LIMBS]
        end = [JOINTS.index(joint) for joint, _ in LIMBS.values()]
        D[start] = _turn(rest[end] - rest[start], _ways(), "rest: the bone of ")
    return D


def _ways() -> Float[Tensor, "8 3"]:
    """Where the bones of LIMBS point in the T-pose."""
    return torch.tensor([WAYS[way] for _, way in LIMBS.values()])


def _turn(a: Float[Tensor, "8 3"], b: Float[Tensor, "8 3"], whose: str) -> Float[Tensor, "8 3 3"]:
    """The smallest rotation from one direction to another: I + [v]_x + [v]_x^2 / (1 + a.b) with v = a x b."""
    a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
    cosine = (a * b).sum(-1)
    for joint, bad in zip(LIMBS, ~a.any(-1) | ~b.any(-1) | (cosine < -0.99), strict=True):
        if bad:
            raise DataError(f"{whose}{joint} has no length, or points the other way in a T-pose")
    K = cross_matrix(torch.linalg.cross(a, b))
    return torch.eye(3) + K + K @ K / (1 + cosine)[:, None, None]


# -- single poses ------------------------------------------------------------------------------------------------------


# Only the fastest punch turns a joint more than this between two frames; elsewhere a clip that does has lost a marker,
# or its angles were blended across a turn at the source. The frames on both sides are left out.
JUMP = math.radians(60)


def poses(
    clips: Iterable[Clip],
    *,
    use: Literal["training", "measuring"],
    every: int = 3,
    apart: float = 0.1,
    seed: int = 0,
    rest: Float[Tensor, "24 3"] | None = None,
) -> Float[Tensor, "N 24 3"]:
    """Poses from every few frames, in an order by seed, without jumps and without those close to an earlier one.

    apart: the least distance between two, radians; it is the root mean square over all joints but the pelvis of the
    angle between their rotations (for small angles). The pelvis is left out, as the same pose that faces elsewhere
    is not a new one. use: what for; a loss on held-out clips is a measurement. Raises DataError for training on clips
    whose licence forbids it, or whose subject is held out.
    """
    clips = list(clips)
    closed = [clip for clip in clips if not clip.licence.may_train or clip.subject in HELD_OUT]
    if use != "measuring" and closed:
        raise DataError(
            f"{closed[0].name} of {closed[0].file} ({closed[0].subject}, {closed[0].licence.name}) is for measuring "
            'only: train on the clips of mocap.training()["train"]'
        )
    pose = torch.cat([torch.zeros(0, 24, 3), *(_steady(to_smpl(clip, rest)[0], every) for clip in clips)])
    pose = pose[torch.randperm(len(pose), generator=torch.Generator().manual_seed(seed))]
    return pose[_far_apart(axis_angle_to_matrix(pose[:, 1:]).flatten(1), apart)]


def _steady(pose: Float[Tensor, "F 24 3"], every: int) -> Float[Tensor, "f 24 3"]:
    """Every few frames, without those that a jump leads to or from."""
    R = axis_angle_to_matrix(pose)
    jumps = (matrix_to_axis_angle(R[:-1].mT @ R[1:]).norm(dim=-1) > JUMP).any(dim=1)
    steady = ~(F.pad(jumps, (1, 0)) | F.pad(jumps, (0, 1)))
    return pose[::every][steady[::every]]


def _far_apart(R: Float[Tensor, "N D"], apart: float) -> Int[Tensor, " M"]:
    """Which rows to keep, from first to last: those that no row kept before is close to."""
    kept, index = R[:0], [torch.arange(0)]
    for rows in torch.arange(len(R)).split(512):
        rows = rows[~_close(R[rows], kept, apart).any(dim=1)]
        close, keep = _close(R[rows], R[rows], apart), torch.ones(len(rows), dtype=torch.bool)
        for row in range(len(rows)):
            if keep[row]:
                keep[row + 1 :] &= ~close[row, row + 1 :]
        index.append(rows[keep])
        kept = torch.cat([kept, R[rows[keep]]])
    return torch.cat(index)


def _close(a: Float[Tensor, "A D"], b: Float[Tensor, "B D"], apart: float) -> Bool[Tensor, "A B"]:
    """Of rows of matrices, 9 numbers a joint: d^2 = mean over joints of 2 (1 - cos theta) = 3 - a.b / joints."""
    return (3 - a @ b.T * 9 / a.shape[1]).clamp_min(0) < apart**2
