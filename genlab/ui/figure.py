"""The figure: joints in a picture that are dragged, switched off and moved by keys. Drawn by figure.js.

Its value is `Figure.value()`; what comes back from the page, from a link or from a file is a stranger's, and checked.
"""

import base64
import binascii
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from genlab.names import GenlabError, require

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent
SETS = {"smpl": 24, "coco": 17, "openpose18": 18, "openpose25": 25}  # of joints, as genlab.models.body names them
LARGEST = 1_000_000  # bytes of a file of keypoints
FARTHEST = 20_000  # pixels
FEWEST = 3  # joints seen

# Bones of detectors' sets, from the trunk outwards; those of which a set has both ends. SMPL's joints are a tree.
BONES = [
    (a, b)
    for side in ("left", "right")
    for chain in (
        f"{side}_hip {side}_knee {side}_ankle {side}_big_toe {side}_small_toe",
        f"{side}_ankle {side}_heel",
        f"{side}_shoulder {side}_elbow {side}_wrist",
        f"nose {side}_eye {side}_ear",
        f"mid_hip {side}_hip",
        f"mid_shoulder {side}_shoulder",
    )
    for a, b in zip(chain.split()[:-1], chain.split()[1:], strict=True)
]
BONES += [("mid_hip", "mid_shoulder"), ("mid_shoulder", "nose")]
TRUNK = [("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")]  # of sets without middles
TRUNK += [("left_hip", "left_shoulder"), ("right_hip", "right_shoulder")]
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

TEMPLATE = """
<div class="gl-figure">
  <svg role="group" aria-label="Picture with the joints of a person; drag them" preserveAspectRatio="xMidYMid meet">
    <image hidden></image><g class="gl-bones"></g><g class="gl-fits" aria-hidden="true"></g><g class="gl-joints"></g>
  </svg>
  <div class="gl-tools">
    <output></output>
    <button type="button" data-tool="switch" disabled>Switch off</button>
    <button type="button" data-tool="undo" aria-disabled="true" aria-keyshortcuts="Control+Z"
      title="Ctrl+Z takes back what was last done to a joint; Ctrl+Shift+Z does it again">Undo</button>
    <button type="button" data-tool="limb" aria-pressed="false"
      title="Dragging moves what hangs on the joint too, instead of the joint alone">Limb follows</button>
    <button type="button" data-tool="picture" title="It stays in this browser">Picture behind</button>
    <input type="file" accept="image/png,image/jpeg,image/webp" hidden aria-label="Picture behind the figure">
  </div>
</div>
"""


