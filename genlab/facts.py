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
    return f"{torch.get_num_threads()} CPU cores ({platform.machine()})"


def commit() -> str:
    """The commit of the checkout this package runs from, '+' if its tree is changed; '' outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"], cwd=here, capture_output=True, text=True
        )
    except OSError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
