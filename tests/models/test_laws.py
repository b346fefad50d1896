"""What a model file states as its law can be read by itself, and names a function of that file."""

import re
from importlib import import_module
from inspect import isfunction, unwrap
from pathlib import Path

import pytest

import genlab.models

FILES = sorted(Path(genlab.models.__file__).parent.glob("*/[!_]*.py"))
LAWS = [file for file in FILES if "\nLAW = " in file.read_text(encoding="utf-8")]
GREEK = "alpha beta gamma delta epsilon eta theta kappa lambda mu nu pi rho sigma tau phi psi omega".split()


def letters(latex: str) -> set[str]:
    """The letters of a formula, Latin and Greek; words in roman and blackboard bold are none.

    >>> sorted(letters(r"\\mathbb{E}\\,\\lVert x - \\mu_\\theta(x) \\rVert"))
    ['mu', 'theta', 'x']
    """
    latex = re.sub(r"\\(mathrm|mathbb|text|begin|end)\{[^}]*\}", "", latex)
    found = re.findall(r"\\([A-Za-z]+)|([A-Za-z])", latex)
    return {letter or name for name, letter in found if letter or name.lower() in GREEK}


@pytest.mark.parametrize("file", LAWS, ids=lambda file: file.stem)
def test_a_law_explains_its_letters_and_its_code_exists(file):
    module = import_module(f"genlab.models.{file.parent.name}.{file.stem}")
    law = module.LAW
    told = letters(" ".join(law.symbols)) | set(re.findall(r"\b[B-Zb-z]\b", " ".join(law.symbols.values())))
    assert letters(law.latex) <= told, "a letter of the equation that no symbol explains"
    assert all(letters(symbol) & letters(law.latex) for symbol in law.symbols), "a symbol that is not in the equation"
    assert law.paper and law.year and law.url

    found = module
    for name in law.code.split("."):
        found = getattr(found, name)
    assert isfunction(unwrap(found)) and found.__module__ == module.__name__
