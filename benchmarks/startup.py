"""How long until something is there: imports, a loaded model, a page; each in a fresh process, beside a peer's."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

from benchmarks.timing import paired, ratio, table

FINEST = 0.02  # seconds: the interpreter's own start varies by as much
LOAD = "import genlab; genlab.from_pretrained('ddpm-mnist')"
PEER = "from diffusers import UNet2DModel; UNet2DModel.from_pretrained({!r})"
SAVE = """
from diffusers import UNet2DModel
from benchmarks.unet import PEER
UNet2DModel(**PEER).save_pretrained({!r})
"""


def run(options) -> str:
    with tempfile.TemporaryDirectory() as folder:
        _python(SAVE.format(folder))
        cases = [
            ("import genlab", "import genlab", "import diffusers", "import diffusers"),
            ("import genlab", "import genlab", "import torch", "import torch"),
            ("from_pretrained (ddpm-mnist)", LOAD, "UNet2DModel.from_pretrained, equal size", PEER.format(folder)),
        ]
        rows = []
        for name, ours, peer, theirs in cases:
            bare, _ = paired(lambda: _python("pass"), lambda: None, options.repeats)
            a, b = paired(lambda o=ours: _python(o), lambda t=theirs: _python(t), options.repeats)
            started = median(bare)  # the interpreter's own start is in both
            rows.append(
                [
                    name,
                    f"{max(median(a) - started, 0):.2f} s, {_memory(ours)} MB",
                    peer,
                    f"{median(b) - started:.2f} s, {_memory(theirs)} MB",
                    ratio([y - started for y in b], [max(x - started, FINEST) for x in a]),
                ]
            )
    ready = [_page() for _ in range(options.repeats)]
    text = f"{median(seconds for seconds, _ in ready):.1f} s, {median(mb for _, mb in ready):.0f} MB"
    spread = f"({min(s for s, _ in ready):.1f} to {max(s for s, _ in ready):.1f} s)"
    rows.append([f"genlab demo: page answers {spread}", text, "-", "-", "-"])
    return table(["ours", "time, memory", "peer", "time, memory", "ours is faster by"], rows)


def _python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _memory(code: str) -> int:
    """Peak resident memory in MB."""
    # not getrusage's, which begins with that of the process that started this one
    report = code + "\nprint([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
    out = subprocess.run([sys.executable, "-c", report], check=True, capture_output=True, text=True).stdout
    return int(out.split()[-1]) // 1024


def _page() -> tuple[float, float]:
    """Seconds from the command until the gallery answers, and the server's resident memory in MB then."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start = time.perf_counter()
    command = [sys.executable, "-m", "genlab.cli", "demo", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    try:
        while time.perf_counter() - start < 120:
            if server.poll() is not None:
                raise RuntimeError(f"genlab demo ended with status {server.returncode}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
                break
            except OSError:
                time.sleep(0.05)
        seconds = time.perf_counter() - start
        pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
        return seconds, pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    finally:
        server.terminate()  # not Ctrl-C, which a run in the background is born deaf to
        server.wait(timeout=30)
