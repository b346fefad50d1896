"""CLIPs of others behind our protocol: models of open_clip, and transformers' CLIP, SigLIP and SigLIP 2.

>>> clip = OpenCLIP.from_pretrained("ViT-B-32/laion2b_s34b_b79k")  # or a folder, or a Hub id such as "user/name"
>>> clip.zero_shot(images, ["a cat", "a dog"], templates=["a photo of {}"])
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from genlab.hub import TIMEOUT, advice
from genlab.models.vision_language.pictures import MOST_TOKENS, RESAMPLE, Frame, Patches, batches
from genlab.models.vision_language.scoring import Scoring
from genlab.names import CONFIG, PICKLES, WEIGHTS, GenlabError, LoadError, did_you_mean, require
from genlab.words import strings

OPEN_CONFIG = "open_clip_config.json"
OPEN_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model")
VOCABULARIES += ("sentencepiece.bpe.model",)
TOKENIZER = (*VOCABULARIES, "tokenizer_config.json", "merges.txt", "special_tokens_map.json", "added_tokens.json")
FILES = (OPEN_CONFIG, CONFIG, *PREPROCESSORS, *TOKENIZER)  # what is fetched beside the weights

# model_type -> classes of the model and its config, and the preprocessing where its file is silent
TRANSFORMERS = {
    "clip": ("CLIPModel", "CLIPConfig"),
    "siglip": ("SiglipModel", "SiglipConfig"),
    "siglip2": ("Siglip2Model", "Siglip2Config"),
}
HALF = [0.5, 0.5, 0.5]
OPENAI = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
SILENT = {
    "clip": {"size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": 224, "resample": 3, **OPENAI},
    "siglip": {"size": {"height": 224, "width": 224}, "resample": 3, "image_mean": HALF, "image_std": HALF},
    "siglip2": {"patch_size": 16, "max_num_patches": 256, "resample": 2, "image_mean": HALF, "image_std": HALF},
}

# A hostile config costs no more than these: the largest models known have 56 layers and 1024 tokens of a picture.
MOST_BYTES, MOST_NUMBER, MOST_LAYERS = 1 << 24, 1 << 24, 512


@dataclass(frozen=True, eq=False)
class OpenCLIP(Scoring):
    """A model of open_clip, or a CLIP, SigLIP or SigLIP 2 of transformers, as two towers with features of length 1.

    size: the side of the picture it sees (the longer one; of SigLIP 2 with free resolution, of a square picture).
    SigLIPs were trained with a sigmoid for each pair, sigma(cos / temperature + bias). That bias is not part of the
    protocol: it shifts all pairs alike, so `zero_shot`'s softmax and every ranking are the same without it.
    """

    name: str
    size: int
    inner: Any = field(repr=False)  # the library's own model
    _prepare: Callable[[Tensor], Any] = field(repr=False)  # pictures of one size to what the image tower takes
    _see: Callable[[Any], Tensor] = field(repr=False)
    _read: Callable[[list[str]], Tensor] = field(repr=False)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        pretrained: str | Path | None = None,
        revision: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> "OpenCLIP":
        """Load one of:

        - a built-in name of open_clip with a tag of its weights, "ViT-B-32/laion2b_s34b_b79k" or pretrained=tag, or
          with pretrained="weights.safetensors", a local file (its pictures are prepared as for the name's tags where
          these agree, else as open_clip does by default);
        - a Hub id "user/name" or a local folder with open_clip_config.json, as open_clip pushes it;
        - a Hub id or a local folder with config.json of a CLIP, SigLIP or SigLIP 2, as transformers saves it.

        Reads safetensors only and runs no code that came with them. A local folder asks no network. By default on CUDA
        where there is one, in float32. Raises LoadError, which says what to do; GenlabError if open_clip or
        transformers is missing.
        """
        text = str(source)
        try:
            with torch.random.fork_rng(devices=[]):  # nets are first filled at random
                loaded = _find(text, pretrained, revision)
            return loaded._ready(device, dtype)
        except GenlabError:
            raise
        except Exception as error:  # the libraries' own are bare RuntimeError, AssertionError, KeyError and more
            why = _first_line(error)
            raise LoadError(f"{text!r} could not be loaded: {why}. Fetch or save it again.") from error

    @torch.no_grad()
    def _ready(self, device: str | torch.device | None, dtype: torch.dtype | None) -> "OpenCLIP":
        """On its device, for inference, and seen to work: what does not fit together shows here, not in use."""
        device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.inner.eval().requires_grad_(False).to(device=device, dtype=dtype or torch.float32)
        image, text = self.encode_image(torch.zeros(1, 3, 32, 32)), self.encode_text(["a"])
        if image.shape != text.shape or not (image + text).isfinite().all() or not 0 < self.temperature < float("inf"):
            raise LoadError(f"{self.name!r} makes no comparable features: its weights are damaged. Fetch it again.")
        return self

    @property
    def temperature(self) -> float:
        """tau = 1 / exp(logit_scale)."""
        return 1 / self.inner.logit_scale.detach().float().exp().item()

    @property
    def device(self) -> torch.device:
        return self.inner.logit_scale.device

    def encode_image(self, images: Tensor | Sequence[Tensor]) -> Float[Tensor, "N D"]:
        """f(x) / |f(x)| of pictures (N, 3, H, W), or of a list of (3, H, W) of any sizes, floats in [0, 1].

        Differentiable in the pictures. Raises ValueError for what is no such picture.
        """
        together, order = batches(images)
        features = []
        for batch in together:
            prepared = self._prepare(batch.to(self.device, torch.float32))
            features.append(F.normalize(self._see(prepared).float(), dim=1))
        return torch.cat(features)[order]

    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "N D"]:
        """g(y) / |g(y)|. What is longer than the model reads is cut off. Raises ValueError for no list of strings."""
        texts = strings(texts)
        features = self._read(texts or [""])
        return F.normalize(features.float(), dim=1)[: len(texts)]


# -- which of them it is -----------------------------------------------------------------------------------------------


def _find(source: str, pretrained: str | Path | None, revision: str | None) -> OpenCLIP:
    folder = Path(source).expanduser()
    if source.strip() and folder.is_dir():
        if pretrained is not None or revision is not None:
            raise LoadError(f"{source!r} is a local folder, with its own weights: leave pretrained and revision out")
        return _from_folder(source, folder, local=True)
    if folder.is_file():
        hint = "give its architecture too: from_pretrained('ViT-B-32', pretrained=file)"
        raise LoadError(f"{source!r} is a single file: {hint}, or give the folder it is in")
    names = require("open_clip", extra="clip").list_models() if find_spec("open_clip") else []
    name, tag = source.replace("/", "-"), pretrained  # open_clip also reads "ViT-B/32"
    if name not in names and pretrained is None and "/" in source:
        name, tag = source.rpartition("/")[0].replace("/", "-"), source.rpartition("/")[2]
    if name in names:
        if revision is not None:
            raise LoadError(f"{name!r} is a built-in name of open_clip, whose tags have no revisions: leave it out")
        return _from_name(name, tag)
    near = did_you_mean(name, names)
    if pretrained is not None or not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source):
        if not names and re.fullmatch(r"[\w.-]+", source):
            require("open_clip", extra="clip")
        raise LoadError(
            f"no model is called {source!r}{near or '.'} Give a built-in name of open_clip with its tag, such as "
            "'ViT-B-32/laion2b_s34b_b79k', a folder, or a Hub id such as 'user/name'"
        )
    try:
        return _from_folder(source, _fetch(source, partial(_wanted, source), revision), local=False)
    except LoadError as error:
        raise LoadError(f"{error}{near}") from error


def _layout(source: str, names: Iterable[str]) -> tuple[str, list[str]]:
    """Whose model these files are, "open_clip" or "transformers", and which of them are its weights."""
    names = sorted(names)
    safe = [name for name in names if name.endswith(".safetensors")]
    own = [name for name in OPEN_WEIGHTS if name in names]
    theirs = [name for name in safe if name == WEIGHTS] or [
        name for name in safe if re.fullmatch(r"model-\d+-of-\d+\.safetensors", name)
    ]
    if OPEN_CONFIG not in names and CONFIG not in names:
        raise LoadError(
            f"{source!r} holds neither {OPEN_CONFIG} nor {CONFIG}: it is no model of open_clip or transformers"
        )
    if OPEN_CONFIG in names and own:
        return "open_clip", own[:1]
    if CONFIG in names and theirs:
        return "transformers", theirs
    if OPEN_CONFIG in names and safe:
        if len(safe) > 1:
            raise LoadError(
                f"{source!r} holds several weights, {', '.join(safe)}: name the right one {OPEN_WEIGHTS[0]}"
            )
        return "open_clip", safe
    if any(name.endswith(PICKLES) for name in names):
        raise LoadError(_pickled(source))
    raise LoadError(f"{source!r} holds no weights in safetensors: fetch or save it again")


def _wanted(source: str, names: Sequence[str]) -> list[str]:
    return [name for name in FILES if name in names] + _layout(source, names)[1]


def _from_folder(source: str, folder: Path, local: bool) -> OpenCLIP:
    kind, files = _layout(source, [file.name for file in folder.iterdir() if file.is_file()])
    weights = [folder / file for file in files]
    if kind == "transformers":
        return _transformers(source, folder, weights)
    data = _json(folder / OPEN_CONFIG)
    config, pictures = data.get("model_cfg"), data.get("preprocess_cfg") or {}
    if not isinstance(config, dict) or not isinstance(pictures, dict):
        raise LoadError(f"{folder / OPEN_CONFIG} is no config of open_clip: it needs a model_cfg. Fetch it again.")
    return _open_clip(source, config, pictures, weights[0], folder, local)


def _from_name(name: str, tag: str | Path | None) -> OpenCLIP:
    """A built-in architecture of open_clip, with the weights of a tag or from a file."""
    open_clip = require("open_clip", extra="clip")
    tags = open_clip.list_pretrained_tags_by_model(name)
    known = [open_clip.get_pretrained_cfg(name, each) for each in tags]
    config, file = open_clip.get_model_config(name), Path(tag or "").expanduser()
    if tag and file.is_file():
        if file.suffix != ".safetensors":
            raise LoadError(_pickled(str(file)) if file.suffix in PICKLES else f"{str(file)!r} is no .safetensors file")
        kept = [{key: each.get(key) for key in ("mean", "std", "interpolation", "resize_mode")} for each in known]
        agreed = kept[0] if kept and all(each == kept[0] for each in kept) else {}
        return _open_clip(name, config, agreed, file, None, local=False)
    chosen = open_clip.get_pretrained_cfg(name, str(tag)) if tag else {}
    if not chosen:
        wrong = f"has no weights {str(tag)!r}{did_you_mean(str(tag), tags) or ':'}" if tag else "is an architecture:"
        raise LoadError(
            f"{name!r} {wrong} give pretrained= a .safetensors file or one of: {', '.join(tags) or '(none)'}"
        )
    repo, _, file_name = chosen.get("hf_hub", "").rpartition("/")
    if not repo:
        raise LoadError(_pickled(f"{name}/{tag}"))
    safe = [re.sub(r"\.\w+$", ".safetensors", file_name)] if file_name else list(OPEN_WEIGHTS)

    def choose(names: Sequence[str]) -> list[str]:
        found = [each for each in safe if each in names]
        if not found:
            raise LoadError(_pickled(f"{name}/{tag}"))
        return found[:1]

    folder = _fetch(repo, choose)
    weights = next(folder / each for each in safe if (folder / each).is_file())
    # open_clip only warns where weights were learned with another GELU than its config of that name says
    config["quick_gelu"] = bool(config.get("quick_gelu") or chosen.get("quick_gelu"))
    return _open_clip(f"{name}/{tag}", config, chosen, weights, None, local=False)


# -- open_clip ---------------------------------------------------------------------------------------------------------


def _open_clip(source: str, config: dict, pictures: dict, weights: Path, folder: Path | None, local: bool) -> OpenCLIP:
    """Build what open_clip's config describes and fill it. folder: where its own tokenizer would be."""
    open_clip = require("open_clip", extra="clip")
    _check_numbers(config)
    config = deepcopy(config)
    vision, text = config["vision_cfg"], config["text_cfg"]
    _check_towers(vision, text, local)
    custom = config.pop("custom_text", False) or "hf_model_name" in text
    two_towers = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    build = partial(open_clip.CoCa if custom and "multimodal_cfg" in config else two_towers, **config)
    _check_fit(source, build, [weights])
    net = build()
    open_clip.load_checkpoint(net, str(weights))
    frame = _open_clip_frame(pictures, net.visual.image_size)
    tokenizer = _open_clip_tokenizer(source, text, folder, local)
    vocabulary = getattr(net, "vocab_size", None) or net.text.vocab_size

    def see(x: Tensor) -> Tensor:
        return net.encode_image(x.to(next(net.visual.parameters()).dtype))

    def read(texts: list[str]) -> Tensor:
        return net.encode_text(_checked(tokenizer(texts), vocabulary).to(net.logit_scale.device))

    return OpenCLIP(source, max(frame.crop), net, frame, see, read)


