"""Text to image: type or assemble a sentence, and watch latent diffusion draw it, word by word right or wrong."""

import json
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np

from genlab import GenlabError, ui, viz
from genlab.ui import pipeline_tab

TITLE = "Text to image"
SUMMARY = "Say what to draw, and see which words the picture keeps."
FAMILY = "diffusion"
MODELS = ["ldm-scenes", "kl-vae-scenes", "clip-scenes", "reader-scenes"]

LDM, CODEC, CLIP, READER = MODELS  # the codec comes with the first
WORLD = ui.part("data.sentences")  # the words of the world, and what sentences mean
PROMPT = "a large striped red circle left of a small blue square, on a yellow field"
LONGEST = 300  # characters of a sentence; its field takes more, so that the page can say what is too long
SHOWN = 20  # words read in one picture: a little more than three things and a field take
KNOBS = ui.Knobs(
    prompt=ui.Text("Sentence", PROMPT, LONGEST),
    guidance=ui.Number("rho (diffusers guidance_scale = 1 + rho)", 2.0, 0, 8, 0.1),
    steps=ui.Number("Steps", 30, 5, 50),
    negative=ui.Text("Away from (negative prompt)", "", LONGEST),
    seed=ui.Number("Seed", 55, 0, 2**31 - 1, box=True),  # one where guidance shows; how often it does, the charts say
    n=ui.Number("Pictures (the same sentence, other noise)", 4, 1, 8),
    sampler=ui.Choice("Sampler", "ddim", ["ddim", "ddpm", "dpm++", "unipc"]),
    eta=ui.Number("eta (DDIM only: 0 adds no noise, 1 as much as DDPM)", 0.0, 0, 1, 0.05),
    low=ui.Number("From t / T (guidance acts)", 0.0, 0, 1, 0.05),
    high=ui.Number("Up to t / T (guidance acts)", 1.0, 0, 1, 0.05),
    rescale=ui.Number("Rescale (brings the spread of the noise back)", 0.0, 0, 1, 0.05),
    strength=ui.Number("Strength (noise put on the sketch)", 0.7, 0.1, 1, 0.05),
    judge=ui.Text("CLIPScore by", CLIP, 300),
)
WATCH, SWEEP, SKETCH = VIEWS = ("watch", "sweep", "sketch")
READY, BEGUN, WHOLE = "ready", "begun", "whole"  # of a film: it came with the page, runs or was left, or is done
TRY = {  # the lesson in order; what is not named goes back to its default, but sentence, seed, number and judge stay
    "no guidance": {"guidance": 0.0},
    "too much": {"guidance": 8.0},
    "one word changed": {"prompt": WORLD.one_word_other},
    "never seen": {"prompt": "a large blue heart above a small red square, on a white field"},
    "any colour": {"prompt": "a large heart right of a small star, on a white field"},
    "not striped": {"prompt": "a large purple star in the middle, on a green field", "negative": "striped dotted"},
}
NOTICE = """
## What to notice
- The picture is decided early: drag the scrubber. Field and places come first, then colours, textures last. The left
  grid is what the sampler holds, decoded as it is; the right one the picture that the network already sees in it.
- A word marked ✗ is one the picture does not keep. Try "one word changed": same noise, one word, and the things change
  places. Most often wrong are textures, the finest that a code can hold, and how many things there are. What comes true
  how often stands in the charts, measured.
- At rho = 0 the sentence is only *told*. Guidance pushes away from pictures of anything (or of the negative prompt), so
  more words come true; much more of it, and pictures of one sentence become alike and harsh.
- What a sentence leaves open the noise decides: say no colour, and each picture takes its own.
- ◇ marks a colour and a shape never shown together in training (only to the codec, which reads no words). Both are
  known from elsewhere: is the pair?
- Two judges: CLIPScore says in one number how well picture and sentence fit; the reader, which never saw a sentence,
  says what is where. CLIPs differ in what they see; More may offer another.
- An unknown word is drawn as if it were some word or none: the text tower has one vector for all it cannot read.
"""
PANELS = ("zₜ, decoded: what the sampler holds", "x̂: the picture the network sees in it")
RHOS, COLUMNS = (0.0, 1.0, 2.0, 4.0, 8.0), 8
KINDS = ("shape", "colour", "texture", "size", "place", "relation", "field", "count", "everything")
SIDE = 64
LIVE = 0.04  # seconds between two pictures: 25 a second are enough for the eye
SLOW = 1.0  # seconds between two looks of a judge of others: it may be large
SECONDS = 60.0  # of a run, by the clock on the wall
RUNS = ui.Runs(SECONDS)
SHELF = ui.Shelf(LDM, CLIP, READER, fast=(LDM,))
JUDGES = ui.Judges(SHELF, CLIP)
ARRIVAL = Path(__file__).parent / "pictures" / "text_to_image.json"  # by `python -m scripts.arrival text_to_image`


