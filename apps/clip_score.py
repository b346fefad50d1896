"""CLIP score: how well any picture and any text fit, one cosine a pair."""

import hashlib
import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import lru_cache
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np

from genlab import GenlabError, ui, viz
from genlab.ui import limits, nearest, packing

TITLE = "CLIP score"
SUMMARY = "How well do a picture and a sentence fit? One number a pair, and how one wrong word slips through."
FAMILY = "vision_language"
MODELS = ["clip-scenes", "clip-mnist"]

CLIP, MNIST = MODELS
WORDS = ui.part("data.sentences")
KNOBS = ui.Knobs(
    n=ui.Number("Pictures (scenes, or for clip-mnist digits)", 4, 0, 24),
    say=ui.Choice(
        "Texts",
        "captions",
        [("captions", "captions"), ("other words", "paraphrases"), ("one word wrong", "wrong"), ("my own", "own")],
    ),
    seed=ui.Number("Seed", 17, 0, 2**31 - 1, box=True),
    things=ui.Choice("Things in a scene, at most", "2", ["1", "2", "3"]),
    split=ui.Choice(
        "Pairs of colour and shape",
        "train",
        [("as in training", "train"), ("one never seen", "held_out"), ("any", "any")],
    ),
)
NAMES = "zero one two three four five six seven eight nine".split()
TRY = {  # the lesson in order; what is not named goes back to its default
    "captions": {},
    "which colour?": {
        "say": "own",
        "things": "1",
        "texts": "\n".join(WORDS.COLOURS),
        "templates": "a {} circle\na {} star\na {} heart",
    },
    "unseen pair": {"split": "held_out", "things": "1"},
    "one word wrong": {"say": "wrong", "n": 1, "things": "3", "seed": 339},
    "read digits": {
        "model": MNIST,
        "n": 10,
        "say": "own",
        "texts": "\n".join(NAMES),
        "templates": "a handwritten {}\nthe digit {}\na picture of a {}",
    },
    "find a picture": {"view": "nearest"},
}
NOTICE = """
## What to notice
- The best text of each picture (●) and the best picture of each text (◆) should meet on the diagonal: nobody told the
  network which caption belongs where; it only learned to tell pairs from non-pairs.
- Only differences count. The cosines of a good match differ from network to network; CLIPScore, 2.5 max(cos, 0), is one
  of them rescaled, and compares only with others of the same network.
- The bars are a softmax over the texts that you gave: cos / τ, exponentiated and made to add up to one. Turn the
  temperature: hot, all texts look alike; cold, the best one takes all, right or not. They always add up to 100 %, even
  where no text fits.
- A class ("red") is no caption. Templates make one of it ("a {} circle"); of several templates the features are
  averaged, which takes out what each adds by itself.
- One word wrong: most CLIPs take a caption for a bag of words, and cannot tell who is left of whom. So did this one,
  until half of its training showed it scenes rearranged, and captions wrong in just that. Now it tells nearly all; how
  often, each row says. What still slips through is mostly one word about one of three things.
- clip-mnist is the same network for digits: the classes are words, and the best sentence is the answer.
- Nearest searches pictures by a text: a whole caption ("a small green circle at the top, on a blue field") or a few
  words ("a red star"). It can, for in training a quarter of the texts said little.
- What matters: parts of the picture are covered, one after the other, by the picture's most common colour. Orange (+)
  lowers the score when covered, blue (−) raises it. It shows what the score hangs on, not what the network "sees".
"""
SCORES, NEAREST = VIEWS = ("scores", "nearest")
QUERY = "a red heart on a green field"
DRAWING = "drawing "  # and a number: the name of a picture drawn on the page
PLAIN = "{}"  # the template that says no more than the text
SIDE = {CLIP: 64, MNIST: 28}  # of the pictures that our models see
OTHERS = 224  # and of those that are drawn for others
LONGEST, TEXTS, TEMPLATES, PICTURES = 500, 50, 16, 48  # characters of a text; texts, templates, uploaded pictures
HAYSTACK = {True: 500, False: 60}  # pictures that are searched: by our models, by others, which take a while
HAYSTACK_SEED = 2024
PARTS, COVER = 8, 0.25  # a picture is covered at 8 x 8 places, a quarter of its side at each
BATCH = 16  # pictures or texts between two looks at the clock
BEST = -1  # the row of a column's best text
SECONDS = 60.0  # of a run, by the clock on the wall
RUNS = ui.Runs(SECONDS)
# In the page: texts that somebody typed are their own, and the box follows the stage only while they are not.
OWN = "(texts) => glTyped('.gl-own textarea', texts) ? 'own' : { __type__: 'update' }"
FOLLOW = "(spoken, say, texts) => (say === 'own' ? texts : spoken.slice(spoken.indexOf(' ') + 1))"
BLANK = ui.sketched(np.full((SIDE[CLIP], SIDE[CLIP], 3), WORDS.FIELDS["white"], np.uint8))
SHELF = ui.Shelf(*MODELS)
JUDGES = ui.Judges(SHELF, *MODELS)
ARRIVAL = Path(__file__).parent / "pictures" / "clip_score.json"  # written by `python -m scripts.arrival clip_score`


# -- what was asked ----------------------------------------------------------------------------------------------------


def plural(word: str) -> str:
    return word + ("es" if word.endswith("s") else "s")


def lines(text, most: int, what: str) -> list[str]:
    """The lines that somebody typed, or the strings that somebody sent. Raises GenlabError: too many, too long."""
    found = text.splitlines() if isinstance(text, str) else [x for x in text or () if isinstance(x, str)]
    found = [clean for line in found if (clean := limits.CONTROLS.sub(" ", line).strip())]
    if len(found) > most:
        raise GenlabError(f"{len(found):,} {plural(what)} are too many at once: {most} are the most.")
    long = next((number for number, line in enumerate(found, 1) if len(line) > LONGEST), None)
    if long:
        raise GenlabError(f"A {what} may have {LONGEST} characters; number {long} has {len(found[long - 1]):,}.")
    return [limits.text(line, LONGEST) for line in found]


def texts_of(text) -> list[str]:
    """Raises GenlabError."""
    found = lines(text, TEXTS, "text")
    if not found:
        raise GenlabError("Write at least one text, one a line: what could be in a picture?")
    return found


def templates_of(text) -> list[str]:
    """Raises GenlabError for one without a single place for the text."""
    found = lines(text, TEMPLATES, "template") or [PLAIN]
    for template in found:
        if template.count("{}") != 1 or "{" in template.replace("{}", "") or "}" in template.replace("{}", ""):
            raise GenlabError(
                f"A template has one place for the text, {{}}, as in 'a {{}} circle'; {template!r} has not."
            )
    return found


# -- what there is to see, and what is said of it ----------------------------------------------------------------------


def side_of(name: str) -> int:
    return SIDE.get(name, OTHERS)


def changed(true: str, other: str) -> list[int]:
    """Which words of the other one are not those of the true one; articles are not told."""
    pairs = zip(true.split(), other.split(), strict=True)
    return [k for k, (a, b) in enumerate(pairs) if a != b and b not in ("a", "an")]


