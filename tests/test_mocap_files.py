"""Published motion to clips: against points that are turned one after another, as stored, and broken in every way.

The forward kinematics here knows neither matrices nor parents' frames. It starts from the points of the rest pose and,
from the last joint to the first, turns all points that hang on a joint about an axis through it.
"""

import gzip
import itertools
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genlab.data import mocap, mocap_asf, mocap_bvh, mocap_text
from genlab.data.mocap_asf import read_asf_amc
from genlab.data.mocap_bvh import read_bvh
from genlab.data.mocap_files import SCALE, convert, main, write
from genlab.names import DataError
from genlab.ops.rotations import axis_angle_to_matrix

AXES = dict(zip("xyz", np.eye(3), strict=True))
UNIT = 0.0254 / 0.45  # CMU's, metres

# -- the same by other means -------------------------------------------------------------------------------------------


def turned(points: np.ndarray, centre: np.ndarray, axis: np.ndarray, angle: float) -> np.ndarray:
    """Points about a line, by Rodrigues: the part along the axis stays, the part across it goes round."""
    p = points - centre
    along = (p @ axis)[:, None] * axis
    across = p - along
    return centre + along + math.cos(angle) * across + math.sin(angle) * np.cross(axis, across)


def posed(rest: np.ndarray, parents: list[int], turns: list[list[tuple[np.ndarray, float]]], shift) -> np.ndarray:
    """turns: for each joint axes of the rest pose and angles, in the order in which they happen."""
    points = rest.astype(float)
    for joint in reversed(range(len(parents))):
        below = [k for k in range(len(parents)) if k == joint or joint in ancestors(k, parents)]
        for axis, angle in turns[joint]:
            points[below] = turned(points[below], rest[joint], axis, angle)
    return points + np.asarray(shift) - points[0]


def ancestors(k: int, parents: list[int]) -> list[int]:
    return [] if parents[k] < 0 else [parents[k], *ancestors(parents[k], parents)]


# -- asf and amc -------------------------------------------------------------------------------------------------------

# name, parent, direction, length, axis, its order, dof: an arm that bends, and what hangs on it. Two of the orders are
# not CMU's, whose axes are all XYZ; one dof is not in the order of the axis; hub has no turns, nub no length.
ARM = [
    ("hub", "root", (0.6, 0.8, 0.0), 2.0, (10, 20, 30), "XYZ", ""),
    ("upper", "hub", (1.0, 0.0, 0.0), 3.0, (0, 0, 20), "XYZ", "rx ry rz"),
    ("lower", "upper", (0.0, -0.6, 0.8), 2.5, (-90, 7.6e-16, 20), "ZXY", "rx rz"),
    ("hand", "lower", (0.0, 0.0, 1.0), 1.0, (45, -60, 15), "YZX", "rz ry"),
    ("thumb", "lower", (0.0, 1.0, 0.0), 0.5, (0, 0, 0), "XYZ", "ry"),
    ("leg", "root", (0.0, -1.0, 0.0), 4.0, (0, 0, -20), "XYZ", "rz"),
    ("nub", "leg", (0.0, 0.0, 0.0), 0.0, (0, 0, 0), "XYZ", ""),
]
LEAVES = ["hand", "thumb", "nub"]


def asf(bones=ARM, length="0.45", angle="deg") -> str:
    lines = [
        "# by hand",
        ":version 1.10",
        ":name ARM",
        ":units",
        "  mass 1.0",
        f"  length {length}",
        f"  angle {angle}",
    ]
    lines += [":documentation", "  none", ":root", "  order TX TY TZ RX RY RZ", "  axis XYZ", "  position 0 0 0"]
    lines += ["  orientation 0 0 0", ":bonedata"]
    for k, (name, _, direction, size, axis, order, dof) in enumerate(bones, start=1):
        axis = np.radians(axis) if angle == "rad" else axis
        lines += ["  begin", f"    id {k}", f"    name {name}", "    direction " + " ".join(map(str, direction))]
        lines += [f"    length {size}", f"    axis {' '.join(map(repr, map(float, axis)))}  {order}"]
        limits = ["(-160.0 20.0)"] * len(dof.split())
        lines += [f"    dof {dof}", "    limits " + limits[0], *limits[1:]] if dof else []
        lines += ["  end"]
    lines += [":hierarchy", "  begin"]
    for parent in ["root", *(bone[0] for bone in bones)]:
        if children := [bone[0] for bone in bones if bone[1] == parent]:
            lines.append(f"    {' '.join([parent, *children])}")
    return "\n".join([*lines, "  end", ""])


def amc(values: list[dict[str, list[float]]], how=":DEGREES") -> str:
    lines = ["#!OML:ASF", ":FULLY-SPECIFIED", *([how] if how else [])]
    for number, frame in enumerate(values, start=1):
        lines += [str(number), *(f"{name} {' '.join(map(repr, map(float, row)))}" for name, row in frame.items())]
    return "\n".join(lines) + "\n"


def motion(frames: int, bones=ARM, seed: int = 0) -> list[dict[str, list[float]]]:
    """Random channels of all that moves; as in CMU's files not in the order of the asf."""
    random = np.random.default_rng(seed)
    turns = {bone[0]: len(bone[6].split()) for bone in bones if bone[6]}
    names = list(reversed(turns))
    return [
        {"root": [*random.normal(size=3) * 10, *random.uniform(-180, 180, 3)]}
        | {name: random.uniform(-120, 120, turns[name]).tolist() for name in names}
        for _ in range(frames)
    ]


