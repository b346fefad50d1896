"""CLIP: its loss against a loop over pairs, its towers against company and padding, its answers against cosines."""

import json
import math
import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from children import together
from contract import keeps_contract

from genlab.metrics import clip_score
from genlab.models.vision_language import CLIP, CLIPConfig, TwoTowers
from genlab.models.vision_language.clip import contrastive_loss
from genlab.train import Recipe, train
from genlab.words import tokens

WORDS = ("a", "red", "blue", "circle", "square", ",")
TINY = CLIPConfig(
    words=WORDS, context=8, image_size=16, image_widths=(8, 8), width=16, heads=2, image_layers=1, features=8
)
TEXTS = ["a red circle", "a blue square", "blue", "a red circle, a blue square"]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return CLIP(TINY).eval()


def pictures(n: int = 4):
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("wrong", [False, True])
def test_contract(wrong, tmp_path):
    batch = {"image": pictures(), "tokens": tokens(TEXTS, WORDS, 8)}
    if wrong:
        batch["wrong"] = tokens(TEXTS[::-1], WORDS, 8)
    keeps_contract(CLIP(TINY), batch, tmp_path)


def test_the_loss_is_the_mean_over_rows_and_columns():
    torch.manual_seed(2)
    image, text, wrong = (torch.nn.functional.normalize(torch.randn(5, 8), dim=1) for _ in range(3))
    sharpness = torch.tensor(9.0)
    for others in (None, wrong):
        rows = columns = 0.0
        for i in range(5):
            among = [math.exp(9 * float(image[i] @ y)) for y in (*text, *(() if others is None else others))]
            rows -= math.log(among[i] / sum(among))
            column = [math.exp(9 * float(x @ text[i])) for x in image]
            columns -= math.log(column[i] / sum(column))
        loss, _ = contrastive_loss(image, text, sharpness, others)
        assert loss.item() == pytest.approx((rows + columns) / 10, rel=1e-5)


def test_what_is_no_picture_and_no_class_is_refused(model):
    x = pictures()
    for wrong in (255 * x, x * float("nan")):
        with pytest.raises(ValueError, match="picture"):
            model.score(wrong, TEXTS)
    for classes, templates in (
        ("red", ["{}"]),
        (["red"], ["{} {}"]),
        (["red"], ["{} {y}"]),
        (["red"], "{}"),
        ([], ["{}"]),
    ):
        with pytest.raises(ValueError, match="classes|templates"):
            model.classifier(classes, templates)
    for temperature in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="temperature is positive"):
            model.zero_shot(x, ["red", "blue"], temperature=temperature)


def test_words_become_numbers_and_back(model):
    assert model.tokens(["A red,blue  CIRCLE"]).tolist() == [[3, 4, 8, 5, 6, 2]]
    assert model.tokens(TEXTS).shape == (4, 8) and model.tokens([]).shape == (0, 0)
    assert model.tokens(["red " * 1000]).shape == (1, 8)
    assert model.unknown("a Green circle, green and red") == ["Green", "green", "and"]
    assert model.unknown("") == [] and model.unknown(TEXTS[3]) == []
    with pytest.raises(ValueError, match="list of strings"):
        model.tokens("a red circle")


def test_padding_and_company_change_nothing(model):
    alone = torch.cat([model.encode_text([text]) for text in TEXTS])
    assert torch.allclose(alone, model.encode_text(TEXTS), atol=1e-6)
    x = pictures()
    assert torch.allclose(model.encode_image(x)[1:2], model.encode_image(x[1:2]), atol=1e-6)
    order = model.encode_text(["red blue", "blue red"])
    assert not torch.allclose(order[0], order[1], atol=1e-5), "the order of words matters"


