"""A shelf of pretrained models: the page appears at once, the models load behind it, each once per process."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import genlab
from genlab.viz import to_numpy


class Shelf:
    """`shelf = Shelf("ddpm-mnist", "cnn-mnist")`; `shelf.warm()` when a page opens; `shelf["ddpm-mnist"]` when needed.

    `fast` names the models kept in `genlab.fast_dtype()`: the large ones, where half the bytes are worth it.
    """

    def __init__(self, *names: str, fast: tuple[str, ...] = ()):
        self.names = names
        self.fast = fast
        self._models: dict[str, Any] = {}
        self._locks = {name: threading.Lock() for name in names}
        self._warmed = threading.Event()

    def __getitem__(self, name: str):
        """The model, loaded if need be. Raises LoadError."""
        with self._locks[name]:
            if name not in self._models:
                import torch

                device = "cuda" if torch.cuda.is_available() else "cpu"
                dtype = genlab.fast_dtype(device) if name in self.fast else None
                self._models[name] = genlab.from_pretrained(name, device=device, dtype=dtype)
            return self._models[name]

    def ready(self, name: str) -> bool:
        return name in self._models

    def warm(self, *then: Callable[[], Any]) -> None:
        """Load all in the background, then call `then` (a first small run, so that a visitor's first is fast). Once."""
        if self._warmed.is_set():
            return
        self._warmed.set()

        def work():
            try:
                for name in self.names:
                    self[name]
                for call in then:
                    call()
            except genlab.GenlabError:
                pass  # the visitor who asks for the model is told; here nobody is listening

        threading.Thread(target=work, name="genlab-warm", daemon=True).start()


def seeded(seed: int):
    """A torch generator on the CPU, so that a seed means the same pictures on every machine."""
    import torch

    return torch.Generator().manual_seed(seed)


def gpu(seconds: int):
    """Marks a function that needs the accelerator of a ZeroGPU Space for at most so long; elsewhere it does nothing."""
    try:
        from spaces import GPU
    except ImportError:  # also where `spaces` is but a folder of that name, as in our own checkout
        return lambda function: function
    return GPU(duration=seconds)


def tensor(array):
    """An array as a torch tensor; None stays None."""
    import torch

    return None if array is None else torch.from_numpy(np.ascontiguousarray(array))


def infer(model, *inputs) -> np.ndarray:
    """model(*inputs) as an array, without a graph."""
    import torch

    with torch.inference_mode():
        return to_numpy(model(*inputs))