def blobs() -> str:
    """The sketch that the lesson begins with: two blobs on a field."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    picture = np.full((SIDE, SIDE, 3), WORLD.FIELDS["yellow"], np.uint8)
    for colour, left, radius in (("red", 14, 10), ("blue", 50, 7)):
        picture[(x - left) ** 2 + (y - 33) ** 2 < radius**2] = WORLD.COLOURS[colour]
    return ui.sketched(picture)


BLOBS = blobs()


# -- sentences ---------------------------------------------------------------------------------------------------------


def cleaned(sent: Mapping) -> dict:
    """The knobs that somebody sent, the sentence as captions say it; where nobody is named as judge, ours is meant."""
    knobs = KNOBS.clean(sent)
    return knobs | {"prompt": each_for_itself(knobs["prompt"]), "judge": knobs["judge"] or CLIP}


def each_for_itself(prompt) -> str:
    """The sentence, but each of several things said for itself: the text tower knows no plural and no number."""
    text = KNOBS["prompt"].clean(prompt)
    longer = WORLD.one_by_one(text) if len(text) <= LONGEST else text
    return longer if len(longer) <= LONGEST else text


def checked(prompt) -> str:
    """The sentence, if something can be drawn of it. Raises GenlabError."""
    text = KNOBS["prompt"].clean(prompt) if isinstance(prompt, str) else ""
    if not text:
        raise GenlabError(f"Write what to draw, or press the chips: {PROMPT!r}, for one.")
    if len(text) > LONGEST:
        raise GenlabError(f"A sentence may have {LONGEST} characters; this one has {len(prompt):,}: say it shorter.")
    text = WORLD.one_by_one(text)
    if len(text) > LONGEST:
        raise GenlabError(
            f"A sentence may have {LONGEST} characters; this one has {len(text)}, each thing said for itself: say it "
            "shorter."
        )
    words = set(re.findall(r"\w+", text.lower()))
    if not words & set(WORLD.vocabulary()) - set(WORLD.FILLERS):
        first = "" if WORLD.uncounted(text) else "No word of this is known here."
        strange = " ".join(filter(None, [first, unread(text)]))
        raise GenlabError(f"{strange} Things are {', '.join(WORLD.SHAPES)}.")
    return text


def checked_negative(text) -> str:
    """What to keep away from; it may be empty. Raises GenlabError."""
    if isinstance(text, str) and len(text) > LONGEST:
        raise GenlabError(
            f"A negative prompt may have {LONGEST} characters; this one has {len(text):,}: say it shorter."
        )
    return KNOBS["negative"].clean(text) if isinstance(text, str) else ""


def unread(text: str) -> str:
    """A sentence about the words that the text tower cannot read; "" if it reads all."""
    many, said, alone = WORLD.uncounted(text), [], []
    strange = [word for word in WORLD.unknown(text) if word not in many]
    if counted := [word for word in strange if many and word.lower() in WORLD.NUMBERS]:
        strange = [word for word in strange if word not in counted]  # a word between is what was not read
    for word in strange[:3]:
        if near := WORLD.near(word):
            said.append(f"{word[:24]!r} is unknown: did you mean {' or '.join(near)}?")
        else:
            alone.append(repr(word[:24]))
    if alone:
        said.append(f"{', '.join(alone)} {'is' if len(alone) == 1 else 'are'} unknown.")
    more = len(strange) - 3
    said += [f"So {'is' if more == 1 else 'are'} {more} more."] if more > 0 else []
    return " ".join([*said, *[f"Say how many {word}: one, two or three." for word in many[:1] if not counted]])


def note(prompt: str) -> str:
    """What there is to say of a sentence before it is drawn, as HTML."""
    if len(prompt) > LONGEST:
        return f'<p class="gl-note" role="status">{LONGEST} characters are the most: say it shorter.</p>'
    said, meant = [], WORLD.understand(prompt)
    if len(meant.things) > WORLD.MOST:
        said.append(f"Three things are the most that a picture holds, and here are {len(meant.things)}.")
    if strange := unread(prompt):
        said.append(f"{escape(strange)} The model has one word for all that it does not know.")
    if {"no", "not", "without"} & set(re.findall(r"\w+", prompt.lower())):
        said.append("What is not to be there goes into the negative prompt.")
    for colour, what in WORLD.misplaced(prompt)[:1]:
        thing = what.lower() in WORLD.SHAPES
        kinds, colours, whose = ("Things", WORLD.COLOURS, "field") if thing else ("Fields", WORLD.FIELDS, "thing")
        asked = f"{WORLD.article(colour).capitalize()} {colour} {what}? {kinds} are {', '.join(colours)}"
        said.append(f"{escape(asked)}; {escape(colour)} is a {whose}'s colour.")
    if pairs := WORLD.held_out(meant):
        said.append(f"<b>◇ {escape(' and '.join(pairs))}:</b> never seen in training.")
    return "".join(f'<p class="gl-note" role="status">{text}</p>' for text in said)


def chips(prompt: str) -> str:
    """The chips' value for a sentence."""
    said = WORLD.understand(prompt[:LONGEST])
    things = said.things[: WORLD.MOST]
    value = {
        "things": [[getattr(thing, kind) for kind in WORLD.ATTRIBUTES] for thing in things],
        "relation": next((word for first, word, _ in said.relations if first == 0), ""),
        "place": things[-1].place if len(things) in (1, 3) else "",
        "field": said.field,
    }
    again = sentence(value)
    return ui.assembled(**value, exact=WORLD.understand(again) == said and meaning(again) == meaning(prompt))


def meaning(text: str) -> list[str]:
    """The words of a text that say something, each as captions have it; no texture is a plain one."""
    usual = {other: word for word, others in WORLD.OTHER_WORDS.items() for other in others}
    words = re.findall(r"\w+", text.lower())
    return [usual.get(word, word) for word in words if word not in (*WORLD.FILLERS, "plain")]


def sentence(value: dict) -> str:
    """The sentence that chips say, in the very words of the world's captions; a stranger's words are dropped."""

    def known(word: str, words) -> str:
        return word if word in words else ""

    things = [
        WORLD.Thing(shape, known(colour, WORLD.COLOURS), texture, known(size, WORLD.SIZES))
        for size, texture, colour, shape in value["things"]
        if shape in WORLD.SHAPES and texture in WORLD.TEXTURES
    ]
    if len(things) in (1, 3):
        last = things.pop()
        place = known(value["place"], WORLD.PLACES)
        things.append(WORLD.Thing(last.shape, last.colour, last.texture, last.size, place))
    relation = known(value["relation"], WORLD.RELATIONS)
    relations = ((0, relation, 1),) if relation and len(things) > 1 else ()
    return WORLD.say(WORLD.Said(tuple(things), relations, known(value["field"], WORLD.FIELDS)))


# -- what all views and endpoints are made of --------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """R runs of n pictures at one step: the noise level reached; pictures as bytes (R, n, 64, 64, 3); CLIPScores and
    what the reader sees, (R, n, ...)."""

    t: int
    z_t: np.ndarray
    x_0: np.ndarray
    scores: np.ndarray
    things: np.ndarray
    field: np.ndarray


def latents(knobs: dict, n: int, sketch: str) -> Iterator:
    """The model's steps at these knobs; a sketch of which something was rubbed out keeps the rest."""
    start = {}
    if drawn := ui.sketch(sketch):
        picture, there = drawn
        start["image"] = ui.tensor(picture.transpose(2, 0, 1).astype(np.float32) / 255)
        start |= {"strength": knobs["strength"]} if there.all() else {"mask": ui.tensor(there.astype(np.float32))}
    return SHELF[LDM].sample_steps(
        n,
        prompts=knobs["prompt"],
        negative_prompts=knobs["negative"],
        guidance=knobs["guidance"],
        steps=knobs["steps"],
        sampler=knobs["sampler"],
        eta=knobs["eta"],
        interval=(min(knobs["low"], knobs["high"]), max(knobs["low"], knobs["high"])),
        rescale=knobs["rescale"],
        generator=ui.seeded(knobs["seed"]),
        **start,
    )


@ui.gpu(int(SECONDS))
def walk(rows: list[dict], n: int, sketch: str = "", pace: float = 0.0, both: bool = True) -> Iterator[Frame | None]:
    """The states of several runs abreast, one for each set of knobs, on one accelerator. A step is decoded and judged
    if `pace` seconds went by since the last one that was, else it is None; the last step always is. both: z_t too.
    Who judges is loaded already; one of others looks every second and at the end, and its last word stands between."""
    ldm, clip, reader = SHELF[LDM], JUDGES[rows[0]["judge"]], SHELF[READER]
    told = ui.infer(clip.encode_text, [knobs["prompt"] for knobs in rows])
    kept = ui.sketch(sketch)
    decoded = looked = float("-inf")
    for step, states in enumerate(zip(*(latents(knobs, n, sketch) for knobs in rows), strict=True), 1):
        last = step == rows[0]["steps"]
        if not last and time.monotonic() - decoded < pace:
            yield None
            continue
        decoded = time.monotonic()
        z = [viz.to_numpy(state.x_0) for state in states] + [viz.to_numpy(state.x_t) for state in states if both]
        x = ui.infer(ldm.decode, ui.tensor(np.concatenate(z)).to(ldm.device)).astype(np.float32)
        if kept and not kept[1].all():
            x[..., kept[1]] = kept[0][kept[1]].T / 255
        x_0 = ui.tensor(x[: len(rows) * n])
        if last or rows[0]["judge"] == CLIP or time.monotonic() - looked >= SLOW:
            features = ui.infer(clip.encode_image, x_0.to(clip.device)).reshape(len(rows), n, -1)
            looked = time.monotonic()
        things, field = reader.read(x_0.to(reader.device))
        shaped = viz.to_uint8(x).reshape(-1, n, SIDE, SIDE, 3)
        yield Frame(
            t=states[0].t,
            z_t=shaped[len(rows) :],
            x_0=shaped[: len(rows)],
            scores=2.5 * np.einsum("rnd,rd->rn", features, told).clip(0),
            things=viz.to_numpy(things).reshape(len(rows), n, -1, 4),
            field=viz.to_numpy(field).reshape(len(rows), n),
        )