def test_answers(model):
    x = pictures()
    image, text = model.encode_image(x), model.encode_text(TEXTS)
    assert torch.allclose(image.norm(dim=1), torch.ones(4)) and torch.allclose(text.norm(dim=1), torch.ones(4))
    assert isinstance(model, TwoTowers)
    assert torch.allclose(model.score(x, TEXTS), image @ text.T)
    assert torch.allclose(model.clip_score(x, TEXTS), clip_score(image, text), atol=1e-6)
    assert model.encode_text([]).shape == (0, 8) and model.score(x, []).shape == (4, 0)
    mean = (model.encode_text(["a red", "red"]).mean(0), model.encode_text(["a blue", "blue"]).mean(0))
    mean = torch.nn.functional.normalize(torch.stack(mean), dim=1)
    odds = model.zero_shot(x, ["red", "blue"], ["a {}", "{}"])
    assert torch.allclose(odds, (image @ mean.T / model.temperature).softmax(dim=1), atol=1e-6)
    flat = model.zero_shot(x, ["red", "blue"], temperature=1e6)
    assert torch.allclose(flat, torch.full((4, 2), 0.5), atol=1e-4)
    assert model.temperature == pytest.approx(0.07)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda m: m.clip_score(pictures(2), ["red"]), "no pairs"),
        (lambda m: m.zero_shot(pictures(), []), "a name each"),
        (lambda m: m.zero_shot(pictures(), ["red"], ["a circle"]), "a place for it"),
        (lambda m: m.encode_image(torch.rand(2, 3, 15, 16)), "pictures are"),
        (lambda m: CLIPConfig(words=("a", "a")), "each there once"),
        (lambda m: CLIPConfig(words=("A",)), "lower case"),
        (lambda m: CLIPConfig(width=10, heads=4), "multiple of 2 heads"),
        (lambda m: CLIPConfig(image_size=30), "patches"),
    ],
)
def test_refuses(model, ask, words):
    with pytest.raises(ValueError, match=words):
        ask(model)


def test_two_processes_see_the_whole_batch(tmp_path):
    """Each with half of the batch, by gloo: the loss is the whole batch's, and the mean gradient its gradient."""
    torch.manual_seed(0)
    model = CLIP(TINY)
    whole = {"image": pictures(), "tokens": tokens(TEXTS, WORDS, 8), "wrong": tokens(TEXTS[::-1], WORDS, 8)}
    loss, _ = model.loss(whole)
    loss.backward()
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        found = pool.starmap(_half, [(rank, str(tmp_path / "meet"), model.state_dict(), whole) for rank in range(2)])
    assert [value for value, _ in found] == pytest.approx([loss.item()] * 2, rel=1e-5)
    mean = {name: (found[0][1][name] + found[1][1][name]) / 2 for name in found[0][1]}
    for name, parameter in model.named_parameters():
        assert torch.allclose(mean[name], parameter.grad, atol=1e-5), name


def _half(rank: int, meet: str, state: dict, whole: dict):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=2)
    model = CLIP(TINY)
    model.load_state_dict(state)
    loss, _ = model.loss({key: value.chunk(2)[rank] for key, value in whole.items()})
    loss.backward()
    torch.distributed.destroy_process_group()
    return loss.item(), {name: parameter.grad for name, parameter in model.named_parameters()}


def test_two_processes_train_and_validate_as_one(tmp_path):
    """Only one of them validates, and waits for nobody."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap_async(_train, [(tmp_path / "two", env) for env in together(2)]).get(timeout=120)
    _train(tmp_path / "one", {})
    one, two = ([json.loads(line) for line in (tmp_path / n / "log.jsonl").open()] for n in ("one", "two"))
    assert {"train/loss", "valid/loss", "valid/accuracy"} <= {key for line in one for key in line}
    for a, b in zip(one, two, strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5), f"step {a['step']}"


def _train(run: Path, env: dict[str, str]) -> None:
    os.environ.update(env)
    torch.set_num_threads(1)
    data = {"image": pictures(), "tokens": tokens(TEXTS, WORDS, 8), "wrong": tokens(TEXTS[::-1], WORDS, 8)}
    recipe = Recipe(
        name="tiny-clip",
        summary="",
        model=CLIP,
        config=TINY,
        data=lambda: {"train": data, "valid": data},
        steps=3,
        batch_size=4,
        lr=1e-3,
        warmup=0,
        log_every=1,
        validate_every=2,
        tracker="none",
    )
    train(recipe, run_dir=run, quiet=True)
