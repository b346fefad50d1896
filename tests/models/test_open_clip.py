"""Others' CLIPs behind our protocol, against their own libraries: on small models that the test builds and saves.

No weights come from anywhere, nothing is mocked. The peers prepare 8-bit pictures of PIL, as their users do.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hub_server import HubServer

from genlab.models.vision_language import OpenCLIP, Scoring, TwoTowers
from genlab.models.vision_language.pictures import resize
from genlab.names import GenlabError, LoadError

pytest.importorskip("open_clip", reason="needs genlab[clip]", exc_type=ImportError)
pytest.importorskip("transformers")

WORDS = "a cat dog on the red mat photo of two".split()
TEXTS = [
    "a cat on the mat",
    "two red dog photo",
    "",
    "a photo of the red mat on the red cat and of unheard things " * 5,
]
TOWERS = {  # open_clip's configs, small
    "clip": {
        "model_cfg": {
            "embed_dim": 16,
            "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
            "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
            "quick_gelu": True,
        },
        "preprocess_cfg": {},
    },
    "squash": {  # as SigLIP: another tokenizer, the last token, no causal mask, a bias
        "model_cfg": {
            "embed_dim": 24,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": {"image_size": 24, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
            "text_cfg": {
                "context_length": 10,
                "vocab_size": 16,
                "hf_tokenizer_name": "someone/tokenizer",
                "tokenizer_kwargs": {"clean": "canonicalize"},
                "width": 16,
                "heads": 2,
                "layers": 1,
                "no_causal_mask": True,
                "pool_type": "last",
                "proj_bias": True,
            },
        },
        "preprocess_cfg": {
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bilinear",
            "resize_mode": "squash",
        },
    },
    "longest": {  # a ResNet, and pictures padded in grey
        "model_cfg": {
            "embed_dim": 16,
            "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8},
            "text_cfg": {"context_length": 9, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
        },
        "preprocess_cfg": {"resize_mode": "longest", "fill_color": 90},
    },
}
THEIRS = ("hf-clip", "hf-siglip", "hf-siglip2")
MODELS = (*TOWERS, *THEIRS)


def words():
    """A tokenizer of whole words, with an end."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["[PAD]", "[UNK]", "[END]", *WORDS])}, "[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A [END]", special_tokens=[("[END]", 2)])
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "[END]"}
    return PreTrainedTokenizerFast(tokenizer_object=made, model_input_names=["input_ids"], **names)


def letters(folder: Path):
    """CLIP's tokenizer, which spells words letter by letter."""
    from transformers import CLIPTokenizer

    alphabet = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = [*alphabet, *(letter + "</w>" for letter in alphabet), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=12)


def shake(net: torch.nn.Module) -> torch.nn.Module:
    """Away from the zeros and ones of a fresh net, so that every weight counts."""
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "logit" not in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return net


def build_open_clip(folder: Path, name: str) -> Path:
    import open_clip
    from open_clip.push_to_hf_hub import save_config_for_hf, save_for_hf
    from safetensors.torch import save_file

    described = TOWERS[name]
    config = described["model_cfg"]
    custom = config.get("custom_text")
    arguments = {key: value for key, value in config.items() if key != "custom_text"}
    net = shake((open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**arguments))
    pictures = described["preprocess_cfg"]
    open_clip.model.set_model_preprocess_cfg(net, {"mean": None, "std": None} | pictures)
    net.visual.image_mean = pictures.get("mean", open_clip.OPENAI_DATASET_MEAN)
    net.visual.image_std = pictures.get("std", open_clip.OPENAI_DATASET_STD)
    if custom:  # as push_to_hf_hub does: a pickle beside the safetensors
        save_for_hf(net, words(), config, str(folder), safe_serialization="both")
    else:
        folder.mkdir()
        save_file(net.state_dict(), folder / "open_clip_model.safetensors")
        save_config_for_hf(net, folder / "open_clip_config.json", config)
    if "fill_color" in pictures:
        rewrite(folder / "open_clip_config.json", preprocess_cfg=pictures)
    return folder


