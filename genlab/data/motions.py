"""Short motions of SMPL's joints, made by hand from curves: a walk, stretches, a squat, a wave.

    walk(t)          -> each joint's rotation against its parent at the times t (seconds): (F, 24, 3), axis-angle
    clip("walk")     -> one round of it at 30 frames a second; its last frame leads into its first

The walk's hips, knees and ankles follow the textbook's curves of human gait (Perry: Gait Analysis, 1992) by their
extremes; all else was set by eye. Arms hang unless they do something: the zero rotation is a T.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from genlab.ops.rotations import axis_angle_to_matrix, matrix_to_axis_angle

JOINTS = 24
PELVIS, SPINE, NECK, HEAD = 0, (3, 6, 9), 12, 15
HIPS, KNEES, ANKLES = (1, 2), (4, 5), (7, 8)  # left, right
COLLARS, SHOULDERS, ELBOWS, WRISTS = (13, 14), (16, 17), (18, 19), (20, 21)
X, Y, Z = 0, 1, 2  # to the body's left, up, ahead
HANG = 72.0  # degrees from the T down to where arms hang

Turn = tuple[int, Tensor | float]  # about an axis, by degrees
Keys = Sequence[tuple[float, float]]


def walk(t: Float[Tensor, " F"]) -> Float[Tensor, "F 24 3"]:
    """On the spot, as on a treadmill; a stride of both legs takes 1.1 s and begins as the left heel strikes."""
    pose = _Pose(t)
    swing = (2 * torch.pi * t / PERIODS["walk"]).cos()
    pose.turn(PELVIS, (Y, -5 * swing), (Z, 2.5 * _sine(t, "walk", 0.10)), (X, 3.0))
    pose.spread(SPINE, (Y, 10 * swing), (Z, -3.0 * _sine(t, "walk", 0.10)), (X, 1.0))
    pose.turn(HEAD, (Y, -4 * swing), (X, -3.0))
    for side, later in ((0, 0.0), (1, 0.5)):
        part = t / PERIODS["walk"] + later  # of this leg's stride
        hip = _eased([(0.0, 28), (0.52, -12), (0.86, 30)], part)
        knee = _eased([(0.0, 5), (0.14, 17), (0.40, 6), (0.73, 60), (0.98, 4)], part)
        ankle = _eased([(0.0, 0), (0.08, -6), (0.46, 11), (0.63, -17), (0.84, 2)], part)  # toes up is positive
        arm = _eased([(0.02, -22), (0.52, 18)], part)  # back as the leg of its side is ahead
        pose.turn(HIPS[side], (X, -hip), (Z, _mirror(side) * -4.0))  # in the T, feet stand wide
        pose.turn(KNEES[side], (X, knee))
        pose.turn(ANKLES[side], (X, -ankle), (Z, _mirror(side) * 4.0))
        pose.arm(side, down=HANG, ahead=arm, bend=16 + 0.5 * (arm + 22))
    return pose.rotations()


def stretch(t: Float[Tensor, " F"]) -> Float[Tensor, "F 24 3"]:
    """Both arms rise over the head, the trunk leans to the left and to the right, and the arms come down; 7 s."""
    pose, part = _Pose(t), t / PERIODS["stretch"]
    rise = _eased([(0.03, 0), (0.26, 1), (0.74, 1), (0.97, 0)], part)
    lean = _eased([(0.0, 0), (0.24, 0), (0.39, -1), (0.46, -1), (0.60, 1), (0.67, 1), (0.80, 0)], part)
    pose.turn(PELVIS, (Z, -4 * lean))
    pose.spread(SPINE, (Z, 34 * lean), (X, -9 * rise))
    pose.turn(NECK, (Z, 8 * lean), (X, -6 * rise))
    for side in (0, 1):
        pose.turn(HIPS[side], (Z, 4 * lean))
        pose.turn(COLLARS[side], (Z, _mirror(side) * 22 * rise))
        pose.arm(side, down=HANG - 122 * rise, bend=14 * (1 - rise) + 6)
    return pose.rotations()


def squat(t: Float[Tensor, " F"]) -> Float[Tensor, "F 24 3"]:
    """Down, with the arms ahead as a counterweight, and up again; 3.4 s."""
    pose, part = _Pose(t), t / PERIODS["squat"]
    deep = _eased([(0.06, 0), (0.44, 1), (0.54, 1), (0.94, 0)], part)
    pose.turn(PELVIS, (X, 34 * deep))
    pose.spread(SPINE, (X, 6 * deep))
    pose.turn(NECK, (X, -22 * deep))
    for side in (0, 1):
        out = _mirror(side)
        pose.turn(HIPS[side], (Y, out * 20 * deep), (X, -112 * deep), (Z, out * 5.0))
        pose.turn(KNEES[side], (X, 106 * deep))
        pose.turn(ANKLES[side], (X, -28 * deep), (Z, -out * 5.0))
        pose.arm(side, down=HANG + 10 * deep, ahead=88 * deep, bend=14 - 8 * deep)
    return pose.rotations()


def wave(t: Float[Tensor, " F"]) -> Float[Tensor, "F 24 3"]:
    """The right hand greets: up, five times to and fro, and down again; 5 s."""
    pose, part = _Pose(t), t / PERIODS["wave"]
    up = _eased([(0.04, 0), (0.22, 1), (0.76, 1), (0.96, 0)], part)
    beat = _eased([(0.16, 0), (0.26, 1), (0.70, 1), (0.80, 0)], part) * (2 * torch.pi * 2.0 * t).sin()
    pose.turn(PELVIS, (Z, 2.5 * up), (Y, 6 * up))
    pose.spread(SPINE, (Z, -6 * up))
    pose.turn(HEAD, (Z, 7 * up), (Y, -8 * up))
    pose.turn(COLLARS[1], (Z, -8 * up))
    pose.turn(SHOULDERS[1], (Z, (HANG - 4) * (1 - up) + 18 * up), (X, -26 * up))
    pose.turn(ELBOWS[1], (Z, -(78 + 22 * beat) * up), (Y, 16 * (1 - up)))
    pose.turn(WRISTS[1], (Z, -10 * beat))
    pose.arm(0, down=HANG + 1.5 * up, bend=16.0)
    for side in (0, 1):
        pose.turn(HIPS[side], (Z, -2.5 * up - _mirror(side) * 2.0), (Y, -6 * up))
        pose.turn(ANKLES[side], (Z, _mirror(side) * 2.0))
    return pose.rotations()


MOTIONS: dict[str, Callable[[Tensor], Tensor]] = {"walk": walk, "stretch": stretch, "squat": squat, "wave": wave}
PERIODS = {"walk": 1.1, "stretch": 7.0, "squat": 3.4, "wave": 5.0}  # seconds


def clip(name: str, fps: float = 30) -> Float[Tensor, "F 24 3"]:
    """One round of a motion. Raises ValueError for a name that there is not."""
    if name not in MOTIONS:
        raise ValueError(f"motions are {', '.join(MOTIONS)}, not {name!r}")
    frames = round(PERIODS[name] * fps)
    return MOTIONS[name](torch.arange(frames) * (PERIODS[name] / frames))


# -- what they are made of ---------------------------------------------------------------------------------------------


class _Pose:
    """Rotations under way: each turn comes after those that a joint already has, about the parent's axes."""

    def __init__(self, t: Float[Tensor, " F"]):
        self.t = t
        self.R = torch.eye(3, dtype=t.dtype).repeat(len(t), JOINTS, 1, 1)

    def turn(self, joint: int, *turns: Turn) -> None:
        for axis, degrees in turns:
            a = self.R.new_zeros(len(self.t), 3)
            a[:, axis] = torch.deg2rad(torch.as_tensor(degrees, dtype=self.t.dtype))
            self.R[:, joint] = axis_angle_to_matrix(a) @ self.R[:, joint]

    def spread(self, joints: Sequence[int], *turns: Turn) -> None:
        """One turn, shared by a chain of joints."""
        for joint in joints:
            self.turn(joint, *((axis, degrees / len(joints)) for axis, degrees in turns))

    def arm(self, side: int, down: Tensor | float, ahead: Tensor | float = 0.0, bend: Tensor | float = 0.0) -> None:
        """An arm out of the T: down at its side, then swung ahead, the elbow bent."""
        self.turn(SHOULDERS[side], (Z, -_mirror(side) * down), (X, -ahead))
        self.turn(ELBOWS[side], (Y, -_mirror(side) * bend))

    def rotations(self) -> Float[Tensor, "F 24 3"]:
        return matrix_to_axis_angle(self.R)


def _mirror(side: int) -> float:
    """A turn about y or z that is +1 on the left is -1 on the right."""
    return 1.0 - 2.0 * side


def _sine(t: Tensor, name: str, later: float) -> Tensor:
    return (2 * torch.pi * (t / PERIODS[name] - later)).sin()


def _eased(keys: Keys, part: Tensor) -> Tensor:
    """A periodic curve through its extremes, (part of the period, value): level in each, and smooth between them."""
    places = torch.tensor([place for place, _ in keys], dtype=part.dtype)
    values = torch.tensor([float(value) for _, value in keys], dtype=part.dtype)
    part = torch.remainder(part - places[0], 1) + places[0]
    after = torch.searchsorted(places, part, right=True)
    low = after - 1
    end = torch.cat([places[1:], places[:1] + 1])
    s = (part - places[low]) / (end[low] - places[low])
    return values[low] + (values[after % len(keys)] - values[low]) * (s * s * (3 - 2 * s))
