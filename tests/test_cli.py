"""The command line: every example parses, commands reach the library, and errors are one line and an exit code."""

import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import genlab
from genlab import cli, spaces
from genlab.models.classic import MLP, MLPConfig
from genlab.models.diffusion import DDPM, DDPMConfig

COMMAND = [sys.executable, "-m", "genlab.cli"]
LEAVES = {
    **{name: command for name, command in cli.COMMANDS.items() if not isinstance(command, dict)},
    **{f"space {name}": command for name, command in cli.COMMANDS["space"].items()},
}


def usage_error(capsys, *argv: str) -> str:
    """What a wrong call says; its exit code is 2."""
    with pytest.raises(SystemExit) as stop:
        cli.main(list(argv))
    assert stop.value.code == 2
    return capsys.readouterr().err


def user_error(capsys, *argv: str) -> str:
    """What a call says that the user can mend: one line, no traceback, exit code 1."""
    assert cli.main(list(argv)) == 1
    said = capsys.readouterr().err
    assert said.startswith("genlab: ") and "Traceback" not in said
    return said


@pytest.fixture
def ddpm(tmp_path):
    torch.manual_seed(0)
    return str(DDPM(DDPMConfig(image_size=8, widths=(8, 8), embedding=8, timesteps=60)).save_pretrained(tmp_path / "d"))


@pytest.fixture
def mlp(tmp_path):
    return str(MLP(MLPConfig()).save_pretrained(tmp_path / "mlp"))


# -- help and usage --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LEAVES)
def test_help_has_examples_that_parse(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*name.split(), "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    examples = [line.strip() for line in shown.split("examples:\n")[1].splitlines()]
    assert any(example.startswith(f"genlab {name}") for example in examples)
    for example in examples:
        words = shlex.split(example)
        words = words[1:] if words[0] == "genlab" else words[words.index("genlab.cli") + 1 :]
        assert cli._parser().parse_args(words).run is LEAVES[name][0]


def test_wrong_commands_are_met_with_the_right_one(capsys):
    assert "did you mean 'sample'?" in usage_error(capsys, "smaple")
    assert "did you mean 'build'?" in usage_error(capsys, "space", "biuld")
    assert "There are list, info" in usage_error(capsys, "zzz")
    assert "COMMAND" in usage_error(capsys)


@pytest.mark.parametrize(
    "argv",
    [
        "sample x",
        "sample x --out y.png -n 0",
        "sample x --out y.png --label seven",
        "sample x --out y.png --guidance nan",
        "sample x --out y.png --seed 1.5",
        "sample x --out y.png --seed 18446744073709551616",
        "demo --port 70000",
        "demo --port http",
        "train",
    ],
)
def test_impossible_values_are_usage_errors(argv, capsys):
    assert "usage: genlab" in usage_error(capsys, *argv.split())


# -- errors ----------------------------------------------------------------------------------------------------------


def test_unknown_names_are_one_line(capsys, monkeypatch):
    monkeypatch.setattr("genlab.cli.recipes", lambda: ["ddpm_mnist", "cnn_mnist"])
    assert "no model is called 'ddpm-mnst'" in user_error(capsys, "info", "ddpm-mnst")
    assert "did you mean 'ddpm_mnist'?" in user_error(capsys, "train", "ddpm_mnst")
    assert "There are ddpm_mnist, cnn_mnist" in user_error(capsys, "train", "zzz")
    assert "no app is called" in user_error(capsys, "demo", "gidance").lower()


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("GENLAB_DEBUG", "1")
    with pytest.raises(genlab.GenlabError):
        cli.main(["info", "no-such-model"])


def test_the_process_says_what_main_returns(tmp_path):
    done = subprocess.run(
        [*COMMAND, "info", "no-such-model"], cwd=tmp_path, capture_output=True, text=True, env=_here()
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and not done.stdout


def test_a_reader_that_leaves_is_no_error(tmp_path):
    with subprocess.Popen([*COMMAND, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_here()) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_ctrl_c_ends_quietly(ddpm, tmp_path):
    """During the slowest sampling that the model knows; one line, and 130."""
    out = tmp_path / "x.png"
    argv = ["sample", ddpm, "--out", str(out), "-n", "2500", "--steps", "60", "--sampler", "ddpm"]
    code = f"import sys; from genlab import cli; import genlab.core; print(flush=True); sys.exit(cli.main({argv}))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_here()
    ) as run:
        run.stdout.readline()
        time.sleep(0.5)  # in `main` since then, and not yet out of it on the fastest machine
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert said.decode().split() == ["genlab:", "interrupted"]
    assert not out.exists()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that gives memory back")
def test_freed_memory_is_kept_for_the_next_step():
    """Pages that the kernel hands out over 20 tensors of 40 MB, one after the other, once there have been as many."""
    code = """if True:
        import resource, sys, torch
        from genlab import cli
        if sys.argv[1] == "kept":
            cli._keep_freed_memory()
        for _ in range(20):
            torch.ones(10_000_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            torch.ones(10_000_000)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    """
    kept, given = (
        int(subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, env=_here()).stdout)
        for how in ("kept", "given back")
    )
    assert kept < given / 10


def _here() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}


