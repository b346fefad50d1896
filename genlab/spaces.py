"""Hugging Face Spaces, written from the apps: a folder that the platform can start as it is.

    build("guidance", "out")            the Space of one app; build("genlab", "out") is the whole site
    push("guidance", "user/guidance")   build it and upload it; the address of the Space
    write_all(check=True)               the light files committed in spaces/, or GenlabError with what drifted

A built folder holds README.md (the front matter configures the platform), app.py, requirements.txt and, vendored beside
them, the package `genlab/` with the apps and weights it needs in `genlab/_bundled/`. Nothing is fetched at run time.
"""

import ast
import os
import re
import shutil
import tempfile
import textwrap
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from genlab import __version__
from genlab.generated import settle
from genlab.names import (
    CARD,
    CONFIG,
    METRICS,
    SAMPLES,
    WEIGHTS,
    GenlabError,
    HubError,
    did_you_mean,
    list_pretrained,
    root,
)

SITE = "genlab"
CPU, ZERO = "cpu-basic", "zero-a10g"
HARDWARE = {
    CPU: None,  # torch as in constraints.txt
    ZERO: "2.11.0",  # the newest torch on ZeroGPU's list; a Space that asks for another one does not start
}
PYTHON = "3.12"  # torch needs 3.11 or newer, ZeroGPU offers 3.10 and 3.12
SHORT = 60  # the Hub refuses a longer short_description
LICENCE = "apache-2.0"
LOOK = {  # of the thumbnail, by family: the Hub asks for an emoji and two of its eight colours
    "": ("🔬", "indigo", "green"),
    "classic": ("🧠", "gray", "blue"),
    "autoencoders": ("📦", "green", "blue"),
    "autoregressive": ("🔢", "yellow", "red"),
    "flows": ("🌊", "blue", "indigo"),
    "gan": ("🎭", "pink", "red"),
    "diffusion": ("🌀", "indigo", "purple"),
    "vision_language": ("💬", "yellow", "green"),
    "rl": ("🎲", "red", "yellow"),
    "fields": ("🧊", "blue", "gray"),
    "body": ("🏃", "purple", "pink"),
}
# in a front matter, in the Hub's own order
FIRST = ["title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file"]
# in the weights' folders, what an app reads: the golden outputs are for tests only
CARRIED = (CONFIG, WEIGHTS, METRICS, CARD, SAMPLES)
# in the package, what no running app reads
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "_bundled", "recipes")
MARK = "written by `genlab space build"
HEAD = '"""The Space of {title}, ' + MARK + ' {app}`."""\n'
PACKAGE = "genlab"  # in a Space's folder
BUILT = f"{PACKAGE}/BUILT"  # the list of the files in it: others are somebody's own
PARTIAL = ".genlab-"  # a build on its way into its folder


@dataclass(frozen=True)
class App:
    """What an app file says about itself on top, read without running it."""

    name: str
    title: str
    summary: str
    family: str
    models: tuple[str, ...]


def list_apps() -> list[App]:
    """The apps that come with genlab, by name."""
    return [_read(file) for file in sorted((root() / "apps").glob("*.py")) if not file.name.startswith("_")]


def find(name: str) -> App:
    """One app, or the whole site under the name "genlab". Raises GenlabError."""
    apps = list_apps()
    if name == SITE:
        models = tuple(entry.name for entry in list_pretrained())
        return App(SITE, SITE, "Perception and generative models you can touch", "", models)
    known = {app.name: app for app in apps}
    if name not in known:
        names = [SITE, *known]
        raise GenlabError(f"no app is called {name!r}{did_you_mean(name, names) or '.'} There are: {', '.join(names)}")
    return known[name]


def build(name: str, out: str | Path, *, hardware: str = CPU, models: list[str] | None = None) -> Path:
    """Write a self-contained Space into the folder `out` and return it.

    `out` is new, empty, or a Space built before (say, a clone of it), whose other files stay as they are. `hardware` is
    "cpu-basic" or "zero-a10g". `models` are Hub ids to link from its page. Raises GenlabError.
    """
    app, out = find(name), Path(out)
    small = texts(app, hardware, models)
    old = _refuse_foreign(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=out if out.is_dir() else out.parent))
    try:
        _vendor(app, fresh / PACKAGE)
        built = sorted(str(file.relative_to(fresh)) for file in fresh.rglob("*") if file.is_file())
        (fresh / BUILT).write_text("".join(f"{file}\n" for file in built), encoding="utf-8", newline="\n")
        for file, text in small.items():
            (fresh / file).write_text(text, encoding="utf-8", newline="\n")
        fresh.chmod(0o755)
        if not out.is_dir():
            fresh.rename(out)
            return out
        for file in sorted(small, key=lambda file: file != "app.py"):  # by it a build that is cut short is known as one
            os.replace(fresh / file, out / file)
        if old:
            (out / PACKAGE).rename(fresh / "old")
        (fresh / PACKAGE).rename(out / PACKAGE)
    finally:
        for partial in {fresh, *out.glob(f"{PARTIAL}*")}:  # this one's, and what those that were killed left
            shutil.rmtree(partial, ignore_errors=True)
    return out