def _check_towers(vision: dict, text: dict, local: bool) -> None:
    """The towers' architectures are ones that timm and transformers know, and come without their own weights."""
    vision["timm_model_pretrained"] = text["hf_model_pretrained"] = False
    name = vision.get("timm_model_name")
    if name is not None:
        timm = require("timm", extra="clip")
        if not isinstance(name, str) or not timm.is_model(name):  # it could name a repository, too
            raise LoadError(f"the image tower {name!r} is not in timm {timm.__version__}: it needs a newer timm")
    name = text.pop("hf_model_name", None)
    if name:
        require("transformers", extra="apps")
        folder = _fetch(name, lambda names: [CONFIG], offline=local)
        config = _json(folder / CONFIG)
        _check_numbers(config)
        if config != json.loads((folder / CONFIG).read_text(encoding="utf-8")):
            raise LoadError(f"the text tower {name!r} names an implementation of its own, which genlab does not run")
        text["hf_model_name"] = str(folder)


def _open_clip_frame(pictures: dict, side: int | Sequence[int]) -> Frame:
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    how = merge_preprocess_dict(asdict(PreprocessCfg()), pictures)
    size = (side, side) if isinstance(side, int) else tuple(side)
    mean, std = (c if isinstance(c, list | tuple) else (c,) * 3 for c in (how["mean"], how["std"]))
    interpolation = "bilinear" if how["interpolation"] == "bilinear" else "bicubic"  # as open_clip reads it
    return Frame(how["resize_mode"], size, size, interpolation, tuple(mean), tuple(std), how["fill_color"] / 255)


