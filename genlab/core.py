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
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from genlab import __version__
from genlab.hub import download, upload
from genlab.names import (
    CARD,
    CONFIG,
    FAMILIES,
    GOLDEN,
    METRICS,
    NEXT,
    SAMPLES,
    WEIGHTS,
    GenlabError,
    LoadError,
    holds,
    part,
    read_config,
    resolve,
)
from genlab.reading import Budget, Weights, parse, read_card

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
        return next(self._tensors()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(tensor.dtype for tensor in self._tensors() if tensor.is_floating_point())

    def _tensors(self) -> Iterator[Tensor]:
        """Parameters first; what is fitted in closed form has buffers alone."""
        yield from self.parameters()
        yield from self.buffers()

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
            if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
                raise GenlabError(
                    f"{folder} is not empty and holds no model of genlab: choose another folder to save in"
                )
            taken = [name for name in (CONFIG, WEIGHTS, CARD, METRICS, GOLDEN, SAMPLES) if (folder / name).is_dir()]
            if taken:
                raise GenlabError(f"{folder / taken[0]} is a folder, where a file is to be saved: move it away first")
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
                if holds(self.source, name):
                    shutil.copyfile(part(self.source, name), folder / name)
        elif self.source and card == read_card(self.source):
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


@torch.inference_mode(False)  # whatever mode the caller is in: the weights outlive it
def _load(cls: type[M], values: dict, folder: Path, device, dtype) -> M:
    _check_device(device)
    if dtype not in (None, torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise LoadError(f"models compute in float16, bfloat16, float32 or float64, not in dtype={dtype}")
    config_file = part(folder, CONFIG)
    weights = Weights(folder)
    size = sum(map(math.prod, weights.shapes.values()))
    config = parse(cls.config_class, values, config_file, largest=max(size, 1 << 16))
    try:
        with torch.random.fork_rng(devices=[]), Budget((1 << 26) + 64 * size):  # the initialisation is thrown away
            model = cls(config)
    except Exception as error:  # whatever a model's constructor says to numbers that make no sense
        raise LoadError(f"{config_file} describes no {cls.__name__} that can be built: {error}") from error
    model.load_state_dict(weights.tensors(model.state_dict()), strict=True, assign=True)
    model.card, model.source = read_card(folder), folder
    try:
        return model.to(device=device, dtype=dtype).eval()
    except (RuntimeError, TypeError) as error:
        raise LoadError(f"the model cannot be had as device={device}, dtype={dtype}: {error}") from error


def _check_device(device: str | torch.device | None) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:  # torch has an AssertionError for "no CUDA"
        there = ["cpu"]
        if torch.accelerator.is_available():
            kind = torch.accelerator.current_accelerator().type
            there += [f"{kind}:{i}" for i in range(torch.accelerator.device_count())]
        reason = str(error).partition("\n")[0]
        raise LoadError(
            f"there is no device={device} on this machine ({reason}): choose {' or '.join(there)}, or leave it out"
        ) from error


def _unshared(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.detach().to("cpu").contiguous().clone() for key, tensor in state.items()}


def _move_in(folder: Path) -> None:
    """Bring a complete save from NEXT to its place, however often that has been cut short; see `names.part`."""
    if (folder / NEXT).is_symlink():  # no save of ours
        (folder / NEXT).unlink()
    elif (folder / NEXT).is_dir():
        for file in sorted((folder / NEXT).iterdir()):
            os.replace(file, folder / file.name)
        (folder / NEXT).rmdir()


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds a model of genlab's: others keep a config.json and a model.safetensors too."""
    try:
        return bool(read_config(part(folder, CONFIG)))
    except LoadError:
        return False


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
    """Maps data to codes, or to what it knows of them (a VAE: a Gaussian), and codes back to data."""

    def encode(self, x: Tensor) -> Any: ...

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
