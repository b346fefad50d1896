"""Biovision's bvh, to which CMU's motion was converted, and in which Bandai-Namco's is published, to a `mocap.Clip`.

    read_bvh("02_01.bvh", file="cmu_walk_bvh")
    read_bvh("dataset-1_bow_active_001.bvh", file="bandai_namco")

A tree of joints with offsets, and for each frame their channels: angles about the axes of the parent's frame. In the
order of a joint's line, such as Zrotation Yrotation Xrotation, the first channel is the outermost turn:

    R_k = R_z(a) R_y(b) R_x(c),    G_k = G_p R_k,    P_k = P_p + G_p offset_k of its parent p

Angles are degrees and become radians, lengths metres; y stays up.
"""

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from genlab.data.mocap import Clip
from genlab.data.mocap_text import MOST_VALUES, Line, clip_of, joint_name, lines, quoted, table, turn, who_is_it

CMU_UNIT = 0.0254 / 0.45  # metres; that of CMU's asf, which the conversions kept
UNITS = {
    "cmu_amc": CMU_UNIT,
    "cmu_walk_bvh": CMU_UNIT,
    "cmu_actions": CMU_UNIT,
    "bandai_namco": 0.01,
}  # a bvh says none
STILL = 1e-3  # metres: a bone that changes by less has one length


@dataclass
class Joint:
    line: Line
    name: str
    parent: int
    offset: list[float] | None = None
    channels: list[tuple[str, str, int]] = field(default_factory=list)  # what, about or along which axis, column

    def place(self, rows: Float[Tensor, "F N"]) -> Float[Tensor, "F 3"]:
        """Where it is in its parent's frame: its offset, but for the coordinates that have a channel."""
        place = torch.tensor(self.offset, dtype=torch.float64).repeat(len(rows), 1)
        for what, axis, column in self.channels:
            if what == "position":
                place[:, "xyz".index(axis)] = rows[:, column]
        return place

    def moves(self, rows: Float[Tensor, "F N"], unit: float) -> bool:
        place = self.place(rows) * unit
        return bool(((place - place[0]).abs() > STILL).any())


def read_bvh(path: str | Path, *, file: str) -> Clip:
    """The motion of a bvh at 30 frames a second.

    Joints are in the order of the file, an End Site as NAME_end (F frames, J joints). file: under which of mocap.FILES
    it goes: that says whose licence holds and which unit lengths have, as a bvh does not: for CMU's that of its asf,
    for Bandai-Namco's a centimetre. Name, subject and label are from the file's name.

    A channel of position replaces that coordinate of the offset, and is in the parent's frame too, as Blender reads it
    and Bandai-Namco writes it. Two things are no motion: a first frame without any turn, followed by turns, which is
    the rest pose that converters of CMU's put in front; and a root with one child that travels, which is a stage:
    the clip's root is then this child, carried along by what was above it.

    Raises DataError for what is no bvh; joints that are no tree with one root, or have one name; a bone below the root
    whose length changes, which a clip cannot say; fewer or more frames than announced, or none; numbers that are not
    finite; sizes beyond the bounds on top.
    """
    path = Path(path)
    who, unit = who_is_it(path, file), UNITS[file]
    words = Words(lines(path), Line(path, 1, []))
    joints = _hierarchy(words)
    rows, fps, line = _frames(words, joints)
    turns = [column for joint in joints for what, _, column in joint.channels if what == "rotation"]
    if len(rows) > 1 and not rows[0, turns].any() and rows[1, turns].any():
        rows = rows[1:]
    first = 0
    while [joint.parent for joint in joints].count(first) == 1 and joints[first + 1].moves(rows, unit):
        first += 1
    for joint in joints[first + 1 :]:
        if joint.moves(rows, unit):
            raise joint.line.wrong(f"{quoted(joint.name)} moves against its parent, and bones here have one length")
    offsets = torch.stack([joint.place(rows[:1])[0] for joint in joints[first:]]) * unit
    offsets[0] = 0  # the root's place is in the frames

    def pose(rows: Float[Tensor, "F N"]) -> tuple[Float[Tensor, "F J 3 3"], Float[Tensor, "F 3"]]:
        R = torch.eye(3, dtype=torch.float64).repeat(len(rows), len(joints), 1, 1)
        for k, joint in enumerate(joints):
            for what, axis, column in joint.channels:
                if what == "rotation":
                    R[:, k] = R[:, k] @ turn(axis, rows[:, column] * math.pi / 180)
        root = joints[0].place(rows)
        for k in range(1, first + 1):
            root = root + (R[:, k - 1] @ joints[k].place(rows)[..., None])[..., 0]
            R[:, k] = R[:, k - 1] @ R[:, k]
        return R[:, first:], root * unit

    names, parents = zip(*((joint.name, max(joint.parent - first, -1)) for joint in joints[first:]), strict=True)
    return clip_of(line, who, file, names, parents, offsets, rows, pose, fps)


