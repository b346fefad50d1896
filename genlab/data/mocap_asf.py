"""Acclaim's asf and amc, in which CMU's motion is published, read to a `mocap.Clip`.

    read_asf_amc("02.asf", "02_01.amc")         a skeleton, and a motion of it

A bone has axes of its own, C, in which its angles are given, while bones and their directions are those of the world
when all angles are zero. So a turn M about the bone's axes is, as a joint's rotation against its parent,

    R_b = C M C^-1,    C = R_z R_y R_x of `axis x y z XYZ`,    M = R_z R_y R_x of the angles that `dof` names

where XYZ says what comes first: x. A bone's joint is where it begins, which is where its parent ends, so

    offset_b = length_p direction_p of its parent p,    0 below the root;    a bone with no child has one, NAME_end

World places follow as everywhere: G_b = G_p R_b, P_b = P_p + G_p offset_b. Lengths become metres, 0.0254 / `length`
each (CMU's unit is 1 / 0.45 inches), angles radians; y stays up.
"""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from genlab.data.mocap import Clip
from genlab.data.mocap_text import (
    MOST_JOINTS,
    MOST_METRES,
    MOST_VALUES,
    Line,
    clip_of,
    joint_name,
    lines,
    quoted,
    table,
    turn,
    who_is_it,
)

INCH = 0.0254  # metres
DEGREE = math.pi / 180
SECTIONS = {"root", "bonedata", "hierarchy"}  # without which there is no skeleton
FIELDS = {"name", "direction", "length", "axis", "dof"}  # of a bone; its number, mass and limits say nothing of motion


@dataclass
class Bone:
    """With the root, which has no length, and whose channels are places too."""

    line: Line
    name: str = ""
    tail: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))  # length times direction
    axis: Sequence[float] = (0.0, 0.0, 0.0)  # in the unit of the asf
    order: str = "xyz"  # which axis is turned about first
    dof: Sequence[str] = ()  # the channels, in the order of the amc


def read_asf_amc(asf: str | Path, amc: str | Path, *, file: str = "cmu_amc", fps: float = 120.0) -> Clip:
    """The motion of an amc on the skeleton of its asf, at 30 frames a second.

    Joints are the root, the bones each before its children, then the ends of those without any (F frames, J joints).
    fps: the amc's, which it does not say; CMU's index of takes does, and it is 120 but for some. file: under which of
    mocap.FILES it goes, which is whose licence holds. Name, subject and label are from the name of the amc.

    Raises DataError for what is no asf or amc; bones that are no tree below the root, or move otherwise than by rx, ry,
    rz; a root that begins turned or away from 0; frames that are missing, or lack a bone that turns, or have one that
    is not in the asf; numbers that are not finite; sizes beyond the bounds on top.
    """
    asf, amc = Path(asf), Path(amc)
    who = who_is_it(amc, file)
    bones, parents, unit, degrees = _skeleton(asf)
    rows, turns_in_degrees, line = _motion(amc, bones, degrees)
    of_axes, of_turns = (DEGREE if yes else 1.0 for yes in (degrees, turns_in_degrees))
    leaves = [k for k in range(1, len(bones)) if k not in parents]
    names: list[str] = []
    for bone, name in [(b, b.name) for b in bones] + [(bones[k], f"{bones[k].name}_end") for k in leaves]:
        names.append(joint_name(bone.line, name, names))
    parents = [*parents, *leaves]
    offsets = torch.stack([bones[max(parent, 0)].tail for parent in parents]) * unit

    def pose(rows: Float[Tensor, "F N"]) -> tuple[Float[Tensor, "F J 3 3"], Float[Tensor, "F 3"]]:
        R, start, root = torch.eye(3, dtype=torch.float64).repeat(len(rows), len(names), 1, 1), 0, rows[:, :3]
        for k, bone in enumerate(bones):
            columns = {channel: rows[:, start + i] for i, channel in enumerate(bone.dof)}
            start += len(bone.dof)
            if k == 0:
                root = torch.stack([columns[channel] for channel in ("tx", "ty", "tz")], dim=1) * unit
            C, M = torch.eye(3, dtype=torch.float64), R[:, k]
            for axis in bone.order:  # what comes first is innermost
                C = turn(axis, of_axes * torch.tensor(bone.axis["xyz".index(axis)], dtype=torch.float64)) @ C
                if (channel := f"r{axis}") in columns:
                    M = turn(axis, of_turns * columns[channel]) @ M
            R[:, k] = C @ M @ C.mT
        return R, root

    return clip_of(line, who, file, names, parents, offsets, rows, pose, fps)