def verdict(frame: Frame, row: int, prompt: str) -> dict:
    """One run of a frame, judged: CLIPScores, what the reader sees as marked words, and by kind how often it is right
    and of how often; of the kinds that were asked for."""
    said, words, right = WORLD.understand(prompt), [], {}
    whole = 0
    for things, field in zip(frame.things[row].tolist(), frame.field[row].tolist(), strict=True):
        marked, counts = WORLD.judged(said, WORLD.seen(things, field))
        words.append(marked)
        whole += all(good == of for good, of in counts.values())
        for kind, (good, of) in counts.items():
            before = right.get(kind, (0, 0))
            right[kind] = (before[0] + good, before[1] + of)
    asked = bool(right)
    if asked:
        right["everything"] = (whole, len(words))
    parts = [pair for kind, pair in right.items() if kind != "everything"]
    return {
        "scores": [round(float(score), 3) for score in frame.scores[row]],
        "words": words,
        "right": right,
        "whole": whole if asked else None,
        "share": sum(good for good, _ in parts) / sum(of for _, of in parts) if asked else None,
    }


def reading(words: list) -> str:
    """What is seen, in one line; ✗ before what was not asked so."""
    return " ".join(f"✗{word}" if right is False else word for word, right in words) or "nothing"


def few_words(words: list) -> list:
    """What is read in a picture, cut where a sentence asks for more than a picture holds."""
    return words if len(words) <= SHOWN else [*words[: SHOWN - 1], (f"and {len(words) - SHOWN + 1} more", None)]


def captions(found: dict) -> list[dict]:
    """Of few pictures all that is seen; of many only what is wrong, for there is no room."""
    few = len(found["words"]) <= 4
    said = []
    for score, words in zip(found["scores"], found["words"], strict=True):
        wrong = [(word, right) for word, right in words if right is False]
        shown = words if few else wrong or [("as asked" if found["right"] else reading(words), None)]
        said.append({"head": f"CLIPScore {score:.2f}" if few else f"{score:.2f}", "words": few_words(shown)})
    return said


def titles(found: dict) -> list[str]:
    """Of each picture all that is said of it."""
    return [f"CLIPScore {s:.2f}. Seen: {reading(w)}" for s, w in zip(found["scores"], found["words"], strict=True)]


def expected(prompt: str, n: int) -> list[dict]:
    """The captions of pictures that are as asked, in long words where the sentence says nothing."""
    said = WORLD.understand(prompt)
    things = said.things or 2 * (WORLD.Thing("triangle", texture="striped"),)
    things = [replace(thing, size=thing.size or "small", colour=thing.colour or "yellow") for thing in things]
    words, right = WORLD.judged(said, WORLD.Seen(tuple(enumerate(things)), said.field or "yellow"))
    return captions({"scores": n * [0.0], "words": n * [words], "right": right})


def summary(found: dict, prompt: str) -> str:
    """A verdict in a few words; of a sentence with words that nobody knows it says that it is no verdict on those."""
    n, asked = len(found["scores"]), ""
    known = not WORLD.unknown(prompt) and not WORLD.misplaced(prompt)
    if found["whole"] is not None:
        how, what = ("all as asked", "said") if known else ("as far as it was understood", "understood")
        asked = f"{found['whole']} of {n} {how}, {100 * found['share']:.0f} % of what was {what} right, "
    return f"{asked}CLIPScore {np.mean(found['scores']):.2f}"


def by(judge: str) -> str:
    """Whose score it is, where it is not ours."""
    return "" if judge == CLIP else f" (CLIPScore by {judge})"


def settings(knobs: dict) -> str:
    text = f"rho {knobs['guidance']:g}, {knobs['steps']} {knobs['sampler']} steps, seed {knobs['seed']}"
    return text + (f", away from {knobs['negative']!r}" if knobs["negative"] else "")


# -- the three views: each yields what its film shows next, and at the end what was found ----------------------------


def film_of(view: str, knobs: dict, sketch: str = "", **about) -> ui.Film:
    acts = knobs["guidance"] > 0 or view == SWEEP
    band = (1000 * min(knobs["low"], knobs["high"]), 1000 * max(knobs["low"], knobs["high"])) if acts else None
    words = KNOBS.words(knobs)
    del words[KNOBS["seed"].label]
    if view != SKETCH:
        del words[KNOBS["strength"].label.split(" (")[0]]
    return ui.Film(
        f"{view}-{time.time_ns()}",
        of=knobs["steps"],
        band=band,
        knobs=words,
        noise=f"{knobs['seed']} {zlib.crc32(sketch.encode())}",  # the same number in each process, as hash is not
        subject=KNOBS["prompt"].label,
        **about,
    )


def link(view: str, knobs: dict, sketch: str = "") -> dict:
    """The query that leads back to what is on the stage, but for a photograph as the sketch: no link is so long."""
    values = KNOBS.query(knobs) | ({"view": view} if view != WATCH else {})
    if view == SKETCH and sketch != BLOBS:
        values["sketch"] = ui.shortened(sketch)
    return {"names": [*KNOBS, "view", "sketch"], "values": {name: word for name, word in values.items() if word}}


def progress(run: ui.Run, done: int, of: int) -> str:
    return f"Step {done} of {of}" + (f", {run.left(done, of):.1f} s left" if done > 2 else "")  # before: a guess


def ending(run: ui.Run, done: int, of: int, text: str) -> str:
    """The last line of a run: how it ended, and what came of it."""
    how = {"stopped": f"Stopped after {done} of {of} steps: ", "time": f"Out of time after {done} of {of} steps: "}
    return how.get(run.ended, "") + text


def pace(run: ui.Run) -> float:
    """Of what nobody watches each step is kept."""
    return LIVE if run.seconds < float("inf") else 0.0