class Words:
    """The words of a file one after another, and the line of the last one."""

    def __init__(self, lines: Iterator[Line], line: Line):
        self.lines, self.line, self.left = lines, line, iter(())

    def next(self, expected: str) -> str:
        """The next one, or a DataError that the file ends before what was expected."""
        while (word := next(self.left, None)) is None:
            self.next_line(expected)
            self.left = iter(self.line.words)
        return word

    def next_line(self, expected: str) -> Line:
        line = next(self.lines, None)
        if line is None:
            raise self.line.wrong(f"the file ends before {expected}")
        self.line, self.left = line, iter(())
        return line


def _hierarchy(words: Words) -> list[Joint]:
    """The joints in the order of the file, parents first, up to the word MOTION."""
    word = words.next("HIERARCHY: this is no bvh")
    if word != "HIERARCHY":
        raise words.line.wrong(f"this is no bvh: it begins with {quoted(word)}, not with HIERARCHY")
    joints: list[Joint] = []
    inside: list[int] = []  # the joints that are not closed yet
    columns = 0
    while (word := words.next("MOTION")) != "MOTION":
        line, joint = words.line, joints[inside[-1]] if inside else None
        if word in ("ROOT", "JOINT", "End"):
            if (word == "ROOT") != (not joints) or (joint is None and word != "ROOT"):
                raise line.wrong(f"{word} stands where none should: joints are a tree with one ROOT")
            name = words.next("the name of a joint")
            if word == "End":
                name = f"{joint.name}_end"
            name = joint_name(words.line, name, [joint.name for joint in joints])
            joints.append(Joint(words.line, name, inside[-1] if inside else -1))
            inside.append(len(joints) - 1)
            if (word := words.next("{")) != "{":
                raise words.line.wrong(f"after the name of a joint stands {quoted(word)}, not {{")
        elif joint is None:
            raise line.wrong(f"{quoted(word)} stands outside of the ROOT")
        elif word == "OFFSET":
            joint.offset = line.numbers(
                [words.next("an offset") for _ in "xyz"], 3, f"the offset of {quoted(joint.name)}"
            )
        elif word == "CHANNELS":
            joint.channels = _channels(words, columns)
            columns += len(joint.channels)
        elif word == "}":
            if joint.offset is None:
                raise line.wrong(f"{quoted(joint.name)} has no OFFSET")
            inside.pop()
        else:
            raise line.wrong(f"{quoted(word)} stands where OFFSET, CHANNELS, JOINT, End Site or }} should")
    if inside or not joints:
        raise words.line.wrong(
            f"MOTION stands before the ROOT {'is closed' if inside else 'does'}: {{ and }} are uneven"
        )
    if not columns:
        raise words.line.wrong("no joint has CHANNELS, so nothing moves")
    return joints


def _channels(words: Words, column: int) -> list[tuple[str, str, int]]:
    count = words.next("the number of channels")
    if count not in list("0123456"):
        raise words.line.wrong(f"a joint has 0 to 6 channels, not {quoted(count)}")
    names = [words.next("a channel").lower() for _ in range(int(count))]
    known = [name[:1] in ("x", "y", "z") and name[1:] in ("position", "rotation") for name in names]
    if not all(known) or len(set(names)) < len(names):
        raise words.line.wrong(
            f"the channels are {quoted(' '.join(names))}, not Xposition, Zrotation and so on, each once"
        )
    return [(name[1:], name[0], column + i) for i, name in enumerate(names)]


def _frames(words: Words, joints: list[Joint]) -> tuple[Float[Tensor, "F N"], float, Line]:
    """The numbers of each frame, frames a second, and the line that says so."""
    width = sum(len(joint.channels) for joint in joints)
    line = words.next_line("Frames:")
    if line.words[0].lower() != "frames:":
        raise line.wrong(f"{quoted(line.words[0])} stands where Frames: should")
    (count,) = line.numbers(line.words[1:], 1, "Frames:")
    if not 0 < count * len(joints) <= MOST_VALUES or count % 1:
        raise line.wrong(
            f"a motion of {len(joints)} joints has 1 to {MOST_VALUES // len(joints):,} frames, not {count:g}"
        )
    timed = words.next_line("Frame Time:")
    if [word.lower() for word in timed.words[:2]] != ["frame", "time:"]:
        raise timed.wrong(f"{quoted(timed.words[0])} stands where Frame Time: should")
    (seconds,) = timed.numbers(timed.words[2:], 1, "Frame Time:")
    if not 0 < seconds < math.inf:
        raise timed.wrong(f"a frame takes some time, not {seconds:g} seconds")
    numbers = array("d")
    for frame in range(1, int(count) + 1):
        line = words.next_line(f"frame {frame} of {count:g}")
        numbers.extend(line.numbers(line.words, width, f"frame {frame}"))
    if more := next(words.lines, None):
        raise more.wrong(f"it goes on after the {count:g} frames that it announced")
    return table(numbers, width), 1 / seconds, timed