def _open_clip_tokenizer(source: str, text: dict, folder: Path | None, local: bool) -> Callable[[list[str]], Tensor]:
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer

    length, name = text.get("context_length", DEFAULT_CONTEXT_LENGTH), text.get("hf_tokenizer_name")
    options = dict(text.get("tokenizer_kwargs") or {})
    foreign = set(options) - ({"clean", "strip_sep_token", "language"} if name else {"clean"})
    if foreign:  # open_clip would hand them to transformers, trust_remote_code among them
        raise LoadError(f"{source!r} sets {', '.join(sorted(foreign))} of its tokenizer, which genlab does not pass on")
    if not name:
        return SimpleTokenizer(context_length=length, **options)
    require("transformers", extra="apps")
    if not local and (folder is None or name != source):
        folder = _fetch(name, lambda names: [file for file in (CONFIG, *TOKENIZER) if file in names])
    _check_tokenizer(folder, f" (its config names that of {name!r})" if local else "")
    safe = {"local_files_only": True, "trust_remote_code": False}
    mode = text.get("tokenizer_mode")
    return HFTokenizer(str(folder), context_length=length, tokenizer_mode=mode, **options, **safe)


# -- transformers ------------------------------------------------------------------------------------------------------


def _transformers(source: str, folder: Path, weights: list[Path]) -> OpenCLIP:
    transformers = require("transformers", extra="apps")
    from safetensors.torch import load_file

    data = _json(folder / CONFIG)
    kind = data.get("model_type")
    if kind not in TRANSFORMERS:
        kinds = ", ".join(TRANSFORMERS)
        raise LoadError(f"{source!r} has the model_type {kind!r} in {CONFIG}: give one with {kinds}, or of open_clip")
    _check_numbers(data)
    model, config = (getattr(transformers, name) for name in TRANSFORMERS[kind])
    config = config.from_dict(data)
    build = partial(model, config)
    _check_fit(source, build, weights)
    net = build()
    # not transformers' own loading, which would fill what is missing at random, follow adapters and fetch kernels
    state = {key: value for file in weights for key, value in load_file(file).items()}
    net.load_state_dict({key: value for key, value in state.items() if not key.endswith(".position_ids")})
    prepare, size = _transformers_frame(source, folder, kind, config)
    tokenizer = _transformers_tokenizer(folder, kind, config.text_config.max_position_embeddings)

    def see(x: Tensor | dict[str, Tensor]) -> Tensor:
        inputs = x if isinstance(x, dict) else {"pixel_values": x}
        pixels = inputs["pixel_values"].to(net.dtype)
        return net.get_image_features(**inputs | {"pixel_values": pixels}).pooler_output

    def read(texts: list[str]) -> Tensor:
        tokens = tokenizer(texts)
        _checked(tokens["input_ids"], config.text_config.vocab_size)
        return net.get_text_features(**{key: value.to(net.device) for key, value in tokens.items()}).pooler_output

    return OpenCLIP(source, size, net, prepare, see, read)