def build_transformers(folder: Path, name: str) -> Path:
    import transformers as hf

    text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**text, "hidden_size": 32, "num_hidden_layers": 2, "patch_size": 8, "image_size": 32}
    if name == "hf-clip":
        tokenizer = letters(folder.parent / "letters")
        marks = {"bos_token_id": 52, "eos_token_id": 53, "pad_token_id": 53}
        text |= {"vocab_size": 54, "max_position_embeddings": 12, **marks}
        net = hf.CLIPModel(hf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
        pictures = hf.CLIPImageProcessor(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32})
        hf.CLIPProcessor(pictures, tokenizer).save_pretrained(folder)  # all in processor_config.json
    else:
        tokenizer = words()
        text |= {"vocab_size": 16, "max_position_embeddings": 10, "hidden_size": 32}
        if name == "hf-siglip":
            net = hf.SiglipModel(hf.SiglipConfig(text_config=text, vision_config=vision))
            pictures = hf.SiglipImageProcessor(size={"height": 32, "width": 32})
        else:
            vision = {key: value for key, value in vision.items() if key != "image_size"} | {"num_patches": 16}
            net = hf.Siglip2Model(hf.Siglip2Config(text_config=text, vision_config=vision))
            pictures = hf.Siglip2ImageProcessor(patch_size=8, max_num_patches=16)
        tokenizer.save_pretrained(folder)
        pictures.save_pretrained(folder)
    shake(net).save_pretrained(folder)
    return folder


def rewrite(file: Path, **changes) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = {name: build_open_clip(root / name, name) for name in TOWERS}
        return made | {name: build_transformers(root / name, name) for name in THEIRS}


@pytest.fixture(scope="module")
def models(folders) -> dict[str, OpenCLIP]:
    return {name: OpenCLIP.from_pretrained(folder, device="cpu") for name, folder in folders.items()}


@pytest.fixture
def copy(folders, tmp_path):
    return lambda name: Path(shutil.copytree(folders[name], tmp_path / name))


