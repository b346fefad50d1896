"""Names of joints: SMPL's 24, and the sets in which detectors of people give theirs.

A detector's hips, knees, ankles, shoulders, elbows and wrists are taken for SMPL's joints of those names, which lie
within a few centimetres of where annotators put them; face and feet are landmarks on the skin.
"""

from collections.abc import Sequence

JOINTS = tuple(
    """pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot right_foot
    neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist
    left_hand right_hand""".split()
)
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
FEET = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")
LANDMARKS = (*FACE, *FEET)
MIDDLES = ("mid_shoulder", "mid_hip")  # half-way between left and right: OpenPose's neck and middle hip
POINTS = (*JOINTS, *LANDMARKS, *MIDDLES)  # every point that a set may name

COCO = (
    *FACE,
    *(
        f"{side}_{joint}"
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
)
_ARMS = [f"{side}_{joint}" for side in ("right", "left") for joint in ("shoulder", "elbow", "wrist")]
_LEGS = [[f"{side}_{joint}" for joint in ("hip", "knee", "ankle")] for side in ("right", "left")]
_HEAD = ("right_eye", "left_eye", "right_ear", "left_ear")
OPENPOSE_18 = ("nose", "mid_shoulder", *_ARMS, *_LEGS[0], *_LEGS[1], *_HEAD)
OPENPOSE_25 = ("nose", "mid_shoulder", *_ARMS, "mid_hip", *_LEGS[0], *_LEGS[1], *_HEAD, *FEET)
JOINT_SETS = {"smpl": JOINTS, "coco": COCO, "openpose18": OPENPOSE_18, "openpose25": OPENPOSE_25}


def joint_set(joints: str | Sequence[str]) -> tuple[str, ...]:
    """The names of a set, or those given. Raises ValueError for a set or a name that there is not."""
    if isinstance(joints, str):
        if joints not in JOINT_SETS:
            raise ValueError(f"joints is one of {', '.join(map(repr, JOINT_SETS))}, or names, not {joints!r}")
        return JOINT_SETS[joints]
    if not isinstance(joints, list | tuple):
        raise ValueError(f"joints is the name of a set, or a list of names, not {joints!r}")
    unknown = [name for name in joints if name not in POINTS]
    if unknown or not joints or len(set(joints)) < len(joints):
        raise ValueError(f"joints are some of {', '.join(POINTS)}, each once, not {list(joints)!r}")
    return tuple(joints)
