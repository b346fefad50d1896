"""A sentence put together from chips: press a word, and the words that could stand in its place appear below it.

The value is JSON: {"things": [[size, texture, colour, shape], ...], "relation", "place", "field", "exact"}. What is not
said is "". exact: the sentence beside it says just that; else the chips show how far it was understood.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genlab.names import require

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent
KINDS = ("size", "texture", "colour", "shape")

TEMPLATE = """
<div class="gl-assemble">
  <p class="gl-say" role="group" aria-label="The sentence, word by word: press one to change it"></p>
  <div class="gl-choices" role="group"></div>
  <p class="gl-more"></p>
</div>
"""


def assemble(
    value: str,
    words: Mapping[str, Sequence[str]],
    colours: Mapping[str, Sequence[int]],
    fields: Mapping[str, Sequence[int]],
    unseen: Sequence[str] = (),
    most: int = 3,
    **kwargs,
):
    """The component; its event `input` fires after each choice.

    words: what may stand for "size", "texture", "shape", "relation", "place". colours, fields: names with their RGB.
    unseen: pairs "red square" to be marked. most: things in a sentence.
    """
    given = {
        "WORDS": dict(words),
        "COLOURS": dict(colours),
        "FIELDS": dict(fields),
        "UNSEEN": list(unseen),
        "MOST": most,
    }
    names = ", ".join(given)
    return gr.HTML(
        value,
        html_template=TEMPLATE,
        css_template=(HERE / "assemble.css").read_text(encoding="utf-8"),
        js_on_load=f"const {{ {names} }} = {json.dumps(given)};\n" + (HERE / "assemble.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **kwargs,
    )


def assembled(things: Sequence[Sequence[str]], relation: str, place: str, field: str, exact: bool = True) -> str:
    """The value that shows this."""
    said = {"things": [list(t) for t in things], "relation": relation, "place": place, "field": field, "exact": exact}
    return json.dumps(said)


def chosen(value: Any, most: int = 3) -> dict[str, Any]:
    """What a value says: its keys but "exact", all of them words; from a stranger's value what makes sense of it."""
    try:
        said = json.loads(value)
        things = [[str(t[k]) for k in range(len(KINDS))] for t in said["things"][:most]]
        return {"things": things} | {name: str(said.get(name) or "") for name in ("relation", "place", "field")}
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RecursionError):
        return {"things": [], "relation": "", "place": "", "field": ""}
