"""Recipe, and the one training loop (on Hugging Face accelerate).

Everything random in step k, the examples of its batch, the noise in its loss, is a function of (seed, k): so a resumed
run needs no random state and goes on bit for bit. The global batch is cut into `shards`, each with a random stream of
its own, which the processes share out: two processes see the losses that one sees at the same number of shards.
"""

import contextlib
import copy
import dataclasses
import functools
import json
import math
import os
import shlex
import signal
import sys
import time
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from genlab import settings
from genlab.checkpoint import Checkpoints, alone
from genlab.core import Model, from_pretrained
from genlab.facts import commit, hardware
from genlab.names import METRICS, GenlabError, TrainError, require, resolve
from genlab.report import Report

Batch = dict[str, Tensor]
# of a recipe's settings, those that a run may go on with otherwise than it began, and that tell in its weights
FREE = ("steps", "lr", "schedule", "warmup", "weight_decay", "clip", "ema", "precision")
MAY_BE_ZERO = ("warmup", "weight_decay", "clip", "ema", "seed")  # of a recipe's numbers


@dataclass(frozen=True)
class Objective:
    """A named loss, the parameters it moves, and those of them that weight decay shrinks (None: all). One for most
    models; a GAN has two."""

    name: str = "loss"
    loss: Callable[[Model, Batch], tuple[Tensor, dict[str, float]]] = lambda model, batch: model.loss(batch)
    parameters: Callable[[Model], Iterable[nn.Parameter]] = lambda model: model.parameters()
    decays: Callable[[Model], Iterable[nn.Parameter]] | None = None

    def optimizer(self, model: Model, lr: float, weight_decay: float) -> torch.optim.AdamW:
        """Raises ValueError where there is nothing to move."""
        moved = list(self.parameters(model))
        shrunk = {id(p) for p in (moved if self.decays is None else self.decays(model))}
        groups = [
            {"params": [p for p in moved if id(p) in shrunk], "weight_decay": weight_decay},
            {"params": [p for p in moved if id(p) not in shrunk], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr)


@dataclass(frozen=True)
class Recipe:
    """How one pretrained model came to be. Numbers and choices can be overridden (`--set steps=100`), the rest is code.

    steps: optimiser steps. batch_size: examples a step, over all shards and processes. clip: the gradient's norm is
    limited to it (0: never). ema: decay of the moving average of the weights, which is what gets validated and saved
    (0: none). precision: 'bf16' computes in bfloat16 under autocast, weights stay float32. fit: for what is learned
    without steps, by a closed form or a solver: it makes the finished model, given the recipe. Raises ValueError.
    """

    name: str
    summary: str
    model: type[Model]
    config: Any
    data: Callable[[], dict[str, Batch]] | None = None
    fit: Callable[["Recipe"], Model] | None = None
    steps: int = 1
    batch_size: int = 128
    lr: float = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: int = 100
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.0
    precision: Literal["fp32", "bf16"] = "fp32"
    shards: int = 1
    seed: int = 0
    log_every: int = 50
    validate_every: int = 1_000
    checkpoint_every: int = 500
    tracker: Literal["tensorboard", "trackio", "none"] = "tensorboard"
    objectives: tuple[Objective, ...] = (Objective(),)
    augment: Callable[[Batch], Batch] | None = None
    # sets in place what training begins with: an output's bias by the data, another model's weights; idle with --init
    start: Callable[[Model, Batch], None] | None = None
    hooks: tuple[Callable[[Model, int], None], ...] = ()  # after each step: target networks, densification, ...
    # pictures in [0, 1], saved at each validation: (N, C, H, W), or (rows, columns, C, H, W)
    preview: Callable[[Model], Tensor] | None = None
    overrides: tuple[str, ...] = ()  # the settings that `override` applied: part of the command that reproduces a run
    # what `genlab evaluate` and the card need
    published: bool = True  # its weights come with genlab, in model_cards/
    evaluate: Callable[..., Iterator] | None = None  # yields genlab.evaluate.Job
    golden: Callable[[Model], dict[str, Tensor]] | None = None  # inputs and outputs that a later version must reproduce
    samples: Callable[[Model], Tensor] | None = None  # the card's pictures, as in preview
    dataset: str = ""  # its id on the Hub
    source: str = ""  # or where data without a copy there are from
    licence: str = "apache-2.0"
    intended_use: str = ""
    limits: str = ""
    snippet: str = ""

    def __post_init__(self):
        for key, hint in _knobs().items():
            value, choices, zero = getattr(self, key), typing.get_args(hint), key in MAY_BE_ZERO
            if choices and value not in choices:
                raise ValueError(f"{key} is one of {', '.join(choices)}, not {value!r}")
            if not choices and not (isinstance(value, int | hint) and (0 < value < math.inf or zero and value == 0)):
                kind = "whole" if hint is int else "finite"
                raise ValueError(f"{key} is a {kind} number, {'not negative' if zero else 'positive'}, not {value!r}")
        if (self.data is None) == (self.fit is None):
            raise ValueError("a recipe has data to train on, or a fit that needs no steps")
        if self.fit and self.start:
            raise ValueError("a fit begins where it likes: start is for what is trained in steps")
        if self.ema >= 1:
            raise ValueError(f"ema lies in [0, 1), not {self.ema}")
        if self.seed >= 2**32 or self.shards > 4_096:
            raise ValueError("seed lies below 2^32 and shards up to 4096: each shard of a step has a random stream")


def _knobs() -> dict[str, Any]:
    """The settings of a recipe that are numbers or choices, with their types."""
    hints = {field.name: field.type for field in dataclasses.fields(Recipe)}
    return {key: hint for key, hint in hints.items() if hint in (int, float) or typing.get_origin(hint) is Literal}


def override(recipe: Recipe, changes: list[str]) -> Recipe:
    """The recipe with `key=value` settings applied, each of its field's type; `config.key=value` reaches the model's.

    Raises GenlabError for an unknown key or a value that is none.
    """
    hints = typing.get_type_hints(type(recipe.config))
    values = settings.read(changes, _knobs() | {f"config.{key}": hint for key, hint in hints.items()})
    config = {key.removeprefix("config."): values.pop(key) for key in list(values) if key.startswith("config.")}
    try:
        config = dataclasses.replace(recipe.config, **config)
        last = {change.partition("=")[0]: change for change in (*recipe.overrides, *changes)}  # of a key said twice
        return dataclasses.replace(recipe, **values, config=config, overrides=tuple(last.values()))
    except ValueError as error:
        raise GenlabError(f"--set {' '.join(changes)}: {error}") from error


# -- the loop --------------------------------------------------------------------------------------------------------


def train(
    recipe: Recipe,
    *,
    run_dir: str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    init: str | None = None,
    quiet: bool = False,
) -> Path:
    """Train by the recipe; the folder of the finished model (its moving average, if there is one).

    run_dir (default runs/NAME) holds checkpoints, logs and pictures; out (default run_dir/model) the result. resume
    goes on from the last checkpoint. init starts from a pretrained model. Raises TrainError, GenlabError.
    """
    run = Path(run_dir or Path("runs") / recipe.name)
    if recipe.fit:
        return _fit(recipe, Path(out or run / "model"), resume or init is not None, quiet)
    accelerator = _accelerator(recipe, run)
    shards, world = max(recipe.shards, accelerator.num_processes), accelerator.num_processes
    if shards % world or recipe.batch_size % shards:
        raise TrainError(
            f"batch_size {recipe.batch_size} must divide into {shards} shards, and those among {world} processes: "
            "set batch_size and shards to multiples of the number of processes"
        )
    torch.manual_seed(recipe.seed)
    try:
        model = recipe.model(recipe.config) if init is None else _initial(recipe, init)
    except ValueError as error:  # parts that a config names and that do not fit
        raise TrainError(f"{recipe.name}: {error}") from error
    with contextlib.ExitStack() as held:
        try:
            free = not accelerator.is_main_process or held.enter_context(alone(run))
        except OSError as error:
            raise TrainError(f"{run} cannot be written to: {error}. Choose another --run-dir.") from error
        if _any(not free, accelerator):
            raise TrainError(f"another training is at work in {run}: wait for its end, or choose another --run-dir")
        return _train(recipe, model, accelerator, shards, run, Path(out or run / "model"), resume, init, quiet)


def _train(
    recipe: Recipe,
    model: Model,
    accelerator,
    shards: int,
    run: Path,
    folder: Path,
    resume: bool,
    init: str | None,
    quiet: bool,
) -> Path:
    world, main, device = accelerator.num_processes, accelerator.is_main_process, accelerator.device
    mine = range(accelerator.process_index * shards // world, (accelerator.process_index + 1) * shards // world)
    model = model.train().to(device=device, dtype=torch.float32, memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval().requires_grad_(False) if recipe.ema else model
    optimizers = {o.name: o.optimizer(model, recipe.lr, recipe.weight_decay) for o in recipe.objectives}
    modules = {"model": model} | ({"average": average} if recipe.ema else {})
    same = {"seed": recipe.seed, "batch_size": recipe.batch_size, "shards": shards, "config": recipe.config}
    checkpoints = Checkpoints(run, modules, optimizers, same, {key: getattr(recipe, key) for key in FREE})
    checkpoints.init = init
    if not resume and checkpoints.files():
        raise TrainError(f"{run} holds checkpoints already: go on with --resume, or choose another --run-dir")
    first, seconds = checkpoints.load() if resume else (0, 0.0)
    if first > recipe.steps:
        raise TrainError(f"{checkpoints.last} is beyond steps={recipe.steps}: set more, or choose another --run-dir")
    if resume and not first and main and not quiet:
        print(f"no checkpoint in {run} yet: starting at step 0", file=sys.stderr)

    splits = recipe.data()
    _check_data(recipe, splits)
    data = {key: value.to(device) for key, value in splits["train"].items()}
    count = len(next(iter(data.values())))
    if recipe.start and not first and init is None:
        with torch.no_grad():  # on the CPU, where the same seed draws the same whatever trains
            recipe.start(model.cpu(), splits["train"])
        model.to(device)
        if recipe.ema:
            average.load_state_dict(model.state_dict())
    trainee = accelerator.prepare(_Trainee(model, recipe))

    def differentiate(objective: Objective, step: int) -> dict[str, float]:
        """Gradients of the mean loss over the shards; the log, of all processes."""
        index = batch_index(recipe.seed, step, recipe.batch_size, count).to(device).chunk(shards)
        logs: dict[str, float] = {}
        for shard in mine:
            torch.manual_seed(stream(recipe.seed, step, shard))
            batch = batch_at(data, index[shard], recipe.augment)
            # gradients are exchanged once a step, with the last shard
            with accelerator.no_sync(trainee) if shard != mine[-1] else contextlib.nullcontext():
                loss, parts = trainee(batch, objective.name)
                accelerator.backward(loss / len(mine))
            for key, value in {**parts, objective.name: loss.item()}.items():
                logs[key] = logs.get(key, 0.0) + value / len(mine)
        return _mean(logs, accelerator)

    def due(done: int, every: int) -> bool:
        return done % every == 0 or done == recipe.steps

    began = time.perf_counter() - seconds
    with _Signals() as signals, Report(recipe, run, accelerator, first, quiet) as report:
        for step in range(first, recipe.steps):
            rate = learning_rate(recipe, step)
            logs: dict[str, float] = {}
            for objective in recipe.objectives:
                optimizer = optimizers[objective.name]
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.zero_grad(set_to_none=True)
                logs |= differentiate(objective, step)
                norm = logs[f"grad_norm/{objective.name}"] = clip_gradient(objective.parameters(model), recipe.clip)
                if not math.isfinite(logs[objective.name]) or not math.isfinite(norm):
                    checkpoints.reject(step)
                    raise TrainError(
                        f"{objective.name} is {logs[objective.name]} at step {step}, its gradient's norm {norm}. "
                        f"{checkpoints} Go on with --resume and a lower lr, or a smaller clip."
                    )
                optimizer.step()
            if recipe.ema:
                update_average(average, model, min(recipe.ema, (1 + step) / (10 + step)))
            for hook in recipe.hooks:
                hook(model, step)

            done = step + 1
            try:
                report.advance()
                if due(done, recipe.log_every):
                    report(done, {f"train/{key}": value for key, value in logs.items()} | {"train/lr": rate})
                if main and due(done, recipe.validate_every):
                    average.eval()
                    if "valid" in splits:
                        found = validate(recipe, average, splits["valid"])
                        report(done, {f"valid/{key}": value for key, value in found.items()})
                    if recipe.preview:
                        report.picture(done, recipe.preview(average))
                    model.train()
            except OSError as error:
                raise TrainError(f"{error}. {checkpoints} Mend that, then go on with --resume.") from error
            stop = _any(signals.received, accelerator)
            if main and (stop or due(done, recipe.checkpoint_every)):
                checkpoints.save(done, time.perf_counter() - began)
            if stop and done < recipe.steps:
                raise Stopped(stop, f"stopped at step {done}. {checkpoints} Go on with --resume.")

    if main:
        seconds = time.perf_counter() - began
        record = _record(recipe, checkpoints.init, accelerator, seconds) | _legs(checkpoints.legs)
        record["final"] = {k: round(v, 6) for k, v in report.last.items()}
        try:
            average.save_pretrained(folder)
            (folder / METRICS).write_text(json.dumps({"training": record, "metrics": []}, indent=2) + "\n")
        except (GenlabError, OSError) as error:
            raise TrainError(f"{error} The training is done: --resume only saves the model again.") from error
        if not quiet:
            print(f"{recipe.name}: {recipe.steps} steps in {seconds:.0f} s; saved in {folder}")
    return folder


def _fit(recipe: Recipe, folder: Path, going_on: bool, quiet: bool) -> Path:
    """The model that a recipe's own `fit` makes, saved with the record of how."""
    if going_on:
        raise TrainError(f"{recipe.name} is fitted in one piece: leave --resume and --init out")
    idle = [change for change in recipe.overrides if not change.startswith(("seed=", "config."))]
    if idle:
        raise TrainError(f"{recipe.name} is fitted without steps, {' '.join(idle)} would do nothing: leave it out")
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise TrainError(f"{recipe.name} is fitted by one process: run it without accelerate launch")
    began = time.perf_counter()
    torch.manual_seed(recipe.seed)
    model = recipe.fit(recipe).eval()
    seconds, name = time.perf_counter() - began, recipe.name.replace("-", "_")
    changes = ["--set", *recipe.overrides] if recipe.overrides else []
    record = {
        "recipe": name,
        "seconds": round(seconds),
        "hardware": hardware(model.device),
        "commit": commit(),
        "command": shlex.join(["genlab", "train", name, *changes]),
    }
    try:
        model.save_pretrained(folder)
        (folder / METRICS).write_text(json.dumps({"training": record, "metrics": []}, indent=2) + "\n")
    except (GenlabError, OSError) as error:
        raise TrainError(f"{error} Mend that, and fit again.") from error
    if not quiet:
        print(f"{recipe.name}: fitted in {seconds:.0f} s; saved in {folder}")
    return folder


class Stopped(TrainError):
    """Training was asked to stop, by Ctrl-C or SIGTERM, and did so with a checkpoint. `signal` is which."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.signal = number


def learning_rate(recipe: Recipe, step: int) -> float:
    """A linear warm-up, then constant, or half a cosine down to a hundredth."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup))
    if recipe.schedule == "constant":
        return recipe.lr * warm
    return recipe.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / recipe.steps)))


