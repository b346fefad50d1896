"""Tensors to pictures: PNG without an imaging library, tidy grids, meshes, and small SVG charts that follow the page's
theme.

Images are arrays or tensors of shape (n, h, w), (n, 1, h, w) or (n, 3, h, w) with values in [0, 1].
"""

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from genlab.raster import mesh_picture, vertex_normals

__all__ = [
    "Line",
    "data_uri",
    "line_chart",
    "mesh_picture",
    "png",
    "ticks",
    "tile",
    "to_numpy",
    "to_uint8",
    "vertex_normals",
    "viridis",
]


def to_numpy(x) -> np.ndarray:
    """A tensor of any device and dtype (numpy knows no bfloat16), or anything array-like, as an array."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = (x.float() if x.is_floating_point() else x).numpy()
    return np.asarray(x)


def to_uint8(images) -> np.ndarray:
    """Values in [0, 1] as bytes, channels last: (n, h, w) for one channel, (n, h, w, 3) for colour."""
    x = to_numpy(images)
    if x.dtype != np.uint8:
        x = np.round(np.clip(np.nan_to_num(x), 0, 1) * 255).astype(np.uint8)
    if x.ndim == 4:
        x = x[:, 0] if x.shape[1] == 1 else np.moveaxis(x, 1, -1)
    if x.ndim < 3 or x.ndim == 4 and x.shape[-1] != 3:
        raise ValueError(f"images have shape (n, h, w), (n, 1, h, w) or (n, 3, h, w), not {to_numpy(images).shape}")
    return x


def viridis(share) -> np.ndarray:
    """Values in [0, 1] from dark to light, (..., 3) in [0, 1]; in five steps, with lines between."""
    stops = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]) / 255
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(share, at, channel) for channel in stops.T], axis=-1)


def png(image: np.ndarray) -> bytes:
    """One picture, uint8 of shape (h, w) or (h, w, 3), as the bytes of a PNG file."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError(f"a picture is uint8 of shape (h, w) or (h, w, 3), not {image.dtype} {image.shape}")
    height, width = image.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], axis=1)  # 0: no row filter

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0 if image.ndim == 2 else 2, 0, 0, 0)
    body = zlib.compress(rows.tobytes(), 6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def data_uri(picture: bytes) -> str:
    """A PNG as the `src` of an image."""
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def tile(images, columns: int | None = None, gap: int = 0, scale: int = 1, background: int = 255) -> np.ndarray:
    """One picture of all images in reading order, equally spaced, each pixel a sharp square of `scale` pixels.

    A table of images, (rows, columns, 1 or 3, h, w), keeps its columns; else there are about as many as rows.
    """
    if np.ndim(images) == 5:
        columns, images = images.shape[1], images.reshape(-1, *images.shape[2:])
    x = to_uint8(images).repeat(scale, axis=1).repeat(scale, axis=2)
    n, height, width = x.shape[:3]
    columns = min(columns or math.ceil(math.sqrt(n)), n)
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, *x.shape[3:]), background, np.uint8)
    for i, image in enumerate(x):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


