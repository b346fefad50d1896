"""Names, and what they stand for: where weights live, which are bundled, which extra a library is in. No torch here."""

import json
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

FAMILIES = (
    "classic",
    "autoencoders",
    "autoregressive",
    "flows",
    "gan",
    "diffusion",
    "vision_language",
    "rl",
    "fields",
    "body",
)
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
METRICS = "metrics.json"
GOLDEN = "golden.safetensors"
SAMPLES = "samples.png"
NEXT = ".next"  # inside a model's folder: a complete save on its way in, see `part`

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
MAX_CONFIG_BYTES = 1 << 20


class GenlabError(RuntimeError):
    """Something the user can mend. The message says what is wrong and what to do."""


class LoadError(GenlabError):
    """A model could not be loaded: wrong name, broken or hostile files, no network."""


class HubError(GenlabError):
    """A push to the Hub failed. Nothing was half-published: a commit on the Hub is atomic."""


class DataError(GenlabError):
    """A data set is not where it should be, or not what it should be."""


class TrainError(GenlabError):
    """Training stopped for a reason that its message names, along with the last good checkpoint."""


def root() -> Path:
    """The folder that holds `model_cards/` and `apps/`: inside the wheel, else the checkout."""
    package = Path(__file__).resolve().parent
    bundled = package / "_bundled"
    return bundled if bundled.is_dir() else package.parent


def require(module: str, extra: str) -> ModuleType:
    """Import a library that sits in an extra, or say which extra to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
            raise  # the library is there; something inside it is not
        raise GenlabError(
            f"this needs {error.name}, which is not installed: pip install 'genlab[{extra}]', or in a clone "
            f"pip install -e '.[{extra}]'"
        ) from error


@dataclass(frozen=True)
class Pretrained:
    """One bundled model: `str()` gives its line in a listing."""

    name: str
    family: str
    model: str
    summary: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.name:<24} {self.family:<16} {self.summary}"


def list_pretrained() -> list[Pretrained]:
    """The models that come with genlab, in the order of the families, then by name."""
    found = []
    for config_file in sorted((root() / "model_cards").glob(f"*/{CONFIG}")):
        config = read_config(config_file)
        folder = config_file.parent
        found.append(Pretrained(folder.name, config["family"], config["model"], _summary(folder), folder))
    return sorted(found, key=lambda p: (FAMILIES.index(p.family), p.name))


def _summary(folder: Path) -> str:
    """The card's first sentence: the first line of prose after its title."""
    try:
        text = (folder / CARD).read_text(encoding="utf-8")
    except OSError:
        return "(no card yet: genlab evaluate writes it)"
    lines = without_front_matter(text).splitlines()
    return next((line.strip() for line in lines if line.strip() and line.lstrip()[0] not in "#<!|"), "")


def without_front_matter(card: str) -> str:
    """A card's text as people read it, without the facts for the Hub between its first two rules."""
    return re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.S)


def resolve(name: str | Path) -> Path | str:
    """What a name stands for: a folder with config.json, a bundled model, or else a Hub id (returned as `str`).

    Raises LoadError for what can be none of the three, without asking the network.
    """
    if not isinstance(name, str | Path) or not str(name).strip():
        raise LoadError(f"a model's name is a non-empty string, not {name!r}. {_known()}")
    text = str(name)
    if len(text) > 1024 or any(ord(c) < 32 for c in text):
        raise LoadError(f"{text[:40]!r}... is no model name: too long, or it holds control characters. {_known()}")
    try:
        folder = Path(text).expanduser()
        if holds(folder, CONFIG):
            return folder
        is_folder = folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # ~nobody, a name too long or not encodable
        raise LoadError(f"{text!r} cannot be read as a folder: {error}. {_known()}") from error
    if re.fullmatch(r"[a-z0-9][a-z0-9.-]*", text) and (root() / "model_cards" / text / CONFIG).is_file():
        return root() / "model_cards" / text
    if is_folder:
        raise LoadError(
            f"the folder {text!r} {missing(folder, CONFIG)}. To save a model there: model.save_pretrained(folder)"
        )
    if isinstance(name, Path) or folder.is_absolute() or text[0] in ".~" or "\\" in text or ".." in folder.parts:
        raise LoadError(f"there is no folder {text!r}. {_known()}")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        return text
    near = did_you_mean(text, [p.name for p in list_pretrained()]) or "."
    raise LoadError(f"no model is called {text!r}{near} {_known()}")


def part(folder: Path, file: str) -> Path:
    """Where a file of a saved model stands. A save moves in file by file; those that had not arrived when it was cut
    short wait in NEXT, and belong to the same, complete save as those that had."""
    waiting = folder / NEXT / file
    return waiting if waiting.is_file() and not waiting.parent.is_symlink() else folder / file


def holds(folder: Path, file: str) -> bool:
    """Whether a model's folder has such a file of its own: no pipe or device, and no link to somewhere else, or else
    saving and pushing a stranger's model would publish what is the user's. (The Hub's cache keeps a snapshot as links
    to the blobs beside it.)"""
    try:
        real, home = part(folder, file).resolve(strict=True), folder.resolve()
    except (OSError, RuntimeError):  # no such file, or a loop of links
        return False
    blobs = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    return real.is_file() and (real.is_relative_to(home) or real.is_relative_to(blobs))


def missing(folder: Path, file: str) -> str:
    """What to say of a file that a model's folder does not hold."""
    linked = part(folder, file).is_symlink()
    return f"holds no {file}" + (" but a link out of it, which is not followed: copy the file there" if linked else "")


def did_you_mean(word: str, known: list[str]) -> str:
    """`"; did you mean 'x'?"` where something known is close, else the empty string."""
    from difflib import get_close_matches

    spelled = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), spelled, n=1)
    return f"; did you mean {spelled[close[0]]!r}?" if close else ""


def _known() -> str:
    return "Give a folder with config.json, a name from genlab.list_pretrained(), or a Hub id such as 'user/name'."


def read_config(file: Path) -> dict:
    """config.json as {"family", "model", "config"}: strict JSON (no NaN, no repeated keys), small, of known form.

    Raises LoadError.
    """

    def constant(value: str):
        raise ValueError(f"{value} is not allowed")

    def pairs(items: list[tuple]) -> dict:
        keys = [key for key, _ in items]
        if len(set(keys)) < len(keys):
            raise ValueError("a key stands twice")
        return dict(items)

    try:
        if file.stat().st_size > MAX_CONFIG_BYTES:
            raise ValueError(f"larger than {MAX_CONFIG_BYTES} bytes")
        data = json.loads(file.read_text(encoding="utf-8"), parse_constant=constant, object_pairs_hook=pairs)
    except (OSError, ValueError, RecursionError) as error:
        raise LoadError(f"{file} cannot be read: {error}. Save the model again with save_pretrained.") from error
    strings = isinstance(data, dict) and all(isinstance(data.get(key), str) for key in ("family", "model"))
    if not strings or not isinstance(data.get("config"), dict):
        raise LoadError(f'{file} is not a genlab config: it needs "family", "model" and "config".')
    if not re.fullmatch(r"[A-Za-z_]\w{0,99}", data["model"], re.ASCII):
        raise LoadError(f"{file} names the model {data['model'][:100]!r}, which is no name of a class.")
    if data["family"] not in FAMILIES:
        raise LoadError(f"{file} names the family {data['family']!r}; genlab knows {', '.join(FAMILIES)}.")
    return data
