"""Data sets: files whole and broken, the Hub where there are none, and an error that names both ways."""

import gzip
import hashlib
import http.server
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from genlab.data import binarized_mnist, digits, mnist
from genlab.data.augment import random_affine
from genlab.names import DataError

COUNTS = {"train": 12, "t10k": 6}


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


@pytest.fixture
def small(monkeypatch):
    """MNIST of a few pictures."""
    monkeypatch.setattr(mnist, "SPLITS", {"train": ("train", 12), "test": ("t10k", 6)})
    monkeypatch.setattr(mnist, "VALID", 4)
    random = np.random.default_rng(0)
    return {
        f"{prefix}-{kind}": random.integers(0, top, (count, *shape), dtype=np.uint8)
        for prefix, count in COUNTS.items()
        for kind, top, shape in (("images-idx3-ubyte", 256, (28, 28)), ("labels-idx1-ubyte", 10, ()))
    }


@pytest.fixture(params=["packed", "plain"])
def folder(request, small, tmp_path, monkeypatch):
    """What GENLAB_DATA names, with the files gzipped or not."""
    (tmp_path / "mnist").mkdir()
    for name, array in small.items():
        packed = request.param == "packed"
        file = tmp_path / "mnist" / (name + ".gz" * packed)
        file.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path))
    return tmp_path / "mnist"


def test_idx_files_are_read(folder, small):
    for split, prefix in (("train", "train"), ("test", "t10k")):
        data = mnist.load(split)
        assert data["image"].dtype == torch.uint8 and data["label"].dtype == torch.int64
        assert np.array_equal(data["image"][:, 0].numpy(), small[f"{prefix}-images-idx3-ubyte"])
        assert np.array_equal(data["label"].numpy(), small[f"{prefix}-labels-idx1-ubyte"])
    splits = mnist.splits()
    assert torch.equal(torch.cat([splits["train"]["image"], splits["valid"]["image"]]), mnist.load("train")["image"])
    assert len(splits["valid"]["label"]) == 4
    with pytest.raises(DataError, match="train, test"):
        mnist.load("valid")


def broken(data: bytes) -> dict[str, bytes]:
    return {
        "cut short": data[:-5],
        "empty": b"",
        "a page of HTML": b"<!DOCTYPE html><title>404</title>",
    }


@pytest.mark.parametrize("how", broken(b"x"))
def test_a_broken_file_is_named(how, folder):
    file = next(folder.glob("t10k-images*"))
    file.write_bytes(broken(file.read_bytes())[how])
    with pytest.raises(DataError, match=rf"{file.name}.*Fetch it again"):
        mnist.load("test")
    assert len(mnist.load("train")["label"]) == 12


def test_a_flipped_bit_is_found(folder):
    """Wherever in a packed file; a plain one has no checksum."""
    file = folder / "t10k-images-idx3-ubyte.gz"
    for plain in folder.glob("t10k-images-idx3-ubyte"):
        file.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    whole = file.read_bytes()
    for place in range(10, len(whole), len(whole) // 40):  # behind the header, whose date may be any
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match=rf"{file.name}.*Fetch it again"):
            mnist.load("test")


def test_a_wrong_file_is_named(folder):
    """Labels under the name of pictures; pictures of the other split; another magic number."""
    images, labels, other = (next(folder.glob(name)) for name in ("t10k-im*", "t10k-la*", "train-im*"))
    plain = idx(np.zeros((6, 28, 28), np.uint8))
    wrong_magic = plain[:2] + b"\x0d" + plain[3:]
    magic = gzip.compress(wrong_magic) if images.suffix == ".gz" else wrong_magic
    for wrong in (labels.read_bytes(), other.read_bytes(), magic):
        images.write_bytes(wrong)
        with pytest.raises(DataError, match=rf"{images.name} is not the MNIST file of shape \(6, 28, 28\)"):
            mnist.load("test")


def test_a_missing_file_is_named(folder):
    file = next(folder.glob("train-labels*"))
    file.unlink()
    with pytest.raises(DataError, match="train-labels-idx1-ubyte.gz cannot be read"):
        mnist.load("train")


