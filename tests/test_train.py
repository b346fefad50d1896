"""Training: what a run computes, that it can be stopped anyhow and goes on bit for bit, and what it says on the way.

Processes are real, and are killed; see children.py. Their recipe is ddpm_digits, made tiny.
"""

import copy
import dataclasses
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from children import Child, genlab, together, until
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny import Tiny, TinyConfig
from torch import nn

from genlab.core import from_pretrained
from genlab.data import digits
from genlab.models.classic import MLP, MLPConfig
from genlab.models.diffusion import DDPM, DDPMConfig
from genlab.names import GenlabError, TrainError
from genlab.recipes.ddpm_digits import RECIPE as DDPM_DIGITS
from genlab.train import (
    Objective,
    Recipe,
    _Signals,
    batch_index,
    clip_gradient,
    learning_rate,
    override,
    stream,
    train,
    update_average,
)

SETTINGS = (
    "steps=40 checkpoint_every=5 log_every=1 config.widths=8 config.embedding=8 batch_size=16 tracker=none".split()
)
RUN = ["train", "ddpm_digits", "--set", *SETTINGS]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def log(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def same_run(run: Path, other: Path) -> bool:
    """Bit for bit: the final weights, and every number on the way there."""
    a, b = weights(run), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a) and log(run) == log(other)


