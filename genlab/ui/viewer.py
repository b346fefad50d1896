"""The viewer: meshes, skeletons and points in 3D, turned by hand. y is up, lengths are metres; drawn by viewer.js.

`Scene` packs arrays for the page: once the whole, then only what changes. Blend weights need no server at all: they
follow sliders (`Scene.blending`), or any script that dispatches a "gl-blend" event, as viewer.js explains. With a `Rig`
a mesh takes poses in the same way, plays clips of them, and shows whom its vertices follow.
"""

import base64
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genlab import viz
from genlab.names import require
from genlab.ui.rig import Rig
from genlab.ui.serial import SERIAL

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent
CLAY = "#c4b5a5"  # neutral, and apart from a white page as well as from a dark one
BONE = "#3f6fb5"
MOST = {"points": 500_000, "faces": 1_000_000, "directions": 300, "numbers": 16_000_000}  # viewer.js keeps to it too
FAR = 1e6  # metres: beyond, something was divided by zero

TEMPLATE = """
<div class="gl-view" data-state="empty">
  <div class="gl-orbit" tabindex="0" role="img" aria-roledescription="3D view" aria-label="3D view, still empty"
    aria-keyshortcuts="ArrowLeft ArrowRight ArrowUp ArrowDown + - 0">
    <canvas></canvas>
    <div class="gl-tags" aria-hidden="true"></div>
    <p class="gl-hint" aria-hidden="true"></p>
  </div>
  <p class="gl-status" role="status"></p>
</div>
"""


def viewer(value: dict | None = None, **kwargs):
    """The component. Its value is what `Scene.value`, `Scene.update` or `Scene.message` returns."""
    scripts = [(HERE / name).read_text(encoding="utf-8") for name in ("viewer_draw.js", "viewer_rig.js", "viewer.js")]
    return gr.HTML(
        value,
        html_template=TEMPLATE,
        css_template=(HERE / "viewer.css").read_text(encoding="utf-8"),
        js_on_load="\n".join([f"const PLACE = {next(SERIAL)};", *scripts]),  # a prop is lost when hidden and shown
        apply_default_css=False,
        **kwargs,
    )