# -- commands --------------------------------------------------------------------------------------------------------


def test_list_names_models_apps_and_recipes(capsys):
    assert cli.main(["list"]) == 0
    words = capsys.readouterr().out.split()
    there = [model.name for model in genlab.list_pretrained()] + [app.name for app in spaces.list_apps()]
    assert set(there) | set(cli.recipes()) <= set(words)
    assert "ddpm_mnist" in cli.recipes()


def test_info_shows_the_network_and_how_to_load_it(ddpm, capsys):
    assert cli.main(["info", ddpm]) == 0
    shown = capsys.readouterr().out
    assert "DDPM (diffusion)" in shown and re.search(r"timesteps +60", shown)
    assert f"not measured: genlab evaluate {ddpm}" in shown
    assert f'genlab.from_pretrained("{ddpm}")' in shown


def test_info_shows_measured_figures(ddpm, capsys):
    (Path(ddpm) / "metrics.json").write_text(
        '{"metrics": [{"name": "fid", "value": 2.5, "spread": 0.1, "headline": true}, {"name": "kid", "value": 9.0}]}'
    )
    assert cli.main(["info", ddpm]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"FID.*2\.50 ± 0\.10", shown) and "KID" not in shown


def test_info_keeps_a_strangers_words_from_steering_the_terminal(ddpm, capsys):
    figure = {"name": "fid\x1b[2J\ud800", "value": 2.5, "unit": "\x07", "headline": True}
    (Path(ddpm) / "metrics.json").write_text(json.dumps({"metrics": [figure]}))
    assert cli.main(["info", ddpm]) == 0
    shown = capsys.readouterr().out
    assert r"fid\x1b[2J\ud800" in shown and "\x1b" not in shown and "\x07" not in shown
    (Path(ddpm) / "metrics.json").write_text('{"metrics": "\\u001b]0;mine"}')
    assert cli.main(["info", ddpm]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "\xff",
        '{"metrics": 3}',
        '{"metrics": [{"value": 1.0}]}',
        '{"metrics": [{"name": "fid", "value": "2"}]}',
    ],
)
def test_info_goes_on_past_a_broken_record(ddpm, text, capsys):
    (Path(ddpm) / "metrics.json").write_bytes(text.encode("latin-1"))
    assert cli.main(["info", ddpm]) == 0
    shown = capsys.readouterr().out
    assert f"{Path(ddpm) / 'metrics.json'} is no record" in shown and "genlab evaluate" in shown
    assert f'genlab.from_pretrained("{ddpm}")' in shown


def test_info_knows_an_app_from_a_model(capsys):
    assert "genlab demo latent_space" in user_error(capsys, "info", "latent_space")