def checkpoints(run: Path) -> list[str]:
    return sorted(file.name for file in run.glob("checkpoint-*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run, what it said, and the seconds it took."""
    folder = tmp_path_factory.mktemp("whole")
    genlab(folder, *RUN, "--run-dir", "warm", "--out", "first")  # the fork server starts
    began = time.monotonic()
    said = genlab(folder, *RUN)
    run = folder / "runs" / "ddpm-digits"
    assert same_run(run, run) and not (folder / "warm" / "model").exists()
    assert torch.equal(load_file(folder / "first" / "model.safetensors")["label.weight"], weights(run)["label.weight"])
    return run, said, time.monotonic() - began


@pytest.fixture
def run(tmp_path):
    return tmp_path / "runs" / "ddpm-digits"


def mlp(**settings) -> Recipe:
    """A recipe of seconds, with dropout, so that every random draw counts."""
    plain = Recipe(
        name="mlp-digits",
        summary="",
        model=MLP,
        config=MLPConfig(inputs=64, widths=(16,)),
        data=digits.splits,
        steps=12,
        batch_size=32,
        ema=0.9,
        log_every=1,
        checkpoint_every=3,
        tracker="none",
    )
    return dataclasses.replace(plain, **settings)


# -- stopped and resumed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_a_resumed_run_is_the_same(number, whole, run, tmp_path):
    child = Child(tmp_path, *RUN, slow=1)
    until(lambda: checkpoints(run), child)
    child.kill(number)
    assert child.wait() == 128 + number
    said = str(child).splitlines()[-1]
    assert said.startswith("genlab: stopped at step ") and said.endswith("Go on with --resume."), str(child)
    assert checkpoints(run)[-1] in said and "Traceback" not in str(child)
    genlab(tmp_path, *RUN, "--resume")
    assert same_run(run, whole[0])
    assert "legs" not in json.loads((run / "model" / "metrics.json").read_text())["training"]  # nothing has changed


def test_sigkill_at_any_moment(whole, run, tmp_path):
    """At first in the middle of the run, then whenever; checkpoints are written all the time."""
    often = [*RUN, "checkpoint_every=1", "--resume"]
    child = Child(tmp_path, *often, slow=1)
    until(lambda: len(checkpoints(run)) == 2, child)
    child.kill()
    assert child.wait() == 128 + signal.SIGKILL
    for _ in range(5):
        child = Child(tmp_path, *often)
        time.sleep(random.uniform(0, 0.5) * whole[2])
        child.kill()
        child.wait()
    assert not (run / "model").exists() or same_run(run, whole[0])
    genlab(tmp_path, *often)
    assert same_run(run, whole[0])


def interrupted(run: Path, folder: Path) -> None:
    """A run that died between two checkpoints."""
    child = Child(folder, *RUN, slow=1)
    until(lambda: len(checkpoints(run)) == 2, child)
    child.kill()
    child.wait()


def test_a_file_that_cannot_grow_leaves_the_last_good_checkpoint(whole, run, tmp_path):
    interrupted(run, tmp_path)
    before = {name: (run / name).read_bytes() for name in checkpoints(run)}
    child = Child(tmp_path, *RUN, "--resume", largest=len(before[max(before)]) // 2)
    assert child.wait() == 1 and "Traceback" not in str(child)
    said = str(child).splitlines()[-1]
    assert "could not be written" in said and "go on with --resume" in said
    assert f"The last good checkpoint is runs/ddpm-digits/{max(before)}" in said
    assert {name: (run / name).read_bytes() for name in checkpoints(run)} == before
    assert not list(run.glob("*.partial"))
    genlab(tmp_path, *RUN, "--resume")
    assert same_run(run, whole[0])


def test_a_full_disk(whole, tmp_path):
    """The same on a disk of its own, with room for one checkpoint, and everything else that is written."""
    disk, size = tmp_path / "disk", (whole[0] / checkpoints(whole[0])[-1]).stat().st_size
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size * 3 // 2}", "genlab-test", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        start = [*RUN, "tracker=tensorboard", "--run-dir", str(disk / "run"), "--out", str(tmp_path / "model")]
        child = Child(tmp_path, *start)
        assert child.wait() == 1, str(child)
        assert "No space left" in str(child) and "go on with --resume" in str(child) and "Traceback" not in str(child)
        assert checkpoints(disk / "run") == ["checkpoint-000000005.safetensors"]
        subprocess.run(["mount", "-o", f"remount,size={size * 9}", str(disk)], check=True)
        genlab(tmp_path, *start, "--resume")
        assert log(disk / "run") == log(whole[0])
        assert (tmp_path / "model" / "model.safetensors").read_bytes() == (
            whole[0] / "model" / "model.safetensors"
        ).read_bytes()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(whole, run, tmp_path):
    shutil.copytree(whole[0], run)
    shutil.rmtree(run / "model")
    old, new = (run / name for name in checkpoints(run))
    new.write_bytes(new.read_bytes()[:-1000])
    (run / "checkpoint.partial").write_bytes(b"half")
    said = genlab(tmp_path, *RUN, "--resume")
    assert f"{new.name} is damaged" in said and f"going on from {old.name}" in said
    assert same_run(run, whole[0])
    assert checkpoints(run) == [old.name, new.name] and load_file(new).keys() == load_file(old).keys()

    shutil.rmtree(run / "model")
    whole_bytes = new.read_bytes()
    new.write_bytes(whole_bytes[:-1000] + bytes(byte ^ 1 for byte in whole_bytes[-1000:]))  # still a file of numbers
    said = genlab(tmp_path, *RUN, "--resume")
    assert f"{new.name} is damaged (its numbers are not those that were written)" in said
    assert same_run(run, whole[0])

    for name in checkpoints(run):
        (run / name).write_bytes(b"")
    child = Child(tmp_path, *RUN, "--resume")
    assert child.wait() == 1
    assert "is damaged" in str(child) and "Choose another --run-dir" in str(child)


def test_a_finished_run_only_saves_again(whole, run, tmp_path):
    """Also what it ended with, which is on the log."""
    shutil.copytree(whole[0], run)
    shutil.rmtree(run / "model")
    genlab(tmp_path, *RUN, "--resume")
    assert same_run(run, whole[0])
    final = [json.loads((r / "model" / "metrics.json").read_text())["training"]["final"] for r in (run, whole[0])]
    assert final[0] == final[1] and final[0]["valid/loss"] > 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["seed=1"], "was made with seed=0 batch_size=16"),
        (["batch_size=32"], "was made with seed=0 batch_size=16"),
        (["config.widths=16"], "does not fit this recipe"),
        (["ema=0"], None),  # a run may go on without its average
        (["steps=39"], "beyond steps=39"),
    ],
)
def test_checkpoints_of_other_settings_are_refused(settings, says, whole, run):
    shutil.copytree(whole[0], run)
    recipe = override(DDPM_DIGITS, [*SETTINGS, *settings])
    if says is None:
        assert train(recipe, run_dir=run, resume=True, quiet=True) == run / "model"
        return
    with pytest.raises(TrainError, match=says):
        train(recipe, run_dir=run, resume=True, quiet=True)


def test_nothing_is_overwritten_unasked(whole):
    with pytest.raises(TrainError, match="--resume, or choose another --run-dir"):
        train(override(DDPM_DIGITS, SETTINGS), run_dir=whole[0])


def test_two_trainings_do_not_share_a_folder(whole, run, tmp_path):
    """The second is refused, though it may resume; when the first dies, whatever it dies of, its folder is free."""
    first = Child(tmp_path, *RUN, slow=1)
    until(lambda: checkpoints(run), first)
    second = Child(tmp_path, *RUN, "--resume")
    assert second.wait() == 1
    assert "another training is at work in runs/ddpm-digits" in str(second) and "Traceback" not in str(second)
    assert first.process.is_alive()
    first.kill()
    first.wait()
    genlab(tmp_path, *RUN, "--resume")
    assert same_run(run, whole[0])


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainError, match="file cannot be written to: .* Choose another --run-dir"):
        train(mlp(), run_dir=tmp_path / "file", quiet=True)