class Scene:
    """What the stage shows: `Scene("A body.").mesh("body", v, f).skeleton("joints", j, bones).value()`.

    `alt` says it in words. A scene of the same `name` as the one before keeps the visitor's camera.
    `yaw`, `pitch`: degrees, from +z and from the horizon. `floor`: its height; None the lowest point, False no floor.
    `fallback`: a picture, as a data URI, for browsers without WebGL2; else the page draws a simpler one itself. `box`:
    two corners (2, 3) that the camera sees at first; else what there is.

    All items take `color` (#rrggbb) or `colors`, uint8 (V, 3); `at`, (3,), where they stand, be it side by side; a
    `label` above them; `hidden`; and `directions` (K, V, 3), which times `weights` (K,) are added to the vertices.
    """

    def __init__(
        self,
        alt: str,
        *,
        name: str = "",
        yaw: float = 25,
        pitch: float = 8,
        floor: float | bool | None = None,
        fallback: str | None = None,
        box=None,
    ):
        if fallback is not None and not fallback.startswith("data:image/"):
            raise ValueError("fallback is a picture as a data URI (genlab.viz.data_uri makes one)")
        floor = floor if floor is None or floor is False else _number(floor, "floor")
        view = [_number(yaw, "yaw"), _number(pitch, "pitch")]
        self.about: dict[str, Any] = {"alt": alt, "name": name, "view": view, "floor": floor, "fallback": fallback}
        self.about["box"] = None if box is None else _array(box, (2, 3), "box").tolist()
        self.items: dict[str, dict[str, Any]] = {}
        self.clips: dict[str, dict[str, Any]] = {}

    def mesh(
        self,
        name: str,
        vertices,
        faces,
        *,
        opacity: float = 1,
        smooth: bool = True,
        coarse=None,
        rig: Rig | None = None,
        play: str = "",
        **common,
    ) -> "Scene":
        """Triangles `faces` (F, 3) between `vertices` (V, 3). `smooth=False` shows each triangle as flat as it is.
        `coarse`: fewer triangles between some of these vertices, for machines too slow to draw all at each change.

        With a `rig` it stands with its lowest point at y = 0, and takes poses; `play`: the clip that it begins with.
        """
        look = {"opacity": _share(opacity), "smooth": bool(smooth), "play": play}
        self._add(name, vertices, look, faces=faces, **{"color": CLAY} | common)
        if coarse is not None:
            count = self.items[name]["vertices"]["shape"][0]
            self.items[name]["coarse"] = _indices(coarse, 3, count, f"coarse faces of {name!r}")
        if rig is not None:
            item = self.items[name]
            if len(viz.to_numpy(rig.weights)) != item["vertices"]["shape"][0] or len(rig.moves) != len(item["weights"]):
                raise ValueError(f"the rig of {name!r} has other vertices or directions than its mesh")
            item["rig"] = rig.packed(packed)
        return self

    def copy(self, name: str, of: str, *, opacity: float = 1, **look) -> "Scene":
        """A second body out of the same arrays, with weights, pose and place (`at`, `label`, `color`, `hidden`) of its
        own."""
        return self._follow(name, of, {"kind": "copy", "opacity": _share(opacity), "color": CLAY} | look)

    def bones(self, name: str, of: str, *, size: float = 0.04, width: float = 0.016, **look) -> "Scene":
        """The skeleton of a mesh with a rig, drawn through its skin."""
        sizes = {"size": _number(size, "size"), "width": _number(width, "width")}
        return self._follow(name, of, {"kind": "bones", "color": BONE} | sizes | look)

    def clip(self, name: str, frames, fps: float = 30, feet: Sequence[int] = ()) -> "Scene":
        """Poses (F, J, 3), local axis-angle, to play round and round. `feet`: joints whose mean stays where it is."""
        x = _array(frames, ("F", "J", 3), f"clip {name!r}").reshape(len(frames), -1)
        whole, scale = _int16(x)
        about = {**packed(whole), "scale": scale, "fps": _number(fps, "fps"), "feet": list(feet)}
        self.clips[name] = about
        return self

    def skeleton(self, name: str, joints, bones, *, size: float = 0.045, width: float = 0.018, **common) -> "Scene":
        """Balls of diameter `size` at `joints` (J, 3), rods of diameter `width` along `bones` (B, 2), their pairs."""
        look = {"size": _number(size, "size"), "width": _number(width, "width")}
        return self._add(name, joints, look, pairs=bones, **{"color": BONE} | common)

    def lines(self, name: str, points, pairs, *, width: float = 0.008, **common) -> "Scene":
        """Rods between pairs of points: a skeleton without balls."""
        return self.skeleton(name, points, pairs, size=0, width=width, **common)

    def points(self, name: str, points, *, size: float = 0.012, **common) -> "Scene":
        """A cloud of balls: a skeleton without rods."""
        return self.skeleton(name, points, np.zeros((0, 2), np.int64), size=size, **common)

    def value(self, status: str = "") -> dict:
        """The whole scene, for the component; `status` is a sentence below it."""
        items = list(self.items.values())
        return {"serial": next(SERIAL), **self.about, "status": status, "clips": self.clips, "items": items}

    @staticmethod
    def update(items: Mapping[str, Mapping[str, Any]], *, alt: str | None = None, status: str | None = None) -> dict:
        """New values for some items of the scene on the page; all else, camera included, stays. A `rig` brings what
        bends its mesh, if that was left out before.

        `Scene.update({"body": {"vertices": v, "weights": w}})`. Each may bring: vertices (a skeleton's joints, a
        cloud's points, too), colors, directions, weights. Directions start from the vertices, so a new pose of a
        body that keeps its sliders brings posed directions with it, or vertices already blended and weights of zero.
        """
        changes = {name: _changes(name, **about) for name, about in items.items()}
        return {"serial": next(SERIAL), "update": changes, "alt": alt, "status": status}

    @staticmethod
    def message(text: str, error: bool = False) -> dict:
        """A sentence below the stage, which stays as it is."""
        return {"serial": next(SERIAL), "message": text, "error": error}

    @staticmethod
    def blending(name: str) -> str:
        """For the `js` of sliders: their values become the weights of that item, in the browser, at once.

        `slider.input(None, sliders, None, js=Scene.blending("body"), queue=False)`
        """
        word = json.dumps(name).replace("<", "\\u003c")
        detail = f"{{ mesh: {word}, weights }}"
        return f'(...weights) => {{ document.dispatchEvent(new CustomEvent("gl-blend", {{ detail: {detail} }})); }}'

    @staticmethod
    def acting(name: str, detail: str, arguments: str = "") -> str:
        """For the `js` of any event: tell an item what to do, in the browser, at once. `detail` is a JavaScript object
        of what viewer.js lists, from the `arguments`. `button.click(None, js=Scene.acting("body", '{ play: "" }'))`"""
        word = json.dumps(name).replace("<", "\\u003c")
        return (
            f'({arguments}) => {{ document.dispatchEvent(new CustomEvent("gl-blend", '
            f"{{ detail: {{ mesh: {word}, ...({detail}) }} }})); }}"
        )

    def _follow(self, name: str, of: str, look: dict[str, Any]) -> "Scene":
        if not name or name in self.items:
            raise ValueError(f"each item of a scene has a name of its own; {name!r} is empty or taken")
        if "rig" not in self.items.get(of, ()):
            raise ValueError(f"{name!r} follows {of!r}, which is no mesh with a rig of this scene")
        look = {"at": (0, 0, 0), "hidden": False, "label": ""} | look
        look |= {"at": _array(look["at"], (3,), f"at of {name!r}").tolist(), "color": _rgb(look["color"])}
        self.items[name] = {"name": name, "of": of, **look}
        return self

    def _add(
        self,
        name: str,
        vertices,
        look: dict[str, Any],
        *,
        color: str,
        colors=None,
        directions=None,
        weights=None,
        at: Sequence[float] = (0, 0, 0),
        label: str = "",
        hidden: bool = False,
        **joined,
    ) -> "Scene":
        """One more item. `joined`: its faces, or its pairs."""
        if not name or name in self.items:
            raise ValueError(f"each item of a scene has a name of its own; {name!r} is empty or taken")
        item = _changes(name, vertices, colors, directions, weights)
        count, degrees = item["vertices"]["shape"][0], item["directions"]["shape"][0] if "directions" in item else 0
        for key in ("colors", "directions"):
            if key in item and item[key]["shape"][-2] != count:
                raise ValueError(f"{key} of {name!r} are for {item[key]['shape'][-2]} vertices, not {count}")
        if len(item.setdefault("weights", [0.0] * degrees)) != degrees:
            raise ValueError(f"{name!r} needs one weight for each of its directions")
        for kind, table in joined.items():
            item[kind] = _indices(table, {"faces": 3, "pairs": 2}[kind], count, f"{kind} of {name!r}")
        where = _array(at, (3,), f"at of {name!r}").tolist()
        about = {"name": name, "color": _rgb(color), "at": where, "label": str(label), "hidden": bool(hidden)}
        self.items[name] = {**about, **look, **item}
        return self