def by_hand(frame: dict[str, list[float]], unit: float = UNIT) -> dict[str, np.ndarray]:
    """Where each bone of ARM begins, and where those without children end, metres."""
    bones = {"root": ("root", "", (0, 0, 0), 0.0, (0, 0, 0), "XYZ", "rx ry rz")} | {bone[0]: bone for bone in ARM}
    names = [*bones, *(f"{leaf}_end" for leaf in LEAVES)]
    parents = [names.index(bones[name][1]) if bones.get(name, [""] * 2)[1] else -1 for name in bones]
    parents += [names.index(leaf) for leaf in LEAVES]
    rest, turns = np.zeros((len(names), 3)), [[] for _ in names]
    for k, parent in enumerate(parents):
        if parent >= 0:
            up = bones[names[parent]]
            rest[k] = rest[parent] + np.array(up[2]) * up[3]
    for k, (name, _, _, _, axis, order, dof) in enumerate(bones.values()):
        own = np.eye(3)  # the bone's x, y and z axes, one a row
        for letter in order.lower():
            own = turned(own, np.zeros(3), AXES[letter], math.radians(axis["xyz".index(letter)]))
        angles = dict(zip(dof.split(), frame.get(name, [])[-3:], strict=True))
        for letter in order.lower():
            turns[k].append((own["xyz".index(letter)], math.radians(angles.get(f"r{letter}", 0.0))))
    points = posed(rest, parents, turns, frame["root"][:3])
    return dict(zip(names, points * unit, strict=True))


@pytest.fixture
def arm(tmp_path):
    """The files of ARM in 9 frames, of which 30 a second are three."""
    values = motion(9)
    (tmp_path / "99.asf").write_text(asf())
    (tmp_path / "99_01.amc").write_text(amc(values))
    return tmp_path / "99.asf", tmp_path / "99_01.amc", values


def test_an_arm_stands_where_turning_points_puts_it(arm):
    skeleton, moving, values = arm
    clip = read_asf_amc(skeleton, moving)
    assert (clip.file, clip.name, clip.subject, clip.fps) == ("cmu_amc", "99_01", "cmu99", 30)
    names = ["root", "hub", "upper", "lower", "hand", "thumb", "leg", "nub", "hand_end", "thumb_end", "nub_end"]
    assert list(clip.joint_names) == names and clip.parents == (-1, 0, 1, 2, 3, 3, 0, 6, 4, 5, 7)
    places = clip.world()[1]
    assert places.shape == (3, 11, 3)
    for frame, place in zip(values[::4], places, strict=True):
        expected = by_hand(frame)
        assert np.allclose(place, [expected[name] for name in names], atol=1e-5)


def test_a_bone_turns_about_its_own_axes(tmp_path):
    """By hand. The axes of the bone, turned by 90 about z, are x' = y, y' = -x, z' = z: so rx = 90 turns it about the
    world's y, and what points to x then points to -z. The length is 0.45 units of 1 / 0.45 inches."""
    bones = [("bone", "root", (1, 0, 0), 0.45, (0, 0, 90), "XYZ", "rx")]
    (tmp_path / "a.asf").write_text(asf(bones))
    (tmp_path / "01_01.amc").write_text(amc([{"root": [0.45, 0, 0, 0, 0, 0], "bone": [90.0]}]))
    clip = read_asf_amc(tmp_path / "a.asf", tmp_path / "01_01.amc")
    assert np.allclose(clip.world()[1][0], [[0.0254, 0, 0], [0.0254, 0, 0], [0.0254, 0, -0.0254]], atol=1e-7)
    assert np.allclose(clip.rotations[0, 1], [0, math.pi / 2, 0], atol=1e-6)


def test_units_are_those_of_the_files(arm, tmp_path):
    """Radians in either file or both, and inches."""
    skeleton, moving, values = arm
    first = read_asf_amc(skeleton, moving).world()[1]
    radians = [{n: [*row[:-3], *np.radians(row[-3:]).tolist()] for n, row in frame.items()} for frame in values]
    for angle, text in itertools.product(("deg", "rad"), (amc(values), amc(radians, how=":RADIANS"))):
        skeleton.write_text(asf(angle=angle))
        moving.write_text(text)
        assert torch.allclose(read_asf_amc(skeleton, moving).world()[1], first, atol=1e-5)
    moving.write_text(amc(radians, how=None))  # says nothing, so the asf does
    assert torch.allclose(read_asf_amc(skeleton, moving).world()[1], first, atol=1e-5)
    skeleton.write_text(asf(length="1.0", angle="rad"))
    assert torch.allclose(read_asf_amc(skeleton, moving).world()[1], first * 0.45, atol=1e-5)


def test_bones_may_stand_in_any_order(arm):
    skeleton, moving, _ = arm
    first = read_asf_amc(skeleton, moving)
    skeleton.write_text(asf(ARM[::-1]))
    again = read_asf_amc(skeleton, moving)
    assert set(again.joint_names) == set(first.joint_names) and again.joint_names != first.joint_names
    order = [again.joint_names.index(name) for name in first.joint_names]
    assert torch.allclose(again.world()[1][:, order], first.world()[1], atol=1e-6)


# -- bvh ---------------------------------------------------------------------------------------------------------------

# name, parent, offset; an End Site where there is no channel
TREE = [
    ("hip", -1, (1.0, 2.0, 3.0)),
    ("chest", 0, (0.1, 1.5, -0.2)),
    ("elbow", 1, (2.0, 0.3, 0.0)),
    ("elbow_end", 2, (1.0, 0.0, 0.5)),
    ("knee", 0, (0.3, -2.0, 0.0)),
    ("knee_end", 4, (0.0, -2.0, 0.4)),
]