def test_a_second_signal_ends_at_once():
    with _Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)


# -- what it was run with ----------------------------------------------------------------------------------------------


def trained(run: Path, **how) -> dict:
    """What the record says of a training, resumed where there is something to resume."""
    folder = train(mlp(**how), run_dir=run, resume=bool(checkpoints(run)), quiet=True)
    return json.loads((folder / "metrics.json").read_text())["training"]


def test_the_record_tells_what_each_leg_was_run_with(tmp_path):
    assert "legs" not in trained(tmp_path, steps=3)
    assert "legs" not in trained(
        tmp_path, steps=3, log_every=2, checkpoint_every=1
    )  # nothing that tells in the weights
    legs = [{"from_step": 0, "set": {"steps": 3}}, {"from_step": 3, "set": {"steps": 6}}]
    assert trained(tmp_path, steps=6)["legs"] == legs
    with pytest.raises(TrainError, match="at step 8"):  # stopped in the middle of its leg, and resumed as it was
        trained(tmp_path, steps=9, lr=0.5, objectives=(failing(2, "loss"),), checkpoint_every=1)
    last = trained(tmp_path, steps=9, lr=0.5)
    assert last["legs"] == [
        {"from_step": 0, "set": {"steps": 3, "lr": 1e-3}},
        {"from_step": 3, "set": {"steps": 6, "lr": 1e-3}},
        {"from_step": 6, "set": {"steps": 9, "lr": 0.5}},
    ]


def test_a_checkpoint_that_does_not_say_is_gone_on_from(tmp_path):
    """As an older genlab wrote it: what its steps were run with is not known, and the record says so."""
    trained(tmp_path, steps=3)
    file = tmp_path / checkpoints(tmp_path)[-1]
    with safe_open(file, framework="pt") as opened:
        told = {key: value for key, value in opened.metadata().items() if key != "legs"}
    save_file(load_file(file), file, metadata=told)
    legs = trained(tmp_path, steps=6)["legs"]
    assert legs[0] == {"from_step": 0, "set": None} and legs[1]["from_step"] == 3 and legs[1]["set"]["steps"] == 6


# -- data that does not fit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["config.classes=3"], r"labels of train lie in 0\.\.9.*set config.classes=10 or more"),
        (["batch_size=1000000000"], "batch_size 1000000000 is more than the 1437 examples"),
    ],
)
def test_data_that_does_not_fit_is_told_before_the_first_step(settings, says, tmp_path):
    with pytest.raises(TrainError, match=says):
        train(override(DDPM_DIGITS, [*SETTINGS, *settings]), run_dir=tmp_path, quiet=True)
    assert not (tmp_path / "log.jsonl").exists()


# -- several processes -------------------------------------------------------------------------------------------------


