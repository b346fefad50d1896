"""Sentences of the made-up world: said, understood, and held against what is seen."""

import pytest
import torch

from genlab.data import scenes, sentences
from genlab.data.sentences import Said, Thing, held_out, judged, near, say, seen, understand, unknown


@pytest.fixture(scope="module")
def some():
    return scenes.sample(300, 3, split="any")


def read(one: scenes.Scenes, change: dict | None = None) -> sentences.Seen:
    """A scene as a reader without a mistake would read it; change: {thing: (shape, colour, texture, size)}."""
    cells = [[-1, 0, 0, 0] for _ in range(9)]
    for k in range(int(one.count[0])):
        thing = [int(part[0, k]) for part in (one.shape, one.colour, one.texture, one.size)]
        cells[int(one.cell[0, k])] = (change or {}).get(k, thing)
    return seen(cells, int(one.field[0]))


def test_a_caption_is_understood_and_said_again_in_its_own_words(some):
    for caption in scenes.captions(some):
        assert say(understand(caption)) == caption


def test_what_is_true_is_judged_right_in_whatever_words(some):
    for number, texts in enumerate(zip(scenes.captions(some), scenes.paraphrases(some, 1), strict=True)):
        for text in texts:
            words, counts = judged(understand(text), read(some[number]))
            assert all(right is not False for _, right in words), text
            assert all(good == of for good, of in counts.values()), text


def test_one_changed_word_is_judged_wrong(some):
    for number, text in enumerate(scenes.negatives(some, 2)):
        words, _ = judged(understand(text), read(some[number]))
        assert any(right is False for _, right in words), text


def test_verdicts_agree_with_those_of_the_cards(some):
    """The same counts as `recipes._asked.compare`, where no two things are alike (then any may stand for any)."""
    pytest.importorskip("scipy")
    from genlab.recipes import _asked

    for number, caption in enumerate(scenes.captions(some[:100])):
        one, other = some[number], some[(number + 1) % 100]
        drawn = read(other)
        cells = torch.full((1, 9, 4), -1)
        for k in range(int(other.count[0])):
            parts = (other.shape, other.colour, other.texture, other.size)
            cells[0, int(other.cell[0, k])] = torch.tensor([int(part[0, k]) for part in parts])
        theirs = _asked.compare(scenes.captions(one), cells, other.field)
        _, ours = judged(understand(caption), drawn)
        assert ours["count"][0] == int(theirs["count"].sum()) and ours["field"][0] == int(theirs["field"].sum())
        like = sum(sentences.LIKENESS[kind] * ours[kind][0] for kind in sentences.ATTRIBUTES)
        assert like == sum(sentences.LIKENESS[kind] * int(theirs[kind].sum()) for kind in sentences.ATTRIBUTES)


def test_free_text_is_understood_as_far_as_it_goes():
    assert understand("please, a BIG  red circle to the left of stripy squares, a square") == Said(
        (Thing("circle", "red", "plain", "large"), Thing("square", "", "striped")), ((0, "left of", 1),), ""
    )
    assert understand("a star on the left of a cross").relations == ((0, "left of", 1),)
    assert understand("a star on the left").things[0].place == "on the left"
    assert understand("") == understand("left of green") == Said()
    assert understand("on a green field") == understand('"on a GREEN" field.') == Said(field="green")
    assert not understand("a circle in blue, background white").field, "a comma parts what it stands between"


def test_what_is_not_said_is_not_held_against_a_picture():
    words, counts = judged(understand("a circle"), seen([[0, 1, 0, 1]] + [[-1, 0, 0, 0]] * 8, 2))
    assert words == [("large", None), ("orange", None), ("circle", True), ("on green", None)]
    assert counts == {"texture": (1, 1), "shape": (1, 1), "count": (1, 1)}


