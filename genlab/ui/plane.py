"""The plane: a code of two numbers as a map, decoded under the pointer by the page itself. Drawn by plane.js.

It knows nothing of models. A *space* is what the plane is of: its box, its decoder as linear layers with an activation
between them, perhaps points with labels, perhaps a sheet of pictures decoded ahead for the time until the layers are
there. Spaces are sent once, by `spaces(...)`, and every plane of the page finds them by name:

    space("codes", box=(-3, 3, -3, 3), layers=linear, activation="relu", size=(28, 28))   # one of them
    spaces([...])                                                  # unseen; its value brings spaces to the page
    plane({"space": "codes", "at": [0, 0]})                        # a map; what is in its value is news of it

A plane's value is a dictionary of what changes; all else stays:

    space    the name of the space                      at       the code that stays when the pointer leaves
    behind   "pictures" or "points", the background     ends     two codes, joined by a line, or None
    marks    [{"at", "std", "label"}]: a Gaussian, as   strip    "ends": nine pictures along the line; "samples"; or ""
             ellipses of one and two deviations         samples  [{"at", "caption"}]: codes; the strip shows eight
    target   a pad's value: its log-likelihood at the   side     HTML of the app's own, beside the picture
             pointer is told, pixels being Bernoulli    status, error, alt: a sentence below; what it shows

Its event `input` fires when a code is chosen by click, keys or dragging; the value is then {"at", "ends"}.
"""

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genlab import viz
from genlab.names import require
from genlab.ui.serial import SERIAL

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent
ACTIVATIONS = ("relu", "tanh")
FAR = 1000.0  # no code lies beyond
CELLS = 17  # of a sheet, across and down

TEMPLATE = """
<div class="gl-plane" data-state="empty" data-frames="0">
  <div class="gl-plane-map">
    <canvas tabindex="0" role="application" aria-roledescription="map of codes" aria-label="Map of codes, still empty"
      aria-keyshortcuts="ArrowLeft ArrowRight ArrowUp ArrowDown A B"></canvas>
  </div>
  <div class="gl-plane-side">
    <div class="gl-plane-glass">
      <canvas role="img" aria-label="The decoded picture"></canvas>
      <dl></dl>
    </div>
    <div class="gl-plane-more"></div>
  </div>
  <div class="gl-plane-strip" hidden></div>
  <p class="gl-status" role="status"></p>
</div>
"""


def plane(value: dict | None = None, *, small: bool = False, **kwargs):
    """The component. small: the map is small and all else beside it, so that several fit below one another; a code is
    shown once somebody points at it or chooses one."""
    scripts = [(HERE / name).read_text(encoding="utf-8") for name in ("plane_spaces.js", "plane.js")]
    return gr.HTML(
        value,
        html_template=TEMPLATE.replace('class="gl-plane"', 'class="gl-plane gl-small"') if small else TEMPLATE,
        css_template=(HERE / "plane.css").read_text(encoding="utf-8"),
        js_on_load="\n".join([f"const PLACE = {next(SERIAL)};", *scripts]),  # a prop is lost when hidden and shown
        apply_default_css=False,
        **kwargs,
    )


def spaces(value: list[dict] | None = None, **kwargs):
    """An unseen component that brings spaces to the page; a later value adds to them, or to what is known of one."""
    script = (HERE / "plane_spaces.js").read_text(encoding="utf-8")
    return gr.HTML(
        value,
        html_template="<span></span>",
        js_on_load=f'{script}\nwatch("value", () => takeSpaces(props.value));\ntakeSpaces(props.value);',
        apply_default_css=False,
        elem_classes="gl-hidden",
        **kwargs,
    )


def news(**changes: Any) -> dict:
    """The value of a plane that brings these changes."""
    return {"serial": next(SERIAL), **changes}


