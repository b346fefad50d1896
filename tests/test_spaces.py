"""Spaces: what the Hub reads, what a folder carries, pushing it, and starting it as the platform would."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from gradio_client import Client
from hub_server import Blob, Commit, HubServer
from huggingface_hub import SpaceCard

import genlab
from genlab import names, spaces
from genlab.models.classic import MLP, MLPConfig

REPO = Path(__file__).resolve().parents[1]
APP = '''"""An app for these tests."""

TITLE = "Hello"
SUMMARY = "Says hello to whoever comes by, and then explains at length why it does."
FAMILY = "classic"
MODELS = ["tiny"]
'''
CLAUSE = "Turn a knob from one end to the other: see quality grow"
CARD = "---\nlicense: apache-2.0\ndatasets:\n- ylecun/mnist\n---\n\n# tiny\n\nA tiny net.\n"


def use_root(folder: Path, monkeypatch) -> Path:
    for module in (names, spaces):
        monkeypatch.setattr(module, "root", lambda: folder)
    return folder


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with two apps and two models, one of which the app "hello" needs."""
    root = use_root(tmp_path / "checkout", monkeypatch)
    (root / "apps" / "pictures").mkdir(parents=True)
    (root / "apps" / "pictures" / "hello.webp").write_bytes(b"a picture")
    (root / "apps" / "hello.py").write_text(APP)
    (root / "apps" / "bye.py").write_text(APP.replace("Hello", "Bye").replace("tiny", "other"))
    for name in ("tiny", "other"):
        MLP(MLPConfig(inputs=4, widths=(3,), classes=2)).save_pretrained(root / "model_cards" / name)
        (root / "model_cards" / name / "README.md").write_text(CARD)
        (root / "model_cards" / name / "golden.safetensors").write_bytes(b"for tests only")
    for file in ("pyproject.toml", "constraints.txt"):
        shutil.copy(REPO / file, root / file)
    return root


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# -- what the Hub reads ----------------------------------------------------------------------------------------------


def pin(name: str) -> str:
    return re.search(rf"^{name}==(\S+)", (REPO / "constraints.txt").read_text(), flags=re.M)[1]


@pytest.mark.parametrize("app", ["hello", "bye", "genlab"])
def test_front_matter_is_what_the_hub_accepts(app, checkout):
    spaces.write_all()
    data = SpaceCard.load(checkout / "spaces" / app / "README.md").data.to_dict()
    assert (data["sdk"], data["sdk_version"], data["python_version"]) == ("gradio", pin("gradio"), "3.12")
    assert (data["app_file"], data["license"], data["suggested_hardware"]) == ("app.py", "apache-2.0", "cpu-basic")
    assert {data["colorFrom"], data["colorTo"]} <= {
        "red",
        "yellow",
        "green",
        "blue",
        "indigo",
        "purple",
        "pink",
        "gray",
    }
    assert len(data["emoji"]) == 1 and ord(data["emoji"]) > 0x1F000
    assert 0 < len(data["short_description"]) <= 60
    assert data["datasets"] == ["ylecun/mnist"]
    assert data["title"] == {"hello": "Hello", "bye": "Bye", "genlab": "genlab"}[app]
    assert "models" not in data  # nobody has put them on the Hub yet


@pytest.mark.parametrize(
    ("summary", "short"),
    [
        ("Exactly as it is", "Exactly as it is"),
        (f"{CLAUSE}, and diversity fall as it does", CLAUSE),
        ("a" * 30 + " " + "b" * 40, "a" * 30 + " ..."),
    ],
)
def test_a_short_description_ends_where_sense_does(summary, short, checkout):
    app = replace(spaces.find("hello"), summary=summary)
    assert SpaceCard(spaces.texts(app)["README.md"]).data.to_dict()["short_description"] == short


def test_requirements_are_the_tested_versions_of_what_an_app_needs(checkout):
    lines = spaces.texts(spaces.find("hello"))["requirements.txt"].splitlines()
    assert f"torch=={pin('torch')}" in lines
    assert all(re.fullmatch(r"[a-z0-9-]+==[\d.]+", line) for line in lines)
    wanted = {line.split("==")[0] for line in lines}
    assert {"numpy", "safetensors", "huggingface-hub", "jaxtyping", "diffusers"} <= wanted
    assert not wanted & {"gradio", "pytest", "accelerate", "genlab"}  # gradio comes with the platform's sdk_version


