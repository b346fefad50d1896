"""The worked example of CONTRIBUTING.md works: its model, recipe and test are run as they stand there."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

import genlab
from genlab.evaluate import evaluate
from genlab.models import classic
from genlab.train import train

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
LISTINGS = dict(re.findall(r"^### \d\. `(\S+\.py)`.*?^```python\n(.*?)^```", TEXT, flags=re.M | re.S))


@pytest.fixture
def listing(tmp_path, monkeypatch):
    """Import a listing under the name that its path gives it."""

    def load(path: str):
        file = tmp_path / Path(path).name
        file.write_text(LISTINGS[path], encoding="utf-8")
        name = path.removesuffix(".py").replace("/", ".")
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


def test_the_template_is_a_model_that_learns(listing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = listing("genlab/models/classic/softmax.py")
    monkeypatch.setattr(classic, "Softmax", model.Softmax, raising=False)
    monkeypatch.setattr(classic, "__all__", [*classic.__all__, "Softmax", "SoftmaxConfig"])

    proof = listing("tests/models/test_softmax.py")
    proof.test_contract(tmp_path / "contract")
    proof.test_gradient_is_error_times_input()

    recipe = listing("genlab/recipes/softmax_digits.py").RECIPE
    folder = train(recipe, run_dir=tmp_path / "run", out=tmp_path / "softmax-digits", quiet=True)
    evaluate(folder, quiet=True)
    assert isinstance(genlab.from_pretrained(folder), model.Softmax)
    found = re.search(r'"name": "test_error",\s+"value": ([\d.]+)', (folder / "metrics.json").read_text())
    assert float(found[1]) < 8  # percent
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert recipe.summary in card and recipe.limits in card
    assert (folder / "golden.safetensors").is_file()
