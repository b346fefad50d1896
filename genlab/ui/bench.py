"""The bench: where a model of others is while it is used, loaded when somebody asks for it."""

import threading
from concurrent.futures import Future
from importlib import import_module


class Bench:
    """Holds one model of others, the last one asked for: two rarely fit. Loading goes on behind the page.

    module, name: the class that loads it, met by name at run time, with `from_pretrained`."""

    def __init__(self, module: str = "genlab.models.diffusion.pipeline", name: str = "Pipeline"):
        self._kind = (module, name)
        self._lock, self._loading = threading.Lock(), threading.Lock()
        self._source, self._future = "", Future()

    def get(self, source: str) -> Future:
        """The model, or its promise. A failed one is tried again by the next who asks."""
        with self._lock:
            failed = self._future.done() and self._future.exception() is not None
            if source != self._source or failed:
                self._source, self._future = source, Future()
                threading.Thread(target=self._load, args=(source, self._future), daemon=True).start()
            return self._future

    def _load(self, source: str, future: Future) -> None:
        with self._loading:
            try:
                module, name = self._kind
                future.set_result(getattr(import_module(module), name).from_pretrained(source))
            except BaseException as error:
                future.set_exception(error)