def bvh(tree, channels: dict[str, str], frames: list[list[float]], time: float = 1 / 120) -> str:
    """channels: of each joint, as its line has them."""
    lines, depth = ["HIERARCHY"], 0

    def close(to: int) -> None:
        nonlocal depth
        while depth > to:
            depth -= 1
            lines.append("\t" * depth + "}")

    deep: list[int] = []
    for name, parent, offset in tree:
        deep.append(deep[parent] + 1 if parent >= 0 else 0)
        close(deep[-1])
        word = "ROOT " + name if parent < 0 else f"JOINT {name}" if name in channels else "End Site"
        tab = "\t" * depth
        lines += [tab + word, tab + "{", f"{tab}\tOFFSET {' '.join(map(repr, map(float, offset)))}"]
        if name in channels:
            lines.append(f"{tab}\tCHANNELS {len(channels[name].split())} {channels[name]} ")
        depth += 1
    close(0)
    lines += ["MOTION", f"Frames:\t{len(frames)}", f"Frame Time: {time:.7f}"]
    return "\n".join([*lines, *(" ".join(map(repr, map(float, frame))) + " " for frame in frames), ""])


def spelled(order: str) -> str:
    return " ".join(f"{axis}rotation" for axis in order)


@pytest.mark.parametrize("orders", [("ZXY", "XYZ", "ZYX"), ("XYZ", "YZX", "ZXY"), ("ZYX", "YX", "Z")], ids="-".join)
def test_a_tree_stands_where_turning_points_puts_it(orders, tmp_path):
    """The first channel is the outermost turn: the last one of the line happens first."""
    random = np.random.default_rng(1)
    order = {"hip": orders[0], "chest": orders[1], "elbow": orders[2], "knee": orders[0]}
    channels = {name: spelled(axes) for name, axes in order.items()}
    channels["hip"] = "Xposition Yposition Zposition " + channels["hip"]
    count = sum(map(len, order.values()))
    frames = [[*random.normal(size=3), *random.uniform(-170, 170, count)] for _ in range(9)]
    path = tmp_path / "99_01.bvh"
    path.write_text(bvh(TREE, channels, frames))
    clip = read_bvh(path, file="cmu_walk_bvh")
    assert list(clip.joint_names) == [name for name, _, _ in TREE] and clip.parents == (-1, 0, 1, 2, 0, 4)
    assert (clip.file, clip.subject, clip.fps) == ("cmu_walk_bvh", "cmu99", 30)
    parents, rest = list(clip.parents), np.zeros((6, 3))
    for k, (_, parent, offset) in enumerate(TREE[1:], start=1):
        rest[k] = rest[parent] + offset
    places = clip.world()[1]
    assert len(places) == 3
    for frame, place in zip(frames[::4], places, strict=True):
        angles = iter(frame[3:])
        turns = [[(AXES[a.lower()], math.radians(next(angles))) for a in order.get(n, "")][::-1] for n, _, _ in TREE]
        assert np.allclose(place, posed(rest, parents, turns, frame[:3]) * UNIT, atol=1e-5)


def test_a_quarter_turn_by_hand(tmp_path):
    """Zrotation 90 outside of Xrotation 90: what points to y is first turned to z, where the other leaves it."""
    path = tmp_path / "dataset-1_walk-left_angry_001.bvh"
    tree, channels = [("hip", -1, (0, 0, 0)), ("hip_end", 0, (0, 100, 0))], {"hip": "Zrotation Xrotation"}
    path.write_text(bvh(tree, channels, [[90, 90]], time=1 / 30))
    clip = read_bvh(path, file="bandai_namco")
    assert np.allclose(clip.world()[1], [[[0, 0, 0], [0, 0, 1]]], atol=1e-6)
    assert (clip.name, clip.subject, clip.label) == (path.stem, "bandai1-style-angry", "walk-left|angry")
    assert clip.licence is mocap.BANDAI_NAMCO


def test_positions_replace_offsets_and_a_stage_is_not_the_body(tmp_path):
    """Six channels on every joint, as Bandai-Namco writes; the stage turns and carries the travelling hip along."""
    six = "Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    tree = [("stage", -1, (0, 0, 0)), ("hip", 0, (7, 7, 7)), ("chest", 1, (9, 9, 9)), ("chest_end", 2, (0, 50, 0))]
    frames = [[100, 0, 0, 0, 0, 90, x, 90, 0, 0, 0, 0, 0, 40, 0, 90, 0, 0] for x in (0, 200)]
    path = tmp_path / "dataset-2_run_old_001.bvh"
    path.write_text(bvh(tree, dict.fromkeys(["stage", "hip", "chest"], six), frames, time=0.0333333))
    clip = read_bvh(path, file="bandai_namco")
    assert clip.joint_names == ("hip", "chest", "chest_end") and clip.parents == (-1, 0, 1)
    # the stage turns x to -z, and so the chest's end, which points to -x of the hip, to z
    expected = [[[1, 0.9, z], [1, 1.3, z], [1, 1.3, z + 0.5]] for z in (0, -2)]
    assert np.allclose(clip.world()[1], expected, atol=1e-6)
    path.write_text(bvh(tree, dict.fromkeys(["stage", "hip", "chest"], six), frames[:1], time=0.0333333))
    assert read_bvh(path, file="bandai_namco").joint_names[0] == "stage"  # nothing travels, so it is a joint


def test_a_rest_frame_in_front_is_left_out(tmp_path):
    path, tree = tmp_path / "99_01.bvh", [("hip", -1, (0, 0, 0)), ("hip_end", 0, (0, 1, 0))]
    channels = {"hip": "Xposition Yposition Zposition Zrotation"}
    for angles, first in (((0, 1, 2, 3, 4, 5), 1), ((1, 2, 3, 4, 5, 6), 1), ((0, 0, 1), 0), ((0,), 0)):
        path.write_text(bvh(tree, channels, [[0, 0, 0, angle] for angle in angles]))
        clip = read_bvh(path, file="cmu_actions")
        assert clip.rotations[0, 0, 2] == pytest.approx(math.radians(first), abs=1e-6)
        assert len(clip.rotations) == math.ceil((len(angles) - (angles[0] == 0 and len(angles) == 6)) / 4)