def space(
    name: str,
    *,
    box: Sequence[float] | None = None,
    size: tuple[int, int] | None = None,
    axes: tuple[str, str] | None = None,
    rings: Sequence[float] | None = None,
    sheet: np.ndarray | None = None,
    points: np.ndarray | None = None,
    labels: Sequence[int] | None = None,
    layers: Sequence[tuple[Any, Any]] | None = None,
    activation: str = "relu",
) -> dict:
    """One space, or more about it, for `spaces`. Raises ValueError.

    box: left, right, bottom, top of the map. size: height and width of a picture. axes: words for the two numbers.
    rings: radii of the prior's deviations around 0; with them log N(z; 0, I) is told. sheet: uint8 pictures (CELLS *
    CELLS, h, w), decoded at `grid(box)`. points (N, 2) with labels (N,), digits from 0 to 9. layers: (weight (out, in),
    bias (out,)) of each; `activation` follows all but the last, the logistic function the last.
    """
    about: dict[str, Any] = {"name": name}
    if box is not None:
        left, right, bottom, top = (_number(x, "box") for x in box)
        if not (left < right and bottom < top):
            raise ValueError(f"box is left < right and bottom < top, not {tuple(box)}")
        about["box"] = [left, right, bottom, top]
    if size is not None:
        about["size"] = [int(side) for side in size]
    if axes is not None:
        about["axes"] = list(axes)
    if rings is not None:
        about["rings"] = [_number(r, "rings") for r in rings]
    if sheet is not None:
        sheet = viz.to_uint8(sheet)
        if len(sheet) != CELLS**2:
            raise ValueError(f"a sheet has {CELLS} x {CELLS} pictures, not {len(sheet)}")
        greys = np.round(np.arange(256) / 17).astype(np.uint8) * 17  # 16 are enough for a while, and half as heavy
        about["sheet"] = viz.data_uri(viz.png(greys[viz.tile(sheet, CELLS)]))
    if points is not None:
        points = viz.to_numpy(points)
        labels = np.zeros(len(points), int) if labels is None else viz.to_numpy(labels)
        if points.ndim != 2 or points.shape[1] != 2 or len(labels) != len(points):
            raise ValueError(f"points are (N, 2) with N labels, not {points.shape} with {len(labels)}")
        about["points"], about["labels"] = np.round(points, 2).tolist(), [int(x) for x in labels]
    if layers is not None:
        about["layers"], about["activation"] = _layers(layers), activation
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is one of {', '.join(ACTIVATIONS)}, not {activation!r}")
    return about


def grid(box: Sequence[float]) -> np.ndarray:
    """The codes of a sheet, (CELLS * CELLS, 2): the middles of its cells, from the upper left on."""
    left, right, bottom, top = box
    share = (np.arange(CELLS) + 0.5) / CELLS
    x, y = np.meshgrid(left + (right - left) * share, top - (top - bottom) * share)
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def chosen(value: Any) -> tuple[list[float] | None, list[list[float]] | None]:
    """`at` and `ends` of a plane's value as it comes from the page; None for what a stranger made up."""
    value = value if isinstance(value, dict) else {}
    ends = value.get("ends")
    both = [_pair(end) for end in ends] if isinstance(ends, list) and len(ends) == 2 else [None]
    return _pair(value.get("at")), None if None in both else both


def _pair(value: Any) -> list[float] | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    if not all(isinstance(x, int | float) and not isinstance(x, bool) and abs(x) <= FAR for x in value):
        return None  # NaN is not within FAR either
    return [round(float(x), 3) for x in value]


def _number(value: Any, what: str) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{what} holds NaN or infinity")
    return float(value)


def _layers(layers: Sequence[tuple[Any, Any]]) -> list[dict]:
    """Each weight as int16 with a scale for each row, exact to a 65,000th of the row's largest; biases as they are."""
    packed, width = [], 2
    for weight, bias in layers:
        w, b = viz.to_numpy(weight).astype(np.float32), viz.to_numpy(bias).astype("<f4")
        if w.ndim != 2 or w.shape[1] != width or b.shape != w.shape[:1]:
            raise ValueError(f"a layer takes {width} numbers and has a bias for each row, not {w.shape} and {b.shape}")
        if not (np.isfinite(w).all() and np.isfinite(b).all()):
            raise ValueError("a layer holds NaN or infinity")
        width = len(w)
        scale = np.maximum(np.abs(w).max(axis=1), 1e-30).astype("<f4") / np.float32(32767)
        whole = np.round(w / scale[:, None]).clip(-32767, 32767).astype("<i2")
        packed.append({"shape": list(w.shape), "weight": _text(whole), "scale": _text(scale), "bias": _text(b)})
    return packed


def _text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()