class Scenes:
    """The made-up world; met when it is needed, for it brings torch along."""

    @property
    def all(self):
        return ui.part("data.scenes")

    def sample(self, n: int, seed: int, things: str, split: str, side: int) -> tuple:
        """What there is, and the pictures of it, uint8 (n, side, side, 3). The first are the same whatever n is."""
        some = self.all.sample(max(n, KNOBS["n"].high), seed, split=split, most=int(things))[:n]
        return some, self.all.draw(some, side).permute(0, 2, 3, 1).numpy()

    def captions(self, some) -> list[str]:
        return self.all.captions(some)

    def paraphrases(self, some, seed: int) -> list[str]:
        return self.all.paraphrases(some, seed)

    def traps(self, some, seed: int) -> list[tuple[str, str, list[int]]]:
        """Of the first scene (kind of change, text, changed words): first its caption, as "", then one word of each
        kind wrong, then the same words with the first two things exchanged."""
        world, one = self.all, some[[0]]
        (true,) = world.captions(one)
        found = [("", true, [])]
        for kind in world.KINDS:
            try:
                (wrong,) = world.negatives(one, seed, kind)
            except ValueError:  # nothing of the kind is said of this scene
                continue
            found.append((kind, wrong, changed(true, wrong)))
        if int(one.count[0]) > 1:
            (wrong,) = world.exchanged(one)
            if wrong != true:
                found.append(("exchanged", wrong, changed(true, wrong)))
        return found

    def code(self, knobs: dict, side: int) -> list[str]:
        """Python that makes the same."""
        n, most, split = max(KNOBS["n"].high, knobs["n"]), knobs["things"], knobs["split"]
        size, first = "" if side == SIDE[CLIP] else f", {side}", f"[:{knobs['n']}]" * (knobs["n"] < n)
        return [
            f"some = scenes.sample({n}, {knobs['seed']}, split={split!r}, most={most}){first}",
            f"pictures = scenes.draw(some{size}).float() / 255  # ({knobs['n']}, 3, {side}, {side})",
            *{
                "captions": ["texts = list(dict.fromkeys(scenes.captions(some)))"],
                "paraphrases": [f"texts = list(dict.fromkeys(scenes.paraphrases(some, {knobs['seed']})))"],
            }.get(knobs["say"], []),
        ]


