"""Words as numbers, and the text tower: rotary attention against its definition in complex numbers, padding that
changes nothing."""

import pytest
import torch

from genlab.nn.attention import rotated
from genlab.nn.text import TextTower, check_tower
from genlab.words import check_words, strings, tokens, unknown


def test_rotary_is_multiplication_by_unit_complex_numbers_and_products_depend_on_distance_alone():
    x = torch.randn(2, 3, 7, 8, dtype=torch.float64)
    turn = torch.polar(
        torch.ones(7, 4, dtype=torch.float64),
        torch.outer(torch.arange(7.0, dtype=torch.float64), 100.0 ** (-torch.arange(4) / 4)),
    )
    expected = torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (4, 2))) * turn).flatten(-2)
    assert torch.allclose(rotated(x), expected, atol=1e-6)
    q, k = (torch.randn(8, dtype=torch.float64).expand(1, 1, 7, 8) for _ in range(2))
    products = (rotated(q) @ rotated(k).mT)[0, 0]
    for apart in range(-6, 7):
        assert torch.diagonal(products, apart).std(correction=0) < 1e-6


def test_words_are_read_alike_whatever_is_padded_behind_them_and_order_matters():
    torch.manual_seed(0)
    tower = TextTower(10, 16, 2, 2)
    states, there = tower(torch.tensor([[3, 4, 5, 0, 0], [5, 4, 3, 7, 2]]))
    alone, _ = tower(torch.tensor([[3, 4, 5]]))
    assert there.tolist() == [[True, True, True, False, False], [True] * 5]
    assert torch.allclose(states[:1, :3], alone, atol=1e-6)
    turned, _ = tower(torch.tensor([[5, 4, 3]]))
    assert not torch.allclose(turned.flip(1), alone, atol=1e-3)


@pytest.mark.parametrize("sizes", [(1, 8, 2, 1), (8, 8, 8, 1), (8, 8, 3, 1), (8, 8, 2, 0), (8, 0, 1, 1)])
def test_sizes_that_make_no_tower_are_refused(sizes):
    with pytest.raises(ValueError, match="width is a multiple of 2 heads"):
        check_tower(*sizes)


def test_punctuation_that_is_no_word_is_passed_over_and_other_signs_are_unknown():
    words = ("a", "red", "circle", ",")
    plain = tokens(["a red circle, a"], words, 16)
    for text in ("A red circle, a.", 'a "red" circle, a?!', "(a red) circle,. a…", "“a” red circle, -- a;:'。"):
        assert torch.equal(tokens([text], words, 16), plain) and unknown(text, words) == []
    assert unknown("a <b>blue</b> circle. 🙂!", words) == ["<", "b", ">", "blue", "🙂"]
    assert unknown("a_red, circle", words) == ["a_red"] and unknown("a, b.", ("a", "b", "[", "^", "-")) == []
    assert unknown("[a", ("a", "[")) == [] and tokens(["[a"], ("a", "["), 4).tolist() == [[4, 3, 2]]


def test_texts_are_any_iterable_of_whole_strings():
    words, texts = ("a", "red"), ["a red", "red"]
    assert torch.equal(tokens(iter(texts), words, 8), tokens(texts, words, 8)) and strings(map(str, texts)) == texts
    for wrong in ("red", None, 7, [1], [None]):
        with pytest.raises(ValueError, match="texts are a list of strings"):
            strings(wrong)
    for broken in (lambda: tokens(["\ud800"], words, 8), lambda: unknown("a \udfff", words)):
        with pytest.raises(ValueError, match="half a character"):
            broken()
    for wrong in (("A",), ("a", "a"), ("",), ("\ud800",)):
        with pytest.raises(ValueError, match="words are"):
            check_words(wrong)
