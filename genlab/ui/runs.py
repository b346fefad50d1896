"""Runs of one visitor: a new one ends the old one, Stop ends it too, and none outlives its time."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

REMEMBERED = 1000  # visitors; the oldest is forgotten first


@dataclass
class Run:
    """One run, of what `about` says. Ask `going` between steps, then `replaced`: a restart leaves nothing to show.

    seconds: its longest time; without end for what nobody waits for."""

    seconds: float = float("inf")
    about: Any = None
    started: float = field(default_factory=time.monotonic)
    ended: str = ""

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    @property
    def going(self) -> bool:
        if not self.ended and self.elapsed > self.seconds:
            self.ended = "time"
        return not self.ended

    @property
    def replaced(self) -> bool:
        return self.ended == "replaced"

    @property
    def took(self) -> str:
        """' in 4.2 s', to end a sentence with; nothing where nobody waited."""
        return f" in {self.elapsed:.1f} s" if self.seconds < float("inf") else ""

    def left(self, done: int, of: int) -> float:
        """Seconds still to go, from the pace so far."""
        return self.elapsed / max(done, 1) * (of - done)


class Runs:
    """The present run of each visitor. `seconds` bounds every run by the wall clock."""

    def __init__(self, seconds: float = 60.0):
        self.seconds = seconds
        self._lock = threading.Lock()
        self._present: OrderedDict[str, Run] = OrderedDict()

    def begin(self, visitor: str | None, about: Any = None) -> Run:
        """Start a run; an older one of the same visitor ends at its next step. `None`: an API caller without a page."""
        run = Run(self.seconds, about)
        if visitor is not None:
            self.end(visitor, "replaced")
            with self._lock:
                self._present[visitor] = run
                self._present.move_to_end(visitor)
                while len(self._present) > REMEMBERED:
                    self._present.popitem(last=False)
        return run

    def going(self, visitor: str | None, about: Any) -> bool:
        """Whether the visitor's present run is one of just this."""
        with self._lock:
            run = self._present.get(visitor)
        return run is not None and run.going and run.about == about

    def want(self, visitor: str | None, about: Any) -> bool:
        """Whether the visitor's run of just this was cut short; one of anything else makes way. A run says itself that
        it is through: `run.ended = "done"`."""
        with self._lock:
            run = self._present.get(visitor)
        if run is None:
            return False
        if run.about == about:
            return run.ended not in ("", "done")
        run.ended = "replaced" if run.ended in ("", "done") else run.ended
        return False

    def end(self, visitor: str | None, why: str = "stopped") -> None:
        """End the visitor's run, if one goes on."""
        with self._lock:
            run = self._present.get(visitor)
        if run is not None and not run.ended:
            run.ended = why
