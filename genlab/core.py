"""The one base class: configure, save, load, push. And the small protocols that say what a model can do."""

import dataclasses
import filecmp
import inspect
import json
import math
import os
import shutil
import sys
import tempfile
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genlab import __version__
from genlab.hub import download, upload
from genlab.names import (
    CARD,
    CONFIG,
    FAMILIES,
    GOLDEN,
    METRICS,
    NEXT,
    PICKLES,
    SAMPLES,
    WEIGHTS,
    GenlabError,
    LoadError,
    part,
    read_config,
    resolve,
)

M = TypeVar("M", bound="Model")


@dataclass(frozen=True)
class Law:
    """What a model file states once: its equation, what each symbol means, the paper, the function that computes it."""

    latex: str
    symbols: dict[str, str] = field(default_factory=dict)
    paper: str = ""
    year: int = 0
    url: str = ""
    code: str = ""  # the dotted name, in the model's own file, of the function that computes the law


class Model(nn.Module):
    """A network with a flat, frozen config. Subclasses annotate `config: TheirConfig` and take it as only argument.

    Saved as a folder: config.json (class and config) and model.safetensors (the state dict, dtypes kept).
    """

    config: Any
    card: str | None = None  # the README that came with the weights, or one of your own; saved and pushed along
    source: Path | None = None  # the folder it was loaded from
    config_class: ClassVar[type]

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        hint = cls.__annotations__.get("config")
        if hint is not None:
            cls.config_class = hint

    def __init__(self, config):
        super().__init__()
        if not isinstance(config, self.config_class):
            raise TypeError(f"{type(self).__name__} takes a {self.config_class.__name__}, not {type(config).__name__}")
        self.config = config

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The training loss of a batch, and named parts of it for the log."""
        raise NotImplementedError(f"{type(self).__name__} has no loss")

    # -- saving ------------------------------------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write config.json and model.safetensors, and what belongs to them: the card and, while the weights are those
        that were loaded, their figures and pictures. All of them or, should the disk be full or the process die, none.
        Raises GenlabError, and then the folder still holds what it held."""
        if not str(folder).strip():
            raise GenlabError("a folder to save in has a name: give one")
        folder = Path(folder)
        try:
            if folder.is_dir() and any(folder.iterdir()) and not part(folder, CONFIG).is_file():
                raise GenlabError(f"{folder} is not empty and holds no model: choose another folder to save in")
            folder.parent.mkdir(parents=True, exist_ok=True)
            old = folder.is_dir()
            fresh = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder if old else folder.parent))
            try:
                self._write(fresh)
                if old:
                    _move_in(folder)  # what an earlier save, cut short, left to do
                    if not _same(fresh / WEIGHTS, folder / WEIGHTS):
                        for name in (CARD, METRICS, GOLDEN, SAMPLES):  # of other weights than these
                            (folder / name).unlink(missing_ok=True)
                    os.rename(fresh, folder / NEXT)  # from this moment on the folder holds the new model
                    _move_in(folder)
                else:
                    os.rename(fresh, folder)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        except (OSError, ValueError, SafetensorError) as error:
            raise GenlabError(
                f"the model could not be saved to {folder}: {error}. Mend that and save again."
            ) from error
        return folder

    def _write(self, folder: Path) -> None:
        save_file(_unshared(self.state_dict()), folder / WEIGHTS)
        family = type(self).__module__.split(".")[2] if type(self).__module__.startswith("genlab.models.") else ""
        config = {
            "genlab": __version__,
            "family": family or FAMILIES[0],
            "model": type(self).__name__,
            "config": dataclasses.asdict(self.config),
        }
        (folder / CONFIG).write_text(json.dumps(config, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        card = self.card
        if self.source and _same(folder / WEIGHTS, part(self.source, WEIGHTS)):  # still what was measured
            for name in (METRICS, GOLDEN, SAMPLES):
                if part(self.source, name).is_file():
                    shutil.copyfile(part(self.source, name), folder / name)
        elif self.source and card == _read_card(part(self.source, CARD)):
            card = None  # the weights have changed since: its figures are not theirs
        if card:
            (folder / CARD).write_text(card, encoding="utf-8")
        for file in folder.iterdir():
            _sync(file)
        folder.chmod(0o755)

    # -- loading -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls: type[M],
        name: str | Path,
        *,
        revision: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> M:
        """Load a folder, a bundled name or a Hub id (`revision`: branch, tag or commit), in eval mode.

        Strict: the class, every key and every shape must agree. `dtype=None` keeps the stored one. Reads safetensors
        only; nothing that comes with the weights is executed. Raises LoadError, which says what to do.
        """
        folder = _fetch(name, revision)
        data = read_config(part(folder, CONFIG))
        if data["model"] != cls.__name__:
            raise LoadError(
                f"{name!s} holds a {data['model']}, not a {cls.__name__}: "
                f"use genlab.from_pretrained({str(name)!r}), which picks the class"
            )
        return _load(cls, data["config"], folder, device, dtype)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        branch: str | None = None,
        commit_message: str | None = None,
        token: str | None = None,
    ) -> str:
        """Create the repository if need be and upload card, config and weights in one commit; return the commit's URL.

        Raises HubError, which says what to do (log in, choose another name, try again).
        """
        from genlab import cards

        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            card = Path(folder) / CARD
            if not card.is_file():
                card.write_text(cards.minimal(self), encoding="utf-8")
            return upload(folder, repo_id, private=private, branch=branch, commit_message=commit_message, token=token)


def from_pretrained(
    name: str | Path,
    *,
    revision: str | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Model:
    """Load any genlab model: the right class, in eval mode. See `Model.from_pretrained`; raises LoadError."""
    folder = _fetch(name, revision)
    data = read_config(part(folder, CONFIG))
    return _load(find_class(data["family"], data["model"]), data["config"], folder, device, dtype)


def find_class(family: str, model: str) -> type[Model]:
    """The class `model` of a family's exports; an allow-list: no file decides what is imported. Raises LoadError."""
    module = f"genlab.models.{family}"
    module = import_module(module) if find_spec(module) else None  # a family that this version does not have yet
    found = getattr(module, model, None) if model in getattr(module, "__all__", ()) else None
    if not (isinstance(found, type) and issubclass(found, Model)):
        raise LoadError(
            f"genlab {__version__} has no model {model!r} in {family!r}: "
            f"upgrade genlab, or load it through its own class, {model}.from_pretrained(...)"
        )
    return found


def fast_dtype(device: str | torch.device = "cpu") -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, else float32."""
    device = torch.device(device)
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def _fetch(name: str | Path, revision: str | None) -> Path:
    """The folder that holds a model's files: its own, the bundled one, or the Hub's cache after a download."""
    found = resolve(name)
    if isinstance(found, Path):
        if revision is not None:
            raise LoadError(f"{name!s} is a local folder and has no revisions: leave revision out")
        return found
    return download(found, revision)


def _load(cls: type[M], values: dict, folder: Path, device, dtype) -> M:
    config_file, weights_file = part(folder, CONFIG), part(folder, WEIGHTS)
    tensors = _read_weights(weights_file)
    size = sum(tensor.numel() for tensor in tensors.values())
    config = _parse(cls.config_class, values, config_file, largest=max(size, 1 << 16))
    try:
        with torch.random.fork_rng(devices=[]), _Budget((1 << 26) + 64 * size):  # the initialisation is thrown away
            model = cls(config)
    except Exception as error:  # whatever a model's constructor says to numbers that make no sense
        raise LoadError(f"{config_file} describes no {cls.__name__} that can be built: {error}") from error
    wrong = _differences(model.state_dict(), tensors)
    if wrong:
        raise LoadError(f"{weights_file} does not fit its config: {wrong}. Save it again, or check genlab's version.")
    model.load_state_dict(tensors, strict=True, assign=True)
    model.card, model.source = _read_card(part(folder, CARD)), folder
    try:
        return model.to(device=device, dtype=dtype).eval()
    except (RuntimeError, AssertionError, TypeError) as error:  # torch has an AssertionError for "no CUDA"
        raise LoadError(f"the model cannot be had as device={device}, dtype={dtype}: {error}") from error


class _Budget(TorchFunctionMode):
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


def _read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped from disk and not yet read. Raises LoadError."""
    if not file.is_file():
        pickles = [p.name for p in sorted(file.parent.iterdir()) if p.suffix in PICKLES]
        if pickles:
            raise LoadError(
                f"{file.parent} offers its weights as {pickles[0]}, a pickle, which can run any code when read. "
                f"genlab reads {WEIGHTS} only: ask its author for safetensors, or convert it where you trust it."
            )
        raise LoadError(f"{file.parent} holds no {WEIGHTS}: save the model again with save_pretrained")
    try:
        with safe_open(file, framework="pt") as opened:
            return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, OSError, ValueError, RuntimeError, OverflowError) as error:
        raise LoadError(f"{file} is no safetensors file: {_why(file, error)}. Fetch or save it again.") from error


def _why(file: Path, error: Exception) -> str:
    try:
        with open(file, "rb") as opened:
            start = opened.read(2)
    except OSError:
        return str(error)
    pickled = start in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    return "it is a pickle under another name, which can run any code when read" if pickled else f"damaged ({error})"


def _read_card(file: Path) -> str | None:
    """The README that came with the weights; prose, so whatever it holds harms nobody. Cut at 1 MB."""
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read(1 << 20)
    except OSError:
        return None


def _differences(expected: dict[str, Tensor], found: dict[str, Tensor]) -> str:
    both = [(key, found[key], expected[key]) for key in expected if key in found]
    shapes = [f"{key} is {tuple(f.shape)}, not {tuple(e.shape)}" for key, f, e in both if f.shape != e.shape]
    kinds = [f"{key} is {f.dtype}, not {e.dtype}" for key, f, e in both if _kind(f) != _kind(e)]
    parts = {
        "missing": sorted(expected.keys() - found.keys()),
        "unknown": sorted(found.keys() - expected.keys()),
        "wrong shape": shapes,
        "wrong type": kinds,
    }
    return "; ".join(
        f"{what}: {', '.join(some[:3])}{' ...' if len(some) > 3 else ''}" for what, some in parts.items() if some
    )


def _kind(tensor: Tensor) -> str:
    """Weights may come in any of four precisions; counters, masks and complex numbers only as they are."""
    floats = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
    return "float" if tensor.dtype in floats else str(tensor.dtype)


def _parse(config_class: type, values: dict, file: Path, largest: int):
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
    raise TypeError(f"{key} is {value!r}, which is no {getattr(hint, '__name__', hint)}")


def _unshared(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.detach().to("cpu").contiguous().clone() for key, tensor in state.items()}


def _move_in(folder: Path) -> None:
    """Bring a complete save from NEXT to its place, however often that has been cut short; see `names.part`."""
    if (folder / NEXT).is_dir():
        for file in sorted((folder / NEXT).iterdir()):
            os.replace(file, folder / file.name)
        (folder / NEXT).rmdir()


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


def _sync(file: Path) -> None:
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())