def pictures(*sizes: tuple[int, int], seed: int = 0) -> list:
    """PIL pictures (height, width) of soft waves with a little noise, and hard edges, where filters overshoot."""
    from PIL import Image

    chance, made = np.random.default_rng(seed), []
    for h, w in sizes:
        y, x = np.mgrid[:h, :w] / max(h, w)
        waves = [0.5 + 0.5 * np.sin(2 * np.pi * (a * x + b * y)) for a, b in chance.uniform(1, 4, (3, 2))]
        image = np.stack(waves, axis=2) + 0.1 * chance.standard_normal((h, w, 3))
        image[h // 3 : h // 2, w // 4 : w // 2] = [1, 0, 1]
        made.append(Image.fromarray((255 * image.clip(0, 1)).round().astype(np.uint8)))
    return made


def tensor(image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255


class Peer:
    """The library's own way from pictures of PIL and from texts to features."""

    def __init__(self, name: str, folder: Path):
        import open_clip
        import transformers as hf

        self.ours = name in TOWERS
        if self.ours:
            self.net, self.prepare = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
            self.tokens = open_clip.get_tokenizer(f"local-dir:{folder}")
            self.net.eval()
        else:
            self.net = hf.AutoModel.from_pretrained(folder).eval()
            self.prepare = hf.AutoImageProcessor.from_pretrained(folder)
            length = {"padding": "max_length", "max_length": 12 if name == "hf-clip" else 10, "truncation": True}
            tokenizer = hf.AutoTokenizer.from_pretrained(folder)
            self.tokens = lambda texts: tokenizer(texts, return_tensors="pt", **length)

    def inputs(self, images: list) -> dict[str, torch.Tensor]:
        if self.ours:
            return {"image": torch.stack([self.prepare(image) for image in images])}
        return dict(self.prepare(images, return_tensors="pt"))

    @torch.no_grad()
    def image(self, images: list) -> torch.Tensor:
        inputs = self.inputs(images)
        features = self.net.encode_image(**inputs) if self.ours else self.net.get_image_features(**inputs).pooler_output
        return F.normalize(features, dim=1)

    @torch.no_grad()
    def text(self, texts: list[str]) -> torch.Tensor:
        tokens = self.tokens(texts)
        features = self.net.encode_text(tokens) if self.ours else self.net.get_text_features(**tokens).pooler_output
        return F.normalize(features, dim=1)


@pytest.fixture(scope="module")
def peers(folders) -> dict[str, Peer]:
    return {name: Peer(name, folder) for name, folder in folders.items()}


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


# -- the same features -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_features_are_the_librarys_own(models, peers, name):
    model, peer = models[name], peers[name]
    assert isinstance(model, Scoring)
    assert isinstance(model, TwoTowers)
    side = 36 if name == "hf-clip" else model.size  # which is resized to 36, then cropped
    images = pictures((side, side), (side, side))
    ours = model.encode_image(torch.stack([tensor(image) for image in images]))
    assert apart(ours, peer.image(images)) < 1e-6
    assert apart(model.encode_text(TEXTS), peer.text(TEXTS)) < 1e-6
    assert ours.norm(dim=1).allclose(torch.ones(2))
    assert apart(ours[0], ours[1]) > 1e-3  # it does look
    assert len(model.encode_text(TEXTS).unique(dim=0)) == len(TEXTS)
    assert model.temperature == pytest.approx(1 / peer.net.logit_scale.exp().item(), rel=1e-6)
    assert model.size == {"clip": 32, "squash": 24, "longest": 64}.get(name, 32)
    assert (
        apart(model.score(torch.stack([tensor(i) for i in images]), TEXTS), peer.image(images) @ peer.text(TEXTS).T)
        < 1e-6
    )


@pytest.mark.parametrize("size", [(57, 41), (40, 90), (20, 13), (200, 300), (33, 32)])
@pytest.mark.parametrize("name", MODELS)
def test_pictures_of_other_sizes_are_prepared_alike_but_for_rounding_to_bytes(models, peers, name, size):
    """PIL rounds to 8 bits after each of its two passes: half a level, grown by the second filter (the absolute values
    of a bicubic one sum to 1.25 or so), and half a level again. Crops and paddings are the same ones, to the pixel."""
    model, images = models[name], pictures(size)
    prepared, theirs = model._prepare(tensor(images[0])[None]), peers[name].inputs(images)
    prepared = prepared if isinstance(prepared, dict) else {next(iter(theirs)): prepared}
    assert prepared.keys() == theirs.keys()
    for key, value in prepared.items():
        assert value.shape == theirs[key].shape
    key = next(iter(theirs))
    levels = 255 * 0.5 * apart(prepared[key], theirs[key])  # 0.5 >= std: no more than this
    assert levels < 1.2 * (0.5 / 0.2613 if name in ("clip", "longest", "hf-clip") else 1)
    cosine = (model.encode_image([tensor(images[0])]) * peers[name].image(images)).sum()
    assert cosine > 1 - 1e-4


@pytest.mark.parametrize(("mode", "number"), [("bilinear", 2), ("bicubic", 3)])
@pytest.mark.parametrize(("size", "to"), [((57, 41), (32, 23)), ((20, 13), (49, 32)), ((200, 300), (32, 48))])
def test_rounded_as_pil_rounds_the_pixels_are_those_of_pil(mode, number, size, to):
    image = pictures(size)[0]
    theirs = (255 * tensor(image.resize(to[::-1], number))).round()
    ours = (255 * tensor(image)).round()[None]
    for step in ((size[0], to[1]), to):
        ours = (255 * resize(ours / 255, step, mode)).round()
    assert apart(ours[0], theirs) <= 1  # a half, common with bilinear weights, may tip to either side
    assert (ours[0] != theirs).float().mean() < 0.02


@pytest.mark.parametrize("name", MODELS)
def test_a_list_of_sizes_is_encoded_in_its_order(models, name):
    images = [tensor(image) for image in pictures((40, 30), (32, 32), (40, 30), (25, 60), (32, 32))]
    one_by_one = torch.cat([models[name].encode_image(image[None]) for image in images])
    assert apart(models[name].encode_image(images), one_by_one) < 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_reaches_the_pixels_and_no_weight(models, name):
    model = models[name]
    image = tensor(pictures((48, 40))[0])[None].requires_grad_()
    (model.encode_image(image) @ model.encode_text(["a cat"]).T).sum().backward()
    assert image.grad.isfinite().all()
    assert image.grad.abs().max() > 0
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.inner.parameters())
    assert not model.score(image, ["a cat"]).requires_grad


@pytest.mark.parametrize("name", MODELS)
def test_nothing_gives_nothing(models, name):
    d = models[name].encode_text(["a"]).shape[1]
    assert models[name].encode_text([]).shape == (0, d)
    assert models[name].encode_image([]).shape == models[name].encode_image(torch.zeros(0, 3, 9, 9)).shape == (0, d)


def test_scoring_works_on_either(models):
    images = torch.stack([tensor(image) for image in pictures((32, 32), (32, 32))])
    for name in MODELS:
        p = models[name].zero_shot(images, ["cat", "dog", "mat"], templates=["a photo of a {}", "two {}"])
        assert p.shape == (2, 3)
        assert p.sum(dim=1).allclose(torch.ones(2))
        assert models[name].clip_score(images, ["a cat", "a dog"]).shape == (2,)


@pytest.mark.parametrize("name", ["clip", "squash", "hf-clip", "hf-siglip2"])
def test_in_bfloat16_features_are_near(folders, models, name):
    half = OpenCLIP.from_pretrained(folders[name], device="cpu", dtype=torch.bfloat16)
    images = [tensor(image) for image in pictures((32, 32), (40, 50))]
    assert (half.encode_image(images) * models[name].encode_image(images)).sum(dim=1).min() > 0.99
    assert (half.encode_text(TEXTS) * models[name].encode_text(TEXTS)).sum(dim=1).min() > 0.99


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(3, 32, 32),
        torch.zeros(2, 1, 32, 32),
        torch.zeros(2, 32, 32, 3),
        torch.zeros(2, 3, 0, 32),
        torch.zeros(2, 3, 1, 500),
        torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
        torch.full((1, 3, 32, 32), float("nan")),
        torch.full((1, 3, 32, 32), 255.0),
        torch.full((1, 3, 32, 32), -1.0),
        [torch.zeros(3, 32, 32), torch.zeros(1, 3, 32, 32)],
        [torch.full((3, 32, 32), float("inf"))],
    ],
)
def test_what_is_no_picture_is_told(models, images):
    with pytest.raises(ValueError, match="picture"):
        models["clip"].encode_image(images)


