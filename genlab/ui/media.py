"""Pictures and meshes as files: those that gradio serves, what an API endpoint or MCP tool returns; and pictures that
somebody sends, which may be anything."""

import base64
import binascii
import io
import warnings
from pathlib import Path

import numpy as np

from genlab import viz
from genlab.names import GenlabError, require

gr = require("gradio", extra="apps")

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")  # not all that Pillow reads: some start other programs
PIXELS = 50_000_000  # of a picture that somebody sends: a telephone's
PASSES = 100  # of a JPEG that comes in several: encoders write about ten, and each goes over all pixels
THINNEST = 20  # times as long as wide: what is left of it in a square says nothing


def picture_file(image: np.ndarray, name: str = "samples.png") -> dict:
    """One uint8 picture, kept in gradio's cache, as the file record its clients download."""
    return _file(viz.png(image), name, "image/png")


def mesh_file(vertices: np.ndarray, faces: np.ndarray, kind: str, name: str = "body") -> dict:
    """One mesh as "glb" or "obj". Raises GenlabError for another kind, or where trimesh is missing."""
    kinds = {"glb": "model/gltf-binary", "obj": "model/obj"}
    if kind not in kinds:
        raise GenlabError(f"a mesh is saved as {' or '.join(kinds)}, not {kind!r}")
    normals = viz.vertex_normals(np.asarray(vertices, dtype=np.float64), np.asarray(faces))  # trimesh's own want scipy
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-30)
    mesh = require("trimesh", extra="apps").Trimesh(vertices, faces, vertex_normals=normals, process=False)
    made = mesh.export(file_type=kind, include_normals=True)
    return _file(made.encode() if isinstance(made, str) else made, f"{name}.{kind}", kinds[kind])


def arrays_file(arrays: dict[str, np.ndarray], name: str = "body.npz") -> dict:
    """Arrays as numpy's .npz."""
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    return _file(held.getvalue(), name, "application/octet-stream")


def read_picture(source: str | Path | bytes, name: str = "", side: int = 336) -> np.ndarray:
    """A picture that somebody sent, cut to a square in the middle: uint8 (s, s, 3), s at most `side`, over white where
    it is transparent. source: a file, or its bytes. Its size is looked at before it is unpacked. Raises GenlabError, a
    sentence that begins with `name`."""
    image_module, ops = (require(f"PIL.{part}", extra="apps") for part in ("Image", "ImageOps"))
    name = name or (Path(source).name if isinstance(source, str | Path) else "the picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its size, which is checked here
            image = image_module.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
        width, height = image.size
        if width * height > PIXELS:
            raise GenlabError(
                f"{name} has {width * height / 1e6:,.0f} million pixels, and {PIXELS // 1_000_000} are the most: "
                "make it smaller first."
            )
        if max(width, height) > THINNEST * min(width, height):
            raise GenlabError(f"{name} is {width} x {height} pixels, too thin to cut a square from it.")
        if image.format == "JPEG":
            data = source if isinstance(source, bytes) else Path(source).read_bytes()
            if data.count(b"\xff\xda") > PASSES:
                raise GenlabError(f"{name} comes in more than {PASSES} passes, as no camera writes it: save it anew.")
        image.draft("RGB", (2 * side, 2 * side))  # a JPEG is unpacked no larger than needed
        image = ops.exif_transpose(image)
        if image.mode.startswith("I;16"):  # which Pillow would cut off at 255
            image = image_module.fromarray((np.asarray(image) // 256).astype(np.uint8))
        clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
        side = min(side, *image.size)
        if (factor := min(image.size) // (2 * side)) > 1:  # few pixels first: all that follows touches each of them
            small = tuple(length // factor for length in image.size)
            image = image.resize(small) if image.mode in ("1", "P", "PA") else image.reduce(factor)
        image = image.convert("RGBA" if clear else "RGB")
        image = ops.fit(image, (side, side), image_module.Resampling.BICUBIC)
        if clear:
            image = image_module.alpha_composite(image_module.new("RGBA", image.size, "white"), image)
        return np.asarray(image.convert("RGB"))
    except GenlabError:
        raise
    except image_module.DecompressionBombError as error:  # so large that Pillow does not even open it
        raise GenlabError(f"{name} has far too many pixels: make it smaller first.") from error
    except FileNotFoundError as error:
        raise GenlabError(f"{name} is not there: give the path of a picture.") from error
    except Exception as error:  # damaged files make Pillow raise almost anything
        raise GenlabError(f"{name} is no picture that can be read here: give {', '.join(FORMATS)}.") from error


def sent_picture(text, name: str = "the picture", side: int = 336) -> np.ndarray:
    """As `read_picture`, of a file in base64, as JSON carries it; "data:image/png;base64," may stand before it."""
    try:
        return read_picture(base64.b64decode(text.split(",", 1)[-1], validate=True), name, side)
    except (AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise GenlabError(f"{name} is no file in base64.") from error


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    """A square picture, uint8 (s, s, 3), at another size."""
    if len(picture) == side:
        return picture
    image_module = require("PIL.Image", extra="apps")
    return np.asarray(image_module.fromarray(picture).resize((side, side), image_module.Resampling.BICUBIC))


def _file(data: bytes, name: str, kind: str) -> dict:
    from gradio import processing_utils, utils

    path = processing_utils.save_bytes_to_cache(data, name, utils.get_upload_folder())
    return gr.FileData(path=path, orig_name=name, mime_type=kind).model_dump()