@pytest.mark.parametrize("fps", [30, 45, 50, 60, 100, 119.88, 120])
def test_thirty_a_second(fps, tmp_path):
    """At one speed everything is where it is at that time, between frames too; also across the half turn."""
    path, tree = tmp_path / "99_01.bvh", [("hip", -1, (0, 0, 0)), ("hip_end", 0, (0, 1, 0))]
    time = np.arange(41) / fps
    frames = [[3 * t, 0, 0, 1 + 300 * t] for t in time]
    path.write_text(bvh(tree, {"hip": "Xposition Yposition Zposition Yrotation"}, frames, time=1 / fps))
    clip = read_bvh(path, file="cmu_actions")
    taken = np.arange(len(clip.root)) / 30
    assert taken[-1] <= time[-1] * 1.001 < taken[-1] + 1 / 30 * 1.002
    assert np.allclose(clip.root[:, 0], 3 * taken * UNIT, atol=2e-4)
    angle = np.radians(1 + 300 * taken)
    R = axis_angle_to_matrix(clip.rotations[:, 0])
    assert np.allclose(R[:, 0, 0], np.cos(angle), atol=1e-2) and np.allclose(R[:, 0, 2], np.sin(angle), atol=1e-2)


# -- files that mocap.load reads ---------------------------------------------------------------------------------------


def body() -> list[tuple]:
    """Bones of CMU's names, that stand upright with the arms to the sides."""
    left, right, up, down, ahead = (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1)
    rows = [("lowerback", "root", up), ("upperback", "lowerback", up), ("thorax", "upperback", up)]
    rows += [("lowerneck", "thorax", up), ("upperneck", "lowerneck", up), ("head", "upperneck", up)]
    for side, way in (("l", left), ("r", right)):
        rows += [(f"{side}hipjoint", "root", way), (f"{side}femur", f"{side}hipjoint", down)]
        rows += [(f"{side}tibia", f"{side}femur", down), (f"{side}foot", f"{side}tibia", ahead)]
        rows += [(f"{side}clavicle", "thorax", way), (f"{side}humerus", f"{side}clavicle", way)]
        rows += [(f"{side}radius", f"{side}humerus", way), (f"{side}hand", f"{side}radius", way)]
    return [(name, parent, way, 4.0, (0, 0, 0), "XYZ", "rx ry rz") for name, parent, way in rows]


def clips() -> list[mocap.Clip]:
    """Three of two performers; the third has the first one's skeleton."""
    random = torch.Generator().manual_seed(0)
    names = tuple(name for name in ("root", *(bone[0] for bone in body())))
    parents = (-1, *(names.index(bone[1]) for bone in body()))
    sizes = [torch.randn(len(names), 3, generator=random) for _ in range(2)]
    return [
        mocap.Clip(
            "cmu_amc", name, f"cmu{name[:2]}", label, 30.0, names, parents, size,
            torch.rand(frames, len(names), 3, generator=random) * 3.6 - 1.8,
            torch.randn(frames, 3, generator=random),
        )
        for name, label, size, frames in (
            ("03_01", "walk, turn", sizes[0], 4), ("02_01", "", sizes[1], 1), ("03_02", "Sprung \u00e9", sizes[0], 2)
        )
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """mocap/ in what GENLAB_DATA names."""
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path))
    (tmp_path / "mocap").mkdir()
    return tmp_path / "mocap"


def same(a: mocap.Clip, b: mocap.Clip, radians: float = 0.0) -> bool:
    words = ("file", "name", "subject", "label", "fps", "joint_names", "parents")
    return (
        all(getattr(a, word) == getattr(b, word) for word in words)
        and torch.equal(a.offsets, b.offsets)
        and torch.equal(a.root, b.root)
        and torch.allclose(a.rotations, b.rotations, rtol=0, atol=radians)
    )


def test_what_is_written_is_read(folder):
    made = clips()
    write(folder / "cmu_amc.npz", made)
    read = mocap.load("cmu_amc")
    assert all(same(a, b, radians=0.51 * float(SCALE)) for a, b in zip(made, read, strict=True))
    assert len(np.load(folder / "cmu_amc.npz")["offsets"]) == 2
    write(folder / "cmu_amc.npz", read)  # what was rounded once stays
    assert all(same(a, b) for a, b in zip(read, mocap.load("cmu_amc"), strict=True))
    assert [path.name for path in folder.iterdir()] == ["cmu_amc.npz"]


def test_half_turns_fit(folder):
    turns = torch.tensor([[math.pi, 0, 0], [0, -math.pi, 0], [math.pi / 2**0.5] * 2 + [0]])
    one = clips()[0]
    for turn in turns:
        write(folder / "cmu_amc.npz", [replace(one, rotations=turn.repeat(4, len(one.parents), 1))])
        assert torch.allclose(mocap.load("cmu_amc")[0].rotations[0, 0], turn, atol=1e-4)


NOT_WRITTEN = {
    "nothing": ("there are no clips", lambda a, b: []),
    "twice": ("two clips 03_01", lambda a, b: [a, a]),
    "other joints": ("differ in joints", lambda a, b: [a, replace(b, joint_names=b.joint_names[::-1])]),
    "other rates": ("differ in joints or rate", lambda a, b: [a, replace(b, fps=60.0)]),
    "no number": ("not a number", lambda a, b: [replace(a, rotations=a.rotations * math.nan)]),
    "two turns": ("beyond pi", lambda a, b: [replace(a, rotations=a.rotations + 4)]),
    "nowhere": ("root_position has numbers", lambda a, b: [replace(a, root=a.root / 0)]),
    "no frames": ("clip_start", lambda a, b: [replace(a, rotations=a.rotations[:0], root=a.root[:0])]),
    "a ring": ("parents are a tree", lambda a, b: [replace(a, parents=(1, 0, *a.parents[2:]))]),
}


