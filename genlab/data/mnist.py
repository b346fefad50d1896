"""MNIST: 60,000 + 10,000 handwritten digits, 28 x 28 (LeCun, Cortes, Burges)."""

import gzip
import os
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genlab.names import DataError, GenlabError, require

HUB_ID = "ylecun/mnist"
SPLITS = {"train": ("train", 60_000), "test": ("t10k", 10_000)}
VALID = 5_000  # of the training set, its last: never trained on by our recipes, never tested on


def load(split: str) -> dict[str, Tensor]:
    """'train' or 'test' as image (N, 1, 28, 28) uint8 and label (N,) int64, in the original order. Raises DataError."""
    if split not in SPLITS:
        raise DataError(f"MNIST has the splits {', '.join(SPLITS)}, not {split!r}")
    folder = os.environ.get("GENLAB_DATA")
    if folder and (Path(folder) / "mnist").is_dir():
        return _from_idx(Path(folder) / "mnist", split)
    try:
        data = require("datasets", extra="train").load_dataset(HUB_ID, split=split)
        image = np.stack([np.asarray(picture, dtype=np.uint8) for picture in data["image"]])
        return {"image": torch.from_numpy(image)[:, None], "label": torch.tensor(data["label"])}
    except Exception as error:
        where = f"GENLAB_DATA is {folder!r}, which has no folder mnist/" if folder else "GENLAB_DATA is not set"
        reason = error if isinstance(error, GenlabError) else f"{type(error).__name__}: {error}"
        raise DataError(
            f"MNIST was found neither on disk ({where}) nor on the Hub ({HUB_ID}: {reason}). Set GENLAB_DATA to a "
            "folder that holds mnist/train-images-idx3-ubyte.gz and its three siblings, or allow the network. "
            "For a try without either, use the embedded 8x8 digits: genlab train ddpm_digits."
        ) from error


def splits() -> dict[str, dict[str, Tensor]]:
    """train (55,000) and valid (5,000), both from the training set."""
    data = load("train")
    return {
        "train": {key: value[:-VALID] for key, value in data.items()},
        "valid": {key: value[-VALID:] for key, value in data.items()},
    }


def _from_idx(folder: Path, split: str) -> dict[str, Tensor]:
    prefix, count = SPLITS[split]
    image = _idx(folder / f"{prefix}-images-idx3-ubyte", (count, 28, 28))
    label = _idx(folder / f"{prefix}-labels-idx1-ubyte", (count,))
    return {"image": image[:, None], "label": label.long()}


def _idx(file: Path, shape: tuple[int, ...]) -> Tensor:
    """An idx file of bytes, gzipped or not: a magic number and the shape, big-endian, then the data."""
    packed = file.with_name(file.name + ".gz")
    file = file if file.is_file() else packed
    try:
        raw = file.read_bytes()
        raw = gzip.decompress(raw) if file == packed else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read: {error}. Fetch it again.") from error
    header = 4 + 4 * len(shape)
    expected = np.array([0x0800 | len(shape), *shape], dtype=">i4").tobytes()
    if raw[:header] != expected or len(raw) != header + int(np.prod(shape)):
        raise DataError(f"{file} is not the MNIST file of shape {shape}. Fetch it again.")
    return torch.frombuffer(bytearray(raw[header:]), dtype=torch.uint8).reshape(shape)
