"""genlab: the working laboratory of machine perception and generative modelling.

>>> import genlab
>>> ddpm = genlab.from_pretrained("ddpm-mnist")
>>> images = ddpm.sample(16, label=7, guidance=1.0)

A model is a file, its weights are a folder, its lesson is an app, its proof is a test. Importing genlab loads neither
torch nor gradio; the names below fetch what they need when first used.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {  # public name -> the module that defines it
    "GenlabError": "names",
    "list_pretrained": "names",
    "Model": "core",
    "Law": "core",
    "from_pretrained": "core",
    "fast_dtype": "core",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f"genlab.{_HOME[name]}"), name)
    raise AttributeError(f"module 'genlab' has no attribute {name!r}")


def __dir__():
    return __all__