def watch(knobs: dict, run: ui.Run, sketch: str, view: str = WATCH) -> Iterator[tuple[dict, dict | None]]:
    """Pictures while they form: z_t, decoded, beside the predicted x."""
    sketch, n, of = sketch if view == SKETCH else "", knobs["n"], knobs["steps"]
    columns = n if n < 3 else 2 if n < 5 else 3 if n < 7 else 4
    about = {"panels": PANELS, "columns": columns, "score": "right", "room": expected(knobs["prompt"], n)}
    film = film_of(view, knobs, sketch if view == SKETCH else "", **about)
    found = None
    for done, frame in enumerate(walk([knobs], n, sketch, pace(run)), 1):
        if frame:
            found = verdict(frame, 0, knobs["prompt"])
            film.add(frame.t, frame.z_t[0], frame.x_0[0], captions=captions(found), score=found["share"], at=done - 1)
        if not run.going:
            break
        if frame and done < of:
            yield film.live(progress(run, done, of), link(view, knobs, sketch)), None
    if run.replaced or not found:
        return
    found |= {"first": ui.sketched(frame.x_0[0, 0]) if frame else None, "rho": knobs["guidance"]}
    what = "sketch" if view == SKETCH else "sentence"
    strange = f" {unread(knobs['prompt'])}".rstrip()
    verdict_in_words = summary(found, knobs["prompt"]) + by(knobs["judge"])
    text = f"{verdict_in_words}. {done} {knobs['sampler']} steps{run.took}.{strange}"
    if view == SKETCH and not ui.shortened(sketch):
        text += " The link cannot hold this sketch: it has too many colours."
    seen = "; ".join(reading(few_words(words)) for words in found["words"])
    many = "1 picture" if n == 1 else f"{n} pictures"
    alt = f"{many} of the {what} {knobs['prompt']!r} at {settings(knobs)}; {verdict_in_words}. Seen: {seen}."
    ended = ending(run, done, of, text)
    yield film.whole(ended, alt=alt, link=link(view, knobs, sketch), titles=titles(found)), found


def sweep(knobs: dict, run: ui.Run, sketch: str) -> Iterator[tuple[dict, dict | None]]:
    """rho by noise: a row for each rho, a column for each noise; all rows walk down from T together."""
    rows, of = [knobs | {"guidance": rho} for rho in RHOS], knobs["steps"]
    title = "The same noise in each column; ✗: words not as asked (point at a picture: its score and what is seen)"
    film = film_of(SWEEP, knobs, panels=[title], columns=COLUMNS, rows=[f"rho {r:g}" for r in RHOS], score="right")
    found = None
    for done, frame in enumerate(walk(rows, COLUMNS, pace=pace(run), both=False), 1):
        if frame:
            found = [verdict(frame, row, knobs["prompt"]) for row in range(len(rows))]
            wrong = [sum(right is False for _, right in words) for row in found for words in row["words"]]
            share = None if found[0]["share"] is None else float(np.mean([row["share"] for row in found]))
            pictures = frame.x_0.reshape(-1, SIDE, SIDE, 3)
            film.add(frame.t, pictures, captions=[f"✗{k}" if k else "" for k in wrong], score=share, at=done - 1)
        if not run.going:
            break
        if frame and done < of:
            yield film.live(progress(run, done, of), link(SWEEP, knobs)), None
    if run.replaced or not found:
        return
    notes = [summary(row, knobs["prompt"]) for row in found]
    rates = "; ".join(f"rho {rho:g}: {said}" for rho, said in zip(RHOS, notes, strict=True))
    alt = f"Pictures of {knobs['prompt']!r} from the same noise. {rates}."
    text = f"{len(RHOS)} x {COLUMNS} pictures, {done} {knobs['sampler']} steps{run.took}{by(knobs['judge'])}."
    for row, rho in zip(found, RHOS, strict=True):
        row["rho"] = rho
    each = [title for row in found for title in titles(row)]
    ended = ending(run, done, of, text)
    yield film.whole(ended, alt=alt, link=link(SWEEP, knobs), notes=notes, titles=each), {"rows": found}


def from_sketch(knobs: dict, run: ui.Run, sketch: str) -> Iterator[tuple[dict, dict | None]]:
    """The sketch is noised part of the way, and the noise removed again; what was rubbed out is painted anew."""
    drawn = ui.sketch(sketch)
    if not drawn or not drawn[1].any():
        yield ui.Film.message("Nothing is left of the sketch: paint something, or choose a field.", error=True), None
        return
    yield from watch(knobs, run, sketch, SKETCH)


VIEW = {WATCH: watch, SWEEP: sweep, SKETCH: from_sketch}


# -- the texts that follow the stage -----------------------------------------------------------------------------------


def mixed(view: str, rho: float, other: str) -> str:
    """eps*, in words and numbers."""
    if view == SWEEP:
        return f"(1 + ρ) × told − ρ × {other}"
    return f"{1 + rho:g} × told − {rho:g} × {other}" if rho else "as told"


def equation(view: str, knobs: dict, sketch: str) -> str:
    rho, negative = knobs["guidance"], ui.literal(knobs["negative"])
    start = "1000"
    if view == SKETCH and (drawn := ui.sketch(sketch)) and drawn[1].all():
        start = f"{1000 * knobs['strength']:g}, from the noised sketch"
    now = {
        "x": f"{SIDE} × {SIDE} pixels, three colours",
        r"q(z \mid x)": f"the encoder of {CODEC}",
        "z_0": "4 × 8 × 8 numbers, a 48th of the picture's",
        "s": f"{SHELF[LDM].config.scale:g}" if SHELF.ready(LDM) else "–",
        "z_t": "decoded under Watch, left" if view == SWEEP else "on the stage, left, decoded",
        r"\epsilon": f"from seed {knobs['seed']}",
        r"\epsilon_\theta": f"{LDM}, {'twice' if rho or view == SWEEP else 'once'} a step",
        "t": f'<span class="gl-now-t">0</span>, down from {start}',
        "y": ui.literal(knobs["prompt"]),
        "y'": negative or "nothing",
        r"\tau": f"a part of {LDM}",
        r"\rho": "**0, 1, 2, 4, 8**, a row each" if view == SWEEP else f"**{rho:g}**",
        r"\epsilon^*": mixed(view, rho, "the negative" if negative else "untold"),
        "D": CODEC,
        r"\hat{x}": f"on the stage{'' if view == SWEEP else ', right'}",
    }
    return ui.equation(FAMILY, "LatentDiffusion", now)