def stream(seed: int, step: int, shard: int) -> int:
    """The seed of everything random in one shard of one step."""
    return (seed * 1_000_003 + step) * 4_099 + shard


def batch_index(seed: int, step: int, batch_size: int, count: int) -> Tensor:
    """Which examples step `step` sees: consecutive pieces of one shuffled epoch after the other."""
    wanted = torch.arange(step * batch_size, (step + 1) * batch_size)
    epochs = wanted // count
    index = torch.empty_like(wanted)
    for epoch in epochs.unique().tolist():
        here = epochs == epoch
        index[here] = _order(seed, epoch, count)[wanted[here] % count]
    return index


@functools.lru_cache(maxsize=2)  # a step sees the end of one epoch and the start of the next
def _order(seed: int, epoch: int, count: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(stream(seed, epoch, 4_098)))


def batch_at(data: Batch, index: Tensor, augment: Callable[[Batch], Batch] | None = None) -> Batch:
    """The chosen examples; bytes become floats in [0, 1]."""
    batch = {key: value[index] for key, value in data.items()}
    batch = {key: value.float() / 255 if value.dtype == torch.uint8 else value for key, value in batch.items()}
    return augment(batch) if augment else batch


@torch.no_grad()
def clip_gradient(parameters: Iterable[nn.Parameter], k: float) -> float:
    """g <- g if ||g|| <= k, else (k / ||g||) g, of all gradients as one vector. Returns ||g||; k = 0 never clips."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if k and norm > k:
        torch._foreach_mul_(gradients, k / norm)
    return norm.item()


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """theta_avg <- decay theta_avg + (1 - decay) theta; buffers are copied."""
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in model.parameters()], 1 - decay)
    for kept, current in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(current)


@torch.no_grad()
def validate(recipe: Recipe, model: Model, data: Batch, batch_size: int = 500) -> dict[str, float]:
    """Mean loss and log over the validation set, the same random draws every time; the training stream is untouched."""
    was_training = model.training
    model.eval()
    sums: dict[str, float] = {}
    count = len(next(iter(data.values())))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        for index in torch.arange(count).split(batch_size):
            batch = {key: value.to(model.device) for key, value in batch_at(data, index).items()}
            for objective in recipe.objectives:
                loss, parts = objective.loss(model, batch)
                for key, value in {**parts, objective.name: loss.item()}.items():
                    sums[key] = sums.get(key, 0.0) + value * len(index) / count
    model.train(was_training)
    return sums


# -- around the loop -------------------------------------------------------------------------------------------------


class _Trainee(nn.Module):
    """The model behind one `forward`, which is what accelerate wraps: `forward(batch, objective) -> loss, log`."""

    def __init__(self, model: Model, recipe: Recipe):
        super().__init__()
        self.model = model
        self.losses = {objective.name: objective.loss for objective in recipe.objectives}
        self.bf16 = recipe.precision == "bf16"

    def forward(self, batch: Batch, name: str) -> tuple[Tensor, dict[str, float]]:
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.bf16):
            loss, parts = self.losses[name](self.model, batch)
        return loss.float(), parts


class _Signals:
    """Notes Ctrl-C and SIGTERM so that the step in hand is finished and saved; a second one ends at once."""

    def __enter__(self) -> "_Signals":
        self.received = 0
        self.before = {}
        with contextlib.suppress(ValueError):  # not the main thread: signals are not ours to handle
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame) -> None:
        self.received = number
        self.__exit__()

    def __exit__(self, *exception) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def _accelerator(recipe: Recipe, run: Path):
    """accelerate's view of the processes: on a machine without an accelerator they meet on the CPU."""
    from importlib.util import find_spec

    accelerate = require("accelerate", extra="train")
    tracker = recipe.tracker if recipe.tracker != "none" and find_spec(recipe.tracker) else None
    accelerator = accelerate.Accelerator(
        cpu=not torch.accelerator.is_available(),
        log_with=tracker,
        project_dir=str(run.resolve().parent),  # and the run's name below it: tensorboard's files lie in the run
    )
    if accelerator.is_main_process and tracker is None and recipe.tracker != "none":
        print(f"{recipe.tracker} is not installed: numbers go to {run / 'log.jsonl'} alone", file=sys.stderr)
    if "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ:  # accelerate launch without any GPU
        print(
            "accelerate launch starts one process on a CPU, whatever --num_processes says. For two: "
            "accelerate launch --multi_gpu --num_processes 2 ..., which takes CPUs where there are no GPUs",
            file=sys.stderr,
        )
    return accelerator