# -- charts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A line of a chart: its points in order, a word beside each (or ""), its name at its end, its colour.

    `joined=False` leaves the points alone; `now=True` draws them large: the current setting.
    """

    points: Sequence[tuple[float, float]]
    words: Sequence[str] = ()
    name: str = ""
    color: str = "var(--gl-accent, #0072B2)"
    joined: bool = True
    now: bool = False


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that lie in [low, high]."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    power = 10 ** math.floor(math.log10((high - low) / about))
    step = next(m * power for m in (1, 2, 5, 10) if (high - low) / (m * power) <= about)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def line_chart(
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    alt: str,
    width: int = 640,
    height: int = 320,
    y_most: float = math.inf,
    y_span: float = 0.0,
) -> str:
    """A small SVG chart: labelled axes `x` and `y` (with units), words beside points and at line ends, no legend.

    `y_most` is the largest value there can be (100 for percent); no tick stands above it. `y_span`: the axis covers at
    least so much, so that small differences look small.

    Colours come from the page (`currentColor`), so it is legible in light and dark. "" if there is nothing to draw.
    """
    points = [(px, py) for line in lines for px, py in line.points if math.isfinite(px) and math.isfinite(py)]
    if not points:
        return ""
    (x_low, x_high), (y_low, y_high) = (
        _range([p[axis] for p in points], span) for axis, span in ((0, 0.0), (1, y_span))
    )
    left, right, top, bottom = 68, 24, 24, 44

    def sx(value: float) -> float:
        return round(left + (value - x_low) / (x_high - x_low) * (width - left - right), 1)

    def sy(value: float) -> float:
        return round(height - bottom - (value - y_low) / (y_high - y_low) * (height - top - bottom), 1)

    parts = []
    for value in ticks(x_low, x_high):
        parts.append(
            f'<text class="tick" x="{sx(value)}" y="{height - bottom + 18}" text-anchor="middle">{value:g}</text>'
        )
    for value in ticks(y_low, min(y_high, y_most)):
        parts.append(f'<line class="rule" x1="{left}" x2="{width - right}" y1="{sy(value)}" y2="{sy(value)}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{sy(value) + 4}" text-anchor="end">{value:g}</text>')
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 6}" text-anchor="middle">{escape(x)}</text>')
    middle = (top + height - bottom) / 2
    parts.append(f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{escape(y)}</text>')
    taken: list[tuple[float, float, float]] = []
    for line in reversed(lines):  # the last, the current setting, chooses its place for words first
        parts += _draw(line, sx, sy, width - right, taken)
    return (
        f'<svg class="gl-chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}">'
        f"<title>{escape(alt)}</title>{''.join(parts)}</svg>"
    )


def _range(values: list[float], span: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    low = min(low, high - span)
    pad = 0.08 * (high - low) or 0.05 * abs(high) or 0.5
    return low - pad, high + pad


def _free(x: float, y: float, width: float, taken: list[tuple[float, float, float]]) -> float | None:
    """The height nearest to y at which a word of this width, from x on, covers no other; it is taken then. None where
    it is crowded: a point without its word says more than words upon words."""
    for dy in (0, -16, 16, -32, 32, 48, 64):
        if all(abs(y + dy - b) >= 14 or x + width < a or a + w < x for a, b, w in taken):
            taken.append((x, y + dy, width))
            return y + dy
    return None


def _draw(line: Line, sx, sy, right: float, taken: list[tuple[float, float, float]]) -> list[str]:
    shown = [(sx(px), sy(py)) for px, py in line.points if math.isfinite(px) and math.isfinite(py)]
    parts = [f'<g style="color:{line.color}">']
    if line.joined and len(shown) > 1:
        path = " ".join(f"{px},{py}" for px, py in shown)
        parts.append(f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-width="2"/>')
    for i, (px, py) in reversed(list(enumerate(shown))):  # the newest word finds its place first
        ring = ' stroke="var(--body-text-color, #000)" stroke-width="2"' if line.now else ""
        parts.append(f'<circle cx="{px}" cy="{py}" r="{7 if line.now else 4}" fill="currentColor"{ring}/>')
        if i < len(line.words) and line.words[i]:
            flip = px > right - 90  # no room on the right: the word goes to the left of its point
            anchor, offset = ("end", -10) if flip else ("start", 10)
            long = 7.5 * len(line.words[i])
            y = _free(px + offset - (long if flip else 0), py + 4, long, taken)
            weight = ' class="now"' if line.now else ""
            if y is not None:
                parts.append(
                    f'<text{weight} x="{px + offset}" y="{y}" text-anchor="{anchor}">{escape(line.words[i])}</text>'
                )
    if line.name and shown:
        px, py = shown[-1]
        anchor, px = ("end", px) if px > right - 160 else ("start", px)
        parts.append(f'<text class="name" x="{px}" y="{py - 12}" text-anchor="{anchor}">{escape(line.name)}</text>')
    return [*parts, "</g>"]