class Digits:
    """Digits of our own hand, each written a little otherwise, and phrases that name them."""

    FORMS = ("a handwritten {}", "the digit {}", "a picture of a {}", "the number {} written by hand")

    def sample(self, n: int, seed: int, things: str, split: str, side: int) -> tuple:
        pictures, labels = ui.handwritten(n, seed)
        return labels, np.repeat((255 * pictures).round().astype(np.uint8)[..., None], 3, axis=-1)

    def captions(self, some) -> list[str]:
        return [self.FORMS[0].format(NAMES[y]) for y in some]

    def paraphrases(self, some, seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        return [str(rng.choice(self.FORMS)).format(rng.choice([NAMES[y], str(y)])) for y in some]

    def traps(self, some, seed: int) -> list[tuple[str, str, list[int]]]:
        (true,) = self.captions(some[:1])
        others = np.random.default_rng(seed).permutation([y for y in range(10) if y != some[0]])[:4]
        return [("", true, []), *(("digit", wrong, changed(true, wrong)) for wrong in self.captions(others))]

    def code(self, knobs: dict, side: int) -> list[str]:
        lines = [
            f"pictures, labels = ui.handwritten({knobs['n']}, {knobs['seed']})",
            f"pictures = torch.from_numpy(pictures)[:, None]  # ({knobs['n']}, 1, {side}, {side})",
        ]
        if knobs["say"] in ("captions", "paraphrases"):
            lines += [f"texts = {list(dict.fromkeys(said(knobs, MNIST)))!r}"]
        return lines


def world(name: str) -> Scenes | Digits:
    """What the model of that name is shown: digits if it knows nothing else, or scenes."""
    return Digits() if name == MNIST else Scenes()


@lru_cache(maxsize=64)
def sampled(name: str, n: int, seed: int, things: str, split: str, side: int) -> tuple:
    return world(name).sample(n, seed, things, split, side)


def shown(knobs: dict, name: str) -> tuple:
    """What is on the stage, and its pictures."""
    return sampled(name, knobs["n"], knobs["seed"], knobs["things"], knobs["split"], side_of(name))


def said(knobs: dict, name: str) -> list[str]:
    """A text for each picture, as it is put here, or in other words."""
    some, _ = shown(knobs, name)
    return world(name).captions(some) if knobs["say"] == "captions" else world(name).paraphrases(some, knobs["seed"])


def written(knobs: dict, own, name: str) -> tuple[list[str], list[tuple]]:
    """The texts, and what is wrong in each if that is the lesson, as `traps` says. Raises GenlabError."""
    if knobs["say"] == "own":
        return texts_of(own), []
    if not knobs["n"]:
        raise GenlabError("These texts are said of pictures made here: take one or more, or write your own.")
    if knobs["say"] == "wrong":
        found = world(name).traps(shown(knobs, name)[0], knobs["seed"])
        return [text for _, text, _ in found], found
    return list(dict.fromkeys(said(knobs, name))), []


# -- what the models say -----------------------------------------------------------------------------------------------

REMEMBERED, LOCK = OrderedDict(), threading.Lock()  # features by model and what was encoded; the oldest go first
MOST_REMEMBERED = 8_000


class Ended(Exception):
    """The run is over: stopped, replaced, or out of time."""


def features(keys: list[tuple], encode: Callable[[list[int]], np.ndarray], run: ui.Run) -> np.ndarray:
    """A row a key (model, ...), what is not remembered encoded in small batches. Raises Ended."""
    with LOCK:
        found = {key: REMEMBERED[key] for key in keys if key in REMEMBERED}
    missing = [*{key: i for i, key in enumerate(keys) if key not in found}.values()]
    for start in range(0, len(missing), BATCH):
        if not run.going:
            raise Ended
        some = missing[start : start + BATCH]
        for i, row in zip(some, encode(some), strict=True):
            found[keys[i]] = row
    with LOCK:
        for key in found:
            REMEMBERED[key] = found[key]
            REMEMBERED.move_to_end(key)
        while len(REMEMBERED) > MOST_REMEMBERED:
            REMEMBERED.popitem(last=False)
    return np.stack([found[key] for key in keys])


def named(picture: np.ndarray) -> str:
    return hashlib.sha1(picture.tobytes()).hexdigest()


@ui.gpu(int(SECONDS))
def look(name: str, pictures: list[np.ndarray]) -> np.ndarray:
    """f(x) / |f(x)| of square pictures, uint8 (s, s, 3), of any sizes."""
    clip, config = JUDGES[name], getattr(JUDGES[name], "config", None)
    side = config.image_size if config else max(map(len, pictures))
    x = np.stack([ui.resized(picture, side) for picture in pictures]).transpose(0, 3, 1, 2).astype(np.float32) / 255
    if name == MNIST:  # ink is white on black: of a dark digit on light paper the negative is looked at
        x = x.mean(axis=1, keepdims=True)
        x = np.where(np.median(x, axis=(2, 3), keepdims=True) > 0.5, 1 - x, x)
    return ui.infer(clip.encode_image, ui.tensor(x).to(clip.device))


@ui.gpu(int(SECONDS))
def read(name: str, texts: list[str], templates: list[str]) -> np.ndarray:
    """g(y) / |g(y)|, of several templates the mean of their features, at length 1 again."""
    return ui.infer(JUDGES[name].classifier, texts, templates)


def seen(name: str, pictures: list[np.ndarray], run: ui.Run) -> np.ndarray:
    keys = [(name, "picture", named(picture)) for picture in pictures]
    return features(keys, lambda rows: look(name, [pictures[i] for i in rows]), run)


def told(name: str, texts: list[str], templates: list[str], run: ui.Run) -> np.ndarray:
    keys = [(name, "text", text, *templates) for text in texts]
    return features(keys, lambda rows: read(name, [texts[i] for i in rows], templates), run)


def covered(picture: np.ndarray) -> list[np.ndarray]:
    """The picture with one part after the other, row by row, in its own most common colour."""
    side, out = len(picture), []
    fill = np.median(picture.reshape(-1, 3), axis=0).astype(np.uint8)
    for i in range(PARTS * PARTS):
        (top, left), half = ((k + 0.5) / PARTS * side for k in divmod(i, PARTS)), COVER * side / 2
        hidden = picture.copy()
        rows, columns = (slice(max(0, round(at - half)), round(at + half)) for at in (top, left))
        hidden[rows, columns] = fill
        out.append(hidden)
    return out


def drops(name: str, picture: np.ndarray, text: str, templates: list[str], run: ui.Run) -> np.ndarray:
    """By how much the cosine falls where a part of the picture is covered, (PARTS, PARTS). Raises Ended."""
    hidden = covered(ui.resized(picture, min(len(picture), side_of(name))))
    keys = [(name, "covered", named(picture), part) for part in range(len(hidden))]
    without = features(keys, lambda rows: look(name, [hidden[i] for i in rows]), run)
    g = told(name, [text], templates, run)[0]
    return (seen(name, [picture], run) @ g - without @ g).reshape(PARTS, PARTS)


def unread(name: str, texts: list[str]) -> list[str]:
    """For each text what of it the model cannot read, in words; "" where it reads all, or says nothing about it."""
    clip = JUDGES[name]
    if not hasattr(clip, "unknown"):
        return [""] * len(texts)
    found, words = [], clip.config.words
    for text in texts:
        parts, missing = [], clip.unknown(text)
        for word in missing[:3]:
            near = WORDS.near(word) if name == CLIP else get_close_matches(word.lower(), words, n=2, cutoff=WORDS.CLOSE)
            parts.append(f"{word[:24]!r}" + (f" (did you mean {' or '.join(near)}?)" if near else ""))
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        say = [f"not read: {', '.join(parts)}{more}"] if parts else []
        if clip.tokens([text]).shape[1] >= clip.config.context:
            say.append(f"read up to word {clip.config.context - 1}")
        found.append("; ".join(say))
    return found


@lru_cache(maxsize=1)
def rates() -> dict[str, tuple[float, int]]:
    """How often the true caption wins, by the kind of change: per cent and number of scenes, from the model's card."""
    entries = [e for e in ui.measured(CLIP, "told apart") if e["settings"].get("pairs") == "seen"]
    return {e["settings"]["change"]: (e["value"], e["samples"]) for e in entries if "change" in e.get("settings", {})}


# -- the two views: each yields what its part of the stage shows next --------------------------------------------------


def loading(name: str, run: ui.Run) -> Iterator[str]:
    """What to say until the model is there. Raises GenlabError, Ended."""
    yield from JUDGES.waiting(name, run)
    if not run.going:
        raise Ended


def notes(texts: list[str], strange: list[str], found: list[tuple], cells: np.ndarray) -> list[dict]:
    """The heads of the rows."""
    rows = [{"text": text, "note": note, "warn": bool(note)} for text, note in zip(texts, strange, strict=True)]
    for i, (kind, _, mark) in enumerate(found):
        if not kind:
            rows[i] |= {"note": "the truth about picture 1", "short": "the truth"}
            continue
        fooled = cells[i, 0] >= cells[0, 0]
        what = "two things exchanged" if kind == "exchanged" else f"wrong {kind}"
        rate = rates().get(kind)
        often = f"; of {rate[1]:,} scenes {rate[0]:.3g} % are told apart" if rate else ""
        said = "✗ scores no lower than the truth" if fooled else "✓ scores lower"
        rows[i] |= {"short": what, "mark": mark, "warn": bool(fooled), "note": f"{what}: {said}{often}"}
    return rows


def stage(asked: dict, run: ui.Run) -> Iterator[dict]:
    """The matrix, then what in the picture the chosen number hangs on. Raises GenlabError, Ended."""
    knobs, name, uploads = asked["knobs"], JUDGES.permitted(asked["model"]), asked["uploads"]
    texts, found = written(knobs, asked["texts"], name)
    templates = templates_of(asked["templates"])
    for text in loading(name, run):
        yield ui.Matrix.message(text, wait=True)
    some, pictures = shown(knobs, name)
    captions = world(name).captions(some)
    columns = [
        {"picture": picture, "name": str(i), "alt": f"Picture {i}: {caption}"}
        for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True), 1)
    ]
    columns += [
        {
            "picture": ui.resized(picture, side_of(name)),
            "name": f"{i} {word}"[:24],
            "alt": f"{'Your picture' if word.startswith(DRAWING) else 'Uploaded picture'} {i}: {word}",
        }
        for i, (word, picture) in enumerate(uploads, len(columns) + 1)
    ]
    if not columns:
        raise GenlabError("There is no picture: take one or more, or add pictures of your own.")
    every, clip = [*pictures, *(picture for _, picture in uploads)], JUDGES[name]
    f, g = seen(name, every, run), told(name, texts, templates, run)
    cells = g @ f.T
    home = (0, 0) if found else (int(cells[:, 0].argmax()), 0)  # the truth, or the best text of the first picture
    row, column = asked["cell"] or home
    column = min(column, len(columns) - 1)
    cell = (int(cells[:, column].argmax()) if row == BEST else min(row, len(texts) - 1), column)
    temperature = float(clip.temperature)
    whole = ui.Matrix.whole(
        cells,
        notes(texts, unread(name, texts), found, cells),
        columns,
        name="cosine",
        also={"CLIPScore": 2.5 * cells.clip(0)},
        temperature=temperature,
        turned=asked["turned"],
        cell=cell,
        home=home,
        status=summary(name, cells, templates, uploads),
        link=link(asked),
        pixelated=name in MODELS,
    )
    yield whole
    yield ui.Matrix.overlay(cell, drops(name, every[cell[1]], texts[cell[0]], templates, run))


def summary(name: str, cells: np.ndarray, templates: list[str], uploads: list) -> str:
    """The sentence below the matrix."""
    ours, side = name in MODELS, side_of(name)
    n, m = cells.shape[1], cells.shape[0]
    said = f"{n} picture{'s' * (n > 1)}, {m} text{'s' * (m > 1)}, scored by {name}"
    if len(templates) > 1:
        said += f", each text the mean of {len(templates)} templates"
    if any(not packed_drawing(one) for one in uploads):
        said += ". Uploaded pictures are cut to a square"
        said += f", and shown at the model's own size, {side} x {side}" if ours else ""
    if lost := len(uploads) - len(drawings_of(link_of(uploads))):
        said += f". The link does not hold {'your picture' if lost == 1 else f'{lost} of your pictures'}"
    if uploads:
        knows = "digits" if name == MNIST else "scenes"
        said += f". It was trained on {knows} alone: of photographs it knows nothing" if ours else ""
    return said + "."


def hay(name: str, split: str) -> tuple[np.ndarray, list[str]]:
    """Pictures to search, and their captions."""
    some, pictures = sampled(name, HAYSTACK[name in MODELS], HAYSTACK_SEED, "3", split, side_of(name))
    return pictures, world(name).captions(some)


