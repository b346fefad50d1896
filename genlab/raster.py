"""Meshes to pictures without a graphics card: a z-buffer in numpy, lit as the viewer's studio is."""

import numpy as np

CLAY = (196, 181, 165)
MOST = 2_000_000  # pixels that triangles may claim in one go, which bounds the memory
KEY, FILL = (np.array(v) / np.linalg.norm(v) for v in ([-0.5, 0.62, 0.6], [0.85, 0.1, 0.5]))


def mesh_picture(
    vertices,
    faces,
    colors=None,
    *,
    size: tuple[int, int] = (320, 240),
    yaw: float = 25,
    pitch: float = 8,
    box=None,
    background: tuple[int, int, int] | None = (255, 255, 255),
    samples: int = 2,
) -> np.ndarray:
    """A picture, uint8 (h, w, 3), of triangles `faces` (F, 3) between `vertices` (V, 3); seen from afar, so parallel
    lines stay parallel.

    size: height and width. yaw, pitch: of the camera, degrees from +z and from the horizon. box: two corners (2, 3)
    that fill the picture; by default the mesh itself. colors: one (3,) or one a vertex (V, 3), bytes. background: None
    for a picture (h, w, 4) that is transparent around the mesh. samples: along each side of a pixel. Raises ValueError.
    """
    v, faces, colors, box = _checked(vertices, faces, colors, box)
    if np.shape(size) != (2,) or not all(isinstance(n, int | np.integer) and n >= 1 for n in (*size, samples)):
        raise ValueError(f"size is a height and a width of 1 or more, and so is samples, not {size} and {samples}")
    if not np.isfinite([yaw, pitch]).all():
        raise ValueError(f"yaw and pitch are degrees, not {yaw} and {pitch}")
    height, width = (side * samples for side in size)
    y, p = np.radians(yaw), np.radians(pitch)
    right, up = (
        np.array([np.cos(y), 0, -np.sin(y)]),
        np.array([-np.sin(y) * np.sin(p), np.cos(p), -np.cos(y) * np.sin(p)]),
    )
    axes = np.stack([right, up, np.cross(right, up)])  # the last one towards the eye
    corners = np.array([[box[i >> k & 1][k] for k in range(3)] for i in range(8)]) @ axes.T
    low, high = corners.min(0), corners.max(0)
    scale = 0.96 * min(width / max(high[0] - low[0], 1e-9), height / max(high[1] - low[1], 1e-9))
    seen = v @ axes.T
    x = (seen[:, 0] - (low[0] + high[0]) / 2) * scale + width / 2
    y = height / 2 - (seen[:, 1] - (low[1] + high[1]) / 2) * scale
    pixel, face, where = _visible(np.stack([x, y, seen[:, 2]], 1), faces, height, width)

    n = np.einsum("pk,pkc->pc", where, (vertex_normals(v, faces) @ axes.T)[faces[face]])
    n *= np.sign(n[:, 2:] + 1e-12) / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-12)
    tint = np.broadcast_to(colors, v.shape) / 255
    tint = np.einsum("pk,pkc->pc", where, tint[faces[face]])
    sheet = np.zeros((height * width, 4))
    sheet[pixel] = np.concatenate([_lit(tint, n), np.ones((len(n), 1))], axis=1)
    sheet = sheet.reshape(size[0], samples, size[1], samples, 4).mean(axis=(1, 3))
    cover = sheet[..., 3:]
    if background is None:
        sheet[..., :3] /= np.maximum(cover, 1e-9)
        return np.round(255 * sheet).astype(np.uint8)
    return np.round(255 * sheet[..., :3] + (1 - cover) * background).astype(np.uint8)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The sum (V, 3) of the normals of the faces at each vertex, each as long as twice the face's area."""
    normals, corner = np.zeros(vertices.shape), vertices[faces]
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    for k in range(3):
        for c in range(3):
            normals[:, c] += np.bincount(faces[:, k], across[:, c], len(vertices))
    return normals