def python(view: str, knobs: dict, sketch: str) -> str:
    """Python that draws what is on the stage."""
    drawn = ui.sketch(sketch) if view == SKETCH else None
    rubbed = drawn is not None and not drawn[1].all()
    arguments = {
        "n": COLUMNS if view == SWEEP else knobs["n"],
        "prompts": repr(knobs["prompt"]),
        "negative_prompts": repr(knobs["negative"]),
        "guidance": "rho" if view == SWEEP else knobs["guidance"],
        "steps": knobs["steps"],
        "sampler": repr(knobs["sampler"]),
        "eta": knobs["eta"],
        "interval": (min(knobs["low"], knobs["high"]), max(knobs["low"], knobs["high"])),
        "rescale": knobs["rescale"],
        **(
            {}
            if drawn is None
            else {"image": "image"} | ({"mask": "mask"} if rubbed else {"strength": knobs["strength"]})
        ),
        "generator": f"torch.Generator().manual_seed({knobs['seed']})",
    }
    defaults = {"negative_prompts": "''", "steps": 30, "sampler": "'ddim'", "eta": 0.0, "interval": (0.0, 1.0)}
    call = ui.call_text("ldm.sample", arguments, defaults | {"rescale": 0.0})
    lines = ["import genlab", "import torch", "", f'ldm = genlab.from_pretrained("{LDM}", dtype=genlab.fast_dtype())']
    clip, theirs = f'clip = genlab.from_pretrained("{CLIP}")', knobs["judge"] != CLIP
    if theirs:
        lines[2:2] = ["", "from genlab.models.vision_language import OpenCLIP"]
        clip = f"clip = OpenCLIP.from_pretrained({knobs['judge']!r})"
    said = f"{arguments['n']} * [{knobs['prompt']!r}]"
    if drawn is not None and (packed := ui.shortened(sketch)):
        lines = [
            "import base64",
            "import zlib",
            "",
            *lines,
            f'rgba = zlib.decompress(base64.urlsafe_b64decode("{packed}=="))',
            "image, there = (torch.tensor(list(rgba)).reshape(64, 64, 4).movedim(-1, 0) / 255).split([3, 1])",
            *(["mask = there[0]  # what was rubbed out is painted anew"] if rubbed else []),
        ]
    elif drawn is not None:
        lines = [
            "import numpy as np",
            "from PIL import Image",
            "",
            *lines,
            'photo = Image.open("your picture").convert("RGB").resize((64, 64))  # too large to be written here',
            "image = torch.from_numpy(np.array(photo)).movedim(-1, 0) / 255",
            *(["mask = torch.ones(64, 64)  # 0 where you rubbed out"] if rubbed else []),
        ]
    if view == SWEEP:
        body = (f"    {line}" for line in f"images[rho] = {call}".splitlines())
        scores = f"scores = {{rho: clip.clip_score(images[rho].float(), {said}) for rho in images}}"
        return ui.python_text(*lines, "images = {}", f"for rho in {RHOS}:", *body, "", clip, scores)
    return ui.python_text(*lines, f"images = {call}", "", clip, f"scores = clip.clip_score(images.float(), {said})")


def card() -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Per cent drawn right over rho by (kind, "seen" or "held out"), from the model's card; nothing until measured."""
    curves = {}
    for entry in ui.measured(LDM, "drawn right"):
        at = entry.get("settings", {})
        if {"what", "rho"} <= at.keys() and "things" not in at:
            curves.setdefault((at["what"], at.get("pairs", "")), []).append((at["rho"], entry["value"]))
    return {key: sorted(curve) for key, curve in curves.items()}


def chart(points: list, rho: float) -> str:
    """What is drawn right over rho, a small chart a kind: the card's two curves, and this visitor's runs."""
    curves, minis = card(), []
    for kind in KINDS:
        lines = {pairs: curves.get((kind, pairs), []) for pairs in ("seen", "held out")}
        runs = [(at, 100 * right[kind][0] / right[kind][1]) for at, right in points if kind in right]
        if runs or any(lines.values()):
            minis.append(mini(kind, lines["seen"], lines["held out"], runs, rho))
    if not minis:
        body = "<p>Generate, and your run appears here.</p>"
    else:
        how = "Solid: pairs of colour and shape seen in training. Dashed: never seen. ● your runs, a few pictures each."
        if curves:
            how += " Beside each name: seen · never seen, at the rho nearest to yours."
        else:
            how = f"● your runs, a few pictures each. {LDM} is not measured yet: its curves come with its card."
        body = f'<p class="gl-note">{how}</p><div class="gl-minis">{"".join(minis)}</div>'
    return f"<h2>Which words come true (per cent, over rho)</h2>{body}"


def mini(kind: str, seen: list, unseen: list, runs: list, rho: float) -> str:
    """One small chart. Numbers beside its title: the card's at the rho nearest to the present one."""
    width, height, left, low = 160, 84, 26, 14

    def at(x: float, y: float) -> str:
        return f"{left + x / RHOS[-1] * (width - left - 6):.1f},{6 + (100 - y) / 100 * (height - low - 6):.1f}"

    def line(curve: list, name: str) -> str:
        return f'<polyline class="{name}" points="{" ".join(at(*point) for point in curve)}"/>' if curve else ""

    now = [min(curve, key=lambda point: abs(point[0] - rho))[1] for curve in (seen, unseen) if curve]
    said = " · ".join(f"{value:.0f}" for value in now)
    rules = "".join(
        f'<line x1="{left}" x2="{width - 6}" y1="{at(0, y).split(",")[1]}" y2="{at(0, y).split(",")[1]}"/>'
        f'<text x="{left - 4}" y="{float(at(0, y).split(",")[1]) + 4}" text-anchor="end">{y}</text>'
        for y in (0, 50, 100)
    )
    marks = "".join(
        f'<text x="{at(x, 0).split(",")[0]}" y="{height - 1}" text-anchor="middle">{x:g}</text>' for x in (0, 2, 4, 8)
    )
    here = at(rho, 0).split(",")[0]
    dots = "".join('<circle r="3.5" cx="{}" cy="{}"/>'.format(*at(*point).split(",")) for point in runs)
    curves = [f"{name} {', '.join(f'{y:.0f} % at rho {x:g}' for x, y in c)}" for name, c in
              (("seen in training:", seen), ("never seen:", unseen), ("your runs:", runs)) if c]  # fmt: skip
    return (
        f'<figure><figcaption>{kind}<span>{said}</span></figcaption><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{kind} drawn right. {escape("; ".join(curves))}">{rules}{marks}'
        f'<line class="gl-here" x1="{here}" x2="{here}" y1="6" y2="{height - low}"/>'
        f"{line(seen, 'gl-seen')}{line(unseen, 'gl-unseen')}{dots}</svg></figure>"
    )


def remember(points: list, found: dict) -> list:
    """The chart's points with those of one more run; the last five of them, one for each rho."""
    new = [[row["rho"], row["right"]] for row in found.get("rows", [found]) if row["right"]]
    return [*(p for p in points if p[0] not in [rho for rho, _ in new]), *new][-5:]


# -- the page ----------------------------------------------------------------------------------------------------------


def arrival() -> tuple[dict, np.ndarray]:
    """What is on the stage before the first click, computed from the weights: a film for each view; and the gallery's
    picture, a dozen sentences."""
    films = {}
    for view in VIEWS:
        *_, (film, found) = VIEW[view](KNOBS.defaults(), ui.Run(), BLOBS)
        films[view] = film | {"found": found}
    scenes = ui.part("data.scenes")
    rows = [KNOBS.defaults() | {"prompt": prompt} for prompt in scenes.captions(scenes.sample(12, 5))]
    pictures = [finished(ui.Run(), [row], 1)[0][0] for row in rows]
    return films, viz.tile(np.concatenate(pictures).transpose(0, 3, 1, 2), 6, gap=2, scale=2)