def test_zero_gpu_gets_a_torch_that_it_knows(checkout):
    texts = spaces.texts(spaces.find("hello"), hardware="zero-a10g")
    assert "torch==2.11.0\n" in texts["requirements.txt"]
    assert "suggested_hardware" not in texts["README.md"]
    with pytest.raises(genlab.GenlabError, match="cpu-basic or zero-a10g"):
        spaces.texts(spaces.find("hello"), hardware="abacus")


def test_every_family_has_a_look():
    assert spaces.LOOK.keys() == {"", *names.FAMILIES}


# -- what a folder carries -------------------------------------------------------------------------------------------


def test_a_folder_carries_the_package_and_only_the_weights_it_needs(checkout, tmp_path):
    built = files(spaces.build("hello", tmp_path / "out"))
    assert {"README.md", "app.py", "requirements.txt", "genlab/core.py", "genlab/ui/__init__.py"} <= built
    assert {file for file in built if "_bundled" in file} == {
        "genlab/_bundled/apps/hello.py",
        "genlab/_bundled/apps/pictures/hello.webp",
        "genlab/_bundled/model_cards/tiny/README.md",
        "genlab/_bundled/model_cards/tiny/config.json",
        "genlab/_bundled/model_cards/tiny/model.safetensors",
    }
    assert not [file for file in built if "__pycache__" in file or "recipes" in file]
    package = {file for file in files(REPO / "genlab") if "__pycache__" not in file and "recipes" not in file}
    assert {f"genlab/{file}" for file in package} <= built  # style sheets and scripts too


def test_the_site_carries_everything(checkout, tmp_path):
    built = files(spaces.build("genlab", tmp_path / "out"))
    for file in ("apps/hello.py", "apps/bye.py", "model_cards/tiny/config.json", "model_cards/other/config.json"):
        assert f"genlab/_bundled/{file}" in built