def order(similar: np.ndarray, n: int) -> list[int]:
    return np.argsort(-similar, kind="stable")[:n].tolist()


def search(asked: dict, run: ui.Run) -> Iterator[str | dict]:
    """Sentences while one waits; then the nearest scenes of a text, and of one of them the nearest captions: the html,
    and for the equation the chosen picture in words, the text and their cosine. Raises GenlabError, Ended."""
    name, knobs = JUDGES.permitted(asked["model"]), asked["knobs"]
    (text,) = lines(asked["query"], 1, "text") or [""]
    if not text:
        raise GenlabError("Write what to look for.")
    for said in loading(name, run):
        yield say(said)
    pictures, captions = hay(name, knobs["split"])
    every = list(dict.fromkeys(captions))
    if (name, "text", every[-1], PLAIN) not in REMEMBERED:
        yield say(f"Encoding {len(pictures)} pictures and their captions, once.")
    f, g = seen(name, list(pictures), run), told(name, every, [PLAIN], run)
    similar = f @ told(name, [text], [PLAIN], run)[0]
    near = order(similar, 12)
    picked = near[min(asked["picked"], len(near) - 1)]
    fits = g @ f[picked]
    (strange,) = unread(name, [text])
    html = nearest.found(
        f"The nearest to “{text}” of {len(pictures)} pictures, by cosine",
        [pictures[i] for i in near],
        [captions[i] for i in near],
        [float(similar[i]) for i in near],
        near.index(picked),
        f"And of {len(every)} captions the nearest to the chosen picture, its own in bold",
        [(every[i], float(fits[i]), every[i] == captions[picked]) for i in order(fits, 6)],
        warning=f"{strange[0].upper()}{strange[1:]}." if strange else "",
        pixelated=name in MODELS,
        link=link(asked) if run.seconds < float("inf") else None,  # a page that comes with a link is to keep it
    )
    pair = {"picture": f"The chosen one: {captions[picked]}", "text": text, "cosine": float(similar[picked])}
    yield {"html": html, **pair}


def pair_of(found: dict, model: str) -> dict:
    """What `law_of` says of a search's chosen picture."""
    tau = float(JUDGES[JUDGES.permitted(model)].temperature)
    return {"picture": found["picture"], "text": found["text"], "value": found["cosine"], "tau": tau, "learned": tau}


def say(text: str, error: bool = False) -> str:
    """A sentence in the place of the search's results."""
    return f'<p class="gl-status{" gl-error" if error else ""}" role="status">{escape(text)}</p>'


# -- the texts that follow the stage -----------------------------------------------------------------------------------


def link(asked: dict) -> dict:
    """The query that leads back to what is on the stage; the chosen cell and the temperature the page adds itself."""
    values = KNOBS.query(asked["knobs"])
    if asked["knobs"]["say"] == "own":
        values["texts"] = asked["texts"]
    for key, default in (("templates", PLAIN), ("model", CLIP), ("query", QUERY), ("view", SCORES)):
        if asked[key] and asked[key] != default:
            values[key] = asked[key]
    if len(values.get("texts", "")) > packing.LONGEST:
        del values["texts"]
    if drawings := link_of(asked["uploads"], packing.LONGEST - len(values.get("texts", ""))):
        values["drawn"] = drawings
    if asked["view"] == NEAREST and asked["picked"]:
        values["picked"] = asked["picked"]
    names = [*KNOBS, "texts", "templates", "model", "query", "view", "drawn", "picked"]
    return {"names": names, "values": values, "cell": "cell", "temperature": "tau"}


def packed_drawing(upload: tuple[str, np.ndarray]) -> str:
    """A drawing, short enough for a link; "" for another picture of one's own."""
    word, picture = upload
    if not word.startswith(DRAWING) or picture.shape[0] not in SIDE.values():
        return ""
    if len(picture) == SIDE[MNIST]:
        return ui.packed(ui.drawn(picture[..., 0] / 255)) if np.ptp(picture, axis=-1).max() == 0 else ""
    return ui.shortened(ui.sketched(picture))


def link_of(uploads: list, room: int = packing.LONGEST) -> str:
    """The drawings among one's own pictures, as many as there is room for in a link."""
    kept = ""
    for packed in filter(None, map(packed_drawing, uploads)):
        if len(kept) + len(packed) < room:
            kept += "~" * bool(kept) + packed
    return kept


def drawings_of(text) -> list[tuple[str, np.ndarray]]:
    """What `link_of` put into the link; none of anything else, from a stranger's."""
    found = []
    for packed in limits.text(text, 8000).split("~")[:PICTURES]:
        if sketch := ui.sketch(ui.lengthened(packed)):
            picture = sketch[0]
        elif ink := ui.unpacked(packed, SIDE[MNIST]):
            picture = np.repeat((255 * ui.ink(ink)).round().astype(np.uint8)[..., None], 3, axis=-1)
        else:
            continue
        if (picture != picture[0, 0]).any():
            found.append((f"{DRAWING}{len(found) + 1}", picture))
    return found


def fingerprint(asked: dict) -> str:
    """The same for what is asked in the same way."""
    uploads = [(word, named(picture)) for word, picture in asked["uploads"]]
    return json.dumps(asked | {"uploads": uploads}, sort_keys=True)


def named_by(asked: dict) -> str:
    """The same again, and short."""
    return hashlib.sha1(fingerprint(asked).encode()).hexdigest()


def page_texts(asked: dict) -> str:
    """The texts on the stage where they are the page's own; "" where they are the visitor's, or there are none. Raises
    GenlabError."""
    if asked["knobs"]["say"] == "own" or not asked["knobs"]["n"]:
        return ""
    return "\n".join(written(asked["knobs"], "", JUDGES.permitted(asked["model"]))[0])


def speech(texts: str) -> str:
    """For the texts' box, as FOLLOW reads it."""
    return f"{time.time_ns()} {texts}"


def equation(whole: dict) -> str:
    """The law, with the present values of the chosen cell; matrix.js keeps them up to date."""
    i, j = whole["cell"]
    pair = whole["columns"][j]["alt"], whole["rows"][i]["text"], whole["cells"][i][j]
    return law_of(*pair, whole["turned"] or whole["temperature"], whole["temperature"])


def law_of(picture: str, text: str, value: float, tau: float, learned: float) -> str:
    """The law, with the values of one picture, in words, and one text."""

    def now(key: str, text: str) -> str:
        return f'<span class="gl-now-{key}">{ui.literal(text)}</span>'

    return ui.equation(
        FAMILY,
        "CLIP",
        {
            "x_i": now("column", picture),
            "y_j": now("row", text),
            "s_{ij}": f"{now('value', f'{value:.3f}')} / {now('temperature', f'{tau:.2g}')} = "
            f"{now('logit', f'{value / tau:.1f}')}",
            r"\tau": f"{now('temperature', f'{tau:.2g}')} (learned: {learned:.2g})",
            "N": "in training; here as many as there are",
            r"\mathcal{L}": "in training only",
        },
    )


