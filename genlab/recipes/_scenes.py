"""Scenes to learn from: none is seen twice, and a step's scenes are a function of its random stream alone."""

import torch
from torch import Tensor

from genlab.data import scenes
from genlab.data.scenes import Scenes
from genlab.train import Batch

PAIRS = {"train": "seen", "held_out": "held out"}  # in words: pairs of colour and shape, in test scenes of a split
COUNT = 1_000_000  # scenes that an epoch is said to have: they are made as they are needed
VALID_SEED, TEST_SEED = 2**40, 2**41  # beyond any that a step draws


def numbers() -> Batch:
    """In the place of pictures, for `fresh` to fill."""
    return {"number": torch.arange(COUNT)}


def seed() -> int:
    """From torch's stream, which the step has seeded."""
    return int(torch.randint(2**39, ()))


def fresh(batch: Batch, **how) -> Scenes:
    """As many scenes as the batch has numbers, drawn anew."""
    return scenes.sample(len(batch["number"]), seed(), **how)


def pictures(some: Scenes, size: int = 64) -> Tensor:
    """In [0, 1]."""
    return scenes.draw(some, size).float() / 255


def things(some: Scenes) -> Tensor:
    """(N, 9, 4): shape, colour, texture and size in each cell, row by row; the shape is -1 where there is nothing."""
    out = torch.full((len(some), 9, 4), -1)
    said = torch.stack([some.shape, some.colour, some.texture, some.size], dim=-1)
    picture, k = (some.shape >= 0).nonzero(as_tuple=True)
    out[picture, some.cell[picture, k]] = said[picture, k]
    return out
