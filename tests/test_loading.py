"""Saving and loading: exact round trips, atomic saves, and LoadError, nothing else, for hostile or broken files."""

import itertools
import json
import os
import pickle
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from wounds import mutate

import genlab
from genlab.core import Model
from genlab.models.classic import MLP, MLPConfig
from genlab.names import CONFIG, FAMILIES, NEXT, WEIGHTS, GenlabError, LoadError

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _exported(monkeypatch):
    tiny.export(monkeypatch)


@pytest.fixture
def saved(tmp_path) -> Path:
    """A folder that loads. Tests break it."""
    torch.manual_seed(0)
    return tiny.Tiny(tiny.TinyConfig(width=3, depth=2)).save_pretrained(tmp_path / "saved")


def refused(name, says: str, **how) -> str:
    """Assert that loading fails as it should: with LoadError, whose message holds `says`; and soon."""
    start = time.perf_counter()
    with pytest.raises(LoadError) as caught:
        genlab.from_pretrained(name, **how)
    message = str(caught.value)
    assert says in message, message
    assert len(message) < 2000
    assert time.perf_counter() - start < 10
    return message


def edit(folder: Path, **fields) -> None:
    """Change fields of config.json: `model=...` on top, `config__width=...` inside; None removes."""
    data = json.loads((folder / CONFIG).read_text())
    for key, value in fields.items():
        place, key = (data["config"], key.removeprefix("config__")) if key.startswith("config__") else (data, key)
        if value is None:
            del place[key]
        else:
            place[key] = value
    (folder / CONFIG).write_text(json.dumps(data))


def raw_safetensors(header: bytes | dict, data: bytes = b"", length: int | None = None) -> bytes:
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


# -- what comes back is what went in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_round_trip_keeps_class_config_every_bit_and_dtype(tmp_path, dtype):
    model = tiny.Tiny(tiny.TinyConfig(5, scale=0.1, activation="tanh", sizes=(3, 2), image=(1, 7), note="é")).to(dtype)
    model.steps += 7
    again = genlab.from_pretrained(model.save_pretrained(tmp_path / "model"))
    assert type(again) is tiny.Tiny and again.config == model.config and not again.training
    assert again.state_dict().keys() == model.state_dict().keys()
    for key, tensor in model.state_dict().items():
        assert again.state_dict()[key].dtype == tensor.dtype and torch.equal(again.state_dict()[key], tensor), key
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_an_exported_model_loads_by_either_door_and_computes_the_same(tmp_path):
    model = MLP(MLPConfig(inputs=4, widths=(3,))).eval()
    folder = model.save_pretrained(tmp_path / "mlp")
    x = torch.rand(5, 4)
    for load in (genlab.from_pretrained, MLP.from_pretrained):
        for name in (folder, str(folder)):
            assert torch.equal(load(name)(x), model(x))


def test_dtype_and_device_can_be_asked_for(saved):
    model = genlab.from_pretrained(saved, dtype=torch.float64, device="cpu")
    assert model.dtype == torch.float64 and model.device == torch.device("cpu")
    assert model.steps.dtype == torch.int64  # counters stay counters
    assert genlab.from_pretrained(saved, device="meta").device.type == "meta"
    refused(saved, "device=teapot", device="teapot")
    refused(saved, "dtype=torch.int8", dtype=torch.int8)
    if not torch.cuda.is_available():
        refused(saved, "no device=cuda on this machine", device="cuda")


def test_tensors_that_share_memory_are_saved_whole(tmp_path):
    model = tiny.Tiny(tiny.TinyConfig(4, depth=2))
    model.layers[1].weight.data, model.layers[0].weight.data = (
        model.layers[0].weight.data.T,
        model.layers[0].weight.data,
    )
    again = genlab.from_pretrained(model.save_pretrained(tmp_path / "tied"))
    assert torch.equal(again.layers[1].weight, model.layers[1].weight)


def test_the_card_comes_along_and_any_bytes_will_do(saved):
    assert genlab.from_pretrained(saved).card is None
    (saved / "README.md").write_bytes(b"# Caf\xe9\n")
    model = genlab.from_pretrained(saved)
    assert model.card == "# Caf\N{REPLACEMENT CHARACTER}\n"
    assert genlab.from_pretrained(model.save_pretrained(saved.parent / "copy")).card == model.card


