"""How fitters of bodies are measured: on people and takes that no training saw, made into keypoints as a detector would
see them, with every fitter given the same ones."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import stdev

import numpy as np
import torch
from torch import Tensor

from genlab import metrics, viz
from genlab.data import mocap, motions
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.models.body import SMPL, BodyFit, Camera
from genlab.models.body.camera import seen as viewed
from genlab.names import GenlabError
from genlab.ops.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from genlab.recipes import _people

SEEDS = 3
PEOPLE = 300  # over all seeds
CAMERA = Camera(focal=1.0, center=(0.0, 0.0))  # pixels are then (X, -Y) / (-Z)
DATA = {"cmu": "CMU, performers held out", "bandai_namco": "Bandai-Namco"}
Steps = Callable[..., Iterator[BodyFit]]
NOTES = {
    "mpjpe": "median over people of the mean distance of the 24 joints from the true ones, pelvis on pelvis",
    "pa_mpjpe": "the same after the best rotation, scale and shift",
    "pa_mpjpe_p90": "what nine people in ten are better than",
    "pve": "median over people of the mean distance of vertices, pelvis on pelvis",
    "error_2d": "median over people of the mean distance of keypoints from where the true joints are seen",
}
UNITS = {"error_2d": "% of the box"}


@functools.cache
def poses(data: str) -> Tensor:
    return mocap.poses(mocap.measuring()[data], use="measuring", rest=_people.rest_joints())


def people(data: str, n: int, seed: int, noise: float, missing: float) -> dict[str, Tensor]:
    """n people of random shape before random cameras, as batches of `LearnedGradientDescent.loss`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1_000 + seed)
        pose = poses(data)
        chosen = pose[torch.randint(len(pose), (n,))]
        return _people.photographed({"pose": chosen}, mixed=False, noise=noise, missing=missing)


def made_up() -> dict[str, Tensor]:
    """Three people, walking, squatting and waving: what a card shows takes no captured motion."""
    generator = torch.Generator().manual_seed(5)
    pose = torch.cat(
        [motions.walk(torch.tensor([0.0])), motions.squat(torch.tensor([1.5])), motions.wave(torch.tensor([2.0]))]
    )
    turn = axis_angle_to_matrix(torch.tensor([[0.0, -0.9, 0.0], [0.0, 0.7, 0.0], [0.0, -0.3, 0.0]]))
    pose[:, 0] = matrix_to_axis_angle(turn @ axis_angle_to_matrix(pose[:, 0]))
    transl = torch.tensor([[0.0, 0.0, -4.0]]).repeat(3, 1)
    batch = {"pose": pose, "betas": torch.randn(3, 10, generator=generator), "transl": transl}
    where = viewed(_people.body().keypoints(batch["betas"], pose, transl))
    where = where + 0.004 * torch.randn(where.shape, generator=generator)  # about 1 % of the box
    return batch | {"where": where, "confidence": torch.ones(where.shape[:2])}


def pictures(body: SMPL, states: Sequence[BodyFit], batch: dict[str, Tensor]) -> Tensor:
    """A row for each person: the states, and in blue who it is."""
    true = body(batch["betas"], batch["pose"], batch["transl"]).vertices
    rows = []
    for i, person in enumerate(true):
        middle, half = (person.amin(dim=0) + person.amax(dim=0)) / 2, torch.tensor([0.64, 1.02, 0.64])
        look = {"size": (250, 157), "yaw": 0, "pitch": 0, "box": torch.stack([middle - half, middle + half])}
        row = [viz.mesh_picture(state.vertices[i], body.faces, **look) for state in states]
        rows.append([*row, viz.mesh_picture(person, body.faces, colors=(86, 140, 200), **look)])
    return torch.from_numpy(np.array(rows)).permute(0, 1, 4, 2, 3) / 255


