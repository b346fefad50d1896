"""Motion: files whole and broken, who is on which side of the split, and limbs that point where they pointed.

The mathematics is shown on small skeletons made here; what is said of the real clips on these, where GENLAB_DATA is.
"""

import io
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genlab.data import mocap
from genlab.data.mocap import JOINTS, LIMBS, PARENTS
from genlab.names import DataError
from genlab.ops.kinematics import forward_kinematics, levels
from genlab.ops.rotations import axis_angle_to_matrix, matrix_to_axis_angle

# A grown body of our own making in a T-pose, metres: arms that sink and sweep back a little, knees not quite straight.
REST = torch.tensor(
    [
        [0, 0, 0], [0.07, -0.09, -0.01], [-0.07, -0.09, -0.01], [0, 0.11, -0.02], [0.09, -0.49, 0], [-0.09, -0.49, 0],
        [0, 0.24, -0.01], [0.085, -0.90, -0.04], [-0.085, -0.90, -0.04], [0, 0.30, 0.01], [0.11, -0.96, 0.08],
        [-0.11, -0.96, 0.08], [0, 0.51, -0.03], [0.08, 0.42, -0.02], [-0.08, 0.42, -0.02], [0, 0.60, 0.02],
        [0.18, 0.45, -0.03], [-0.18, 0.45, -0.03], [0.44, 0.44, -0.05], [-0.44, 0.44, -0.05], [0.69, 0.45, -0.05],
        [-0.69, 0.45, -0.05], [0.78, 0.44, -0.06], [-0.78, 0.44, -0.06],
    ]
)  # fmt: skip
X, Y, Z = torch.eye(3)
COUNTS = {
    "cmu_amc": (24, 16_929),
    "cmu_walk_bvh": (41, 7_174),
    "cmu_actions": (44, 10_185),
    "bandai_namco": (191, 31_599),
}
SCALE = 1e-4  # radians, of the files made here


def number(joint: str) -> int:
    return JOINTS.index(joint)


def straight() -> Tensor:
    """Our body with limbs that are exactly a T."""
    rest = REST.clone()
    for joint, (end, way) in LIMBS.items():
        length = (REST[number(end)] - REST[number(joint)]).norm()
        rest[number(end)] = rest[number(joint)] + length * torch.tensor(mocap.WAYS[way])
    return rest


def place(pose: Tensor, rest: Tensor = REST) -> tuple[Tensor, Tensor]:
    """Rotations and places of our joints in the world, the pelvis in its rest."""
    return forward_kinematics(axis_angle_to_matrix(pose), rest[None], PARENTS)


def degrees(a: Tensor, b: Tensor) -> Tensor:
    """Between directions, without the loss of acos near zero."""
    a, b = a.double(), b.double()
    return torch.rad2deg(torch.atan2(torch.linalg.cross(a, b).norm(dim=-1), (a * b).sum(-1)))


def apart(a: Tensor, b: Tensor) -> Tensor:
    """Between rotations, degrees."""
    return torch.rad2deg(matrix_to_axis_angle(a.mT @ b).norm(dim=-1))


# -- files made here ---------------------------------------------------------------------------------------------------


def skeleton(kind: str, rest: Tensor = REST) -> tuple[list[str], list[int], np.ndarray]:
    """Names, parents and offsets of a source that is built as we are, its joints named as in a column of the table."""
    names, parents, offsets, at = [], [], [], {-1: -1}
    for joint, (cell, parent) in enumerate(zip(mocap.SKELETONS[kind], PARENTS, strict=True)):
        at[joint] = at[parent]
        if JOINTS[joint].endswith("wrist") and cell == "-":  # it is there, though not to be trusted
            cell = JOINTS[joint].title().replace("_", "")
        if cell != "-":
            offset = rest[joint] - rest[parent] if joint else 0 * rest[0]
            for name in (name for name in cell.split("~") if name not in names):
                names.append(name)
                parents.append(at[joint])
                offsets.append(offset.tolist())
                at[joint], offset = len(names) - 1, 0 * offset
    return names, parents, np.array(offsets, np.float32)


def arrays(kind: str = "cmu_amc", frames: int = 5, **changes) -> dict[str, np.ndarray]:
    """A file of two clips at rest, the second one frame long and of another size."""
    names, parents, offsets = skeleton(kind)
    whole = {
        "clip_name": np.array(["02_01", "06_01"]),
        "subject": np.array(["cmu02", "cmu06"]),
        "label": np.array(["walk", "walk"]),
        "clip_start": np.array([0, frames - 1, frames]),
        "fps": np.float32(30),
        "joint_names": np.array(names),
        "parents": np.array(parents, np.int16),
        "skeleton": np.array([0, 1], np.int16),
        "offsets": np.stack([offsets, 1.1 * offsets]).astype(np.float32),
        "rotvec_q": np.zeros((frames, len(names), 3), np.int16),
        "rotvec_scale": np.float32(SCALE),
        "root_position": np.zeros((frames, 3), np.float32),
    }
    return whole | changes


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """mocap/ in what GENLAB_DATA names."""
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path))
    (tmp_path / "mocap").mkdir()
    return tmp_path / "mocap"


