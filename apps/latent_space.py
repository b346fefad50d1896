"""Latent space: a plane whose every point is a digit."""

import functools
import json
import math
import threading
from pathlib import Path

import gradio as gr
import numpy as np

from genlab import GenlabError, ui, viz
from genlab.ui.plane import chosen, grid, news, space, spaces

TITLE = "Latent space"
SUMMARY = "Two numbers for a digit: walk over their map, and see why a prior fills the holes."
FAMILY = "autoencoders"
MODELS = ["vae-mnist", "ae-mnist", "beta-vae-scenes", "vae-scenes", "cnn-mnist"]

VAE, AE, BETA, PLAIN, JUDGE = MODELS
NAMES = {"vae": VAE, "ae": AE}
WORDS = {VAE: "VAE", AE: "AE"}
BOX = {VAE: (-3.6, 3.6, -3.6, 3.6), AE: (-14.0, 14.0, -14.0, 14.0)}  # of the maps; nearly all codes lie inside
RINGS = {VAE: (1, 2, 3), AE: ()}  # deviations of the prior; the AE has none
DIGITS = [str(digit) for digit in range(10)]
KNOBS = ui.Knobs(
    model=ui.Choice("Model", "vae", [("VAE", "vae"), ("AE", "ae")]),
    behind=ui.Choice("Map shows", "pictures", [("decoded digits", "pictures"), ("codes of test digits", "points")]),
    digit=ui.Choice("Digit x", "3", [*DIGITS, ("yours", "drawn")]),
    to=ui.Choice("Walk from x to", "0", [*DIGITS, ("this x", "kept")]),
    centre=ui.Switch("centre it, as MNIST does", True),
    show=ui.Choice("Show", "samples", [("samples", "samples"), ("from A to B", "ends")]),
    fit=ui.Choice(
        "Codes for the AE", "gaussian", [("fitted Gaussian", "gaussian"), ("box", "box"), ("N(0, I)", "prior")]
    ),
    spread=ui.Number("Spread of the codes (1: as the law says)", 1.0, 0, 2, 0.1),
    rows=ui.Number("Numbers shown", 5, 1, 10),
    reach=ui.Number("Each from −r to r, r", 2.0, 0.5, 3, 0.5),
    seed=ui.Number("Seed", 7, 0, 2**31 - 1, box=True),
)
TRY = {  # the lesson in order; a knob that is not named goes back to its default, except the seed
    "walk the map": {},
    "where digits lie": {"behind": "points"},
    "between 7 and 1": {"digit": "7", "to": "1"},
    "sample both": {"view": "compare"},
    "cross both maps": {"view": "compare", "show": "ends", "digit": "0", "to": "1"},
    "turn one number": {"view": "traverse"},
}
NOTICE = f"""
## What to notice
- Move over the VAE's map: digits change into each other without a gap, and nearly all of N(0, I) stands for some digit.
  Where two kinds meet, the digit is a blend: two numbers are few, and the decoder must average.
- The digit x is not a point but a small ellipse: q(z | x). It is tiny beside the prior. The KL term pays for that:
  the smaller the ellipse, the more nats.
- The AE has no prior. Its codes lie in arms of any length with holes between them, and nothing says where to draw from.
  Codes from a Gaussian fitted to them fall into the holes more often. From N(0, I) they hardly leave the middle: most
  pictures are then of two digits only.
- The judge ({JUDGE}) saw only digits: far outside it is often sure of nonsense, mostly of one digit. So its confidence
  flatters the box; look at how many different digits it reads, too.
- A larger β makes nats dear: the code of ten numbers says less, and its last number is nearly switched off (show all
  ten). One number follows the background alone; most others still mix several things. MIG would be 1 if each thing had
  a number of its own.
- The shapes in the scenes are blobs: the decoder draws the mean of all pictures that the code leaves possible.
"""
MAP, COMPARE, TRAVERSE = VIEWS = ("map", "compare", "traverse")
EXAMPLES = {digit: ui.drawn(ui.strokes(lines)) for digit, lines in ui.DIGITS.items()}
SHOWN, JUDGED, SURE = 60, 1000, 0.9  # codes on a map; pictures that the judge reads; what counts as sure
CODES = 64  # drawn from q(z | x) for the reconstruction term
FACTOR = {"across": "place across", "down": "height", "field": "background"}  # in plainer words
WORLDS, COLUMNS = 600, 5  # scenes that the numbers of a code are measured on; pictures in a row
SHELF = ui.Shelf(*MODELS)
ARRIVAL = (
    Path(__file__).parent / "pictures" / "latent_space.json"
)  # written by `python -m scripts.arrival latent_space`
READY = json.loads(ARRIVAL.read_text(encoding="utf-8")) if ARRIVAL.is_file() else {}
RUNS = ui.Runs()  # judgements
BUSY = threading.Lock()  # one judgement at a time: two on two cores are each half as fast


# -- codes and pictures ------------------------------------------------------------------------------------------------


def decode(name: str, z) -> np.ndarray:
    """Codes (n, 2) to pictures (n, 28, 28) in [0, 1]."""
    z = np.asarray(z, dtype=np.float32).reshape(-1, 2)
    return ui.infer(lambda codes: SHELF[name].decode(codes.to(SHELF[name].device)), ui.tensor(z))[:, 0]


def paper(drawing: str, centre: bool) -> np.ndarray:
    """What the encoder sees of a drawing, (28, 28): moved by whole pixels so that its ink is in the middle."""
    image = ui.ink(drawing)
    if not centre or not image.any():
        return image
    rows, columns = np.indices(image.shape)
    down, right = (round(float(13.5 - (at * image).sum() / image.sum())) for at in (rows, columns))
    there = np.pad(image, 28)
    return there[28 - down : 56 - down, 28 - right : 56 - right]


@functools.lru_cache(maxsize=256)
def read(name: str, drawing: str, centre: bool = True) -> dict | None:
    """What a model makes of a drawing: mean and deviation of its code, the picture back, and the terms in nats; of the
    AE, which has no distribution, the code and the squared error. None where there is no ink."""
    x = paper(drawing, centre)
    if not x.any():
        return None
    model = SHELF[name]
    picture = ui.tensor(x[None, None]).to(model.device)
    if name == AE:
        code = ui.infer(model.encode, picture)[0]
        back = decode(name, code)[0]
        return {"mean": code, "std": np.zeros(2), "back": back, "error": float(np.square(back - x).sum())}

    def nats(x):
        return model.likelihood(x, model.output(model.encode(x).sample(CODES, ui.seeded(0))[:, 0]))

    mean, std, kl = (
        ui.infer(part, picture)[0]
        for part in (lambda x: model.encode(x).mean, lambda x: model.encode(x).std, lambda x: model.encode(x).kl())
    )
    found = {"mean": mean, "std": std, "kl": kl, "back": decode(name, mean)[0]}
    each = ui.infer(nats, picture)
    found |= {"nats": float(each.mean()), "spread": float(each.std(ddof=1) / math.sqrt(CODES))}
    return found | {"elbo": found["nats"] - float(kl.sum())}


