"""The bench: where a model of others is while it is used, loaded when somebody asks for it."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from importlib import import_module
from weakref import WeakValueDictionary

from genlab.ui.runs import Run


class Bench:
    """Holds one model of others, the last one asked for: two rarely fit. What a run still works with is not
    loaded again. Loading goes on behind the page.

    module, name: the class that loads it, met by name at run time, with `from_pretrained`."""

    def __init__(self, module: str = "genlab.models.diffusion.pipeline", name: str = "Pipeline"):
        self._kind = (module, name)
        self._lock, self._loading = threading.Lock(), threading.Lock()
        self._source, self._future = "", Future()
        self._held = WeakValueDictionary()  # by their sources

    def get(self, source: str) -> Future:
        """The model, or its promise. A failed one is tried again by the next who asks."""
        with self._lock:
            failed = self._future.done() and self._future.exception() is not None
            if source != self._source or failed:
                self._source, self._future = source, Future()
                if (held := self._held.get(source)) is not None:
                    self._future.set_result(held)
                    return self._future
                threading.Thread(target=self._load, args=(source, self._future), daemon=True).start()
            return self._future

    def waiting(self, source: str, run: Run) -> Iterator[str]:
        """What to say until the model is there, or the run has ended; the run's time starts when it is. Raises
        GenlabError."""
        future = self.get(source)
        run.seconds, patience = float("inf"), run.seconds
        while run.going and not future.done():
            yield f"Fetching and loading {source}: {run.elapsed:.0f} s so far. The first time this can take minutes."
            wait([future], timeout=0.5)
        if future.done():
            future.result()
            run.started, run.seconds = time.monotonic(), patience

    def _load(self, source: str, future: Future) -> None:
        with self._loading:
            try:
                module, name = self._kind
                model = getattr(import_module(module), name).from_pretrained(source)
                self._held[source] = model
                future.set_result(model)
            except BaseException as error:
                future.set_exception(error)