def seen(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The keypoints of the 24 joints, and their confidence."""
    return batch["where"][:, :24] * torch.tensor([1.0, -1.0]), batch["confidence"][:, :24]


def errors(state: BodyFit, batch: dict[str, Tensor], vertices: bool = False) -> dict[str, Tensor]:
    """Each person's errors: millimetres, and shares of the box in percent."""
    body = _people.body()
    R = axis_angle_to_matrix(batch["pose"])
    true = body.keypoints(batch["betas"], R, batch["transl"])
    flat, want = CAMERA.project(state.joints), CAMERA.project(true)
    size = (want.amax(dim=1) - want.amin(dim=1)).amax(dim=1)
    found = {
        "mpjpe": 1000 * metrics.mpjpe(state.joints, true),
        "pa_mpjpe": 1000 * metrics.pa_mpjpe(state.joints, true),
        "error_2d": 100 * (flat - want).norm(dim=-1).mean(dim=1) / size,
    }
    if vertices:
        apart = []
        for i in torch.arange(len(R)).split(50):
            ours = body(state.betas[i], state.pose[i]).vertices - body.keypoints(state.betas[i], state.pose[i])[:, :1]
            theirs = body(batch["betas"][i], R[i]).vertices - body.keypoints(batch["betas"][i], R[i])[:, :1]
            apart.append((ours - theirs).norm(dim=-1).mean(dim=1))
        found["pve"] = 1000 * torch.cat(apart)
    return found


def summary(found: Sequence[dict[str, Tensor]], data: str, settings: dict, headline: bool = False) -> list[Metric]:
    """Medians over all people, with the standard deviation of the seeds' medians; and the 90th percentile."""
    every = {name: torch.cat([one[name] for one in found]) for name in found[0]}
    common = {"better": "lower", "samples": len(every["mpjpe"]), "seeds": len(found), "dataset": data}
    common["split"] = "validation" if data.startswith(DATA["cmu"]) else "test"  # training looks at CMU's
    results = []
    for name, values in every.items():
        unit, spread = UNITS.get(name, "mm"), stdev(one[name].median().item() for one in found)
        results.append(
            Metric(name, values.median().item(), spread, unit, settings=settings, note=NOTES[name], **common)
        )
    p90 = stdev(one["pa_mpjpe"].quantile(0.9).item() for one in found)
    worst = every["pa_mpjpe"].quantile(0.9).item()
    results.append(Metric("pa_mpjpe_p90", worst, p90, "mm", settings=settings, note=NOTES["pa_mpjpe_p90"], **common))
    if headline:
        results[:2] = [Metric(**{**vars(m), "headline": True}) for m in results[:2]]
    return results


def by_condition(steps: Steps, samples: int | None, settings: dict) -> Iterator[Job]:
    """The last state under noise of 0, 1 and 3 % of the box, with all joints there and with a fifth missing."""
    n = _each(samples)
    for data in DATA:
        for noise in (0.0, 0.01, 0.03):
            for missing in (0.0, 0.2, 0.5):
                if missing < 0.5 or noise == 0.01:

                    def run(data=data, noise=noise, missing=missing) -> list[Metric]:
                        found = []
                        for seed in range(SEEDS):
                            batch = people(data, n, seed, noise, missing)
                            *_, last = steps(*seen(batch), CAMERA)
                            found.append(errors(last, batch, vertices=True))
                        told = {"noise": f"{100 * noise:g} %", "missing": f"{100 * missing:g} %"} | settings
                        return summary(
                            found, DATA[data], told, headline=(data, noise, missing) == ("bandai_namco", 0.01, 0.0)
                        )

                    yield Job(f"{data} noise={100 * noise:g}% missing={100 * missing:g}%", run)


def by_step(steps: Steps, samples: int | None, shown: Sequence[int], settings: dict | None = None) -> Job:
    """How the error falls: after some of the steps, on CMU with 1 % of noise."""
    n = _each(samples)

    def run() -> list[Metric]:
        found: dict[int, list] = {}
        for seed in range(SEEDS):
            batch = people("cmu", n, seed, 0.01, 0.0)
            for step, state in enumerate(steps(*seen(batch), CAMERA)):
                if step in shown:
                    found.setdefault(step, []).append(errors(state, batch))
        data = f"{DATA['cmu']}, noise 1 %"
        return [m for step, some in found.items() for m in summary(some, data, {**(settings or {}), "step": step})]

    return Job("by step" + (f", {settings['method']}" if settings else ""), run)


def timed(steps: Steps, settings: dict) -> Job:
    """Milliseconds a person, by itself and among 256, on one thread: operations are small. The least of five runs."""

    def run() -> list[Metric]:
        results, threads = [], torch.get_num_threads()
        torch.set_num_threads(1)
        for n in (1, 256):
            batch, least = people("cmu", n, 0, 0.01, 0.0), float("inf")
            for _ in range(5):
                began = time.perf_counter()
                for _state in steps(*seen(batch), CAMERA):
                    pass
                least = min(least, time.perf_counter() - began)
            settled = {**settings, "batch": n}
            note = "a whole fit on one thread, divided by the batch; the least of five runs"
            results.append(
                Metric("time", 1000 * least / n, None, "ms a person", "lower", n, settings=settled, note=note)
            )
        torch.set_num_threads(threads)
        return results

    return Job("time", run)


def _each(samples: int | None) -> int:
    """People for each seed."""
    if samples is not None and samples < 3 * SEEDS:
        raise GenlabError(f"at least {3 * SEEDS} samples: three people under each of {SEEDS} seeds")
    return (samples or PEOPLE) // SEEDS