def test_two_processes_see_what_one_sees(tmp_path):
    """Two of them, one of which is told to stop, then two more from `accelerate launch`: the same losses as one."""
    two = [*RUN, "shards=2"]
    genlab(tmp_path, *two, "--run-dir", "one")
    pair = [Child(tmp_path, *two, "--run-dir", "two", slow=1, env=env) for env in together(2)]
    until(lambda: checkpoints(tmp_path / "two"), pair[0])
    pair[1].kill(signal.SIGTERM)
    assert [child.wait() for child in pair] == [128 + signal.SIGTERM] * 2, "\n".join(map(str, pair))
    assert len(log(tmp_path / "two")) < 40

    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--main_process_port", "0", "-m", "genlab.cli", *two, "--run-dir", "two", "--resume"]
    here = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(launch, cwd=tmp_path, env=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    one, other = log(tmp_path / "one"), log(tmp_path / "two")
    assert [sorted(line) for line in one] == [sorted(line) for line in other] and len(one) == 41
    for a, b in zip(one, other, strict=True):
        assert a == pytest.approx(b, rel=1e-5, abs=1e-6), f"step {a['step']}"
    record = json.loads((tmp_path / "two" / "model" / "metrics.json").read_text())["training"]
    assert record["command"].startswith(
        "accelerate launch --multi_gpu --num_processes 2 -m genlab.cli train ddpm_digits --set"
    )
    assert record["hardware"].startswith("2 x ")


def test_shards_are_the_processes_and_divide_the_batch():
    with pytest.raises(TrainError, match="multiples of the number of processes"):
        train(mlp(shards=5))


def test_a_launch_that_starts_one_process_is_told_how_to_start_two(tmp_path, monkeypatch, capsys):
    """accelerate launch --num_processes 2 without a GPU sets this variable, and starts one process."""
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    train(mlp(steps=1), run_dir=tmp_path, quiet=True)
    assert "--multi_gpu --num_processes 2" in capsys.readouterr().err


# -- a loss that is no number ------------------------------------------------------------------------------------------


def failing(step: int, how: str) -> Objective:
    """An objective that fails at one step: in its loss, or in its gradient alone."""
    count = iter(range(1_000))

    def loss(model, batch):
        value, parts = model.loss(batch)
        if model.training and next(count) == step:
            value = value * math.nan if how == "loss" else value + (value - value).sqrt()
        return value, parts

    return Objective(loss=loss)


@pytest.mark.parametrize("how", ["loss", "gradient"])
def test_nan_stops_before_it_spoils_anything(how, tmp_path):
    with pytest.raises(TrainError) as stopped:
        train(mlp(objectives=(failing(7, how),)), run_dir=tmp_path, quiet=True)
    said, good = str(stopped.value), tmp_path / "checkpoint-000000006.safetensors"
    assert "at step 7" in said and f"The last good checkpoint is {good}." in said and "--resume" in said
    assert checkpoints(tmp_path) == ["checkpoint-000000003.safetensors", good.name]
    assert not (tmp_path / "model").exists()
    train(mlp(), run_dir=tmp_path, resume=True, quiet=True)
    train(mlp(), run_dir=tmp_path / "whole", quiet=True)
    assert same_run(tmp_path, tmp_path / "whole")


def test_a_checkpoint_that_leads_straight_to_nan_is_no_good(tmp_path):
    with pytest.raises(TrainError, match="The last good checkpoint is .*checkpoint-000000003"):
        train(mlp(objectives=(failing(6, "loss"),)), run_dir=tmp_path, quiet=True)
    assert checkpoints(tmp_path) == ["checkpoint-000000003.safetensors"]
    with pytest.raises(TrainError, match="There is no good checkpoint yet"):
        train(mlp(objectives=(failing(0, "loss"),)), run_dir=tmp_path / "other", quiet=True)


# -- what a step computes ----------------------------------------------------------------------------------------------


def test_average_is_that_of_all_steps(tmp_path):
    """theta_avg after step k = d_k theta_avg + (1 - d_k) theta_k with d_k = min(ema, (1 + k) / (10 + k))."""
    seen = []
    hook = lambda model, step: seen.append({k: v.double().clone() for k, v in model.state_dict().items()})  # noqa: E731
    train(mlp(ema=0.6, hooks=(hook,)), run_dir=tmp_path, quiet=True)
    torch.manual_seed(0)
    expected = {key: value.double() for key, value in MLP(mlp().config).state_dict().items()}
    for k, state in enumerate(seen):
        decay = min(0.6, (1 + k) / (10 + k))
        expected = {key: decay * expected[key] + (1 - decay) * state[key] for key in expected}
    for key, value in weights(tmp_path).items():
        assert torch.allclose(value.double(), expected[key], atol=1e-6), key


def test_what_the_data_tell_is_set_before_the_first_step_alone(tmp_path):
    """Not on resuming, and not where the weights of another run are gone on with; the average has it too."""

    def start(model, data):
        for parameter in model.parameters():
            parameter.fill_(data["image"].float().mean() / 255)

    recipe = mlp(start=start, lr=1e-9, steps=2, ema=0.9)
    train(recipe, run_dir=tmp_path / "a", quiet=True)
    mean = recipe.data()["train"]["image"].float().mean() / 255
    assert all(torch.allclose(value, mean.expand_as(value)) for value in weights(tmp_path / "a").values())

    def never(model, data):
        raise AssertionError("begun anew")

    longer = dataclasses.replace(recipe, start=never, steps=3)
    train(longer, run_dir=tmp_path / "a", resume=True, quiet=True)
    train(longer, run_dir=tmp_path / "b", init=str(tmp_path / "a" / "model"), quiet=True)
    with pytest.raises(ValueError, match="a fit begins where it likes"):
        dataclasses.replace(recipe, data=None, fit=lambda recipe: None)


def test_average_copies_buffers():
    model = nn.BatchNorm1d(3)
    average = copy.deepcopy(model)
    model(torch.randn(8, 3))
    update_average(average, model, 0.5)
    assert torch.equal(average.running_mean, model.running_mean) and average.num_batches_tracked == 1


@pytest.mark.parametrize("k", [0.5, 4.999, 5.001, 0.0])
def test_clipping_is_that_of_the_norm(k):
    """||(3, 4)|| = 5: left alone up to k, else scaled by k / ||g||; k = 0 leaves all alone."""
    a, b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1, 1))
    a.grad, b.grad = torch.tensor([3.0]), torch.tensor([[4.0]])
    assert clip_gradient([a, b, nn.Parameter(torch.zeros(2))], k) == 5.0
    scale = k / 5 if 0 < k < 5 else 1.0
    assert a.grad.item() == pytest.approx(3 * scale, rel=1e-6) and b.grad.item() == pytest.approx(4 * scale, rel=1e-6)