# -- the Hub -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Where the libraries look: nowhere as yet, and with an empty cache. Waits are counted, not waited."""
    datasets, hub = pytest.importorskip("datasets"), pytest.importorskip("huggingface_hub")
    monkeypatch.delenv("GENLAB_DATA", raising=False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)

    def at(url: str) -> list[float]:
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", url)
        monkeypatch.setattr(hub.constants, "ENDPOINT", url)
        monkeypatch.setattr(
            hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        return waits

    return at


@pytest.fixture
def server():
    """A server that answers everything with one status, and notes what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            self.server.asked.append(self.path)
            self.send_response(self.server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_POST = answer

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.asked = []
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.mark.parametrize("status", [404, 503])
def test_a_hub_that_refuses(status, hub, server):
    server.status = status
    waits = hub(f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(
        DataError, match="Set GENLAB_DATA to a folder that holds mnist/train-images.*genlab train ddpm_digits"
    ):
        mnist.load("test")
    assert any("ylecun/mnist" in path for path in server.asked)
    assert sum(waits) < 60


def test_no_network_at_all(hub, monkeypatch, tmp_path):
    waits = hub("http://127.0.0.1:9")
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path))
    began = time.monotonic()
    with pytest.raises(DataError) as error:
        mnist.load("train")
    said = str(error.value)
    assert f"GENLAB_DATA is '{tmp_path}', which has no folder mnist/" in said and "on the Hub (ylecun/mnist: " in said
    assert time.monotonic() - began + sum(waits) < 60  # seconds


def test_mnist_comes_from_the_hub(hub, small, monkeypatch, tmp_path):
    """As a data set of the Hub's form, here in a folder."""
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=[str(i) for i in range(10)]))
    for split, prefix in (("train", "train"), ("test", "t10k")):
        columns = {"image": list(small[f"{prefix}-images-idx3-ubyte"]), "label": small[f"{prefix}-labels-idx1-ubyte"]}
        file = tmp_path / "repo" / "mnist" / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(columns, features=features).to_parquet(str(file))
    hub("http://127.0.0.1:9")
    monkeypatch.setattr(mnist, "HUB_ID", str(tmp_path / "repo"))
    data = mnist.load("test")
    assert data["image"].dtype == torch.uint8 and data["label"].dtype == torch.int64
    assert np.array_equal(data["image"][:, 0].numpy(), small["t10k-images-idx3-ubyte"])
    assert np.array_equal(data["label"].numpy(), small["t10k-labels-idx1-ubyte"])


def test_the_real_mnist(mnist):
    """Its well-known counts."""
    assert mnist["image"].shape == (10_000, 1, 28, 28)
    assert mnist["label"].bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


# -- the embedded set, and changes of pictures -------------------------------------------------------------------------


def test_digits_are_all_there_and_nowhere_twice():
    from sklearn.datasets import load_digits

    splits = digits.splits()
    rows = [
        (*image.flatten().tolist(), label)
        for split in splits.values()
        for image, label in zip(split["image"], split["label"].tolist(), strict=True)
    ]
    assert len(rows) == len(set(rows)) == 1_797 and len(splits["valid"]["label"]) == 360
    known = load_digits()
    images = (known.images / 16 * 255).round().astype(np.uint8).reshape(1_797, 64)
    assert set(rows) == {(*image.tolist(), label) for image, label in zip(images, known.target.tolist(), strict=True)}
    assert splits["train"]["image"].max() == 255 and splits["valid"]["label"].bincount().min() > 20
    with pytest.raises(DataError, match="train, test"):
        digits.load("valid")