@functools.cache
def codes_of(name: str) -> np.ndarray:
    """Codes (n, 2) of digits: of MNIST's test digits, as this page brings them; else of digits that the VAE draws."""
    for about in READY.get("spaces", ()):
        if about["name"] == name and about["points"]:
            return np.array(about["points"])
    pictures = SHELF[VAE].sample(500, generator=ui.seeded(0))
    return ui.infer(lambda x: SHELF[name].encode(x), pictures) if name == AE else np.zeros((1, 2))


def fitted(fit: str) -> tuple[np.ndarray, np.ndarray]:
    """Where codes for the AE come from: mean (2,) and Cholesky factor (2, 2); or middle and sides of a box."""
    codes = codes_of(AE)
    if fit == "box":
        low, high = np.quantile(codes, [0.01, 0.99], axis=0)
        return (low + high) / 2, np.diag(high - low)
    return codes.mean(axis=0), np.linalg.cholesky(np.cov(codes.T))


def draws(name: str, n: int, knobs: dict) -> np.ndarray:
    """Codes (n, 2) to sample with: from the prior, or for the AE from what was fitted. One seed, the same noise."""
    rng, spread = np.random.default_rng(knobs["seed"]), knobs["spread"]
    if name == VAE or knobs["fit"] == "prior":
        return np.round(spread * rng.normal(size=(n, 2)), 3)
    middle, shape = fitted(knobs["fit"])
    noise = rng.random((n, 2)) - 0.5 if knobs["fit"] == "box" else rng.normal(size=(n, 2))
    return np.round(middle + spread * noise @ shape.T, 3)


def judged(images: np.ndarray) -> dict:
    """What the judge reads in pictures (n, 28, 28), how surely, and over how many digits its readings are spread."""
    with BUSY:
        logits = ui.infer(SHELF[JUDGE], ui.tensor(images[:, None].astype(np.float32)))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    reads, sure = odds.argmax(axis=1), odds.max(axis=1)
    share = np.bincount(reads, minlength=10) / len(reads)
    digits = float(np.exp(-(share[share > 0] * np.log(share[share > 0])).sum()))
    return {"reads": reads.tolist(), "sure": sure.tolist(), "share": float((sure >= SURE).mean()), "digits": digits}


def marked(found: dict, k: int) -> str:
    """'7 98%', with ✗ where the judge is not sure."""
    sure = found["sure"][k]
    return f"{found['reads'][k]} {100 * sure:.0f}%" + ("" if sure >= SURE else "✗")


# -- what the numbers of a code of ten say ----------------------------------------------------------------------------


def world(n: int, seed: int):
    """Scenes of one plain thing, and their pictures (n, 3, 32, 32): what both models of scenes learned from."""
    scenes = ui.part("data.scenes")
    some = scenes.single(n, seed)
    return some, scenes.draw(some, 32).float() / 255


@functools.cache
def numbers(name: str) -> list[dict]:
    """Of each number of a code, by how many nats it says: its KL, and which factor it follows, by the share of its
    variance that this factor explains alone."""
    scenes, (some, pictures) = ui.part("data.scenes"), world(WORLDS, 1)
    table = scenes.factors(some).T
    pictures = pictures.to(SHELF[name].device)
    means = ui.infer(lambda x: SHELF[name].encode(x).mean, pictures)
    kl = ui.infer(lambda x: SHELF[name].encode(x).kl(), pictures).mean(axis=0)
    out = []
    for k in np.argsort(-kl):
        z, explained = means[:, k], []
        for factor in (viz.to_numpy(column) for column in table):
            groups = [z[factor == value] for value in np.unique(factor)]
            between = sum(len(group) * (group.mean() - z.mean()) ** 2 for group in groups)
            explained.append(float(between / max(((z - z.mean()) ** 2).sum(), 1e-12)))
        best = int(np.argmax(explained))
        out.append({"number": int(k), "kl": float(kl[k]), "factor": scenes.FACTORS[best], "share": explained[best]})
    return out


def traversal(name: str, seed: int, rows: int, reach: float) -> np.ndarray:
    """Pictures (rows, COLUMNS, 3, 32, 32) of one scene's code, whose numbers that say most go from -reach to reach."""
    model, picture = SHELF[name], world(1, seed)[1]
    code = ui.infer(lambda x: model.encode(x.to(model.device)).mean, picture)[0]
    values = np.linspace(-reach, reach, COLUMNS, dtype=np.float32)
    order = [about["number"] for about in numbers(name)[:rows]]
    return viz.to_numpy(model.traverse(ui.tensor(code).to(model.device), ui.tensor(values)))[order]


def changes(row: np.ndarray) -> np.ndarray:
    """Where a row's pictures (n, 3, h, w) differ, (3, h, w): most colour apart, from dark (nothing) to bright."""
    apart = np.ptp(row, axis=0).max(axis=0).clip(0, 1)
    return np.moveaxis(viz.viridis(apart), -1, 0)


# -- the three views ---------------------------------------------------------------------------------------------------


def ends_of(name: str, knobs: dict, drawing: str) -> list[list[float]] | None:
    """The mean codes of x and of the digit to walk to, an example or a drawing that was kept; None without either."""
    other = knobs.get("kept", "") if knobs["to"] == "kept" else EXAMPLES[knobs["to"]]
    both = [read(name, ink, knobs["centre"]) for ink in (drawing, other)]
    return [[round(float(v), 3) for v in found["mean"]] for found in both] if all(both) else None


def mark(name: str, knobs: dict, drawing: str) -> list[dict]:
    found = read(name, drawing, knobs["centre"])
    return [{"at": found["mean"].tolist(), "std": found["std"].tolist(), "label": "x"}] if found else []


def start(name: str) -> list[float]:
    """The code on the stage before anybody chooses one."""
    return [-1.6, -1.3] if name == VAE else [2.0, -6.0]