def _skeleton(path: Path) -> tuple[list[Bone], list[int], float, bool]:
    """Root and bones, parents first, and what each hangs on; metres of a unit; whether angles are degrees."""
    line, section, inside = Line(path, 1, []), "", None
    units: dict[str, str] = {}
    root = Bone(line, "root", dof=("tx", "ty", "tz", "rx", "ry", "rz"))
    bones: dict[str, Bone] = {"root": root}
    fields: dict[str, Line] = {}
    links: list[Line] = []
    seen: set[str] = set()
    for line in lines(path):
        key = line.words[0].lower()
        if key.startswith(":"):
            if inside:
                raise line.wrong(f"{quoted(key)} stands where the end of what begins in line {inside} should")
            section = key[1:]
            seen |= {section} & SECTIONS
        elif not section:
            raise line.wrong(f"this is no asf: it begins with {quoted(line.words[0])}, not with :version or a section")
        elif section == "units":
            units |= {key: line.words[-1]} if key in ("length", "angle") else {}
        elif section == "root":
            _root_line(line, root)
        elif section in ("bonedata", "hierarchy") and key in ("begin", "end"):
            if (key == "begin") == bool(inside):
                raise line.wrong(f"{key} stands where none should")
            if key == "end" and section == "bonedata":
                bone = _bone(line, fields)
                bones[joint_name(line, bone.name, list(bones))] = bone
            inside, fields = line.number if key == "begin" else None, {}
        elif section in ("bonedata", "hierarchy") and not inside:
            raise line.wrong(f"{quoted(key)} stands outside of begin and end")
        elif section == "bonedata":
            fields |= {key: line} if key in FIELDS else {}
        elif section == "hierarchy":
            links.append(line)
            if len(links) > MOST_JOINTS:
                raise line.wrong(f"the hierarchy has more than {MOST_JOINTS} lines, which no body has")
    missing = SECTIONS - seen
    if missing or inside or not links:
        what = f"what begins in line {inside} does" if inside else f":{min(missing | {'hierarchy'})} does"
        raise line.wrong(f"this is no whole asf: it ends before {what}")
    for bone in bones.values():
        if bone.order not in ("xyz", "xzy", "yxz", "yzx", "zxy", "zyx"):
            raise bone.line.wrong(
                f"the axes of {quoted(bone.name)} are {quoted(bone.order)}, not x, y and z in some order"
            )
    order, parents = _tree(bones, links)
    try:
        unit = INCH / float(units.get("length", "1"))
    except (ValueError, ZeroDivisionError):
        unit = math.nan
    if not 0 < unit < MOST_METRES:
        raise line.wrong(f"its unit of length is {quoted(units['length'])}: CMU's asf say length 0.45")
    return order, parents, unit, not units.get("angle", "deg").lower().startswith("rad")


def _root_line(line: Line, root: Bone) -> None:
    key, words = line.words[0].lower(), [word.lower() for word in line.words[1:]]
    if key == "order":
        root.line, root.dof = line, words
        if sorted(words) != ["rx", "ry", "rz", "tx", "ty", "tz"]:
            raise line.wrong(f"the root moves by {quoted(' '.join(words))}, not by TX, TY, TZ, RX, RY and RZ")
    elif key == "axis":
        root.line, root.order = line, "".join(words)
    elif key in ("position", "orientation") and any(line.numbers(words, 3, key)):
        raise line.wrong(
            f"the {key} of the root is not 0 0 0; what else it may mean nobody agrees on, and CMU's has none"
        )


