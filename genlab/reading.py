"""Reading what a stranger may have written: a model's config, weights and card. Whatever is wrong with them becomes a
LoadError that says what to do, before it costs much time or memory; and nothing of them is ever executed."""

import math
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.overrides import TorchFunctionMode

from genlab.names import CARD, PICKLES, WEIGHTS, LoadError, holds, missing, part

MAX_HEADER_BYTES = 1 << 22  # of a weights file: room for 40,000 tensors


class Budget(TorchFunctionMode):
    """Ends the building of a model that grows far larger than the weights that came with it: a config may claim any
    width and depth. Each call of torch costs 1000, for its own overhead, and one for each number that it makes.

    Acts on its own thread alone. (Building on the meta device would bound memory too, but not depth, and the first
    arithmetic on meta tensors imports torch's compiler, which takes seconds.)
    """

    def __init__(self, work: int):
        super().__init__()
        self.work = work

    def spend(self, numbers: int) -> None:
        self.work -= numbers
        if self.work < 0:
            raise ValueError("it would be far larger than the weights that came with it")

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        self.spend(1000)
        if func in (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn):  # before, not after
            size = kwargs.get("size", args[0] if args and isinstance(args[0], list | tuple) else args)
            self.spend(math.prod(n for n in size if isinstance(n, int)))
        made = func(*args, **kwargs)
        if isinstance(made, Tensor):
            self.spend(made.numel())
        return made


class Weights:
    """A model's safetensors file: its header says the `shapes`; where those are right, the tensors are looked up."""

    def __init__(self, folder: Path):
        """Raises LoadError for a file that is none, a pickle above all."""
        self.file = file = part(folder, WEIGHTS)
        if not holds(folder, WEIGHTS):
            pickles = [p.name for p in sorted(folder.iterdir()) if p.suffix in PICKLES]
            if pickles:
                raise LoadError(
                    f"{folder} offers its weights as {pickles[0]}, a pickle, which can run any code when read. "
                    f"genlab reads {WEIGHTS} only: ask its author for safetensors, or convert it where you trust it."
                )
            raise LoadError(f"{folder} {missing(folder, WEIGHTS)}. Or save the model again with save_pretrained.")
        with self._or_load_error():
            with open(file, "rb") as opened:
                header = int.from_bytes(opened.read(8), "little")
            if header > MAX_HEADER_BYTES:  # many seconds to parse; a model of ours has some ten thousand bytes
                raise ValueError(f"a header of {header} bytes, where {MAX_HEADER_BYTES} is the most that genlab reads")
            self._opened = safe_open(file, framework="pt")
            keys = self._opened.keys()
            self.shapes = {key: tuple(self._opened.get_slice(key).get_shape()) for key in keys}

    def tensors(self, expected: dict[str, Tensor]) -> dict[str, Tensor]:
        """Those that a model expects, of its names, shapes and types and no others: mapped from disk, not yet read.
        Raises LoadError."""
        wrong = _differences({key: tuple(tensor.shape) for key, tensor in expected.items()}, self.shapes)
        if not wrong:
            with self._or_load_error():
                tensors = {key: self._opened.get_tensor(key) for key in expected}
            kinds = [
                f"{k} is {tensors[k].dtype}, not {expected[k].dtype}"
                for k in expected
                if not _alike(tensors[k], expected[k])
            ]
            wrong = _listed({"wrong type": kinds})
        if wrong:
            raise LoadError(f"{self.file} does not fit its config: {wrong}. Save it again, or check genlab's version.")
        return tensors

    @contextmanager
    def _or_load_error(self) -> Iterator[None]:
        try:
            yield
        except (SafetensorError, OSError, ValueError, RuntimeError, OverflowError) as error:
            raise LoadError(
                f"{self.file} is no safetensors file: {_why(self.file, error)}. Fetch or save it again."
            ) from error


def _why(file: Path, error: Exception) -> str:
    try:
        with open(file, "rb") as opened:
            start = opened.read(2)
    except OSError:
        return str(error)
    pickled = start in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    return "it is a pickle under another name, which can run any code when read" if pickled else f"damaged ({error})"


def read_card(folder: Path) -> str | None:
    """The README that came with the weights; prose, so whatever it holds harms nobody. Cut at 1 MB."""
    if not holds(folder, CARD):
        return None
    try:
        with open(part(folder, CARD), encoding="utf-8", errors="replace") as opened:
            return opened.read(1 << 20)
    except OSError:
        return None


def _differences(expected: dict[str, tuple], found: dict[str, tuple]) -> str:
    shapes = [f"{key} is {found[key]}, not {e}" for key, e in expected.items() if key in found and found[key] != e]
    missing, unknown = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    return _listed({"missing": missing, "unknown": unknown, "wrong shape": shapes})


def _listed(parts: dict[str, list[str]]) -> str:
    """The first three of each kind, each cut short: a stranger chose how many there are, and how long."""
    return "; ".join(
        f"{what}: {', '.join(one[:100] for one in some[:3])}{' ...' if len(some) > 3 else ''}"
        for what, some in parts.items()
        if some
    )


def _alike(found: Tensor, expected: Tensor) -> bool:
    """Weights may come in any of four precisions; counters, masks and complex numbers only as they are."""
    floats = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
    return found.dtype == expected.dtype or (found.dtype in floats and expected.dtype in floats)


def parse(config_class: type, values: dict, file: Path, largest: int):
    """Build a frozen config from JSON values: every field known, present or with a default, and of its type.

    No whole number may exceed `largest`: widths, depths and counts cannot outgrow the weights that they describe.
    """
    hints = typing.get_type_hints(config_class)
    unknown = sorted(values.keys() - hints.keys())
    if unknown:
        raise LoadError(f"{file} sets {', '.join(unknown[:5])}, which {config_class.__name__} does not have")
    huge = [key for key, value in values.items() if any(abs(n) > largest for n in _integers(value))]
    if huge:
        raise LoadError(f"{file} sets {', '.join(huge[:5])} to a number far larger than its weights allow")
    try:
        return config_class(**{key: _as_type(value, hints[key], key) for key, value in values.items()})
    except Exception as error:  # a missing field, a wrong type, or what the config itself forbids
        raise LoadError(f"{file} is not a valid {config_class.__name__}: {error}") from error


def _integers(value) -> Iterator[int]:
    if isinstance(value, list):
        for item in value:
            yield from _integers(item)
    elif type(value) is int:
        yield value


def _as_type(value, hint, key: str):
    """A JSON value as the annotated type (lists become tuples; an int may stand for a float). Raises TypeError."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and isinstance(value, list):
        if args[-1] is Ellipsis:
            args = args[:1] * len(value)
        if len(args) == len(value):
            return tuple(_as_type(v, arg, key) for v, arg in zip(value, args, strict=True))
    if origin is typing.Literal and value in args and type(value) in {type(a) for a in args}:
        return value
    if origin in (typing.Union, types.UnionType):
        for option in args:
            try:
                return _as_type(value, option, key)
            except TypeError:
                continue
    if hint is float and type(value) is int:
        value = float(value)
    if hint is float and type(value) is float and not math.isfinite(value):
        raise TypeError(f"{key} is {value}, not a finite number")
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise TypeError(f"{key} is {value!r:.100}, which is no {getattr(hint, '__name__', hint)}")
