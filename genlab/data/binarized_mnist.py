"""Binarized MNIST: digits whose grey values were drawn as bits once and for all (Larochelle; Salakhutdinov & Murray).

Most papers on densities of binary pictures report nats on this very set. Other draws of the bits, or new ones at every
pass ("dynamic binarization"), give other figures.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genlab.names import DataError

SPLITS = {"train": 50_000, "valid": 10_000, "test": 10_000}
# of the files as they were published, binarized_mnist_*.amat: a picture a line, bits with a blank between them
MD5 = {
    "train": "db28b1a6ae0fe70cbd3da91acf46e477",
    "valid": "bf37822a04e94123630de6a7dfd9c9ef",
    "test": "14e41ae11040adba6ab8cb291eda0dd8",
}


def load(split: str) -> dict[str, Tensor]:
    """'train', 'valid' or 'test' as image (N, 1, 28, 28) uint8, 0 or 255, in the original order; from
    binarized_mnist_*.npz (an array x of bits) or the published *.amat, whose MD5 the bits must have. Raises
    DataError."""
    if split not in SPLITS:
        raise DataError(f"binarized MNIST has the splits {', '.join(SPLITS)}, not {split!r}")
    folder = os.environ.get("GENLAB_DATA")
    stem = Path(folder or ".") / "binarized_mnist" / f"binarized_mnist_{split}"
    packed, text = stem.with_suffix(".npz"), stem.with_suffix(".amat")
    if not folder or not (packed.is_file() or text.is_file()):
        where = (
            f"GENLAB_DATA is {folder!r}, which has no {packed.name} in binarized_mnist/" if folder else "it is not set"
        )
        raise DataError(
            f"binarized MNIST was not found: {where}. Set GENLAB_DATA to a folder that holds "
            f"binarized_mnist/{text.name} and its siblings, as public loaders of it fetch them."
        )
    file = packed if packed.is_file() else text
    try:
        bits = np.load(file, allow_pickle=False)["x"] if file == packed else _from_text(file.read_bytes())
    except Exception as error:  # of the many that a damaged archive can cause
        raise DataError(f"{file} cannot be read: {error}. Fetch it again.") from error
    if bits.shape != (SPLITS[split], 784) or bits.dtype != np.uint8 or bits.max() > 1:
        raise DataError(f"{file} is not the set: it holds {bits.dtype} of shape {bits.shape}. Fetch it again.")
    image = torch.from_numpy(255 * bits).view(-1, 1, 28, 28)
    if hashlib.md5(as_published(image), usedforsecurity=False).hexdigest() != MD5[split]:
        raise DataError(f"{file} holds other bits than the papers' {text.name}: nats of them compare with nobody's.")
    return {"image": image}


def splits() -> dict[str, dict[str, Tensor]]:
    """train (50,000) and valid (10,000)."""
    return {split: load(split) for split in ("train", "valid")}


def as_published(image: Tensor) -> bytes:
    """The pictures as text, a line each, byte for byte as the papers' files."""
    bits = (image.flatten(1) > 0).numpy().astype(np.uint8)
    line = np.full((len(bits), 2 * bits.shape[1]), ord(" "), dtype=np.uint8)
    line[:, ::2] = ord("0") + bits
    line[:, -1] = ord("\n")
    return line.tobytes()


def _from_text(raw: bytes) -> np.ndarray:
    digits = np.frombuffer(raw, dtype=np.uint8)
    bits = digits[(digits == ord("0")) | (digits == ord("1"))] - ord("0")
    if len(bits) % 784:
        raise ValueError("not 784 bits a line")
    return bits.reshape(-1, 784)