def _mean(values: dict[str, float], accelerator) -> dict[str, float]:
    """The mean over the processes."""
    if accelerator.num_processes == 1:
        return values
    every = torch.tensor(list(values.values()), device=accelerator.device)
    return dict(zip(values, accelerator.reduce(every, reduction="mean").tolist(), strict=True))


def _any(number: int, accelerator) -> int:
    """The largest of the processes' numbers: a signal may reach only one of them."""
    if accelerator.num_processes == 1:
        return number
    return int(accelerator.gather(torch.tensor([number], device=accelerator.device)).max())


def _record(recipe: Recipe, init: str | None, accelerator, seconds: float) -> dict[str, Any]:
    """What the card says of the training. The command is the one that reproduces it: being interrupted and resumed
    makes no difference."""
    world, name = accelerator.num_processes, recipe.name.replace("-", "_")
    device = hardware(accelerator.device)
    several = ["accelerate", "launch", "--multi_gpu", "--num_processes", str(world), "-m", "genlab.cli"]
    changes = (["--set", *recipe.overrides] if recipe.overrides else []) + (["--init", init] if init else [])
    before = _commands(init) if init else []
    return ({"earlier": before} if before else {}) | {
        "recipe": name,
        "init": init,
        "steps": recipe.steps,
        "batch_size": recipe.batch_size,
        "seconds": round(seconds),
        "examples_per_s": round(recipe.steps * recipe.batch_size / seconds, 1),
        "hardware": f"{world} x {device}" if world > 1 else device,
        "commit": commit(),
        "command": shlex.join([*(several if world > 1 else ["genlab"]), "train", name, *changes]),
    }


