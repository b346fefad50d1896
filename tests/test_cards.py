"""Model cards: what the Hub reads in them, what people read in them, and that they cannot drift from their sources."""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import genlab
from genlab import cards, figures, names
from genlab.core import Law, Model
from genlab.figures import Metric, duration, number, tables, value
from genlab.models.autoencoders import VAE, VAEConfig
from genlab.models.classic import MLP, MLPConfig
from genlab.models.diffusion import DDPM, DDPMConfig
from genlab.models.vision_language import CLIP, CLIPConfig
from genlab.recipes import cnn_mnist

SETTINGS = {"rho": 1.0, "steps": 50, "sampler": "ddim"}
AGREEMENT = {
    "name": "agreement",
    "value": 0.99123,
    "spread": 0.00071,
    "better": "higher",
    "samples": 10_000,
    "seeds": 3,
    "dataset": "mnist",
    "split": "test",
    "settings": SETTINGS,
    "headline": True,
    "note": "judged by another net",
}
UNMEASURED = {"name": "bits_per_dim", "value": None, "dataset": "mnist", "split": "test", "headline": True}
TRAINING = {
    "steps": 20_000,
    "seconds": 8_012,
    "command": "genlab train x_mnist",
    "final": {"train/loss": 0.1234, "valid/loss": 0.0432},
    "commit": "",
}
MEASURED = {
    "date": "2026-11-23",
    "commit": "abc1234",
    "hardware": "2 CPU cores",
    "command": "genlab evaluate x",
    "torch": "2",
}


def save(folder: Path, metrics: list[dict] | None = None, model: Model | None = None) -> Path:
    """A tiny model in `folder`, measured if there are metrics."""
    (model or MLP(MLPConfig(inputs=4, widths=(3,), classes=2))).save_pretrained(folder)
    if metrics is not None:
        sha = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        record = {"weights_sha256": sha, "measured": MEASURED, "training": TRAINING, "metrics": metrics}
        (folder / "metrics.json").write_text(json.dumps(record))
    return folder


def parse(text: str, tmp_path: Path) -> ModelCard:
    """The card as the Hub's client reads it."""
    (tmp_path / "card.md").write_text(text, encoding="utf-8")
    return ModelCard.load(tmp_path / "card.md")


# -- the Hub's part --------------------------------------------------------------------------------------------------


def test_front_matter_is_what_the_hub_reads(tmp_path):
    folder = save(tmp_path / "tiny", [AGREEMENT, UNMEASURED])
    data = parse(cards.render(folder), tmp_path).data
    assert (data.library_name, data.pipeline_tag, data.model_name) == ("genlab", "image-classification", "tiny")
    assert data.tags == ["genlab", "classic", "mlp"]
    measured, unmeasured = data.eval_results
    assert (measured.metric_type, measured.metric_value, measured.metric_args) == ("agreement", 0.99123, SETTINGS)
    assert (measured.dataset_type, measured.dataset_split) == ("mnist", "test")
    assert unmeasured.metric_value == "not measured"


def test_the_task_follows_from_what_a_model_can_do(tmp_path):
    small = DDPM(DDPMConfig(widths=(8,), embedding=8))
    assert parse(cards.minimal(small), tmp_path).data.pipeline_tag == "unconditional-image-generation"
    clip = CLIP(CLIPConfig(image_size=16, image_widths=(8,), width=8, heads=2, features=8))
    assert parse(cards.minimal(clip), tmp_path).data.pipeline_tag == "zero-shot-image-classification"
    codec = VAE(VAEConfig(image_size=16, body="map", widths=(8, 8)))
    assert parse(cards.minimal(codec), tmp_path).data.pipeline_tag is None


def test_a_recipe_gives_licence_and_data(tmp_path, monkeypatch):
    class Recipe:
        name, summary, dataset, licence = "tiny", "A tiny net.", "ylecun/mnist", "apache-2.0"
        intended_use, limits, snippet = "Tests.", "Knows nothing.", "print('hello')"

    monkeypatch.setattr(cards, "find_recipe", lambda name, record: Recipe)
    card = parse(cards.render(save(tmp_path / "tiny", [AGREEMENT])), tmp_path)
    assert (card.data.license, card.data.datasets) == ("apache-2.0", ["ylecun/mnist"])
    for text in ("# tiny\n\nA tiny net.", "## Intended use\n\nTests.", "## Limits\n\nKnows nothing.", "print('hello')"):
        assert text in card.text


HOSTILE = [
    'a: "b" #c',
    "--- x",
    "<script src=x>",
    "{{7*7}} | x",
    "```",
    "null",
    "1.0",
    "- [x](y)",
    "&a *b !!c",
]


