"""The package as others receive it: a light import, a whole wheel, pins and no addresses, an environment that heals."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

import genlab

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def python(code: str, *, cwd: Path, path: Path = ROOT) -> str:
    """What a fresh interpreter prints that finds genlab under `path`."""
    environment = os.environ | {"PYTHONPATH": str(path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- a light import --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["", "genlab.list_pretrained()", "import genlab.cli; genlab.cli._parser()"])
def test_import_loads_no_heavy_library(use, tmp_path):
    loaded = python(f"import sys, genlab; {use}\nprint(set(sys.modules))", cwd=tmp_path)
    heavy = {"torch", "numpy", "gradio", "huggingface_hub", "diffusers", "safetensors"}
    assert not heavy & ast.literal_eval(loaded)


def test_every_public_name_resolves():
    for name in genlab.__all__:
        assert getattr(genlab, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        genlab.nothing_of_the_kind  # noqa: B018


def test_the_version_is_stated_once_in_each_place():
    assert PROJECT["version"] == genlab.__version__


# -- the wheel -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the unpacked wheel, where our libraries are at hand but our checkout is not."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_carries_apps_and_weights_and_nothing_of_the_workshop(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for kind in ("apps", "model_cards"):
        ours = {
            str(f.relative_to(ROOT)) for f in (ROOT / kind).rglob("*") if f.is_file() and "__pycache__" not in f.parts
        }
        assert {name.removeprefix("genlab/_bundled/") for name in names if f"_bundled/{kind}/" in name} == ours
    modules = {str(f.relative_to(ROOT)) for f in (ROOT / "genlab").rglob("*") if f.is_file() and f.suffix != ".pyc"}
    assert modules <= set(names)
    assert {name.split("/")[0] for name in names} == {"genlab", f"genlab-{genlab.__version__}.dist-info"}


def test_the_wheel_asks_for_the_light_core_only(wheel):
    with zipfile.ZipFile(wheel) as archive:
        dist_info = f"genlab-{genlab.__version__}.dist-info"
        metadata = archive.read(f"{dist_info}/METADATA").decode()
        assert "genlab = genlab.cli:main" in archive.read(f"{dist_info}/entry_points.txt").decode()
        assert f"{dist_info}/licenses/LICENSE" in archive.namelist()
    needed = {
        re.match(r"[\w-]+", line)[0] for line in re.findall(r"(?m)^Requires-Dist: (.*)$", metadata) if ";" not in line
    }
    assert needed == {"huggingface-hub", "jaxtyping", "numpy", "safetensors", "torch"}
    assert re.findall(r"(?m)^Provides-Extra: (.*)$", metadata) == ["all", "apps", "body", "clip", "dev", "mcp", "train"]


def test_the_installed_wheel_serves_its_models_without_a_network(installed, tmp_path):
    code = """
import genlab, pathlib
from genlab import names
assert "_bundled" in str(names.root()), names.root()
for entry in genlab.list_pretrained():
    assert entry.folder.is_relative_to(names.root())
    print(entry.name, type(genlab.from_pretrained(entry.name)).__name__)
