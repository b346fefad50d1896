"""What every model promises. Call `keeps_contract` with a tiny model and a batch; then test its own mathematics.

Each check stands alone, so that a model for which one makes no sense can call the others.
"""

import copy

import pytest
import torch
from torch import Tensor

import genlab
from genlab.core import LoadError, Model, Sampler


def keeps_contract(model: Model, batch: dict[str, Tensor], folder) -> None:
    """All checks that hold for every trained model."""
    finite_loss(model, batch)
    gradients_reach_all(model, batch)
    seeded_loss(model, batch)
    learns_one_batch(model, batch)
    saves_and_loads(model, folder)
    keeps_to_its_config(model)
    if isinstance(model, Sampler):
        samples_are_seeded(model)


def finite_loss(model: Model, batch: dict[str, Tensor]) -> None:
    loss, log = model.loss(batch)
    assert loss.ndim == 0 and torch.isfinite(loss)
    assert all(isinstance(value, float) for value in log.values())


def gradients_reach_all(model: Model, batch: dict[str, Tensor]) -> None:
    """Every parameter moves the loss. Two steps are taken first: a layer that starts at zero hides what lies below."""
    model = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    reached: set[str] = set()
    for _ in range(4):
        optimizer.zero_grad()
        model.loss(batch)[0].backward()
        reached |= {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        optimizer.step()
    assert reached == {name for name, _ in model.named_parameters()}


def seeded_loss(model: Model, batch: dict[str, Tensor]) -> None:
    losses = []
    for _ in range(2):
        torch.manual_seed(1)
        losses.append(copy.deepcopy(model).train().loss(batch)[0].item())
    assert losses[0] == losses[1]


def learns_one_batch(model: Model, batch: dict[str, Tensor], steps: int = 60) -> None:
    """Sixty steps on one batch lower its loss, in eval mode and under the same draws, by a tenth or more."""

    def loss_now() -> float:
        torch.manual_seed(2)
        with torch.no_grad():
            return model.eval().loss(batch)[0].item()

    model = copy.deepcopy(model)
    before = loss_now()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model.train().loss(batch)[0].backward()
        optimizer.step()
    assert loss_now() < before - 0.1 * abs(before)


def saves_and_loads(model: Model, folder) -> None:
    """Equal to the last bit, in its own dtype and in bfloat16; the class is found; a changed config is refused."""
    for dtype in (torch.float32, torch.bfloat16):
        saved = copy.deepcopy(model).to(dtype)
        saved.save_pretrained(folder / str(dtype))
        loaded = genlab.from_pretrained(folder / str(dtype))
        assert type(loaded) is type(model) and loaded.config == model.config and not loaded.training
        assert loaded.dtype == dtype
        ours, theirs = saved.state_dict(), loaded.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) and ours[key].dtype == theirs[key].dtype for key in ours)

    file = folder / str(torch.float32) / "config.json"
    file.write_text(file.read_text().replace('"config": {', '"config": {"surely_unknown": 1, '))
    with pytest.raises(LoadError, match="surely_unknown"):
        genlab.from_pretrained(file.parent)


def keeps_to_its_config(model: Model) -> None:
    """The config is flat and frozen, and states all: the class built from it anew has the same parameters."""
    with pytest.raises(AttributeError):
        model.config.surely_unknown = 1
    again = type(model)(model.config)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}


def samples_are_seeded(model: Model, **knobs) -> None:
    def draw(seed: int) -> Tensor:
        return model.sample(2, generator=torch.Generator().manual_seed(seed), **knobs)

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