def controls(frame: ui.Frame) -> dict:
    """The controls column; the components by knob, the chips, the note under them, the lock of the seed."""
    made = {}
    words = {kind: WORLD.KINDS[kind] for kind in ("size", "texture", "shape")}
    words |= {"relation": WORLD.RELATIONS, "place": WORLD.PLACES}
    unseen = [f"{list(WORLD.COLOURS)[colour]} {WORLD.SHAPES[shape]}" for colour, shape in WORLD.HELD_OUT]
    with frame.controls:
        with frame.group("What"):
            made["prompt"] = KNOBS["prompt"].component(show_label=False, placeholder=PROMPT)
            made["chips"] = ui.assemble(chips(PROMPT), words, WORLD.COLOURS, WORLD.FIELDS, unseen, WORLD.MOST)
            made["note"] = gr.HTML("", apply_default_css=False, elem_classes="gl-noted")
        with frame.group("How"):
            for name in ("guidance", "steps"):
                made[name] = KNOBS[name].component()
            away = KNOBS["negative"]
            made["negative"] = away.component(show_label=False, placeholder=f"{away.label}, or nothing")
        with frame.group("Seed"), gr.Row(elem_classes="gl-seed"):
            made["seed"] = KNOBS["seed"].component(show_label=False, container=False, min_width=96)
            made["lock"] = gr.Checkbox(False, label="keep it", container=False, min_width=96)
        frame.buttons()
        with gr.Accordion("More", open=False):
            made["n"] = KNOBS["n"].component()
            made["sampler"] = KNOBS["sampler"].component(elem_classes="gl-chipset")
            for name in KNOBS:
                if name not in made and name not in ("strength", "judge"):
                    made[name] = KNOBS[name].component()
            made["judge"] = JUDGES.component(KNOBS["judge"].label)
    return made


def build() -> gr.Blocks:
    """The app: the lesson, and beside it a tab for other people's pipelines, where visitors may use one."""
    with (
        gr.Blocks(title=f"{TITLE} · genlab", analytics_enabled=False) as app,
        ui.page(TITLE, SUMMARY, FAMILY, models=MODELS),
    ):
        if pipeline_tab.offered():
            with gr.Tabs(elem_classes="gl-apps"):
                with gr.Tab("Our scenes"):
                    lesson(app)
                with gr.Tab("Any pipeline", elem_classes="gl-waits"):  # for the button
                    pipeline_tab.build_tab(app, endpoint="text_to_image_pipeline")
        else:
            lesson(app)
        endpoints()
    return app