def test_each_step_is_clipped_and_the_log_has_the_norm_before(tmp_path):
    norms = []
    hook = lambda model, step: norms.append(clip_gradient(model.parameters(), 0))  # noqa: E731
    train(mlp(clip=0.3, hooks=(hook,)), run_dir=tmp_path, quiet=True)
    before = [line["train/grad_norm/loss"] for line in log(tmp_path) if "train/lr" in line]
    assert norms == pytest.approx([min(norm, 0.3) for norm in before], rel=1e-5)
    assert min(norms) < 0.3 or max(before) > 0.3


def tiny(**changes) -> Recipe:
    """Steps of one rate over pictures of zeros: what moves the weights is the loss of the test's own objectives."""
    return Recipe(
        name="tiny",
        summary="",
        model=Tiny,
        config=TinyConfig(width=3, sizes=(2,)),
        data=lambda: {"train": {"image": torch.zeros(8, 4)}},
        batch_size=8,
        schedule="constant",
        warmup=0,
        tracker="none",
        **changes,
    )


def test_objectives_move_their_own_parameters(tmp_path):
    """Two of them, on the two halves of a model, and a parameter of neither."""

    def loss(model, batch):
        return (model.layers[0].weight - 1).square().sum() + (model.layers[1].weight + 1).square().sum(), {}

    def half(i):
        return lambda model: [model.layers[i].weight]

    recipe = tiny(lr=0.125, steps=1, objectives=(Objective("up", loss, half(0)), Objective("down", loss, half(1))))
    torch.manual_seed(0)
    before = Tiny(recipe.config).state_dict()
    after = weights(train(recipe, run_dir=tmp_path, quiet=True).parent)
    for key, sign in {"layers.0.weight": 1, "layers.1.weight": -1, "layers.0.bias": 0, "layers.1.bias": 0}.items():
        moved = after[key] - before[key]  # the first step of Adam: lr, whatever the gradient
        assert torch.allclose(moved, torch.full_like(moved, sign * 0.125), atol=1e-5), key


@pytest.mark.parametrize("layer", [None, 0, 1])
def test_weight_decay_shrinks_what_the_objective_says(layer, tmp_path):
    """Each step takes lr x weight_decay of a weight off, where the loss leaves it alone: of all, or of one layer."""

    def loss(model, batch):
        return sum(0 * p.sum() for p in model.parameters()), {}

    decays = None if layer is None else lambda model: model.layers[layer].parameters()
    recipe = tiny(lr=0.1, steps=2, weight_decay=0.5, objectives=(Objective(loss=loss, decays=decays),))
    torch.manual_seed(0)
    before = dict(Tiny(recipe.config).named_parameters())
    after = weights(train(recipe, run_dir=tmp_path, quiet=True).parent)
    for key, weight in before.items():
        left = (1 - 0.1 * 0.5) ** 2 if layer is None or key.startswith(f"layers.{layer}.") else 1
        assert torch.allclose(after[key], left * weight), key


def test_what_shrinks_is_moved_as_all_else_is(tmp_path):
    """Without weight decay it makes no difference what that would shrink, not after a stop either."""

    def run(name, decays, steps, **more):
        recipe = mlp(steps=steps, warmup=4, schedule="constant", objectives=(Objective(decays=decays),))
        return weights(train(recipe, run_dir=tmp_path / name, quiet=True, **more).parent)

    def first(model):
        return [next(model.parameters())]

    plain = run("plain", None, 9)
    run("apart", first, 5)
    apart = run("apart", first, 9, resume=True)
    assert all(torch.equal(plain[key], apart[key]) for key in plain)


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ({"warmup": 0}, {0: 1.0, 50: 0.505, 99: 0.01}),
        ({"warmup": 10}, {0: 0.1, 4: 0.5, 50: 0.505, 99: 0.01}),
        ({"warmup": 10, "schedule": "constant"}, {0: 0.1, 9: 1.0, 50: 1.0, 99: 1.0}),
        ({"warmup": 1_000, "schedule": "constant"}, {0: 0.001, 99: 0.1}),
    ],
)
def test_learning_rate(settings, rates):
    recipe = mlp(steps=100, lr=1.0, **settings)
    for step, rate in rates.items():
        assert learning_rate(recipe, step) == pytest.approx(rate, rel=0.05), step
    falls = [learning_rate(recipe, step) for step in range(recipe.warmup, 100)]
    assert falls == sorted(falls, reverse=True)