def on_map(knobs: dict, drawing: str, at=None, ends=None) -> dict:
    """The map, the digit x on it, and the walk from A to B."""
    name = NAMES[knobs["model"]]
    found = read(name, drawing, knobs["centre"])
    ends = ends or ends_of(name, knobs, drawing)
    at = at or start(name)
    where = f"x is encoded at {pair(found['mean'])}" if found else "No digit x is drawn"
    if found and name == VAE:
        where += f", deviations {pair(found['std'], 3)}"
    alt = f"Map of the {WORDS[name]}'s codes, {'decoded digits' if knobs['behind'] == 'pictures' else 'test digits'}. "
    status = "" if found else "Draw a digit on the black square, or choose one."
    if found and knobs["to"] == "kept" and drawing == knobs.get("kept"):
        status = "This x is B now. Draw or choose another x, to walk from."
    if knobs["behind"] == "points" and not READY:
        status = "The codes of MNIST's test digits are not here: python -m scripts.arrival latent_space writes them."
    return news(
        space=name,
        behind=knobs["behind"],
        at=at,
        ends=ends,
        strip="ends" if ends else "",
        marks=mark(name, knobs, drawing),
        target=ui.drawn(paper(drawing, knobs["centre"])) if found and name == VAE else "",
        side=terms(name, knobs, drawing),
        status=status,
        alt=f"{alt}{where}.",
    )


def terms(name: str, knobs: dict, drawing: str) -> str:
    """x, the picture back, and the two terms of the bound as bars of one scale."""
    found = read(name, drawing, knobs["centre"])
    if not found:
        return ""
    x = paper(drawing, knobs["centre"])
    shown = "".join(
        f'<figure><img src="{viz.data_uri(viz.png(viz.to_uint8(image[None])[0]))}" alt="{alt}"><figcaption>{word}'
        "</figcaption></figure>"
        for image, word, alt in ((x, "x", "The digit x"), (found["back"], "x̂", "The picture its mean code stands for"))
    )
    if name == AE:
        said = (
            f"Squared error <b>{found['error']:.1f}</b>, summed over 784 pixels. The code is a point, "
            f"{pair(found['mean'])}: no q, no prior, no bound."
        )
        return f'<div class="gl-terms">{shown}<div>{said}</div></div><small>{HINT}</small>'
    cost, kl = -found["nats"], float(found["kl"].sum())
    said = "".join(
        f'<p><span>{word}</span><b>{value} nats</b><i style="width:{100 * size / (cost + kl):.1f}%"></i></p>'
        for word, value, size in (("reconstruction", signed(-cost, 1), cost), ("KL", signed(kl, 1), kl))
    )
    said += f"<p><span>log p(x) ≥</span><b>{signed(found['elbo'], 1)} nats</b></p>"
    note = (
        "Reconstruction: E log p(x | z) over the whole ellipse q. KL: of q to the prior. One code z has no KL, "
        f"only its log p(z).<br>{HINT}"
    )
    return f'<div class="gl-terms">{shown}<div>{said}</div></div><small>{note}</small>'


HINT = "Click the map to keep a code. Drag A and B, or press A or B to put one at the code."


def compared(knobs: dict, drawing: str, results: dict | None = None) -> dict[str, dict]:
    """Both maps: samples from each, or one walk over both. results: what the judge found of each model's samples."""
    out = {}
    for name in (VAE, AE):
        ends = ends_of(name, knobs, drawing) if knobs["show"] == "ends" else None
        found = (results or {}).get(name)
        samples = [{"at": z} for z in draws(name, SHOWN, knobs).tolist()]
        if found:
            samples[:8] = [s | {"caption": marked(found, k)} for k, s in enumerate(samples[:8])]
        out[name] = news(
            space=name,
            behind="points" if READY else "pictures",
            at=start(name),
            ends=ends,
            strip=knobs["show"] if knobs["show"] == "samples" or ends else "",
            samples=samples if knobs["show"] == "samples" else [],
            marks=mark(name, knobs, drawing) if ends else [],
            side=heading(name, knobs, ends, found),
            status="" if ends or knobs["show"] == "samples" else "Draw a digit on the black square, or choose one.",
            alt=f"Map of the {WORDS[name]}'s codes; "
            + ("a walk from A to B." if ends else f"codes from {source(name, knobs)}."),
        )
    return out


def source(name: str, knobs: dict) -> str:
    """Where codes come from, in words."""
    fits = {"gaussian": "a Gaussian fitted to its codes", "box": "a box around its codes"}
    return "N(0, I), its prior" if name == VAE else fits.get(knobs["fit"], "N(0, I), as if it had that prior")


def heading(name: str, knobs: dict, ends=None, found: dict | None = None) -> str:
    """What stands beside a map: what it shows, and what the judge says of it."""
    if knobs["show"] == "samples":
        return f"<h3>{WORDS[name]}: codes from {source(name, knobs)}</h3>{verdict(found)}"
    return f"<h3>{WORDS[name]}: straight from A to B</h3>" + (f"<p>{holes(name, ends)}</p>" if ends else "")


def verdict(found: dict | None) -> str:
    """The measure of a model's samples, in words."""
    if not found:
        return f"<p>{JUDGE} reads {JUDGED} of them ...</p>"
    n = len(found["reads"])
    real = f"; MNIST's own test digits: {100 * READY['real']:.0f} %" if "real" in READY else ""
    margin = 100 * math.sqrt(found["share"] * (1 - found["share"]) / n)
    return (
        f"<p><b>{100 * found['share']:.0f} %</b> ± {margin:.0f} of {n} ↑<br>{JUDGE} reads with at least "
        f"{100 * SURE:.0f} % confidence{real}</p><p><b>{found['digits']:.1f}</b> of 10 digits ↑<br>"
        "as even as its readings are spread</p>"
    )


def holes(name: str, ends: list) -> str:
    """How the pictures along a walk read."""
    codes = np.linspace(*np.array(ends), 9)
    found = judged(decode(name, codes))
    unsure = sum(sure < SURE for sure in found["sure"])
    reads = " ".join(map(str, found["reads"]))
    return f"{JUDGE} reads {reads}<br>and is unsure (below {100 * SURE:.0f} %) of <b>{unsure}</b> of 9."


@functools.lru_cache(maxsize=256)
def judge_samples(name: str, seed: int, spread: float, fit: str) -> dict:
    """What the judge finds in samples of a model."""
    return judged(decode(name, draws(name, JUDGED, {"seed": seed, "fit": fit, "spread": spread})))


def judge_both(knobs: dict, run: ui.Run) -> dict[str, dict] | None:
    """What the judge finds in samples of both models; None if by then something else was asked for."""
    found = {}
    for name, fit in ((AE, knobs["fit"]), (VAE, "")):  # the VAE has its prior, whatever the AE's codes come from
        if not run.going:
            return None
        found[name] = judge_samples(name, knobs["seed"], knobs["spread"], fit)
    return found if run.going else None


