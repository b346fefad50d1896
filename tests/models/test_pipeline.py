"""Pipelines of diffusers behind our own knobs: on a tiny Stable Diffusion that the test builds itself."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hub_server import HubServer
from tiny_pipeline import build

from genlab.models.diffusion.pipeline import SCHEDULERS, Pipeline, check_index
from genlab.names import GenlabError, LoadError

# diffusers' schedulers under numpy 2.5, in their own code
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def pipeline(folder) -> Pipeline:
    return Pipeline.from_pretrained(folder)


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixels(image) -> np.ndarray:
    return np.asarray(image).astype(int)


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "genlab-pipeline"]


# -- what it paints ----------------------------------------------------------------------------------------------------


def test_equals_diffusers_own_loop(pipeline, folder):
    from diffusers import DiffusionPipeline

    peer = DiffusionPipeline.from_pretrained(folder)
    theirs = peer("a cat", negative_prompt="dog", guidance_scale=4.0, num_inference_steps=6, generator=seeded(3))
    ours = pipeline.sample("a cat", negative="dog", guidance=3.0, steps=6, generator=seeded(3))
    assert np.array_equal(pixels(ours), pixels(theirs.images[0]))


def test_guidance_zero_is_the_plain_prediction_and_more_changes_the_picture(pipeline):
    def run(rho, **knobs):
        return pixels(pipeline.sample("a cat", guidance=rho, steps=6, generator=seeded(), **knobs))

    assert np.array_equal(run(0.0), run(0.0, negative="anything"))  # without guidance nothing is pushed away from
    moved = [np.abs(run(rho) - run(0.0)).mean() for rho in (2.0, 8.0)]
    assert 0 < moved[0] < moved[1]
    assert not np.array_equal(run(8.0), run(8.0, negative="anything"))


def test_the_seed_fixes_the_picture(pipeline):
    one, again, other = (pixels(pipeline.sample("a cat", steps=4, generator=seeded(s))) for s in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_every_scheduler_runs_and_leaves_no_trace(pipeline):
    own = pixels(pipeline.sample("a cat", steps=4, generator=seeded()))
    assert {"DDIM", "DDPM", "DPM++ 2M", "UniPC", "Euler", "Euler ancestral", "Heun"} <= set(pipeline.schedulers)
    assert next(iter(pipeline.schedulers)) == "DDIM"  # the one it was saved with
    pictures = {}
    for name in pipeline.schedulers:
        *_, last = pipeline.sample_steps("a cat", steps=4, scheduler=name, generator=seeded())
        assert last.step == last.steps >= 4
        assert last.image.size == (16, 16)
        pictures[name] = pixels(last.image)
    assert np.array_equal(pictures["DDIM"], own)  # the others' settings did not rub off
    assert len({p.tobytes() for p in pictures.values()}) > len(pictures) // 2  # they do differ
    by_class = pipeline.sample("a cat", steps=4, scheduler="UniPCMultistepScheduler", generator=seeded())
    assert np.array_equal(pixels(by_class), pictures["UniPC"])


def test_names_of_schedulers_are_those_of_diffusers():
    import diffusers

    assert not [name for name in SCHEDULERS if not hasattr(diffusers, name)]


def test_steps_stream_previews_of_the_final_size(pipeline):
    frames = list(pipeline.sample_steps("a cat", steps=6, height=32, width=24, generator=seeded()))
    assert [f.step for f in frames] == [1, 2, 3, 4, 5, 6]
    assert {f.steps for f in frames} == {6}
    assert {f.image.size for f in frames} == {(24, 32)}
    assert not np.array_equal(pixels(frames[0].image), pixels(frames[-1].image))
    plain = list(pipeline.sample_steps("a cat", steps=6, height=32, width=24, generator=seeded(), previews=False))
    assert [f.image is None for f in plain] == [True] * 5 + [False]
    assert np.array_equal(pixels(plain[-1].image), pixels(frames[-1].image))  # looking on changes nothing


def test_a_large_preview_decodes_few_latents(pipeline, monkeypatch):
    vae, seen = pipeline.inner.vae, []
    decode = vae.decode
    monkeypatch.setattr(
        vae, "decode", lambda z, *args, **kwargs: (seen.append(z.shape[-2:]), decode(z, *args, **kwargs))[1]
    )
    first, last = pipeline.sample_steps("a cat", steps=2, height=256, width=128)
    assert seen == [(32, 16), (128, 64)]
    assert first.image.size == last.image.size == (128, 256)


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_close_stops_within_a_step_and_frees_the_pipeline(pipeline, monkeypatch):
    calls = []
    forward = pipeline.inner.unet.forward
    monkeypatch.setattr(pipeline.inner.unet, "forward", lambda *a, **k: (calls.append(1), forward(*a, **k))[1])
    steps = pipeline.sample_steps("a cat", steps=200)
    for _ in range(3):
        next(steps)
    steps.close()
    ran = len(calls)
    assert ran <= 6  # three seen, one in the queue, one on its way
    assert not workers()
    monkeypatch.undo()
    assert pipeline.sample("a cat", steps=2).size == (16, 16)
    assert len(calls) == ran


def test_a_dropped_iterator_ends_its_thread(pipeline):
    steps = pipeline.sample_steps("a cat", steps=200)
    next(steps)
    assert workers()
    del steps
    assert not workers()


def test_a_second_run_waits_for_the_first_and_can_be_stopped_while_waiting(pipeline):
    first = pipeline.sample_steps("a cat", steps=50)
    next(first)
    second = pipeline.sample_steps("a dog", steps=2, generator=seeded())
    got = []
    waiting = threading.Thread(target=lambda: got.extend(second))
    waiting.start()
    time.sleep(0.3)
    assert not got
    first.close()
    waiting.join(timeout=30)
    assert len(got) == 2
    assert np.array_equal(pixels(got[-1].image), pixels(pipeline.sample("a dog", steps=2, generator=seeded())))


def test_an_error_in_the_middle_reaches_the_caller_once_and_frees_the_pipeline(pipeline, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("the net is on fire\nat line 7")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.inner.unet, "forward", fail)
        with pytest.raises(GenlabError, match="stopped: RuntimeError: the net is on fire$"):
            list(pipeline.sample_steps("a cat", steps=3))
        patch.setattr(pipeline.inner.unet, "forward", lambda *a, **k: (_ for _ in ()).throw(MemoryError()))
        with pytest.raises(GenlabError, match="not enough memory.*smaller height and width"):
            pipeline.sample("a cat", steps=3)
    assert pipeline.sample("a cat", steps=2).size == (16, 16)


def test_a_hidden_picture_is_said_to_be_hidden(pipeline, monkeypatch):
    def hidden(*args, **kwargs):
        return SimpleNamespace(images=[None], nsfw_content_detected=[True])

    monkeypatch.setattr(type(pipeline.inner), "__call__", hidden)
    with pytest.raises(GenlabError, match="safety checker"):
        list(pipeline._stream(pipeline.schedulers["DDIM"], {}, previews=False))


# -- requests that cannot be met ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knobs", "match"),
    [
        ({"scheduler": "DPM+ 2M"}, "did you mean 'DPM\\+\\+ 2M'"),
        ({"height": 17}, "multiples of 2"),
        ({"width": -2}, "multiples of 2"),
        ({"guidance": -1.0}, "rho"),
        ({"guidance": float("nan")}, "rho"),
        ({"steps": 0}, "at least 1"),
    ],
)
def test_an_impossible_request_fails_before_the_first_step(pipeline, knobs, match):
    with pytest.raises(GenlabError, match=match):
        pipeline.sample_steps("a cat", **knobs)


def rewrite(folder: Path, **changes) -> Path:
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | changes))
    return folder


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"_class_name": ["pipeline", "Mine"]}, "custom code"),
        ({"_class_name": "MyOwnPipeline"}, "not in diffusers"),
        ({"_class_name": "__builtins__"}, "custom code|does not paint|could not be loaded"),
        ({"unet": ["os", "system"]}, "needs os.system: custom code"),
        ({"unet": ["unet.my_unet", "MyUNet"]}, "custom code"),
        ({"unet": ["diffusers", "os.system"]}, "custom code"),
        ({"unet": ["diffusers"]}, "damaged"),
        ({"unet": ["diffusers", "NoSuchNet"]}, "could not be loaded"),
    ],
)
def test_an_index_cannot_name_code_of_its_own(copy, changes, match):
    (copy / "pipeline.py").write_text("raise SystemExit('executed')")
    (copy / "unet" / "my_unet.py").write_text("raise SystemExit('executed')")
    with pytest.raises(LoadError, match=match):
        Pipeline.from_pretrained(rewrite(copy, **changes))


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '{"a": 1}', '{"_class_name": "X", "unet": []}', "[" * 100_000])
def test_a_damaged_index_is_told(tmp_path, text):
    file = tmp_path / "model_index.json"
    file.write_text(text)
    with pytest.raises(LoadError, match="damaged"):
        check_index(file)


def test_what_is_no_pipeline_is_told(tmp_path, folder):
    for source, match in [
        (tmp_path, "no pipeline folder: it holds no model_index.json"),
        (tmp_path / "nowhere", "neither a folder nor a Hub id"),
        ("../up/there", "neither a folder nor a Hub id"),
        ("no such thing", "neither a folder nor a Hub id"),
        ("", "neither a folder nor a Hub id"),
        (folder / "model_index.json", "single file"),
    ]:
        with pytest.raises(LoadError, match=match):
            Pipeline.from_pretrained(source)


def test_a_pipeline_that_takes_no_prompt_is_told(tmp_path, pipeline):
    from diffusers import DDPMPipeline, StableDiffusionImg2ImgPipeline, UNet2DModel

    net = UNet2DModel(
        sample_size=8,
        block_out_channels=(8,),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
    )
    DDPMPipeline(net, pipeline.inner.scheduler).save_pretrained(tmp_path / "ddpm")
    StableDiffusionImg2ImgPipeline.from_pipe(pipeline.inner).save_pretrained(tmp_path / "redraw")
    for name in ("ddpm", "redraw"):
        with pytest.raises(LoadError, match="does not paint from a prompt alone"):
            Pipeline.from_pretrained(tmp_path / name)


def test_pickles_are_refused_unread(copy):
    class Bomb:
        def __reduce__(self):
            return (os._exit, (3,))

    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({"bomb": Bomb()}, copy / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(LoadError, match="pickles, which can run any code"):
        Pipeline.from_pretrained(copy)


def test_damaged_or_missing_weights_are_told(copy):
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LoadError, match="could not be loaded"):
        Pipeline.from_pretrained(copy)
    weights.unlink()
    with pytest.raises(LoadError, match="could not be loaded"):
        Pipeline.from_pretrained(copy)
    weights.write_bytes(whole)
    assert Pipeline.from_pretrained(copy).size == (16, 16)


def test_dtype_and_device_can_be_asked_for(folder):
    half = Pipeline.from_pretrained(folder, device="cpu", dtype=torch.bfloat16)
    assert half.inner.unet.dtype == torch.bfloat16
    frames = list(half.sample_steps("a cat", steps=2, generator=seeded()))
    assert all(f.image.size == (16, 16) for f in frames)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_by_default(folder):
    pipeline = Pipeline.from_pretrained(folder)
    assert pipeline.inner.unet.device.type == "cuda"
    assert pipeline.sample("a cat", steps=2, generator=seeded()).size == (16, 16)


# -- the Hub -----------------------------------------------------------------------------------------------------------

PULL = """
import sys
from genlab.models.diffusion.pipeline import Pipeline
from genlab.names import LoadError
for source in sys.argv[1:]:
    source, _, revision = source.partition("@")
    try:
        pipeline = Pipeline.from_pretrained(source, revision=revision or None)
        print(source, "OK", pipeline.sample("a cat", steps=2).size)
    except LoadError as error:
        print(source, "LoadError", error)
