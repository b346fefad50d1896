"""A drawing pad in the model's own resolution: what you draw is what it sees. Its value is one hex byte a pixel."""

import math
import re
from pathlib import Path

import numpy as np

from genlab.names import require
from genlab.ui.packing import pack, unpack

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent
DIGITS = {  # ours, as lines for `strokes`: no digit of MNIST is shipped
    "0": [[(14 + 4.6 * math.sin(a), 14 - 8 * math.cos(a)) for a in np.linspace(0.3, 0.3 + 2 * math.pi, 17)]],
    "1": [[(15, 5.5), (13, 22.5)]],
    "2": [[(9, 9.5), (11, 6.5), (15, 5.5), (18, 8), (17.5, 11.5), (13, 17), (9, 21.5), (14, 21), (19, 21.5)]],
    "3": [[(9, 7.5), (13, 5.5), (17, 7), (16.5, 10.5), (12.5, 13), (17, 15), (17.5, 19), (14, 22), (9, 20.5)]],
    "4": [[(10, 5.5), (9, 13.5), (18, 13)], [(18, 7), (17, 22.5)]],
    "5": [[(18, 6), (11.5, 6), (10.5, 12.5), (15, 12.5), (17.5, 16), (15.5, 21), (9.5, 21.5)]],
    "6": [[(16, 5.5), (11.5, 11), (9.5, 17), (12, 21.5), (16.5, 20.5), (16.5, 16.5), (13, 14.5), (10, 17)]],
    "7": [[(8.5, 7), (18.5, 7), (15.5, 14), (13, 22)]],
    "8": [[(17, 7.5), (13.5, 5.5), (10.5, 8), (13, 12), (17, 16.5), (16, 21), (12, 22), (9.5, 19), (11.5, 15.5),
           (16, 11.5), (17, 7.5)]],
    "9": [[(17.5, 8.5), (14, 5.5), (10.5, 8), (11.5, 12.5), (15.5, 12.5), (17.5, 8.5), (16.5, 15), (15, 22.5)]],
}  # fmt: skip

TEMPLATE = """
<div class="gl-pad">
  <canvas role="application" tabindex="0"
    aria-label="Drawing pad: draw with the pointer, or with shift and the arrow keys; space makes a dot"></canvas>
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
        js_on_load=f"const SIZE = {size};\n" + (HERE / "pad.js").read_text(encoding="utf-8"),
        apply_default_css=False,
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
    return pack(bytes.fromhex(value)) if ink(value, size).any() else ""


def unpacked(text, size: int = 28) -> str:
    """The pad's value that `packed` shortened; anything else, from a stranger's link, is an empty pad."""
    return unpack(text, size * size).hex()


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


def handwritten(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n digits in the pad's brush, each written a little otherwise, (n, 28, 28) in [0, 1], and which they are, (n,); of
    every ten each digit once. The first ones are the same whatever n is."""
    pictures, labels = [], []
    for start in range(0, n, 10):
        rng = np.random.default_rng([seed, start])
        for digit in rng.permutation(10)[: n - start]:
            angle, scale = rng.uniform(-0.17, 0.17), rng.uniform(0.88, 1.1)
            turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
            shift = 14 + rng.uniform(-1.5, 1.5, 2)
            lines = [[tuple(turn @ (np.array(point) - 14) + shift) for point in line] for line in DIGITS[str(digit)]]
            pictures.append(strokes(lines, radius=rng.uniform(1.1, 1.8)))
            labels.append(digit)
    return np.array(pictures, np.float32).reshape(-1, 28, 28), np.array(labels, int)