@pytest.mark.parametrize("name", [*HOSTILE, "'''", "ünï 名", "%YAML 2", "$(rm x)", "a\\b}"])
def test_a_hostile_name_stays_a_name(name, tmp_path):
    text = cards.render(save(tmp_path / name, [AGREEMENT]))
    card = parse(text, tmp_path)
    assert card.data.model_name == name
    assert len(card.data.eval_results) == 1
    assert card.text.startswith("\n# ") or card.text.startswith("# ")
    assert not re.search(r"<script|(?<!\\)\[x\]", card.text.split("```")[0])
    snippet = re.search(r"^```python\n(.*?)\n```$", card.text, flags=re.S | re.M)[1]
    call = ast.parse(snippet).body[-1].value
    assert call.args[0].value == name


# -- the reader's part -----------------------------------------------------------------------------------------------


def test_the_body_says_what_was_recorded(tmp_path):
    folder = save(tmp_path / "tiny", [AGREEMENT, UNMEASURED])
    (folder / "samples.png").write_bytes(b"a picture")
    text = cards.render(folder)
    row = "| agreement ↑ | 0.99123 ± 0.00071 | 10,000 | 3 | mnist test | rho 1, steps 50, sampler ddim |"
    law = f"$$\n{genlab.core.law(MLP).latex}\n$$"
    for part in (
        row,
        law,
        "| bits/dim | not measured |",
        "](samples.png)",
        "- agreement ↑: ",
    ):
        assert part in text
    for part in (
        "| time | 2 h 14 min |",
        "| final valid loss | 0.0432 |",
        "genlab train x_mnist\ngenlab evaluate x\n```",
        "2026-11-23",
    ):
        assert part in text
    assert "0.1234" not in text and "| commit |" not in text
    assert "| parameters | 23 |" in text  # 4 * 3 + 3 + 3 * 2 + 2
    assert "author = {Rumelhart and Hinton and Williams}" in text


def test_a_recipes_card_measures_both_what_training_writes_and_these_weights():
    """A folder in runs/ is not what the bundled name stands for, and is shown once."""
    recipe, record = cnn_mnist.RECIPE, {"training": None, "metrics": []}
    assert cards._reproduce("cnn-mnist", record, recipe).splitlines()[3:-1] == [
        "genlab train cnn_mnist",
        "genlab evaluate runs/cnn-mnist/model  # what training wrote",
        "genlab evaluate cnn-mnist  # the weights of this card",
    ]
    record["measured"] = {"command": "genlab evaluate runs/cnn-mnist/model --samples 30"}
    own = ["genlab train cnn_mnist", "genlab evaluate runs/cnn-mnist/model --samples 30"]
    assert cards._reproduce("cnn-mnist", record, recipe).splitlines()[3:-1] == own


def test_each_stage_of_a_training_begins_with_what_the_one_before_wrote():
    earlier = ["genlab train cnn_mnist --init old", "genlab train cnn_mnist --set lr=1e-4 --init cnn-mnist"]
    record = {"training": {"command": "genlab train cnn_mnist --init cnn-mnist", "earlier": earlier}, "metrics": []}
    assert cards._reproduce("cnn-mnist", record, cnn_mnist.RECIPE).splitlines()[3:6] == [
        "genlab train cnn_mnist --init old --run-dir runs/cnn-mnist-1",
        "genlab train cnn_mnist --set lr=1e-4 --init runs/cnn-mnist-1/model --run-dir runs/cnn-mnist-2",
        "genlab train cnn_mnist --init runs/cnn-mnist-2/model",
    ]


def test_a_training_that_changed_on_the_way_says_so(tmp_path, monkeypatch):
    legs = [{"from_step": 0, "set": None}, {"from_step": 3_000, "set": {"lr": 5e-4, "batch_size": 256}}]
    monkeypatch.setitem(TRAINING, "legs", legs)
    monkeypatch.setitem(TRAINING, "note", "The log of the first day is lost.")
    monkeypatch.setitem(TRAINING, "hardware", "1 CPU cores (x86)")
    text = cards.render(save(tmp_path / "tiny", [AGREEMENT]))
    first, then = "from step 0 with settings that are not on record", "from step 3,000 with lr 0.0005, batch size 256"
    assert f"\n\nThe settings changed on the way: {first}; {then}.\n" in text
    assert "\n\nThe log of the first day is lost.\n" in text
    assert "| hardware | 1 CPU core (x86) |" in text