# -- arrays into short text --------------------------------------------------------------------------------------------


def packed(array: np.ndarray) -> dict[str, Any]:
    """Integers as text: differences of rows, low bytes before high ones, deflated. Neighbours are alike: it helps."""
    flat = np.ascontiguousarray(array).reshape(-1, array.shape[-1])
    flat = flat.astype(flat.dtype.newbyteorder("<"), copy=False)
    steps = np.diff(flat, axis=0, prepend=np.zeros_like(flat[:1])) if len(flat) else flat
    planes = steps.reshape(-1).view(np.uint8).reshape(-1, flat.dtype.itemsize).T
    data = base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode()
    return {"type": f"{flat.dtype.kind}{flat.dtype.itemsize}", "shape": list(array.shape), "data": data}


def _changes(name: str, vertices=None, colors=None, directions=None, weights=None, rig=None) -> dict[str, Any]:
    """What is given, checked and packed."""
    changes: dict[str, Any] = {}
    if vertices is not None:
        changes["vertices"] = _points(vertices, f"vertices of {name!r}")
    if colors is not None:
        changes["colors"] = packed(_bytes(colors, f"colors of {name!r}"))
    if directions is not None:
        changes["directions"] = _directions(directions, f"directions of {name!r}")
    if weights is not None:
        changes["weights"] = _array(weights, ("K",), f"weights of {name!r}").tolist()
    if rig is not None:
        changes["rig"] = rig.packed_bending(packed)
    return changes