def test_what_is_no_list_of_texts_is_told(models):
    with pytest.raises(ValueError, match="list of strings"):
        models["clip"].encode_text("a cat")


# -- by name and file --------------------------------------------------------------------------------------------------


@pytest.fixture
def small(folders, monkeypatch) -> str:
    """A built-in architecture of open_clip, added as its users add theirs."""
    from open_clip import factory

    config = json.loads((folders["clip"] / "open_clip_config.json").read_text())["model_cfg"]
    monkeypatch.setitem(factory._MODEL_CONFIGS, "ViT-tiny-8", config)
    return "ViT-tiny-8"


def test_an_architecture_and_a_file(folders, models, small, monkeypatch):
    from open_clip import pretrained

    file = folders["clip"] / "open_clip_model.safetensors"
    image = tensor(pictures((50, 40))[0])[None]
    for name in (small, small.replace("-8", "/8")):  # as CLIP's authors write it
        model = OpenCLIP.from_pretrained(name, pretrained=file, device="cpu")
        assert torch.equal(model.encode_image(image), models["clip"].encode_image(image))
        assert torch.equal(model.encode_text(TEXTS), models["clip"].encode_text(TEXTS))
    tags = {tag: {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"} for tag in ("one", "two")}
    monkeypatch.setitem(pretrained._PRETRAINED, small, tags)
    assert OpenCLIP.from_pretrained(small, pretrained=file)._prepare.resize == "squash"  # as all its tags have it
    tags["two"]["resize_mode"] = "longest"
    assert OpenCLIP.from_pretrained(small, pretrained=file)._prepare.resize == "shortest"
    with pytest.raises(LoadError, match="could not be loaded.*again"):
        OpenCLIP.from_pretrained(small, pretrained=folders["longest"] / "open_clip_model.safetensors")
    with pytest.raises(LoadError, match="pickles, which can run any code"):
        OpenCLIP.from_pretrained(small, pretrained=folders["squash"] / "open_clip_pytorch_model.bin")
    with pytest.raises(LoadError, match=r"no \.safetensors file"):
        OpenCLIP.from_pretrained(small, pretrained=folders["clip"] / "open_clip_config.json")


def test_names_that_are_not_known_are_told_what_they_may_have_meant(folders, small, tmp_path):
    for source, how, match in [
        ("ViT-B-23", {}, "did you mean 'ViT-B-32'"),
        ("ViT-B-23", {"pretrained": "laion2b_s34b_b79k"}, "did you mean 'ViT-B-32'"),
        ("ViT-B-32/laion2b_s34b_b97k", {}, "did you mean 'laion2b_s34b_b79k'"),
        ("ViT-B-32", {"pretrained": "laion2b_s34b_b97k"}, "did you mean 'laion2b_s34b_b79k'"),
        ("ViT-B-32", {}, "is an architecture: give pretrained=.*laion2b_s34b_b79k"),
        ("ViT-B-32", {"pretrained": tmp_path / "none.safetensors"}, "has no weights"),
        (small, {}, "is an architecture: give pretrained="),
        ("ViT-B-32/openai", {"revision": "main"}, "no revisions"),
        ("", {}, "no model is called"),
        ("../up/there", {}, "no model is called"),
        (tmp_path / "nowhere", {}, "no model is called"),
        (folders["clip"], {"revision": "main"}, "leave pretrained and revision out"),
        (folders["clip"], {"pretrained": "openai"}, "leave pretrained and revision out"),
        (folders["clip"] / "open_clip_model.safetensors", {}, "give its architecture too"),
        (tmp_path, {}, "holds neither open_clip_config.json nor config.json"),
    ]:
        with pytest.raises(LoadError, match=match):
            OpenCLIP.from_pretrained(source, **how)


# -- files of strangers ------------------------------------------------------------------------------------------------


@pytest.fixture
def unplugged(monkeypatch):
    """A machine without a network: whoever tries to connect fails the test, and whoever takes long."""

    def refuse(self, address):
        tried.append(address)
        raise OSError("there is no network in this test")

    tried: list = []
    monkeypatch.setattr(socket.socket, "connect", refuse)
    start = time.monotonic()
    yield
    assert not tried
    assert time.monotonic() - start < 20


class Bomb:
    def __reduce__(self):
        return (os._exit, (3,))


def only_pickles(folder: Path) -> None:
    for file in folder.glob("*.safetensors"):
        torch.save({"bomb": Bomb()}, file.with_suffix(".bin"))
        file.unlink()


def truncate(folder: Path) -> None:
    for file in folder.glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def change(file: str, *path: str, **changes):
    """Rewrite values in a JSON file, below the keys of `path`."""

    def attack(folder: Path) -> None:
        data = json.loads((folder / file).read_text())
        place = data
        for key in path:
            place = place[key]
        place.update(changes)
        (folder / file).write_text(json.dumps(data))

    return attack


def write(file: str, text: str):
    return lambda folder: (folder / file).write_text(text)


def remove(*patterns: str):
    return lambda folder: [file.unlink() for pattern in patterns for file in folder.glob(pattern)]


OPEN, PLAIN = "open_clip_config.json", "config.json"
CUSTOM = {"AutoConfig": "mine.C", "AutoModel": "mine.M", "AutoTokenizer": ["mine.T", None]}
ATTACKS = {
    "open_clip, pickles only": ("clip", only_pickles, "pickles, which can run any code"),
    "open_clip, truncated": ("clip", truncate, "could not be loaded.*again"),
    "open_clip, no weights": ("clip", remove("*.safetensors"), "no weights in safetensors"),
    "open_clip, another's weights": ("clip", change(OPEN, "model_cfg", embed_dim=24), "could not be loaded.*again"),
    "open_clip, damaged config": ("clip", write(OPEN, "{"), "damaged"),
    "open_clip, deep config": ("clip", write(OPEN, "[" * 100_000), "damaged"),
    "open_clip, no model_cfg": ("clip", write(OPEN, "{}"), "needs a model_cfg"),
    "open_clip, many layers": ("clip", change(OPEN, "model_cfg", "vision_cfg", layers=10**9), "asks for layers"),
    "open_clip, a wide net": ("clip", change(OPEN, "model_cfg", "vision_cfg", width=2**20), "do not belong together"),
    "open_clip, many words": ("clip", change(OPEN, "model_cfg", "text_cfg", vocab_size=2**24), "do not belong"),
    "open_clip, a large width": ("clip", change(OPEN, "model_cfg", "vision_cfg", width=10**15), "asks for width"),
    "open_clip, infinite": ("clip", change(OPEN, "model_cfg", "vision_cfg", mlp_ratio=float("inf")), "asks for mlp"),
    "open_clip, a large picture": ("clip", change(OPEN, "model_cfg", "vision_cfg", image_size=10**5), "in patches of"),
    "open_clip, computed places": (
        "clip",
        lambda folder: rewrite(
            folder / OPEN,
            model_cfg={"vision_cfg": {"image_size": 10**6, "pos_embed_type": "sin_cos_2d"}, "text_cfg": {}},
        ),
        "in patches of",
    ),
    "open_clip, unknown key": ("clip", change(OPEN, "model_cfg", "vision_cfg", evil=1), "could not be loaded.*evil"),
    "open_clip, a tower from a repository": (
        "clip",
        change(OPEN, "model_cfg", "vision_cfg", timm_model_name="hf-hub:user/evil"),
        "not in timm",
    ),
    "open_clip, a text tower from a repository": (
        "clip",
        change(OPEN, "model_cfg", "text_cfg", hf_model_name="user/evil"),
        "not in the Hub's cache",
    ),
    "open_clip, a tokenizer's code": (
        "squash",
        change(OPEN, "model_cfg", "text_cfg", tokenizer_kwargs={"trust_remote_code": True}),
        "trust_remote_code of its tokenizer",
    ),
    "open_clip, a tokenizer's custom code": ("squash", change("tokenizer_config.json", auto_map=CUSTOM), "custom code"),
    "open_clip, a tokenizer elsewhere": (
        "squash",
        remove("tokenizer*"),
        "holds no tokenizer.*someone/tokenizer.*save_pretrained",
    ),
    "open_clip, unknown filter": ("clip", change(OPEN, "preprocess_cfg", resize_mode="fold"), "could not be loaded"),
    "open_clip, no spread": ("clip", change(OPEN, "preprocess_cfg", std=[0, 1, 1]), "could not be loaded"),
    "transformers, pickles only": ("hf-clip", only_pickles, "pickles, which can run any code"),
    "transformers, truncated": ("hf-clip", truncate, "could not be loaded.*again"),
    "transformers, custom code": ("hf-clip", change(PLAIN, auto_map=CUSTOM), "custom code"),
    "transformers, custom code within": ("hf-clip", change(PLAIN, "text_config", auto_map=CUSTOM), "custom code"),
    "transformers, a tokenizer's code": ("hf-clip", change("tokenizer_config.json", auto_map=CUSTOM), "custom code"),
    "transformers, another type": ("hf-clip", change(PLAIN, model_type="llama"), "model_type 'llama'"),
    "transformers, no type": ("hf-clip", write(PLAIN, "{}"), "model_type None"),
    "transformers, a list": ("hf-clip", write(PLAIN, "[]"), "damaged"),
    "transformers, many layers": (
        "hf-clip",
        change(PLAIN, "text_config", num_hidden_layers=10**9),
        "asks for num_hidden_layers",
    ),
    "transformers, a wide net": ("hf-siglip", change(PLAIN, "text_config", vocab_size=2**23), "do not belong together"),
    "transformers, a large picture": ("hf-siglip", change(PLAIN, "vision_config", image_size=10**7), "in patches of"),
    "transformers, another size": ("hf-siglip", change(PLAIN, "vision_config", image_size=64), "could not be loaded"),
    "transformers, other pictures": (
        "hf-siglip",
        change("preprocessor_config.json", size={"height": 48, "width": 48}),
        "do not fit together",
    ),
    "transformers, unknown filter": ("hf-siglip", change("preprocessor_config.json", resample=1), "resample 1"),
    "transformers, unprepared": ("hf-clip", remove("pr*.json"), "holds no preprocessor_config.json"),
    "transformers, no tokenizer": ("hf-clip", remove("tokenizer*", "vocab.json"), "holds no tokenizer"),
    "transformers, another's tokenizer": (
        "hf-siglip",
        lambda folder: letters(folder / "x").save_pretrained(folder),
        "the tokenizer gives word",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_and_damaged_files_are_refused_with_advice(copy, unplugged, attack):
    name, how, match = ATTACKS[attack]
    folder = copy(name)
    (folder / "mine.py").write_text("raise SystemExit('executed')")
    how(folder)
    with pytest.raises(LoadError, match=match):
        OpenCLIP.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize("name", MODELS)
def test_a_local_folder_asks_no_network(copy, models, unplugged, name):
    folder = copy(name)
    if name in THEIRS:  # kernels and adapters from elsewhere are not looked at
        change(PLAIN, attn_implementation="user/evil-kernel", _attn_implementation="user/evil-kernel")(folder)
        change(PLAIN, "vision_config", attn_implementation="user/evil-kernel")(folder)
        (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "user/evil"}')
    model = OpenCLIP.from_pretrained(folder, device="cpu")
    assert torch.equal(model.encode_text(TEXTS), models[name].encode_text(TEXTS))


def test_weights_in_parts(copy, models):
    from safetensors.torch import load_file, save_file

    folder = copy("hf-clip")
    weights = sorted(load_file(folder / "model.safetensors").items())
    save_file(dict(weights[::2]), folder / "model-00001-of-00002.safetensors")
    save_file(dict(weights[1::2]), folder / "model-00002-of-00002.safetensors")
    (folder / "model.safetensors").unlink()
    assert torch.equal(OpenCLIP.from_pretrained(folder).encode_text(TEXTS), models["hf-clip"].encode_text(TEXTS))
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(LoadError, match="could not be loaded.*Missing|could not be loaded.*state_dict"):
        OpenCLIP.from_pretrained(folder)


def test_a_folder_of_both_libraries_is_read_as_open_clips(copy, folders, models):
    folder = copy("clip")
    for file in folders["hf-clip"].iterdir():
        shutil.copy(file, folder / file.name)
    assert torch.equal(OpenCLIP.from_pretrained(folder).encode_text(TEXTS), models["clip"].encode_text(TEXTS))
    (folder / "open_clip_model.safetensors").rename(folder / "open_clip_model.bin")
    assert torch.equal(OpenCLIP.from_pretrained(folder).encode_text(TEXTS), models["hf-clip"].encode_text(TEXTS))


def test_loading_leaves_the_random_numbers_alone(folders):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    OpenCLIP.from_pretrained(folders["clip"])
    assert torch.equal(torch.rand(3), expected)


# -- the Hub -----------------------------------------------------------------------------------------------------------

ASK = """
import json, sys, time
from open_clip import factory, pretrained
from genlab.models.vision_language import OpenCLIP
from genlab.names import GenlabError
factory._MODEL_CONFIGS["ViT-tiny-8"] = json.loads(sys.argv[1])
repositories = {"small": "user/clip/", "file": "user/clip/open_clip_model.bin", "pickled": "user/pickled/"}
pretrained._PRETRAINED["ViT-tiny-8"] = {
    tag: pretrained._pcfg(hf_hub=repository, quick_gelu=True) for tag, repository in repositories.items()
}
pretrained._PRETRAINED["ViT-tiny-8"]["url"] = pretrained._pcfg("https://somewhere/weights.pt")
print("ready", flush=True)
for line in sys.stdin:
    source, _, revision = line.strip().partition("@")
    start = time.monotonic()
    try:
        model = OpenCLIP.from_pretrained(source, revision=revision or None, device="cpu")
        answer = f"OK {model.encode_text(['a red cat']).abs().sum().item():.5f}"
    except GenlabError as error:
        answer = f"{type(error).__name__} {error}"
    print(f"{time.monotonic() - start:.1f} {answer!r}", flush=True)
"""


def build_text_tower(folder: Path) -> tuple[Path, Path, float]:
    """An open_clip model with a text tower of transformers, which it knows by its repository's name: the tower's
    config, the model, and what `ask` should answer of it."""
    import open_clip
    import transformers as hf
    from open_clip.push_to_hf_hub import save_for_hf

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    hf.RobertaConfig(vocab_size=16, max_position_embeddings=20, pad_token_id=0, **sizes).save_pretrained(folder / "t")
    names = {"hf_tokenizer_name": "someone/words", "hf_pooler_type": "mean_pooler", "context_length": 10}
    text = {"hf_model_name": str(folder / "t"), "hf_model_pretrained": False} | names
    vision = TOWERS["clip"]["model_cfg"]["vision_cfg"]
    net = shake(open_clip.CustomTextCLIP(16, vision, text)).eval()
    tokens = words()(["a red cat"], padding="max_length", max_length=10, return_tensors="pt").input_ids
    with torch.no_grad():
        expected = net.encode_text(tokens, normalize=True).abs().sum().item()
    open_clip.model.set_model_preprocess_cfg(net, {"mean": None, "std": None})
    net.visual.image_mean, net.visual.image_std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": names | {"hf_model_name": "someone/tower"}}
    save_for_hf(net, words(), config, str(folder / "fused"), safe_serialization=True)
    return folder / "t", folder / "fused", expected


@pytest.fixture
def ask(tmp_path):
    """A small Hub, and a process that loads from it what it is asked for: (seconds, answer)."""
    with HubServer() as hub:
        environment = {**os.environ, **hub.env(), "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
        config = {key: value for key, value in TOWERS["clip"]["model_cfg"].items() if key != "quick_gelu"}
        with subprocess.Popen([sys.executable, "-c", ASK, json.dumps(config)], **pipes) as process:

            def answer(source: str) -> tuple[float, str]:
                print(source, file=process.stdin, flush=True)
                seconds, _, said = process.stdout.readline().partition(" ")
                return float(seconds), said

            assert process.stdout.readline() == "ready\n"
            answer.hub = hub
            yield answer
            process.stdin.close()


@pytest.mark.slow
def test_from_the_hub_and_its_refusals(ask, folders, models, tmp_path):
    hub = ask.hub

    def push(repo: str, folder: Path, *attacks, **facts) -> None:
        folder = Path(shutil.copytree(folder, tmp_path / repo.replace("/", "-")))
        for attack in attacks:
            attack(folder)
        hub.create(repo, **facts)
        hub.commit(repo, {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()})

    name = {"hf_tokenizer_name": "someone/words"}
    push("user/clip", folders["clip"], write("mine.py", "raise SystemExit('executed')"))
    push("user/squash", folders["squash"], change(OPEN, "model_cfg", "text_cfg", **name), remove("tokenizer*"))
    push("user/theirs", folders["hf-siglip"])
    push("someone/words", folders["squash"], remove("open*"))
    push("user/pickled", folders["clip"], only_pickles)
    push("user/custom", folders["hf-clip"], change(PLAIN, auto_map=CUSTOM))
    push("user/gated", folders["clip"], gated=True)
    push("user/other", folders["clip"], remove("*"), write("a.txt", "a"))
    push("user/dead", folders["clip"])
    text_tower, fused, tower = build_text_tower(tmp_path)
    push("someone/tower", text_tower)
    push("user/tower", fused)

    def features(name: str) -> str:
        return f"OK {models[name].encode_text(['a red cat']).abs().sum().item():.5f}"

    for source, expected in [
        ("user/clip", features("clip")),
        ("user/clip@main", features("clip")),
        ("user/squash", features("squash")),  # its tokenizer is in another repository
        ("user/theirs", features("hf-siglip")),
        ("user/pickled", "pickles, which can run any code"),
        ("ViT-tiny-8/small", features("clip")),  # with the GELU that its tag says
        ("ViT-tiny-8/file", features("clip")),
        ("ViT-tiny-8/pickled", "pickles, which can run any code"),
        ("ViT-tiny-8/url", "pickles, which can run any code"),
        ("user/tower", f"OK {tower:.5f}"),
        ("user/custom", "custom code"),
        ("user/gated", "it is gated"),
        ("user/other", "holds neither open_clip_config.json nor config.json"),
        ("user/none", "no such repository"),
        ("ViT-B-23/openai", "did you mean 'ViT-B-32'"),
        ("user/clip@nowhere", "no revision 'nowhere'"),
        ("user/clip@a/../b", "is no revision"),
    ]:
        seconds, said = ask(source)
        assert expected in said
        assert seconds < 30
    assert not [request for request in hub.log if request.path.endswith((".bin", ".py"))]
    hub.break_next("GET", "/api/models/", silent=True)
    seconds, said = ask("user/dead")
    assert "'user/dead' could not be fetched: the connection to" in said.replace("\\", "")
    assert seconds < 20
    hub.stop()  # what is cached still loads, and what is not says why
    assert features("hf-siglip") in ask("user/theirs")[1]
    assert features("squash") in ask("user/squash")[1]
    assert features("clip") in ask("ViT-tiny-8/small")[1]
    assert f"OK {tower:.5f}" in ask("user/tower")[1]
    seconds, said = ask("user/dead")
    assert "Check the network and try again" in said
    assert seconds < 20
    assert "could not be fetched" in ask("ViT-B-32/laion2b_s34b_b79k")[1]


def test_without_open_clip_the_extra_is_named_and_transformers_models_load(folders, models, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    for source in (folders["clip"], "ViT-B-32"):
        with pytest.raises(GenlabError, match=r"needs open_clip.*genlab\[clip\]"):
            OpenCLIP.from_pretrained(source)
    assert torch.equal(
        OpenCLIP.from_pretrained(folders["hf-clip"]).encode_text(TEXTS), models["hf-clip"].encode_text(TEXTS)
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_by_default(folders, models):
    for name in MODELS:
        model = OpenCLIP.from_pretrained(folders[name])
        images = [tensor(image) for image in pictures((40, 50), (32, 32))]
        assert model.encode_image(images).device.type == model.encode_text(TEXTS).device.type == "cuda"
        assert apart(model.encode_image(images).cpu(), models[name].encode_image(images)) < 1e-2