def lesson(app: gr.Blocks) -> None:
    """The page's content and its events. Nothing is computed here: the stage shows what the weights drew before, and
    models load with the first page."""
    ready = json.loads(ARRIVAL.read_text(encoding="utf-8")) if ARRIVAL.is_file() else {}
    with ui.frame() as frame:
        made = controls(frame)
        with frame.stage:
            with gr.Tabs(elem_classes="gl-views") as tabs:
                with gr.Tab("Watch", id=WATCH) as first:
                    films = {WATCH: ui.film(ui.Film.still(ready.get(WATCH)))}
                with gr.Tab("Sweep rho", id=SWEEP) as second:
                    films[SWEEP] = ui.film(ui.Film.still(ready.get(SWEEP)))
                with gr.Tab("From a sketch", id=SKETCH) as third, gr.Row():
                    with gr.Column(scale=2, min_width=220):
                        pad = ui.palette(BLOBS, WORLD.COLOURS, WORLD.FIELDS, SIDE)
                        made["strength"] = KNOBS["strength"].component()
                        with gr.Row(elem_classes="gl-sources"):
                            upload = gr.UploadButton("Upload a picture", size="sm", min_width=96, elem_classes="gl-add")
                            take = gr.Button("Take picture 1", size="sm", min_width=96)
                        trouble = gr.HTML("", apply_default_css=False, elem_classes="gl-noted")  # with a file
                    with gr.Column(scale=5, min_width=300):
                        films[SKETCH] = ui.film(ui.Film.still(ready.get(SKETCH)))
            frame.suggest(TRY)
        with frame.below:
            with gr.Row(elem_classes="gl-two"):
                with gr.Column(min_width=320):
                    law = ui.markdown()
                with gr.Column(min_width=320):
                    rates = gr.HTML(apply_default_css=False)
            ui.markdown(NOTICE)
            with gr.Accordion("Python", open=False):
                code = ui.markdown()
            with gr.Accordion("Under the hood", open=False):
                source = ui.markdown()
            with gr.Accordion(f"Model card: {LDM}", open=False):
                about = ui.markdown()

    # Which view is open; none before the link has been read. Not a State, for it must change together with the knobs.
    view = gr.Textbox("", visible="hidden", label="view")
    runs_so_far = gr.State(remember([], ready[WATCH]["found"]) if ready else [])
    first_picture = gr.State(ready[WATCH]["found"]["first"] if ready else "")  # the last that was watched, as a sketch
    # what the film of each view shows: knobs, sketch, and whether it is READY, BEGUN or WHOLE
    on_stage = gr.State({name: [KNOBS.defaults(), BLOBS, READY] for name in ready})
    asked = gr.State(None)  # seed and sentence of the last Generate, which may not be on the stage yet
    knobs = [made[name] for name in KNOBS]
    heard = [made["chips"], made["note"]]  # what says how the sentence is understood

    def written(view, values, sketch, points):
        """The panels' texts for the run that is on the stage."""
        return {
            law: equation(view, values, sketch),
            rates: chart(points, values["guidance"]),
            code: python(view, values, sketch),
        }

    def restore(request: gr.Request):
        """The state that the link asks for."""
        query = dict(request.query_params)
        values = cleaned(query)
        try:
            JUDGES.permitted(values["judge"])
        except GenlabError:  # a link from where others may judge
            values["judge"] = CLIP
        at = query.get("view") if query.get("view") in VIEWS else WATCH
        sketch = ui.lengthened(query.get("sketch")) or BLOBS
        return *values.values(), chips(values["prompt"]), note(values["prompt"]), sketch, at, gr.Tabs(selected=at)

    def introduce():
        """What needs torch, and so comes after the page: the models, and the source of the equation."""
        SHELF.warm(lambda: [*walk([KNOBS.defaults() | {"steps": 5}], 2)])
        return ui.under_the_hood(FAMILY, "LatentDiffusion"), ui.card_text(LDM)

    def opened(name: str):
        """A view was opened; gradio says so of the first one too, as the page appears, which is to be ignored."""
        return lambda view: name if view else gr.skip()

    def refresh(request: gr.Request, view, sketch, points, showing, *values):
        """Run the view that is open, unless its film shows just that, or is about to."""
        values = cleaned(dict(zip(KNOBS, values, strict=True)))
        if view not in VIEWS or RUNS.going(request.session_hash, (view, values, sketch)):
            return
        if showing.get(view) in ([values, sketch, READY], [values, sketch, WHOLE]):
            came = showing[view][2] == READY  # of this film, the page itself brought the last picture only
            yield {films[view]: ready[view] if came else {"link": link(view, values, sketch)}}
            yield written(view, values, sketch, points)
            return
        yield from run(request, view, sketch, points, showing, *values.values())

    def run(request: gr.Request, view, sketch, points, showing, *values):
        """Run the view that is open, and stream it to its film."""
        if view not in VIEWS:
            return
        values, stage = cleaned(dict(zip(KNOBS, values, strict=True))), films[view]
        sketch = sketch if ui.sketch(sketch) else ""  # whatever a stranger sends
        present = RUNS.begin(request.session_hash, (view, values, sketch))
        yield {on_stage: showing | {view: [values, sketch, BEGUN]}}
        try:
            checked(values["prompt"]), checked_negative(values["negative"])
            values |= {"judge": JUDGES.permitted(values["judge"])}
            if not SHELF.ready(READER):
                yield {stage: ui.Film.message("Loading the models, a few seconds the first time.", wait=True)}
                SHELF[CLIP]
            for text in JUDGES.waiting(values["judge"], present):
                yield {stage: ui.Film.message(text, wait=True)}
            if present.ended == "stopped":
                yield {stage: ui.Film.message("Stopped.")}
            if present.ended:
                return
            for i, (shown, found) in enumerate(VIEW[view](values, present, sketch)):
                yield {stage: shown}
                if i == 0 and "message" not in shown:  # from here on the page is about this run
                    yield {law: equation(view, values, sketch), code: python(view, values, sketch)}
                if found:
                    if view != SKETCH and not present.ended:  # half a run is no measurement
                        points = remember(points, found)
                    showing = showing | {view: [values, sketch, WHOLE]}
                    out = {runs_so_far: points, on_stage: showing, **written(view, values, sketch, points)}
                    yield out | ({first_picture: found["first"]} if found.get("first") else {})
        except GenlabError as error:
            present.ended = present.ended or "error"  # asked again in the same way, it is tried again
            yield {stage: ui.Film.message(str(error), error=True)}

    def over(request: gr.Request):
        RUNS.end(request.session_hash)

    def moved(request: gr.Request):
        """A control moved, or was only touched: the present run ends at its next step, and the next one begins."""
        RUNS.end(request.session_hash, "replaced")

    def boxed(prompt):
        """The box holds what is drawn, at once, before somebody types on."""
        said = each_for_itself(prompt)
        return gr.skip() if said == prompt else said

    def asked_for(prompt, request: gr.Request):
        moved(request)
        return boxed(prompt)

    def fresh(seed, lock, prompt, view, showing, before, request: gr.Request):
        """Generate: another seed, unless it is kept, or it or the sentence was just typed: it is not the one on the
        stage, or on its way there."""
        moved(request)
        seed, said = KNOBS["seed"].clean(seed), each_for_itself(prompt)
        shown = [showing[view][0][name] for name in ("seed", "prompt")] if view in showing else [seed, said]
        typed = [seed, said] not in (shown, before)
        seed = seed if lock or typed else int(np.random.default_rng().integers(10_000))
        return seed, boxed(prompt), [seed, said]

    def pressed(value, request: gr.Request):
        """The chips write the sentence."""
        moved(request)
        prompt = sentence(ui.chosen(value, WORLD.MOST))
        return prompt, note(prompt)

    def typed(prompt):
        """Somebody types: how it is understood so far. Nothing is drawn before Enter."""
        said = each_for_itself(prompt)
        apart = f'<p class="gl-note">Drawn as: {escape(said)}</p>' if said != KNOBS["prompt"].clean(prompt) else ""
        return chips(said), apart + note(said)

    def suggestion(name, prompt, seed, n, judge, request: gr.Request):
        moved(request)
        try:
            prompt = checked(prompt)
        except GenlabError:  # nothing can be drawn of it: the lesson begins anew
            prompt = PROMPT
        kept = {"prompt": prompt, "seed": seed, "n": n, "judge": judge}
        changes = {knob: value(prompt) if callable(value) else value for knob, value in TRY[name].items()}
        values = cleaned(KNOBS.defaults() | kept | changes)
        return *values.values(), chips(values["prompt"]), note(values["prompt"])

    def sent(file, request: gr.Request):
        """A file as the sketch, or what is wrong with it."""
        try:
            if isinstance(file, list) and len(file) != 1:
                raise GenlabError(f"{len(file)} files are too many: one picture is the sketch.")
            file = file[0] if isinstance(file, list) else file
            sketch = ui.sketched(ui.resized(ui.read_picture(str(file), side=SIDE), SIDE))
        except GenlabError as error:
            return gr.skip(), f'<p class="gl-status gl-error" role="alert">{escape(str(error))}</p>'
        moved(request)
        return sketch, ""

    def taken(picture, sketch, request: gr.Request):
        moved(request)
        return picture or sketch, ""

    quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    sliders = [made[name].release for name, knob in KNOBS.items() if isinstance(knob, ui.Number) and not knob.box]
    entered = [made["prompt"].submit, made["negative"].submit, made["sampler"].input, made["judge"].input, pad.input]
    starts = [
        (refresh, gr.on([*sliders, *entered], asked_for, made["prompt"], made["prompt"], **quick)),
        (refresh, made["chips"].input(pressed, made["chips"], [made["prompt"], made["note"]], **quick)),
        (refresh, take.click(taken, [first_picture, pad], [pad, trouble], **quick)),
        (refresh, upload.upload(sent, upload, [pad, trouble], **quick)),
        (
            run,
            frame.generate.click(
                fresh,
                [made["seed"], made["lock"], made["prompt"], view, on_stage, asked],
                [made["seed"], made["prompt"], asked],
                trigger_mode="always_last",
                **quick,
            ),
        ),
        (run, frame.suggested(suggestion, [made[name] for name in ("prompt", "seed", "n", "judge")], [*knobs, *heard])),
    ]
    state = [view, pad, runs_so_far, on_stage, *knobs]
    shown = [*films.values(), runs_so_far, on_stage, first_picture, law, rates, code]
    queued = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
    queued |= {"concurrency_limit": 2, "concurrency_id": "text_to_image"}
    # The link names a view, and so does a tab: either way the change of view is what runs, once. No event that runs
    # nothing is queued beside it: as it ends, gradio closes the page's stream, now and then under the one that follows.
    app.load(restore, None, [*knobs, *heard, pad, view, tabs], **quick)
    for tab, name in ((first, WATCH), (second, SWEEP), (third, SKETCH)):
        tab.select(opened(name), view, view, **quick)
    view.change(refresh, state, shown, **queued)
    for function, start in starts:
        start.then(function, state, shown, **queued)
    # change, for input is silent when somebody pastes or deletes
    made["prompt"].change(typed, made["prompt"], heard, trigger_mode="always_last", **quick)
    frame.stop.click(over, js=ui.STOPPING, **quick)
    app.load(introduce, None, [source, about], **quick)


# -- endpoints: for programs, and as MCP tools -------------------------------------------------------------------------


def endpoints() -> None:
    """Name each model function for the API. Numbers are cleaned by the knobs; texts and pictures that cannot be used
    are refused with a sentence."""
    for function in (text_to_image, text_to_image_sweep, image_to_image):
        gr.api(function, api_name=function.__name__, concurrency_limit=2, concurrency_id="text_to_image")