def test_affine_changes_are_what_they_say():
    """None of them leaves a picture alone; a shift by a quarter of it moves every pixel by as much."""
    x = torch.rand(4, 1, 8, 8)
    none = {"degrees": 0, "scale": 0, "shift": 0, "shear": 0}
    assert torch.allclose(random_affine(x, **none), x, atol=1e-5)
    moved = random_affine(x, **none | {"shift": 0.25})
    assert moved.shape == x.shape and not torch.allclose(moved, x, atol=0.1)
    dot = torch.zeros(200, 1, 21, 21)
    dot[:, 0, 10, 10] = 1
    turned = random_affine(dot, **none | {"degrees": 180})
    assert torch.allclose(turned[:, 0, 10, 10], torch.ones(200), atol=1e-4)  # a turn keeps the middle
    places = random_affine(dot, **none | {"shift": 0.25}).flatten(1).argmax(1)
    offsets = torch.stack([places // 21 - 10, places % 21 - 10])
    assert offsets.abs().max() in (5, 6) and offsets.float().mean().abs() < 1  # up to a quarter of 21, either way


@pytest.fixture
def bits(monkeypatch, tmp_path):
    """Binarized MNIST of a few pictures, where GENLAB_DATA says."""
    monkeypatch.setattr(binarized_mnist, "SPLITS", {"train": 7, "valid": 3, "test": 4})
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path))
    (tmp_path / "binarized_mnist").mkdir()
    random = np.random.default_rng(0)
    made = {split: random.integers(0, 2, (n, 784), dtype=np.uint8) for split, n in binarized_mnist.SPLITS.items()}
    monkeypatch.setattr(binarized_mnist, "MD5", {split: digest(x) for split, x in made.items()})
    return made


def digest(bits: np.ndarray) -> str:
    return hashlib.md5(binarized_mnist.as_published(torch.from_numpy(bits)), usedforsecurity=False).hexdigest()


def test_bits_are_read_packed_or_as_published(bits, tmp_path, monkeypatch):
    files = {split: tmp_path / "binarized_mnist" / f"binarized_mnist_{split}.amat" for split in bits}
    for split, x in bits.items():
        np.savetxt(files[split], x, fmt="%d", delimiter=" ")
    texts = {split: binarized_mnist.load(split)["image"] for split in bits}
    for split, x in bits.items():
        assert texts[split].shape == (len(x), 1, 28, 28) and np.array_equal(texts[split].flatten(1).numpy(), 255 * x)
        assert binarized_mnist.as_published(texts[split]) == files[split].read_bytes()
        np.savez_compressed(files[split].with_suffix(".npz"), x=1 - x)
        with pytest.raises(DataError, match="other bits than the papers'"):
            binarized_mnist.load(split)
        monkeypatch.setitem(binarized_mnist.MD5, split, digest(1 - x))
        assert torch.equal(binarized_mnist.load(split)["image"], 255 - texts[split]), "the packed file comes first"
    assert {key: len(value["image"]) for key, value in binarized_mnist.splits().items()} == {"train": 7, "valid": 3}


def test_bits_that_are_none_are_told(bits, tmp_path, monkeypatch):
    folder = tmp_path / "binarized_mnist"
    with pytest.raises(DataError, match="train, valid, test"):
        binarized_mnist.load("dev")
    with pytest.raises(DataError, match="binarized_mnist_test.amat"):
        binarized_mnist.load("test")
    (folder / "binarized_mnist_test.npz").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(DataError, match="Fetch it again"):
        binarized_mnist.load("test")
    for wrong in (np.zeros((4, 783), np.uint8), np.full((4, 784), 2, np.uint8), np.zeros((4, 784)), np.array([None])):
        np.savez(folder / "binarized_mnist_test.npz", x=wrong)
        with pytest.raises(DataError, match="Fetch it again"):
            binarized_mnist.load("test")
    (folder / "binarized_mnist_valid.amat").write_text("0 1 0\n")
    with pytest.raises(DataError, match="784 bits"):
        binarized_mnist.load("valid")
    monkeypatch.delenv("GENLAB_DATA")
    with pytest.raises(DataError, match="not set"):
        binarized_mnist.load("train")


@pytest.mark.parametrize("split", binarized_mnist.SPLITS)
def test_the_real_bits_are_those_of_the_papers(split):
    if not (Path(os.environ.get("GENLAB_DATA") or "nowhere") / "binarized_mnist").is_dir():
        pytest.skip("binarized MNIST is not at hand: GENLAB_DATA has no folder binarized_mnist/")
    text = binarized_mnist.as_published(binarized_mnist.load(split)["image"])
    assert hashlib.md5(text, usedforsecurity=False).hexdigest() == binarized_mnist.MD5[split]
