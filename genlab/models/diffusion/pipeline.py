"""Any Stable-Diffusion-like pipeline of diffusers, by Hub id or local folder, with genlab's own knobs.

>>> pipeline = Pipeline.from_pretrained("user/name")
>>> pipeline.sample("a lighthouse at dawn", guidance=6.5, generator=torch.Generator().manual_seed(42)).save("out.png")

Guidance is rho, as everywhere here: eps + rho (eps - eps_null). diffusers calls 1 + rho the guidance scale.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from queue import Full, Queue
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from genlab.core import fast_dtype
from genlab.hub import TIMEOUT, advice
from genlab.names import PICKLES, GenlabError, LoadError, did_you_mean, require

INDEX = "model_index.json"
PREVIEW_SIDE = 32  # latents a side: a preview decodes at most 256 x 256 pixels, however large the picture will be

# diffusers' class names, as people who paint with them know them; others go by their class name
SCHEDULERS = {
    "DDIMScheduler": "DDIM",
    "DDPMScheduler": "DDPM",
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "DPMSolverSinglestepScheduler": "DPM++ 2S",
    "DPMSolverSDEScheduler": "DPM++ SDE",
    "UniPCMultistepScheduler": "UniPC",
    "EulerDiscreteScheduler": "Euler",
    "EulerAncestralDiscreteScheduler": "Euler ancestral",
    "HeunDiscreteScheduler": "Heun",
    "DEISMultistepScheduler": "DEIS",
    "PNDMScheduler": "PNDM",
    "LMSDiscreteScheduler": "LMS",
    "KDPM2DiscreteScheduler": "KDPM2",
    "KDPM2AncestralDiscreteScheduler": "KDPM2 ancestral",
    "FlowMatchEulerDiscreteScheduler": "Flow Euler",
    "LCMScheduler": "LCM",
}
# listed as compatible by diffusers, but it presumes a net trained with EDM's preconditioning
UNFIT = {"EDMEulerScheduler"}


class PipelineStep(NamedTuple):
    """One step of a run. `image` is a preview, or None where the latents have none; it is final where step == steps."""

    step: int
    steps: int
    image: Any  # PIL.Image.Image | None


class _Stopped(Exception):
    """Raised inside the pipeline's callback to leave its loop when nobody listens any more."""


