"""Evaluation: it measures the saved weights, can be killed and goes on, and refuses what it cannot measure."""

import dataclasses
import hashlib
import json
import math

import pytest
import torch
from children import Child, genlab, until
from safetensors.torch import load_file, save_file

from genlab import cards
from genlab import evaluate as module
from genlab.core import from_pretrained
from genlab.data import digits
from genlab.evaluate import Job, evaluate, recipe_of
from genlab.figures import Metric
from genlab.models.classic import MLP, MLPConfig
from genlab.names import GOLDEN, METRICS, GenlabError, LoadError, list_pretrained
from genlab.recipes.ddpm_digits import RECIPE, NearestDigit

TRAIN = "train ddpm_digits --set steps=4 config.widths=8 config.embedding=8 batch_size=16 tracker=none".split()


def read(folder) -> dict:
    return json.loads(
        (folder / "metrics.json").read_text(), parse_constant=lambda text: pytest.fail(f"JSON has {text}")
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    genlab(folder, *TRAIN)
    return folder / "runs" / "ddpm-digits" / "model"


def test_killed_and_called_again_it_measures_the_rest(trained):
    """The whole of it, on a tiny diffusion model: figures, golden outputs, picture and card."""
    here, training = trained.parents[2], read(trained)["training"]
    command = ["evaluate", "runs/ddpm-digits/model", "--samples", "30"]
    finished = lambda: {entry["job"] for entry in read(trained)["metrics"]}  # noqa: E731
    child = Child(here, *command)
    until(lambda: len(finished()) >= 2, child)
    child.kill()
    child.wait()
    assert not (trained / "README.md").exists()

    metrics = trained / "metrics.json"
    metrics.write_text(
        metrics.read_text().replace('"samples": 30,\n      "seeds": null', '"samples": 29,\n      "seeds": null', 1)
    )
    assert genlab(here, *command).splitlines()[-1] == "runs/ddpm-digits/model"

    record = read(trained)
    assert [m["samples"] for m in record["metrics"] if m["name"] == "bits_per_dim"] == [29]
    agreements = [m for m in record["metrics"] if m["name"] == "agreement"]
    assert [m["settings"]["rho"] for m in agreements] == [0.0, 1.0, 4.0] and agreements[1]["headline"]
    assert all(m["samples"] == 30 and m["seeds"] == 3 and math.isfinite(m["value"]) for m in agreements)
    assert record["training"] == training
    assert record["weights_sha256"] == hashlib.sha256((trained / "model.safetensors").read_bytes()).hexdigest()
    assert record["measured"]["command"] == "genlab evaluate runs/ddpm-digits/model --samples 30"
    assert len(finished()) == 4 and record["unmeasured"] == []

    model = from_pretrained(trained)
    with torch.no_grad():
        again = RECIPE.golden(model)
    golden = load_file(trained / "golden.safetensors")
    assert golden.keys() == again.keys() and all(torch.allclose(golden[k], again[k], atol=1e-5) for k in golden)
    picture = (trained / "samples.png").read_bytes()
    width, height = (int.from_bytes(picture[place : place + 4], "big") for place in (16, 20))
    assert picture.startswith(b"\x89PNG") and (width, height) == (
        10 * 28 - 4,
        3 * 28 - 4,
    )  # rho 0, 1, 4 below each other
    card = (trained / "README.md").read_text()
    assert RECIPE.summary in card and "the nearest training digit" in card and "not measured" not in card
    assert not list(trained.glob(".*"))


def test_errors_of_the_command_are_one_line(trained, tmp_path):
    for argv, says in {
        ("evaluate", "user/name"): "user/name is on the Hub",
        ("evaluate", str(trained), "--samples", "5"): "at least 30 samples",
        ("evaluate", str(tmp_path)): "holds no config.json",
    }.items():
        child = Child(tmp_path, *argv)
        assert child.wait() == 1
        assert str(child).splitlines()[-1].startswith("genlab: ") and says in str(child)
        assert "Traceback" not in str(child)


# -- jobs and what is known of them ------------------------------------------------------------------------------------


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """A model whose recipe has three jobs, and the list of those that ran."""
    ran: list[str] = []

    def job(key):
        return Job(key, lambda: ran.append(key) or [Metric(key, 1.0 * len(ran))])

    recipe = dataclasses.replace(RECIPE, golden=None, samples=None, evaluate=lambda model, samples: map(job, "abc"))
    monkeypatch.setattr(module, "recipe_of", lambda folder: recipe)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    return MLP(MLPConfig(4, 2, (2,))).save_pretrained(tmp_path / "mlp"), ran


def values(folder) -> list[float]:
    return [metric["value"] for metric in read(folder)["metrics"]]


def test_finished_jobs_are_measured_once(counted):
    folder, ran = counted
    evaluate(folder, quiet=True)
    assert ran == ["a", "b", "c"] and values(folder) == [1, 2, 3]
    evaluate(folder, quiet=True)
    assert len(ran) == 3 and values(folder) == [1, 2, 3]
    evaluate(folder, quiet=True, fresh=True)
    assert len(ran) == 6 and values(folder) == [4, 5, 6]


def test_a_pattern_measures_some_and_names_the_rest(counted):
    folder, ran = counted
    evaluate(folder, quiet=True, only="[bc]")
    assert ran == ["b", "c"] and read(folder)["unmeasured"] == ["a"]
    evaluate(folder, quiet=True)
    assert ran == ["b", "c", "a"] and read(folder)["unmeasured"] == [] and values(folder) == [3, 1, 2]
    with pytest.raises(GenlabError, match="no job fits 'd'. There are: 'a', 'b', 'c'"):
        evaluate(folder, quiet=True, only="d")


def test_other_weights_or_samples_are_measured_anew(counted):
    folder, ran = counted
    evaluate(folder, quiet=True)
    evaluate(folder, quiet=True, samples=7)
    assert len(ran) == 6
    MLP(MLPConfig(4, 2, (2,))).save_pretrained(folder)
    evaluate(folder, quiet=True)
    assert len(ran) == 9


def test_a_figure_that_is_no_number_is_not_kept(counted, monkeypatch):
    folder, _ = counted
    recipe = dataclasses.replace(RECIPE, evaluate=lambda model, samples: [Job("a", lambda: [Metric("fid", math.nan)])])
    monkeypatch.setattr(module, "recipe_of", lambda folder: recipe)
    with pytest.raises(GenlabError, match="a: fid is nan"):
        evaluate(folder, quiet=True)
    assert not (folder / "metrics.json").exists()


def test_what_cannot_be_written_leaves_what_was(counted):
    folder, _ = counted
    evaluate(folder, quiet=True)
    before = (folder / "metrics.json").read_bytes()
    (folder / ".metrics.json").mkdir()  # the name under which it is written first
    with pytest.raises(GenlabError, match="metrics.json could not be written.*finished jobs are kept"):
        evaluate(folder, quiet=True)
    assert (folder / "metrics.json").read_bytes() == before


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_nonsense_is_refused(counted, tmp_path):
    folder, ran = counted
    with pytest.raises(GenlabError, match="samples is 1 or more"):
        evaluate(folder, samples=0)
    with pytest.raises(LoadError):
        evaluate(tmp_path / "nowhere")
    weights = load_file(folder / "model.safetensors")
    weights["layers.2.bias"][0] = math.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(GenlabError, match=r"hold NaN or infinity \(layers.2.bias\)"):
        evaluate(folder)
    assert ran == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[1]",
        "null",
        "[" * 100_000,
        '{"training": 3}',
        '{"metrics": {}}',
        '{"metrics": [3]}',
        '{"metrics": [{"value": 1.0}]}',
        '{"metrics": [{"name": "fid", "value": "low"}]}',
        '{"metrics": [{"name": "fid", "settings": 1}]}',
        '{"metrics": [{"name": "fid", "measured": "today"}]}',
        '{"measured": "today", "metrics": []}',
    ],
)
def test_a_broken_record_is_told_and_left_alone(counted, text):
    """By the one reader, and so by the card as well."""
    folder, ran = counted
    (folder / METRICS).write_text(text)
    for read_it in (evaluate, cards.render):
        with pytest.raises(GenlabError, match="metrics.json is no record of a model .*genlab evaluate .*mlp"):
            read_it(folder)
    assert ran == [] and (folder / METRICS).read_text() == text