def texts(app: App, hardware: str = CPU, models: list[str] | None = None) -> dict[str, str]:
    """The three small files of a Space: README.md, app.py and requirements.txt."""
    if hardware not in HARDWARE:
        raise GenlabError(f"no such hardware: {hardware!r}. Choose {' or '.join(HARDWARE)}.")
    return {"README.md": _readme(app, hardware, models), "app.py": _app(app), "requirements.txt": _needs(hardware)}


def push(
    name: str,
    repo_id: str,
    *,
    private: bool = False,
    hardware: str = CPU,
    commit_message: str | None = None,
    token: str | None = None,
) -> str:
    """Build a Space and upload it in one commit, creating it if need be; the address of the Space.

    Its page links those models of the app that the same owner has on the Hub. Raises HubError, which says what to do.
    """
    from huggingface_hub import HfApi, errors, get_token

    from genlab.hub import LOG_IN, TIMEOUT, advice, check_id

    app = find(name)
    check_id(repo_id)
    if not (token or get_token()):
        raise HubError(f"the Space {repo_id!r} could not be pushed: you are not logged in. {LOG_IN}")
    api, owner = HfApi(token=token), repo_id.split("/")[0]
    try:
        try:
            known = api.space_info(repo_id, timeout=TIMEOUT)
        except errors.RepositoryNotFoundError:
            where = None if hardware == CPU else hardware
            api.create_repo(repo_id, repo_type="space", space_sdk="gradio", space_hardware=where, private=private)
        else:
            if private and not known.private:
                raise HubError(f"the Space {repo_id!r} exists and is public: make it private in its settings first")
        models = [f"{owner}/{model}" for model in app.models if api.repo_exists(f"{owner}/{model}")]
        with tempfile.TemporaryDirectory() as folder:
            api.upload_folder(
                repo_id=repo_id,
                repo_type="space",
                folder_path=build(name, folder, hardware=hardware, models=models),
                commit_message=commit_message or f"Upload with genlab {__version__}",
                delete_patterns=["genlab/*"],  # modules and weights of an older build
            )
    except GenlabError:
        raise
    except Exception as error:
        raise HubError(f"the Space {repo_id!r} could not be pushed: {advice(error, repo_id, None)}") from error
    return f"{api.endpoint}/spaces/{repo_id}"


def write_all(check: bool = False) -> list[Path]:
    """Bring spaces/ up to date, the light files of every Space, and return the paths written.

    With `check` nothing is written, and GenlabError shows what is out of date.
    """
    apps = [find(SITE), *list_apps()]
    files = {root() / "spaces" / app.name / file: text for app in apps for file, text in texts(app).items()}
    return settle(files, check=check, command="make spaces")


# -- the small files -------------------------------------------------------------------------------------------------


def _readme(app: App, hardware: str, models: list[str] | None) -> str:
    from huggingface_hub import SpaceCardData

    emoji, start, end = LOOK[app.family]
    data = SpaceCardData(
        title=app.title,
        emoji=emoji,
        colorFrom=start,
        colorTo=end,
        sdk="gradio",
        sdk_version=_pins()["gradio"],
        python_version=PYTHON,
        app_file="app.py",
        short_description=_short(app.summary),
        license=LICENCE,
        models=models or None,
        datasets=_datasets(app) or None,
        tags=["genlab", *([app.family] if app.family else [])],
        suggested_hardware=hardware if hardware == CPU else None,  # the Hub's front matter knows no ZeroGPU
        startup_duration_timeout="30m",
    )
    command = f"genlab space build {app.name}{'' if hardware == CPU else f' --hardware {hardware}'}"
    body = f"{app.summary}\n\nWritten by `{command} --out DIR`: change the app, not this folder."
    return f"---\n{data.to_yaml(original_order=FIRST)}\n---\n\n# {app.title}\n\n{body}\n"


def _short(summary: str) -> str:
    """As much as the Hub takes: whole, else up to the end of a clause, else of a word."""
    if len(summary) <= SHORT:
        return summary
    clause = re.match(rf"(.{{20,{SHORT}}})[.:;,] ", summary)
    return clause[1] if clause else textwrap.shorten(summary, SHORT, placeholder=" ...")


def _app(app: App) -> str:
    call = f'from genlab.demo import launch_space\n\nlaunch_space("{app.name}")\n'
    return f"{HEAD.format(title=app.title, app=app.name)}\n{call}"