def python(asked: dict) -> str:
    """Python that computes the numbers on the stage."""
    knobs, name = asked["knobs"], asked["model"] or CLIP
    if asked["view"] == NEAREST:
        return searching(asked, knobs, name)
    templates, side = templates_of(asked["templates"]), side_of(name)
    uploads, digits = asked["uploads"], name == MNIST
    code = [*beginning(name, bool(uploads)), *world(name).code(knobs, side)]
    if uploads:
        grey = ".mean(dim=1, keepdim=True)  # white ink on black" if digits else ""
        code += ["own = [", *(f"    {reading(upload)}," for upload in uploads), "]"]
        code += [
            f"own = [ui.resized(picture, {side}) for picture in own]",
            f"own = (torch.from_numpy(np.stack(own)).permute(0, 3, 1, 2) / 255){grey}",
            "pictures = torch.cat([pictures, own])",
        ]
    if knobs["say"] in ("wrong", "own"):
        texts, _ = written(knobs, asked["texts"], name)
        code += ["texts = [", *(f"    {text!r}," for text in texts), "]"]
    if templates != [PLAIN]:
        code += ["templates = [", *(f"    {template!r}," for template in templates), "]"]
        code += ["cosines = clip.encode_image(pictures).detach() @ clip.classifier(texts, templates).T"]
    else:
        code += ["cosines = clip.score(pictures, texts)"]
    tau = "clip.temperature" if asked["turned"] is None else f"{asked['turned']:g}"
    code += [
        "clip_scores = 2.5 * cosines.clamp_min(0)",
        f"p = (cosines / {tau}).softmax(dim=1)  # of each picture's texts",
    ]
    return ui.python_text(*code)


def beginning(name: str, own: bool) -> list[str]:
    """What is imported, and the model. own: for pictures of one's own too."""
    ours, digits = name in MODELS, name == MNIST
    code = ["import numpy as np"] * own + ["import torch"] * (own or digits)
    code += [""] * bool(code) + ["import genlab"] * ours + ["from genlab import ui"] * (own or digits)
    code += ["from genlab.data import scenes"] * (not digits)
    code += ["from genlab.models.vision_language import OpenCLIP"] * (not ours)
    made = f'genlab.from_pretrained("{name}")' if ours else f"OpenCLIP.from_pretrained({name!r})"
    return [*code, "", f"clip = {made}"]


def reading(upload: tuple[str, np.ndarray]) -> str:
    """Python that makes one of one's own pictures, (s, s, 3) bytes."""
    packed = packed_drawing(upload)
    if not packed:
        return f"ui.read_picture({upload[0]!r})"
    if len(upload[1]) == SIDE[MNIST]:
        return f'(255 * ui.ink(ui.unpacked("{packed}"))[..., None].repeat(3, -1)).round().astype(np.uint8)'
    return f'ui.sketch(ui.lengthened("{packed}"))[0]'


def searching(asked: dict, knobs: dict, name: str) -> str:
    """Python that finds what the search found."""
    picked = min(asked["picked"], 11)
    hay = knobs | {"n": HAYSTACK[name in MODELS], "seed": HAYSTACK_SEED, "things": "3", "say": "captions"}
    return ui.python_text(
        *beginning(name, own=False),
        *world(name).code(hay, side_of(name)),
        "f, g = clip.encode_image(pictures).detach(), clip.encode_text(texts).detach()",
        f"similar = f @ clip.encode_text([{asked['query']!r}])[0].detach()",
        "near = similar.argsort(descending=True)[:12]  # pictures[near] are those on the stage",
        f"best = [texts[i] for i in (g @ f[near[{picked}]]).argsort(descending=True)[:6]]  # its captions",
    )


# -- the page ----------------------------------------------------------------------------------------------------------


def start(**changes) -> dict:
    """What is asked for at first, or with some of it changed."""
    return {
        "knobs": KNOBS.defaults(),
        "texts": "",
        "templates": PLAIN,
        "model": CLIP,
        "query": QUERY,
        "view": SCORES,
        "cell": None,
        "turned": None,
        "uploads": [],
        "picked": 0,
    } | changes


def arrival() -> tuple[dict, np.ndarray]:
    """What is on the stage before the first click, computed from the weights; and the gallery's picture: scenes, and
    the colours of their scores."""
    *_, whole, overlay = stage(start(), ui.Run())
    *_, found = search(start(view=NEAREST), ui.Run())
    _, pictures = shown(KNOBS.defaults(), CLIP)
    low, high = whole["range"]
    share = (np.array(whole["cells"]) - low) / (high - low)
    colours = (255 * viz.viridis(share)).round().astype(np.uint8)
    squares = np.repeat(np.repeat(colours.reshape(-1, 1, 1, 3), 32, axis=1), 64, axis=2)
    tall = viz.tile(pictures.transpose(0, 3, 1, 2), len(pictures), gap=2, scale=2)
    wide = viz.tile(squares.transpose(0, 3, 1, 2), len(pictures), gap=2, scale=2)
    gap = np.full((4, tall.shape[1], 3), 255, np.uint8)
    whole |= {"overlaid": overlay["overlay"], "link": None}  # a page that comes with a link is to keep it
    ready = {"whole": whole, "near": found["html"], "pair": pair_of(found, CLIP)}
    ready["texts"] = "\n".join(row["text"] for row in whole["rows"])
    return ready, np.concatenate([tall, gap, wide])


def controls(frame: ui.Frame, texts: str) -> dict:
    """The controls column; the components by name, and as "scoring" those that the search has no use for."""
    made = {}
    with frame.controls:
        with gr.Column(elem_classes="gl-plain") as what, frame.group("What"):
            made["n"] = KNOBS["n"].component()
            with gr.Row(elem_classes="gl-buttons"):
                made["add"] = gr.UploadButton(
                    "Add pictures of your own", file_count="multiple", size="sm", min_width=160, elem_classes="gl-add"
                )
                made["drop"] = gr.Button("Remove them", size="sm", min_width=96, visible=False)
            with gr.Accordion("Draw one", open=False):
                with gr.Column(elem_classes="gl-plain") as made["colours"]:
                    made["palette"] = ui.palette(BLANK, WORDS.COLOURS, WORDS.FIELDS, SIDE[CLIP])
                with gr.Column(elem_classes="gl-plain", visible=False) as made["ink"]:
                    made["pad"] = ui.pad(SIDE[MNIST], elem_classes="gl-pad-small")
                made["take"] = gr.Button("Add the drawing", size="sm", min_width=96)
            made["say"] = KNOBS["say"].component(elem_classes="gl-chipset")
            made["texts"] = gr.Textbox(texts, label="One a line", lines=5, max_lines=6, elem_classes="gl-own")
        with frame.group("How"):
            made["templates"] = gr.Textbox(
                PLAIN, label="Templates (one a line, {} is the text; several are averaged)", lines=1, max_lines=4
            )
            made["model"] = JUDGES.component("Model")
        with gr.Column(elem_classes="gl-plain") as seed, frame.group("Seed"), gr.Row(elem_classes="gl-seed"):
            made["seed"] = KNOBS["seed"].component(show_label=False, container=False, min_width=96)
        frame.buttons("New pictures")
        with gr.Accordion("More", open=False):
            for name in ("things", "split"):
                made[name] = KNOBS[name].component(elem_classes="gl-chipset")
    return made | {"scoring": [what, made["templates"], seed, frame.generate, made["things"]]}


def build() -> gr.Blocks:
    """The app."""
    with (
        gr.Blocks(title=f"{TITLE} · genlab", analytics_enabled=False) as app,
        ui.page(TITLE, SUMMARY, FAMILY, models=MODELS),
    ):
        lesson(app)
        endpoints()
    return app


