"""Scenes: what is said is what is drawn, splits keep apart what they promise, words are true or false as they say."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from genlab.data import scenes as S
from genlab.data.sentences import understand, unknown

INK = torch.tensor(list(S.COLOURS.values())).float()
PAPER = torch.tensor(list(S.FIELDS.values())).float()


@pytest.fixture(scope="module")
def some():
    return S.sample(600, seed=3)


def test_a_seed_is_a_world(some):
    again, other = S.sample(600, seed=3), S.sample(600, seed=4)
    assert torch.equal(S.draw(some), S.draw(again)) and S.captions(some) == S.captions(again)
    assert S.captions(some) != S.captions(other)
    assert torch.equal(S.draw(some)[7:9], S.draw(some[7:9])), "a scene looks the same in any company"
    assert S.paraphrases(some, 5) == S.paraphrases(some, 5) != S.paraphrases(some, 6)


def test_splits_by_combination():
    pairs = torch.tensor(S.HELD_OUT)

    def held(scenes):
        here = (scenes.colour[..., None] == pairs[:, 0]) & (scenes.shape[..., None] == pairs[:, 1])
        return here.any(-1) & (scenes.shape >= 0)

    assert not held(S.sample(20_000, 0)).any()
    unseen = S.sample(5_000, 0, split="held_out")
    assert held(unseen).any(dim=1).all()
    assert 0.03 < held(S.sample(20_000, 0, split="any")).float().mean() / (2 / 3) < 0.3
    assert {c for c, _ in S.HELD_OUT} == set(range(len(S.COLOURS))), "each colour lacks one shape"
    known = S.sample(20_000, 0)
    there = known.shape >= 0
    assert len(known.colour[there].unique()) == len(S.COLOURS) and len(known.shape[there].unique()) == len(S.SHAPES)


def test_factors_are_even():
    n = 30_000
    scenes = S.sample(n, 1)
    there = scenes.shape >= 0
    alone = scenes.cell[scenes.count == 1, 0]
    for values, kinds in ((scenes.size[there], 2), (scenes.texture[there], 3), (alone, 9), (scenes.count - 1, 3)):
        share = torch.bincount(values, minlength=kinds) / len(values)
        assert (share - 1 / kinds).abs().max() < 0.12 / kinds
    assert (scenes.relation[scenes.count > 1] >= 0).all() and (scenes.relation[scenes.count == 1] == -1).all()


def test_things_are_where_and_as_large_as_said():
    """Centre and radius, from the pixels that differ from the background, of one plain circle each."""
    scenes = S.sample(200, 2, most=1)
    scenes.shape[:, 0], scenes.texture[:, 0] = S.SHAPES.index("circle"), 0
    bare = S.draw(S.Scenes(**{**scenes.__dict__, "shape": torch.full_like(scenes.shape, -1)}), 128).float()
    picture = S.draw(scenes, 128).float()
    mask = ((picture - bare).abs().sum(1) > 60).float()
    line = (torch.arange(128) + 0.5) / 128
    mass = mask.sum((1, 2))
    centre = torch.stack([(mask.sum(1) * line).sum(1), (mask.sum(2) * line).sum(1)], dim=1) / mass[:, None]
    assert (centre - scenes.centre[:, 0]).abs().max() < 0.006
    radius = (mass / torch.pi).sqrt() / 128
    assert (radius / (0.95 * scenes.radius[:, 0]) - 1).abs().max() < 0.06


@pytest.mark.parametrize("shape", range(len(S.SHAPES)))
@pytest.mark.parametrize("texture", range(len(S.TEXTURES)))
def test_each_thing_shows_its_colour_before_each_field(shape, texture):
    n = len(S.COLOURS) * len(S.FIELDS)
    scenes = S.sample(n, 5, most=1)
    colour, field = torch.cartesian_prod(torch.arange(len(S.COLOURS)), torch.arange(len(S.FIELDS))).unbind(1)
    scenes.shape[:, 0], scenes.texture[:, 0], scenes.colour[:, 0], scenes.field[:] = shape, texture, colour, field
    picture = S.draw(scenes).flatten(2).float()
    own = (picture - INK[colour][..., None]).abs().amax(1).amin(1)
    assert own.max() < 40, "somewhere the thing has its own colour"
    corner = (picture - PAPER[field][..., None]).abs().amax(1)
    assert (corner.amin(1) < 6).all() and ((corner < 14).float().mean(1) > 0.7).all()


def test_edges_are_soft_and_pictures_alike_at_any_size(some):
    """Drawn large and averaged down, a picture is nearly the small one: that is what anti-aliasing means."""
    small, large = S.draw(some[:60]).float(), S.draw(some[:60], 512).float()
    off = (torch.nn.functional.avg_pool2d(large, 8) - small).abs()
    assert off.mean() < 0.5 and off.flatten(1).quantile(0.99, dim=1).mean() < 10


def test_captions_read_back():
    """A caption says all: what is read out of it again is what was sampled."""
    scenes = S.sample(2_000, 6)
    thing = (
        rf"an? ({'|'.join(S.SIZES)})(?: ({'|'.join(S.TEXTURES[1:])}))? ({'|'.join(S.COLOURS)}) ({'|'.join(S.SHAPES)})"
    )
    for i, text in enumerate(S.captions(scenes)):
        found = re.findall(thing, text)
        assert len(found) == scenes.count[i]
        for k, (size, texture, colour, shape) in enumerate(found):
            assert (
                list(S.SIZES).index(size) == scenes.size[i, k] and list(S.COLOURS).index(colour) == scenes.colour[i, k]
            )
            assert S.TEXTURES.index(texture or "plain") == scenes.texture[i, k]
            assert S.SHAPES.index(shape) == scenes.shape[i, k]
        relation = re.search("left of|right of|above|below", text)
        assert (S.RELATIONS.index(relation[0]) if relation else -1) == scenes.relation[i]
        place = re.search("|".join(sorted(S.PLACES, key=len, reverse=True)), text)
        if scenes.count[i] != 2:
            assert S.PLACES.index(place[0]) == scenes.cell[i, 2 if scenes.count[i] == 3 else 0]
        assert text.endswith(f", on a {list(S.FIELDS)[scenes.field[i]]} field")


@pytest.mark.parametrize("kind", [None, *S.KINDS])
def test_negatives_differ_in_one_word(kind):
    scenes = S.sample(1_500, 7)
    if kind == "texture":
        scenes.texture[:] = 1 + scenes.texture % 2
    if kind == "relation":
        kinds = torch.stack([scenes.shape, scenes.colour, scenes.texture, scenes.size])
        twins = (kinds[:, :, 0] == kinds[:, :, 1]).all(0)
        with pytest.raises(ValueError, match="as to relation"):
            S.negatives(scenes[twins], 8, kind)  # each is on either side of the other
        scenes = scenes[(scenes.count > 1) & ~twins]
    if kind == "place":  # the middle has no opposite
        scenes = scenes[
            ((scenes.count == 1) & (scenes.cell[:, 0] != 4)) | ((scenes.count == 3) & (scenes.cell[:, 2] != 4))
        ]
    for true, false in zip(S.captions(scenes), S.negatives(scenes, 8, kind), strict=True):
        changed = [(a, b) for a, b in zip(true.split(), false.split(), strict=True) if a != b]
        assert len(changed) == 1, (true, false)
    assert len(scenes) > 300


def test_contrasts_differ_in_one_word_and_mean_something_else():
    """But for the article before it."""
    scenes = S.sample(3_000, 11)
    said = {word: words[0] for words in S.OTHER_WORDS.values() for word in words}
    known = set(S.vocabulary())
    for true, false in S.contrasts(scenes, 2):
        assert set(false.replace(",", " ,").split()) <= known and not re.search(r"\ba [aeiou]|\ban [^aeiou]", false)
        (a, b), *more = _changed(true, false)
        assert not more and said.get(a, a) != said.get(b, b), "tiny for small would be no mistake"
    assert S.contrasts(scenes[:9], 5) == S.contrasts(scenes[:9], 5) != S.contrasts(scenes[:9], 6)


def test_glimpses_say_a_little_and_nothing_untrue():
    scenes = S.sample(400, 12, split="any")
    pairs = S.glimpses(scenes, 3)
    assert pairs == S.glimpses(scenes, 3) != S.glimpses(scenes, 4)
    texts, wrong = zip(*pairs, strict=True)
    assert len({*texts}) > 200 and sum(map(len, texts)) < 0.6 * sum(map(len, S.captions(scenes)))
    for one, text in zip(S._rows(scenes), texts, strict=True):
        said = understand(text)
        there = [
            (S.SHAPES[s], list(S.COLOURS)[c], S.TEXTURES[t], list(S.SIZES)[z], S.PLACES[p])
            for s, c, t, z, p in one["things"]
        ]
        for thing in said.things:
            words = (
                thing.shape,
                thing.colour,
                thing.texture if thing.texture != "plain" else "",
                thing.size,
                thing.place,
            )
            fits = [all(word in ("", true) for word, true in zip(words, other, strict=True)) for other in there]
            assert any(fits), (text, there)
        assert said.field in ("", list(S.FIELDS)[one["field"]])
        for _, relation, _ in said.relations:
            assert relation == S.RELATIONS[one["relation"]]
    for one, true, false in zip(S._rows(scenes), texts, wrong, strict=True):
        assert sum(a != b for a, b in zip(true.split(), false.split(), strict=True)) in (1, 2)  # and its article
        assert S._holds(understand(true), one) and not S._holds(understand(false), one), (one, true, false)


def test_of_things_that_sound_alike_nothing_is_changed_that_may_be_true():
    """A red circle left of a red circle may be said from either side, though one of them is large and one small."""
    scenes = S.sample(400, 12, most=2)
    scenes = scenes[scenes.count == 2]
    for values in (scenes.shape, scenes.colour, scenes.texture):
        values[:, 1] = values[:, 0]
    unsaid = 0
    for true, false in S.contrasts(scenes, 3):
        ((a, _),) = _changed(true, false)
        if len(re.findall("small|little|tiny|large|big", true)) < 2:
            unsaid += 1
            assert a in {*S.SHAPES, *S.COLOURS, *S.FIELDS, "striped", "stripy", "dotted", "spotted"}, (true, false)
    assert unsaid > 50


def _changed(true: str, false: str) -> list[tuple[str, str]]:
    pairs = zip(true.replace(",", "").split(), false.replace(",", "").split(), strict=True)
    return [(a, b) for a, b in pairs if a != b and a not in ("a", "an")]


def test_one_thing_anywhere_has_six_even_factors():
    scenes = S.single(20_000, 4)
    assert scenes.count.unique().tolist() == [1] and scenes.texture.unique().tolist() == [0]
    factors = S.factors(scenes)
    assert factors.shape == (20_000, len(S.FACTORS))
    for column, kinds in zip(factors.T, (6, 6, 6, len(S.SHAPES), len(S.COLOURS), len(S.FIELDS)), strict=True):
        share = torch.bincount(column, minlength=kinds) / len(column)
        assert len(share) == kinds and (share - 1 / kinds).abs().max() < 0.12 / kinds
    centre, radius = scenes.centre[:, 0], scenes.radius[:, 0]
    assert 0.2 <= centre.min() < 0.205 and 0.795 < centre.max() <= 0.8 + 1e-6
    assert S.SIZES["small"] - 1e-6 <= radius.min() and radius.max() <= S.SIZES["large"] + 1e-6
    nearest = ((centre - 0.19) / 0.31).round()
    assert torch.equal(scenes.cell[:, 0], (nearest[:, 0] + 3 * nearest[:, 1]).long()), "captions hold"
    assert torch.equal(S.draw(S.single(5, 4)), S.draw(S.single(5, 4)))
    with pytest.raises(ValueError, match="not negative"):
        S.single(-1)


def test_exchanged_and_paraphrased_words():
    scenes = S.sample(1_000, 9)
    many = scenes[scenes.count > 1]
    for true, false in zip(S.captions(many), S.exchanged(many), strict=True):
        assert sorted(true.replace(",", "").split()) == sorted(false.replace(",", "").split())
    known = set(S.vocabulary())
    for text in S.paraphrases(scenes, 1) + S.captions(scenes) + S.negatives(scenes, 1):
        assert set(text.replace(",", " ,").split()) <= known, text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text), text
    for i, text in enumerate(S.paraphrases(many, 2)):
        found = re.search(r"(left of|right of|above|below|over|under)", text)
        if found:
            word = {"over": "above", "under": "below"}.get(found[0], found[0])
            before = re.findall("|".join(S.SHAPES), text[: found.start()])[-1]
            first, second = (S.SHAPES[k] for k in many.shape[i, :2])
            if first != second:
                straight = S.RELATIONS.index(word) == many.relation[i]
                assert before == (first if straight else second), text


def test_colours_may_go_unsaid():
    """As many as asked for, and they alone."""
    scenes = S.sample(1_000, 9)
    for share in (0.0, 0.3, 1.0):
        texts = S.paraphrases(scenes, 1, share)
        assert not any(re.search(r"\ba [aeiou]|\ban [^aeiou]", text) for text in texts)
        assert not unknown(" ".join(texts))
        coloured = [bool(thing.colour) for text in texts for thing in understand(text).things]
        assert len(coloured) == scenes.count.sum() and abs(sum(coloured) / len(coloured) - (1 - share)) < 0.03
    for full, text in zip(S.captions(scenes), scenes_without_colours(scenes), strict=True):
        before, after = understand(full), understand(text)
        assert after == replace(before, things=tuple(replace(thing, colour="") for thing in before.things))


def scenes_without_colours(scenes: S.Scenes) -> list[str]:
    rng = np.random.default_rng(0)
    return [S._text(S._colourless(S._caption(one), rng, 1.0)) for one in S._rows(scenes)]


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: S.sample(3, split="dev"), "splits train, held_out, any"),
        (lambda: S.sample(3, most=4), "1 to 3 things"),
        (lambda: S.sample(-1), "not negative"),
        (lambda: S.draw(S.sample(1), 4), "8 to 1024"),
        (lambda: S.negatives(S.sample(1), kind="mood"), "shape, colour"),
        (lambda: S.negatives(S.sample(20, most=1), kind="relation"), "has no word"),
        (lambda: S.exchanged(S.sample(5, most=1)), "alone"),
    ],
)
def test_senseless_wishes_are_told(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_none_at_all():
    none = S.sample(0)
    assert S.draw(none).shape == (0, 3, 64, 64) and S.captions(none) == S.paraphrases(none) == []