def clip(
    kind: str, frames: int = 1, rest: Tensor = REST, turned: dict[str, Tensor] | None = None, **other
) -> mocap.Clip:
    """A clip in which some joints are turned (F, 3) against their parents."""
    names, parents, offsets = skeleton(kind, rest)
    rotations = torch.zeros(frames, len(names), 3)
    for name, rotation in (turned or {}).items():
        rotations[:, names.index(name)] = rotation
    fields = {"file": kind, "name": "06_01", "subject": "cmu06", "label": "", "fps": 30.0}
    fields |= {"joint_names": tuple(names), "parents": tuple(parents), "offsets": torch.from_numpy(offsets)}
    return mocap.Clip(**(fields | {"rotations": rotations, "root": torch.zeros(frames, 3)} | other))


def test_a_file_is_read(folder):
    random = np.random.default_rng(0)
    whole = arrays(rotvec_q=random.integers(-9_000, 9_000, (5, 21, 3), np.int16))
    whole["root_position"] = random.normal(size=(5, 3)).astype(np.float32)
    np.savez_compressed(folder / "cmu_amc.npz", **whole)
    first, second = mocap.load("cmu_amc")
    assert (first.file, first.name, first.take, first.subject) == ("cmu_amc", "02_01", "02_01", "cmu02")
    assert first.label == "walk" and first.fps == 30 and first.licence is mocap.CMU and second.name == "06_01"
    assert len(first.rotations) == len(first.root) == 4 and len(second.rotations) == 1
    assert np.allclose(first.rotations, whole["rotvec_q"][:4] * SCALE) and first.rotations.dtype == torch.float32
    assert np.array_equal(second.root, whole["root_position"][4:])
    assert np.array_equal(second.offsets, whole["offsets"][1]) and second.parents == tuple(whole["parents"].tolist())


def test_the_world_is_as_the_files_define_it(folder):
    """Joint after joint in float64."""
    random = np.random.default_rng(1)
    whole = arrays(rotvec_q=random.integers(-30_000, 30_000, (5, 21, 3), np.int16))
    whole["root_position"] = random.normal(size=(5, 3)).astype(np.float32)
    np.savez_compressed(folder / "cmu_amc.npz", **whole)
    R = axis_angle_to_matrix(torch.from_numpy(whole["rotvec_q"] * SCALE)).numpy()
    for item, frames, offsets in zip(mocap.load("cmu_amc"), (slice(0, 4), slice(4, 5)), whole["offsets"], strict=True):
        G, P = [R[frames, 0]], [whole["root_position"][frames].astype(float)]
        for joint, parent in enumerate(whole["parents"][1:], start=1):
            G.append(G[parent] @ R[frames, joint])
            P.append(P[parent] + G[parent] @ offsets[joint])
        world, places = item.world()
        assert np.allclose(world, np.stack(G, 1), atol=1e-5) and np.allclose(places, np.stack(P, 1), atol=1e-5)


def test_a_missing_file_is_named(folder, monkeypatch):
    with pytest.raises(DataError, match=r"which has no mocap/cmu_amc.npz. Set GENLAB_DATA to .* no copy on the Hub"):
        mocap.training()
    monkeypatch.delenv("GENLAB_DATA")
    with pytest.raises(DataError, match=r"GENLAB_DATA is not set. Set GENLAB_DATA to .* mocap/bandai_namco.npz"):
        mocap.load("bandai_namco")
    with pytest.raises(DataError, match="cmu_amc, cmu_walk_bvh, cmu_actions, bandai_namco, not 'amass'"):
        mocap.load("amass")