@pytest.mark.parametrize("how", NOT_WRITTEN)
def test_what_load_would_refuse_is_not_written(how, folder):
    said, change = NOT_WRITTEN[how]
    with pytest.raises(DataError, match=said):
        write(folder / "cmu_amc.npz", change(*clips()[:2]))
    assert not list(folder.iterdir())


def published(root: Path) -> Path:
    """Two performers' takes as CMU's archive unpacks, in two folders."""
    for subject, takes in (("02", (1, 10)), ("144", (3,))):
        home = root / "subjects" / subject
        home.mkdir(parents=True)
        (home / f"{subject}.asf").write_text(asf(body()))
        for take in takes:
            (home / f"{subject}_{take:02}.amc").write_text(amc(motion(5, body(), seed=take)))
    return root / "subjects"


def test_the_command(folder, tmp_path, capsys):
    source = published(tmp_path)
    for file in ("cmu_amc", "cmu_walk_bvh", "cmu_actions"):
        assert main([str(source), str(folder / f"{file}.npz")]) == 0
        out = capsys.readouterr().out
        assert "3 clips, 6 frames" in out and mocap.CMU.credit in out
    read = mocap.load("cmu_amc")
    assert [(clip.name, clip.subject) for clip in read] == [
        ("02_01", "cmu02"),
        ("02_10", "cmu02"),
        ("144_03", "cmu144"),
    ]
    alone = read_asf_amc(source / "144/144.asf", source / "144/144_03.amc")
    assert same(alone, read[2], radians=0.51 * float(SCALE))
    parts = mocap.training()  # each take once, and nobody on both sides
    assert [c.name for c in parts["train"]] == ["144_03"] and [c.name for c in parts["valid"]] == ["02_01", "02_10"]
    assert mocap.poses(parts["train"], use="training").shape[1:] == (24, 3)
    assert main([str(source), str(folder / "cmu_amc.npz"), "--fps", "30"]) == 0
    assert len(mocap.load("cmu_amc")[0].rotations) == 5


def test_the_command_says_what_is_missing(folder, tmp_path, capsys):
    source, out = published(tmp_path), folder / "cmu_amc.npz"

    def said(*arguments) -> str:
        assert main([str(argument) for argument in arguments]) == 1
        assert not list(folder.iterdir())
        return capsys.readouterr().err

    assert "must be named cmu_amc.npz, cmu_walk_bvh.npz" in said(source, folder / "mine.npz")
    assert "make it first" in said(source, tmp_path / "no" / "cmu_amc.npz")
    assert "no amc or bvh files" in said(folder, out) and "no amc or bvh files" in said(tmp_path / "no", out)
    copy = source / "144_03.amc"
    shutil.copy(source / "144" / copy.name, copy)
    assert "put 144.asf beside it" in said(source, out)
    shutil.copy(source / "144/144.asf", source)
    assert "two clips 144_03" in said(source, out)
    copy.rename(source / "somebody.amc")
    (source / "144.asf").rename(source / "somebody.asf")
    assert "performer and take" in said(source, out)  # who it is decides on which side of the split
    (source / "somebody.amc").unlink()
    (source / "144/144.asf").write_text(asf())
    (source / "144/144_03.amc").write_text(amc(motion(5)))
    assert "144_03.amc would be of no use" in said(source, out)


# -- what is broken ----------------------------------------------------------------------------------------------------


def line(text: str, start: str) -> int:
    """The number of the first line that begins so."""
    return next(n for n, row in enumerate(text.split("\n"), start=1) if row.strip().startswith(start))