def test_what_nobody_measured_is_said_and_never_made_up(tmp_path):
    text = cards.render(save(tmp_path / "tiny"))
    assert "Not measured yet" in text
    assert "## Training\n\nNot recorded." in text
    assert parse(text, tmp_path).data.eval_results is None


def test_figures_of_other_weights_are_refused(tmp_path):
    folder = save(tmp_path / "tiny", [AGREEMENT])
    figures = (folder / "metrics.json").read_text()
    MLP(MLPConfig(inputs=4, widths=(3,), classes=2)).save_pretrained(folder)  # other random weights
    (folder / "metrics.json").write_text(figures)  # a save drops them; somebody put them back
    with pytest.raises(genlab.GenlabError, match="measured on other weights.*genlab evaluate tiny"):
        cards.render(folder)


def test_a_card_is_the_same_in_every_process(tmp_path):
    folder = save(tmp_path / "tiny", [AGREEMENT, UNMEASURED])
    code = f"import sys; from genlab import cards; sys.stdout.write(cards.render({str(folder)!r}))"
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(genlab.__file__).parents[1]), "PYTHONUTF8": "1"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env, check=True, encoding="utf-8")
    assert other.stdout == cards.render(folder)


def test_the_minimal_card_of_a_class_of_ones_own(tmp_path):
    class Own(MLP):
        """My net.

        It has two layers.
        """

        config: MLPConfig

    text = cards.minimal(Own(MLPConfig(inputs=4, widths=(3,), classes=2)))
    assert "# Own\n\nMy net.\n\nIt has two layers." in text
    assert f'from {__name__} import Own\n\nmodel = Own.from_pretrained("user/name")' in text
    assert "Not measured" in text
    assert "The law" not in text  # this file states none
    data = parse(text, tmp_path).data
    assert (data.library_name, data.tags, data.license) == ("genlab", ["genlab", "own"], None)


def test_the_law_is_written_in_the_hubs_delimiters(monkeypatch):
    law = Law(
        latex=r"p = q", symbols={r"q": r"a number in $[0, 1]$"}, paper="An, Other et al.: A Title: Part Two", year=1999
    )
    monkeypatch.setattr("genlab.models.classic.mlp.LAW", law)
    text = cards.minimal(MLP(MLPConfig(inputs=4, widths=(3,))))
    assert "$$\np = q\n$$" in text
    assert "- \\\\( q \\\\): a number in \\\\( [0, 1] \\\\)" in text
    assert "title = {A Title: Part Two},\n  author = {An and Other and others},\n  year = {1999}" in text


# -- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Metric("m", 0.99123, 0.00071), "0.99123 ± 0.00071"),
        (Metric("m", 3.14159, 0.2), "3.14 ± 0.20"),
        (Metric("m", 1234.5, 67.8), "1234 ± 68"),
        (Metric("m", 0.5, 0.0), "0.5 ± 0"),
        (Metric("m", 0.43219, unit="%"), "0.4322 %"),
        (Metric("m", 2), "2"),
        (Metric("m"), "not measured"),
    ],
)
def test_a_value_shows_as_many_digits_as_its_spread_bears(metric, text):
    assert value(metric) == text


def test_numbers_and_durations():
    assert [number(x) for x in (1_240_371, 0.043219, 12345.6, 1.0)] == ["1,240,371", "0.04322", "12,346", "1"]
    assert [duration(s) for s in (41.3, 312, 3599.6, 8012)] == ["41 s", "5 min 12 s", "1 h 0 min", "2 h 14 min"]


def fid(rho, steps, x, **more):
    return Metric("fid", x, better="lower", samples=10, seeds=3, settings={"rho": rho, "steps": steps, **more})


def test_two_settings_that_vary_make_a_grid():
    text = tables([fid(0.5, 20, 1.5), fid(0.0, 10, 1.0), fid(0.0, 20, 2.0), fid(1.0, 20, 3.0)])
    assert text == (
        "**FID ↓ by rho and steps**, 10 samples, 3 seeds\n\n"
        "| rho \\ steps | 10 | 20 |\n| --- | --- | --- |\n"
        "| 0 | 1 | 2 |\n| 0.5 |  | 1.5 |\n| 1 |  | 3 |"
    )


def test_a_third_setting_makes_a_grid_for_each_of_its_values():
    grid = [fid(rho, steps, rho + steps, sampler="a") for rho in (0, 1, 2) for steps in (10, 20)]
    text = tables([*grid, fid(1, 20, 7.25, sampler="b")])
    assert text.count("FID ↓ by rho and steps") == 1
    assert "sampler a" in text.split("\n")[0]
    assert "| FID ↓ | 7.25 | 10 | 3 |  | rho 1, steps 20, sampler b |" in text


