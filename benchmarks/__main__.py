"""Run benchmarks by name, print their tables, and keep them in benchmarks/RESULTS.md."""

import argparse
import datetime
import shlex
import sys
from importlib import import_module
from pathlib import Path

from genlab.facts import commit, hardware

NAMES = (
    "startup",
    "stream",
    "sampling",
    "unet",
    "body",
    "fitting",
    "dragging",
    "scenes",
    "vae",
    "clip",
    "disentangle",
    "latent",
    "towers",
)
RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="which; all if none is named")
    parser.add_argument("--seconds", type=float, default=300, help="training time of each side (unet, latent, towers)")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of timed runs")
    options = parser.parse_args()
    sections = dict(_kept())
    for name in options.names or NAMES:
        table = import_module(f"benchmarks.{name}").run(options)
        if not table:  # it lacks what it compares with, and has said so
            continue
        place = f"{datetime.date.today()}, {hardware()}, commit {commit() or 'unknown'}"
        command = shlex.join(["python", "-m", "benchmarks", name, *(a for a in sys.argv[1:] if a not in NAMES)])
        sections[name] = f"## {name}\n\n`{command}` ({place})\n\n{table}\n"
        print(sections[name], flush=True)
        head = "# Benchmarks\n\nWritten by `make bench`. Ratios: median over paired runs, minimum and maximum.\n\n"
        RESULTS.write_text(head + "\n".join(sections[key] for key in NAMES if key in sections))


def _kept() -> list[tuple[str, str]]:
    if not RESULTS.is_file():
        return []
    parts = RESULTS.read_text().split("\n## ")[1:]
    return [(part.split("\n")[0], "## " + part.rstrip() + "\n") for part in parts]


if __name__ == "__main__":
    main()
