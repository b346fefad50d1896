"""What a card says of the place where a figure was measured."""

import platform
import subprocess
from pathlib import Path

import torch


def hardware(device: str | torch.device = "cpu") -> str:
    """The processor or accelerator in words: '2 CPU cores (x86_64)', 'NVIDIA H200'."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cores = torch.get_num_threads()
    return f"{cores} CPU core{'s' if cores > 1 else ''} ({platform.machine()})"


def commit() -> str:
    """The commit of the checkout this package runs from, '+' if the package is changed; '' outside a checkout. Figures
    and weights may differ: measuring writes them."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True)

    try:
        name, changed = git("rev-parse", "--short", "HEAD"), git("status", "--porcelain", "--", ".")
    except OSError:
        return ""
    return name.stdout.strip() + ("+" if changed.stdout else "") if name.returncode == 0 else ""