def traversed(knobs: dict) -> str:
    """A row a number, those that say most first: β-VAE beside β = 1."""
    some, picture = world(1, knobs["seed"])
    caption = ui.part("data.scenes").captions(some)[0]
    scene = viz.data_uri(viz.png(viz.to_uint8(picture)[0]))
    head = (
        f'<div class="gl-scene"><img src="{scene}" alt="{caption}"><p>One scene, <b>{caption}</b>, as a code of ten '
        f"numbers. In each row one number goes from −{knobs['reach']:g} to {knobs['reach']:g}, the others stay; the "
        f"last picture shows where the row differs. Measured on {WORLDS} scenes: how many nats each number says; what "
        "it follows most, and the part of its variance that goes with this thing alone.</p></div>"
    )
    panels = []
    for name, kind in ((BETA, "β-VAE"), (PLAIN, "VAE")):
        title = f"{kind}, β = {SHELF[name].config.beta:g}"
        about = numbers(name)
        images = traversal(name, knobs["seed"], knobs["rows"], knobs["reach"])
        rows = "".join(
            row_of(one, row, about[0]["kl"], knobs["reach"]) for one, row in zip(about, images, strict=False)
        )
        gaps = ui.measured(name, "mig")
        gap = f"; MIG {gaps[0]['value']:.2f} of 1 ↑" if gaps else ""
        nats = [one["kl"] for one in about]
        said = f"{sum(nats):.1f} nats in all, from {nats[-1]:.2f} to {nats[0]:.2f} a number{gap}"
        panels.append(f"<section><h3>{title}</h3><p>{said}</p>{rows}</section>")
    return f'<div class="gl-traverse" data-seed="{knobs["seed"]}">{head}<div>{"".join(panels)}</div></div>'


def row_of(about: dict, row: np.ndarray, most: float, reach: float) -> str:
    """The pictures of one number, beside where they differ; how much it says, and of what."""
    strip, apart = (viz.data_uri(viz.png(viz.tile(part, len(part)))) for part in (row, changes(row)[None]))
    k, nats = about["number"] + 1, f"{about['kl']:.2f} nats"
    factor = FACTOR.get(about["factor"], about["factor"])
    follows = f"{'follows' if about['share'] >= 0.5 else 'mixed; above all'} {factor}: {100 * about['share']:.0f} %"
    return (
        f'<div class="gl-row"><p><b>z<sub>{k}</sub></b>'
        f'<i style="width:{72 * about["kl"] / max(most, 1e-9):.0f}px"></i> {nats} <span>{follows}</span></p>'
        f'<div><img src="{strip}" alt="z{k} from -{reach:g} to {reach:g}: {nats}; {follows}">'
        f'<img src="{apart}" alt="Where these pictures differ"></div></div>'
    )


def signed(x: float, digits: int = 2) -> str:
    return f"{float(x):.{digits}f}".replace("-", "−")


def pair(z, digits: int = 2) -> str:
    return f"({', '.join(signed(x, digits) for x in z)})"


def link(view: str, knobs: dict, drawing: str, at=None, ends=None) -> dict:
    """The query that leads back to what is on the stage."""
    values = KNOBS.query(knobs) | ({"view": view} if view != MAP else {})
    if knobs["digit"] == "drawn":
        values["ink"] = ui.packed(drawing)
    if knobs["to"] == "kept":
        values["ink2"] = ui.packed(knobs.get("kept", ""))
    for key, numbers in (("z", at), ("ends", ends and [x for end in ends for x in end])):
        if numbers:
            values[key] = ",".join(f"{x:g}" for x in numbers)
    return {"names": [*KNOBS, "view", "ink", "ink2", "z", "ends"], "values": values}


def numbers_in(text, count: int) -> list[float] | None:
    """So many numbers of a link; None for what is anything else."""
    parts = text.split(",") if isinstance(text, str) and len(text) < 100 else []
    try:
        found = [float(part) for part in parts]
    except ValueError:
        return None
    return found if len(found) == count and all(abs(x) <= 1000 for x in found) else None


# -- the texts that follow the stage -----------------------------------------------------------------------------------


def equation(view: str, knobs: dict, drawing: str, at=None) -> str:
    """The law of the model on the stage, each symbol with its present value."""
    if view == TRAVERSE:
        some = "one scene of the seed"
        now = {
            "x": some,
            "z": "10 numbers; all but one stay the mean of q",
            r"p_\theta(x \mid z)": "Gaussian pixels; their mean is the picture",
            r"\beta": f"**{SHELF[BETA].config.beta:g}** ({BETA}), **{SHELF[PLAIN].config.beta:g}** ({PLAIN})",
            "p(z)": "N(0, I) in 10 dimensions",
        }
        return ui.equation(FAMILY, "VAE", now | {"k": "1"})
    names = [NAMES[knobs["model"]]] if view == MAP else [VAE, AE]
    return "\n\n".join((law_of_ae if name == AE else law_of_vae)(view, knobs, drawing, at) for name in names)


def law_of_vae(view: str, knobs: dict, drawing: str, at=None) -> str:
    found = encoded(VAE, view, knobs, drawing)
    now = {
        "x": drawn_word(view, knobs, found),
        "z": code_word(VAE, view, knobs, drawing, at),
        r"p_\theta(x \mid z)": "784 Bernoulli pixels; their mean is the picture, decoded in your browser",
        "p(z)": "N(0, I), the circles",
        r"\beta": "**1**",
        "k": "1",
    }
    if found:
        now |= {
            r"q_\phi(z \mid x)": f"the ellipse at {pair(found['mean'])}",
            r"\mu_\phi,\ \sigma_\phi": f"{pair(found['mean'])}, {pair(found['std'], 3)}",
            r"D_{KL}": f"{' + '.join(signed(kl) for kl in found['kl'])} nats",
        }
    return ui.equation(FAMILY, "VAE", now)


def law_of_ae(view: str, knobs: dict, drawing: str, at=None) -> str:
    found = encoded(AE, view, knobs, drawing)
    now = {"x": drawn_word(view, knobs, found), "z": code_word(AE, view, knobs, drawing, at)}
    now |= {r"f_\phi": f"x to {pair(found['mean'])}"} if found else {}
    return ui.equation(FAMILY, "Autoencoder", now | {r"g_\theta": "2 → 256 → 512 → 784, in your browser"})


def encoded(name: str, view: str, knobs: dict, drawing: str) -> dict | None:
    """What `read` finds of x where the stage shows it; samples need no x."""
    return read(name, drawing, knobs["centre"]) if view == MAP or knobs["show"] == "ends" else None


def drawn_word(view: str, knobs: dict, found: dict | None) -> str:
    if not found:
        return "none is drawn" if view == MAP or knobs["show"] == "ends" else "none is encoded"
    return "your drawing" if knobs["digit"] == "drawn" else f"a {knobs['digit']}, drawn by us"