def test_metrics_that_vary_with_the_same_setting_share_a_table():
    metrics = [Metric(name, rho + i, settings={"rho": rho}) for i, name in enumerate(("a", "b")) for rho in (10, 2)]
    assert tables(metrics) == "**By rho**\n\n| rho | a | b |\n| --- | --- | --- |\n| 2 | 2 | 3 |\n| 10 | 10 | 11 |"


def test_every_figure_stands_in_some_table():
    grid = [fid(rho, steps, 100 + 10 * rho + steps, sampler=s) for rho in (0, 1) for steps in (1, 2) for s in "ab"]
    metrics = [*grid, Metric("x", 7777), Metric("y", 8888, headline=True), Metric("y", 9999, settings={"k": 1})]
    text = tables(metrics)
    for metric in metrics:
        assert re.search(rf"\| {number(metric.value)} \|", text), metric


# -- drift -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one model and a README."""
    monkeypatch.setattr(names, "root", lambda: tmp_path)
    monkeypatch.setattr(cards, "root", lambda: tmp_path)
    save(tmp_path / "model_cards" / "tiny", [AGREEMENT])
    (tmp_path / "README.md").write_text(f"# House\n\n{cards.BEGIN}\nold\n{cards.END}\n\nThe end.\n")
    return tmp_path


def test_cards_and_the_readme_are_written_once(checkout):
    card, readme = checkout / "model_cards" / "tiny" / "README.md", checkout / "README.md"
    assert cards.write_all() == [card, readme]
    assert cards.write_all() == []
    assert cards.write_all(check=True) == []
    what = "Pictures (or any tensors of `inputs` numbers) to class logits."
    row = f"| [tiny](model_cards/tiny/README.md) | classic | {what}"
    text = readme.read_text()
    assert f"{row} | 23 | agreement (rho 1, steps 50, sampler ddim): 0.99123 ± 0.00071 |" in text
    assert text.startswith("# House\n") and text.endswith("\n\nThe end.\n") and "old" not in text


@pytest.mark.parametrize("file", ["README.md", "model_cards/tiny/README.md"])
def test_an_edited_number_is_found(checkout, file):
    cards.write_all()
    edited = (checkout / file).read_text().replace("0.99123 ± 0.00071", "0.99923 ± 0.00071")
    (checkout / file).write_text(edited)
    with pytest.raises(genlab.GenlabError, match="make cards") as error:
        cards.write_all(check=True)
    assert f"\n  {checkout / file}\n" in str(error.value)
    assert re.search(r"^-.*0\.99923.*\n\+.*0\.99123", str(error.value), flags=re.M)
    assert (checkout / file).read_text() == edited  # the check repairs nothing
    cards.write_all()
    assert "0.99923" not in (checkout / file).read_text()


def test_a_missing_card_is_drift(checkout):
    with pytest.raises(genlab.GenlabError, match="make cards"):
        cards.write_all(check=True)
    assert not (checkout / "model_cards" / "tiny" / "README.md").exists()


def test_a_readme_without_a_place_for_the_table(checkout):
    (checkout / "README.md").write_text(f"# House\n\n{cards.END}\n{cards.BEGIN}\n")
    with pytest.raises(genlab.GenlabError, match="the table goes between"):
        cards.write_all()


# -- the cards of this repository ------------------------------------------------------------------------------------


def test_the_committed_cards_are_up_to_date():
    cards.write_all(check=True)


@pytest.mark.parametrize("entry", genlab.list_pretrained(), ids=lambda entry: entry.name)
class TestEveryCard:
    def test_leaves_nothing_out(self, entry):
        card = ModelCard.load(entry.folder / "README.md")
        source = cards.find_recipe(
            entry.name, figures.read(entry.folder)
        ).source  # what has no copy on the Hub is told in words
        assert card.data.license and (card.data.datasets or source) and card.data.eval_results
        for title in (
            "The law",
            "Use",
            "Figures",
            "Training",
            "Reproduce",
            "Data",
            "Intended use",
            "Limits",
            "Citation",
        ):
            assert f"\n## {title}\n" in card.text
        assert (entry.folder / "samples.png").is_file() and "](samples.png)" in card.text
        for gap in ("Not measured yet", "Not recorded", "Not stated"):
            assert gap not in card.text

    def test_shows_code_that_runs(self, entry, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)  # it may save something
        snippet = re.search(r"^```python\n(.*?)\n```$", (entry.folder / "README.md").read_text(), flags=re.S | re.M)[1]
        exec(compile(snippet, f"{entry.name}/README.md", "exec"), {})