@dataclass(frozen=True)
class Pipeline:
    """A text-to-image pipeline of diffusers. One run at a time; a second waits for the first."""

    source: str
    inner: Any  # diffusers.DiffusionPipeline
    schedulers: dict[str, type]  # name -> class; the first is the one the pipeline came with
    scheduler_config: dict  # as it came: every scheduler is built from it, so their order of use leaves no trace
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        revision: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> "Pipeline":
        """Load a folder written by `save_pretrained`, or a Hub id. Reads safetensors only and runs no code from it.

        By default on CUDA where there is one, in bfloat16 where that is native, else on the CPU in float32.
        Raises LoadError, which says what to do; GenlabError if diffusers or transformers is missing.
        """
        diffusers = require("diffusers", extra="apps")
        require("transformers", extra="apps")  # the text encoder's library; diffusers would only say so half way
        device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        dtype = dtype or (fast_dtype(device) if device.type == "cuda" else torch.float32)
        folder = _fetch(str(source), revision)
        check_index(folder / INDEX)
        _check_weights(folder)
        try:
            inner = diffusers.DiffusionPipeline.from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False, dtype=dtype
            ).to(device)
        except Exception as error:  # half of diffusers' own errors are bare OSError, ValueError and TypeError
            raise LoadError(
                f"{str(source)!r} could not be loaded: {_first_line(error)}. Fetch or save it again."
            ) from error
        inner.set_progress_bar_config(disable=True)
        call = signature(inner.__call__).parameters
        if "prompt" not in call or "callback_on_step_end" not in call or _needs_picture(inner):
            raise LoadError(
                f"{str(source)!r} is a {type(inner).__name__}, which does not paint from a prompt alone: "
                "give a text-to-image pipeline, such as a Stable Diffusion one"
            )
        return cls(str(source), inner, _schedulers(inner.scheduler), dict(inner.scheduler.config))

    @property
    def multiple(self) -> int:
        """Height and width are multiples of this: what one latent stands for."""
        return getattr(self.inner, "vae_scale_factor", 8)

    @property
    def size(self) -> tuple[int, int]:
        """The height and width the net was trained for."""
        net = getattr(self.inner, "unet", None) or getattr(self.inner, "transformer", None)
        side = getattr(getattr(net, "config", None), "sample_size", None) or getattr(
            self.inner, "default_sample_size", 64
        )
        height, width = side if isinstance(side, list | tuple) else (side, side)
        return height * self.multiple, width * self.multiple

    def sample(self, prompt: str, **knobs):
        """The finished picture (a PIL image): the last of `sample_steps`, without the previews. Same arguments."""
        *_, last = self.sample_steps(prompt, previews=False, **knobs)
        return last.image

    def sample_steps(
        self,
        prompt: str,
        *,
        negative: str = "",
        guidance: float = 6.5,
        steps: int = 30,
        scheduler: str | None = None,
        height: int | None = None,
        width: int | None = None,
        generator: torch.Generator | None = None,
        previews: bool = True,
    ) -> Iterator[PipelineStep]:
        """Yield a PipelineStep after each pass, the finished picture with the last. Close the iterator to stop.

        guidance: rho >= 0 (0 = the prompt's own prediction; diffusers' guidance scale is 1 + rho). negative: takes the
        place of the empty prompt in guidance. scheduler: a name in `schedulers`, or None for the pipeline's own.
        generator: on the CPU, the same seed gives the same noise on every device.
        Raises GenlabError at once for an impossible request, and while running for what went wrong then.
        """
        call = signature(self.inner.__call__).parameters
        height, width = height or self.size[0], width or self.size[1]
        if height % self.multiple or width % self.multiple or min(height, width) < self.multiple:
            raise GenlabError(f"height and width must be multiples of {self.multiple}, not {height} x {width}")
        if not guidance >= 0:
            raise GenlabError(f"guidance is rho, a number from 0 (none) up, not {guidance}")
        if steps < 1:
            raise GenlabError(f"steps must be at least 1, not {steps}")
        if negative and "negative_prompt" not in call:
            raise GenlabError(f"{type(self.inner).__name__} takes no negative prompt: leave it empty")
        arguments = {
            "prompt": prompt,
            "negative_prompt": negative or None,
            "guidance_scale": 1 + guidance,
            "num_inference_steps": steps,
            "height": height,
            "width": width,
            "generator": generator,
        }
        scheduler_class = self._scheduler(scheduler)
        return self._stream(scheduler_class, {k: v for k, v in arguments.items() if k in call}, previews)

    def _scheduler(self, name: str | None) -> type:
        names = list(self.schedulers)
        if name is None:
            return self.schedulers[names[0]]
        found = self.schedulers.get(name) or next((c for c in self.schedulers.values() if c.__name__ == name), None)
        if found is None:
            raise GenlabError(f"no scheduler {name!r} for {self.source}{did_you_mean(name, names)}: {', '.join(names)}")
        return found

    def _stream(self, scheduler: type, arguments: dict, previews: bool) -> Iterator[PipelineStep]:
        """Run the pipeline in a thread of its own, since it calls back and an iterator is called.

        The queue holds one frame: the net never runs far ahead of who watches, and stops within a step of `close`.
        """
        frames: Queue = Queue(maxsize=1)
        stop = threading.Event()

        def put(frame) -> None:
            while not stop.is_set():
                try:
                    return frames.put(frame, timeout=0.05)
                except Full:
                    continue
            raise _Stopped

        def on_step(pipe, index: int, timestep, tensors: dict) -> dict:
            total = len(pipe.scheduler.timesteps)  # Heun and its kin take two passes a step
            if index + 1 < total:  # after the last pass comes the picture itself
                put(PipelineStep(index + 1, total, self._preview(tensors["latents"], arguments) if previews else None))
            elif stop.is_set():
                raise _Stopped
            return tensors

        def run() -> None:
            try:
                while not self._lock.acquire(timeout=0.05):
                    if stop.is_set():
                        return
                try:
                    self.inner.scheduler = scheduler.from_config(self.scheduler_config)
                    out = self.inner(**arguments, callback_on_step_end=on_step)
                    total = len(self.inner.scheduler.timesteps)
                finally:
                    self._lock.release()
                if any(getattr(out, "nsfw_content_detected", None) or ()):
                    raise GenlabError(
                        "the pipeline's own safety checker hid this picture: change the prompt or the seed"
                    )
                put(PipelineStep(total, total, out.images[0]))
            except _Stopped:
                pass
            except Exception as error:
                with suppress(_Stopped):
                    put(error)

        worker = threading.Thread(target=run, daemon=True, name="genlab-pipeline")
        worker.start()
        try:
            while True:
                frame = frames.get()
                if isinstance(frame, Exception):
                    raise frame if isinstance(frame, GenlabError) else GenlabError(_run_advice(frame)) from frame
                yield frame
                if frame.step == frame.steps:
                    return
        finally:
            stop.set()
            worker.join()

    def _preview(self, latents: Float[Tensor, "B ..."], arguments: dict):
        """What the picture looks like so far: the first latent, shrunk to PREVIEW_SIDE, decoded, at the final size."""
        vae = getattr(self.inner, "vae", None)
        if vae is None or latents.ndim != 4 or latents.shape[1] != getattr(vae.config, "latent_channels", None):
            return None
        z = latents[:1]
        shrink = PREVIEW_SIDE / max(z.shape[-2:])
        if shrink < 1:
            z = torch.nn.functional.interpolate(z, scale_factor=shrink, mode="area")
        z = z / vae.config.scaling_factor + (getattr(vae.config, "shift_factor", None) or 0)
        image = self.inner.image_processor.postprocess(vae.decode(z.to(vae.dtype), return_dict=False)[0])[0]
        return image.resize((arguments["width"], arguments["height"]))


