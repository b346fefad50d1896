"""Pictures as files that gradio serves: what an API endpoint or MCP tool returns."""

import numpy as np

from genlab import viz
from genlab.names import require

gr = require("gradio", extra="apps")


def picture_file(image: np.ndarray, name: str = "samples.png") -> dict:
    """One uint8 picture, kept in gradio's cache, as the file record its clients download."""
    from gradio import processing_utils, utils

    path = processing_utils.save_bytes_to_cache(viz.png(image), name, utils.get_upload_folder())
    return gr.FileData(path=path, orig_name=name, mime_type="image/png").model_dump()
