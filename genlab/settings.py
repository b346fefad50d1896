"""Settings typed by hand, `key=value`, read as the types that a dataclass annotates."""

import math
import types
import typing
from typing import Any, Literal

from genlab.names import GenlabError, did_you_mean


def read(settings: list[str], hints: dict[str, Any]) -> dict[str, Any]:
    """{"steps": 100} from ["steps=100"]; `hints` says which keys there are, and of what type. The last of a key counts.

    Raises GenlabError for an unknown key, naming the closest, and for a value of another type.
    """
    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise GenlabError(f"--set takes key=value, not {setting!r}")
        if key not in hints:
            near = did_you_mean(key, list(hints)) or f". There are {', '.join(hints)}"
            raise GenlabError(f"--set {setting}: there is no {key!r}{near}")
        try:
            values[key] = parse(text, hints[key])
        except ValueError as error:
            raise GenlabError(f"--set {setting}: {error}") from error
    return values


def parse(text: str, hint: Any) -> Any:
    """The value of type `hint` that `text` spells: a number, true or false, one of some words, or several of these with
    commas between. Raises ValueError, which says what was expected."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if text not in map(str, args):
            raise ValueError(f"expected one of {', '.join(map(str, args))}")
        return next(choice for choice in args if str(choice) == text)
    if origin is tuple:
        parts = [part for part in text.split(",") if part]
        kinds = args[:1] * len(parts) if args[-1] is Ellipsis else args
        if len(parts) != len(kinds):
            raise ValueError(f"expected {len(kinds)} values with commas between")
        return tuple(parse(part, kind) for part, kind in zip(parts, kinds, strict=True))
    if origin in (typing.Union, types.UnionType):  # of a type and None
        return None if text.lower() == "none" else parse(text, args[0])
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("expected true or false")
        return text.lower() == "true"
    try:
        value = hint(text)
    except ValueError as error:
        raise ValueError(f"expected {hint.__name__}") from error
    if hint is float and not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value