def code_word(name: str, view: str, knobs: dict, drawing: str, at=None) -> str:
    """What z is now: the code on the stage, those from A to B, or those that were drawn."""
    if view == MAP:
        return f'<span class="gl-now-z">{pair(at or start(name))}</span>'
    if knobs["show"] == "ends":
        ends = ends_of(name, knobs, drawing)
        return "9 on the straight line from A to B" if ends else "–"
    wide = "" if knobs["spread"] == 1 else f", spread {knobs['spread']:g} times as far"
    return f"{JUDGED} from {source(name, knobs)}{wide}; the first {SHOWN} are on the map"


def on_stage(view: str, knobs: dict) -> tuple[list[str], list[str]]:
    """Names of the models that are shown, and of the classes that state their laws."""
    names = {MAP: [NAMES[knobs["model"]]], COMPARE: [VAE, AE], TRAVERSE: [BETA, PLAIN]}[view]
    return names, list(dict.fromkeys("Autoencoder" if name == AE else "VAE" for name in names))


def python(view: str, knobs: dict, drawing: str, at=None, ends=None) -> str:
    """Python that makes what is on the stage."""
    if view == TRAVERSE:
        reach = knobs["reach"]
        return ui.python_text(
            "import genlab", "import torch", "from genlab.data import scenes", "",
            f"picture = scenes.draw(scenes.single(1, {knobs['seed']}), 32).float() / 255",
            "images = {}",
            f'for name in ("{BETA}", "{PLAIN}"):',
            "    vae = genlab.from_pretrained(name)",
            "    code = vae.encode(picture).mean[0].detach()",
            f"    images[name] = vae.traverse(code, torch.linspace({-reach}, {reach}, {COLUMNS}))  # a row a number",
        )  # fmt: skip
    if view == COMPARE and knobs["show"] == "samples":
        lines = ["import genlab", "import numpy as np", "import torch", "", f"spread, n = {knobs['spread']}, {JUDGED}"]
        lines += [f"noise = np.random.default_rng({knobs['seed']}).normal(size=(n, 2))", "codes = {"]
        other = "spread * noise"
        if knobs["fit"] != "prior":
            middle, shape = (np.round(part, 4).tolist() for part in fitted(knobs["fit"]))
            box = f"(np.random.default_rng({knobs['seed']}).random((n, 2)) - 0.5)"
            other = f"{middle} + spread * {box if knobs['fit'] == 'box' else 'noise'} @ np.array({shape}).T"
        return ui.python_text(
            *lines,
            f'    "{VAE}": spread * noise,  # its prior',
            f'    "{AE}": {other},',
            "}",
            f'judge, images, sure = genlab.from_pretrained("{JUDGE}"), {{}}, {{}}',
            "for name, z in codes.items():",
            "    images[name] = genlab.from_pretrained(name).decode(torch.tensor(z).float()).detach()",
            f"    sure[name] = (judge(images[name]).softmax(1).amax(1) >= {SURE}).float().mean().item()",
            "print(sure)",
        )
    x, name = paper(drawing, knobs["centre"]), NAMES[knobs["model"]] if view == MAP else VAE
    ends = ends or ends_of(name, knobs, drawing)
    lines = ["import genlab", "import torch", "", f'model = genlab.from_pretrained("{name}")']
    lines += [f"picture = model.decode(torch.tensor([{at or start(name)}]))"]
    if x.any():
        lines = ["import base64", "import zlib", "", *lines]
        lines += [
            "",
            f'pixels = zlib.decompress(base64.urlsafe_b64decode("{ui.packed(ui.drawn(x))}=="))',
            "x = torch.tensor(list(pixels)).reshape(1, 1, 28, 28) / 255",
        ]
        lines += ["z = model.encode(x)"] if name == AE else [
            "q = model.encode(x)",
            f"y = model.output(q.sample({CODES}, torch.Generator().manual_seed(0))[:, 0])",
            "reconstruction, kl = model.likelihood(x, y).mean(), q.kl().sum()",
            "print(q.mean, q.std, reconstruction, kl, reconstruction - kl)",
        ]  # fmt: skip
    if ends:
        lines += ["", f"a, b = torch.tensor({ends})"]
        lines += ["walk = model.decode(a + torch.linspace(0, 1, 9)[:, None] * (b - a))"]
    return ui.python_text(*lines)


# -- the page ----------------------------------------------------------------------------------------------------------


def arrival() -> tuple[dict, np.ndarray]:
    """What the page knows before the weights are loaded: both maps, codes of 2,000 of MNIST's test digits (no pixel of
    them), the three views at their defaults; and the gallery's picture, the VAE's map."""
    test = ui.part("data.mnist").load("test")
    pictures, labels = test["image"][:2000].float() / 255, viz.to_numpy(test["label"][:2000])
    known, picture = [], None
    for name in (VAE, AE):
        sheet = decode(name, grid(BOX[name]))
        codes = (lambda x: SHELF[VAE].encode(x).mean) if name == VAE else SHELF[AE].encode
        points = ui.infer(codes, pictures)
        known.append(about(name) | space(name, sheet=sheet, points=points, labels=labels))
        picture = viz.tile(sheet, gap=0) if picture is None else picture
    READY.clear()
    READY["spaces"] = known
    codes_of.cache_clear()
    knobs = KNOBS.defaults()
    READY["real"] = judged(viz.to_numpy(pictures[:JUDGED, 0]))["share"]
    READY["compare"] = list(compared(knobs, EXAMPLES[knobs["digit"]], judge_both(knobs, ui.Run())).values())
    READY["map"] = on_map(knobs, EXAMPLES[knobs["digit"]])
    READY["traverse"] = traversed(knobs)
    READY["law"] = equation(MAP, knobs, EXAMPLES[knobs["digit"]])
    READY["kl"] = {name: [one["kl"] for one in numbers(name)] for name in (BETA, PLAIN)}
    return READY, picture


def about(name: str) -> dict:
    """What is known of a space without its weights."""
    axes = ("z₁", "z₂")
    return space(name, box=BOX[name], size=(28, 28), axes=axes, rings=RINGS[name])


def decoders() -> list[dict]:
    """The decoders of both maps, for the page to run; with the codes known of each if the page did not bring them."""
    out = []
    for name in (VAE, AE):
        model = SHELF[name]
        linear = [(layer.weight, layer.bias) for layer in model.decoder if hasattr(layer, "weight")]
        out.append(space(name, layers=linear, activation=model.config.activation))
    return out


