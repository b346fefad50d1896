"""Processes for tests to kill, without a wait for torch: a fork server imports it once, its children have it at birth.

`genlab(...)` runs a command in such a process; `Child` has its pid, its exit code, and what it said.
"""

import contextlib
import multiprocessing
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PRELOAD = """children genlab.cli genlab.evaluate genlab.recipes.ddpm_digits
    accelerate sklearn.datasets torch._dynamo torch.utils.tensorboard torchmetrics.image.kid prdc tqdm""".split()
server = multiprocessing.get_context("forkserver")
server.set_forkserver_preload(PRELOAD)


class Child:
    """`genlab ARGV...` in a process of its own. largest: bytes that a file may grow to, as on a disk that is full.
    slow: seconds to wait after each checkpoint, so that who means to end it early is in time on the busiest machine."""

    def __init__(
        self, cwd: Path, *argv: str, largest: int | None = None, slow: float = 0, env: dict[str, str] | None = None
    ):
        self.said = cwd / f"said-{time.monotonic_ns()}"
        self.process = server.Process(target=_run, args=(cwd, argv, largest, slow, env or {}, self.said))
        self.process.start()

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):  # it was done already: wait() tells
            os.kill(self.process.pid, number)

    def wait(self, seconds: float = 200) -> int:
        """The exit code as a shell tells it: 128 + n of a process that signal n ended."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"still running: {self}"
        return self.process.exitcode if self.process.exitcode >= 0 else 128 - self.process.exitcode

    def __str__(self) -> str:
        return self.said.read_text(errors="replace") if self.said.exists() else ""


def genlab(cwd: Path, *argv: str, **how) -> str:
    """Run a command to its end; what it said."""
    child = Child(cwd, *argv, **how)
    assert child.wait() == 0, str(child)
    return str(child)


def until(condition, child: Child | None = None, seconds: float = 200):
    """Wait for something to become true, and give it."""
    ends = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < ends, f"waited in vain: {child}"
        assert child is None or child.process.is_alive(), f"ended early: {child}"
        time.sleep(0.005)
    return found


def together(n: int) -> list[dict[str, str]]:
    """The environments by which n processes find each other, as a launcher sets them."""
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": n, "LOCAL_WORLD_SIZE": n, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [{key: str(v) for key, v in {**common, "RANK": i, "LOCAL_RANK": i}.items()} for i in range(n)]


def _run(cwd: Path, argv: tuple[str, ...], largest: int | None, slow: float, env: dict[str, str], said: Path) -> None:
    import torch

    from genlab.checkpoint import Checkpoints
    from genlab.cli import main

    save = Checkpoints.save
    Checkpoints.save = lambda self, *state: (save(self, *state), time.sleep(slow))
    os.chdir(cwd)
    os.environ.update(env)
    torch.set_num_threads(1)
    with _redirected(said):
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        sys.exit(main(list(argv)))


@contextlib.contextmanager
def _redirected(said: Path) -> Iterator[None]:
    file = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(file, standard)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
