"""The house rules that no reader can keep an eye on: who imports whom, and that nothing of a model is missing."""

import ast
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "genlab"
MODULES = sorted(PACKAGE.rglob("*.py"))
APPS = sorted((ROOT / "apps").glob("*.py"))
RECIPES = sorted((PACKAGE / "recipes").glob("[!_]*.py"))
CARDS = sorted(path for path in (ROOT / "model_cards").glob("*") if path.is_dir())

CORE_LIBRARIES = {"torch", "numpy", "safetensors", "huggingface_hub", "jaxtyping"}
BASE = {"", "names", "core"}  # the package itself (its version), names and errors, the base class
ANY = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} | {""}

# Which parts of genlab a part may import, itself aside. What is not listed may import all but apps and recipes.
MAY_IMPORT = {
    "": BASE,
    "names": set(),
    "hub": {"", "names"},
    "reading": {"names"},
    "core": {"", "names", "hub", "cards", "reading"},
    "facts": set(),
    "figures": {"names"},
    "generated": {"names"},
    "ops": set(),
    "nn": set(),
    "words": {"names", "nn"},
    "models": BASE | {"hub", "nn", "ops", "words"},
    "data": {"names", "ops"},
    "metrics": {"names", "ops"},
    "raster": set(),
    "viz": {"names", "raster"},
    "settings": {"names"},
    "checkpoint": {"names"},
    "report": {"names", "viz"},
    "train": BASE | {"checkpoint", "facts", "report", "settings"},
    "recipes": ANY,
    "ui": {"", "names", "core", "figures", "viz"},
}
# Libraries from an extra that a part may import at its top, because nothing but an app or a command imports that part.
MAY_NEED = {"ui": {"gradio"}, "demo": {"gradio"}, "spaces": {"packaging"}}
# What an app is made of. Its models come by name, through genlab's public functions.
APP_LIBRARIES = {"gradio", "numpy"}
APP_PARTS = {"", "ui", "viz"}


def part(path: Path) -> str:
    """The part of genlab that a file belongs to: `genlab/nn/unet.py` is of 'nn', `genlab/core.py` is 'core'."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py").replace("__init__", "")


def imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """(module, line, at_top) of every import in a file; `from genlab import viz` gives genlab.viz."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; write the module's full name"
            parts = {alias.name for alias in node.names} & ANY if node.module == "genlab" else set()
            found = [f"genlab.{name}" for name in sorted(parts)] or [node.module]
        else:
            continue
        for module in found:
            yield module, node.lineno, id(node) in top


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_part_imports_only_what_it_may(path):
    mine = part(path)
    family = path.relative_to(PACKAGE).parts[1] if mine == "models" and path.parent != PACKAGE / "models" else None
    for module, line, at_top in imports(path):
        here, parts = where(path, line), module.split(".")
        assert parts[0] not in ("apps", "benchmarks", "tests", "scripts"), f"{here}: imports {module}"
        if parts[0] == "genlab":
            other = parts[1] if len(parts) > 1 else ""
            assert other != "recipes" or mine == "recipes", f"{here}: recipes are found by name, at run time"
            assert other == mine or other in MAY_IMPORT.get(mine, ANY), f"{here}: {mine} may not import {module}"
            if mine == other == "models" and family:
                assert parts[2:3] == [family], f"{here}: a family meets another by a pretrained name, not {module}"
        elif at_top and parts[0] not in sys.stdlib_module_names:
            allowed = CORE_LIBRARIES | MAY_NEED.get(mine, set())
            assert parts[0] in allowed, f"{here}: {parts[0]} sits in an extra: import it where it is used"


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.stem)
def test_apps_know_genlab_by_its_public_names(path):
    for module, line, _ in imports(path):
        parts = module.split(".")
        if parts[0] == "genlab":
            assert (parts[1] if len(parts) > 1 else "") in APP_PARTS, f"{where(path, line)}: an app imports {module}"
        elif parts[0] not in sys.stdlib_module_names:
            assert parts[0] in APP_LIBRARIES, f"{where(path, line)}: an app imports {module}"


def test_the_rules_can_be_broken(tmp_path):
    """The walk above sees imports at the top, inside functions, and of submodules."""
    file = tmp_path / "x.py"
    file.write_text("import torch.nn\nfrom genlab import viz, Model\ndef f():\n    from genlab.models.gan import GAN\n")
    assert list(imports(file)) == [
        ("torch.nn", 1, True),
        ("genlab.viz", 2, True),
        ("genlab.models.gan", 4, False),
    ]
    file.write_text("from . import viz\n")
    with pytest.raises(AssertionError, match="relative import"):
        list(imports(file))


# -- completeness ----------------------------------------------------------------------------------------------------


def models() -> Iterator[tuple[Path, str]]:
    """(file, class) of every model: the classes in genlab/models whose base is Model."""
    for path in sorted((PACKAGE / "models").glob("*/[!_]*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and "Model" in [ast.unparse(base).split(".")[-1] for base in node.bases]:
                yield path, node.name


def exports(path: Path) -> set[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


@pytest.mark.parametrize(("path", "name"), list(models()), ids=lambda value: getattr(value, "stem", value))
def test_each_model_is_complete(path, name):
    family, test = path.parent.name, f"tests/models/test_{path.stem}.py"
    exported = name in exports(path.parent / "__init__.py")
    configs = [json.loads((card / "config.json").read_text(encoding="utf-8")) for card in CARDS]
    missing = {
        f"an export line for {name} in genlab/models/{family}/__init__.py": exported,
        f"its test, {test}": (ROOT / test).is_file(),
        "a pretrained folder in model_cards/": any((c["family"], c["model"]) == (family, name) for c in configs),
    }
    assert not [what for what, there in missing.items() if not there]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_recipe_has_its_card(path):
    recipe = import_module(f"genlab.recipes.{path.stem}").RECIPE
    assert recipe.name == path.stem.replace("_", "-"), "a recipe, its file and its card share one name"
    there = (ROOT / "model_cards" / recipe.name).is_dir()
    assert there or not recipe.published, f"model_cards/{recipe.name}: train it, then `genlab evaluate`"


@pytest.mark.parametrize("folder", CARDS, ids=lambda folder: folder.name)
def test_each_card_is_complete(folder):
    name = folder.name.replace("-", "_")
    assert (PACKAGE / "recipes" / f"{name}.py").is_file(), "weights without a recipe"
    recipe = import_module(f"genlab.recipes.{name}").RECIPE
    files = ["config.json", "model.safetensors", "metrics.json", "README.md"]
    files += ["golden.safetensors"] if recipe.golden else []
    files += ["samples.png"] if recipe.samples else []
    assert not [file for file in files if not (folder / file).is_file()], f"genlab evaluate {folder.name}"


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.stem)
def test_each_app_is_complete(path):
    missing = {
        f"its test, tests/apps/test_{path.stem}.py": (ROOT / f"tests/apps/test_{path.stem}.py").is_file(),
        f"its Space, spaces/{path.stem}/": (ROOT / "spaces" / path.stem / "README.md").is_file(),
    }
    assert not [what for what, there in missing.items() if not there]
