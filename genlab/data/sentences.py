"""The words of `scenes`, and what sentences made of them mean: said, understood, and held against what is seen.

    said = understand("a large red circle left of a square, on a green field")
    say(said)                    the same in the very words of `scenes.captions`
    unknown("a crimson ball")    ["crimson", "ball"], and near("crimson") is ["red"]
    one_by_one("two stars")      "a star and a star", as captions have it
    judged(said, seen)           what is seen in words, each right, wrong or not asked

Plain Python, so that a page can speak before torch is there.
"""

import itertools
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
COLOURS = {
    "red": (214, 48, 49),
    "orange": (240, 132, 36),
    "yellow": (246, 206, 46),
    "green": (46, 150, 74),
    "blue": (44, 96, 204),
    "purple": (126, 66, 172),
    "brown": (122, 76, 44),
    "black": (38, 40, 46),
}
TEXTURES = ("plain", "striped", "dotted")
SIZES = {"small": 0.095, "large": 0.15}  # radius, in widths of the picture
FIELDS = {  # backgrounds, pale: each colour stands out before each
    "white": (250, 249, 246),
    "grey": (208, 212, 218),
    "green": (205, 232, 200),
    "blue": (198, 222, 246),
    "yellow": (250, 238, 188),
    "pink": (250, 212, 220),
}
PLACES = (
    "in the top left",
    "at the top",
    "in the top right",
    "on the left",
    "in the middle",
    "on the right",
    "in the bottom left",
    "at the bottom",
    "in the bottom right",
)  # cells of a 3 x 3 grid, row by row
RELATIONS = ("left of", "right of", "above", "below")
OTHER_WORDS = {
    "small": ("small", "little", "tiny"),
    "large": ("large", "big"),
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
    "field": ("field", "background"),
    "striped": ("striped", "stripy"),
    "dotted": ("dotted", "spotted"),
}
MOST = 3  # things in a scene
CLOSE = 0.7  # of difflib's ratio: "squar" is close to square, but "two" (0.67) not to top
# One pair a colour; each shape is in one or two, so all shapes and all colours are well known from elsewhere.
HELD_OUT = tuple((colour, (2 * colour + colour // 3 + 1) % len(SHAPES)) for colour in range(len(COLOURS)))
FILLERS = tuple("a an and in at on the of to ,".split())
NEAREST = {  # what people write, and what the world has
    "red": "crimson scarlet ruby cherry",
    "orange": "amber apricot",
    "yellow": "gold golden lemon",
    "green": "emerald lime olive",
    "blue": "navy azure cyan turquoise",
    "purple": "violet lilac magenta indigo",
    "brown": "beige chocolate wooden",
    "black": "dark",
    "grey": "gray silver",
    "pink": "rose salmon",
    "circle": "ball disc disk dot round sun moon sphere",
    "square": "box cube block rectangle house",
    "triangle": "pyramid cone wedge",
    "cross": "plus x",
    "small": "mini short",
    "large": "huge giant great enormous",
    "striped": "stripes lines lined",
    "dotted": "dots spots polka",
    "plain": "solid filled",
    "middle": "centre center",
    "left": "beside near next",
    "field": "ground sky backdrop",
}


def vocabulary() -> tuple[str, ...]:
    """Every word of every caption, in the order of the alphabet, and the comma."""
    others = sum(OTHER_WORDS.values(), ())
    spoken = [*SHAPES, *COLOURS, *TEXTURES, *SIZES, *FIELDS, "field", *RELATIONS, *PLACES, *others]
    return tuple(sorted({*FILLERS, *" ".join(spoken).split()}))


def unknown(text: str) -> list[str]:
    """The words that are in no caption, each once, as they are written; as `genlab.words.unknown`, without torch."""
    words = set(vocabulary())
    text = _unpunctuated(text, kept=words)
    return list(dict.fromkeys(word for word in re.findall(r"\w+|[^\w\s]+", text) if word.lower() not in words))


def _unpunctuated(text: str, kept: Collection[str] = ()) -> str:
    """Punctuation is passed over, but for what is kept; _ is none here, for it joins words."""
    return "".join(" " if unicodedata.category(c)[0] == "P" and c not in (*kept, "_") else c for c in text)


def near(word: str) -> list[str]:
    """One or two words of the world that a stranger's word may mean; none if nothing is near."""
    word = word.lower()
    forms = {word, word.removesuffix("s"), word.removesuffix("es")}
    meant = [known for known, others in NEAREST.items() if not forms.isdisjoint(others.split())]
    close = [w for w in vocabulary() if w not in FILLERS]
    return meant or get_close_matches(word, close, n=2, cutoff=CLOSE)


# -- what a sentence says ----------------------------------------------------------------------------------------------

ATTRIBUTES = ("size", "texture", "colour", "shape")  # as they are said
LIKENESS = {"shape": 4, "colour": 4, "texture": 1, "size": 1}  # in telling which thing is which


@dataclass(frozen=True)
class Thing:
    """A thing in words; "" is not said. One without a word for its texture is plain."""

    shape: str
    colour: str = ""
    texture: str = "plain"
    size: str = ""
    place: str = ""


@dataclass(frozen=True)
class Said:
    """What a sentence asks for. relations: (first, "left of", second), by the things' numbers."""

    things: tuple[Thing, ...] = ()
    relations: tuple[tuple[int, str, int], ...] = ()
    field: str = ""


@dataclass(frozen=True)
class Seen:
    """What is in a picture: things by their cells, and the field."""

    things: tuple[tuple[int, Thing], ...]
    field: str


def _plain(word: str) -> str:
    return next((plain for plain, others in OTHER_WORDS.items() if word in others), word)


def _any(words) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


KINDS = {"size": tuple(SIZES), "texture": TEXTURES, "colour": tuple(COLOURS), "shape": SHAPES}
SPOKEN = {kind: [o for word in words for o in OTHER_WORDS.get(word, (word,))] for kind, words in KINDS.items()}
PART = re.compile(
    rf"\b(?P<field>{_any(FIELDS)}) (?:{_any(OTHER_WORDS['field'])})\b"
    rf"|\b(?P<relation>{_any(o for word in RELATIONS for o in OTHER_WORDS[word])})\b"
    rf"|\b(?P<place>{_any(PLACES)})\b(?! of (?:a|an|the) (?:{_any(w for s in SPOKEN.values() for w in s)}))"
    + "".join(rf"|\b(?P<{k}>{_any(w)})\b" for k, w in SPOKEN.items())
)


NUMBERS = ("one", "two", "three")
LIKE = {*SPOKEN["size"], *SPOKEN["texture"], *SPOKEN["colour"], *FIELDS}  # what may be said of a thing, rightly or not
SEVERAL = re.compile(
    rf"(?:(?<=^)|(?<=\s))(?:(?:the|some)\s+)?(?:(?P<number>{_any(NUMBERS)}|[123])\s+)?"
    rf"(?P<words>(?:(?:{_any(LIKE)})(?:,\s*|\s+)){{0,3}})"
    rf"(?P<shape>{_any(SPOKEN['shape'])})(?P<many>e?s)?\b",
    re.IGNORECASE,
)
ANOTHER = re.compile(  # what stands before a thing, where all of it can be read
    rf"[.;:]$|\b(?:{_any(o for word in RELATIONS for o in OTHER_WORDS[word])})$"
    rf"|\b(?:(?:{_any(SPOKEN['shape'])})(?:e?s)?|{_any(PLACES)}|{_any(OTHER_WORDS['field'])})(?:,|,?\s+and)$",
    re.IGNORECASE,
)


LINKS = re.compile(  # what captions do without
    r"(?<!\S)(?:there\s+(?:is|are)|(?:(?:that|which)\s+)?(?:is|are)"
    rf"(?=\s+(?:{_any((*(o for word in RELATIONS for o in OTHER_WORDS[word]), *PLACES, 'on a', 'on an'))})\b))\s+",
    re.IGNORECASE,
)


def one_by_one(text: str) -> str:
    """Each thing for itself, as captions have it: "two red circles" are "a red circle and a red circle". How many "red
    circles" are is not said: two. "there is" is left out, and "is" before where a thing is. All else stays as it is,
    "six circles" too: three are the most in a picture."""
    text = LINKS.sub("", text)
    if re.search(r"\b(?:no|not|without)\b", text, re.IGNORECASE):
        return text

    def each(found: re.Match) -> str:
        number, before = (found["number"] or "").lower(), text[max(0, found.start() - 40) : found.start()].rstrip()
        count = NUMBERS.index(number) + 1 if number in NUMBERS else int(number or 1 + bool(found["many"]))
        agrees = (count > 1) == bool(found["many"]) and (number or count > 1)
        if not agrees or (before and not ANOTHER.search(before)):
            return found[0]
        thing = found["words"] + found["shape"]
        first, *more = [f"{article(thing)} {thing}"] * count
        return first + "".join(f"{' and' if k == 0 else ','} {other}" for k, other in enumerate(more))

    return SEVERAL.sub(each, text)


def uncounted(text: str) -> list[str]:
    """The plurals of things that `one_by_one` leaves as they are: of "seven circles" ["circles"]."""
    return re.findall(rf"\b(?:{_any(SPOKEN['shape'])})e?s\b", one_by_one(text), re.IGNORECASE)


MISPLACED = re.compile(
    rf"\b({_any(set(FIELDS) - set(COLOURS))})\s+(?:(?:{_any(SPOKEN['size'] + SPOKEN['texture'])})\s+)*"
    rf"({_any(SPOKEN['shape'])})\b"
    rf"|\b({_any(set(COLOURS) - set(FIELDS))})\s+({_any(OTHER_WORDS['field'])})\b",
    re.IGNORECASE,
)


def misplaced(text: str) -> list[tuple[str, str]]:
    """Colours of things that fields alone have, and the other way round: of "a pink star on a red field" [("pink",
    "star"), ("red", "field")]."""
    return [(found[1] or found[3], found[2] or found[4]) for found in MISPLACED.finditer(text)]


def one_word_other(text: str) -> str:
    """The sentence with one word exchanged: of its relation, or the first thing's colour; as it is without either."""
    for pair in (RELATIONS[:2], RELATIONS[2:]):
        for word, other in (pair, pair[::-1]):
            if re.search(rf"\b{word}\b", text):
                return re.sub(rf"\b{word}\b", other, text, count=1)
    found = re.search(rf"\b(?:{_any(COLOURS)})\b(?!\s+(?:{_any(OTHER_WORDS['field'])}))", text)  # a field has its own
    if not found:
        return text
    colours = [*COLOURS]
    return text[: found.start()] + colours[(colours.index(found[0]) + 3) % len(colours)] + text[found.end() :]


def understand(text: str) -> Said:
    """What a text says in the world's words, synonyms included; what else it says is passed over."""
    things, relations, field, pending, waiting = [], [], "", {}, None
    for found in PART.finditer(" ".join(_unpunctuated(text.lower(), kept=",").split())):
        kind, word = found.lastgroup, _plain(found[0])
        if kind == "field":
            field = found["field"]
        elif kind == "relation":
            waiting, pending = (len(things) - 1, word) if things else None, {}
        elif kind == "place":
            if things:
                things[-1] = replace(things[-1], place=word)
        elif kind == "shape":
            things.append(Thing(word, **pending))
            relations += [(*waiting, len(things) - 1)] if waiting else []
            pending, waiting = {}, None
        else:
            pending[kind] = word
    return Said(tuple(things), tuple(relations), field)


def say(said: Said) -> str:
    """The sentence, in the words and the order of `scenes.captions`; what is not said is left out."""
    relation = {first: word for first, word, _ in said.relations}
    text = ""
    for number, thing in enumerate(said.things):
        if number:
            text += f" {relation[number - 1]} " if number - 1 in relation else " and " if number == 1 else ", "
        words = [thing.size, "" if thing.texture == "plain" else thing.texture, thing.colour, thing.shape]
        text += " ".join([article(next(filter(None, words))), *filter(None, words)])
        text += f" {thing.place}" if thing.place else ""
    return text + (f"{', ' * bool(text)}on a {said.field} field" if said.field else "")


def article(word: str) -> str:
    return "an" if word[0] in "aeiouAEIOU" else "a"


def held_out(said: Said) -> list[str]:
    """The pairs of colour and shape that no picture of the training set shows: "red square"."""
    pairs = [f"{list(COLOURS)[colour]} {SHAPES[shape]}" for colour, shape in HELD_OUT]
    return list(dict.fromkeys(pair for t in said.things if (pair := f"{t.colour} {t.shape}") in pairs))


# -- what is seen, against what was said -------------------------------------------------------------------------------


def seen(things: Sequence[Sequence[int]], field: int) -> Seen:
    """What a reader says of a picture, in words. things: of each cell the shape, -1 for none, colour, texture, size."""
    colours, sizes, fields = list(COLOURS), list(SIZES), list(FIELDS)
    found = [
        (cell, Thing(SHAPES[shape], colours[colour], TEXTURES[texture], sizes[size], PLACES[cell]))
        for cell, (shape, colour, texture, size) in enumerate(things)
        if shape >= 0
    ]
    return Seen(tuple(found), fields[field])


def between(a: int, b: int) -> str:
    """How cell a lies to cell b, by the longer way; "" where across and down are as far."""
    x, y = a % 3 - b % 3, a // 3 - b // 3
    if abs(x) == abs(y):
        return ""
    return RELATIONS[(x > 0) if abs(x) > abs(y) else 2 + (y > 0)]


def judged(said: Said, there: Seen) -> tuple[list[tuple[str, bool | None]], dict[str, tuple[int, int]]]:
    """What is seen in words, each right, wrong (False), or not asked for (None); and by what was asked (ATTRIBUTES,
    "place", "relation", "field", "count") how often it was drawn right, of how often.

    A thing that is seen is taken for the one asked for that it resembles most; where several are alike, for the one
    whose place fits. If the sentence names no thing that is known, there is nothing to hold the things against.
    """
    match, words, counts = _matched(said, there), [], {}

    def check(kind: str, asked: str, got: str, show: str = "") -> None:
        right = got == asked if asked else None
        if asked:
            good, of = counts.get(kind, (0, 0))
            counts[kind] = (good + bool(right), of + 1)
        if show:
            words.append((show, right))

    relations = {first: (word, second) for first, word, second in said.relations}
    for number, thing in enumerate(said.things):
        cell, drawn = match[number] or (-1, Thing("", texture=""))
        if number and number - 1 not in relations:
            words.append(("and", None))
        for kind in ATTRIBUTES:
            asked, got = getattr(thing, kind), getattr(drawn, kind)
            check(kind, asked, got, "" if got == asked == "plain" else got)
        if cell < 0:
            words.append((f"no {say(Said((replace(thing, place='', size='', texture='plain'),)))[2:].strip()}", False))
        if thing.place:
            check("place", thing.place, drawn.place, drawn.place)
        if number in relations:
            asked, other = relations[number][0], match[relations[number][1]]
            both = bool(cell >= 0 and other)
            got = between(cell, other[0]) if both else ""
            check("relation", asked, got, got or "askew of" * both)
            words += [] if both else [("and", None)]
    used = {cell for cell, _ in filter(None, match)}
    for cell, drawn in there.things:
        if cell not in used:
            text = " ".join(w for w in (drawn.size, drawn.texture, drawn.colour, drawn.shape) if w != "plain")
            words.append((f"and {text}" if words else text, False if said.things else None))
    if said.things:
        counts["count"] = (int(len(there.things) == len(said.things)), 1)
    check("field", said.field, there.field, f"on {there.field}")
    return words, counts


def _matched(said: Said, there: Seen) -> list[tuple[int, Thing] | None]:
    """For each thing asked for the one that was drawn for it, or None."""

    def alike(thing: Thing, drawn: tuple[int, Thing] | None) -> int:
        same = (k for k in LIKENESS if drawn and getattr(drawn[1], k) == getattr(thing, k) != "")
        return sum(LIKENESS[k] for k in same) + bool(drawn)

    def fits(match: Sequence) -> tuple[int, int]:
        likeness = sum(map(alike, said.things, match))
        placed = sum(bool(d) and d[1].place == t.place for t, d in zip(said.things, match, strict=True))
        lies = sum(
            bool(match[a] and match[b]) and between(match[a][0], match[b][0]) == word for a, word, b in said.relations
        )
        return likeness, placed + lies

    drawn, k = list(there.things), len(said.things)
    if k <= MOST:
        every = itertools.permutations(drawn + [None] * max(0, k - len(drawn)), k)
        return list(max(every, key=fits)) if k else []
    match: list = [None] * k  # more than a scene holds: whoever fits best comes first
    for _, number, one in sorted(
        ((alike(t, d), i, d) for i, t in enumerate(said.things) for d in drawn), key=lambda found: -found[0]
    ):
        if match[number] is None and one not in match:
            match[number] = one
    return match