def controls(frame: ui.Frame) -> tuple[dict, dict]:
    """The controls column: the components by knob, the pad and the lock of the seed among them; and the groups by
    view."""
    made, groups = {}, {}
    chips = {"elem_classes": "gl-chipset"}
    with frame.controls:
        with gr.Column(elem_classes="gl-plain") as groups[MAP], frame.group("What: the map"):
            made["model"] = KNOBS["model"].component(show_label=False, **chips)
            made["behind"] = KNOBS["behind"].component(**chips)
        with gr.Column(elem_classes="gl-plain", visible=False) as groups[COMPARE], frame.group("What: AE against VAE"):
            made["show"] = KNOBS["show"].component(show_label=False, **chips)
            with gr.Column(elem_classes="gl-plain") as groups["samples"]:
                made["fit"] = KNOBS["fit"].component(**chips)
                made["spread"] = KNOBS["spread"].component()
        with gr.Column(elem_classes="gl-plain") as groups["digit"], frame.group("How: the digit x"):
            made["digit"] = KNOBS["digit"].component(show_label=False, elem_classes="gl-chipset gl-ten")
            made["pad"] = ui.pad(value=EXAMPLES[KNOBS["digit"].default], elem_classes="gl-pad-small")
            made["centre"] = KNOBS["centre"].component(container=False)
            made["to"] = KNOBS["to"].component(elem_classes="gl-chipset gl-ten")
        with gr.Column(elem_classes="gl-plain", visible=False) as groups[TRAVERSE], frame.group("How"):
            made["rows"] = KNOBS["rows"].component()
            made["reach"] = KNOBS["reach"].component()
        with (
            gr.Column(elem_classes="gl-plain") as groups["seed"],
            frame.group("Seed"),
            gr.Row(elem_classes="gl-seed"),
        ):
            made["seed"] = KNOBS["seed"].component(show_label=False, container=False, min_width=96)
            made["lock"] = gr.Checkbox(False, label="keep it", container=False, min_width=96)
        frame.generate = gr.Button("Draw a code", variant="primary", elem_classes="gl-generate", min_width=96)
    return made, groups


ADDRESS = """watch("value", () => {
  if (props.value?.names.length) glRelink(props.value);
});"""
GENERATE = {MAP: "Draw a code", "samples": "Draw other codes", "ends": "Two other digits", TRAVERSE: "Another scene"}


def build() -> gr.Blocks:
    with (
        gr.Blocks(title=f"{TITLE} · genlab", analytics_enabled=False) as app,
        ui.page(TITLE, SUMMARY, FAMILY, models=MODELS),
    ):
        lesson(app)
        endpoints()
    return app