def test_figures_and_pictures_stay_with_the_weights_they_are_of(saved):
    for name in ("README.md", "metrics.json", "golden.safetensors", "samples.png"):
        (saved / name).write_text(f"of these weights: {name}")
    model = genlab.from_pretrained(saved)
    copy = model.save_pretrained(saved.parent / "copy")
    assert sorted(f.name for f in copy.iterdir()) == sorted(f.name for f in saved.iterdir())
    with torch.no_grad():
        model.layers[0].weight += 1
    changed = model.save_pretrained(saved.parent / "changed")
    assert sorted(f.name for f in changed.iterdir()) == ["config.json", "model.safetensors"]
    model.card = "# Mine"  # a card of one's own goes wherever the model goes
    assert (model.save_pretrained(changed) / "README.md").read_text() == "# Mine"


def test_loading_leaves_the_callers_random_numbers_alone(saved):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    genlab.from_pretrained(saved)
    assert torch.equal(torch.rand(3), expected)


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "..",
        "../..",
        "../model_cards/x",
        "user/..",
        "a/../../b",
        "/",
        "/etc/passwd",
        "/no/such/folder",
        "~",
        "~nobody-at-all/model",
        "a\0b",
        "a\nb",
        "a\\b",
        "C:\\models",
        "x" * 300,
        "x" * 100_000,
        "y/" * 400,
        "user/name/more",
        "user//name",
        "https://example.org/user/name",
        "user/na me",
        "\ud800",
        "%2e%2e/x",
        "no-such-model",
        None,
        3,
        b"folder",
        Path("no-such-folder"),
        Path(),
    ],
    ids=lambda name: repr(name)[:24].encode("ascii", "replace").decode(),
)
def test_a_name_that_is_none_is_refused_without_asking_the_network(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    refused(name, "")


def test_a_misspelt_name_is_told_the_right_one():
    names = [pretrained.name for pretrained in genlab.list_pretrained()]
    if not names:
        pytest.skip("no model is bundled yet")
    refused(names[0][:-1], f"did you mean {names[0]!r}")
    refused(names[0].upper(), f"did you mean {names[0]!r}")


def test_a_folder_needs_a_config(tmp_path):
    refused(tmp_path, "holds no config.json")
    (tmp_path / CONFIG).mkdir()
    refused(tmp_path, "holds no config.json")


def test_a_local_folder_has_no_revision(saved):
    refused(saved, "leave revision out", revision="main")


def test_loops_of_links_and_pipes_end(tmp_path, saved):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(str(tmp_path / "loop"), "no folder")
    (saved / CONFIG).rename(saved / "kept")
    (saved / CONFIG).symlink_to(saved / CONFIG)
    refused(saved, "holds no config.json")
    (saved / CONFIG).unlink()
    (saved / "kept").rename(saved / CONFIG)
    (saved / WEIGHTS).unlink()
    os.mkfifo(saved / WEIGHTS)  # opening it would wait for ever
    refused(saved, "holds no model.safetensors")


def test_a_strangers_folder_publishes_nothing_of_the_users(saved, tmp_path):
    """Links that leave it, pipes and devices are not of the model: neither copied nor waited for."""
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (saved / "README.md").symlink_to(secret)
    (saved / "metrics.json").symlink_to("../secret")
    os.mkfifo(saved / "golden.safetensors")
    (saved / "samples.png").symlink_to("/dev/zero")
    model = genlab.from_pretrained(saved)
    assert model.card is None
    assert sorted(file.name for file in model.save_pretrained(tmp_path / "copy").iterdir()) == [CONFIG, WEIGHTS]
    (saved / "README.md").unlink()
    os.mkfifo(saved / "README.md")
    assert genlab.from_pretrained(saved).card is None
    for name in (CONFIG, WEIGHTS):
        (saved / name).rename(tmp_path / name)
        (saved / name).symlink_to(tmp_path / name)
        refused(saved, f"holds no {name} but a link out of it")
        (saved / name).unlink()
        (saved / "kept").mkdir(exist_ok=True)
        (tmp_path / name).rename(saved / "kept" / name)
        (saved / name).symlink_to(f"kept/{name}")  # within the folder it may
    other = tiny.Tiny(tiny.TinyConfig(width=5)).save_pretrained(tmp_path / "other")
    (saved / NEXT).symlink_to(other)  # no save on its way in
    assert genlab.from_pretrained(saved).config == model.config
    model.save_pretrained(saved)
    assert genlab.from_pretrained(other).config.width == 5 and not (saved / NEXT).exists()


def test_a_snapshot_in_the_hubs_cache_is_links_to_blobs(saved, tmp_path):
    """Given as a folder, it loads, card and figures included; blobs that lie elsewhere are no blobs."""
    (saved / "README.md").write_text("# Its card")
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "c0ffee"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for i, file in enumerate(sorted(saved.iterdir())):
        shutil.copy(file, blobs / f"{i}")
        (snapshot / file.name).symlink_to(f"../../blobs/{i}")
    model = genlab.from_pretrained(snapshot)
    assert model.card == "# Its card"
    assert (model.save_pretrained(tmp_path / "copy") / "README.md").read_text() == "# Its card"
    blobs.rename(tmp_path / "elsewhere")
    blobs.symlink_to(tmp_path / "elsewhere")
    refused(snapshot, "holds no config.json but a link out of it")


# -- classes ---------------------------------------------------------------------------------------------------------


def test_another_class_is_refused_and_named(saved):
    with pytest.raises(LoadError, match="holds a Tiny, not a MLP: use genlab.from_pretrained"):
        MLP.from_pretrained(saved)


@pytest.mark.parametrize("model", ["Nobody", "os.system", "__class__", "nn", "Model", "TinyConfig", "", "../Tiny"])
def test_only_exported_models_can_be_named(saved, model):
    edit(saved, model=model)
    refused(saved, "has no model" if model.isidentifier() else "which is no name of a class")


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_is_asked_for_its_own_models_only(saved, family):
    edit(saved, family=family, model="Nobody")
    refused(saved, f"has no model 'Nobody' in '{family}'")


@pytest.mark.parametrize("family", ["", "os", "..names", "classic.mlp", "Classic", "core"])
def test_only_the_ten_families_can_be_named(saved, family):
    edit(saved, family=family)
    refused(saved, "names the family")


# -- configs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read"),
        ("not json", "cannot be read"),
        ("[1, 2]", "is not a genlab config"),
        ("null", "is not a genlab config"),
        ("{}", "is not a genlab config"),
        ('{"family": "classic", "model": ["Tiny"], "config": {}}', "is not a genlab config"),
        ('{"family": "classic", "model": "Tiny", "config": [1]}', "is not a genlab config"),
        ('{"family": "classic", "model": "\\u001b[2J", "config": {}}', "which is no name of a class"),
        ('{"family": "classic", "model": "os.system", "config": {}}', "which is no name of a class"),
        ('{"family": "classic", "model": "Tiny", "config": {"width": 3, "width": 4}}', "a key stands twice"),
        ('{"family": "classic", "model": "Tiny", "config": {"width": 3, "scale": NaN}}', "NaN is not allowed"),
        ('{"family": "classic", "model": "Tiny", "config": {"width": 3, "scale": -Infinity}}', "is not allowed"),
        ('{"family": "classic", "model": "Tiny", "config": {"width": 3, "scale": 1e999}}', "not a finite number"),
        ('{"family": "classic", "model": "Tiny", "config": {"width": %s}}' % ("9" * 5000), "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"a":' * 100_000, "cannot be read"),
        (" " * (1 << 20) + "{}", "larger than"),
    ],
    ids=lambda text: text[-40:],
)
def test_a_broken_config_is_refused(saved, text, says):
    (saved / CONFIG).write_text(text)
    refused(saved, says)