@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(1, 60))
def test_batches_cover_every_epoch_once(seed, count, batch_size):
    steps = 1 + 3 * count // batch_size
    seen = torch.cat([batch_index(seed, step, batch_size, count) for step in range(steps)])
    assert len(seen) == steps * batch_size
    for epoch in seen.split(count):
        if len(epoch) == count:
            assert sorted(epoch.tolist()) == list(range(count))
    step = steps // 2  # whatever was asked before, and in whatever order
    assert torch.equal(batch_index(seed, step, batch_size, count), seen[step * batch_size : (step + 1) * batch_size])


def test_epochs_differ_and_streams_never_meet():
    first, second = (batch_index(0, step, 100, 100) for step in range(2))
    assert not torch.equal(first, second) and not torch.equal(first, batch_index(1, 0, 100, 100))
    streams = [stream(seed, step, shard) for seed in (0, 1, 7) for step in range(300) for shard in (*range(8), 4_098)]
    assert len(set(streams)) == len(streams)
    torch.manual_seed(stream(2**32 - 1, 10**9, 4_095))  # the largest that torch has to take


@pytest.mark.parametrize("every", ["validate_every", "log_every", "checkpoint_every"])
def test_looking_does_not_disturb(every, tmp_path):
    preview = lambda model: torch.rand(4, 1, 8, 8)  # noqa: E731
    train(mlp(preview=preview, **{every: 1}), run_dir=tmp_path / "often", quiet=True)
    train(mlp(preview=preview, **{every: 12}), run_dir=tmp_path / "once", quiet=True)
    often, once = weights(tmp_path / "often"), weights(tmp_path / "once")
    assert all(torch.equal(often[key], once[key]) for key in once)


def test_previews_are_of_the_model_at_rest(tmp_path):
    """Dropout is for training, also where there is no average."""
    modes = []
    preview = lambda model: modes.append(model.training) or torch.rand(1, 1, 8, 8)  # noqa: E731
    hook = lambda model, step: modes.append(model.training)  # noqa: E731
    train(mlp(ema=0.0, preview=preview, hooks=(hook,), validate_every=1, steps=2), run_dir=tmp_path, quiet=True)
    assert modes == [True, False, True, False]


def test_precision_may_change_within_a_process(tmp_path):
    losses = []
    for precision in ("bf16", "fp32", "bf16"):
        train(mlp(precision=precision), run_dir=tmp_path / f"{len(losses)}", quiet=True)
        losses.append([line["train/loss"] for line in log(tmp_path / f"{len(losses)}") if "train/loss" in line])
    assert losses[0] == losses[2] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.02)
    assert {value.dtype for value in weights(tmp_path / "0").values()} == {torch.float32}


def test_it_learns(tmp_path):
    """Digits, in 300 steps: more than nine of ten that it never saw."""
    folder = train(
        mlp(steps=300, lr=1e-2, log_every=300, config=MLPConfig(64, 10, (128,))), run_dir=tmp_path, quiet=True
    )
    test = digits.load("test")
    right = from_pretrained(folder)(test["image"].float() / 255).argmax(1) == test["label"]
    assert right.float().mean() > 0.92


# -- from weights ------------------------------------------------------------------------------------------------------


def test_init_starts_from_weights(tmp_path, capsys):
    recipe = mlp(steps=1, lr=1e-12, ema=0.0)
    torch.manual_seed(5)
    start = MLP(recipe.config)
    start.save_pretrained(tmp_path / "start")
    folder = train(recipe, run_dir=tmp_path / "run", init=str(tmp_path / "start"), quiet=True)
    after = from_pretrained(folder).state_dict()
    assert all(torch.allclose(after[key], value, atol=1e-9) for key, value in start.state_dict().items())
    record = json.loads((folder / "metrics.json").read_text())["training"]
    assert record["init"] == str(tmp_path / "start") and record["command"].endswith(f"--init {tmp_path / 'start'}")
    folder = train(recipe, run_dir=tmp_path / "run", resume=True, quiet=True)  # which need not be told again
    assert json.loads((folder / "metrics.json").read_text())["training"]["init"] == record["init"]
    assert "earlier" not in record, "nobody noted how those weights were made"
    third = train(recipe, run_dir=tmp_path / "third", init=str(folder), quiet=True)
    fourth = train(recipe, run_dir=tmp_path / "fourth", init=str(third), quiet=True)
    again = json.loads((fourth / "metrics.json").read_text())["training"]
    assert again["earlier"] == [record["command"], record["command"].replace(str(tmp_path / "start"), str(folder))]

    DDPM(DDPMConfig(image_size=8, patch=1, widths=(8,), embedding=8)).save_pretrained(tmp_path / "ddpm")
    with pytest.raises(TrainError, match="is a DDPM"):
        train(recipe, run_dir=tmp_path / "x", init=str(tmp_path / "ddpm"))
    MLP(MLPConfig(inputs=64, widths=(8,))).save_pretrained(tmp_path / "narrow")
    with pytest.raises(TrainError, match=r"widths=\(8,\).*widths=\(16,\)"):
        train(recipe, run_dir=tmp_path / "x", init=str(tmp_path / "narrow"))
    assert not (tmp_path / "x").exists()