def lesson(app: gr.Blocks) -> None:
    """The page's content and its events. Nothing is computed here: the stage shows what the weights drew before; the
    decoders follow the page, and from then on the page decodes itself."""
    ready = {MAP: READY.get("map"), COMPARE: READY.get("compare") or [None, None], TRAVERSE: READY.get("traverse")}
    first = READY.get("spaces") or [about(name) for name in (VAE, AE)]
    with ui.frame() as frame:
        spaces(first)
        brought = spaces()
        address = gr.HTML(
            html_template="<i></i>", js_on_load=ADDRESS, apply_default_css=False, elem_classes="gl-hidden"
        )
        made, groups = controls(frame)
        with frame.stage:
            with gr.Tabs(elem_classes="gl-views") as tabs:
                with gr.Tab("Map", id=MAP) as map_tab:
                    plane = ui.plane(ready[MAP] or news(space=VAE, at=start(VAE)))
                with gr.Tab("AE against VAE", id=COMPARE) as compare_tab:
                    pairs = [
                        ui.plane(value or news(space=name, at=start(name)), small=True)
                        for name, value in zip((VAE, AE), ready[COMPARE], strict=True)
                    ]
                with gr.Tab("Turn one number", id=TRAVERSE) as traverse_tab:
                    rows = gr.HTML(ready[TRAVERSE] or "<p>The models are on their way.</p>", apply_default_css=False)
            frame.suggest(TRY)
        with frame.below:
            with gr.Row(elem_classes="gl-two"):
                with gr.Column(min_width=320):
                    law = ui.markdown(READY.get("law", ""))
                with gr.Column(min_width=320):
                    ui.markdown(NOTICE)
            with gr.Accordion("Python", open=False):
                code = ui.markdown()
            with gr.Accordion("Under the hood", open=False):
                source = ui.markdown()
            with gr.Accordion(f"Model card: {VAE}", open=False) as about_them:
                card = ui.markdown()

    view = gr.Textbox("", visible="hidden", label="view")  # which is open; none before the link has been read
    picked = gr.State([None, None])  # the code and the ends that the visitor chose on the map
    names = list(KNOBS)
    knobs = [made[name] for name in names]
    kept = gr.Textbox("", visible="hidden", label="the drawing that was kept as B")
    mine = gr.State("")  # the last drawing of the visitor's own
    state = [view, made["pad"], kept, picked, *knobs]
    seen = gr.State(KNOBS["seed"].default)  # the seed of what is on the stage
    last = gr.State(KNOBS["seed"].default)  # the one that was drawn last, which may not be there yet
    shown = [plane, *pairs, rows, law, code, address, seen, *groups.values(), frame.generate]

    def known(kept, values) -> dict:
        """The knobs, and the drawing that was kept as B where one is asked for."""
        values = KNOBS.clean(dict(zip(names, values, strict=True)))
        return values | ({"kept": kept if ui.ink(kept).any() else ""} if values["to"] == "kept" else {})

    def restore(request: gr.Request):
        """The state that the link asks for."""
        query = dict(request.query_params)
        values = KNOBS.clean(query)
        at = query.get("view") if query.get("view") in VIEWS else MAP
        drawing = ui.unpacked(query.get("ink")) if values["digit"] == "drawn" else EXAMPLES[values["digit"]]
        ends = numbers_in(query.get("ends"), 4)
        chosen_there = [numbers_in(query.get("z"), 2), ends and [ends[:2], ends[2:]]]
        return *values.values(), drawing, ui.unpacked(query.get("ink2")), chosen_there, at, gr.Tabs(selected=at)

    def introduce():
        """The decoders, which need torch and so come after the page."""
        SHELF.warm()
        try:
            return decoders()
        except GenlabError:
            return []  # what is on the stage says so

    def describe(view, model):
        """The source and the cards of what is on the stage."""
        if view not in VIEWS:
            return gr.skip()
        shown, laws = on_stage(view, {"model": KNOBS["model"].clean(model)})
        label = f"Model card{'s' if len(shown) > 1 else ''}: {', '.join(shown)}"
        texts = [ui.under_the_hood(FAMILY, law) for law in laws], [ui.card_text(name) for name in shown]
        return gr.Accordion(label=label), *map("\n\n".join, texts)

    def opened(name: str):
        """A view was opened; gradio says so of the first one too, as the page appears, which is to be ignored."""
        return lambda view: name if view else gr.skip()

    def show(request: gr.Request, view, drawing, kept, picked, *values):
        """The view that is open, at the present knobs."""
        if view not in VIEWS:
            return gr.skip()
        RUNS.end(request.session_hash, "replaced")  # a judgement of what was shown before
        values = known(kept, values)
        drawing = drawing if ui.ink(drawing).any() else ""  # whatever a stranger sends
        at, ends = picked if view == MAP else (None, None)
        usual = values == KNOBS.defaults() and not at and not ends
        kind = values["show"] if view == COMPARE else view
        open_now = {view, kind, "digit" if kind in (MAP, "ends") else "", "" if kind == "ends" else "seed"}
        out = {group: gr.Column(visible=name in open_now) for name, group in groups.items()}
        out |= {frame.generate: gr.Button(GENERATE[kind]), seen: values["seed"]}
        out[address] = link(view, values, drawing, at, ends)
        try:
            if view == MAP:
                out[plane] = (ready[MAP] if usual and READY else on_map(values, drawing, at, ends)) | news()
            elif view == COMPARE:
                both = ready[COMPARE] if usual and READY else compared(values, drawing).values()
                out |= {component: value | news() for component, value in zip(pairs, both, strict=True)}
            else:
                out[rows] = ready[TRAVERSE] if usual and READY else traversed(values)
            out |= {law: equation(view, values, drawing, at), code: python(view, values, drawing, at, ends)}
        except GenlabError as error:
            out |= {plane: news(status=str(error), error=True), rows: f'<p class="gl-status gl-error">{error}</p>'}
            out |= {component: news(status=str(error), error=True) for component in pairs}
        return out

    def judge(request: gr.Request, view, drawing, kept, _, *values):
        """What the judge finds in the samples, when they have been shown, and if they are shown still."""
        values, present = known(kept, values), RUNS.begin(request.session_hash)
        if view != COMPARE or values["show"] != "samples" or values == KNOBS.defaults() and READY:
            return gr.skip()
        try:
            found = judge_both(values, present)
        except GenlabError:
            return gr.skip()  # `show` has told it
        if not found:
            return gr.skip()
        return dict(zip(pairs, compared(values, drawing, found).values(), strict=True))

    def put(value, view, drawing, kept, _, *values):
        """A code or an end was chosen on the map."""
        values, (at, ends) = known(kept, values), chosen(value)
        if view != MAP:
            return gr.skip()
        drawing = drawing if ui.ink(drawing).any() else ""
        name = NAMES[values["model"]]
        ends = ends if ends and ends != ends_of(name, values, drawing) else None
        at = at if at != start(name) else None
        return {
            picked: [at, ends],
            address: link(MAP, values, drawing, at, ends),
            law: equation(MAP, values, drawing, at),
            code: python(MAP, values, drawing, at, ends),
        }

    def walked(name: str):
        """An end was dragged on one of the two maps: what the judge reads on the way."""

        def say(value, *values):
            _, ends = chosen(value)
            values = known("", values)
            return news(side=heading(name, values, ends)) if ends and values["show"] == "ends" else gr.skip()

        return say

    def drawn(pad):
        return "drawn", [None, None]

    def second(to, drawing, kept):
        """Another B: it may be what is drawn now, so that the next drawing is A."""
        return drawing if to == "kept" else kept, [None, None]

    def example(digit, drawing, mine):
        """A digit to begin with, or the one that was drawn here before."""
        if ui.ink(drawing).any() and drawing not in EXAMPLES.values():
            mine = drawing
        return EXAMPLES.get(digit, mine or gr.skip()), [None, None], mine

    def fresh(view, was, seen, drawn, seed, lock, model, show, digit, to):
        """Another seed, unless it is kept or was just typed; on the map the code that it draws, the ends as they were.
        From A to B, where nothing is drawn by chance, two other digits."""
        rng = np.random.default_rng()
        if view == COMPARE and show == "ends":
            x, other = rng.permutation([kind for kind in DIGITS if kind not in (digit, to)])[:2].tolist()
            return {made["digit"]: x, made["to"]: other, made["pad"]: EXAMPLES[x], picked: [None, None]}
        typed = KNOBS["seed"].clean(seed)
        seed = typed if lock or typed not in (seen, drawn) else int(rng.integers(10_000))
        if view != MAP:
            return {made["seed"]: seed, last: seed}
        name = NAMES[KNOBS["model"].clean(model)]
        left, right, bottom, top = BOX[name]
        z = draws(name, 1, KNOBS.defaults() | {"seed": seed})[0]
        at = [float(np.clip(z[0], left, right)), float(np.clip(z[1], bottom, top))]
        return {made["seed"]: seed, last: seed, picked: [at, was[1]]}

    def suggestion(name, seed):
        values = KNOBS.clean(KNOBS.defaults() | {"seed": seed} | TRY[name])
        at = TRY[name].get("view", MAP)
        return *values.values(), EXAMPLES[values["digit"]], "", [None, None], at, gr.Tabs(selected=at)

    quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    latest = quick | {"trigger_mode": "always_last"}  # what moves while an answer is on its way is answered, too
    everything = [*knobs, made["pad"], kept, picked, view, tabs]
    app.load(restore, None, everything, **quick).then(show, state, shown, **latest).then(judge, state, pairs, **latest)
    app.load(introduce, None, brought, **quick)
    named = [view.change, made["model"].change]
    gr.on(named, describe, [view, made["model"]], [about_them, source, card], **latest)
    moved = [made[name].release for name in ("spread", "rows", "reach")]
    moved += [made[name].input for name in ("behind", "show", "fit")]
    starts = [
        gr.on(moved, lambda: None, **latest),
        gr.on([made["model"].input, made["centre"].input], lambda: [None, None], None, picked, **latest),
        made["to"].input(second, [made["to"], made["pad"], kept], [kept, picked], **latest),
        made["digit"].input(example, [made["digit"], made["pad"], mine], [made["pad"], picked, mine], **latest),
        made["pad"].input(drawn, made["pad"], [made["digit"], picked], **latest),
        frame.generate.click(
            fresh,
            [view, picked, seen, last, *(made[name] for name in ("seed", "lock", "model", "show", "digit", "to"))],
            [picked, last, *(made[name] for name in ("seed", "digit", "to", "pad"))],
            **latest,
        ),
        frame.suggested(suggestion, [made["seed"]], everything),
    ]
    for tab, name in ((map_tab, MAP), (compare_tab, COMPARE), (traverse_tab, TRAVERSE)):
        starts.append(tab.select(opened(name), view, view, **latest))
    for begun in starts:
        begun.then(show, state, shown, **latest).then(judge, state, pairs, **latest)
    plane.input(put, [plane, *state], [picked, address, law, code], **latest)
    for component, name in zip(pairs, (VAE, AE), strict=True):
        component.input(walked(name), [component, *knobs], component, **latest)


# -- endpoints: for programs, and as MCP tools -------------------------------------------------------------------------