"""


def pull(env: dict, *sources: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PULL, *sources], env={**os.environ, **env}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.slow
def test_from_the_hub_and_its_refusals(folder, tmp_path):
    files = files_of(folder)
    pickled = {name.replace(".safetensors", ".bin"): data for name, data in files.items()}
    custom = files | {
        "model_index.json": json.dumps(json.loads(files["model_index.json"]) | {"_class_name": ["mine", "P"]}).encode(),
        "mine.py": b"raise SystemExit('executed')",
    }
    with HubServer() as hub:
        for name, content in [("sd", files), ("pickled", pickled), ("custom", custom), ("other", {"a.txt": b"a"})]:
            hub.create(f"user/{name}")
            hub.commit(f"user/{name}", content)
        hub.create("user/gated", gated=True)
        hub.commit("user/gated", files)
        home = {"HF_HOME": str(tmp_path / "home")}
        sd, again, pickled, custom, other, gated, none, revision = pull(
            hub.env() | home,
            "user/sd",
            "user/sd@main",
            "user/pickled",
            "user/custom",
            "user/other",
            "user/gated",
            "user/none",
            "user/sd@nowhere",
        )
        assert sd == again == "user/sd OK (16, 16)"
        assert "pickles, which can run any code" in pickled
        assert "custom code" in custom
        assert "holds no model_index.json, so it is no diffusers pipeline" in other
        assert "it is gated" in gated
        assert "no such repository" in none
        assert "no revision 'nowhere'" in revision
        assert not [request for request in hub.log if request.path.endswith((".bin", ".py"))]
    # the server is gone: what is cached still loads, and what is not says why
    for how in ({}, {"HF_HUB_OFFLINE": "1"}):
        cached, unseen = pull(hub.env() | home | how, "user/sd", "user/never-seen")
        assert cached == "user/sd OK (16, 16)"
        assert "LoadError 'user/never-seen' could not be fetched" in unseen
        assert ("HF_HUB_OFFLINE is set" in unseen) == bool(how)