def _transformers_frame(source: str, folder: Path, kind: str, config) -> tuple[Frame | Patches, int]:
    """How its preprocessor's file says that pictures are prepared, and the side of a picture then."""
    files = [folder / name for name in PREPROCESSORS if (folder / name).is_file()]
    said = next((_json(file) for file in files[:1]), None)
    said = said.get("image_processor", said) if said else said
    if not isinstance(said, dict):
        raise LoadError(f"{source!r} holds no {PREPROCESSORS[0]}: save it there with processor.save_pretrained(folder)")
    said = SILENT[kind] | {key: value for key, value in said.items() if value is not None}
    mode = RESAMPLE.get(said["resample"])
    if not said.get("do_resize", True) or mode is None:
        raise LoadError(
            f"{source!r} resizes pictures in a way unknown here (resample {said['resample']!r}): use another"
        )
    scale = 255 * said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 255
    plain = not said.get("do_normalize", True)
    mean = tuple((0.0 if plain else m) / scale for m in said["image_mean"])
    std = tuple((1.0 if plain else s) / scale for s in said["image_std"])
    if kind == "siglip2":
        patches = Patches(said["patch_size"], said["max_num_patches"], mode, mean, std)
        return patches, patches.patch * int(patches.most**0.5)
    size, side = said["size"], config.vision_config.image_size
    if isinstance(size, int):
        size = {"shortest_edge": size} if kind == "clip" else {"height": size, "width": size}
    if set(size) == {"shortest_edge"}:
        how, target = "shortest", (size["shortest_edge"],) * 2
    elif set(size) == {"height", "width"}:
        how, target = "squash", (size["height"], size["width"])
    else:
        raise LoadError(f"{source!r} resizes pictures to {size}, which is unknown here: use another")
    crop = said.get("crop_size") if said.get("do_center_crop", False) else target
    crop = (
        (crop["height"], crop["width"]) if isinstance(crop, dict) else (crop, crop) if isinstance(crop, int) else crop
    )
    if crop != (side, side) or (how == "shortest" and not said.get("do_center_crop", False)):
        raise LoadError(
            f"{source!r} prepares pictures of {crop}, but sees {side} x {side}: its files do not fit together"
        )
    return Frame(how, target, crop, mode, mean, std, rounding=int), side