def test_init_reaches_training_from_the_command_line(whole, tmp_path):
    child = Child(tmp_path, *RUN, "config.widths=16", "--init", str(whole[0] / "model"))
    assert child.wait() == 1
    assert "is a DDPM of DDPMConfig" in str(child) and "Traceback" not in str(child)


# -- what a run tells --------------------------------------------------------------------------------------------------


def test_the_run_tells_how_it_goes(whole):
    run, said, _ = whole
    assert "loss=" in said and "examples/s" in said and "40 steps in " in said
    assert "<00:00" in said  # the time that is left
    assert "validation" in said and "genlab: " not in said
    picture = (run / "samples" / "000000040.png").read_bytes()
    width, height = (int.from_bytes(picture[place : place + 4], "big") for place in (16, 20))
    assert picture.startswith(b"\x89PNG") and (width, height) == (10 * 18 - 2, 4 * 18 - 2)  # the classes in columns
    record = json.loads((run / "model" / "metrics.json").read_text())
    assert record["metrics"] == [] and record["training"]["recipe"] == "ddpm_digits"
    assert record["training"]["command"] == f"genlab train ddpm_digits --set {' '.join(SETTINGS)}"
    assert record["training"]["final"]["valid/loss"] == pytest.approx(log(run)[-1]["valid/loss"], abs=1e-6)


def test_tensorboard_has_the_numbers(tmp_path):
    train(mlp(tracker="tensorboard"), run_dir=tmp_path / "run", quiet=True)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run")).Reload()
    lines = [line for line in log(tmp_path / "run") if "train/loss" in line]
    found = events.Scalars("train/loss")
    assert [event.step for event in found] == list(range(1, 13))
    assert [event.value for event in found] == pytest.approx([line["train/loss"] for line in lines])
    assert events.Scalars("valid/loss")


def test_a_tracker_that_is_not_installed_is_done_without(tmp_path, monkeypatch, capsys):
    import importlib.util

    there = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None if name == "trackio" else there(name, *a))
    train(mlp(tracker="trackio", steps=2), run_dir=tmp_path, quiet=True)
    assert "trackio is not installed" in capsys.readouterr().err
    assert len(log(tmp_path)) == 3 and not list(tmp_path.rglob("events*"))


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("steps=1_000", ("steps", 1_000)),
        ("lr=3e-4", ("lr", 3e-4)),
        ("lr=1", ("lr", 1.0)),
        ("schedule=constant", ("schedule", "constant")),
        ("clip=0", ("clip", 0.0)),
        ("config.widths=8,16", ("widths", (8, 16))),
        ("config.widths=8", ("widths", (8,))),
        ("config.attention=", ("attention", ())),
        ("config.prediction=noise", ("prediction", "noise")),
        ("config.dropout=0.5", ("dropout", 0.5)),
    ],
)
def test_settings_have_the_type_of_their_field(setting, expected):
    recipe = override(DDPM_DIGITS, [setting])
    key, value = expected
    found = getattr(recipe.config if setting.startswith("config.") else recipe, key)
    assert found == value and type(found) is type(value)
    assert recipe.overrides == (setting,) and override(recipe, ["seed=1"]).overrides == (setting, "seed=1")
    assert override(recipe, ["seed=1", "seed=2"]).overrides == (setting, "seed=2"), "the last counts"


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("config.squash=TRUE", True),
        ("config.squash=false", False),
        ("config.image=3,4", (3, 4)),
        ("config.note=none", None),
        ("config.note=a=b", "a=b"),
        ("config.scale=-2", -2.0),
        ("config.activation=tanh", "tanh"),
    ],
)
def test_settings_of_every_kind_of_field(setting, expected):
    recipe = override(mlp(model=Tiny, config=TinyConfig(width=3)), [setting])
    assert getattr(recipe.config, setting.split("=")[0][7:]) == expected


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("steps", "key=value"),
        ("=3", "there is no ''"),
        ("stps=3", "did you mean 'steps'?"),
        ("config.width=8", "did you mean 'config.widths'?"),
        ("zzz=1", "There are steps, batch_size"),
        ("name=x", "there is no 'name'"),
        ("overrides=x", "there is no 'overrides'"),
        ("published=true", "there is no 'published'"),
        ("steps=many", "expected int"),
        ("steps=1.5", "expected int"),
        ("steps=", "expected int"),
        ("steps=0", "steps is a whole number, positive, not 0"),
        ("steps=-3", "steps is a whole number, positive, not -3"),
        ("lr=fast", "expected float"),
        ("lr=nan", "expected a finite number"),
        ("lr=inf", "expected a finite number"),
        ("lr=-1e-3", "lr is a finite number, positive"),
        ("clip=-1", "clip is a finite number, not negative"),
        ("ema=1", r"ema lies in \[0, 1\)"),
        ("seed=4294967296", "seed lies below"),
        ("schedule=linear", "expected one of cosine, constant"),
        ("precision=fp16", "expected one of fp32, bf16"),
        ("config.widths=8,x", "expected int"),
        ("config.widths=9", "multiples of 8"),
        ("config.prediction=x", "expected one of noise, v"),
        ("config.dropout=2", r"lie in \[0, 1\)"),
    ],
)
def test_settings_that_are_none(setting, says):
    with pytest.raises(GenlabError, match=says):
        override(DDPM_DIGITS, [setting])


