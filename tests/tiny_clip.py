"""A model of open_clip small enough for a test, as it saves them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file


def build(folder: Path) -> Path:
    """Write it into `folder`/tiny and return that: 32 x 32 pixels, untrained but seeded. Skips where open_clip is
    missing."""
    open_clip = pytest.importorskip("open_clip", reason="needs genlab[clip]", exc_type=ImportError)
    from open_clip.push_to_hf_hub import save_config_for_hf

    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
    }
    made = folder / "tiny"
    made.mkdir()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = open_clip.CLIP(**config)
    open_clip.model.set_model_preprocess_cfg(net, {"mean": None, "std": None})
    net.visual.image_mean, net.visual.image_std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    save_file(net.state_dict(), made / "open_clip_model.safetensors")
    save_config_for_hf(net, made / "open_clip_config.json", config)
    return made
