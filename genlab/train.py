"""Recipe, and the one training loop (on Hugging Face accelerate).

Everything random in step k, the examples of its batch, the noise in its loss, is a function of (seed, k): so a resumed
run needs no random state and goes on bit for bit. The global batch is cut into `shards`, each with a random stream of
its own, which the processes share out: two processes see the losses that one sees at the same number of shards.
"""

import contextlib
import copy
import dataclasses
import json
import math
import os
import shlex
import signal
import sys
import time
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from genlab.core import Model, from_pretrained
from genlab.facts import commit, hardware
from genlab.names import METRICS, GenlabError, TrainError, require

KEEP = 2  # checkpoints on disk: the last, and the one before it in case the last was written to a dying disk

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Objective:
    """A named loss and the parameters it moves. One for most models; a GAN has two."""

    name: str = "loss"
    loss: Callable[[Model, Batch], tuple[Tensor, dict[str, float]]] = lambda model, batch: model.loss(batch)
    parameters: Callable[[Model], Any] = lambda model: model.parameters()


@dataclass(frozen=True)
class Recipe:
    """How one pretrained model came to be. Numbers and strings can be overridden (`--set steps=100`), the rest is code.

    steps: optimiser steps. batch_size: examples a step, over all shards and processes. clip: the gradient's norm is
    limited to it (0: never). ema: decay of the moving average of the weights, which is what gets validated and saved
    (0: none). precision: 'bf16' computes in bfloat16 under autocast, weights stay float32.
    """

    name: str
    summary: str
    model: type[Model]
    config: Any
    data: Callable[[], dict[str, Batch]]
    steps: int
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
    hooks: tuple[Callable[[Model, int], None], ...] = ()  # after each step: target networks, densification, ...
    preview: Callable[[Model], Tensor] | None = None  # pictures (N, C, H, W) in [0, 1], saved at each validation
    # what `genlab evaluate` and the card need
    evaluate: Callable[..., Iterator] | None = None  # yields genlab.metrics.Metric
    golden: Callable[[Model], dict[str, Tensor]] | None = None  # inputs and outputs that a later version must reproduce
    samples: Callable[[Model], Tensor] | None = None  # the card's pictures
    dataset: str = ""  # its id on the Hub
    licence: str = "apache-2.0"
    intended_use: str = ""
    limits: str = ""
    snippet: str = ""


def override(recipe: Recipe, settings: list[str]) -> Recipe:
    """The recipe with `key=value` settings applied, each of its field's type; `config.key=value` reaches the model's.

    Raises GenlabError for an unknown key or a value of the wrong type.
    """
    changes: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise GenlabError(f"--set takes key=value, not {setting!r}")
        if key.startswith("config."):
            config[key[7:]] = _typed(key, text, _settable(type(recipe.config)).get(key[7:]))
        else:
            changes[key] = _typed(key, text, _settable(Recipe).get(key), known=list(_settable(Recipe)))
    try:
        changed = dataclasses.replace(recipe, **changes)
        return dataclasses.replace(changed, config=dataclasses.replace(recipe.config, **config)) if config else changed
    except ValueError as error:
        raise GenlabError(f"--set: {error}") from error