# -- what a model can do ---------------------------------------------------------------------------------------------


@runtime_checkable
class Density(Protocol):
    """Knows its density: `log_prob(x)` in nats per example."""

    def log_prob(self, x: Tensor) -> Float[Tensor, " B"]: ...


@runtime_checkable
class Sampler(Protocol):
    """Draws new data: `sample(n, ...)`; `sample_steps(n, ...)` yields the states on the way there."""

    def sample(self, n: int, **knobs) -> Tensor: ...

    def sample_steps(self, n: int, **knobs) -> Iterator: ...


@runtime_checkable
class Codec(Protocol):
    """Maps data to codes and back."""

    def encode(self, x: Tensor) -> Tensor: ...

    def decode(self, z: Tensor) -> Tensor: ...


@runtime_checkable
class Policy(Protocol):
    """Acts on an observation."""

    def act(self, obs: Tensor, **knobs) -> Tensor: ...


# -- a model's law ---------------------------------------------------------------------------------------------------


def law(model: Model | type) -> Law:
    """The LAW stated in the file that defines a model (or any class of a model file)."""
    cls = model if isinstance(model, type) else type(model)
    return sys.modules[cls.__module__].LAW


def law_source(model: Model | type) -> str:
    """The source of the very function that computes the law, read from the installed package."""
    cls = model if isinstance(model, type) else type(model)
    found: Any = sys.modules[cls.__module__]
    for name in law(cls).code.split("."):
        found = getattr(found, name)
    return inspect.cleandoc("\n" + inspect.getsource(found))