def lesson(app: gr.Blocks) -> None:
    """The page's content and its events. Nothing is computed here: the stage shows what the weights said before, and
    models load with the first page."""
    ready = json.loads(ARRIVAL.read_text(encoding="utf-8")) if ARRIVAL.is_file() else {}
    with ui.frame() as frame:
        made = controls(frame, ready.get("texts", ""))
        with frame.stage:
            with gr.Tabs(elem_classes="gl-views") as tabs:
                with gr.Tab("Scores", id=SCORES) as first:
                    matrix = ui.matrix(ready.get("whole"))
                with gr.Tab("Nearest", id=NEAREST) as second:
                    query = gr.Textbox(QUERY, label="Look for", max_lines=1, elem_classes="gl-query")
                    near = nearest.nearest(ready.get("near", say("")))
            frame.suggest(TRY)
        with frame.below:
            with gr.Row(elem_classes="gl-two"):
                with gr.Column(min_width=320):
                    law = ui.markdown()
                with gr.Column(min_width=320):
                    ui.markdown(NOTICE)
            with gr.Accordion("Python", open=False):
                code = ui.markdown()
            with gr.Accordion("Under the hood", open=False):
                source = ui.markdown()
            with gr.Accordion(f"Model card: {CLIP}", open=False) as cover:
                card = ui.markdown()

    # Which view is open; none before the link has been read. Not a State, for it must change together with the knobs.
    view = gr.Textbox("", visible="hidden", label="view")
    uploads, trouble = gr.State([]), gr.State("")
    chosen = gr.State({"cell": None, "turned": None, "picked": 0})
    # whether the stage shows still what it did on arrival, and of which seed
    shows = gr.State({"arrival": bool(ready), "seed": KNOBS["seed"].default})
    drawn = gr.State(KNOBS["seed"].default)  # the seed of the last "New pictures", which may not be on the stage yet
    # The texts of the stage, for their box; each time another value, for it may be the box that has changed.
    spoken = gr.Textbox("", visible="hidden", label="spoken")
    # What is asked for, in short: whatever a visitor does ends in a change of this, and that is what runs, once. No
    # event that runs nothing is queued beside it: as it ends, gradio closes the page's stream, now and then too early.
    pulse = gr.Textbox("", visible="hidden", label="pulse")
    knobs = [made[name] for name in KNOBS]
    boxes = [made["texts"], made["templates"], made["model"], query]

    def asked(view, uploads, chosen, texts, templates, model, query, *values) -> dict:
        words = {"texts": texts, "templates": templates, "model": model, "query": query}
        words = {key: value if isinstance(value, str) else "" for key, value in words.items()}
        words["templates"], words["model"] = words["templates"].strip() or PLAIN, words["model"].strip() or CLIP
        knobs = KNOBS.clean(dict(zip(KNOBS, values, strict=True)))
        if knobs["say"] != "own":
            words["texts"] = ""
        return {"knobs": knobs, "view": view, "uploads": uploads, **chosen, **words}

    def restore(request: gr.Request):
        """The state that the link asks for."""
        params = dict(request.query_params)
        values = KNOBS.clean(params)
        own = limits.text(params.get("texts"), TEXTS * LONGEST) if values["say"] == "own" else ""
        at = params.get("view") if params.get("view") in VIEWS else SCORES
        chosen = {"cell": cell_of(params.get("cell", "").split(",")), "turned": tau_of(params.get("tau"))}
        chosen["picked"] = (cell_of([params.get("picked"), 0]) or (0, 0))[0]
        words = [
            limits.text(params.get(key), 8000) or default
            for key, default in (("templates", PLAIN), ("model", CLIP), ("query", QUERY))
        ]
        drawn = drawings_of(params.get("drawn"))
        mine = drawn, gr.Button(visible=bool(drawn))
        return *values.values(), own or gr.skip(), *words, chosen, at, gr.Tabs(selected=at), *mine

    def introduce():
        """What needs torch, and so comes after the page: the model, and the source of the equation."""
        SHELF.warm(lambda: [*stage(start(), ui.Run())])
        return ui.under_the_hood(FAMILY, "CLIP")

    def scoring(view):
        """The search has pictures and a seed of its own: what it does not heed is not there."""
        return [type(part)(visible=view != NEAREST) for part in made["scoring"]]

    def covered_by(model):
        """The card of the model that scores, where it is ours."""
        return (
            (gr.Accordion(label=f"Model card: {model}"), ui.card_text(model)) if model in MODELS else (gr.skip(),) * 2
        )

    def opened(name: str):
        """A view was opened; gradio says so of the first one too, as the page appears, which is to be ignored."""
        return lambda view: name if view else gr.skip()

    def wanted(request: gr.Request, *state):
        """Ask for what the controls say; what else runs at present ends at its next step."""
        now = asked(*state)
        if now["view"] not in VIEWS:
            return gr.skip()
        key = named_by(now)
        return f"{key} {time.time_ns()}" if RUNS.want(request.session_hash, key) else key

    def run(request: gr.Request, shows, *state):
        """Compute what the open view shows, and stream it there, unless it came along with the page."""
        now = asked(*state)
        if shows["arrival"] and fingerprint(now) in {fingerprint(start(view=view)) for view in VIEWS}:
            here = anew(ready["near"].replace("<div", f"<div data-link='{escape(json.dumps(link(now)))}'", 1))
            value = ready["whole"] | {"serial": f"again {time.time_ns()}", "link": link(now)}
            yield {matrix: value} if now["view"] == SCORES else {near: here}
            said = equation(ready["whole"]) if now["view"] == SCORES else law_of(**ready["pair"])
            yield {law: said, code: python(now), spoken: speech(ready["texts"])}
            return
        present = RUNS.begin(request.session_hash, named_by(now))
        place = near if now["view"] == NEAREST else matrix
        message = ui.Matrix.message if place is matrix else say
        try:
            for value in (stage if place is matrix else search)(now, present):
                if present.replaced:
                    return
                if place is matrix:
                    out, done = {place: value}, "cells" in value
                    out |= {law: equation(value)} if done else {}
                else:
                    done = isinstance(value, dict)
                    out = {place: anew(value["html"]) if done else value}
                    out |= {law: law_of(**pair_of(value, now["model"]))} if done else {}
                if done:
                    out |= {code: python(now), shown_of: {"arrival": False, "seed": now["knobs"]["seed"]}}
                    out |= {spoken: speech(texts)} if (texts := page_texts(now)) else {}
                yield out
            present.ended = "done"
        except GenlabError as error:
            present.ended = "failed"
            gone = {law: ui.equation(FAMILY, "CLIP", {})} if place is near else {}  # what was found makes way
            yield {place: message(str(error), error=True)} | gone
        except Ended:
            if not present.replaced:
                how = "Out of time: take fewer pictures, texts or templates."
                yield {place: message("Stopped." if present.ended == "stopped" else how)}

    shown_of = shows  # the component; inside the functions the name is its value's

    def anew(html: str) -> str:
        """A value of its own: of an equal one gradio tells the page nothing, and the address stays another view's."""
        return html.replace("<div", f"<div data-serial='{time.time_ns()}'", 1)

    def cell_chosen(request: gr.Request, event: gr.EventData, chosen, *state):
        """What in the picture the chosen number hangs on."""
        chosen = chosen | {"cell": cell_of([event._data.get("row"), event._data.get("column")])}
        now = asked(state[0], state[1], chosen, *state[2:])
        present = RUNS.begin(request.session_hash, named_by(now))
        yield {chosen_state: chosen}
        try:
            *_, whole, overlay = stage(now, present)
            yield {matrix: overlay}
            present.ended = "done"
        except (GenlabError, Ended):
            return

    chosen_state = chosen

    def temperature_chosen(event: gr.EventData, chosen, *state):
        chosen = chosen | {"turned": tau_of(event._data.get("temperature"))}
        try:
            return chosen, python(asked(state[0], state[1], chosen, *state[2:]))
        except GenlabError:
            return chosen, gr.skip()

    def picture_picked(event: gr.EventData, chosen):
        return chosen | {"picked": (cell_of([event._data.get("index"), 0]) or (0, 0))[0]}

    def add(files, uploads, chosen, n):
        """Take the files in, or say what is wrong with one; the good ones stay, and the last one is looked at."""
        uploads, trouble, before = list(uploads), [], len(uploads)
        files = [str(file) for file in files or []]
        if len(uploads) + len(files) > PICTURES:
            said = f"{len(files)} files are too many: this page holds {PICTURES} pictures of your own."
            return uploads, gr.skip(), chosen, "", ui.Matrix.message(said, error=True)
        for file in files:
            try:
                uploads.append((Path(file).name, ui.read_picture(file)))
            except GenlabError as error:
                trouble.append(str(error))
        said = " ".join(trouble[:3])
        if len(uploads) == before:
            return uploads, gr.skip(), chosen, "", ui.Matrix.message(said, error=True) if said else gr.skip()
        chosen = chosen | {"cell": (BEST, KNOBS["n"].clean(n) + len(uploads) - 1)}
        return uploads, gr.Button(visible=bool(uploads)), chosen, said, gr.skip()

    def take(palette, pad, model, uploads, chosen, n):
        """The drawing becomes one more picture of one's own."""
        drawing = np.repeat((255 * ui.ink(pad, SIDE[MNIST])).astype(np.uint8)[..., None], 3, axis=-1)
        if model != MNIST:
            drawing = (ui.sketch(palette, SIDE[CLIP]) or (np.zeros((1, 1, 3), np.uint8),))[0]
        if (drawing == drawing[0, 0]).all():
            said = "Nothing is drawn yet: paint with the pointer, then add the drawing."
            return uploads, gr.skip(), chosen, ui.Matrix.message(said, error=True)
        if len(uploads) >= PICTURES:
            said = f"This page holds {PICTURES} pictures of your own: remove them first."
            return uploads, gr.skip(), chosen, ui.Matrix.message(said, error=True)
        number = 1 + sum(word.startswith(DRAWING) for word, _ in uploads)
        chosen = chosen | {"cell": (BEST, KNOBS["n"].clean(n) + len(uploads))}
        return [*uploads, (f"{DRAWING}{number}", drawing)], gr.Button(visible=True), chosen, gr.skip()

    def draws(model):
        """Digits are drawn in ink, all else in colours."""
        return gr.Column(visible=model != MNIST), gr.Column(visible=model == MNIST)

    def drop(chosen):
        return [], gr.Button(visible=False), chosen | {"cell": None}

    def complain(trouble):
        """What is wrong with files is said last, below the matrix of the others."""
        return (ui.Matrix.message(trouble, error=True), "") if trouble else (gr.skip(), gr.skip())

    def over(request: gr.Request):
        RUNS.end(request.session_hash)

    def fresh(seed, shows, drawn):
        """New scenes: another seed, unless one was just typed: it is not the one on the stage, or on its way there."""
        seed = KNOBS["seed"].clean(seed)
        seed = int(np.random.default_rng().integers(10_000)) if seed in (shows["seed"], drawn) else seed
        return seed, seed

    def suggestion(name, model):
        changes = TRY[name]
        values = KNOBS.clean(KNOBS.defaults() | changes)
        at = changes.get("view", SCORES)
        texts = changes.get("texts", gr.skip())
        stays = CLIP if model == MNIST else gr.skip()  # the lesson is about scenes, whoever looks at them
        words = [texts, changes.get("templates", PLAIN), changes.get("model", stays), gr.skip()]
        return *values.values(), *words, {"cell": None, "turned": None, "picked": 0}, at, gr.Tabs(selected=at)

    quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    queued = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 2, "concurrency_id": "clip"}
    last = quick | {"trigger_mode": "always_last"}  # what is pressed or changed while an answer is on its way counts
    state = [view, uploads, chosen, *boxes, *knobs]
    shown = [matrix, near, shows, spoken, law, code]
    restored = app.load(restore, None, [*knobs, *boxes, chosen, view, tabs, uploads, made["drop"]], **quick)
    restored.then(covered_by, made["model"], [cover, card], **quick)
    # Somebody writes, and not the page: the texts are their own from now on. The page itself says so, before any answer
    # can come in between: from the texts' box, and once more where they wrote before the link was read.
    for event in (made["texts"].change, restored.then):
        event(None, made["texts"], made["say"], js=OWN, **quick).then(wanted, state, pulse, **last)
    spoken.change(None, [spoken, made["say"], made["texts"]], made["texts"], js=FOLLOW, **quick)
    view.change(scoring, view, made["scoring"], **quick)
    for tab, name in ((first, SCORES), (second, NEAREST)):
        tab.select(opened(name), view, view, **quick)
    # change, for input is silent when somebody pastes or deletes
    moved = [view.change, made["n"].release, *(made[name].input for name in ("say", "things", "split"))]
    gr.on([*moved, made["templates"].change, made["model"].input, query.change], wanted, state, pulse, **last)
    new = frame.generate.click(fresh, [made["seed"], shows, drawn], [made["seed"], drawn], **last)
    new.then(wanted, state, pulse, **last)
    put = frame.suggested(suggestion, [made["model"]], [*knobs, *boxes, chosen, view, tabs])
    put.then(wanted, state, pulse, **last)
    files = made["add"].upload(
        add, [made["add"], uploads, chosen, made["n"]], [uploads, made["drop"], chosen, trouble, matrix], **quick
    )
    files.then(wanted, state, pulse, **last)
    made["take"].click(
        take,
        [made["palette"], made["pad"], made["model"], uploads, chosen, made["n"]],
        [uploads, made["drop"], chosen, matrix],
        **quick,
    ).then(wanted, state, pulse, **last)
    made["model"].change(draws, made["model"], [made["colours"], made["ink"]], **quick)
    made["model"].change(covered_by, made["model"], [cover, card], **last)
    made["drop"].click(drop, chosen, [uploads, made["drop"], chosen], **quick).then(wanted, state, pulse, **last)
    near.select(picture_picked, chosen, chosen, **quick).then(wanted, state, pulse, **last)
    pulse.change(run, [shows, *state], shown, trigger_mode="always_last", **queued).then(
        complain, trouble, [matrix, trouble], **quick
    )
    rest = [view, uploads, *boxes, *knobs]
    matrix.select(cell_chosen, [chosen, *rest], [chosen, matrix], trigger_mode="multiple", **queued)
    matrix.release(temperature_chosen, [chosen, *rest], [chosen, code], **quick)
    frame.stop.click(over, **quick)
    app.load(introduce, None, source, **quick)


