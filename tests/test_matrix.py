"""The matrix and the list of what was found, without a browser: what travels to the page."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("gradio")

from genlab import ui
from genlab.names import root
from genlab.ui import nearest

PICTURE = np.zeros((4, 4, 3), np.uint8)
COLUMNS = [{"picture": PICTURE, "name": str(i), "alt": f"black {i}"} for i in range(3)]
ROWS = [{"text": "<b>a</b>"}, {"text": "b", "note": "odd", "warn": True}]


def whole(cells, **more):
    return ui.Matrix.whole(cells, ROWS, COLUMNS, name="cosine", also={}, temperature=0.1, **more)


def test_a_value_is_json_and_never_the_same_twice():
    cells = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.61239]], np.float32)
    a, b = whole(cells), whole(cells)
    assert a["serial"] < b["serial"]
    for arrival in (root() / "apps" / "pictures").glob("*.json"):  # made by an earlier process, and on the page first
        told = json.loads(arrival.read_text(encoding="utf-8")).values()
        assert all(value.get("serial", 0) < a["serial"] for value in told if isinstance(value, dict)), arrival
    assert json.loads(json.dumps(a))["cells"] == [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6124]]
    assert a["range"] == pytest.approx([0.1, 0.61239]) and a["rows"][0]["text"] == "<b>a</b>", "text, not markup"


def test_colours_do_not_magnify_what_hardly_differs():
    low, high = whole(np.full((2, 3), 0.5))["range"]
    assert (low, high) == pytest.approx((0.45, 0.55))


@pytest.mark.parametrize("cells", [np.zeros((3, 2)), np.zeros((2, 2)), np.zeros(6), []])
def test_cells_fit_their_heads(cells):
    with pytest.raises(ValueError, match="2 texts and 3 pictures"):
        whole(cells)


def test_what_was_found_is_text_and_not_markup():
    link = {"names": ["q"], "values": {"q": '"><script>'}}
    text = nearest.found('<i>"', [PICTURE], ['a"b<'], [0.5], 0, "then", [("<u>", -0.1, True)], warning="<p>", link=link)
    seen = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen.append((tag, dict(attrs)))

    Reader().feed(text)
    assert {tag for tag, _ in seen} <= {"div", "p", "h3", "button", "img", "span", "ol", "li", "i", "b"}
    assert json.loads(seen[0][1]["data-link"]) == link
    assert next(attrs["alt"] for tag, attrs in seen if tag == "img") == 'a"b<'