def _transformers_tokenizer(folder: Path, kind: str, length: int) -> Callable[[list[str]], dict[str, Tensor]]:
    from transformers import AutoTokenizer

    _check_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    padding = "longest" if kind == "clip" else "max_length"  # SigLIP reads its last token, and saw only full lengths

    def tokens(texts: list[str]) -> dict[str, Tensor]:
        found = tokenizer(texts, padding=padding, truncation=True, max_length=length, return_tensors="pt")
        return {key: found[key] for key in ("input_ids", "attention_mask") if key in found}

    return tokens


# -- files that others wrote -------------------------------------------------------------------------------------------


def _fetch(
    repo: str, choose: Callable[[Sequence[str]], list[str]], revision: str | None = None, offline: bool = False
) -> Path:
    """The folder in the Hub's cache with what `choose` takes of a repository's files, fetched where need be."""
    from huggingface_hub import HfApi, errors, snapshot_download

    if not isinstance(repo, str) or not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", repo):
        raise LoadError(f"{repo!r} is no Hub id such as 'user/name'")
    if revision is not None and not re.fullmatch(r"(?!.*\.\.)\w[\w./+-]*", revision):
        raise LoadError(f"{revision!r} is no revision: give a branch, a tag or a commit of {repo!r}")
    trouble = None
    try:
        if not offline:
            try:  # one quick look, because the client retries a dead server for long
                listed = HfApi().model_info(repo, revision=revision, timeout=TIMEOUT).siblings or []
                wanted = choose([file.rfilename for file in listed])
                return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted))
            except (errors.HfHubHTTPError, errors.HFValidationError, LoadError):
                raise
            except Exception as error:
                trouble = error
        with suppress(errors.LocalEntryNotFoundError, LoadError):
            # no patterns: where the snapshot is, whatever it holds
            folder = Path(snapshot_download(repo, revision=revision, allow_patterns=[], local_files_only=True))
            if all((folder / name).is_file() for name in choose([file.name for file in folder.iterdir()])):
                return folder
        if offline:
            raise LoadError(f"this needs files of {repo!r}, not in the Hub's cache: `hf download {repo}` fetches them")
        raise trouble
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(f"{repo!r} could not be fetched: {advice(error, repo, revision)}") from error


