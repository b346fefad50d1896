"""What a run tells while it trains: a progress bar, numbers in log.jsonl and the tracker, pictures in samples/."""

import contextlib
import json
import os
import sys
from pathlib import Path

from torch import Tensor

from genlab.names import require


class Report:
    """`report(step, numbers)`, `report.advance()` by a step, `report.picture(step, images)`, within a `with`.

    A resumed run drops what was logged after `start`, the step that it starts at: it is about to say it again. `last`
    holds the latest value of each number.
    """

    def __init__(self, recipe, run: Path, accelerator, start: int, quiet: bool):
        self.run, self.accelerator, self.main, self.quiet = run, accelerator, accelerator.is_main_process, quiet
        self.batch_size = recipe.batch_size
        self.last: dict[str, float] = {}
        if self.main:
            run.mkdir(parents=True, exist_ok=True)
            self._keep(start)
        if accelerator.log_with:
            accelerator.init_trackers(run.resolve().name)
        self.tqdm = require("tqdm", extra="train").tqdm
        self.bar = self.tqdm(
            total=recipe.steps * recipe.batch_size,
            initial=start * recipe.batch_size,
            unit=" examples",
            unit_scale=True,
            dynamic_ncols=True,
            mininterval=0.1 if sys.stderr.isatty() else 30,  # seconds: in a file, a line now and then will do
            disable=quiet or not self.main,
            desc=recipe.name,
        )

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *exception) -> None:
        self.bar.close()
        with contextlib.suppress(OSError):  # a full disk has been reported by then, and each number is flushed
            self.accelerator.end_training()

    def __call__(self, step: int, values: dict[str, float]) -> None:
        """Log numbers. Losses of training stand behind the bar, those of validation are printed."""
        self.last.update(values)
        self.accelerator.log(values, step=step)
        if not self.main:
            return
        with open(self.run / "log.jsonl", "a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        kind = next(iter(values)).partition("/")[0]
        shown = {key.partition("/")[2]: f"{value:.4f}" for key, value in values.items() if key.count("/") == 1}
        if kind == "train":
            self.bar.set_postfix({key: text for key, text in shown.items() if key != "lr"}, refresh=False)
        elif not self.quiet:
            numbers = "  ".join(f"{key} {text}" for key, text in shown.items())
            self.tqdm.write(f"step {step}: validation {numbers}", file=sys.stderr)

    def advance(self) -> None:
        self.bar.update(self.batch_size)

    def picture(self, step: int, images: Tensor) -> None:
        """Pictures in [0, 1] as one file: (N, C, H, W), or (rows, columns, C, H, W)."""
        from genlab import viz

        folder = self.run / "samples"
        folder.mkdir(exist_ok=True)
        (folder / f"{step:09d}.png").write_bytes(viz.png(viz.tile(images, gap=2, scale=2)))

    def _keep(self, start: int) -> None:
        file, kept = self.run / "log.jsonl", []
        for line in file.read_text().splitlines() if file.is_file() else ():
            with contextlib.suppress(ValueError):  # a line cut short
                values = json.loads(line)
                if values.pop("step") <= start:
                    kept.append(line + "\n")
                    self.last.update(values)
        partial = file.with_suffix(".partial")
        partial.write_text("".join(kept))
        os.replace(partial, file)