def cell_of(pair) -> tuple[int, int] | None:
    """Row and column, or None for the one that the lesson begins with, whatever a stranger sends."""
    try:
        row, column = (min(max(int(k), 0), 10_000) for k in pair)
        return row, column
    except (TypeError, ValueError, OverflowError):
        return None


def tau_of(value) -> float | None:
    """A temperature, or None for the learned one, whatever a stranger sends."""
    try:
        value = float(value)
        return min(max(value, 0.001), 10.0) if value == value and value > 0 else None
    except (TypeError, ValueError, OverflowError):
        return None


# -- endpoints: for programs, and as MCP tools -------------------------------------------------------------------------


def endpoints() -> None:
    """Name each model function for the API. Each checks its own input, whatever a stranger sends."""
    for function in (clip_scenes, clip_score, clip_zero_shot, clip_nearest):
        gr.api(function, api_name=function.__name__, concurrency_limit=2, concurrency_id="clip")


def answered(work: Callable[[ui.Run], dict | tuple]):
    """What the work gives within its time, or gradio's error with the sentence that says what is wrong."""
    try:
        return work(ui.Run(SECONDS))
    except GenlabError as error:
        raise gr.Error(str(error), print_exception=False) from error
    except Ended as error:
        said = "Out of time: send fewer pictures, texts or templates."
        raise gr.Error(said, print_exception=False) from error