def figure(value: dict | None = None, **kwargs):
    """The component; its event `input` fires when a joint is let go, switched, or moved by keys."""
    return gr.HTML(
        value,
        html_template=TEMPLATE,
        js_on_load=(HERE / "figure.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **kwargs,
    )


@dataclass(frozen=True)
class Figure:
    """Joints of a set in a picture: xy (K, 2) pixels, c (K,) how surely each is seen, 0 to 1; the picture's size.
    true: nobody has moved a joint, so that whoever made the figure knows the body behind it. read: it came from a file,
    and so has the pixels of a picture that somebody may put behind it."""

    joints: str
    xy: np.ndarray
    c: np.ndarray
    size: tuple[int, int]
    true: bool = False
    read: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return import_module("genlab.models.body").JOINT_SETS[self.joints]

    @property
    def seen(self) -> int:
        return int((self.c > 0).sum())

    @property
    def box(self) -> float:
        """The longer side of the box around the joints that are seen, pixels."""
        return float(np.ptp(self.xy[self.c > 0], axis=0).max())

    def value(self) -> dict[str, Any]:
        """For the component."""
        about = {"joints": self.joints, "names": list(self.names), "bones": bones(self.names), "size": list(self.size)}
        return about | {
            "xy": self.xy.round(1).tolist(),
            "c": self.c.round(3).tolist(),
            "true": self.true,
            "read": self.read,
        }

    @classmethod
    def of(cls, value: Any) -> "Figure | None":
        """What came back from the page; None for anything else that a stranger may send."""
        try:
            xy, c = (np.asarray(value[key], dtype=np.float64) for key in ("xy", "c"))
            size = tuple(int(side) for side in value["size"])
            count = SETS[value["joints"]]
        except (KeyError, TypeError, ValueError, OverflowError, IndexError, RecursionError):
            return None
        fits = xy.shape == (count, 2) and c.shape == (count,) and len(size) == 2
        if not (
            fits and np.isfinite(xy).all() and np.isfinite(c).all() and all(16 <= side <= FARTHEST for side in size)
        ):
            return None
        low, high = -0.45 * np.array(size), 1.45 * np.array(size)  # just inside of what a fit takes
        return cls(
            value["joints"],
            xy.clip(low, high),
            c.clip(0, 1),
            size,
            value.get("true") is True,
            value.get("read") is True,
        )

    def packed(self) -> str:
        """Short enough for a link: a place in 1/32,767 of the picture, and a byte for how sure it is."""
        head = struct.pack("<BBHH", list(SETS).index(self.joints), self.true + 2 * self.read, *self.size)
        share = np.round((self.xy / np.array(self.size) + 0.5).clip(0, 2) * 32767).astype("<u2")
        body = share.tobytes() + np.round(self.c * 255).astype(np.uint8).tobytes()
        return base64.urlsafe_b64encode(head + body).decode().rstrip("=")

    @classmethod
    def unpacked(cls, text: Any) -> "Figure | None":
        """The inverse; None for anything that is no figure."""
        if not isinstance(text, str) or len(text) > 400:
            return None
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            kind, known, *size = struct.unpack_from("<BBHH", raw)
            joints = list(SETS)[kind]
        except (binascii.Error, ValueError, struct.error, IndexError):
            return None
        count, body = SETS[joints], raw[struct.calcsize("<BBHH") :]
        if len(body) != 5 * count:
            return None
        xy = (np.frombuffer(body, "<u2", 2 * count).reshape(-1, 2) / 32767 - 0.5) * np.array(size)
        c = np.frombuffer(body, np.uint8, offset=4 * count) / 255
        about = {"joints": joints, "size": size, "true": bool(known & 1), "read": bool(known & 2)}
        return cls.of(about | {"xy": xy, "c": c})


def bones(names: Sequence[str]) -> list[list[int]]:
    """Pairs of joints to draw, the one nearer to the trunk first."""
    if "spine1" in names:
        return [[parent, k] for k, parent in enumerate(PARENTS) if k]
    pairs = BONES + ([] if "mid_hip" in names else TRUNK)
    if "mid_shoulder" in names and "mid_hip" not in names:  # OpenPose's 18
        pairs = [pair for pair in pairs if pair not in TRUNK] + [
            ("mid_shoulder", f"{s}_hip") for s in ("left", "right")
        ]
    return [[names.index(a), names.index(b)] for a, b in pairs if a in names and b in names]


# -- keypoints of others -----------------------------------------------------------------------------------------------


def read_keypoints(source: Any) -> Figure:
    """Keypoints of one person, as text or parsed: of COCO ({"keypoints": [x, y, v, ...]}, alone, in a list of results,
    or under "annotations"), of OpenPose ({"people": [{"pose_keypoints_2d": [x, y, c, ...]}]}), or rows [x, y] or
    [x, y, c] as "keypoints". Of several people the one that is seen best. "size" is the picture's. Raises GenlabError,
    in one sentence."""
    if isinstance(source, str | bytes):
        if len(source) > LARGEST:
            raise GenlabError(f"That file is too large for one person's keypoints: up to {LARGEST // 1000:,} kB.")
        try:
            source = json.loads(source)
        except (ValueError, RecursionError):
            raise GenlabError("That is no JSON: give keypoints as COCO or OpenPose write them.") from None
    found = [person for person in map(_person, _people(source)) if person is not None]
    if not found:
        raise GenlabError(
            "No keypoints in it: give COCO's {\"keypoints\": [x, y, v, ...]} or OpenPose's "
            '{"people": [{"pose_keypoints_2d": [x, y, c, ...]}]}.'
        )
    best = max(found, key=lambda person: person.c.sum())
    if best.seen < FEWEST:
        raise GenlabError(f"Fewer than {FEWEST} joints are seen in it: too few for a pose.")
    if np.abs(best.xy[best.c > 0]).max() > FARTHEST or best.box < 8:
        raise GenlabError(f"Its keypoints make no picture: give pixels, up to {FARTHEST:,}, of a person larger than 8.")
    return best


def _people(source: Any) -> list[Any]:
    """Whatever may hold one person's keypoints; the first thousand."""
    if isinstance(source, dict):
        for key in ("people", "annotations"):
            if isinstance(source.get(key), list):
                return source[key][:1000]
        return [source]
    if isinstance(source, list) and source and isinstance(source[0], dict):
        return source[:1000]
    return [{"keypoints": source}]


def _person(about: Any) -> Figure | None:
    if not isinstance(about, dict):
        return None
    listed = about.get("pose_keypoints_2d", about.get("keypoints"))
    if not isinstance(listed, list) or not 0 < len(listed) <= 3 * max(SETS.values()):
        return None
    try:
        x = np.array(
            [[math.nan if v is None else v for v in r] if isinstance(r, list) else r for r in listed], np.float64
        )
    except (TypeError, ValueError, OverflowError):
        return None
    if x.ndim == 1 and len(x) % 3 == 0:
        x = x.reshape(-1, 3)
    if x.ndim != 2 or x.shape[1] not in (2, 3):
        return None
    lengths = {count: joints for joints, count in SETS.items()}
    joints = lengths.get(len(x))
    if joints is None or about.get("joints", joints) != joints:
        return None
    c = x[:, 2] if x.shape[1] == 3 else np.ones(len(x))
    there = np.isfinite(x).all(axis=1) & (c > 0) & (x[:, :2] != 0).any(axis=1)  # both mark what is missing by zeros
    xy, c = np.where(there[:, None], x[:, :2], 0), np.where(there, c, 0).clip(0, 1)
    if there.any():  # who switches a missing joint on finds it in the middle
        xy = np.where(there[:, None], xy, np.median(xy[there], axis=0))
    return Figure(joints, xy, c, _size(about, xy[there]), read=True)


def _size(about: dict, xy: np.ndarray) -> tuple[int, int]:
    """The picture's, if it is told; else one in which the person is not far from the middle."""
    told = about.get("size")
    good = isinstance(told, list) and len(told) == 2 and all(isinstance(side, int | float) for side in told)
    if good and all(16 <= side <= FARTHEST for side in told):
        return int(told[0]), int(told[1])
    if not len(xy):
        return 16, 16
    low, high = xy.min(axis=0), xy.max(axis=0)
    margin = np.maximum(np.minimum(low, (high - low).max()), 0.1 * (high - low).max())
    return tuple(int(side) for side in np.ceil(high + margin).clip(16, FARTHEST))
