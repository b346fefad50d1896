"""What the readers of published motion share: lines of text that are not trusted, and clips made of their frames.

Whatever is not in a form, or no motion of a body, is a DataError with the file, the line and what to do. Text is read
as names and numbers only, and the bounds below keep memory and time in proportion to what is published.
"""

import math
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from genlab.data.mocap import FILES, Clip
from genlab.names import DataError
from genlab.ops.rotations import axis_angle_to_matrix, matrix_to_axis_angle

FPS = 30.0

MOST_BYTES = 1 << 26  # of a file
MOST_CHARACTERS = 1 << 17  # of a line, in which all numbers of a frame may stand
MOST_JOINTS = 512
MOST_VALUES = 1 << 21  # frames times joints: seven minutes of CMU's 38 at 120 a second
MOST_METRES = 1_000.0

Pose = Callable[[Tensor], tuple[Tensor, Tensor]]  # numbers (F, N) to local rotations (F, J, 3, 3), root (F, 3)


# -- text, and what is wrong with it -----------------------------------------------------------------------------------


class Line(NamedTuple):
    path: Path
    number: int
    words: list[str]

    def wrong(self, problem: str) -> DataError:
        return DataError(f"{self.path}:{self.number}: {problem}. Fetch the file again, or leave it out.")

    def numbers(self, words: Sequence[str], count: int, of: str) -> list[float]:
        """The words as that many finite numbers."""
        if len(words) != count:
            raise self.wrong(f"{of} has {len(words)} numbers, not {count}")
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = [math.nan]
        if not all(map(math.isfinite, numbers)):
            raise self.wrong(f"{of} is {quoted(' '.join(words))}, which are not {count} finite numbers")
        return numbers


def quoted(text: str) -> str:
    """A stranger's words, in quotes and without what would steer a terminal."""
    return ascii(text if len(text) <= 60 else text[:57] + "...")


def lines(path: Path) -> Iterator[Line]:
    """Lines with words in them, but for comments. Bytes that are no text become marks that no name or number has."""
    if not path.is_file():
        raise DataError(f"{path} is no file: name one that is there")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path} has more than {MOST_BYTES:,} bytes, which no motion has: cut it, or leave it out")
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as text:
            for number, line in enumerate(iter(lambda: text.readline(MOST_CHARACTERS), ""), start=1):
                if len(line) == MOST_CHARACTERS:
                    raise Line(path, number, []).wrong(f"the line is longer than {MOST_CHARACTERS:,} characters")
                words = line.split()
                if words and not words[0].startswith("#"):
                    yield Line(path, number, words)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def joint_name(line: Line, word: str, taken: Sequence[str]) -> str:
    """A new joint's."""
    if not word.isprintable() or "\ufffd" in word:
        raise line.wrong(f"{quoted(word)} is no name of a joint")
    if word in taken:
        raise line.wrong(f"there are two joints {quoted(word)}")
    if len(taken) >= MOST_JOINTS:
        raise line.wrong(f"there are more than {MOST_JOINTS} joints, which no body has")
    return word


def who_is_it(path: Path, file: str) -> tuple[str, str, str]:
    """Name, subject and label, from the file's own name: it says who performs, and so on which side of the split a
    clip is, and what is done only with Bandai-Namco."""
    if file not in FILES:
        raise DataError(f"the files of motion are {', '.join(FILES)}, not {file!r}: they say whose licence holds")
    if file == "bandai_namco":
        if found := re.fullmatch(r"dataset-(\d)_(.+)_([^_]+)_\d+", path.stem, re.ASCII):
            return path.stem, f"bandai{found[1]}-style-{found[3]}", f"{found[2]}|{found[3]}"
        raise DataError(f"{path}: Bandai-Namco's files are named as dataset-1_bow_active_001.bvh: name it as it was")
    if found := re.fullmatch(r"(\d{1,3})_(\d{1,3})", path.stem, re.ASCII):
        subject, take = map(int, found.groups())
        return f"{subject:02}_{take:02}", f"cmu{subject:02}", ""
    raise DataError(
        f"{path}: CMU's files are named as 02_01, performer and take: name it as it was. Nobody may be in training "
        "and in a measurement, and the name alone says who it is."
    )


# -- frames to a clip --------------------------------------------------------------------------------------------------


def turn(axis: str, angle: Float[Tensor, "*F"]) -> Float[Tensor, "*F 3 3"]:
    """The rotation about x, y or z."""
    return axis_angle_to_matrix(angle[..., None] * torch.eye(3, dtype=angle.dtype)["xyz".index(axis)])


def _times(frames: int, fps: float) -> tuple[Int[Tensor, " f"], Float[Tensor, " f"]]:
    """For each frame that is taken the one of the source before it, and how far it is on the way to the next."""
    step = fps / FPS
    if abs(step - round(step)) < 1e-3 * step:  # a frame time is printed to a few digits
        lower = torch.arange(0, frames, round(step))
        return lower, torch.zeros(len(lower), dtype=torch.float64)
    time = torch.arange(int((frames - 1) / step) + 1, dtype=torch.float64) * step
    return time.long(), time.frac()


def clip_of(
    line: Line, who: tuple[str, str, str], file: str, names: Sequence[str], parents: Sequence[int],
    offsets: Float[Tensor, "J 3"], rows: Float[Tensor, "F N"], pose: Pose, fps: float,
) -> Clip:  # fmt: skip
    """A clip of 30 frames a second, from the numbers of each frame and what pose they are."""
    if not 0.999 * FPS < fps < 10_000:
        raise line.wrong(f"it has {fps:g} frames a second, of which {FPS:g} cannot be taken")
    lower, part = _times(len(rows), fps)
    R, root = pose(rows[lower])
    if part.any():  # R (R^T R')^part
        R2, root2 = pose(rows[(lower + 1).clamp_max(len(rows) - 1)])
        R = R @ axis_angle_to_matrix(matrix_to_axis_angle(R.mT @ R2) * part[:, None, None])
        root = root + (root2 - root) * part[:, None]
    for what, places in {"a bone": offsets, "the way of the root": root}.items():
        if not places.abs().amax() < MOST_METRES:
            raise line.wrong(f"{what} is longer than {MOST_METRES:g} metres")
    if not R.isfinite().all():
        raise line.wrong("an angle is beyond all measure")
    return Clip(
        file, *who, fps=FPS, joint_names=tuple(names), parents=tuple(parents),
        offsets=offsets.float(), rotations=matrix_to_axis_angle(R).float(), root=root.float(),
    )  # fmt: skip


def table(numbers: array, width: int) -> Float[Tensor, "F N"]:
    return torch.from_numpy(np.array(numbers).reshape(-1, width))
