"""A drawing pad in the model's own resolution: what you draw is what it sees. Its value is one hex byte a pixel."""

import base64
import binascii
import re
import zlib
from pathlib import Path

import numpy as np

from genlab.names import require

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent

TEMPLATE = """
<div class="gl-pad">
  <canvas role="img" aria-label="Drawing pad: draw with the pointer"></canvas>
  <div>
    <button type="button" data-tool="draw" aria-pressed="true">Draw</button>
    <button type="button" data-tool="erase" aria-pressed="false">Erase</button>
    <button type="button" data-tool="clear">Clear</button>
  </div>
</div>
"""


def pad(size: int = 28, value: str = "", **kwargs):
    """The component; its event `input` fires after each stroke."""
    return gr.HTML(
        value,
        html_template=TEMPLATE,
        js_on_load=(HERE / "pad.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        size=size,
        **kwargs,
    )


def ink(value, size: int = 28) -> np.ndarray:
    """A pad's value as (size, size) in [0, 1]; anything else, from a stranger, is an empty pad."""
    if not isinstance(value, str) or len(value) != 2 * size * size or not re.fullmatch("[0-9a-fA-F]+", value):
        return np.zeros((size, size), np.float32)
    return np.frombuffer(bytes.fromhex(value), np.uint8).reshape(size, size).astype(np.float32) / 255


def drawn(image: np.ndarray) -> str:
    """The value of a pad that shows (size, size) in [0, 1]; beyond it is cut off, and what is no number is no ink."""
    return np.round(np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8).tobytes().hex()


def packed(value, size: int = 28) -> str:
    """A pad's value, short enough for a link; nothing for an empty pad, or anything that `ink` takes for one."""
    if not ink(value, size).any():
        return ""
    return base64.urlsafe_b64encode(zlib.compress(bytes.fromhex(value), 9)).decode().rstrip("=")


def unpacked(text, size: int = 28) -> str:
    """The pad's value that `packed` shortened; anything else, from a stranger's link, is an empty pad."""
    if not isinstance(text, str) or len(text) > 4 * size * size:
        return ""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        value = zlib.decompressobj().decompress(raw, size * size + 1)  # bounded: a link may hold a zip bomb
    except (binascii.Error, ValueError, zlib.error):
        return ""
    return value.hex() if len(value) == size * size else ""


def strokes(lines: list[list[tuple[float, float]]], size: int = 28, radius: float = 1.5) -> np.ndarray:
    """Broken lines through points (x, y), in pixels, with the pad's own soft brush: (size, size) in [0, 1]."""
    centres = np.arange(size) + 0.5
    grid = np.stack(np.meshgrid(centres, centres), axis=-1)
    image = np.zeros((size, size), np.float32)
    for line in lines:
        for a, b in zip(np.array(line[:-1]), np.array(line[1:]), strict=True):
            along = np.clip(((grid - a) @ (b - a)) / max((b - a) @ (b - a), 1e-9), 0, 1)[..., None]
            distance = np.linalg.norm(grid - (a + along * (b - a)), axis=-1)
            image = np.maximum(image, np.clip(radius + 0.6 - distance, 0, 1))
    return image
