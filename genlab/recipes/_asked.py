"""What was asked and what was drawn: sentences of scenes against pictures of them, as reader-scenes sees those."""

from collections.abc import Callable

import torch
from torch import Tensor

from genlab.core import Model, from_pretrained
from genlab.data import scenes
from genlab.data.sentences import judged, seen, understand
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.metrics import clip_score, frechet_distance, r_precision
from genlab.recipes import _scenes

RHOS = (0.0, 1.0, 2.0, 4.0, 8.0)
BEST = 2.0  # headline
ATTRIBUTES = ("shape", "colour", "texture", "size")


def compare(asked: list[str], things: Tensor, field: Tensor) -> dict[str, Tensor]:
    """Right or wrong, as booleans: of each thing asked for its ATTRIBUTES and its place, where the sentence says them;
    of each picture its count, its field, its relation, and everything.

    Things (N, 9, 4) and field (N,) are what was read. A sentence does not say where all things are: so those drawn are
    given to those asked for as fits best, see `sentences.judged`; a missing thing is wrong in all it is.
    """
    names = (*ATTRIBUTES, "place", "count", "field", "relation", "everything")
    found: dict[str, list[bool]] = {name: [] for name in names}
    for text, drawn, ground in zip(asked, things.tolist(), field.tolist(), strict=True):
        _, counts = judged(understand(text), seen(drawn, ground))
        for name, (good, of) in counts.items():
            found[name] += [True] * good + [False] * (of - good)
        found["everything"].append(all(good == of for good, of in counts.values()))
    return {name: torch.tensor(values) for name, values in found.items()}


def jobs(draw: Callable[..., Tensor], n: int, steps: int):
    """Figures of `draw(prompts, guidance=, steps=, generator=)`: right or wrong over rho, on combinations seen in
    training and held out; FID by the reader's features; CLIPScore and R-precision. And right or wrong of sentences that
    leave all colours open."""

    def drawn_of(prompts: list[str], rho: float) -> Tensor:
        how = {"guidance": rho, "steps": steps, "generator": torch.Generator().manual_seed(0)}
        return torch.cat([draw(prompts[i : i + 100], **how) for i in range(0, n, 100)])

    def run(split: str, rho: float) -> list[Metric]:
        reader, clip = from_pretrained("reader-scenes"), from_pretrained("clip-scenes")
        asked = scenes.sample(n, _scenes.TEST_SEED + 2, split=split)
        prompts = scenes.captions(asked)
        drawn = drawn_of(prompts, rho)
        true = _scenes.pictures(scenes.sample(max(n, 2_000), _scenes.TEST_SEED + 3, split=split))
        features = _features(reader, true)

        def figure(name: str, value: float, count: int = n, note: str = "", **more) -> Metric:
            what = {key: more.pop(key) for key in ("what", "things") if key in more}
            settings = what | {"pairs": _scenes.PAIRS[split], "rho": rho, "steps": steps}
            where = {"dataset": "genlab.data.scenes", "split": "test", "samples": count, "settings": settings}
            return Metric(name, value, note=note, **{"better": "higher"} | where | more)

        out = []
        for what, good in compare(prompts, *_read(reader, drawn)).items():
            note = "of things" if what in (*ATTRIBUTES, "place") else "of pictures"
            value, more = 100 * good.float().mean().item(), {"what": what, "unit": "%", "headline": rho == BEST}
            out.append(figure("drawn right", value, len(good), note, **more))
            if what == "everything":  # one thing is easier than three
                for count in range(1, scenes.MOST + 1):
                    some = good[asked.count == count].float()
                    if len(some):
                        more = {"what": what, "things": count, "unit": "%"}
                        out.append(figure("drawn right", 100 * some.mean().item(), len(some), note, **more))
        image, text = clip.encode_image(drawn), clip.encode_text(prompts)
        out.append(figure("clip_score", clip_score(image, text).mean().item(), note="by clip-scenes"))
        if n > 100:
            note = "its own sentence among 100, by clip-scenes"
            out.append(figure("r_precision", 100 * r_precision(image, text), note=note, unit="%"))
        note = "between features of reader-scenes; not to be held against figures by other features"
        out.append(figure("fid", frechet_distance(features, _features(reader, drawn)), note=note, better="lower"))
        if rho == BEST:
            note = "of the very scenes that the sentences describe: what is left to a drawer without fault"
            real = frechet_distance(features, _features(reader, _scenes.pictures(asked)))
            out.append(figure("fid, real pictures", real, note=note, better="lower"))
        return out

    def colourless() -> list[Metric]:
        asked = scenes.sample(n, _scenes.TEST_SEED + 2)
        texts = scenes.paraphrases(asked, 0, colourless=1.0)
        good = compare(texts, *_read(from_pretrained("reader-scenes"), drawn_of(texts, BEST)))["everything"]
        note = "of pictures, in all that their sentences say: of things no colour, in other words than captions"
        settings = {"pairs": _scenes.PAIRS["train"], "rho": BEST, "steps": steps}
        more = {"unit": "%", "better": "higher", "settings": settings, "note": note}
        where = {"dataset": "genlab.data.scenes", "split": "test", "samples": n}
        return [Metric("drawn right, no colour said", 100 * good.float().mean().item(), **more, **where)]

    for rho in sorted(RHOS, key=lambda rho: rho != BEST):
        for split, name in _scenes.PAIRS.items():
            yield Job(f"{name} rho={rho:g}", lambda split=split, rho=rho: run(split, rho))
    yield Job("no colour said", colourless)


def _read(reader: Model, image: Tensor) -> tuple[Tensor, Tensor]:
    parts = [reader.read(part) for part in image.split(250)]
    return torch.cat([things for things, _ in parts]), torch.cat([field for _, field in parts])


def _features(reader: Model, image: Tensor) -> Tensor:
    return torch.cat([reader.features(part).float() for part in image.split(250)])