def _bone(end: Line, fields: dict[str, Line]) -> Bone:
    """Of the lines between begin and end."""
    if missing := FIELDS - {"dof"} - fields.keys():
        raise end.wrong(f"a bone ends without its {min(missing)}")
    at, turned = fields["name"], fields["axis"]
    name = " ".join(at.words[1:])
    if not name or " " in name:
        raise at.wrong(f"{quoted(name)} is no name of a bone: it is one word")
    direction = fields["direction"].numbers(fields["direction"].words[1:], 3, f"the direction of {quoted(name)}")
    (length,) = fields["length"].numbers(fields["length"].words[1:], 1, f"the length of {quoted(name)}")
    size = math.hypot(*direction)
    if length < 0 or length and not 0 < size < math.inf:
        raise fields["direction"].wrong(f"the bone {quoted(name)} has a length of {length:g} but no direction for it")
    axis = turned.numbers(turned.words[1:4], 3, f"the axis of {quoted(name)}")
    dof = [word.lower() for word in fields["dof"].words[1:]] if "dof" in fields else []
    if len(set(dof)) < len(dof) or not set(dof) <= {"rx", "ry", "rz"}:
        raise fields["dof"].wrong(
            f"the bone {quoted(name)} moves by {quoted(' '.join(dof))}: only rx, ry and rz are read"
        )
    tail = torch.tensor(direction, dtype=torch.float64) * (length / size if length else 0.0)
    return Bone(turned, name, tail, axis, "".join(turned.words[4:]).lower() or "xyz", dof)


def _tree(bones: dict[str, Bone], links: list[Line]) -> tuple[list[Bone], list[int]]:
    """The bones from the root on, parents first, each branch to its end; and the number of each one's parent."""
    children: dict[str, list[str]] = {name: [] for name in bones}
    hung: set[str] = {"root"}
    for line in links:
        for name in line.words:
            if name not in bones:
                raise line.wrong(f"the hierarchy has {quoted(name)}, which is no bone of this asf")
        for name in line.words[1:]:
            if name in hung:
                raise line.wrong(f"{quoted(name)} has two parents, or is the root: bones are a tree")
            hung.add(name)
            children[line.words[0]].append(name)
    order, parents, waiting = [], [], [("root", -1)]
    while waiting:
        name, parent = waiting.pop()
        waiting += [(child, len(order)) for child in reversed(children[name])]
        order.append(bones[name])
        parents.append(parent)
    if lost := bones.keys() - {bone.name for bone in order}:
        raise links[-1].wrong(f"the bone {quoted(min(lost))} does not hang on the root")
    return order, parents


def _motion(path: Path, bones: list[Bone], degrees: bool) -> tuple[Float[Tensor, "F N"], bool, Line]:
    """The channels of all bones, frame after frame; whether angles are degrees; the last line."""
    spans: dict[str, tuple[int, int]] = {}
    width = 0
    for bone in bones:
        if bone.dof:
            spans[bone.name] = (width, width + len(bone.dof))
            width += len(bone.dof)
    line, numbers, row = Line(path, 1, []), array("d"), [0.0] * width
    frame, missing = None, set()
    for line in lines(path):
        name = line.words[0]
        if name.startswith(":") and frame is None:
            degrees = {":DEGREES": True, ":RADIANS": False}.get(name.upper(), degrees)
        elif len(line.words) == 1 and name.isascii() and name.isdecimal():
            if missing:
                raise line.wrong(f"frame {frame} has no {quoted(min(missing))}")
            if frame is not None:
                numbers.extend(row)
                if name != str(frame + 1):
                    raise line.wrong(f"frame {quoted(name)} follows on frame {frame}: some are missing")
            if len(numbers) // width * len(bones) > MOST_VALUES:
                raise line.wrong(f"it has more than {MOST_VALUES:,} values, which no motion has")
            frame, missing = int(name[:9]), set(spans)
        elif frame is None:
            raise line.wrong(f"this is no amc: {quoted(name)} stands where the number of the first frame should")
        elif name in missing:
            start, stop = spans[name]
            row[start:stop] = line.numbers(line.words[1:], stop - start, quoted(name))
            missing.remove(name)
        else:
            known = "twice in one frame" if name in spans else "which is no bone of the asf that turns"
            raise line.wrong(f"there is {quoted(name)}, {known}")
    if frame is None:
        raise line.wrong("this is no amc: it has no frames")
    if missing:
        raise line.wrong(f"the file ends in frame {frame}, which has no {quoted(min(missing))}")
    numbers.extend(row)
    return table(numbers, width), degrees, line