def _checked(vertices, faces, colors, box) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    v, faces = _numbers(vertices, "vertices"), _numbers(faces, "faces")
    if v.ndim != 2 or v.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3 or not len(v) or not len(faces):
        raise ValueError(f"vertices are (V, 3) and faces (F, 3), at least one of each, not {v.shape} and {faces.shape}")
    if faces.min() < 0 or faces.max() >= len(v) or (faces % 1).any():
        raise ValueError(f"faces name vertices 0 to {len(v) - 1}, not {faces.min():g} to {faces.max():g}")
    colors = _numbers(CLAY if colors is None else colors, "colors")
    if colors.shape not in ((3,), v.shape):
        raise ValueError(f"colors are one (3,) or {v.shape}, one a vertex, not {colors.shape}")
    box = _numbers([v.min(0), v.max(0)] if box is None else box, "box")
    if box.shape != (2, 3):
        raise ValueError(f"box is two corners (2, 3), not {box.shape}")
    return v, faces.astype(np.int64), colors, box


def _numbers(x, what: str) -> np.ndarray:
    """An array or a tensor in float64. Raises ValueError for what is not finite."""
    try:
        x = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} are numbers: {error}") from error
    if not np.isfinite(x).all():
        raise ValueError(f"{what} hold NaN or infinity")
    return x


def _visible(seen: np.ndarray, faces: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each pixel that shows anything: its number, the triangle nearest to the eye, and where in it, barycentric.

    Every triangle claims the pixels of its bounding box, keeps those whose middle is inside, and the nearest wins.
    """
    corners = seen[faces]  # (F, 3, 3): columns, rows, and nearness
    limits = (width, height)
    first, last = (
        [np.clip(np.floor(edge(corners[..., k], axis=1) + half), 0, limits[k]).astype(int) for k in (0, 1)]
        for edge, half in ((np.min, 0.5), (np.max, 0.5))
    )
    wide = np.maximum(last[0] - first[0], 0)
    claims = wide * np.maximum(last[1] - first[1], 0)
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    chosen = np.flatnonzero((claims > 0) & (np.abs(area) > 1e-12))
    nearest, found = np.full(height * width, -np.inf), []
    ends = np.cumsum(claims[chosen])
    for part in np.split(chosen, np.searchsorted(ends, np.arange(MOST, ends[-1] if len(ends) else 0, MOST))):
        f = np.repeat(part, claims[part])
        place = np.arange(len(f)) - np.repeat(np.cumsum(claims[part]) - claims[part], claims[part])
        i, j = first[0][f] + place % wide[f], first[1][f] + place // wide[f]
        x, y = i + 0.5, j + 0.5
        u = ((b[f, 0] - x) * (c[f, 1] - y) - (c[f, 0] - x) * (b[f, 1] - y)) / area[f]
        w = ((c[f, 0] - x) * (a[f, 1] - y) - (a[f, 0] - x) * (c[f, 1] - y)) / area[f]
        inside = (u >= 0) & (w >= 0) & (u + w <= 1)
        f, u, w, pixel = f[inside], u[inside], w[inside], (j * width + i)[inside]
        near = u * a[f, 2] + w * b[f, 2] + (1 - u - w) * c[f, 2]
        np.maximum.at(nearest, pixel, near)
        found.append((pixel, f, np.stack([u, w, 1 - u - w], axis=1), near))
    if not found:
        return np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3))
    pixel, face, where, near = (np.concatenate(column) for column in zip(*found, strict=True))
    front = near >= nearest[pixel]
    return pixel[front], face[front], where[front]


def _lit(colour: np.ndarray, n: np.ndarray) -> np.ndarray:
    """As `lit` in the viewer's shader: sky, key, fill, a sheen, and a rim where the surface turns away."""
    sky, away = 0.5 + 0.5 * n[:, 1:2], 1 - np.clip(n[:, 2:], 0, 1)
    light = np.array([0.13, 0.125, 0.12]) * (1 - sky) + np.array([0.33, 0.345, 0.37]) * sky
    light = light + np.array([0.88, 0.86, 0.83]) * np.clip(n @ KEY, 0, None)[:, None]
    light = light + np.array([0.10, 0.105, 0.115]) * np.clip(n @ FILL, 0, None)[:, None]
    middle = KEY + [0, 0, 1]
    sheen = 0.05 * np.clip(n @ (middle / np.linalg.norm(middle)), 0, None)[:, None] ** 24
    c = colour**2.2 * light + sheen + 0.22 * away**3.5 * (0.35 + 0.65 * sky)
    return np.clip(c, 0, 1) ** (1 / 2.2)
