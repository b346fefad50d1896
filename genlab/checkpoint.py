"""Checkpoints: everything that a resumed run needs, as named tensors in one safetensors file. No pickle.

A file comes into place whole or not at all: it is written under another name, brought to disk, then renamed. Should a
disk damage one nevertheless, the run goes on from the one before it, and comes to the same weights a little later.
"""

import contextlib
import fcntl
import json
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from genlab.names import TrainError

KEEP = 2  # files on disk: the last, and the one before it should the last turn out no good


@contextlib.contextmanager
def alone(run: Path) -> Iterator[bool]:
    """Take a run's folder for this process until it is done or dies; whether it was free."""
    run.mkdir(parents=True, exist_ok=True)
    with open(run / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        except OSError:  # a file system without locks
            free = True
        yield free  # the system takes the lock back with the file, however the process ends


class Checkpoints:
    """The checkpoints of the run in a folder, each of these modules and optimisers.

    `same` are settings that decide what a step sees: a checkpoint made under others is refused. `free` are those with
    which a run may go on otherwise than it began; `legs` tells which it had from which step on. `last` is the last good
    checkpoint that this process wrote or read.
    """

    def __init__(
        self,
        run: Path,
        modules: dict[str, nn.Module],
        optimizers: dict[str, torch.optim.Optimizer],
        same: dict,
        free: dict[str, Any],
    ):
        self.run, self.modules, self.optimizers = run, modules, optimizers
        self.same = {key: str(value) for key, value in same.items()}
        self.legs: list[dict[str, Any]] = [{"from_step": 0, "set": free}]
        self.init: str | None = None  # the pretrained model that the run began with
        self.last: Path | None = None

    def files(self) -> list[Path]:
        """Oldest first."""
        return sorted(self.run.glob("checkpoint-*.safetensors"))

    def save(self, step: int, seconds: float) -> None:
        """Write the state after `step` steps and `seconds` of training, then drop old files. Raises TrainError."""
        tensors = {
            f"{kind}/{key}": tensor
            for kind, module in self.modules.items()
            for key, tensor in module.state_dict().items()
        }
        for name, optimizer in self.optimizers.items():
            for i, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{name}/{i}/{key}": torch.as_tensor(value) for key, value in state.items()}
        tensors = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}
        file, partial = self.run / f"checkpoint-{step:09d}.safetensors", self.run / "checkpoint.partial"
        try:
            told = {"step": str(step), "seconds": str(seconds), "legs": json.dumps(self.legs), "init": self.init or ""}
            told["sum"] = _sum(tensors)
            save_file(tensors, partial, metadata={**told, **self.same})
            with open(partial, "rb") as written:
                os.fsync(written.fileno())
            os.replace(partial, file)
        except (OSError, SafetensorError) as error:
            partial.unlink(missing_ok=True)
            raise TrainError(
                f"the checkpoint of step {step} could not be written: {error}. {self} "
                "Make room, then go on with --resume."
            ) from error
        self.last = file
        for old in self.files()[:-KEEP]:
            old.unlink()

    def load(self) -> tuple[int, float]:
        """Put the newest readable checkpoint back; its step, and the seconds trained until then. (0, 0.0) if there is
        none yet. Raises TrainError if none can be read, or if it belongs to other settings."""
        damaged = []
        for file in reversed(self.files()):
            try:
                metadata, tensors = _read(file)
                if not {"step", "seconds"} <= metadata.keys():
                    raise ValueError("it is no checkpoint of genlab")
                step, seconds = int(metadata["step"]), float(metadata["seconds"])
                # an older genlab's checkpoint does not say what it was run with, nor its sum
                before = json.loads(metadata.get("legs", '[{"from_step": 0, "set": null}]'))
                if "sum" in metadata and metadata["sum"] != _sum(tensors):
                    raise ValueError("its numbers are not those that were written")
            except (SafetensorError, ValueError) as error:
                damaged.append(f"{file.name} is damaged ({error})")
                continue
            for note in damaged:
                print(f"{note}: going on from {file.name}", file=sys.stderr)
            self._restore(file, metadata, tensors)
            self.last = file
            if before[-1]["set"] != self.legs[-1]["set"]:
                before.append({"from_step": step, "set": self.legs[-1]["set"]})
            self.legs, self.init = before, metadata.get("init") or None
            return step, seconds
        if damaged:
            raise TrainError(
                f"no checkpoint in {self.run} can be read: {'; '.join(damaged)}. Choose another --run-dir."
            )
        return 0, 0.0

    def reject(self, step: int) -> None:
        """Forget the checkpoint of `step`: what came right after it shows that it is no good."""
        if self.last == self.run / f"checkpoint-{step:09d}.safetensors":
            self.last.unlink(missing_ok=True)
            self.last = next(reversed(self.files()), None)

    def __str__(self) -> str:
        return f"The last good checkpoint is {self.last}." if self.last else "There is no good checkpoint yet."

    def _restore(self, file: Path, metadata: dict[str, str], tensors: dict[str, Tensor]) -> None:
        try:
            for kind, module in self.modules.items():
                module.load_state_dict(_below(f"{kind}/", tensors), strict=True)
            for name, optimizer in self.optimizers.items():
                states: dict[int, dict[str, Tensor]] = {}
                for key, value in _below(f"optimizer/{name}/", tensors).items():
                    i, field = key.split("/")
                    states.setdefault(int(i), {})[field] = value
                groups = optimizer.state_dict()["param_groups"]
                optimizer.load_state_dict({"state": states, "param_groups": groups})
        except (RuntimeError, ValueError) as error:
            raise TrainError(
                f"{file} does not fit this recipe: {error}. Go back to its settings, or choose another --run-dir."
            ) from error
        made = {key: metadata.get(key, value) for key, value in self.same.items()}
        if made != self.same:
            settings = " ".join(f"{key}={value}" for key, value in made.items())
            raise TrainError(f"{file} was made with {settings}: resume with the same, or choose another --run-dir.")


def _read(file: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    with safe_open(file, framework="pt") as opened:
        return opened.metadata() or {}, {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (not a dict)


def _sum(tensors: dict[str, Tensor]) -> str:
    """A checksum of their bytes: a damaged number is a number still."""
    total = 0
    for key in sorted(tensors):
        total = zlib.crc32(tensors[key].flatten().view(torch.uint8).numpy(), total)
    return str(total)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