def _needs(hardware: str) -> str:
    """The core's and the apps' libraries at the tested versions. Gradio itself comes with the Space's sdk_version."""
    pins = _pins() | ({"torch": HARDWARE[hardware]} if HARDWARE[hardware] else {})
    names = sorted({_canonical(need.name) for need in _requirements()} - {"gradio", "genlab"})
    return "".join(f"{name}=={pins[name]}\n" for name in names)


def _datasets(app: App) -> list[str]:
    """The data behind an app's models, as their cards say."""
    from huggingface_hub import ModelCard

    cards = (root() / "model_cards" / model / CARD for model in app.models)
    found = [ModelCard.load(card).data.datasets or [] for card in cards if card.is_file()]
    return sorted({dataset for datasets in found for dataset in datasets})


# -- the vendored package --------------------------------------------------------------------------------------------


def _vendor(app: App, target: Path) -> None:
    """Copy the package, and beside it what `names.root()` finds first: the apps and weights that are needed."""
    shutil.copytree(Path(__file__).parent, target, dirs_exist_ok=True, ignore=LEFT_OUT)
    apps = root() / "apps"
    (target / "_bundled" / "apps" / "pictures").mkdir(parents=True)
    for name in [each.name for each in list_apps()] if app.name == SITE else [app.name]:
        for file in [apps / f"{name}.py", *apps.glob(f"pictures/{name}.*")]:
            shutil.copy(file, target / "_bundled" / "apps" / file.relative_to(apps))
    for model in app.models:
        source, folder = root() / "model_cards" / model, target / "_bundled" / "model_cards" / model
        if not (source / WEIGHTS).is_file():
            raise GenlabError(f"the app {app.name!r} names {model!r} in MODELS, but {source} holds no weights")
        folder.mkdir(parents=True)
        for file in CARRIED:
            if (source / file).is_file():
                shutil.copy(source / file, folder / file)


def _refuse_foreign(out: Path) -> bool:
    """An existing folder is written into only where an earlier build stands in it, and the package in it only where it
    is as it was built: it is replaced as a whole. Returns whether there is such a package."""
    if out.exists() and not out.is_dir():
        raise GenlabError(f"{out} is a file: give --out a new or empty folder")
    there = [path for path in out.iterdir() if not path.name.startswith(PARTIAL)] if out.is_dir() else []
    app, package = out / "app.py", out / PACKAGE
    if there and not (app.is_file() and MARK in app.read_text(encoding="utf-8", errors="replace")):
        raise GenlabError(f"{out} is not empty and holds no Space of genlab: give --out a new or empty folder")
    if not (package.exists() or package.is_symlink()):
        return False
    built = set((out / BUILT).read_text(encoding="utf-8").splitlines()) if (out / BUILT).is_file() else set()
    found = {str(path.relative_to(out)) for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    own = sorted(found - built - {BUILT})
    if own or package.is_symlink() or not package.is_dir():
        raise GenlabError(
            f"{own[0] if own else PACKAGE} in {out} was not made by `genlab space build`, which replaces {package} "
            "as a whole: move it elsewhere, or give --out another folder"
        )
    return True


# -- sources ---------------------------------------------------------------------------------------------------------


def _read(file: Path) -> App:
    """The literals TITLE, SUMMARY, FAMILY and MODELS at the top of an app. Raises GenlabError where one is missing."""
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            key = node.targets[0].id
            if key in ("TITLE", "SUMMARY", "FAMILY", "MODELS"):
                found[key] = ast.literal_eval(node.value)
    missing = sorted({"TITLE", "SUMMARY", "FAMILY", "MODELS"} - found.keys())
    if missing:
        raise GenlabError(f"{file} must say {', '.join(missing)} at its top, as plain literals")
    return App(file.stem, found["TITLE"], found["SUMMARY"], found["FAMILY"], tuple(found["MODELS"]))


def _requirements() -> list[Requirement]:
    """What the core and the extra `apps` ask for: from pyproject.toml in a checkout, else as installed."""
    pyproject = root() / "pyproject.toml"
    if pyproject.is_file():
        project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
        return [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["apps"]]
    needs = [Requirement(line) for line in metadata.requires("genlab") or []]
    return [need for need in needs if need.marker is None or need.marker.evaluate({"extra": "apps"})]


def _pins() -> dict[str, str]:
    """The tested version of each library: constraints.txt in a checkout, else what is installed."""
    constraints = root() / "constraints.txt"
    if constraints.is_file():
        lines = re.findall(r"^([\w.-]+)==([^\s;#]+)", constraints.read_text(encoding="utf-8"), flags=re.M)
        return {_canonical(name): version for name, version in lines}
    return {_canonical(need.name): metadata.version(need.name) for need in _requirements()}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