def test_missing_and_further_things_are_told():
    nothing = seen([[-1, 0, 0, 0]] * 9, 0)
    words, counts = judged(understand("a red circle left of a blue star"), nothing)
    assert ("no red circle", False) in words and ("no blue star", False) in words and counts["relation"] == (0, 1)
    full = seen([[k % 6, k % 8, 0, 0] for k in range(9)], 0)
    words, counts = judged(understand("a red circle"), full)
    assert sum(word.startswith("and ") for word, right in words if right is False) == 8 and counts["count"] == (0, 1)
    words, counts = judged(understand(""), full)
    assert counts == {} and all(right is None for _, right in words)
    judged(understand("circle " * 40), full)  # however many are asked for


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("two red circles on a white field", "a red circle and a red circle on a white field"),
        ("Two small striped  stars", "a small striped  star and a small striped  star"),
        ("the orange crosses", "an orange cross and an orange cross"),
        ("3 hearts and one tiny square", "a heart and a heart, a heart and a tiny square"),
        ("red circles, two big, blue stars", "a red circle and a red circle, a big, blue star and a big, blue star"),
        ("a red circle above two stars", "a red circle above a star and a star"),
        ("two\tcircles", "a circle and a circle"),
        ("two small pink stars", "a small pink star and a small pink star"),
        ("two circles in the middle and two stars", "a circle and a circle in the middle and a star and a star"),
        ("two circles, and two stars", "a circle and a circle, and a star and a star"),
        ("a large red circle left of a small blue square", "a large red circle left of a small blue square"),
        ("There are two red circles", "a red circle and a red circle"),
        ("There is a star, which is in the middle", "a star, in the middle"),
        ("a star that is to the left of a heart", "a star to the left of a heart"),
        ("a star is above a heart and is on a grey field", "a star above a heart and on a grey field"),
    ],
)
def test_several_things_are_said_one_by_one(text, said):
    assert sentences.one_by_one(text) == said == sentences.one_by_one(said)


@pytest.mark.parametrize(
    "text",
    [
        "starship hearts2 circlesque",
        "seven red circles",
        "12 circles",
        "no circles",
        "a pair of red circles",
        "twenty-two circles",
        "all the circles",
        "number 2 star",
        "six stars",
        "red and blue circles",
        "two red and blue circles",
        "two striped and one dotted circle",
        "a star without squares and circles",
        "no squares, circles",
        "one and two circles",
        "a circle is red",  # left out, "is" would make the next thing red
        "this is",
    ],
)
def test_how_many_there_are_is_not_guessed(text):
    assert sentences.one_by_one(text) == text


def test_what_is_left_uncounted_or_has_a_fields_colour_is_told():
    assert sentences.uncounted("seven circles and many red stars") == ["circles", "stars"]
    assert not sentences.uncounted("two circles")
    assert sentences.misplaced("a pink star on a pink field") == [("pink", "star")]
    assert sentences.misplaced("a white small heart") == [("white", "heart")]
    assert sentences.misplaced("a red star on a Purple background") == [("Purple", "background")]
    assert not sentences.misplaced("a red star on a blue field")


def test_one_word_is_another():
    assert sentences.one_word_other("a star left of a heart") == "a star right of a heart"
    assert sentences.one_word_other("a star below a heart") == "a star above a heart"
    assert sentences.one_word_other("a red star, a blue heart") == "a green star, a blue heart"
    assert sentences.one_word_other("a star on a blue field") == "a star on a blue field"
    assert sentences.one_word_other("a black star on a blue field") == "a yellow star on a blue field"


def test_captions_say_each_thing_for_itself(some):
    for text in [*scenes.captions(some), *scenes.paraphrases(some, 0)]:
        assert sentences.one_by_one(text) == text


def test_unknown_words_and_what_they_may_mean():
    assert unknown("a Crimson ball, and a crimson ball") == ["Crimson", "ball", "crimson"]
    assert near("Crimson") == ["red"] and near("ball") == ["circle"] and "square" in near("squar")
    assert near("circles") == near("balls") == ["circle"] and near("boxes") == ["square"]
    assert near("xyzzy") == near("two") == near("that") == near("with") == [] and unknown("") == []


def test_all_words_are_those_of_captions(some):
    texts = scenes.captions(some) + scenes.paraphrases(some, 1)
    assert not any(unknown(text) for text in texts)


def test_pairs_never_seen_in_training():
    assert held_out(understand("a red square below a red circle and a small red square")) == ["red square"]
    never = scenes.captions(scenes.sample(50, 1, split="held_out"))
    assert all(held_out(understand(text)) for text in never)
    assert not any(held_out(understand(text)) for text in scenes.captions(scenes.sample(50, 1)))


def test_relations_are_those_of_scenes():
    cells = torch.arange(9)
    for a in range(9):
        for b in range(9):
            relation = int(scenes.between(cells[a], cells[b]))
            assert sentences.between(a, b) == ("" if relation < 0 else scenes.RELATIONS[relation])