def _settable(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    card = ("name", "summary", "dataset", "licence", "intended_use", "limits", "snippet")
    return {
        key: hint
        for key, hint in hints.items()
        if key not in card and (hint in (int, float, str, bool) or typing.get_origin(hint) in (Literal, tuple))
        if key not in ("objectives", "hooks")
    }


def _typed(key: str, text: str, hint, known: list[str] = ()) -> Any:
    try:
        if hint is None:
            raise GenlabError(f"--set {key}: no such setting" + (f". There are {', '.join(known)}" if known else ""))
        if typing.get_origin(hint) is Literal:
            if text not in typing.get_args(hint):
                raise ValueError(f"one of {', '.join(typing.get_args(hint))}")
            return text
        if typing.get_origin(hint) is tuple:
            return tuple(typing.get_args(hint)[0](part) for part in text.split(",") if part)
        if hint is bool:
            return {"true": True, "false": False}[text.lower()]
        value = hint(text)
        if hint in (int, float) and not (math.isfinite(value) and value >= 0):
            raise ValueError("a finite number, not negative")
        return value
    except (ValueError, KeyError) as error:
        wanted = getattr(hint, "__name__", str(hint))
        raise GenlabError(f"--set {key}={text}: expected {wanted} ({error})") from error


# -- the loop --------------------------------------------------------------------------------------------------------


class _Trainee(nn.Module):
    """The model behind one `forward`, which is what accelerate wraps: `forward(batch, objective) -> loss, log`."""

    def __init__(self, model: Model, objectives: tuple[Objective, ...]):
        super().__init__()
        self.model = model
        self.losses = {objective.name: objective.loss for objective in objectives}

    def forward(self, batch: Batch, name: str) -> tuple[Tensor, dict[str, float]]:
        return self.losses[name](self.model, batch)


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
    accelerate = require("accelerate", extra="train")
    run = Path(run_dir or Path("runs") / recipe.name)
    _check(recipe)
    tracker = _tracker(recipe.tracker)
    accelerator = accelerate.Accelerator(
        mixed_precision="no" if recipe.precision == "fp32" else recipe.precision,
        log_with=tracker,
        project_dir=str(run),
    )
    world, main = accelerator.num_processes, accelerator.is_main_process
    shards = max(recipe.shards, world)
    if shards % world or recipe.batch_size % shards:
        raise TrainError(
            f"batch_size {recipe.batch_size} must divide into {shards} shards, and those among {world} processes: "
            "set batch_size and shards to multiples of the number of processes"
        )
    if main:
        run.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(recipe.seed)
    model = recipe.model(recipe.config)
    if init is not None:
        model = _initial(recipe, init)
    model = model.train().to(device=accelerator.device, dtype=torch.float32, memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval().requires_grad_(False) if recipe.ema else model
    optimizers = {
        o.name: torch.optim.AdamW(list(o.parameters(model)), lr=recipe.lr, weight_decay=recipe.weight_decay)
        for o in recipe.objectives
    }
    state = _State(model, average if recipe.ema else None, optimizers)
    start, seconds = 0, 0.0
    checkpoint = latest_checkpoint(run)
    if resume and checkpoint:
        start, seconds = state.load(checkpoint, recipe)
    elif resume and main and not quiet:
        print(f"no checkpoint in {run} yet: starting at step 0")
    elif checkpoint and not resume:
        raise TrainError(
            f"{run} holds the checkpoint {checkpoint.name}: go on with --resume, or choose another --run-dir"
        )

    trainee = accelerator.prepare(_Trainee(model, recipe.objectives))
    optimizers = {name: accelerator.prepare(optimizer) for name, optimizer in optimizers.items()}
    splits = recipe.data()
    data = {key: value.to(accelerator.device) for key, value in splits["train"].items()}
    count = len(next(iter(data.values())))
    if tracker:
        accelerator.init_trackers(recipe.name)
    log = _Log(run, accelerator, quiet)
    bar = require("tqdm", extra="train").tqdm(
        total=recipe.steps * recipe.batch_size,
        initial=start * recipe.batch_size,
        unit=" examples",
        unit_scale=True,
        dynamic_ncols=True,
        disable=quiet or not main,
        desc=recipe.name,
    )
    began = time.perf_counter() - seconds
    mine = range(accelerator.process_index * shards // world, (accelerator.process_index + 1) * shards // world)
    last_good = checkpoint if resume else None

    def save(step: int) -> Path | None:
        if not main:
            return None
        return state.save(run, step, time.perf_counter() - began, recipe)

    with _Signals() as signals, bar:
        for step in range(start, recipe.steps):
            rate = learning_rate(recipe, step)
            index = batch_index(recipe.seed, step, recipe.batch_size, count).to(accelerator.device)
            logs: dict[str, float] = {}
            for objective in recipe.objectives:
                optimizer = optimizers[objective.name]
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.zero_grad(set_to_none=True)
                total = torch.zeros((), device=accelerator.device)
                for shard in mine:
                    torch.manual_seed(stream(recipe.seed, step, shard))
                    batch = batch_at(data, index.chunk(shards)[shard], recipe.augment)
                    # gradients are exchanged once a step, with the last shard
                    wait = accelerator.no_sync(trainee) if shard != mine[-1] else contextlib.nullcontext()
                    with wait:
                        loss, parts = trainee(batch, objective.name)
                        accelerator.backward(loss / len(mine))
                    total += loss.detach().float() / len(mine)
                    for key, value in parts.items():
                        logs[key] = logs.get(key, 0.0) + value / len(mine)
                total = accelerator.reduce(total, reduction="mean")
                logs[objective.name] = total.item()
                if not math.isfinite(logs[objective.name]):
                    good = f"the last good checkpoint is {last_good}" if last_good else "there is no checkpoint yet"
                    raise TrainError(
                        f"{objective.name} is {logs[objective.name]} at step {step}: {good}. Go on from it with "
                        "--resume and a lower lr, or a smaller clip."
                    )
                if recipe.clip:
                    norm = accelerator.clip_grad_norm_(objective.parameters(model), recipe.clip)
                    logs[f"grad_norm/{objective.name}"] = float(norm)
                optimizer.step()
            if recipe.ema:
                update_average(average, model, min(recipe.ema, (1 + step) / (10 + step)))
            for hook in recipe.hooks:
                hook(model, step)

            done = step + 1
            bar.update(recipe.batch_size)
            if done % recipe.log_every == 0 or done == recipe.steps:
                bar.set_postfix({o.name: f"{logs[o.name]:.4f}" for o in recipe.objectives}, refresh=False)
                log(done, {f"train/{key}": value for key, value in logs.items()} | {"train/lr": rate})
            if main and "valid" in splits and (done % recipe.validate_every == 0 or done == recipe.steps):
                log(done, {f"valid/{key}": value for key, value in validate(recipe, average, splits["valid"]).items()})
                if recipe.preview:
                    log.picture(done, recipe.preview(average))
            stop = signals.received
            if world > 1:
                stop = int(accelerator.reduce(torch.tensor(float(stop), device=accelerator.device), "sum").item())
            if stop or done % recipe.checkpoint_every == 0 or done == recipe.steps:
                last_good = save(done) or last_good
            if stop:
                accelerator.end_training()
                raise Stopped(
                    signals.received, f"stopped at step {done}; go on with --resume (checkpoint: {last_good})"
                )

    folder = Path(out or run / "model")
    if main:
        average.save_pretrained(folder)
        facts = {
            "recipe": recipe.name.replace("-", "_"),
            "init": init,
            "steps": recipe.steps,
            "batch_size": recipe.batch_size,
            "seconds": round(time.perf_counter() - began),
            "examples_per_s": round(recipe.steps * recipe.batch_size / (time.perf_counter() - began), 1),
            "hardware": hardware(accelerator.device),
            "commit": commit(),
            "command": shlex.join(["genlab", *sys.argv[1:]]),
            "final": {key: round(value, 6) for key, value in log.last.items()},
        }
        (folder / METRICS).write_text(json.dumps({"training": facts, "metrics": []}, indent=2) + "\n")
        if not quiet:
            print(f"{recipe.name}: {recipe.steps} steps in {facts['seconds']} s; saved in {folder}")
    accelerator.end_training()
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
        order = torch.randperm(count, generator=torch.Generator().manual_seed(stream(seed, epoch, 4_098)))
        here = epochs == epoch
        index[here] = order[wanted[here] % count]
    return index


def batch_at(data: Batch, index: Tensor, augment: Callable[[Batch], Batch] | None = None) -> Batch:
    """The chosen examples; bytes become floats in [0, 1]."""
    batch = {key: value[index] for key, value in data.items()}
    batch = {key: value.float() / 255 if value.dtype == torch.uint8 else value for key, value in batch.items()}
    return augment(batch) if augment else batch


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


# -- checkpoints -----------------------------------------------------------------------------------------------------


def latest_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint of a run. Half-written ones have another name."""
    return max(run.glob("checkpoint-*.safetensors"), default=None)


class _State:
    """Everything that a resumed run needs, as named tensors in one safetensors file: no pickle, written atomically."""

    def __init__(self, model: Model, average: Model | None, optimizers: dict[str, torch.optim.Optimizer]):
        self.modules = {"model": model} | ({"average": average} if average is not None else {})
        self.optimizers = optimizers

    def save(self, run: Path, step: int, seconds: float, recipe: Recipe) -> Path:
        tensors = {
            f"{kind}/{key}": tensor.detach().cpu().contiguous().clone()
            for kind, module in self.modules.items()
            for key, tensor in module.state_dict().items()
        }
        for name, optimizer in self.optimizers.items():
            for i, state in optimizer.state_dict()["state"].items():
                for key, value in state.items():
                    tensors[f"optimizer/{name}/{i}/{key}"] = torch.as_tensor(value).cpu().contiguous().clone()
        file = run / f"checkpoint-{step:09d}.safetensors"
        partial = file.with_suffix(".partial")
        metadata = {
            "step": str(step),
            "seconds": str(seconds),
            "seed": str(recipe.seed),
            "batch": str(recipe.batch_size),
        }
        try:
            save_file(tensors, partial, metadata=metadata)
            with open(partial, "rb") as written:
                os.fsync(written.fileno())
            os.replace(partial, file)
        except (OSError, SafetensorError) as error:
            partial.unlink(missing_ok=True)
            good = latest_checkpoint(run)
            raise TrainError(
                f"the checkpoint of step {step} could not be written to {run}: {error}. "
                + (f"The last good one is {good}. " if good else "")
                + "Make room, then go on with --resume."
            ) from error
        for old in sorted(run.glob("checkpoint-*.safetensors"))[:-KEEP]:
            old.unlink()
        return file

    def load(self, file: Path, recipe: Recipe) -> tuple[int, float]:
        """Put a checkpoint back; its step, and the seconds trained until then. Raises TrainError."""
        try:
            with safe_open(file, framework="pt") as opened:
                metadata = opened.metadata()
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (not a dict)
            for kind, module in self.modules.items():
                found = {key.removeprefix(f"{kind}/"): v for key, v in tensors.items() if key.startswith(f"{kind}/")}
                module.load_state_dict(found, strict=True)
            for name, optimizer in self.optimizers.items():
                states: dict[int, dict] = {}
                for key, value in tensors.items():
                    if key.startswith(f"optimizer/{name}/"):
                        i, field = key.split("/")[2:]
                        states.setdefault(int(i), {})[field] = value
                groups = optimizer.state_dict()["param_groups"]
                optimizer.load_state_dict({"state": states, "param_groups": groups})
        except (SafetensorError, RuntimeError, OSError, ValueError) as error:
            raise TrainError(
                f"{file} does not fit this recipe: {error}. Delete it, or go back to its settings."
            ) from error
        if (int(metadata["seed"]), int(metadata["batch"])) != (recipe.seed, recipe.batch_size):
            raise TrainError(
                f"{file} was made with seed={metadata['seed']} batch_size={metadata['batch']}: resume with the same, "
                "or choose another --run-dir"
            )
        return int(metadata["step"]), float(metadata["seconds"])


# -- around the loop -------------------------------------------------------------------------------------------------


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


class _Log:
    """Writes numbers to log.jsonl and the tracker, pictures to the run's folder."""

    def __init__(self, run: Path, accelerator, quiet: bool):
        self.run, self.accelerator, self.quiet = run, accelerator, quiet
        self.last: dict[str, float] = {}

    def __call__(self, step: int, values: dict[str, float]) -> None:
        self.last.update(values)
        self.accelerator.log(values, step=step)
        if not self.accelerator.is_main_process:
            return
        with open(self.run / "log.jsonl", "a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if not self.quiet and any(key.startswith("valid/") for key in values):
            text = "  ".join(f"{key} {value:.4f}" for key, value in values.items())
            require("tqdm", extra="train").tqdm.write(f"step {step}: {text}", file=sys.stderr)

    def picture(self, step: int, images: Tensor) -> None:
        from genlab import viz

        folder = self.run / "samples"
        folder.mkdir(exist_ok=True)
        (folder / f"{step:09d}.png").write_bytes(viz.png(viz.tile(images, gap=2, scale=2)))


def _check(recipe: Recipe) -> None:
    for key in ("steps", "batch_size", "lr", "shards", "log_every", "validate_every", "checkpoint_every"):
        if getattr(recipe, key) <= 0:
            raise TrainError(f"{key} must be positive, not {getattr(recipe, key)}")
    if not 0 <= recipe.ema < 1:
        raise TrainError(f"ema lies in [0, 1), not {recipe.ema}")


def _tracker(name: str) -> str | None:
    """The tracker, if its library is installed; training does not need one."""
    from importlib.util import find_spec

    return name if name != "none" and find_spec(name) else None


def _initial(recipe: Recipe, init: str) -> Model:
    model = from_pretrained(init, dtype=torch.float32)
    if type(model) is not recipe.model or model.config != recipe.config:
        raise TrainError(
            f"--init {init} is a {type(model).__name__} of {model.config}; the recipe trains {recipe.config}"
        )
    return model.train()
