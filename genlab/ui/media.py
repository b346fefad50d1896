"""Pictures and meshes as files that gradio serves: what an API endpoint or MCP tool returns."""

import io

import numpy as np

from genlab import viz
from genlab.names import GenlabError, require

gr = require("gradio", extra="apps")


def picture_file(image: np.ndarray, name: str = "samples.png") -> dict:
    """One uint8 picture, kept in gradio's cache, as the file record its clients download."""
    return _file(viz.png(image), name, "image/png")


def mesh_file(vertices: np.ndarray, faces: np.ndarray, kind: str, name: str = "body") -> dict:
    """One mesh as "glb" or "obj". Raises GenlabError for another kind, or where trimesh is missing."""
    kinds = {"glb": "model/gltf-binary", "obj": "model/obj"}
    if kind not in kinds:
        raise GenlabError(f"a mesh is saved as {' or '.join(kinds)}, not {kind!r}")
    mesh = require("trimesh", extra="apps").Trimesh(vertices, faces, process=False)
    made = mesh.export(file_type=kind, include_normals=True)
    return _file(made.encode() if isinstance(made, str) else made, f"{name}.{kind}", kinds[kind])


def arrays_file(arrays: dict[str, np.ndarray], name: str = "body.npz") -> dict:
    """Arrays as numpy's .npz."""
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    return _file(held.getvalue(), name, "application/octet-stream")


def _file(data: bytes, name: str, kind: str) -> dict:
    from gradio import processing_utils, utils

    path = processing_utils.save_bytes_to_cache(data, name, utils.get_upload_folder())
    return gr.FileData(path=path, orig_name=name, mime_type=kind).model_dump()