# which file; what its line begins with; what stands there instead; in which line, if another, and what is said
TREE_TEXT = bvh(
    TREE[:4],
    {"hip": "Xposition Yposition Zposition " + spelled("ZXY"), "chest": spelled("ZXY"), "elbow": spelled("Y")},
    [[0, 0, 0, *range(1, 8)]] * 5,
)
ROW = "0.0 0.0 0.0 1.0"
BROKEN = {
    "a page instead": ("asf", "# by hand", "<!DOCTYPE html>", "no asf"),
    "another form": ("asf", "# by hand", "HIERARCHY", "no asf"),
    "a unit of none": ("asf", "length 0.45", "length 0", "unit of length"),
    "a unit in words": ("asf", "length 0.45", "length inch", "unit of length"),
    "a root that glides": ("asf", "order", "order TX TY TZ", "root moves by"),
    "a root elsewhere": ("asf", "position", "position 0 1 0", "position of the root is not 0 0 0"),
    "a root turned": ("asf", "orientation", "orientation 0 90 0", "orientation of the root is not 0 0 0"),
    "axes of one letter": ("asf", "axis XYZ", "axis XXX", "axes of 'root'"),
    "no direction": ("asf", "direction", "direction 0 0 0", "'hub' has a length of 2 but no direction"),
    "half a direction": ("asf", "direction", "direction 1 0", "has 2 numbers, not 3"),
    "NaN for a length": ("asf", "length 2.0", "length nan", "not 1 finite numbers"),
    "less than nothing": ("asf", "length 2.0", "length -2", "length of -2"),
    "a giant": ("asf", "length 2.0", "length 1e9", "longer than 1000 metres"),
    "a bone that grows": ("asf", "dof rx ry rz", "dof rx ry l", "only rx, ry and rz"),
    "a bone named twice": ("asf", "name upper", "name hub", "two joints 'hub'"),
    "a bone without a name": ("asf", "name upper", "", "without its name"),
    "a name of two words": ("asf", "name upper", "name upper arm", "one word"),
    "a name that steers": ("asf", "name upper", "name \x1b[31m", r"'\\x1b\[31m' is no name"),
    "a bone left open": ("asf", "end", "", "begin stands where none should"),
    "an unknown bone": ("asf", "lower hand", "lower hand wing", "'wing', which is no bone"),
    "two parents": ("asf", "lower hand", "lower hand thumb leg", "two parents"),
    "a root below": ("asf", "lower hand", "lower hand thumb root", "is the root"),
    "a bone that hangs nowhere": ("asf", "hub upper", "", "does not hang on the root"),
    "a ring of bones": ("asf", "hub upper", "thumb upper", "does not hang on the root"),
    "a page for a motion": ("amc", "#!OML", "<!DOCTYPE html>", "no amc"),
    "a bone without turns": ("amc", "thumb", "hub 0", "no bone of the asf that turns"),
    "a stranger's bone": ("amc", "thumb", "tail 0", "no bone of the asf that turns"),
    "a bone twice": ("amc", "hand", "thumb 0", "twice in one frame"),
    "an angle too few": ("amc", "upper", "upper 1 2", "has 2 numbers, not 3"),
    "an angle too many": ("amc", "thumb", "thumb 1 2", "has 2 numbers, not 1"),
    "NaN for an angle": ("amc", "thumb", "thumb nan", "not 1 finite numbers"),
    "Windows' NaN": ("amc", "thumb", "thumb -1.#IND", "not 1 finite numbers"),
    "beyond all numbers": ("amc", "thumb", "thumb 1e999", "not 1 finite numbers"),
    "a frame lost": ("amc", "3", "4", "follows on frame 2"),
    "a frame as a novel": ("amc", "3", "3" * 9000, "follows on frame 2"),
    "a bone lost": ("amc", "thumb", "", "frame 1 has no 'thumb'"),
    "a flight": ("amc", "root", "root 0 1e7 0 0 0 0", "longer than 1000 metres"),
    "no bvh": ("bvh", "HIERARCHY", ":version 1.10", "no bvh"),
    "no root": ("bvh", "ROOT", "JOINT hip", "with one ROOT"),
    "two roots": ("bvh", "JOINT chest", "ROOT chest", "with one ROOT"),
    "two names": ("bvh", "JOINT chest", "JOINT hip", "two joints 'hip'"),
    "a name of many words": ("bvh", "JOINT chest", "JOINT my chest", "'chest', not {"),
    "a brace too many": ("bvh", "MOTION", "}\nMOTION", "outside of the ROOT"),
    "a brace too few": ("bvh", "}", "", "uneven"),
    "a third kind of joint": ("bvh", "JOINT chest", "SITE chest", "stands where OFFSET"),
    "no place": ("bvh", "OFFSET 0.1", "", "'chest' has no OFFSET"),
    "a place in words": ("bvh", "OFFSET 0.1", "OFFSET 0.1 up 0", "not 3 finite numbers"),
    "an endless place": ("bvh", "OFFSET 0.1", "OFFSET 0.1 inf 0", "not 3 finite numbers"),
    "channels by the dozen": ("bvh", "CHANNELS 3", "CHANNELS 12 Xrotation", "0 to 6 channels"),
    "channels unknown": ("bvh", "CHANNELS 3", "CHANNELS 1 Xscale", "Xposition, Zrotation"),
    "a channel twice": ("bvh", "CHANNELS 3", "CHANNELS 2 Xrotation Xrotation", "each once"),
    "no frames": ("bvh", "Frames:", "Frames: 0", "frames, not 0"),
    "less than no frames": ("bvh", "Frames:", "Frames: -1", "frames, not -1"),
    "half a frame": ("bvh", "Frames:", "Frames: 4.5", "frames, not 4.5"),
    "frames without end": ("bvh", "Frames:", "Frames: 1e12", "1 to .* frames"),
    "frames too few": ("bvh", "Frames:", "Frames: 9", "ends before frame 6 of 9"),
    "frames too many": ("bvh", "Frames:", "Frames: 4", "goes on after the 4 frames"),
    "no time": ("bvh", "Frame Time:", "Frame Time: 0", "takes some time"),
    "slow": ("bvh", "Frame Time:", "Frame Time: 0.0416667", "24 frames a second, of which 30"),
    "faster than all": ("bvh", "Frame Time:", "Frame Time: 1e-320", "frames a second"),
    "time unsaid": ("bvh", "Frame Time:", "", "Frame Time: should"),
    "a number too few": ("bvh", ROW, "1 2 3", "frame 1 has 3 numbers, not 10"),
    "NaN in a frame": ("bvh", ROW, "nan " * 10, "not 10 finite numbers"),
    "far away": ("bvh", ROW, "1e300 " * 10, "longer than 1000 metres"),
}  # fmt: skip


def read(kind: str, home: Path) -> mocap.Clip:
    """The bvh, or for either of the others both."""
    if kind == "bvh":
        return read_bvh(home / "99_01.bvh", file="cmu_actions")
    return read_asf_amc(home / "99.asf", home / "99_01.amc")


@pytest.fixture
def whole(tmp_path) -> dict[str, Path]:
    files = {"asf": tmp_path / "99.asf", "amc": tmp_path / "99_01.amc", "bvh": tmp_path / "99_01.bvh"}
    for kind, text in {"asf": asf(), "amc": amc(motion(5)), "bvh": TREE_TEXT}.items():
        files[kind].write_text(text)
    read("amc", tmp_path)
    read("bvh", tmp_path)
    return files


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_broken_is_told_with_its_line(how, whole, tmp_path):
    kind, start, instead, said = BROKEN[how]
    text = whole[kind].read_text()
    rows = text.split("\n")
    rows[line(text, start) - 1] = instead
    whole[kind].write_text("\n".join(rows))
    with pytest.raises(DataError, match=said) as caught:
        read(kind, tmp_path)
    told = str(caught.value)
    where = told.split(": ")[0].rpartition(":")
    assert Path(where[0]).parent == tmp_path and where[2].isdecimal(), told
    assert told.endswith("Fetch the file again, or leave it out.") and told.isprintable() and len(told) < 400


