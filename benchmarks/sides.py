"""Two models trained in turns of a few seconds, so that a busy machine slows both; and what text-to-image ones draw."""

import copy
import itertools
import time

import torch
from torch import nn

from genlab.core import Model
from genlab.train import Batch, Recipe, batch_at, batch_index, stream, update_average

TURN = 5.0  # seconds of training before the other side has its turn
DRAWN = {"steps": 30, "guidance": 2.0}


class Side:
    """One of them: a model, its optimiser, its average, and its clock. Data, rate and clipping are the recipe's; its
    warm-up and average suit a few minutes."""

    def __init__(self, model: Model, recipe: Recipe, data: Batch):
        self.model = model.train().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), recipe.lr, weight_decay=0.0)
        self.recipe, self.data, self.seconds, self.step = recipe, data, 0.0, 0

    def train_for(self, seconds: float) -> None:
        start = time.perf_counter()
        while time.perf_counter() < start + seconds:
            self.update()
        self.seconds += time.perf_counter() - start

    def update(self) -> None:
        torch.manual_seed(stream(0, self.step, 0))
        count = len(next(iter(self.data.values())))
        batch = batch_at(self.data, batch_index(0, self.step, self.recipe.batch_size, count))
        batch = self.recipe.augment(batch) if self.recipe.augment else batch
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr * min(1.0, (self.step + 1) / 100)
        with torch.autocast("cpu", torch.bfloat16):
            loss, _ = self.model.loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()
        update_average(self.average, self.model, min(0.998, (1 + self.step) / (10 + self.step)))
        self.step += 1


def in_turns(sides: list[Side], seconds: float) -> None:
    """Train each for so many seconds."""
    for side in itertools.cycle(sides):
        if all(one.seconds >= seconds for one in sides):
            break
        side.train_for(TURN)


def drawn(model: Model, prompts: list[str]) -> torch.Tensor:
    """A picture of each sentence, the same noise for each model, 50 at a time."""
    generator = torch.Generator().manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        some = [prompts[i : i + 50] for i in range(0, len(prompts), 50)]
        return torch.cat([model.sample(prompts=part, generator=generator, **DRAWN).float() for part in some])