def _share(opacity) -> float:
    return float(np.clip(_number(opacity, "opacity"), 0, 1))


def _points(values, what: str) -> dict[str, Any]:
    """int16 around the middle: exact to a 65,000th of the extent, 27 micrometres for a body."""
    x = _array(values, ("V", 3), what)
    if not 0 < len(x) <= MOST["points"]:
        raise ValueError(f"{what}: {len(x)} of them, the page takes 1 to {MOST['points']:,}")
    middle = (x.min(0) + x.max(0)) / 2
    whole, scale = _int16(x - middle)
    return {**packed(whole), "scale": scale, "middle": middle.tolist()}


def _directions(values, what: str) -> dict[str, Any]:
    x = _array(values, ("K", "V", 3), what)
    if not 0 < len(x) <= MOST["directions"] or x.size > MOST["numbers"]:
        raise ValueError(f"{what}: {len(x)} with {x.size:,} numbers, the page takes 1 to {MOST['directions']}")
    each = [_int16(direction) for direction in x]
    return {**packed(np.stack([whole for whole, _ in each])), "scale": [scale for _, scale in each]}


def _int16(x: np.ndarray) -> tuple[np.ndarray, float]:
    scale = max(float(np.abs(x).max(initial=0)), 1e-12) / 32767
    return np.round(x / scale).astype(np.int16), scale


def _indices(values, columns: int, count: int, what: str) -> dict[str, Any]:
    x = viz.to_numpy(values)
    if x.ndim != 2 or x.shape[1] != columns or x.dtype.kind not in "iu":
        raise ValueError(f"{what} are integers of shape (n, {columns}), not {x.dtype} {x.shape}")
    if len(x) > MOST["faces"]:
        raise ValueError(f"{what}: {len(x):,} of them, the page takes {MOST['faces']:,}")
    if x.size and (x.min() < 0 or x.max() >= count):
        raise ValueError(f"{what} speak of vertices {x.min()} to {x.max()}, there are 0 to {count - 1}")
    return packed(x.astype(np.uint16 if count <= 65536 else np.uint32))


def _bytes(values, what: str) -> np.ndarray:
    x = viz.to_numpy(values)
    if x.ndim != 2 or x.shape[1] != 3 or x.dtype != np.uint8:
        raise ValueError(f"{what} are uint8 of shape (V, 3), not {x.dtype} {x.shape}")
    return x


def _array(values, shape: tuple, what: str) -> np.ndarray:
    """Finite numbers of that shape, whose named axes may have any length."""
    words = str(shape).replace("'", "")
    try:
        x = viz.to_numpy(values).astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{what} are numbers of shape {words}") from None
    if x.ndim != len(shape) or any(isinstance(n, int) and n != m for n, m in zip(shape, x.shape, strict=True)):
        raise ValueError(f"{what} are numbers of shape {words}, not {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"{what}: {np.count_nonzero(~np.isfinite(x))} of {x.size} numbers are not finite")
    if np.abs(x).max(initial=0) > FAR:
        raise ValueError(f"{what} reach {np.abs(x).max():.3g}, the page takes up to {FAR:g}")
    return x


def _number(value, what: str) -> float:
    return float(_array(value, (), what))


def _rgb(color: str) -> list[int]:
    if not isinstance(color, str) or not re.fullmatch("#[0-9a-fA-F]{6}", color):
        raise ValueError(f"a color is written #rrggbb, not {color!r}")
    return list(bytes.fromhex(color[1:]))
