"""Knobs: what a visitor may set, stated once. The component, the check of its value, and the link all follow from it.

`clean` takes anything a stranger may send (None, NaN, strings, lists, 1e300) and returns a value in range, no error.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genlab.names import require
from genlab.ui import limits

gr = require("gradio", extra="apps")


@dataclass(frozen=True)
class Number:
    """A slider (or with `box=True` a number field) between `low` and `high`, in multiples of `step`."""

    label: str
    default: float
    low: float
    high: float
    step: float = 1
    info: str | None = None
    box: bool = False

    def clean(self, value: Any) -> float | int:
        try:
            value = float(value)
        except (TypeError, ValueError, OverflowError):
            return self.default
        if math.isnan(value):
            return self.default
        value = min(max(value, self.low), self.high)
        value = round(value / self.step) * self.step
        return int(round(value)) if float(self.step).is_integer() else round(value, 6)

    def component(self, **kwargs):
        kwargs = {"label": self.label, "value": self.default, "info": self.info, "step": self.step} | kwargs
        if self.box:  # unbounded: gradio's refusal would end the run without a word, and `clean` brings it into range
            made = gr.Number(precision=0, **kwargs)
        else:
            made = gr.Slider(self.low, self.high, buttons=[], **kwargs)
        made.preprocess = lambda value: value  # likewise; of a subclass gradio would write a .pyi
        return made


@dataclass(frozen=True)
class Choice:
    """One of a few words: chips, or with `menu=True` a menu. Choices are words or (shown, word) pairs."""

    label: str
    default: str
    choices: Sequence[str | tuple[str, str]]
    info: str | None = None
    menu: bool = False

    def clean(self, value: Any) -> str:
        words = [c if isinstance(c, str) else c[1] for c in self.choices]
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON clients send 7.0 for "7"
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        return text if text in words else self.default

    def component(self, **kwargs):
        kind = gr.Dropdown if self.menu else gr.Radio
        return kind(list(self.choices), value=self.default, label=self.label, info=self.info, **kwargs)


@dataclass(frozen=True)
class Switch:
    """On or off."""

    label: str
    default: bool = False
    info: str | None = None

    def clean(self, value: Any) -> bool:
        if isinstance(value, str):
            value = {"1": True, "true": True, "0": False, "false": False}.get(value.lower())
        return value if isinstance(value, bool) else self.default

    def component(self, **kwargs):
        return gr.Checkbox(self.default, label=self.label, info=self.info, **kwargs)


@dataclass(frozen=True)
class Text:
    """A line that somebody writes, of at most so many characters. Page and `clean` cut much later, so that an app can
    say that a text is too long."""

    label: str
    default: str = ""
    most: int = 300
    info: str | None = None

    def clean(self, value: Any) -> str:
        return limits.text(value, 100 * self.most) if isinstance(value, str) else self.default

    def component(self, **kwargs):
        """Enter in it is a submit, though it grows with its text."""
        kwargs = {"lines": 1, "max_lines": 4, "max_length": 100 * self.most, "info": self.info} | kwargs
        return gr.Textbox(self.default, label=self.label, **kwargs)


class Knobs(dict[str, Number | Choice | Switch | Text]):
    """The knobs of an app by name, in order; the names are those of the link and of the API."""

    def defaults(self) -> dict[str, Any]:
        return {name: knob.default for name, knob in self.items()}

    def clean(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Every knob's value in range; what is missing or senseless takes its default."""
        return {name: knob.clean(values.get(name, knob.default)) for name, knob in self.items()}

    def query(self, values: Mapping[str, Any]) -> dict[str, str]:
        """The part of the link that differs from the defaults, as strings."""
        values = self.clean(values)
        changed = {name: value for name, value in values.items() if value != self[name].default}
        return {name: _word(v) for name, v in changed.items()}

    def words(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Each knob's value for the eye, by its short label (what stands before a bracket)."""
        return {self[name].label.split(" (")[0]: _word(value) for name, value in self.clean(values).items()}


def _word(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