def finished(run: ui.Run, rows: list[dict], n: int, sketch: str = "") -> tuple[np.ndarray, list[dict]]:
    """Pictures of each row of knobs as bytes (R, n, 64, 64, 3) and what was found, after all steps or when the run's
    time is over."""
    began, frame, found = run.elapsed, None, []
    for step, now in enumerate(walk(rows, n, sketch, pace=1.0, both=False), 1):  # noqa: B007 (the last is used)
        frame = now or frame
        if not run.going:
            break
    done = {"steps": step, "complete": step == rows[0]["steps"], "seconds": round(run.elapsed - began, 3)}
    for row, knobs in enumerate(rows):
        one = verdict(frame, row, knobs["prompt"])
        found.append(one | {"read": [reading(words) for words in one.pop("words")]} | done)
    return frame.x_0, found


def asked(sent: dict, run: ui.Run) -> dict:
    """The knobs that somebody sent, and who judges is loaded; or gradio's error with the sentence that says what is
    wrong."""
    try:
        texts = {"prompt": checked(sent["prompt"]), "negative": checked_negative(sent.get("negative_prompt"))}
        texts["judge"] = JUDGES.permitted(sent["judge"])
        for _ in JUDGES.waiting(texts["judge"], run):
            pass
    except GenlabError as error:
        raise gr.Error(str(error), print_exception=False) from error
    return cleaned(sent | texts)


def answer(pictures: np.ndarray, columns: int, knobs: dict, found: dict) -> tuple[dict, dict]:
    said = {"knobs": knobs, "unknown_words": WORLD.unknown(knobs["prompt"])}
    said["never_seen"] = WORLD.held_out(WORLD.understand(knobs["prompt"]))
    return ui.picture_file(viz.tile(pictures.transpose(0, 3, 1, 2), columns, gap=2, scale=2)), said | found


def text_to_image(
    prompt: str,
    guidance: float = 2.0,
    steps: int = 30,
    seed: int = 7,
    n: int = 4,
    negative_prompt: str = "",
    sampler: str = "ddim",
    eta: float = 0.0,
    low: float = 0.0,
    high: float = 1.0,
    rescale: float = 0.0,
    judge: str = "clip-scenes",
) -> tuple[gr.FileData, dict]:
    """Draw a sentence about coloured shapes with latent diffusion: a PNG of the pictures, 64 x 64 each and shown twice
    as large; for each its CLIPScore and what a network reads in it, ✗ before what is not as asked.

    Args:
        prompt: such as "a small dotted red star above a large green cross, on a pink field", at most 300 characters
        guidance: rho, 0 (none) to 8; the guidance_scale of diffusers is 1 + rho
        steps: 5 to 50
        seed: 0 to 2147483647; the same seed draws the same pictures
        n: how many, 1 to 8
        negative_prompt: what to keep away from
        sampler: "ddim", "ddpm", "dpm++" or "unipc"
        eta: for ddim, 0 (deterministic) to 1 (as random as ddpm)
        low: guidance acts from this share of the noise levels, 0 to 1
        high: guidance acts up to this share, 0 to 1
        rescale: 0 (off) to 1, brings the spread of the guided noise back to that of the conditional one
        judge: whose CLIPScore: "clip-scenes"; where the page allows it a name of open_clip, a Hub id or a folder
    """
    run = ui.Run(SECONDS)
    knobs = asked(locals(), run)
    (pictures,), (found,) = finished(run, [knobs], knobs["n"])
    return answer(pictures, 4, knobs, found)


def text_to_image_sweep(
    prompt: str,
    steps: int = 30,
    seed: int = 7,
    n: int = 4,
    negative_prompt: str = "",
    sampler: str = "ddim",
    judge: str = "clip-scenes",
) -> tuple[gr.FileData, dict]:
    """Draw a sentence from the same noises at rho 0, 1, 2, 4 and 8: a PNG with a row for each rho, and for each row
    CLIPScores and what a network reads in the pictures.

    Args:
        prompt: such as "a small dotted red star above a large green cross, on a pink field", at most 300 characters
        steps: 5 to 50
        seed: 0 to 2147483647
        n: how many in a row, 1 to 8
        negative_prompt: what to keep away from
        sampler: "ddim", "ddpm", "dpm++" or "unipc"
        judge: whose CLIPScore: "clip-scenes"; where the page allows it a name of open_clip, a Hub id or a folder
    """
    run = ui.Run(SECONDS)
    knobs = asked(locals(), run)
    pictures, found = finished(run, [knobs | {"guidance": rho} for rho in RHOS], knobs["n"])
    rows = [{"guidance": rho, **row} for rho, row in zip(RHOS, found, strict=True)]
    return answer(np.concatenate(pictures), knobs["n"], knobs, {"rows": rows})


def image_to_image(
    image: str,
    prompt: str,
    strength: float = 0.7,
    guidance: float = 2.0,
    steps: int = 30,
    seed: int = 7,
    n: int = 4,
    negative_prompt: str = "",
    keep: list[list[float]] | None = None,
    judge: str = "clip-scenes",
) -> tuple[gr.FileData, dict]:
    """Draw a sentence from a picture: noised part of the way and drawn anew, or kept where you say and painted anew
    elsewhere. A PNG of the pictures, their CLIPScores, and what a network reads in them.

    Args:
        image: a picture in base64 (PNG, JPEG, WEBP, GIF, BMP), cut to a square and brought to 64 x 64 pixels
        prompt: such as "a small dotted red star above a large green cross, on a pink field", at most 300 characters
        strength: 0.1 (hardly changed) to 1 (nothing is left of it); without effect where something is kept
        guidance: rho, 0 (none) to 8
        steps: 5 to 50
        seed: 0 to 2147483647
        n: how many, 1 to 8
        negative_prompt: what to keep away from
        keep: 64 rows of 64 numbers: what is above 0.5 stays as it is, the rest is painted anew
        judge: whose CLIPScore: "clip-scenes"; where the page allows it a name of open_clip, a Hub id or a folder
    """
    sent, run = locals(), ui.Run(SECONDS)
    try:
        picture = ui.resized(ui.sent_picture(image, "the image", SIDE), SIDE)
        there = None if keep is None else mask_of(keep)
    except GenlabError as error:
        raise gr.Error(str(error), print_exception=False) from error
    knobs = asked(sent, run)
    (pictures,), (found,) = finished(run, [knobs], knobs["n"], ui.sketched(picture, there))
    return answer(pictures, 4, knobs, found)


def mask_of(keep) -> np.ndarray:
    """Where a picture is kept, bool (64, 64). Raises GenlabError."""
    try:
        mask = np.nan_to_num(np.asarray(keep, dtype=float)) > 0.5
    except (TypeError, ValueError, OverflowError):
        mask = np.zeros(0)
    if mask.shape != (SIDE, SIDE) or not mask.any():
        raise GenlabError(f"keep is {SIDE} rows of {SIDE} numbers, some of them above 0.5: there the picture stays.")
    return mask