def test_a_config_that_is_no_text_is_refused(saved):
    (saved / CONFIG).write_bytes(b"\xff\xfe\x00")
    refused(saved, "cannot be read")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"config__colour": "red"}, "sets colour"),
        ({"config__width": None}, "width"),
        ({"config__width": "3"}, "width is '3'"),
        ({"config__width": 3.0}, "width is 3.0"),
        ({"config__width": True}, "width is True"),
        ({"config__width": [3]}, "width is [3]"),
        ({"config__width": {"a": 1}}, "width"),
        ({"config__width": -3}, "no Tiny that can be built"),
        ({"config__scale": "1"}, "scale is '1'"),
        ({"config__scale": False}, "scale is False"),
        ({"config__scale": 10**400}, "scale to a number far larger"),
        ({"config__squash": 1}, "squash is 1"),
        ({"config__activation": "gelu"}, "activation is 'gelu'"),
        ({"config__activation": ["relu"]}, "activation"),
        ({"config__sizes": [1, "2"]}, "sizes is '2'"),
        ({"config__sizes": 3}, "sizes is 3"),
        ({"config__image": [2, 2, 2]}, "image is [2, 2, 2]"),
        ({"config__image": []}, "image is []"),
        ({"config__note": 3}, "note is 3"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_every_field_is_known_present_and_of_its_type(saved, fields, says):
    edit(saved, **fields)
    refused(saved, says)


@pytest.mark.parametrize(
    "fields",
    [
        {"config__width": 10**9},
        {"config__width": -(10**9)},
        {"config__depth": 10**9},
        {"config__depth": 10**18},
        {"config__depth": 60_000},
        {"config__width": 60_000, "config__depth": 3},
        {"config__sizes": [10**12]},
        {"config__sizes": [1] * 100_000},
        {"config__image": [10**9, 10**9]},
    ],
    ids=lambda value: str(value)[:60],
)
def test_absurd_sizes_neither_allocate_nor_hang(saved, fields):
    edit(saved, **fields)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(saved, "far larger than")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes


def test_config_and_weights_must_agree(saved):
    edit(saved, config__depth=3)
    refused(saved, "missing: layers.2.bias, layers.2.weight")
    edit(saved, config__depth=1)
    refused(saved, "unknown: layers.1.bias, layers.1.weight")
    edit(saved, config__depth=2, config__width=4)
    refused(saved, "layers.0.weight is (3, 4), not (4, 4)")


# -- weights ---------------------------------------------------------------------------------------------------------


class Bomb:
    """Creates the file when unpickled."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_under_the_right_name_is_not_opened(saved, protocol):
    (saved / WEIGHTS).write_bytes(pickle.dumps(Bomb(saved / "boom"), protocol=protocol))
    message = refused(saved, "is no safetensors file")
    assert protocol < 2 or "pickle" in message
    assert not (saved / "boom").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_under_the_right_name_is_not_opened(saved, zipped):
    torch.save({"layers.0.weight": Bomb(saved / "boom")}, saved / WEIGHTS, _use_new_zipfile_serialization=zipped)
    refused(saved, "it is a pickle under another name")
    assert zipped == zipfile.is_zipfile(saved / WEIGHTS)
    assert not (saved / "boom").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "weights.ckpt", "model.pkl"])
def test_a_folder_with_a_pickle_only_is_refused_and_told_why(saved, name):
    (saved / WEIGHTS).unlink()
    torch.save(Bomb(saved / "boom"), saved / name)
    assert name in refused(saved, "a pickle, which can run any code")
    assert not (saved / "boom").exists()


def test_no_weights_at_all(saved):
    (saved / WEIGHTS).unlink()
    refused(saved, "holds no model.safetensors")
    (saved / WEIGHTS).mkdir()
    refused(saved, "holds no model.safetensors")


WHOLE = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(
    "content",
    list(
        {
            "empty": b"",
            "short": b"\x01\x02\x03",
            "no header": struct.pack("<Q", 0),
            "header longer than file": raw_safetensors(WHOLE, b"\0" * 8, length=10_000),
            "header of 2**63 bytes": raw_safetensors(WHOLE, b"\0" * 8, length=2**63),
            "header of 2**64 - 1 bytes": raw_safetensors(WHOLE, b"\0" * 8, length=2**64 - 1),
            "header of 200 MB": raw_safetensors(WHOLE, b"\0" * 8, length=200_000_000),
            "header is no JSON": raw_safetensors(b"{" * 100),
            "header is deep": raw_safetensors(b'{"a":' * 50_000),
            "header is a list": raw_safetensors(b"[1, 2, 3]"),
            "header is no text": raw_safetensors(b"\xff\xfe{}"),
            "data cut short": raw_safetensors(WHOLE, b"\0" * 7),
            "data too long": raw_safetensors(WHOLE, b"\0" * 9),
            "overlap": raw_safetensors(
                {
                    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                    "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
                },
                b"\0" * 12,
            ),
            "hole": raw_safetensors(
                {
                    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                    "b": {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]},
                },
                b"\0" * 24,
            ),
            "backwards": raw_safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}, b"\0" * 8),
            "negative": raw_safetensors({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, b"\0" * 8),
            "shape overflows": raw_safetensors(
                {"a": {"dtype": "F32", "shape": [2**32, 2**32], "data_offsets": [0, 8]}}, b"\0" * 8
            ),
            "shape of nothing, huge": raw_safetensors(
                {"a": {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]}}
            ),
            "shape and data disagree": raw_safetensors(
                {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"\0" * 8
            ),
            "unknown dtype": raw_safetensors({"a": {"dtype": "Q7", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8),
        }.items()
    ),
    ids=lambda item: item[0],
)
def test_a_broken_safetensors_file_is_refused(saved, content):
    (saved / WEIGHTS).write_bytes(content[1])
    refused(saved, WEIGHTS)


def test_weights_cut_anywhere_are_refused(saved):
    whole = (saved / WEIGHTS).read_bytes()
    for size in range(0, len(whole), 7):
        (saved / WEIGHTS).write_bytes(whole[:size])
        refused(saved, "is no safetensors file")


def test_missing_unknown_and_misshapen_tensors_are_named(saved):
    tensors = load_file(saved / WEIGHTS)
    save_file({key: t for key, t in tensors.items() if key != "layers.1.bias"}, saved / WEIGHTS)
    refused(saved, "missing: layers.1.bias")
    save_file(tensors | {"extra": torch.zeros(1)}, saved / WEIGHTS)
    refused(saved, "unknown: extra")
    save_file(tensors | {"layers.1.bias": torch.zeros(4)}, saved / WEIGHTS)
    refused(saved, "wrong shape: layers.1.bias is (4,), not (3,)")
    save_file(tensors | {"layers.1.bias": torch.zeros(3, 1)}, saved / WEIGHTS)
    refused(saved, "wrong shape")
    save_file({}, saved / WEIGHTS)
    refused(saved, "missing")


def test_many_empty_tensors_are_refused_by_the_header(saved, monkeypatch):
    """None is fetched, which takes a tenth of a millisecond each; nor is a header parsed that alone takes seconds."""

    def shapes_only(file, framework):
        opened = safe_open(file, framework)
        return SimpleNamespace(keys=opened.keys, get_slice=opened.get_slice)

    def empty(count: int) -> bytes:
        return raw_safetensors({f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(count)})

    monkeypatch.setattr("genlab.reading.safe_open", shapes_only)
    (saved / WEIGHTS).write_bytes(empty(30_000))
    refused(saved, "unknown: t0, t1, t10 ...")
    monkeypatch.setattr("genlab.reading.safe_open", lambda *_, **__: pytest.fail("parsed the header"))
    (saved / WEIGHTS).write_bytes(empty(200_000))
    refused(saved, "is the most that genlab reads")


def test_names_of_any_length_are_told_briefly(saved):
    save_file({"x" * 100_000: torch.zeros(1)}, saved / WEIGHTS)
    refused(saved, "unknown: xxx")


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_weights_of_another_kind_are_refused(saved, dtype):
    tensors = load_file(saved / WEIGHTS)
    save_file(tensors | {"layers.1.bias": torch.zeros(3).to(dtype)}, saved / WEIGHTS)
    refused(saved, "wrong type: layers.1.bias")
    save_file(tensors | {"steps": torch.zeros(())}, saved / WEIGHTS)
    refused(saved, "wrong type: steps")


# -- fuzz ------------------------------------------------------------------------------------------------------------


# what JSON or binary formats dislike
AWKWARD = [b"\0", b"\xff", b'"', b"{", b"}", b"[", b",", b"-", b"1e999", b"null", b"NaN", b"\xff" * 8, b"9" * 30]


def loads(folder: Path) -> bool:
    """Whether a folder loads. If so, what it gives must be a model that works; if not, the error must be LoadError."""
    try:
        model = genlab.from_pretrained(folder)
    except LoadError:
        return False
    inputs = model.config.image[0] * model.config.image[1]
    assert type(model) is tiny.Tiny and model(torch.zeros(1, inputs, dtype=model.dtype)).shape[0] == 1
    return True


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
def test_mutated_files_load_as_a_model_or_raise_load_error(saved, file):
    whole = (saved / file).read_bytes()
    head = 8 + struct.unpack("<Q", whole[:8])[0] if file == WEIGHTS else len(whole)  # where nearly all can go wrong
    rng, good, start = random.Random(file), 0, time.perf_counter()
    for turn in range(1500):
        (saved / file).write_bytes(
            mutate(whole[:head], rng, AWKWARD) + whole[head:] if turn % 5 else mutate(whole, rng, AWKWARD)
        )
        good += loads(saved)
    assert 0 < good < 750  # some wounds are harmless (a digit of a float); most are not
    assert time.perf_counter() - start < 60


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")
def test_configs_of_random_values_load_as_a_model_or_raise_load_error(saved):
    """Well-formed JSON, senseless content: gets past the parser, into the constructor."""
    config = json.loads((saved / CONFIG).read_text())
    values = [
        None,
        True,
        False,
        0,
        1,
        2,
        3,
        4,
        -1,
        65_537,
        2**63,
        10**30,
        0.0,
        -0.5,
        1e308,
        5e-324,
        "",
        "relu",
        "3",
        "tanh",
    ]
    values += [[], [1], [2, 2], [4, 1], [0, 4], [-2, -2], [1, 2, 3], [[2, 2]], [None], {}, {"width": 3}, "x" * 1000]
    keys = [*config["config"], "colour", "__class__"]
    rng, good = random.Random(0), 0
    for _ in range(1500):
        changed = {rng.choice(keys): rng.choice(values) for _ in range(rng.randint(1, 2))}
        (saved / CONFIG).write_text(json.dumps(config | {"config": config["config"] | changed}))
        good += loads(saved)
    assert 0 < good < 750


def test_weights_of_random_headers_load_as_a_model_or_raise_load_error(saved):
    """Headers that parse, with names, types, shapes and offsets exchanged at random; the same bytes behind them."""
    whole = (saved / WEIGHTS).read_bytes()
    size = struct.unpack("<Q", whole[:8])[0]
    header, data = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    dtypes = ["F32", "F64", "F16", "BF16", "I64", "I32", "U8", "BOOL", "C64", "F8_E4M3", "F4", "E8M0", "X"]
    shapes = [
        [],
        [0],
        [1],
        [3],
        [3, 4],
        [4, 3],
        [2, 6],
        [12],
        [3, 3],
        [1, 1, 1, 3],
        [2**63],
        [2**32, 2**32],
        [2**64 - 1, 0],
    ]
    rng, good = random.Random(0), 0
    for _ in range(1500):
        wounded = json.loads(json.dumps(header))
        for _ in range(rng.randint(1, 2)):
            one, other = rng.choice(list(wounded)), rng.choice(list(wounded))
            match rng.randrange(5):
                case 0:
                    wounded[one]["dtype"] = rng.choice(dtypes)
                case 1:
                    wounded[one]["shape"] = rng.choice(shapes)
                case 2:
                    wounded[one]["data_offsets"] = sorted(rng.choices(range(0, len(data) + 1, 4), k=2))
                case 3:
                    wounded[one], wounded[other] = wounded[other], wounded[one]
                case 4:
                    wounded[rng.choice(["__metadata__", "extra", "\0", "a.b"])] = wounded.pop(one)
        (saved / WEIGHTS).write_bytes(raw_safetensors(wounded, data))
        good += loads(saved)
    assert 0 < good < 750


# -- saving ----------------------------------------------------------------------------------------------------------


def test_a_second_save_replaces_the_first_and_keeps_what_else_lies_there(saved):
    (saved / "notes.txt").write_text("mine")
    (saved / "metrics.json").write_text("of the weights that were here before")
    tiny.Tiny(tiny.TinyConfig(width=7)).save_pretrained(saved)
    assert genlab.from_pretrained(saved).config == tiny.TinyConfig(width=7)
    assert sorted(file.name for file in saved.iterdir()) == [CONFIG, WEIGHTS, "notes.txt"]


@pytest.mark.parametrize("name", ["", " ", "."])
def test_a_folder_that_is_no_models_is_left_alone(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(GenlabError):
        tiny.Tiny(tiny.TinyConfig(width=7)).save_pretrained(name)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["model.safetensors", "README.md", "samples.png"])
def test_a_folder_in_the_place_of_a_file_stops_a_save_before_it_begins(saved, name):
    (saved / "metrics.json").write_text("figures")
    (saved / name).unlink(missing_ok=True)
    (saved / name).mkdir()
    before = {file.name: file.is_dir() or file.read_bytes() for file in saved.iterdir()}
    with pytest.raises(GenlabError, match="move it away first"):
        tiny.Tiny(tiny.TinyConfig(width=5)).save_pretrained(saved)
    assert {file.name: file.is_dir() or file.read_bytes() for file in saved.iterdir()} == before


def test_a_save_that_cannot_be_says_so_and_changes_nothing(saved, tmp_path):
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    wrong = tiny.Tiny(tiny.TinyConfig(width=3, scale=float("nan")))
    for folder in (saved, tmp_path / "new"):
        with pytest.raises(GenlabError, match="could not be saved"):
            wrong.save_pretrained(folder)
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "inside", "/proc/nowhere/model"):
        with pytest.raises(GenlabError, match="could not be saved"):
            tiny.Tiny(tiny.TinyConfig(width=3)).save_pretrained(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "saved"]


@pytest.mark.parametrize("room", [0, 100, 3_000, 60_000])
def test_a_full_disk_leaves_the_old_model(saved, tmp_path, room):
    """The limit on a file's size plays the full disk: a write fails half way, with an error."""
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    big = tiny.Tiny(tiny.TinyConfig(width=128, depth=3))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        for folder in (saved, tmp_path / "new"):
            with pytest.raises(GenlabError, match="could not be saved"):
                big.save_pretrained(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved"]
    big.save_pretrained(saved)
    assert genlab.from_pretrained(saved).config.width == 128


@pytest.mark.parametrize("arrived", [set(), {CONFIG}, {WEIGHTS}, {CONFIG, WEIGHTS}])
@pytest.mark.parametrize("old", [True, False])
def test_a_save_cut_short_while_moving_in_counts_as_done(saved, tmp_path, arrived, old):
    """Both files of the new model fit the old one in shape, so a mixture would load: it must not come about."""
    folder = tmp_path / "target"
    folder.mkdir()
    if old:
        tiny.Tiny(tiny.TinyConfig(width=3, depth=2, scale=5.0)).save_pretrained(folder)
    new = tiny.Tiny(tiny.TinyConfig(width=3, depth=2, scale=7.0))
    shutil.copytree(new.save_pretrained(tmp_path / "new"), folder / NEXT)
    for name in arrived:
        os.replace(folder / NEXT / name, folder / name)
    again = genlab.from_pretrained(folder)
    assert again.config.scale == 7 and torch.equal(again.layers[0].weight, new.layers[0].weight)
    last = tiny.Tiny(tiny.TinyConfig(width=2)).save_pretrained(folder)
    assert sorted(file.name for file in last.iterdir()) == [CONFIG, WEIGHTS]
    assert genlab.from_pretrained(last).config.width == 2


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # the child only saves, on this one thread
def test_killed_at_any_step_of_a_save_the_folder_holds_the_old_or_the_new(tmp_path):
    """A child that saves is ended, as by kill -9, before its first, second, third ... touch of the file system. The two
    models fit each other's shapes, so that a mixture would load."""
    folder, steps, kept = tmp_path / "model", 0, set()
    marks = [tiny.Tiny(tiny.TinyConfig(width=3, scale=mark)) for mark in (1.0, 2.0)]
    for model in marks:
        torch.nn.init.constant_(model.layers[0].weight, model.config.scale)
    marks[0].save_pretrained(folder)
    for end in range(1000):
        old = genlab.from_pretrained(folder).config.scale
        new = marks[old == 1.0]
        child = os.fork()
        if child == 0:
            touches = itertools.count()

            def step(event: str, _, end=end, touches=touches):
                if event.startswith(("os.", "open", "shutil.", "tempfile.")) and next(touches) == end:
                    os._exit(9)

            sys.addaudithook(step)
            new.save_pretrained(folder)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        now = genlab.from_pretrained(folder)
        assert now.layers[0].weight.unique().tolist() == [now.config.scale]
        assert now.config.scale in (old, new.config.scale)
        if status == 0:
            assert now.config.scale == new.config.scale
            break
        assert status == 9
        kept.add(now.config.scale == old)
        steps += 1
    assert steps >= 10 and kept == {True, False}  # ended both before and after the one moment that decides


SAVER = """
import sys, torch
sys.path.insert(0, {here!r})
import tiny
torch.set_num_threads(1)
models = [tiny.Tiny(tiny.TinyConfig(width=300, depth=3, scale=mark)) for mark in (1.0, 2.0)]
for model in models:
    torch.nn.init.constant_(model.layers[0].weight, model.config.scale)
print("ready", flush=True)
while True:
    for model in models:
        model.save_pretrained(sys.argv[1])
"""


def test_a_process_that_saves_without_end_may_be_stopped_or_killed_at_random(tmp_path):
    """A stopped process leaves on disk what a killed one would; in the end it really is killed."""
    folder, rng, seen = tmp_path / "model", random.Random(0), set()
    command = [sys.executable, "-c", SAVER.format(here=str(HERE)), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as saver:
        try:
            assert saver.stdout.readline() == b"ready\n"
            while not (folder / CONFIG).exists():
                time.sleep(0.001)
            for turn in range(20):
                time.sleep(rng.uniform(0, 0.03))
                os.kill(saver.pid, signal.SIGSTOP if turn < 19 else signal.SIGKILL)
                os.waitpid(saver.pid, os.WUNTRACED)
                model = genlab.from_pretrained(folder)
                assert model.layers[0].weight.unique().tolist() == [model.config.scale]
                seen.add(model.config.scale)
                if turn < 19:
                    os.kill(saver.pid, signal.SIGCONT)
        finally:
            saver.kill()
    assert seen == {1.0, 2.0}
    assert genlab.from_pretrained(tiny.Tiny(tiny.TinyConfig(width=2)).save_pretrained(folder)).config.width == 2


# -- the base class --------------------------------------------------------------------------------------------------


def test_a_model_takes_its_own_config_only():
    @dataclass(frozen=True)
    class Other:
        width: int = 3

    with pytest.raises(TypeError, match="Tiny takes a TinyConfig, not Other"):
        tiny.Tiny(Other())


def test_a_class_of_ones_own_loads_through_itself(tmp_path):
    @dataclass(frozen=True)
    class MineConfig:
        width: int = 3

    class Mine(Model):
        config: MineConfig

        def __init__(self, config):
            super().__init__(config)
            self.layer = torch.nn.Linear(config.width, 1)

    folder = Mine(MineConfig(5)).save_pretrained(tmp_path / "mine")
    assert Mine.from_pretrained(folder).config.width == 5
    refused(folder, "load it through its own class, Mine.from_pretrained")


def test_saving_leaves_other_programs_models_alone(saved, tmp_path):
    """A transformers model also keeps a config.json and a model.safetensors."""
    theirs = {"config.json": '{"other": "program"}', "README.md": "theirs", "model.safetensors": "theirs"}
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name, text in theirs.items():
        (folder / name).write_text(text)
    with pytest.raises(GenlabError, match="holds no model of genlab"):
        genlab.from_pretrained(saved).save_pretrained(folder)
    assert {file.name: file.read_text() for file in folder.iterdir()} == theirs
