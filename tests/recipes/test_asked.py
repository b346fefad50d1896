"""What was asked against what was drawn: true pictures are right in all, each change wrong in what it changes."""

import pytest
import torch

from genlab.data import scenes
from genlab.recipes import _scenes
from genlab.recipes._asked import compare, jobs


@pytest.fixture(scope="module")
def asked():
    return scenes.sample(300, 1)


def shares(asked, things, field):
    return {name: good.float().mean().item() for name, good in compare(scenes.captions(asked), things, field).items()}


def test_what_is_drawn_as_asked_is_right(asked):
    found = compare(scenes.captions(asked), _scenes.things(asked), asked.field)
    assert all(good.all() for good in found.values())
    assert len(found["shape"]) == int(asked.count.sum()) and len(found["relation"]) == int((asked.count > 1).sum())
    assert len(found["place"]) == int((asked.count != 2).sum()), (
        "what the sentences say: of one thing, and of the third"
    )


@pytest.mark.parametrize(("column", "name"), [(0, "shape"), (1, "colour"), (2, "texture"), (3, "size")])
def test_one_attribute_of_one_thing(asked, column, name):
    alone = asked[(asked.count == 1).nonzero()[:, 0]]
    things = _scenes.things(alone)
    there = things[..., 0] >= 0
    things[there, column] = (things[there, column] + 1) % 2
    changed = things[there, column] != getattr(alone, name)[:, 0]
    things[there, column] = torch.where(changed, things[there, column], 1 - things[there, column])
    found = shares(alone, things, alone.field)
    assert found[name] == found["everything"] == 0
    assert all(value == 1 for other, value in found.items() if other not in (name, "everything", "relation"))


def test_fields_counts_places_and_relations(asked):
    things = _scenes.things(asked)
    assert shares(asked, things, (asked.field + 1) % 6)["field"] == 0
    nothing = shares(asked, torch.full_like(things, -1), asked.field)
    assert nothing["field"] == 1 and all(value == 0 for name, value in nothing.items() if name != "field")
    full = things.clone()
    full[full[..., 0] < 0] = 0
    assert shares(asked, full, asked.field)["count"] == 0
    mirrored = things.view(-1, 3, 3, 4).flip(2).reshape(-1, 9, 4)
    found = compare(scenes.captions(asked), mirrored, asked.field)
    pairs = asked.relation[asked.count > 1]
    assert torch.equal(found["relation"], pairs >= 2), "left and right are exchanged, above and below stay"
    said = torch.cat(
        [
            one.cell[0, [0] if int(one.count) == 1 else [2]]
            for one in map(asked.__getitem__, range(300))
            if int(one.count) != 2
        ]
    )
    assert torch.equal(found["place"], said % 3 == 1), "the middle column stays where it is"
    assert found["shape"].all() and found["count"].all()


def test_of_identical_twins_either_may_be_the_one_asked_for():
    one = scenes.sample(1, 0)
    one.shape[0], one.colour[0], one.texture[0] = torch.tensor([1, 1, 1]), torch.tensor([2, 2, 2]), 0
    one.size[0], one.cell[0] = 0, torch.tensor([5, 3, 0])
    assert all(good.all() for good in compare(scenes.captions(one), _scenes.things(one), one.field).values())


def test_twins_are_told_apart_as_fits_best():
    """Two things alike but for the size, the large one asked for first, drawn in the other order of cells."""
    one = scenes.sample(1, 0)
    one.shape[0], one.colour[0], one.texture[0] = torch.tensor([1, 1, -1]), torch.tensor([2, 2, 0]), 0
    one.size[0], one.cell[0] = torch.tensor([1, 0, 0]), torch.tensor([5, 3, 0])
    things = _scenes.things(one)
    assert all(good.all() for good in compare(scenes.captions(one), things, one.field).values())
    things[0, [3, 5]] = things[0, [5, 3]]
    found = compare(scenes.captions(one), things, one.field)
    assert found["size"].all() and not found["relation"].any()


def test_an_open_colour_may_be_any(asked):
    things = _scenes.things(asked)
    there = things[..., 0] >= 0
    things[there, 1] = (things[there, 1] + 1) % len(scenes.COLOURS)
    found = compare(scenes.paraphrases(asked, 0, colourless=1.0), things, asked.field)
    assert found["everything"].all() and not len(found["colour"])


def test_all_jobs_judge_what_is_drawn():
    """With the true pictures in place of a model's all is right, and with pictures of nothing all is wrong."""
    pytest.importorskip("scipy")
    true = {split: _scenes.pictures(scenes.sample(10, _scenes.TEST_SEED + 2, split=split)) for split in _scenes.PAIRS}

    def ours(prompts, **how):
        seen = scenes.captions(scenes.sample(10, _scenes.TEST_SEED + 2, split="held_out"))
        return true["held_out" if prompts == seen else "train"]

    for draw, right in ((ours, 100.0), (lambda prompts, **how: torch.full((len(prompts), 3, 64, 64), 0.9), 0.0)):
        for job in jobs(draw, 10, 1):
            if job.key in ("seen rho=2", "held out rho=2", "no colour said"):
                found = job.run()
                fid = {m.name: m.value for m in found if m.name.startswith("fid")}
                assert not fid or (fid["fid"] == fid["fid, real pictures"]) == (draw is ours), fid
                figures = [m for m in found if m.name.startswith("drawn right")]
                everything = [m for m in figures if m.settings.get("what", "everything") == "everything"]
                assert everything and all(m.value == right for m in everything), job.key