def _json(file: Path) -> dict:
    """A config as its library reads it, less what would choose an implementation. Raises LoadError for custom code."""

    def pairs(items: list[tuple]) -> dict:
        if any(key == "auto_map" for key, _ in items):
            raise LoadError(f"{file} asks for custom code, which genlab does not run: take a model without auto_map")
        return {key: value for key, value in items if not key.endswith("_implementation")}

    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError(f"larger than {MOST_BYTES} bytes")
        data = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=pairs)
        if not isinstance(data, dict):
            raise ValueError("no object")
        return data
    except (OSError, ValueError, RecursionError) as error:
        raise LoadError(f"{file} is damaged ({_first_line(error)}): fetch or save the model again") from error


def _check_numbers(value: Any, key: str = "the config") -> None:
    """No size in a config is absurd: its layers would be built one by one, and its places made, before any check."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_numbers(inner, name)
        image, patch = value.get("image_size"), value.get("patch_size", 16)
        sides, grains = ([n] if isinstance(n, int) else n for n in (image, patch))
        if sides and grains and prod(sides) ** (2 // len(sides)) / prod(grains) ** (2 // len(grains)) > MOST_TOKENS:
            raise LoadError(
                f"the config asks for pictures of {image} in patches of {patch}: it is damaged. Fetch it again."
            )
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner, key)
    elif isinstance(value, int | float) and not abs(value) <= (MOST_LAYERS if "layers" in key else MOST_NUMBER):
        raise LoadError(f"the config asks for {key} = {value:.3g}: it is damaged. Fetch it again.")


def _check_fit(source: str, build: Callable[[], torch.nn.Module], weights: list[Path]) -> None:
    """The net that a config describes is about as large as its weights: seen without making either."""
    from safetensors import safe_open

    held = 0
    for file in weights:
        with safe_open(file, framework="pt") as tensors:
            held += sum(prod(tensors.get_slice(key).get_shape()) for key in tensors.keys())  # noqa: SIM118 (not a dict)
    with torch.device("meta"):
        net = build()
    asked = sum(tensor.numel() for tensor in (*net.parameters(), *net.buffers()))
    if asked > 2 * held + (1 << 20):  # places may be interpolated, masks are not saved
        raise LoadError(
            f"the config of {source!r} describes {asked:.3g} numbers, and its weights hold {held:.3g}: they do not "
            "belong together. Fetch both again."
        )


def _check_tokenizer(folder: Path, why: str = "") -> None:
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise LoadError(f"{folder} holds no tokenizer{why}: save it there with tokenizer.save_pretrained(folder)")
    for name in ("tokenizer_config.json", CONFIG):
        if (folder / name).is_file():
            _json(folder / name)


def _checked(ids: Tensor, vocabulary: int) -> Tensor:
    if ids.max() >= vocabulary:
        raise LoadError(
            f"the tokenizer gives word {ids.max()} of {vocabulary}: it is another model's. Fetch both again."
        )
    return ids


def _pickled(what: str) -> str:
    return (
        f"{what!r} offers its weights as pickles, which can run any code when read. genlab reads safetensors only: "
        "look for another tag or revision, or convert it where you trust it (safetensors.torch.save_file)"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