@pytest.mark.parametrize("setting", ["config.squash=1", "config.squash=", "config.image=3", "config.image=3,4,5"])
def test_settings_of_a_config_that_are_none(setting):
    with pytest.raises(GenlabError, match="expected"):
        override(mlp(model=Tiny, config=TinyConfig(width=3)), [setting])


@given(st.floats(min_value=1e-300, max_value=1e300), st.integers(1, 10**9))
def test_settings_come_back_as_they_were_written(lr, steps):
    recipe = override(DDPM_DIGITS, [f"lr={lr!r}", f"steps={steps}"])
    assert (recipe.lr, recipe.steps) == (lr, steps)


@pytest.mark.parametrize(
    "settings",
    [{"steps": 0}, {"steps": 1e3}, {"lr": math.nan}, {"schedule": "linear"}, {"seed": -1}, {"shards": 5_000}],
)
def test_recipes_of_nonsense_cannot_be_written(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        dataclasses.replace(mlp(), **settings)


def test_checkpoints_hold_no_pickle(whole):
    """One safetensors file: weights, their average, the optimiser's moments, and where it stood."""
    with safe_open(whole[0] / checkpoints(whole[0])[-1], framework="pt") as opened:
        assert opened.metadata()["step"] == "40"
        kinds = {key.split("/")[0] for key in opened.keys()}  # noqa: SIM118 (not a dict)
    assert kinds == {"model", "average", "optimizer"}


def test_a_strangers_file_is_no_checkpoint(tmp_path):
    for told, words in (
        (None, "is damaged .it is no checkpoint of genlab"),
        ({"step": "abc", "seconds": "0"}, "is damaged .invalid literal"),
        ({"step": "1", "seconds": "0"}, "does not fit this recipe"),
    ):
        save_file({"model/x": torch.zeros(1)}, tmp_path / "checkpoint-000000001.safetensors", metadata=told)
        with pytest.raises(TrainError, match=words):
            train(mlp(), run_dir=tmp_path, resume=True, quiet=True)


# -- fitted in one piece ----------------------------------------------------------------------------------------------


def fitted(recipe):
    """The 'fit' of a recipe that needs no steps."""
    return MLP(recipe.config)


def test_a_recipe_may_fit_without_steps(tmp_path):
    recipe = Recipe(name="fitted", summary="", model=MLP, config=MLPConfig(widths=(4,)), fit=fitted, seed=3)
    folder = train(recipe, run_dir=tmp_path / "run", quiet=True)
    record = json.loads((folder / "metrics.json").read_text())["training"]
    assert record["recipe"] == "fitted" and record["command"] == "genlab train fitted" and "steps" not in record
    torch.manual_seed(3)
    same = MLP(recipe.config).state_dict()
    assert all(torch.equal(value, same[key]) for key, value in from_pretrained(folder).state_dict().items())
    with pytest.raises(TrainError, match="fitted in one piece"):
        train(recipe, run_dir=tmp_path / "run", resume=True, quiet=True)
    with pytest.raises(TrainError, match="steps=5 would do nothing"):
        train(override(recipe, ["steps=5"]), run_dir=tmp_path / "run", quiet=True)


def test_a_recipe_trains_on_data_or_fits():
    with pytest.raises(ValueError, match="data to train on, or a fit"):
        Recipe(name="neither", summary="", model=MLP, config=MLPConfig())