@pytest.mark.parametrize("recipe", ["_judge", "no_such", "os.path", "../x", "ddpm-digits", "", None])
def test_only_recipes_are_recipes(recipe, tmp_path):
    """Whatever a stranger's metrics.json says, nothing but a file of genlab/recipes is imported."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps({"training": {"recipe": recipe}}))
    with pytest.raises(GenlabError, match="no recipe says how to measure model"):
        recipe_of(folder)


def test_a_recipe_is_found_by_record_or_by_name(tmp_path):
    (tmp_path / "ddpm-digits").mkdir()
    assert recipe_of(tmp_path / "ddpm-digits") is RECIPE
    (tmp_path / "metrics.json").write_text('{"training": {"recipe": "ddpm_digits"}}')
    assert recipe_of(tmp_path) is RECIPE


def test_the_nearest_digit_judges_well():
    test = digits.load("test")
    judge = NearestDigit("the nearest training digit", test, "digits")
    features, logits = judge.see(test["image"].float() / 255)
    assert features.shape == (360, 64) and logits.shape == (360, 10)
    assert (logits.argmax(1) == test["label"]).float().mean() > 0.96


@pytest.mark.parametrize("entry", list_pretrained(), ids=lambda entry: entry.name)
def test_bundled_weights_give_their_golden_outputs(entry):
    with torch.no_grad():
        found = recipe_of(entry.folder).golden(from_pretrained(entry.folder))
    golden = load_file(entry.folder / GOLDEN)
    assert golden.keys() == found.keys()
    assert all(torch.allclose(golden[key], found[key], rtol=1e-3, atol=1e-4) for key in golden)