def _commands(init: str) -> list[str]:
    """The commands that made the weights which a training began with, the first first; none where nobody noted them."""
    try:
        training = json.loads((Path(resolve(init)) / METRICS).read_text(encoding="utf-8"))["training"]
        return [*training.get("earlier", ()), training["command"]]
    except (GenlabError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _legs(legs: list[dict[str, Any]]) -> dict[str, Any]:
    """Where a run went on otherwise than it began: {"legs": the settings that changed, from which step on}, else {}."""
    if len(legs) == 1:
        return {}
    sets = [leg["set"] or {} for leg in legs]  # null where the checkpoint of an older genlab does not say
    changed = [key for key in FREE if any(one.get(key) != sets[0].get(key) for one in sets)]
    return {"legs": [leg | {"set": leg["set"] and {key: leg["set"].get(key) for key in changed}} for leg in legs]}


def _check_data(recipe: Recipe, splits: dict[str, Batch]) -> None:
    """Raise TrainError where data and settings do not go together: torch would say so late, or in riddles."""
    count, classes = len(next(iter(splits["train"].values()))), getattr(recipe.config, "classes", None)
    if recipe.batch_size > count:
        raise TrainError(
            f"batch_size {recipe.batch_size} is more than the {count} examples there are to train on: set it lower"
        )
    for split, data in splits.items():
        if classes is not None and "label" in data and not 0 <= data["label"].min() <= data["label"].max() < classes:
            low, high = data["label"].min().item(), data["label"].max().item()
            raise TrainError(
                f"labels of {split} lie in {low}..{high}, which config.classes={classes} cannot tell apart: "
                f"set config.classes={high + 1} or more"
            )


def _initial(recipe: Recipe, init: str) -> Model:
    model = from_pretrained(init, dtype=torch.float32)
    if type(model) is not recipe.model or model.config != recipe.config:
        raise TrainError(
            f"--init {init} is a {type(model).__name__} of {model.config}; the recipe trains {recipe.config}"
        )
    return model
