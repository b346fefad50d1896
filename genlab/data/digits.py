"""Scikit-learn's 1,797 handwritten digits, 8 x 8: the embedded set, for tests and tries without a network."""

import torch
from torch import Tensor

from genlab.names import DataError, require

SPLITS = {"train": slice(0, 1_437), "test": slice(1_437, 1_797)}


def load(split: str) -> dict[str, Tensor]:
    """'train' (1,437) or 'test' (360) as image (N, 1, 8, 8) uint8 and label (N,) int64, shuffled once for all."""
    if split not in SPLITS:
        raise DataError(f"the digits have the splits {', '.join(SPLITS)}, not {split!r}")
    digits = require("sklearn.datasets", extra="train").load_digits()
    image = torch.from_numpy(digits.images / 16 * 255).round().to(torch.uint8)[:, None]
    order = torch.randperm(len(image), generator=torch.Generator().manual_seed(0))[SPLITS[split]]
    return {"image": image[order], "label": torch.from_numpy(digits.target)[order].long()}


def splits() -> dict[str, dict[str, Tensor]]:
    """train and valid; the latter is the test set, which for so small a data set is what one has."""
    return {"train": load("train"), "valid": load("test")}