def test_the_vendored_package_stands_alone(checkout, tmp_path):
    out = spaces.build("hello", tmp_path / "out")
    code = "import genlab; print(genlab.__file__, genlab.list_pretrained(), genlab.from_pretrained('tiny').config)"
    run = subprocess.run([sys.executable, "-c", code], cwd=out, env=bare(tmp_path), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(str(out / "genlab" / "__init__.py"))
    assert "A tiny net." in run.stdout and "inputs=4" in run.stdout and "other" not in run.stdout


def test_a_rebuild_takes_out_the_old_package_and_leaves_the_rest(checkout, tmp_path):
    out = spaces.build("hello", tmp_path / "out")
    (out / ".git").mkdir()
    (out / ".git" / "config").write_text("mine")
    (out / "genlab" / "gone.py").write_text("a module of an older version")
    with open(out / "genlab" / "BUILT", "a") as built:
        built.write("genlab/gone.py\n")
    (out / "genlab" / "__pycache__").mkdir()
    (out / "genlab" / "__pycache__" / "core.cpython-312.pyc").write_text("what running it left")
    (out / "app.py").write_text(f"{(out / 'app.py').read_text()}\n# edited\n")
    assert spaces.build("hello", out) == out
    assert (out / ".git" / "config").read_text() == "mine"
    assert not (out / "genlab" / "gone.py").exists()
    assert "edited" not in (out / "app.py").read_text()
    assert {path.name for path in out.iterdir()} == {".git", "README.md", "app.py", "requirements.txt", "genlab"}


def test_a_folder_of_somebody_else_is_left_alone(checkout, tmp_path):
    (tmp_path / "app.py").write_text("print('mine')")
    before = files(tmp_path)
    with pytest.raises(genlab.GenlabError, match="not empty"):
        spaces.build("hello", tmp_path)
    assert files(tmp_path) == before
    with pytest.raises(genlab.GenlabError, match="is a file"):
        spaces.build("hello", tmp_path / "app.py")


@pytest.mark.parametrize("mine", ["genlab/mine.txt", "genlab/_bundled/apps/mine.py"])
def test_files_of_ones_own_in_the_package_are_left_alone(mine, checkout, tmp_path):
    out = spaces.build("hello", tmp_path / "out")
    (out / mine).write_text("mine")
    before = files(out)
    with pytest.raises(genlab.GenlabError, match=f"{mine} in .* was not made by .*: move it elsewhere"):
        spaces.build("hello", out)
    assert files(out) == before and (out / mine).read_text() == "mine"


def test_a_build_that_fails_or_is_killed_does_not_stand_in_the_way(checkout, tmp_path, monkeypatch):
    """A wrong wish, a full disk, a kill before any of its touches of the file system: the next build succeeds."""
    out = tmp_path / "out"
    with pytest.raises(genlab.GenlabError, match="no such hardware"):
        spaces.build("hello", out, hardware="abacus")
    assert not out.exists()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(shutil, "copy", full)
        spaces.build("hello", out)
    assert not out.exists() and not list(tmp_path.glob(".genlab-*"))

    class Killed(BaseException):
        pass

    whole = files(spaces.build("hello", tmp_path / "whole"))
    out.mkdir()
    # before each move: three small files, the package in; then, beside an older one, that one out and the new one in
    for moves in (0, 1, 2, 3, None, 0, 2, 3, 4, None):
        before = iter([False] * 9 if moves is None else [False] * moves + [True])

        def step(*paths, then, before=before):
            if next(before):
                raise Killed
            then(*paths)

        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(os, "replace", partial(step, then=os.replace))
            patch.setattr(os, "rename", partial(step, then=os.rename))
            if moves is not None:  # whoever is killed tidies nothing up
                patch.setattr(shutil, "rmtree", lambda *_, **__: None)
            spaces.build("hello", out)
            assert moves is None and files(out) == whole
    assert files(out) == whole


def test_a_failed_build_leaves_no_half_of_it(checkout, tmp_path):
    (checkout / "model_cards" / "tiny" / "model.safetensors").unlink()
    with pytest.raises(genlab.GenlabError, match="'tiny' in MODELS.*no weights"):
        spaces.build("hello", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_that_are_no_app(checkout):
    with pytest.raises(genlab.GenlabError, match="did you mean 'hello'.*genlab, bye, hello"):
        spaces.find("helo")
    (checkout / "apps" / "mute.py").write_text("TITLE = 'Mute'\n")
    with pytest.raises(genlab.GenlabError, match="mute.py must say FAMILY, MODELS, SUMMARY"):
        spaces.list_apps()


# -- drift -----------------------------------------------------------------------------------------------------------


def test_an_edited_file_is_found(checkout):
    written = spaces.write_all()
    assert len(written) == 9 and spaces.write_all() == [] and spaces.write_all(check=True) == []
    needs = checkout / "spaces" / "hello" / "requirements.txt"
    needs.write_text(needs.read_text().replace("torch==", "torch>="))
    with pytest.raises(genlab.GenlabError, match="make spaces") as error:
        spaces.write_all(check=True)
    assert str(needs) in str(error.value) and "-torch>=" in str(error.value) and "+torch==" in str(error.value)
    assert "torch>=" in needs.read_text()


def test_the_committed_spaces_are_up_to_date():
    spaces.write_all(check=True)


# -- pushing ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub():
    with HubServer(tokens={"hf_alice": "alice"}) as server:
        yield server


def push(hub: HubServer, checkout: Path, *, token: str | None = "hf_alice", call: str = "'hello', 'alice/hello'"):
    """`spaces.push` in a process of its own, since the client reads its endpoint when imported."""
    code = (
        "import pathlib, genlab.names, genlab.spaces as spaces\n"
        f"genlab.names.root = spaces.root = lambda: pathlib.Path({str(checkout)!r})\n"
        f"print(spaces.push({call}))\n"
    )
    env = {**bare(checkout), **hub.env(token), "PYTHONPATH": str(REPO)}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)


def test_push_creates_and_updates_a_space(hub, checkout):
    hub.create("alice/tiny")
    run = push(hub, checkout, call="'hello', 'alice/hello', private=True")
    assert run.stdout.strip() == f"{hub.url}/spaces/alice/hello", run.stderr
    repo = hub.repos["space", "alice/hello"]
    pushed = repo.find("main").files
    weights = pushed["genlab/_bundled/model_cards/tiny/model.safetensors"]
    assert weights.data == (checkout / "model_cards" / "tiny" / "model.safetensors").read_bytes() and weights.lfs
    assert b"models:\n- alice/tiny\n" in pushed["README.md"].data  # it is on the Hub, so it is linked
    assert repo.private

    stale = {"genlab/_bundled/apps/old.py": Blob(b"old", lfs=False), "notes.txt": Blob(b"kept", lfs=False)}
    repo.add(Commit("by hand", {**pushed, **stale}, repo.find("main").sha), "main")
    assert push(hub, checkout).returncode == 0
    after = repo.find("main").files
    assert "notes.txt" in after and "genlab/_bundled/apps/old.py" not in after
    assert after.keys() - {"notes.txt"} == pushed.keys()


@pytest.mark.parametrize(
    ("token", "call", "says"),
    [
        (None, "'hello', 'alice/hello'", "you are not logged in"),
        ("hf_wrong", "'hello', 'alice/hello'", "refused \\(401\\)|HF_TOKEN"),
        ("hf_alice", "'hello', 'bob/hello'", "HF_TOKEN"),
        ("hf_alice", "'hello', 'not a repo'", "not a valid Hub id"),
        ("hf_alice", "'hello', 'alice/public', private=True", "exists and is public"),
        ("hf_alice", "'nothing', 'alice/hello'", "no app is called 'nothing'"),
    ],
)
def test_a_push_that_fails_says_what_to_do(token, call, says, hub, checkout):
    hub.create("alice/public", "space")
    run = push(hub, checkout, token=token, call=call)
    last = run.stderr.strip().splitlines()[-1]
    assert run.returncode == 1 and re.match(r"genlab\.names\.(Hub|Genlab)Error: ", last), run.stderr
    assert re.search(says, last), last
    assert ("space", "alice/hello") not in hub.repos


# -- as the platform starts it ---------------------------------------------------------------------------------------


def bare(home: Path) -> dict[str, str]:
    """`env -i`: nothing of this process but where programs are."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


def uv(*arguments: str) -> subprocess.CompletedProcess:
    """uv with this machine's registry settings. Its cache holds what `make test` fetched, so installing is linking."""
    from scripts.environment import uv_settings

    settings = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    env = {**os.environ, **uv_settings(settings, os.environ)}
    return subprocess.run(
        [sys.executable, "-m", "uv", *arguments], env=env, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The Spaces of this repository, each in a folder, and a fresh environment with just what they ask for."""
    folder = tmp_path_factory.mktemp("spaces")
    for name in ("guidance", "genlab"):
        spaces.build(name, folder / name)
    version = SpaceCard.load(folder / "guidance" / "README.md").data.sdk_version
    needs = {(folder / name / "requirements.txt").read_text() for name in ("guidance", "genlab")}
    assert len(needs) == 1  # so that one environment serves both
    assert uv("venv", "--python", sys.executable, str(folder / "env")).returncode == 0
    python, file = str(folder / "env" / "bin" / "python"), str(folder / "guidance" / "requirements.txt")
    done = uv("pip", "install", "--python", python, "--requirements", file, f"gradio[oauth]=={version}")
    if re.search("error sending request|Failed to fetch|dns error|Network connectivity is disabled", done.stderr):
        pytest.skip(f"the package registry cannot be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def space(built, tmp_path, request):
    """One running Space; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    platform = {
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": str(port),
        "SPACE_ID": f"user/{request.param}",
        "SYSTEM": "spaces",
        "PYTHONUNBUFFERED": "1",
    }
    log = tmp_path / "log"
    with open(log, "w") as output:
        process = subprocess.Popen(
            [built / "env" / "bin" / "python", "app.py"],
            cwd=built / request.param,
            env={**bare(tmp_path), **platform},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for path in ("/", "/config"):
            poll(url + path, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def poll(url: str, process: subprocess.Popen, log: Path, patience: float = 480) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        assert process.poll() is None, f"the Space ended:\n{log.read_text()}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"{url} did not answer within {patience} s:\n{log.read_text()}")


@pytest.mark.slow
@pytest.mark.timeout(900)  # in a fresh environment, Python compiles torch and gradio first
@pytest.mark.parametrize("space", ["guidance", "genlab"], indirect=True)
def test_a_space_runs_as_the_platform_starts_it(space, tmp_path):
    """In a fresh environment, from the folder alone, used by a program as a stranger would."""
    client = Client(space, verbose=False, download_files=str(tmp_path))
    picture, found = client.predict(label="7", guidance=1.0, steps=5, n=10_000, api_name="/guidance_sample")
    picture = picture["path"] if isinstance(picture, dict) else picture
    assert Path(picture).read_bytes().startswith(b"\x89PNG\r\n")
    assert 1 <= found["steps"] <= found["knobs"]["steps"] == 5  # a slow machine may run out of a stranger's time
    assert found["knobs"]["n"] == 20  # and a wish is cut to what the app allows