def _fetch(source: str, revision: str | None) -> Path:
    """The pipeline's folder: its own, or the Hub's cache after a download. What the index names is checked first."""
    folder = Path(source).expanduser()
    if source.strip() and folder.is_dir():
        if not (folder / INDEX).is_file():
            raise LoadError(
                f"{source!r} is no pipeline folder: it holds no {INDEX}. Write one with pipe.save_pretrained."
            )
        return folder
    if folder.is_file():
        raise LoadError(f"{source!r} is a single file: give a folder with {INDEX}, as pipe.save_pretrained writes it")
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source):
        raise LoadError(f"{source!r} is neither a folder nor a Hub id such as 'user/name'")
    from diffusers import DiffusionPipeline
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        cached, trouble = False, None
        try:  # one quick look, because the client retries a dead server for long
            get_hf_file_metadata(hf_hub_url(source, INDEX, revision=revision), timeout=TIMEOUT)
        except (errors.HfHubHTTPError, errors.HFValidationError):
            raise
        except Exception as error:
            cached, trouble = True, error
        try:
            index = Path(hf_hub_download(source, INDEX, revision=revision, local_files_only=cached))
            check_index(index)  # a few bytes tell whether the gigabytes are worth fetching
            how = {"revision": index.parent.name, "local_files_only": cached, "use_safetensors": True}
            return Path(DiffusionPipeline.download(source, **how))
        except errors.LocalEntryNotFoundError as error:
            raise trouble or error from error
    except LoadError:
        raise
    except errors.RemoteEntryNotFoundError as error:
        raise LoadError(
            f"{source!r} holds no {INDEX}, so it is no diffusers pipeline: look for one so tagged"
        ) from error
    except Exception as error:
        if "safetensors" in str(error):
            raise LoadError(_pickled(source)) from error
        raise LoadError(f"{source!r} could not be fetched: {advice(error, source, revision)}") from error


def check_index(file: Path) -> None:
    """model_index.json names classes of diffusers and transformers, nothing else. Raises LoadError.

    diffusers would import whatever module the file names, so this is asked before diffusers reads it.
    """
    diffusers = require("diffusers", extra="apps")
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        name = index["_class_name"]
        parts = {key: value for key, value in index.items() if isinstance(value, list) and key != "_class_name"}
        components = [(library, cls) for library, cls in parts.values() if library is not None]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LoadError(f"{file} is damaged ({_first_line(error)}): fetch or save the pipeline again") from error
    if not isinstance(name, str) or not name.isidentifier() or not hasattr(diffusers, name):
        raise LoadError(
            f"the pipeline class {name!r} is not in diffusers {diffusers.__version__}: it needs a newer diffusers, "
            "or custom code, which genlab does not run"
        )
    for library, cls in components:
        known = library in ("diffusers", "transformers") or (
            isinstance(library, str) and library.isidentifier() and find_spec(f"diffusers.pipelines.{library}")
        )
        if not known or not isinstance(cls, str) or not cls.isidentifier():
            raise LoadError(
                f"the pipeline needs {library}.{cls}: custom code, which genlab does not run. It runs classes of "
                "diffusers and transformers only."
            )


def _check_weights(folder: Path) -> None:
    for part in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = [file.name for file in part.iterdir()]
        if any(f.endswith(PICKLES) for f in files) and not any(f.endswith(".safetensors") for f in files):
            raise LoadError(_pickled(str(part)))


def _pickled(what: str) -> str:
    return (
        f"{what!r} offers its weights as pickles, which can run any code when read. genlab reads safetensors only: "
        "look for another revision, or convert it where you trust it (pipe.save_pretrained writes safetensors)."
    )


def _needs_picture(inner) -> bool:
    """Whether this pipeline redraws a picture that it is given (image to image, inpainting)."""
    from diffusers.pipelines import auto_pipeline

    redraw = [auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING, auto_pipeline.AUTO_INPAINT_PIPELINES_MAPPING]
    paint = auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()
    return type(inner) not in paint and any(type(inner) in mapping.values() for mapping in redraw)


def _schedulers(scheduler) -> dict[str, type]:
    """Name -> class of all schedulers that fit in this one's place, its own first, the familiar ones next."""
    order = list(SCHEDULERS)
    usable = {c for c in scheduler.compatibles if "dummy" not in c.__module__ and c.__name__ not in UNFIT}
    classes = sorted(
        usable | {type(scheduler)},
        key=lambda c: (
            c is not type(scheduler),
            order.index(c.__name__) if c.__name__ in order else len(order),
            c.__name__,
        ),
    )
    return {SCHEDULERS.get(c.__name__, c.__name__.removesuffix("Scheduler")): c for c in classes}


def _run_advice(error: Exception) -> str:
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return "not enough memory for this picture: try a smaller height and width, or another device"
    return f"the pipeline stopped: {type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