def endpoints() -> None:
    """Name each model function for the API; each checks what a stranger sends."""
    for function in (latent_decode, latent_encode, latent_interpolate, latent_sample, latent_traverse):
        gr.api(function, api_name=function.__name__, concurrency_limit=2, concurrency_id="latent_space")


def refuse(sentence: str):
    raise gr.Error(sentence, print_exception=False)


def model_of(model) -> str:
    if not isinstance(model, str) or model not in NAMES:
        refuse("model is vae or ae")
    return NAMES[model]


def code_of(z, what: str = "a code") -> np.ndarray:
    """Two finite numbers, not beyond 100, or an error that says so."""
    try:
        z = np.asarray(z, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        z = np.zeros(0)
    if z.shape != (2,) or not (np.abs(z) <= 100).all():  # NaN is not within either
        refuse(f"{what} is two numbers between -100 and 100")
    return z


def whole(value, low: int, high: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or value != int(value):
        refuse(f"{what} is a whole number from {low} to {high}")
    return int(value)


def real(value, low: float, high: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        refuse(f"{what} is a number from {low:g} to {high:g}")
    return float(value)


def one_of(value, choices, what: str) -> str:
    if not isinstance(value, str) or value not in choices:
        refuse(f"{what} is one of {', '.join(choices)}")
    return value


def file_of(images: np.ndarray, columns: int) -> dict:
    return ui.picture_file(viz.tile(images, columns, gap=1, scale=4))


def log_prior(z: np.ndarray) -> float:
    return float(-0.5 * (z**2).sum() - math.log(2 * math.pi))


def latent_decode(z1: float = 0.0, z2: float = 0.0, model: str = "vae") -> tuple[gr.FileData, dict]:
    """Decode one code of two numbers: a PNG of the digit, its log prior density in nats, and what a classifier reads.

    Args:
        z1: first number, -100 to 100; digits lie within about 3.5 of 0 (vae) or 14 (ae)
        z2: second number
        model: "vae" or "ae"
    """
    name, z = model_of(model), code_of([z1, z2], "(z1, z2)")
    images = decode(name, z)
    found = judged(images)
    prior = {"log_prior": log_prior(z)} if name == VAE else {}
    return file_of(images, 1), {"z": z.tolist(), **prior, "reads": found["reads"][0], "confidence": found["sure"][0]}


def latent_encode(drawing: list[list[float]], model: str = "vae", centre: bool = True) -> tuple[gr.FileData, dict]:
    """Encode a drawn digit: a PNG of it beside its reconstruction; mean, deviation and both terms of the ELBO in nats.

    Args:
        drawing: 28 rows of 28 numbers from 0 (paper) to 1 (ink); must hold some ink
        model: "vae", or "ae", which has a code and a squared error only
        centre: move the ink to the middle, as MNIST does
    """
    name = model_of(model)
    if not isinstance(centre, bool):
        refuse("centre is true or false")
    try:
        ink = np.asarray(drawing, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        ink = np.zeros(0)
    if ink.shape != (28, 28) or not ((ink >= 0) & (ink <= 1)).all() or not (ink > 0.05).any():
        refuse("drawing is 28 rows of 28 numbers between 0 and 1, some of them above 0.05")
    text = ui.drawn(ink)
    found = read(name, text, centre)
    images = np.stack([paper(text, centre), found["back"]])
    answer = {"mean": found["mean"].tolist()}
    if name == AE:
        return file_of(images, 2), answer | {"squared_error": found["error"]}
    answer |= {"std": found["std"].tolist(), "reconstruction": found["nats"], "reconstruction_spread": found["spread"]}
    return file_of(images, 2), answer | {"kl": float(found["kl"].sum()), "elbo": found["elbo"]}


def latent_interpolate(a: list[float], b: list[float], model: str = "vae", steps: int = 9) -> tuple[gr.FileData, dict]:
    """Decode the straight line between two codes: a PNG with a row of digits, and what a classifier reads in each.

    Args:
        a: the first code, two numbers between -100 and 100
        b: the last code
        model: "vae" or "ae"
        steps: pictures, both ends included, 2 to 32
    """
    name, a, b, steps = model_of(model), code_of(a, "a"), code_of(b, "b"), whole(steps, 2, 32, "steps")
    codes = np.linspace(a, b, steps)
    images = decode(name, codes)
    found = judged(images)
    return file_of(images, steps), {"codes": codes.tolist(), "reads": found["reads"], "confidence": found["sure"]}


def latent_sample(
    model: str = "vae", n: int = 20, seed: int = 7, fit: str = "gaussian", spread: float = 1.0
) -> tuple[gr.FileData, dict]:
    """Draw codes and decode them: from the VAE's prior, or for the AE from what was fitted to its codes. A PNG of all,
    the share that a classifier is at least 90 % sure of, and over how many of ten digits its readings are spread.

    Args:
        model: "vae" or "ae"
        n: how many, 1 to 200
        seed: 0 to 2147483647
        fit: where the ae's codes come from: "gaussian", "box", or "prior" (N(0, I), as if it had one)
        spread: 0 to 2, times the deviation (or the box)
    """
    name, n, seed = model_of(model), whole(n, 1, 200, "n"), whole(seed, 0, 2**31 - 1, "seed")
    fit = one_of(fit, ("gaussian", "box", "prior"), "fit")
    codes = draws(name, n, {"seed": seed, "fit": fit, "spread": real(spread, 0, 2, "spread")})
    images = decode(name, codes)
    found = judged(images)
    answer = {"codes": codes.tolist(), "reads": found["reads"], "confidence": found["sure"]}
    return file_of(images, min(n, 10)), answer | {"sure": found["share"], "digits": found["digits"]}


def latent_traverse(model: str = "beta", seed: int = 7, rows: int = 6, reach: float = 2.0) -> tuple[gr.FileData, dict]:
    """Turn single numbers of a scene's code: a PNG with a row for each of those that say most, their KL in nats, and
    the factor of the scenes that each follows most. "number" counts from 0.

    Args:
        model: "beta" (a beta-VAE) or "plain" (its twin with beta = 1)
        seed: of the scene, 0 to 2147483647
        rows: 1 to 10
        reach: each number goes from -reach to reach, 0.5 to 3
    """
    name = {"beta": BETA, "plain": PLAIN}[one_of(model, ("beta", "plain"), "model")]
    seed, rows, reach = whole(seed, 0, 2**31 - 1, "seed"), whole(rows, 1, 10, "rows"), real(reach, 0.5, 3, "reach")
    images = traversal(name, seed, rows, reach)
    picture = viz.tile(images.reshape(-1, *images.shape[2:]), COLUMNS, gap=1, scale=2)
    return ui.picture_file(picture), {"numbers": numbers(name)[:rows]}