@pytest.mark.parametrize("how", ["no direction", "NaN for an angle", "an unknown bone", "two roots", "frames too many"])
def test_the_line_is_the_one(how, whole, tmp_path):
    kind, start, instead, _ = BROKEN[how]
    text = whole[kind].read_text()
    rows, number = text.split("\n"), line(text, start)
    rows[number - 1] = instead
    whole[kind].write_text("\n".join(rows))
    number = len(rows) - 1 if how == "frames too many" else number  # where the one too many stands
    with pytest.raises(DataError, match=f"{whole[kind].name}:{number}: "):
        read(kind, tmp_path)


@pytest.mark.parametrize("kind", ["asf", "amc", "bvh"])
def test_a_cut_file_is_told(kind, whole, tmp_path):
    """After whichever line. An amc says nowhere how many frames it has, so it may end before the number of any."""
    rows = whole[kind].read_text().rstrip("\n").split("\n")
    for count in range(len(rows)):
        whole[kind].write_text("\n".join(rows[:count]))
        if kind == "amc" and rows[count] in ("2", "3", "4", "5"):
            read(kind, tmp_path)
        else:
            with pytest.raises(DataError, match=rf"{whole[kind].name}:\d+: "):
                read(kind, tmp_path)


@pytest.mark.parametrize("kind", ["asf", "amc", "bvh"])
def test_a_changed_byte_never_ends_otherwise(kind, whole, tmp_path):
    """It is read, perhaps as another motion, or told."""
    data, told = whole[kind].read_bytes(), 0
    random = np.random.default_rng(2)
    for spot in random.integers(0, len(data), 150):
        whole[kind].write_bytes(data[:spot] + bytes([random.integers(256)]) + data[spot + 1 :])
        try:
            clip = read(kind, tmp_path)
            assert all(part.isfinite().all() for part in (clip.offsets, clip.rotations, clip.root))
        except DataError:
            told += 1
    assert told > 20


@pytest.mark.parametrize("kind", ["asf", "amc", "bvh"])
def test_other_bytes_are_told(kind, whole, tmp_path):
    noise = np.random.default_rng(3).bytes(5_000)
    for content in (b"", b"\n\n", b"\0" * 1000, noise, gzip.compress(whole[kind].read_bytes())):
        whole[kind].write_bytes(content)
        with pytest.raises(DataError, match=whole[kind].name):
            read(kind, tmp_path)
    whole[kind].unlink()
    with pytest.raises(DataError, match=f"{whole[kind].name} is no file"):
        read(kind, tmp_path)
    whole[kind].mkdir()
    with pytest.raises(DataError, match=f"{whole[kind].name} is no file"):
        read(kind, tmp_path)


def test_line_ends_and_marks_of_other_systems(whole, tmp_path):
    for kind in ("amc", "bvh"):
        first = read(kind, tmp_path)
        for file in whole.values():
            data = file.read_bytes()
            file.write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
        assert same(first, read(kind, tmp_path))
        for file, text in zip(whole.values(), (asf(), amc(motion(5)), TREE_TEXT), strict=True):
            file.write_text(text)


def test_depth_and_size_have_bounds(whole, tmp_path, monkeypatch):
    """A chain deeper than Python calls, and files beyond what is taken in."""
    for count, fine in ((500, True), (3_000, False)):
        chain = [("j0", -1, (0, 0, 0)), *((f"j{k}", k - 1, (0, 0.1, 0)) for k in range(1, count))]
        whole["bvh"].write_text(bvh(chain, {name: "Zrotation" for name, _, _ in chain}, [[0.1] * count]))
        bones = [(f"j{k}", f"j{k - 1}" if k else "root", (0, 1, 0), 0.1, (0, 0, 0), "XYZ", "") for k in range(count)]
        whole["asf"].write_text(asf(bones))
        whole["amc"].write_text(amc([{"root": [0.0] * 6}]))
        for kind in ("bvh", "asf"):
            if fine:
                assert len(read(kind, tmp_path).parents) >= count
            else:
                with pytest.raises(DataError, match="more than 512 joints"):
                    read(kind, tmp_path)
    whole["bvh"].write_text(TREE_TEXT)
    whole["asf"].write_text(asf())
    whole["amc"].write_text(amc(motion(9)))
    for reader in (mocap_asf, mocap_bvh):
        monkeypatch.setattr(reader, "MOST_VALUES", 15)
    for kind in ("amc", "bvh"):
        with pytest.raises(DataError, match="more than 15 values|1 to 3 frames, not 5"):
            read(kind, tmp_path)
    monkeypatch.setattr(mocap_text, "MOST_CHARACTERS", 30)
    for kind in ("amc", "bvh"):
        with pytest.raises(DataError, match=r":\d+: the line is longer than 30 characters"):
            read(kind, tmp_path)
    monkeypatch.setattr(mocap_text, "MOST_BYTES", 100)
    for kind in ("amc", "bvh"):
        with pytest.raises(DataError, match="more than 100 bytes"):
            read(kind, tmp_path)