def test_sample_saves_what_python_draws(ddpm, tmp_path, capsys):
    out, again, other = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    knobs = "-n 4 --label 1,2 --guidance 1 --steps 3 --seed 5".split()
    assert cli.main(["sample", ddpm, "--out", str(out), *knobs]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    from genlab import viz

    model = genlab.from_pretrained(ddpm)
    images = model.sample(4, label=[1, 2, 1, 2], guidance=1.0, steps=3, generator=torch.Generator().manual_seed(5))
    assert out.read_bytes() == viz.png(viz.tile(images, gap=10, scale=10))
    assert cli.main(["sample", ddpm, "--out", str(again), *knobs]) == 0
    assert cli.main(["sample", ddpm, "--out", str(other), *knobs[:-1], "6"]) == 0
    assert out.read_bytes() == again.read_bytes() != other.read_bytes()


def test_sample_draws_no_picture_of_broken_weights_and_spoils_none(ddpm, tmp_path, capsys):
    out = tmp_path / "x.png"
    out.write_bytes(b"an older picture")
    model = genlab.from_pretrained(ddpm)
    for p in model.parameters():
        p.data.fill_(float("nan"))
    broken = model.save_pretrained(tmp_path / "broken")
    said = user_error(capsys, "sample", str(broken), "--out", str(out), "-n", "1", "--steps", "2")
    assert "drew NaN or infinity" in said and out.read_bytes() == b"an older picture"


def test_sample_explains_what_it_cannot_do(ddpm, mlp, tmp_path, capsys):
    out = str(tmp_path / "x.png")
    assert "labels lie in 0..9" in user_error(capsys, "sample", ddpm, "--out", out, "--label", "12")
    assert "steps lie in 1..60" in user_error(capsys, "sample", ddpm, "--out", out, "--steps", "61")
    assert "sampler" in user_error(capsys, "sample", ddpm, "--out", out, "--sampler", "euler")
    assert "at most 2500" in user_error(capsys, "sample", ddpm, "--out", out, "-n", "100000")
    assert ".png" in user_error(capsys, "sample", ddpm, "--out", str(tmp_path / "x.jpg"))
    assert "no folder" in user_error(capsys, "sample", ddpm, "--out", str(tmp_path / "no" / "x.png"))
    said = user_error(capsys, "sample", ddpm, "--out", out, "--device", "cuda:77")
    assert "there is no device=cuda:77 on this machine" in said and "choose cpu" in said and said.count("\n") == 1
    assert "has no --prompt" in user_error(capsys, "sample", ddpm, "--out", out, "--prompt", "a red circle")
    assert "add --prompt" in user_error(capsys, "sample", "ldm-scenes", "--out", out)
    knobs = ["--prompt", "a red zebra, a \x1bblue xyzzy", "-n", "1", "--steps", "1"]
    assert cli.main(["sample", "ldm-scenes", "--out", str(tmp_path / "told.png"), *knobs]) == 0
    said = capsys.readouterr().err
    assert "does not know 'zebra'" in said and "'xyzzy'" in said and "\x1b" not in said
    assert "without --label it has no effect" in user_error(capsys, "sample", ddpm, "--out", out, "--guidance", "3")
    assert "draws no samples" in user_error(capsys, "sample", mlp, "--out", out)
    assert "holds no numbers" in user_error(capsys, "sample", ddpm, "--out", out, "--device", "meta")
    assert not list(tmp_path.glob("x.*"))


def test_progress_goes_to_a_terminal_only(monkeypatch, capsys):
    states = cli._ticking(lambda n: iter("ab"), 2)
    assert list(states(1)) == ["a", "b"] and capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(states(1)) == ["a", "b"]
    assert "step 2 of 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "target", "args", "kwargs"),
    [
        (
            "demo guidance --port 7861",
            "genlab.demo.serve",
            ("guidance",),
            {"port": 7861, "host": "127.0.0.1"},
        ),
        (
            "evaluate ddpm-mnist --samples 100",
            "genlab.evaluate.evaluate",
            ("ddpm-mnist",),
            {"samples": 100, "only": "*", "fresh": False},
        ),
        (
            "space build guidance --out there",
            "genlab.spaces.build",
            ("guidance", Path("there")),
            {"hardware": "cpu-basic"},
        ),
        (
            "space push guidance me/there --private",
            "genlab.spaces.push",
            ("guidance", "me/there"),
            {"private": True, "hardware": "cpu-basic", "commit_message": None},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_commands_reach_the_library(argv, target, args, kwargs, monkeypatch, capsys):
    """With arguments that the real function takes: its own signature is asked."""
    import inspect
    from importlib import import_module

    module, name = target.rsplit(".", 1)
    inspect.signature(getattr(import_module(module), name)).bind(*args, **kwargs)
    calls = []
    monkeypatch.setattr(target, lambda *args, **kwargs: calls.append((args, kwargs)) or "done")
    assert cli.main(argv.split()) == 0
    assert calls == [(args, kwargs)]


def test_push_loads_the_model_and_prints_the_address(mlp, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(MLP, "push_to_hub", lambda self, repo, **how: calls.append((repo, how)) or "https://hub/me/mlp")
    assert cli.main(["push", mlp, "me/mlp", "--branch", "try", "--message", "First try"]) == 0
    assert calls == [("me/mlp", {"private": False, "branch": "try", "commit_message": "First try"})]
    assert capsys.readouterr().out.strip() == "https://hub/me/mlp"


def test_push_asks_for_user_and_name(mlp, capsys, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    for argv in (["push", mlp, "nouser"], ["space", "push", "guidance", "nouser"]):
        assert "'nouser' is not a valid Hub id to push to: give 'user/name'" in user_error(capsys, *argv)


def test_an_empty_name_to_start_from_is_refused(capsys, tmp_path):
    said = user_error(capsys, "train", "ddpm_digits", "--init", "", "--run-dir", str(tmp_path / "run"))
    assert "non-empty" in said and not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["cards", "spaces"])
def test_generators_write_or_check(command, monkeypatch, capsys):
    def write_all(check=False):
        if check:
            raise genlab.GenlabError(f"run make {command}")
        return [Path("a"), Path("b")]

    monkeypatch.setattr(f"genlab.{command}.write_all", write_all)
    assert cli.main([command]) == 0
    assert capsys.readouterr().out == "wrote a\nwrote b\n"
    assert f"run make {command}" in user_error(capsys, command, "--check")


def test_train_overrides_the_recipe_and_says_what_stopped_it(monkeypatch, capsys, tmp_path):
    from genlab import train

    seen = []

    def stop(recipe, **how):
        seen.append((recipe, how))
        raise train.Stopped(signal.SIGTERM, "stopped at step 3; go on with --resume")

    monkeypatch.setattr("genlab.train.train", stop)
    argv = ["train", "ddpm-mnist", "--set", "steps=3", "batch_size=8", "--set", "lr=0.5", "--run-dir", str(tmp_path)]
    assert cli.main(argv) == 128 + signal.SIGTERM
    assert "--resume" in capsys.readouterr().err
    (recipe, how) = seen[0]
    assert (recipe.name, recipe.steps, recipe.batch_size, recipe.lr) == ("ddpm-mnist", 3, 8, 0.5)
    assert how == {"run_dir": tmp_path, "out": None, "resume": False, "init": None}
    assert "stps" in user_error(capsys, "train", "ddpm_mnist", "--set", "stps=3")
    assert "expected int" in user_error(capsys, "train", "ddpm_mnist", "--set", "steps=many")