def sent(texts, most: int, what: str) -> list[str]:
    """A list of strings that somebody sent, none empty. Raises GenlabError."""
    texts = texts if isinstance(texts, list) else []
    kept = [isinstance(text, str) and limits.CONTROLS.sub(" ", text).strip() for text in texts]
    if not kept or not all(kept):
        raise GenlabError(f"{plural(what)} are a list of strings, one or more, none of them empty.")
    return lines(texts, most, what)


def sent_pictures(images) -> list[np.ndarray]:
    """Pictures in base64, or scenes by their seed. Raises GenlabError."""
    if not isinstance(images, list) or not images or len(images) > PICTURES:
        raise GenlabError(f"images are a list of 1 to {PICTURES}: pictures in base64, or scenes as 'scene:7'.")
    return [sent_image(image, f"image {number}") for number, image in enumerate(images, 1)]


def sent_image(image, name: str = "the image") -> np.ndarray:
    made = re.fullmatch(r"(scene|digit):(\d{1,10})(?::(\d{1,2}))?", image) if isinstance(image, str) else None
    if not made:
        return ui.sent_picture(image, name)
    which, of, most = int(made[3] or 0), MNIST if made[1] == "digit" else CLIP, KNOBS["n"].high
    if which >= most:
        raise GenlabError(f"{name}: of a seed there are the {made[1]}s 0 to {most - 1}, not {which}.")
    return sampled(of, most, KNOBS["seed"].clean(made[2]), "2", "train", SIDE[of])[1][which]


def sheet(pictures: np.ndarray) -> gr.FileData:
    """Pictures, uint8 (n, s, s, 3), side by side as a file."""
    scale = 2 if pictures.shape[1] in SIDE.values() else 1
    return ui.picture_file(viz.tile(pictures.transpose(0, 3, 1, 2), min(len(pictures), 6), gap=2, scale=scale))


def model_of(model, run: ui.Run) -> str:
    """The name of a model that is loaded. Raises GenlabError, Ended."""
    name = JUDGES.permitted(model)
    for _ in loading(name, run):
        pass
    return name


def clip_scenes(seed: int = 17, n: int = 4, things: str = "2", split: str = "train") -> tuple[gr.FileData, list[str]]:
    """Draw scenes of coloured shapes: a PNG with all of them side by side, and their captions. clip_score takes them as
    "scene:17:0", "scene:17:1" ... (with at most two things, of the split "train").

    Args:
        seed: 0 to 2147483647; the same seed draws the same scenes
        n: how many, 1 to 24
        things: at most so many in a scene, "1", "2" or "3"
        split: "train", "held_out" (a pair of colour and shape that was never shown in training) or "any"
    """
    knobs = KNOBS.clean(locals())
    some, pictures = shown(knobs | {"n": max(knobs["n"], 1)}, CLIP)
    return sheet(pictures), world(CLIP).captions(some)


def clip_score(images: list[str], texts: list[str], model: str = CLIP) -> dict:
    """How well each picture fits each text: cosines and CLIPScores, a list a picture with a number a text.

    Args:
        images: pictures in base64 (PNG, JPEG, WEBP, GIF, BMP), at most 48; or scenes,
            "scene:17:0" for the first of seed 17, or digits, "digit:17:0"
        texts: at most 50 of at most 500 characters
        model: "clip-scenes", or "clip-mnist" for digits; where the page allows it a name of open_clip, a Hub id or a
            folder
    """

    def work(run):
        pictures, said, name = sent_pictures(images), sent(texts, TEXTS, "text"), model_of(model, run)
        cosines = (seen(name, pictures, run) @ told(name, said, [PLAIN], run).T).astype(float)
        strange = {text: note for text, note in zip(said, unread(name, said), strict=True) if note}
        scores = {"cosine": cosines.round(4).tolist(), "clip_score": (2.5 * cosines.clip(0)).round(4).tolist()}
        return scores | {"texts": said, "not_read": strange, "model": name}

    return answered(work)


def clip_zero_shot(
    image: str, classes: list[str], templates: list[str] | None = None, temperature: float = 0.0, model: str = CLIP
) -> dict:
    """Which of these classes a picture is: a probability each, the softmax of cosine / temperature.

    Args:
        image: a picture in base64 (PNG, JPEG, WEBP, GIF, BMP), or a scene, "scene:17:0" for the first of seed 17
        classes: at most 50 words or texts
        templates: at most 16, each with one {} in the place of the class; their features are averaged
        temperature: 0 for the learned one, else 0.001 to 10
        model: "clip-scenes", or "clip-mnist" for digits; where the page allows it a name of open_clip, a Hub id or a
            folder
    """

    def work(run):
        picture, names = sent_image(image), sent(classes, TEXTS, "class")
        if len(set(names)) < len(names):
            raise GenlabError("Each class can be there once: two of these are alike.")
        forms = templates_of(sent(templates, TEMPLATES, "template")) if templates else [PLAIN]
        name = model_of(model, run)
        tau = tau_of(temperature) or float(JUDGES[name].temperature)
        cosines = (seen(name, [picture], run) @ told(name, names, forms, run).T)[0].astype(float)
        odds = np.exp((cosines - cosines.max()) / tau)
        odds = odds / odds.sum()
        shares = {one: round(float(p), 4) for one, p in zip(names, odds, strict=True)}
        best = names[int(odds.argmax())]
        return {"best": best, "probability": shares, "cosine": cosines.round(4).tolist(), "temperature": tau}

    return answered(work)


def clip_nearest(text: str, n: int = 8, model: str = CLIP) -> tuple[gr.FileData, list[dict]]:
    """The scenes that fit a text best, of several hundred: a PNG of them, and the caption and cosine of each.

    Args:
        text: what to look for, at most 500 characters
        n: how many, 1 to 24
        model: "clip-scenes", or "clip-mnist" for digits; where the page allows it a name of open_clip, a Hub id or a
            folder
    """

    def work(run):
        (said,) = sent([text], 1, "text")
        name, most = model_of(model, run), max(KNOBS["n"].clean(n), 1)
        pictures, captions = hay(name, "train")
        similar = seen(name, list(pictures), run) @ told(name, [said], [PLAIN], run)[0]
        near = order(similar, most)
        found = [{"caption": captions[i], "cosine": round(float(similar[i]), 4)} for i in near]
        return sheet(pictures[near]), found

    return answered(work)