def test_a_bone_that_stretches_is_told(tmp_path):
    tree, six = TREE[:4], "Xposition Yposition Zposition Zrotation"
    path = tmp_path / "99_01.bvh"
    frames = [[0] * 4 + [0, 1, 0, 5] + [0, y, 0, 5] for y in (1, 1.1)]
    path.write_text(bvh(tree, dict.fromkeys(["hip", "chest", "elbow"], six), frames))
    number = line(path.read_text(), "JOINT elbow")
    with pytest.raises(DataError, match=f"99_01.bvh:{number}: 'elbow' moves against its parent"):
        read_bvh(path, file="cmu_actions")


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("99_01.bvh", "amass", "say whose licence holds"),
        ("99_01.bvh", "bandai_namco", "Bandai-Namco's files are named"),
        ("dataset-1_bow_active_001.bvh", "cmu_actions", "CMU's files are named"),  # must not come under CMU's licence
        ("walk.bvh", "cmu_walk_bvh", "the name alone says who it is"),
        ("9_1_2.bvh", "cmu_walk_bvh", "CMU's files are named"),
    ],
)
def test_who_it_is_must_be_known(name, file, said, tmp_path):
    (tmp_path / name).write_text(TREE_TEXT)
    with pytest.raises(DataError, match=said):
        read_bvh(tmp_path / name, file=file)


# -- the stored clips --------------------------------------------------------------------------------------------------

STORED = Path(os.environ.get("GENLAB_DATA", "")) / "mocap"
stored = pytest.mark.skipif(
    not all((STORED / f"{file}.npz").is_file() for file in mocap.FILES),
    reason="captured motion is not at hand: GENLAB_DATA names no folder with mocap/ in it",
)


def unpack(home: Path, *names: str) -> None:
    """Of the published files a few lie beside the stored ones."""
    for name in names:
        packed = STORED / "original" / f"{name}.gz"
        if not packed.is_file():
            pytest.skip(f"no {packed.name} beside the stored motion")
        (home / name).write_bytes(gzip.decompress(packed.read_bytes()))


def exported(clip: mocap.Clip) -> str:
    """A stored clip as bvh, its angles read off the matrices: R = R_z(a) R_x(b) R_y(c) has -sin a cos b, cos a cos b in
    its second column, sin b below these, and -cos b sin c, cos b cos c in its last row."""
    R = axis_angle_to_matrix(clip.rotations.double())
    angles = [
        torch.atan2(-R[..., 0, 1], R[..., 1, 1]), torch.asin(R[..., 2, 1].clamp(-1, 1)),
        torch.atan2(-R[..., 2, 0], R[..., 2, 2]),
    ]  # fmt: skip
    unit = mocap_bvh.UNITS[clip.file]
    names, parents, order = depth_first(clip)
    joints = [name for name in names if not name.endswith("_end")]
    tree = [(names[k], parents[k], clip.offsets[order[k]].double() / unit) for k in range(len(names))]
    channels = {name: spelled("ZXY") for name in joints}
    channels[joints[0]] = "Xposition Yposition Zposition " + channels[joints[0]]
    kept = [clip.joint_names.index(name) for name in joints]
    frames = torch.cat([clip.root / unit, torch.rad2deg(torch.stack(angles, -1)[:, kept]).flatten(1)], dim=1)
    return bvh(tree, channels, frames.tolist(), time=1 / 30)


def depth_first(clip: mocap.Clip) -> tuple[list[str], list[int], list[int]]:
    """bvh has each joint's children behind it."""
    order, waiting = [], [0]
    while waiting:
        order.append(waiting.pop())
        waiting += [k for k, parent in enumerate(clip.parents) if parent == order[-1]][::-1]
    return (
        [clip.joint_names[k] for k in order],
        [order.index(clip.parents[k]) if k else -1 for k in order],
        order,
    )


@stored
@pytest.mark.parametrize("file", list(mocap.FILES))
def test_a_stored_clip_written_as_bvh_is_the_same(file, tmp_path):
    clip = min(mocap.load(file), key=lambda clip: len(clip.root))
    path = tmp_path / f"{clip.name if file == 'bandai_namco' else '99_01'}.bvh"
    path.write_text(exported(clip))
    again = read_bvh(path, file=file)
    order = [again.joint_names.index(name) for name in clip.joint_names]
    assert torch.allclose(again.world()[1][:, order], clip.world()[1], atol=1e-4)
    assert torch.allclose(again.world()[0][:, order], clip.world()[0], atol=1e-4)


@stored
@pytest.mark.parametrize(
    ("file", "name"),
    [("cmu_amc", "02_01"), ("cmu_walk_bvh", "07_01"), ("bandai_namco", "dataset-1_bow_active_001")],
)
def test_the_stored_clips_are_what_their_sources_give(file, name, tmp_path):
    """Made by other code, of which nothing is left but what it made."""
    unpack(tmp_path, *(["02.asf", "02_01.amc"] if file == "cmu_amc" else [f"{name}.bvh"]))
    (made,) = convert(tmp_path, tmp_path / f"{file}.npz")
    kept = next(clip for clip in mocap.load(file) if clip.name == name)
    assert same(replace(made, label=kept.label), kept, radians=0.51 * float(SCALE))
    assert torch.allclose(made.world()[1], kept.world()[1], atol=2e-4)  # which is what the rounding of angles does


@stored
def test_both_conversions_of_a_take_agree(tmp_path):
    """CMU's own files and a bvh of the same take put the legs in one place. The arms are known to differ."""
    unpack(tmp_path, "02.asf", "02_01.amc", "02_01.bvh")
    a = read_asf_amc(tmp_path / "02.asf", tmp_path / "02_01.amc")
    b = read_bvh(tmp_path / "02_01.bvh", file="cmu_walk_bvh")
    for one, other in (
        ("lfemur", "LeftHip"),
        ("rtibia", "RightKnee"),
        ("lfoot", "LeftAnkle"),
        ("ltoes_end", "LeftToe_end"),
    ):
        places = a.world()[1][:, a.joint_names.index(one)], b.world()[1][:, b.joint_names.index(other)]
        assert torch.allclose(*places, atol=1e-4)