"""
    printed = python(code, cwd=tmp_path, path=installed).splitlines()
    assert printed == [f"{entry.name} {entry.model}" for entry in genlab.list_pretrained()]
    listing = python("from genlab.cli import main; raise SystemExit(main(['list']))", cwd=tmp_path, path=installed)
    apps = [file.stem for file in (ROOT / "apps").glob("[!_]*.py")]
    assert all(name in listing for name in [*apps, *(entry.name for entry in genlab.list_pretrained())])
    assert not list(tmp_path.iterdir())


# -- pins ------------------------------------------------------------------------------------------------------------


def test_constraints_are_names_and_versions_and_cover_all_we_ask_for():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    form = re.compile(r"([a-z0-9.-]+)==[0-9][\w.]*( ; [\w\s.'<>=!()]+)?")
    assert not [line for line in pins if not form.fullmatch(line)]
    extras = PROJECT["optional-dependencies"].values()
    asked = {re.match(r"[\w-]+", need)[0] for needs in [PROJECT["dependencies"], *extras] for need in needs}
    assert asked - {"genlab"} <= {line.partition("==")[0] for line in pins}


# -- the environment that make sets up -------------------------------------------------------------------------------


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """scripts/environment.py over a project of its own, whose installs are counted instead of made."""
    spec = importlib.util.spec_from_file_location("environment", ROOT / "scripts" / "environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "scripts").mkdir()
    for name in module.INPUTS:
        shutil.copy(ROOT / name, tmp_path / name)
    venv = tmp_path / ".venv"
    for name, value in {
        "ROOT": tmp_path,
        "VENV": venv,
        "PYTHON": venv / "bin/python",
        "RECORD": venv / ".genlab",
    }.items():
        monkeypatch.setattr(module, name, str(value))
    module.calls = []

    def create():
        module.calls.append("create")
        (venv / "bin").mkdir(parents=True)
        (venv / "bin/python").symlink_to(sys.executable)

    monkeypatch.setattr(module, "create", create)
    monkeypatch.setattr(module, "works", (venv / "bin/python").exists)
    monkeypatch.setattr(module, "install", lambda extras: module.calls.append(extras))
    return module


def test_an_environment_is_made_once(environment):
    environment.main("apps")
    environment.main("apps")
    assert environment.calls == ["create", ["apps"]]
    environment.main("all,dev")
    assert environment.calls[2:] == [["all", "apps", "dev"]]
    environment.main("apps")
    assert len(environment.calls) == 3


def test_changed_pins_are_installed_into_the_same_environment(environment, tmp_path):
    environment.main("apps")
    with open(tmp_path / "constraints.txt", "a") as file:
        file.write("# newer\n")
    environment.main("apps")
    assert environment.calls == ["create", ["apps"], ["apps"]]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_install_starts_anew(environment, monkeypatch, stop):
    def interrupted(extras):
        raise stop

    with monkeypatch.context() as patch:
        patch.setattr(environment, "install", interrupted)
        with pytest.raises(stop):
            environment.main("apps")
    (Path(environment.VENV) / "half a library").touch()
    environment.main("apps")
    assert environment.calls == ["create", "create", ["apps"]]
    assert not (Path(environment.VENV) / "half a library").exists()


def test_a_failed_install_keeps_the_environment_that_stood(environment, monkeypatch, tmp_path):
    environment.main("apps")

    def offline(extras):
        raise environment.Problem("no network")

    with monkeypatch.context() as patch:
        patch.setattr(environment, "install", offline)
        with pytest.raises(environment.Problem):
            environment.main("all")
    environment.main("apps")
    assert environment.calls == ["create", ["apps"]]


def test_a_moved_or_broken_environment_is_made_anew(environment, tmp_path):
    environment.main("apps")
    (tmp_path / ".venv" / "bin" / "python").unlink()
    environment.main("apps")
    assert environment.calls == ["create", ["apps"], "create", ["apps"]]
    shutil.copytree(tmp_path, tmp_path.parent / "copy", symlinks=True)
    for name in ("ROOT", "VENV", "PYTHON", "RECORD"):
        setattr(environment, name, getattr(environment, name).replace(str(tmp_path), str(tmp_path.parent / "copy")))
    assert environment.moved(environment.read_record())


def test_a_folder_that_is_not_ours_is_not_removed(environment, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / ".venv").symlink_to(tmp_path / "precious")
    with pytest.raises(environment.Problem, match="remove it"):
        environment.main("apps")
    assert (tmp_path / "precious").is_dir()


def test_an_old_or_bare_python_is_told_what_it_lacks(environment, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version_info", (3, 9, 2))
        with pytest.raises(environment.Problem, match=r"3\.11 or newer is needed.*PYTHON=python3"):
            environment.check_python()
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(environment.Problem, match=r"apt install python3\.\d+-venv"):
        environment.check_python()


def test_uv_inherits_what_was_configured_for_pip(environment):
    config = """\
global.cert='/etc/ca.pem'
global.extra-index-url='file:///a\\nfile:///b'
global.find-links='/wheels /more'
global.timeout='60'
install.timeout='70'
:env:.proxy='proxy.example:3128'
"""
    assert environment.uv_settings(config, {"UV_FIND_LINKS": "/mine"}) == {
        "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_INDEX": "file:///a file:///b",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_HTTP_TIMEOUT": "70",
        "HTTPS_PROXY": "proxy.example:3128",
        "HTTP_PROXY": "proxy.example:3128",
    }
    assert environment.uv_settings("", {}) == {}


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("Temporary failure in name resolution", "registry cannot be reached"),
        ("ProxyError('Cannot connect to proxy')", "HTTPS_PROXY"),
        ("no matching distribution", "no matching distribution"),
    ],
)
def test_a_failed_install_says_why(environment, monkeypatch, output, advice):
    monkeypatch.setattr(environment, "is_full", lambda: False)
    assert advice in environment.failure(output)
    monkeypatch.setattr(environment, "is_full", lambda: True)
    assert "disk is full" in environment.failure(output)


def test_shapes_are_checked_in_these_tests():
    """The import hook of conftest.py is on: a wrong shape is an error where the mathematics is called."""
    from genlab.models.diffusion import DDPM, DDPMConfig

    model = DDPM(DDPMConfig(image_size=8, widths=(8, 8), embedding=8))
    assert isinstance(model, nn.Module)
    with pytest.raises(Exception, match=r"B C H W"):
        model.q_sample(torch.zeros(2, 8, 8), torch.ones(2, dtype=torch.long), torch.zeros(2, 8, 8))