WRONG = {
    "a key is missing": ("its arrays are", {"fps": None}),
    "a key too many": ("its arrays are", {"more": np.zeros(1)}),
    "a pickle": ("cannot be read", {"label": np.array(["walk", None], object)}),
    "labels too few": ("label is", {"label": np.array(["walk"])}),
    "numbers for names": ("subject is int64", {"subject": np.array([2, 6])}),
    "floats for rotations": ("rotvec_q is float32", {"rotvec_q": np.zeros((5, 21, 3), np.float32)}),
    "rotations as matrices": ("rotvec_q is int16 of shape", {"rotvec_q": np.zeros((5, 21, 3, 3), np.int16)}),
    "fewer frames of rotations": ("rotvec_q is int16 of shape", {"rotvec_q": np.zeros((4, 21, 3), np.int16)}),
    "a joint too few": ("offsets is float32 of shape", {"offsets": np.zeros((2, 20, 3), np.float32)}),
    "no number of offsets": ("offsets is float32 of shape", {"offsets": np.float32(1)}),
    "no place": ("root_position has numbers", {"root_position": np.full((5, 3), np.nan, np.float32)}),
    "an endless bone": ("offsets has numbers", {"offsets": np.full((2, 21, 3), np.inf, np.float32)}),
    "clips that overlap": ("clip_start", {"clip_start": np.array([0, 6, 5])}),
    "an empty clip": ("clip_start", {"clip_start": np.array([0, 0, 5])}),
    "frames of no clip": ("clip_start", {"clip_start": np.array([0, 2, 4])}),
    "clips that begin late": ("clip_start", {"clip_start": np.array([1, 2, 5])}),
    "a skeleton not there": ("skeleton names others", {"skeleton": np.array([0, 2], np.int16)}),
    "a skeleton before the first": ("skeleton names others", {"skeleton": np.array([0, -1], np.int16)}),
    "no time": ("not positive", {"fps": np.float32(0)}),
    "no scale": ("not positive", {"rotvec_scale": np.float32(-1e-4)}),
    "twins": ("two joints have one name", {"joint_names": np.array(["root"] * 21)}),
    "two roots": ("parents are a tree", {"parents": np.array([-1, -1] + [0] * 19, np.int16)}),
    "a ring": ("parents are a tree", {"parents": np.array([-1, 2, 1] + [0] * 18, np.int16)}),
    "a parent not there": ("parents are a tree", {"parents": np.array([-1, 40] + [0] * 19, np.int16)}),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_malformed_file_is_told(how, folder):
    said, changes = WRONG[how]
    whole = {key: array for key, array in (arrays() | changes).items() if array is not None}
    np.savez_compressed(folder / "cmu_amc.npz", **whole)
    with pytest.raises(DataError, match=f"cmu_amc.npz .*{said}.*Fetch it again"):
        mocap.load("cmu_amc")


def test_a_broken_file_is_told(folder):
    file, alone = folder / "cmu_amc.npz", io.BytesIO()
    np.savez_compressed(file, **arrays())
    np.save(alone, np.zeros(3))
    whole = file.read_bytes()
    for content in (b"", whole[:-5], whole[: len(whole) // 2], b"<!DOCTYPE html><title>404</title>", alone.getvalue()):
        file.write_bytes(content)
        with pytest.raises(DataError, match="cmu_amc.npz .*Fetch it again"):
            mocap.load("cmu_amc")


def test_a_flipped_bit_never_ends_otherwise(folder):
    """Wherever: the file is read, or told to be broken."""
    file, told = folder / "cmu_amc.npz", 0
    np.savez_compressed(file, **arrays())
    whole = file.read_bytes()
    for spot in range(0, len(whole), len(whole) // 150):
        file.write_bytes(whole[:spot] + bytes([whole[spot] ^ 1 << spot % 8]) + whole[spot + 1 :])
        try:
            mocap.load("cmu_amc")
        except DataError:
            told += 1
    assert told > 75


# -- licences and the split --------------------------------------------------------------------------------------------


@pytest.fixture
def small(folder):
    """All four files. The actions have a copy of 02_01, a copy of 06_01, and a clip of nobody known."""
    for file in mocap.FILES:
        np.savez_compressed(folder / f"{file}.npz", **arrays(file))
    names, subjects = ["train/walking_1=02_01", "train/jumping_1"], ["cmu02", "cmu-unknown"]
    actions = arrays("cmu_actions", clip_name=np.array(names), subject=np.array(subjects))
    np.savez_compressed(folder / "cmu_actions.npz", **actions)
    styles = {"clip_name": np.array(["a", "b"]), "subject": np.array(["active", "normal"])}
    np.savez_compressed(folder / "bandai_namco.npz", **arrays("bandai_namco", **styles))
    walks = {"clip_name": np.array(["12_01", "06_01"]), "subject": np.array(["cmu12", "cmu06"])}
    np.savez_compressed(folder / "cmu_walk_bvh.npz", **arrays("cmu_walk_bvh", **walks))


def test_each_take_is_once_and_on_one_side(small):
    training, measuring = mocap.training(), mocap.measuring()
    names = {split: [(item.file, item.take) for item in clips] for split, clips in training.items()}
    assert names["train"] == [("cmu_amc", "06_01"), ("cmu_actions", "train/jumping_1")]
    assert names["valid"] == [("cmu_amc", "02_01"), ("cmu_walk_bvh", "12_01")]
    assert [item.take for item in measuring["cmu"]] == ["02_01", "12_01"]
    assert [item.name for item in measuring["bandai_namco"]] == ["a", "b"]


def test_training_cannot_reach_what_is_not_free_or_held_out(small, folder):
    training, measuring = mocap.training(), mocap.measuring()
    for closed, said in ((measuring["bandai_namco"], "CC BY-NC 4.0"), (training["valid"], "cmu02")):
        everything = training["train"] + closed
        with pytest.raises(
            DataError, match=rf'{said}.* is for measuring only: train on .* mocap.training\(\)\["train"\]'
        ):
            mocap.poses(everything, use="training")
        assert len(mocap.poses(everything, use="measuring")) > 0
    (folder / "bandai_namco.npz").unlink()
    assert len(mocap.poses(mocap.training()["train"], use="training")) > 0
    assert not mocap.BANDAI_NAMCO.may_train and "mocap.cs.cmu.edu" in mocap.CMU.credit


# -- onto our skeleton -------------------------------------------------------------------------------------------------


def test_our_skeleton_is_a_tree_of_24():
    assert len(JOINTS) == len(PARENTS) == len(set(JOINTS)) == 24 and sum(map(len, levels(PARENTS))) == 24
    assert all(JOINTS[PARENTS[number(end)]] == joint for joint, (end, _) in LIMBS.items())
    for joint, parent in zip(JOINTS, PARENTS, strict=True):  # the left is where it should be, by name and in the table
        side = joint.split("_")[0]
        if parent >= 0 and side in ("left", "right") and (above := JOINTS[parent].split("_")[0]) in ("left", "right"):
            assert side == above
        for column in mocap.SKELETONS.values():
            cell, letter = column[number(joint)], side[0]
            lefts = (letter, letter.upper(), side.capitalize())
            assert (
                side not in ("left", "right")
                or cell == "-"
                or cell.startswith(lefts)
                or cell.endswith(f"_{letter.upper()}")
            )


@pytest.mark.parametrize("kind", [kind for kind in mocap.SKELETONS if kind != "bandai_namco"])
def test_a_turned_joint_comes_out_as_that_turn(kind):
    """On a source that is built as we are, of every joint that stands for one of ours alone; and nothing else turns."""
    pose, root = mocap.to_smpl(clip(kind, rest=straight(), root=torch.ones(1, 3)))
    assert pose.shape == (1, 24, 3) and pose.abs().max() < 1e-6 and torch.equal(root, torch.ones(1, 3))
    cells = dict(zip(JOINTS, mocap.SKELETONS[kind], strict=True))
    alone = [joint for joint, name in cells.items() if name != "-" and "~" not in name and joint != "head"]
    turns = torch.randn(len(alone), 3, generator=torch.Generator().manual_seed(2))
    each = {cells[joint]: torch.diag(torch.eye(len(alone))[frame]) @ turns for frame, joint in enumerate(alone)}
    pose, _ = mocap.to_smpl(clip(kind, len(alone), straight(), each))  # frame by frame another joint
    expected = torch.zeros(len(alone), 24, 3)
    expected[range(len(alone)), [number(joint) for joint in alone]] = turns
    assert torch.allclose(pose, expected, atol=1e-5)


def test_two_joints_of_a_neck_share_one_of_ours():
    """Each turns by as much; ours by half-way between them, and the head by both."""
    turned = {"lowerneck": 0.4 * X, "upperneck": 0.4 * X}
    pose, _ = mocap.to_smpl(clip("cmu_amc", turned=turned))
    assert torch.allclose(pose[0, number("neck")], 0.6 * X, atol=1e-6)
    assert torch.allclose(pose[0, number("head")], 0.2 * X, atol=1e-6)


def test_limbs_point_as_they_did_whatever_the_bones_and_the_rest():
    """Arms that hang and legs apart in the source's rest, limbs of other lengths, random turns; three rests of ours."""
    torch.manual_seed(3)
    other = REST.clone()
    for side, sign in (("left", 1), ("right", -1)):
        hip, shoulder = (number(f"{side}_{joint}") for joint in ("hip", "shoulder"))
        for above, joint, way in (
            (hip, "knee", [sign * 0.3, -0.9, 0.1]),
            (number(f"{side}_knee"), "ankle", [sign * 0.4, -0.8, 0.0]),
            (shoulder, "elbow", [0.0, -0.3, 0.02]),
            (number(f"{side}_elbow"), "wrist", [sign * 0.05, -0.3, 0.0]),
        ):
            other[number(f"{side}_{joint}")] = other[above] + torch.tensor(way)
    moves = {name: torch.randn(50, 3) for name in skeleton("cmu_actions")[0]}
    source = clip("cmu_actions", 50, other, moves)
    places = source.world()[1]
    for rest in (None, REST, other):
        pose, _ = mocap.to_smpl(source, rest)
        _, ours = place(pose, REST if rest is None else rest)
        for joint, (end, way) in LIMBS.items():
            column = dict(zip(JOINTS, mocap.SKELETONS["cmu_actions"], strict=True))
            then = places[:, source.joint_names.index(column[end])] - places[:, source.joint_names.index(column[joint])]
            if rest is None:
                now = place(pose)[0][:, number(joint)] @ torch.tensor(mocap.WAYS[way])
            else:
                now = ours[:, number(end)] - ours[:, number(joint)]
            assert degrees(now, then).max() < 1e-3, joint
    G, _ = place(mocap.to_smpl(clip("cmu_actions", rest=other), other)[0])  # the same bones: the same rest
    assert (G[:, [number(joint) for joint in LIMBS]] - torch.eye(3)).abs().max() < 1e-6


def test_hanging_arms_are_turned_down():
    """Of a source that rests with its arms down: ours turn down by a right angle about the axis that points ahead."""
    hangs = REST.clone()
    for side, sign in (("left", 1), ("right", -1)):
        at = hangs[number(f"{side}_shoulder")]
        for joint, down in (("elbow", 0.3), ("wrist", 0.55)):
            hangs[number(f"{side}_{joint}")] = at - down * Y
        pose, _ = mocap.to_smpl(clip("cmu_walk_bvh", rest=hangs))
        assert torch.allclose(pose[0, number(f"{side}_shoulder")], -sign * math.pi / 2 * Z, atol=1e-5)
        pose, _ = mocap.to_smpl(clip("cmu_walk_bvh", rest=hangs, turned={f"{side.capitalize()}Elbow": -X}))  # forward
        assert torch.allclose(pose[0, number(f"{side}_elbow")], -sign * Y, atol=1e-5)


def mirrored() -> mocap.Clip:
    """Bandai-Namco's frames, written down anew from its offsets: a trunk along x, and on the right x from end to start.

    Every rotation is against the parent, so these are the ones that make it stand in a T-pose.
    """
    offsets = {
        "Hips": (0, 0, 0), "Spine": (0.16, 0, 0), "Chest": (0.09, 0, 0), "Neck": (0.16, 0, 0), "Head": (0.06, 0, 0),
        "Shoulder_L": (0.13, 0, 0.05), "UpperArm_L": (0.05, 0, 0), "LowerArm_L": (0.24, 0, 0), "Hand_L": (0.22, 0, 0),
        "Shoulder_R": (0.13, 0, -0.05), "UpperArm_R": (-0.05, 0, 0), "LowerArm_R": (-0.2, 0, 0), "Hand_R": (-0.2, 0, 0),
        "UpperLeg_L": (-0.02, -0.06, 0), "LowerLeg_L": (0.39, 0, 0), "Foot_L": (0.41, 0, 0), "Toes_L": (0.12, 0, 0),
        "UpperLeg_R": (-0.02, 0.06, 0), "LowerLeg_R": (-0.39, 0, 0), "Foot_R": (-0.41, 0, 0), "Toes_R": (-0.12, 0, 0),
    }  # fmt: skip
    parents = (-1, 0, 1, 2, 3, 2, 5, 6, 7, 2, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
    against = {
        "Hips": torch.stack([Y, -X, Z], 1),  # columns: where its x, y, z point in the world, +x left, +z ahead
        "Spine": torch.stack([X, Z, -Y], 1),
        "Shoulder_L": torch.stack([Z, X, Y], 1),
        "Shoulder_R": torch.stack([Z, -X, -Y], 1),
        "UpperLeg_L": torch.diag(torch.tensor([-1.0, -1, 1])),
        "UpperLeg_R": torch.diag(torch.tensor([1.0, -1, -1])),
        "Foot_L": axis_angle_to_matrix(-math.radians(50) * Y),
        "Foot_R": axis_angle_to_matrix(-math.radians(50) * Y),
    }
    rotations = torch.stack([matrix_to_axis_angle(against.get(name, torch.eye(3))) for name in offsets])
    return clip(
        "bandai_namco", joint_names=tuple(offsets), parents=parents, rotations=rotations[None],
        offsets=torch.tensor(list(offsets.values())).float(),
    )  # fmt: skip


def test_mirrored_frames_stand_in_a_t_pose():
    source = mirrored()
    at = dict(zip(source.joint_names, source.world()[1][0], strict=True))
    for name, way in (("Head", Y), ("Hand_L", X), ("Hand_R", -X), ("Foot_L", -Y), ("Foot_R", -Y)):
        parent = source.joint_names[source.parents[source.joint_names.index(name)]]
        assert degrees(at[name] - at[parent], way) < 0.01, name
    assert at["Toes_L"][2] > 0.08 and at["Toes_R"][2] > 0.08 and at["UpperLeg_L"][0] > 0 > at["UpperLeg_R"][0]
    assert mocap.to_smpl(source)[0].abs().max() < 1e-3  # the T-pose is zero


def test_mirrored_frames_bend_the_way_people_do():
    """One and the same turn bends both knees back, another one both elbows ahead."""
    for name, joint, turn, ours in (("LowerLeg", "knee", Y, (X, X)), ("LowerArm", "elbow", -Y, (-Y, Y))):
        for side, expected in zip(("left", "right"), ours, strict=True):
            source = mirrored()
            source.rotations[0, source.joint_names.index(f"{name}_{side[0].upper()}")] = turn
            pose, _ = mocap.to_smpl(source)
            assert torch.allclose(pose[0, number(f"{side}_{joint}")], expected, atol=1e-3)


def test_a_skeleton_that_does_not_fit_is_told():
    with pytest.raises(DataError, match="no skeleton of cmu_amc, .* has the joints"):
        mocap.to_smpl(clip("cmu_amc", joint_names=tuple("abcdefghijklmnopqrstu")))
    with pytest.raises(DataError, match="06_01: the bone of left_hip has no length"):
        mocap.to_smpl(clip("cmu_amc", offsets=torch.zeros(21, 3)))
    with pytest.raises(DataError, match="bone of left_hip has no length, or points the other way"):
        mocap.to_smpl(clip("cmu_amc", rest=-REST))
    with pytest.raises(DataError, match="rest: the bone of left_hip"):
        mocap.to_smpl(clip("cmu_amc"), -REST)


# -- single poses ------------------------------------------------------------------------------------------------------


def test_poses_are_apart_and_the_same_by_seed():
    torch.manual_seed(4)
    turned = {"lfemur": 0.02 * torch.arange(60)[:, None] * X, "root": 0.5 * torch.randn(1, 3)}
    clips = [clip("cmu_amc", 60, turned=turned), clip("cmu_amc", 60, turned=turned | {"root": torch.zeros(1, 3)})]
    pose = mocap.poses(clips, use="training", every=1)
    assert pose.dtype == torch.float32 and pose.shape[1:] == (24, 3)
    assert torch.equal(pose, mocap.poses(iter(clips), use="training", every=1))
    assert not torch.equal(pose, mocap.poses(clips, use="training", every=1, seed=1))
    angle = pose[:, number("left_hip"), 0].sort().values  # one joint of 23 turns: root mean square = angle / sqrt(23)
    least = 2 * math.asin(math.sqrt(23) * 0.1 / 2)  # radians; d^2 = 2 (1 - cos theta) / 23
    assert angle.diff().min() > least - 1e-3 and len(pose) in (2, 3)  # of 1.18 radians; the other facing adds nothing
    assert len(mocap.poses(clips, use="training", every=1, apart=0.0)) == 120
    assert len(mocap.poses(clips, use="training", every=7, apart=0.0)) == 18
    assert mocap.poses([], use="training").shape == (0, 24, 3)


def test_thinning_agrees_with_doing_it_one_by_one():
    torch.manual_seed(5)
    R = axis_angle_to_matrix(0.3 * torch.randn(1_300, 2, 3)).flatten(1)
    kept: list[int] = []
    for row in range(len(R)):
        square = (R[row] - R[kept]).square().sum(1) / (2 * 2)  # |R - R'|^2 = 4 (1 - cos theta), of two joints
        if not kept or square.min() >= 0.3**2:
            kept.append(row)
    assert mocap._far_apart(R, 0.3).tolist() == kept and 20 < len(kept) < 1_000


def test_frames_beside_a_jump_are_left_out():
    turned = torch.zeros(9, 3)
    turned[4] = 1.5 * X  # one frame of nonsense
    assert len(mocap.poses([clip("cmu_amc", 9, turned={"lhumerus": turned})], use="training", every=1, apart=0.0)) == 6
    turned[4] = 0.5 * X
    assert len(mocap.poses([clip("cmu_amc", 9, turned={"lhumerus": turned})], use="training", every=1, apart=0.0)) == 9


# -- the real clips ----------------------------------------------------------------------------------------------------


class Source:
    """A clip, its pose, and the places of its own joints by our names."""

    def __init__(self, item: mocap.Clip):
        self.clip, (self.G, self.t), (self.pose, _) = item, item.world(), mocap.to_smpl(item, REST)
        self.names = dict(zip(JOINTS, mocap.SKELETONS[item.file], strict=True))
        self.names |= {"left_wrist": "LeftWrist", "right_wrist": "RightWrist"} if item.file == "cmu_walk_bvh" else {}

    def row(self, joint: str) -> int:
        return self.clip.joint_names.index(self.names[joint].split("~")[0])

    def bone(self, joint: str, end: str) -> Tensor:
        """From one joint to the next; to the forearm's end, where a wrist of two joints begins."""
        start, last = self.row(joint), self.row(end)
        while joint in LIMBS and self.clip.parents[last] != start:
            last = self.clip.parents[last]
        return self.t[:, last] - self.t[:, start]


@pytest.fixture(scope="module")
def files():
    """The clips of each file."""
    folder = os.environ.get("GENLAB_DATA")
    if not folder or not (Path(folder) / "mocap").is_dir():
        pytest.skip("captured motion is not at hand: GENLAB_DATA names no folder with mocap/ in it")
    return {file: mocap.load(file) for file in mocap.FILES}


@pytest.fixture(scope="module")
def real(files):
    """All clips of CMU and, to be quick, every eighth of Bandai-Namco, with their poses."""
    return {file: [Source(item) for item in clips[:: 1 if len(clips) < 100 else 8]] for file, clips in files.items()}


@pytest.mark.parametrize("file", mocap.FILES)
def test_the_real_files_are_whole(file, files):
    assert (len(files[file]), sum(len(item.root) for item in files[file])) == COUNTS[file]
    assert {item.fps for item in files[file]} == {30.0}


@pytest.mark.parametrize("file", mocap.FILES)
def test_real_limbs_point_as_they_did(file, real):
    """Thighs, shins, arms and the hips' axis exactly; trunk and shoulders, whose bones are others, nearly."""
    found = {"limbs": [], "hips": [], "shoulders": [], "trunk": [], "head": []}
    for source in real[file]:
        G, ours = place(source.pose)
        for joint, (end, _) in LIMBS.items():
            found["limbs"].append(degrees(ours[:, number(end)] - ours[:, number(joint)], source.bone(joint, end)))
        for pair in ("hips", "shoulders"):
            left, right = f"left_{pair[:-1]}", f"right_{pair[:-1]}"
            now = ours[:, number(left)] - ours[:, number(right)]
            found[pair].append(degrees(now, source.bone("neck", left) - source.bone("neck", right)))
        trunk = ours[:, number("neck")] - ours[:, number("pelvis")]
        found["trunk"].append(degrees(trunk, source.bone("pelvis", "neck")))
        row = source.row("head")  # turned as the source's own, whatever its bone
        stands = mocap._stance(source.clip, file)[row]
        found["head"].append(apart(G[:, number("head")], source.G[:, row] @ stands.mT))
    worst = {key: torch.cat(angles).max().item() for key, angles in found.items()}
    mean = {key: torch.cat(angles).mean().item() for key, angles in found.items()}
    assert worst["limbs"] < 1e-3 and worst["hips"] < 1e-3 and worst["head"] < 0.1
    assert worst["shoulders"] < 5 and worst["trunk"] < 20 and mean["trunk"] < 8


@pytest.mark.parametrize("file", mocap.FILES)
def test_real_people_bend_as_people_do(file, real):
    """Knees back, elbows ahead, heads up, toes ahead, the left on the left: a mirrored or turned body fails here."""
    pose = torch.cat([source.pose for source in real[file]])
    assert pose.isfinite().all()
    bent = {
        "left_knee": pose[:, number("left_knee"), 0], "right_knee": pose[:, number("right_knee"), 0],
        "left_elbow": -pose[:, number("left_elbow"), 1], "right_elbow": pose[:, number("right_elbow"), 1],
    }  # fmt: skip
    for joint, angle in bent.items():
        assert angle.mean() > 0.3 and angle.min() > -0.2, joint
    walks = torch.cat([source.pose for source in real[file] if "walk" in source.clip.label.lower()])
    G, ours = place(walks)
    ahead = G[:, 0, :, 2]
    assert (ahead[:, 1].abs() < 0.5).float().mean() > 0.99 and (G[:, 0, 1, 1] > 0.8).float().mean() > 0.99
    for side in ("left", "right"):
        toes = ours[:, number(f"{side}_foot")] - ours[:, number(f"{side}_ankle")]
        assert (toes * ahead).sum(-1).mean() > 0.05  # metres
    assert (G[:, number("head"), 1, 1] > 0.5).float().mean() > 0.95  # upright
    soles = G[:, number("left_ankle"), 1, 1]  # how far the foot's own up is up, where that foot is the lower one
    stands = ours[:, number("left_foot"), 1] < ours[:, number("right_foot"), 1] - 0.05
    assert torch.rad2deg(soles[stands].acos()).median() < 20


@pytest.mark.parametrize("file", mocap.FILES)
def test_real_walks_go_where_the_body_faces(file, real):
    """The path of the root and the front of our pelvis; not of three walks whose turns the file has lost."""
    for source in real[file]:
        item, ahead = source.clip, axis_angle_to_matrix(source.pose[:-1, 0])[..., 2]
        if item.label.split("|")[0] in ("walk", "Walk", "Walking", "walking", "walking_extra", "run", "running"):
            path = item.root.diff(dim=0)
            flat = [(way * torch.tensor([1.0, 0, 1]))[path[:, [0, 2]].norm(dim=1) > 0.015] for way in (ahead, path)]
            lost = item.file == "cmu_actions" and item.take in ("26_01", "27_01", "29_01")
            assert (degrees(*flat).median() > 40) if lost else (degrees(*flat).median() < 35), item.name


@pytest.mark.parametrize("file", mocap.FILES)
def test_real_motion_stays_as_smooth_as_it_was(file, real):
    """In the world our joints turn from frame to frame as the source's do, so nothing flips that did not; few jump."""
    jumps = frames = 0
    for source in real[file]:
        alone = [
            joint for joint, name in zip(JOINTS, mocap.SKELETONS[file], strict=True) if name != "-" and "~" not in name
        ]
        ours = place(source.pose)[0][:, [number(joint) for joint in alone]]
        theirs = source.G[:, [source.row(joint) for joint in alone]]
        ours, theirs = (apart(G[:-1], G[1:]) for G in (ours, theirs))
        assert ((ours - theirs).abs() * (theirs < 170)).max() < 0.1  # at a half turn the angle is not well conditioned
        R = axis_angle_to_matrix(source.pose)
        jumps += (torch.deg2rad(apart(R[:-1], R[1:])) > mocap.JUMP).any(dim=1).sum().item()
        frames += len(R)
    assert jumps / frames < 0.003


def test_two_conversions_of_a_take_give_one_pose(real):
    """One skeleton rests with its arms out, the other with its arms down. Not of pelvis and wrists, see there."""
    body = list(range(1, 20))
    known = {source.clip.take: source for file in ("cmu_walk_bvh", "cmu_amc") for source in real[file]}
    pairs = [(source, known[source.clip.take]) for source in real["cmu_actions"] if source.clip.take in known]
    assert len(pairs) == 13
    for one, two in pairs:
        R, other = (axis_angle_to_matrix(mocap.to_smpl(source.clip)[0][:, body]) for source in (one, two))
        assert apart(R, other).quantile(0.99) < 0.5


def test_no_performer_and_no_take_is_on_both_sides(files):
    training = mocap.training()
    train, valid = training["train"], training["valid"]
    assert {item.subject for item in valid} == set(mocap.HELD_OUT)
    assert not {item.subject for item in train} & {item.subject for item in valid}
    assert len({item.take for item in train + valid}) == len(train + valid) == 95
    assert {item.licence.name for item in train + valid} == {mocap.CMU.name}
    for item in train + valid:  # subjects are those of the takes' names: 02_01 is of cmu02
        head = item.take.partition("_")[0]
        assert item.subject == (f"cmu{head}" if head.isdigit() else "cmu-unknown")
    assert sum(item.subject == "cmu-unknown" for item in train) == 27


def test_clips_of_nobody_known_are_none_of_those_held_out(real):
    """Their frames are far from all of the held-out ones, where copies of a take are within a fraction of a degree."""

    def turned(source: Source) -> Tensor:
        return axis_angle_to_matrix(source.pose[:, 1:20]).flatten(1)

    recorded = real["cmu_amc"] + real["cmu_walk_bvh"]
    held = torch.cat([turned(source) for source in recorded if source.clip.subject in mocap.HELD_OUT])
    unknown, copies = [], []
    for source in real["cmu_actions"]:
        nearest = (3 - turned(source)[::4] @ held.T / 19).amin(dim=1).clamp_min(0).sqrt().median().item()  # radians
        if source.clip.subject == "cmu-unknown":
            unknown.append(nearest)
        elif source.clip.subject in mocap.HELD_OUT:
            copies.append(nearest)
    assert (len(unknown), len(copies)) == (28, 4)
    assert max(copies) < 0.02 < 0.1 < min(unknown)


def test_real_poses(files):
    clips = [*mocap.measuring()["cmu"][:6], *files["bandai_namco"][:6]]
    pose = mocap.poses(clips, use="measuring")
    assert pose.isfinite().all() and pose.norm(dim=-1).max() <= math.pi + 1e-3
    assert 100 < len(pose) < sum(len(item.root) for item in clips) / 3
