"""The texts below the stage, written from the models themselves: equation, source, Python, card."""

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from genlab import figures
from genlab.names import CARD, GenlabError, root, without_front_matter


def equation(family: str, name: str, now: Mapping[str, str]) -> str:
    """A law as Markdown: the equation, then each symbol with its meaning and what it is now.

    `family`, `name`: the class that states the law. `now`: values by the law's own symbols; others show a dash.
    """
    from genlab import core

    law = core.law(getattr(import_module(f"genlab.models.{family}"), name))
    words = {symbol: re.sub(r"\\\( *(.+?) *\\\)", r"$\1$", meaning) for symbol, meaning in law.symbols.items()}
    rows = [f"| ${symbol}$ | {meaning} | {now.get(symbol, '–')} |" for symbol, meaning in words.items()]
    paper = f"[{law.paper}, {law.year}]({law.url})" if law.url else f"{law.paper}, {law.year}"
    return "\n".join([f"$${law.latex}$$", "", "| symbol | what it is | now |", "| --- | --- | --- |", *rows, "", paper])


def literal(text: str) -> str:
    """What somebody wrote, for Markdown: shown as it is, be it mark-up, a formula or a link."""

    def shown(c: str) -> str:
        if c.isalnum() or c in " ,'-":
            return c
        return f"<span>&#{ord(c)};</span>" if c == "$" else f"&#{ord(c)};"  # two $ of one text would set a formula

    return "".join(map(shown, " ".join(text.split())))


def part(path: str) -> Any:
    """A part of genlab that an app meets by name, at run time, as it does its models: `part("data.motions")`."""
    return import_module(f"genlab.{path}")


def under_the_hood(family: str, name: str) -> str:
    """The function that computes the law, read from the installed source."""
    from genlab import core

    cls = getattr(import_module(f"genlab.models.{family}"), name)
    return f"`{cls.__module__}`, `{core.law(cls).code}`\n\n```python\n{core.law_source(cls).rstrip()}\n```"


def call_text(call: str, arguments: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """A Python call, one argument a line; what equals its default is left out."""
    shown = [
        f"    {key}={value},\n" for key, value in arguments.items() if key not in defaults or value != defaults[key]
    ]
    return f"{call}(\n{''.join(shown)})"


def python_text(*lines: str) -> str:
    """Lines of Python as the Markdown of a panel."""
    return "```python\n" + "\n".join(lines) + "\n```"


def card_body(card: str) -> str:
    """A card without front matter, its inline formulas as `ui.markdown` sets them, not as the Hub does."""
    return re.sub(r"\\\\\(\s*(.+?)\s*\\\\\)", r"$\1$", without_front_matter(card))


def card_text(name: str) -> str:
    """A bundled model's card without front matter and pictures; a sentence where there is none yet."""
    file = root() / "model_cards" / name / CARD
    if not file.is_file():
        return f"`{name}` has no card yet: `genlab evaluate {name}` writes it."
    text = card_body(file.read_text(encoding="utf-8"))
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("![", "<img")))


def measured(name: str, metric: str) -> list[dict]:
    """The entries of one metric on a bundled model's card that hold a value; none if it is not yet measured."""
    try:
        entries = figures.read(root() / "model_cards" / name)["metrics"]
    except GenlabError:  # an app shows what it can; `genlab info` and the card say what is wrong
        return []
    return [entry for entry in entries if entry["name"] == metric and entry.get("value") is not None]
