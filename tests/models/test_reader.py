"""The reader of scenes: its probability against a loop, its answers against labels, and what counts as right."""

import pytest
import torch
from contract import keeps_contract

from genlab.models.classic import Reader, ReaderConfig
from genlab.models.classic.reader import right

TINY = ReaderConfig(image_size=16, cells=2, shapes=3, attributes=(2,), fields=2, widths=(8, 8), patch=2, features=8)


def batch(n: int = 6) -> dict:
    rng = torch.Generator().manual_seed(0)
    shape = torch.randint(-1, 3, (n, 4), generator=rng)
    colour = torch.where(shape < 0, -1, torch.randint(2, (n, 4), generator=rng))
    field = torch.randint(2, (n,), generator=rng)
    return {
        "image": torch.rand(n, 3, 16, 16, generator=rng),
        "things": torch.stack([shape, colour], -1),
        "field": field,
    }


def test_contract(tmp_path):
    keeps_contract(Reader(TINY), batch(), tmp_path)


def test_the_probability_is_a_product():
    torch.manual_seed(1)
    model, b = Reader(TINY).eval(), batch()
    thing, field = model(b["image"])
    found = model.log_prob(b["image"], b["things"], b["field"])
    for i in range(len(field)):
        nats = field[i].log_softmax(0)[b["field"][i]]
        for c in range(4):
            shape, colour = b["things"][i, c]
            nats = nats + thing[i, c, :4].log_softmax(0)[shape + 1]
            if shape >= 0:
                nats = nats + thing[i, c, 4:].log_softmax(0)[colour]
        assert found[i].item() == pytest.approx(nats.item(), rel=1e-5)


def test_reads_what_it_has_learned():
    torch.manual_seed(0)
    model, b = Reader(TINY), batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        model.loss(b)[0].backward()
        optimizer.step()
    things, field = model.eval().read(b["image"])
    assert right(things, field, b["things"], b["field"]).all()
    assert model.loss(b)[1] == {"right": 1.0}
    assert model.features(b["image"]).shape == (6, 8)


def test_what_is_right():
    true = torch.tensor([[[1, 0], [-1, -1]]])
    field = torch.tensor([1])
    assert right(torch.tensor([[[1, 0], [-1, 7]]]), field, true, field) == 1, "of nothing, nothing counts"
    for wrong in ([[1, 1], [-1, 0]], [[2, 0], [-1, 0]], [[1, 0], [0, 0]], [[-1, 0], [-1, 0]]):
        assert right(torch.tensor([wrong]), field, true, field) == 0
    assert right(true, 1 - field, true, field) == 0


def test_refuses():
    with pytest.raises(ValueError, match="positive"):
        ReaderConfig(attributes=(0,))
    with pytest.raises(ValueError, match="patches"):
        ReaderConfig(image_size=62)
    with pytest.raises(ValueError, match="pictures are"):
        Reader(TINY).read(torch.rand(1, 3, 8, 16))
