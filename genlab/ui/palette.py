"""A sketch in colours, in the model's own resolution. Its value is RGBA in hex, a byte a channel; what was rubbed out
has alpha 0."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from genlab.names import require
from genlab.ui.packing import pack, unpack

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent

TEMPLATE = """
<div class="gl-palette">
  <canvas role="application" tabindex="0"
    aria-label="Sketch: paint with the pointer, or move by arrow keys and press space"></canvas>
  <div class="gl-swatches" role="group" aria-label="Colour of the brush"></div>
  <div class="gl-swatches gl-grounds" role="group" aria-label="Colour of the background"></div>
  <div class="gl-brushes" role="group" aria-label="Size of the brush"></div>
</div>
"""


def palette(
    value: str, colours: Mapping[str, Sequence[int]], grounds: Mapping[str, Sequence[int]], size: int = 64, **kwargs
):
    """The component; its event `input` fires after each stroke. colours: of the brush, by name. grounds: of the
    background; choosing one repaints what has the colour of another, or was rubbed out."""
    given = json.dumps({"SIZE": size, "COLOURS": dict(colours), "GROUNDS": dict(grounds)})
    return gr.HTML(
        value,
        html_template=TEMPLATE,
        css_template=(HERE / "palette.css").read_text(encoding="utf-8"),
        js_on_load=f"const {{ SIZE, COLOURS, GROUNDS }} = {given};\n"
        + (HERE / "palette.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **kwargs,
    )


def sketched(picture: np.ndarray, there: np.ndarray | None = None) -> str:
    """The value that shows a picture, uint8 (s, s, 3), of it only what is `there`, bool (s, s)."""
    alpha = np.full(picture.shape[:2], 255, np.uint8) if there is None else np.where(there, 255, 0).astype(np.uint8)
    return np.dstack([picture, alpha]).tobytes().hex()


def sketch(value, size: int = 64) -> tuple[np.ndarray, np.ndarray] | None:
    """A value's picture, uint8 (size, size, 3), and where it was not rubbed out, bool (size, size); None for anything
    else, from a stranger."""
    if not isinstance(value, str) or len(value) != 8 * size * size or not re.fullmatch("[0-9a-fA-F]+", value):
        return None
    rgba = np.frombuffer(bytes.fromhex(value), np.uint8).reshape(size, size, 4)
    return rgba[..., :3].copy(), rgba[..., 3] > 0


def shortened(value, size: int = 64) -> str:
    """A value, short enough for a link; "" for one that cannot be (a photograph), or that `sketch` takes for none."""
    return "" if sketch(value, size) is None else pack(bytes.fromhex(value))


def lengthened(text, size: int = 64) -> str:
    """The value that `shortened` packed; "" for anything else, from a stranger's link."""
    return unpack(text, 4 * size * size).hex()
