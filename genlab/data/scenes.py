"""Scenes: a made-up world of coloured shapes, with what is in each picture said exactly and in words.

    scenes = sample(1_000, seed=0)           one to three things each: shape, colour, texture, size, place; background
    draw(scenes)                             (1000, 3, 64, 64) uint8, anti-aliased, at any size
    captions(scenes)                         "a small striped red circle left of a large blue square, on a green field"
    paraphrases(scenes, seed=0)              the same in other words, or with less said; never anything untrue
    negatives(scenes, seed=0)                the caption with one word changed, so that it is wrong
    contrasts(scenes, seed=0)                paraphrases, each with its own negative
    glimpses(scenes, seed=0)                 a little of it, "a heart above a square", each with its own negative
    single(1_000, seed=0)                    one plain thing each, anywhere and of any size: a world of six factors

Nothing is read from disk. Some pairs of colour and shape, HELD_OUT, are in no scene of the split "train"; "held_out"
has one in each scene, and asks whether a model puts together what it knows from elsewhere.
"""

import itertools
import math
import numbers
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from genlab.data.sentences import (
    COLOURS,
    FIELDS,
    HELD_OUT,
    MOST,
    OTHER_WORDS,
    PLACES,
    RELATIONS,
    SHAPES,
    SIZES,
    TEXTURES,
    Said,
    Thing,
    article,
    understand,
)
from genlab.data.sentences import vocabulary as vocabulary

SPLITS = ("train", "held_out", "any")
FIRST, APART = 0.19, 0.31  # centres of cells, in widths of the picture
SHAKEN, SWOLLEN = 0.015, 0.06  # what a jitter of 1 does: to the centre in widths, to the radius in parts of it


@dataclass(frozen=True)
class Scenes:
    """N scenes. Of things that are not there the shape is -1; those that are come first."""

    shape: Int[Tensor, "N 3"]
    colour: Int[Tensor, "N 3"]
    texture: Int[Tensor, "N 3"]
    size: Int[Tensor, "N 3"]
    cell: Int[Tensor, "N 3"]  # of PLACES
    field: Int[Tensor, " N"]
    jitter: Float[Tensor, "N 3 4"]  # to the right, down, of the radius, of the angle; from `sample` each in [-1, 1]

    def __len__(self) -> int:
        return len(self.field)

    def __getitem__(self, rows) -> "Scenes":
        """Some of them: a slice, a list of indices or a mask; or one, which still is Scenes."""
        rows = [int(rows)] if isinstance(rows, numbers.Integral) else rows
        return Scenes(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @property
    def count(self) -> Int[Tensor, " N"]:
        return (self.shape >= 0).sum(dim=1)

    @property
    def centre(self) -> Float[Tensor, "N 3 2"]:
        """x and y of each thing, in widths of the picture."""
        grid = torch.stack([self.cell % 3, self.cell // 3], dim=-1)
        return FIRST + APART * grid + SHAKEN * self.jitter[..., :2]

    @property
    def radius(self) -> Float[Tensor, "N 3"]:
        return torch.tensor(list(SIZES.values()))[self.size] * (1 + SWOLLEN * self.jitter[..., 2])

    @property
    def relation(self) -> Int[Tensor, " N"]:
        """Of the first thing to the second, as RELATIONS; -1 where there is but one, or across and down are as far."""
        return torch.where(self.count > 1, between(self.cell[:, 0], self.cell[:, 1]), -1)


def between(a: Int[Tensor, "..."], b: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """How cell a lies to cell b, as RELATIONS, by the longer way; -1 where across and down are as far."""
    x, y = a % 3 - b % 3, a // 3 - b // 3
    sideways = torch.where(x < 0, 0, 1)
    upright = torch.where(y < 0, 2, 3)
    return torch.where(x.abs() == y.abs(), -1, torch.where(x.abs() > y.abs(), sideways, upright))


# -- what there is -----------------------------------------------------------------------------------------------------


def sample(n: int, seed: int | torch.Generator = 0, *, split: str = "train", most: int = MOST) -> Scenes:
    """n scenes of one to `most` things, each number as often, all else uniform and independent, but for this:
    the first two lie so that one relation holds between them, and the split decides about HELD_OUT. Raises ValueError.
    """
    if split not in SPLITS:
        raise ValueError(f"scenes have the splits {', '.join(SPLITS)}, not {split!r}")
    if most not in range(1, MOST + 1):
        raise ValueError(f"a scene has 1 to {MOST} things, not {most!r}")
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        raise ValueError(f"a number of scenes is whole and not negative: {n!r}")
    if not isinstance(seed, int | torch.Generator):
        raise ValueError(f"a seed is a whole number or a torch.Generator, not {seed!r}")
    rng = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)

    def among(k: int, *shape: int) -> Tensor:
        return torch.randint(k, shape, generator=rng)

    count = 1 + among(most, n)
    pairs = torch.tensor([(c, s) for c in range(len(COLOURS)) for s in range(len(SHAPES)) if (c, s) not in HELD_OUT])
    if split == "any":
        colour, shape = among(len(COLOURS), n, MOST), among(len(SHAPES), n, MOST)
    else:
        colour, shape = pairs[among(len(pairs), n, MOST)].unbind(-1)
    if split == "held_out":  # one of the things, any of them
        where, which = (torch.rand(n, generator=rng) * count).long()[:, None], among(len(HELD_OUT), n)
        new_colour, new_shape = torch.tensor(HELD_OUT)[which].unbind(-1)
        colour, shape = colour.scatter(1, where, new_colour[:, None]), shape.scatter(1, where, new_shape[:, None])
    cell = LAYOUTS[among(len(LAYOUTS), n)]
    cell[:, 0] = torch.where(count == 1, among(len(PLACES), n), cell[:, 0])  # one alone may be anywhere, as often
    return Scenes(
        shape=shape.masked_fill(torch.arange(MOST) >= count[:, None], -1),
        colour=colour,
        texture=among(len(TEXTURES), n, MOST),
        size=among(len(SIZES), n, MOST),
        cell=cell,
        field=among(len(FIELDS), n),
        jitter=2 * torch.rand(n, MOST, 4, generator=rng) - 1,
    )


FACTORS = ("across", "down", "size", "shape", "colour", "field")


def single(n: int, seed: int | torch.Generator = 0) -> Scenes:
    """n scenes of one plain thing each, of any shape and colour, its centre anywhere in the middle 0.6 x 0.6 of the
    picture and its radius anything from small to large: a world of six independent factors. Cell and size are the
    nearest ones, so that captions hold. Raises ValueError."""
    rng = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
    some = sample(n, rng, split="any", most=1)
    small, large = SIZES.values()
    at = 0.2 + 0.6 * torch.rand(n, 2, generator=rng)
    radius = small + (large - small) * torch.rand(n, generator=rng)
    grid = ((at - FIRST) / APART).round()
    size = (radius > (small + large) / 2).long()
    jitter = some.jitter.clone()
    jitter[:, 0, :2] = (at - FIRST - APART * grid) / SHAKEN
    jitter[:, 0, 2] = (radius / torch.tensor([small, large])[size] - 1) / SWOLLEN
    cell, sizes = some.cell.clone(), some.size.clone()
    cell[:, 0], sizes[:, 0] = (grid[:, 0] + 3 * grid[:, 1]).long(), size
    return replace(some, cell=cell, size=sizes, jitter=jitter, texture=torch.zeros_like(some.texture))


def factors(scenes: Scenes) -> Int[Tensor, "N 6"]:
    """What FACTORS names of the first thing of each scene; of what is continuous, which of six equal parts it is in."""
    small, large = SIZES.values()
    at, radius = scenes.centre[:, 0], scenes.radius[:, 0]
    shares = torch.cat([(at - 0.2) / 0.6, (radius[:, None] - small) / (large - small)], dim=1)
    parts = (6 * shares).long().clamp(0, 5)
    said = torch.stack([scenes.shape[:, 0], scenes.colour[:, 0], scenes.field], dim=1)
    return torch.cat([parts, said], dim=1)


def _layouts() -> Int[Tensor, "L 3"]:
    """Every three different cells of which the first two are in a relation."""
    a, b, c = torch.cartesian_prod(*3 * [torch.arange(9)]).unbind(1)
    return torch.stack([a, b, c], dim=1)[(between(a, b) >= 0) & (a != c) & (b != c)]


LAYOUTS = _layouts()


def joined(*parts: Scenes) -> Scenes:
    """The scenes of all parts, one after another."""
    return Scenes(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Scenes)})


# -- drawing -----------------------------------------------------------------------------------------------------------

ROTATED = math.radians(8)  # at most: a cross stays a cross
RIM = 0.13  # radii: about a pixel of 64
WINDOW = 0.19  # half the side of the square in which a thing is drawn; no thing is larger


def draw(scenes: Scenes, size: int = 64) -> UInt8[Tensor, "N 3 size size"]:
    """The pictures. Edges are as soft as a pixel; the first thing is drawn last. Raises ValueError."""
    if not isinstance(size, int) or not 8 <= size <= 1024:
        raise ValueError(f"a picture is 8 to 1024 pixels wide, not {size!r}")
    fields_ = torch.tensor(list(FIELDS.values()), dtype=torch.float32)[scenes.field]
    shade = torch.linspace(1.015, 0.97, size)  # a little darker below
    canvas = (fields_[:, :, None, None] * shade[:, None]).clamp(max=255).expand(-1, -1, -1, size)
    canvas = canvas.permute(0, 2, 3, 1).contiguous().view(-1, 3)  # (N size size, 3)
    for k in reversed(range(MOST)):
        there = (scenes.shape[:, k] >= 0).nonzero()[:, 0]
        for some in there.split(512):
            _paint(canvas, scenes, some, k, size)
    return canvas.view(-1, size, size, 3).permute(0, 3, 1, 2).round().to(torch.uint8)


def _paint(canvas: Float[Tensor, "P 3"], scenes: Scenes, rows: Int[Tensor, " n"], k: int, size: int) -> None:
    """The k-th thing of some scenes, over what is there."""
    side = min(size, 2 * math.ceil(WINDOW * size))
    centre, radius = scenes.centre[rows, k], scenes.radius[rows, k]
    corner = (centre * size - side / 2).round().long().clamp(0, size - side)
    pixel = torch.arange(side)
    at = (corner[:, None] + pixel[:, None]).float()  # (n, side, 2): column and row
    at = (at + 0.5 - centre[:, None] * size) / (radius[:, None, None] * size)  # in radii from the centre
    angle = ROTATED * scenes.jitter[rows, k, 3]
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    x, y = at[:, None, :, 0], at[:, :, None, 1]
    x, y = cos * x + sin * y, cos * y - sin * x
    soft = (radius * size)[:, None, None]  # pixels in a radius
    distance = torch.empty_like(x)
    for number, name in enumerate(SHAPES):
        mine = scenes.shape[rows, k] == number
        distance[mine] = DISTANCE[name](x[mine], y[mine])
    cover = (0.5 - soft * distance).clamp(0, 1)
    rim = (0.5 + soft * (distance + RIM)).clamp(0, 1)  # a darker line along the edge
    light = torch.zeros_like(x)  # how pale the texture makes it
    for number, texture in enumerate(TEXTURES):
        if texture != "plain":
            mine = scenes.texture[rows, k] == number
            light[mine] = (0.5 + soft[mine] * PALE[texture](x[mine], y[mine])).clamp(0, 1)
    colour = torch.tensor(list(COLOURS.values()), dtype=torch.float32)[scenes.colour[rows, k]][:, None, None]
    paint = colour + (0.72 * light * (1 - rim))[..., None] * (255 - colour)
    paint = paint * (1 - 0.3 * rim)[..., None]
    index = (rows[:, None] * size + corner[:, 1:] + pixel)[:, :, None] * size + (corner[:, :1] + pixel)[:, None]
    index = index.flatten()
    behind = canvas[index]
    canvas[index] = behind + cover.reshape(-1, 1) * (paint.reshape(-1, 3) - behind)


def _circle(x: Tensor, y: Tensor) -> Tensor:
    return (x.square() + y.square()).sqrt() - 0.95


def _square(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 0.82


def _triangle(x: Tensor, y: Tensor) -> Tensor:
    """Three half-planes; y points down."""
    y = y - 0.12
    return torch.maximum(y, 0.866 * x.abs() - 0.5 * y) - 0.56


def _star(x: Tensor, y: Tensor) -> Tensor:
    """Folded onto a tenth of it, half a point, where the edge is a line."""
    sector = math.tau / 5
    angle = torch.atan2(x, -y)  # from the top
    angle = (angle - sector * (angle / sector).round()).abs()
    r = (x.square() + y.square()).sqrt()
    u, v = r * angle.cos(), r * angle.sin()  # a point at (1.08, 0), the notch at 0.46 (cos, sin)(sector / 2)
    (tip, a), b = (1.08, 0.46 * math.cos(sector / 2)), 0.46 * math.sin(sector / 2)
    length = math.hypot(tip - a, b)
    return ((u - tip) * b + v * (tip - a)) / length


def _heart(x: Tensor, y: Tensor) -> Tensor:
    """Two discs and the square between them, on its corner."""
    x, y = x.abs(), -y + 0.02
    discs = ((x - 0.46).square() + (y - 0.36).square()).sqrt() - 0.52
    point = torch.maximum(0.7071 * (x - y) - 0.63, torch.maximum(y - 0.37, x - 0.95))
    return torch.minimum(discs, point)


def _cross(x: Tensor, y: Tensor) -> Tensor:
    x, y = x.abs(), y.abs()
    return torch.maximum(torch.maximum(x, y) - 0.95, torch.minimum(x, y) - 0.33)


def _stripes(x: Tensor, y: Tensor) -> Tensor:
    """Positive within them, and how far from their edge; half of the thing is stripes."""
    u = 0.7071 * (x + y) / PERIOD
    return PERIOD * (0.25 - (u - u.round()).abs())


def _dots(x: Tensor, y: Tensor) -> Tensor:
    """A square lattice of discs, on its corner."""
    u, v = 0.7071 * (x + y) / PERIOD, 0.7071 * (x - y) / PERIOD
    return PERIOD * (0.31 - ((u - u.round()).square() + (v - v.round()).square()).sqrt())


PERIOD = 0.54  # radii
# About how far outside its outline a point is, negative within; x to the right, y down, in radii
DISTANCE = dict(zip(SHAPES, (_circle, _square, _triangle, _star, _heart, _cross), strict=True))
PALE = {"striped": _stripes, "dotted": _dots}


# -- words -------------------------------------------------------------------------------------------------------------

KINDS = ("shape", "colour", "texture", "size", "relation", "place", "field")  # of words, and of mistakes
OPPOSITE = {
    "relation": {"left": "right", "above": "below", "over": "under"},
    "place": {"left": "right", "top": "bottom"},
}
OPPOSITE = {kind: pairs | {b: a for a, b in pairs.items()} for kind, pairs in OPPOSITE.items()}
CHOICES = {
    "shape": SHAPES,
    "colour": tuple(COLOURS),
    "texture": TEXTURES[1:],
    "size": tuple(SIZES),
    "field": tuple(FIELDS),
}
PARTS = ("shape", "colour", "texture", "size")  # of a thing, in the order in which scenes hold them
INVERSE = (1, 0, 3, 2)  # of RELATIONS

Words = list[tuple[str, str]]  # each with its kind, "" for those between


def captions(scenes: Scenes) -> list[str]:
    """All that is in each, always in the same words. A thing without a word for its texture is plain."""
    return [_text(_caption(one)) for one in _rows(scenes)]


def negatives(scenes: Scenes, seed: int | np.random.Generator = 0, kind: str | None = None) -> list[str]:
    """Captions with one word changed, of this kind (KINDS) or any, and so not true of the things there, each meant
    once. Raises ValueError where a scene has no word of the kind: one thing alone has no relation, a plain one no
    texture, and two things alike are each on either side of the other."""
    if kind is not None and kind not in KINDS:
        raise ValueError(f"words are of the kinds {', '.join(KINDS)}, not {kind!r}")
    rng, out = np.random.default_rng(seed), []
    for number, one in enumerate(_rows(scenes)):
        words = _caption(one)
        wrong = _changed(words, one, rng, kind)
        if wrong is None:
            raise ValueError(f"scene {number} has no word that can be changed as to {kind}: {_text(words)!r}")
        out.append(_text(wrong))
    return out


def contrasts(scenes: Scenes, seed: int | np.random.Generator = 0) -> list[tuple[str, str]]:
    """Paraphrases, each with the same words but one, and so not true (one in 60,000 is, of three things alike): what a
    model should tell apart by meaning alone, since neither sounds more like a caption than the other. Raises
    ValueError."""
    rng, out = np.random.default_rng(seed), []
    for one in _rows(scenes):
        words = _caption(one, rng)
        out.append((_text(words), _text(_changed(words, one, rng))))  # a colour can always be changed
    return out


def exchanged(scenes: Scenes) -> list[str]:
    """Captions with the first two things in each other's place: the same words, and not true unless the two are alike.
    Raises ValueError where there is but one."""
    if (scenes.count < 2).any():
        raise ValueError("one thing alone cannot be exchanged for another: take scenes of two or three")
    return [
        _text(_caption(one | {"things": [one["things"][1], one["things"][0], *one["things"][2:]]}))
        for one in _rows(scenes)
    ]


def paraphrases(scenes: Scenes, seed: int | np.random.Generator = 0, colourless: float = 0.0) -> list[str]:
    """The same in other words and often with less said: from the other side, in another order, sizes, places and
    backgrounds left out, and of so many things, colourless in [0, 1], the colour. Textures are never left out, since a
    thing without one is plain."""
    rng = np.random.default_rng(seed)
    return [_text(_colourless(_caption(one, rng), rng, colourless)) for one in _rows(scenes)]


def glimpses(scenes: Scenes, seed: int | np.random.Generator = 0) -> list[tuple[str, str]]:
    """Of each scene one thing, or the first two, and of them a few words, as somebody searches: "a red star", "a heart
    above a square". True of it, but of others too: what is not said is open, the texture as well. Beside each the same
    with one word changed, half of the time to that of another thing there, so that it is true of nothing in it."""
    rng, out = np.random.default_rng(seed), []
    for one in _rows(scenes):
        words = _glimpse(one, rng)
        tries = (
            _mixed(words, one, rng) if k % 2 else _changed(words, one, rng) for k in range(int(rng.integers(2)), 12)
        )
        wrong = next((w for w in tries if w and not _holds(understand(_text(w)), one)), None)
        out.append((_text(words), _text(wrong or _strange(words, one))))
    return out


def _rows(scenes: Scenes):
    """Each scene as plain numbers: what it is made of, in words or not."""
    columns = [getattr(scenes, name).tolist() for name in ("shape", "colour", "texture", "size", "cell")]
    for *things, field, count, relation in zip(
        *columns, scenes.field.tolist(), scenes.count.tolist(), scenes.relation.tolist(), strict=True
    ):
        yield {"things": list(zip(*things, strict=True))[:count], "field": field, "relation": relation}


def _caption(one: dict, rng: np.random.Generator | None = None) -> Words:
    """One scene in words; with rng in other words."""
    comma, n = [(",", "")], len(one["things"])
    if n == 1:
        words = _thing(one, 0, rng) + ([] if _chance(rng, 0.3) else _phrase(PLACES[one["things"][0][-1]], "place"))
    else:
        turned = _chance(rng, 0.5)
        relation = RELATIONS[INVERSE[one["relation"]] if turned else one["relation"]]
        vague = one["relation"] < 0 or _chance(rng, 0.1)
        said = [("and", "")] if vague else _phrase(_word(relation, rng), "relation")
        words = _thing(one, int(turned), rng) + said + _thing(one, 1 - turned, rng)
    if n == 3:
        third = _thing(one, 2, rng) + _phrase(PLACES[one["things"][2][-1]], "place")
        and_ = [("and", "")] if _chance(rng, 0.5) else []
        words = third + comma + words if _chance(rng, 0.3) else words + comma + and_ + third
    if _chance(rng, 0.3):
        return words
    behind = _behind(one, rng)
    return behind + comma + words if _chance(rng, 0.15) else words + comma + behind


def _glimpse(one: dict, rng: np.random.Generator) -> Words:
    """Of one scene a little."""

    def some(k: int) -> Words:
        left_out = {"size": 0.5, "texture": 0.4, "colour": 0.25}
        words = [(word, its) for word, its in _thing(one, k, rng)[1:] if not _chance(rng, left_out.get(its, 0))]
        return [(article(words[0][0]), ""), *words]

    two = one["relation"] >= 0 and _chance(rng, 0.4)
    k = 0 if two else int(rng.integers(len(one["things"])))
    words = some(k)
    if two:
        words += _phrase(_word(RELATIONS[one["relation"]], rng), "relation") + some(1)
    elif _chance(rng, 0.2):
        words += _phrase(PLACES[one["things"][k][-1]], "place")
    return words + ([(",", ""), *_behind(one, rng)] if _chance(rng, 0.25) else [])


def _mixed(words: Words, one: dict, rng: np.random.Generator) -> Words:
    """The words with one of them that of some thing in the scene."""
    at = int(rng.choice([k for k, (_, its) in enumerate(words) if its in PARTS]))
    names = {"shape": SHAPES, "colour": tuple(COLOURS), "texture": TEXTURES, "size": tuple(SIZES)}
    its = words[at][1]
    other = one["things"][int(rng.integers(len(one["things"])))][PARTS.index(its)]
    return _with(words, at, names[its][other])


def _strange(words: Words, one: dict) -> Words:
    """The words with a shape that is not in the scene."""
    at = next(k for k, (_, its) in enumerate(words) if its == "shape")
    return _with(words, at, next(s for k, s in enumerate(SHAPES) if k not in [thing[0] for thing in one["things"]]))


def _with(words: Words, at: int, new: str) -> Words:
    changed = [*words[:at], (new, words[at][1]), *words[at + 1 :]]
    if words[at - 1][0] in ("a", "an"):
        changed[at - 1] = (article(new), "")
    return changed


def _holds(said: Said, one: dict) -> bool:
    """Whether it is true of a scene; what is not said is open."""
    things = one["things"]

    def fits(thing: Thing, k: int) -> bool:
        shape, colour, texture, size, cell = things[k]
        there = (SHAPES[shape], list(COLOURS)[colour], TEXTURES[texture], list(SIZES)[size], PLACES[cell])
        asked = (thing.shape, thing.colour, "" if thing.texture == "plain" else thing.texture, thing.size, thing.place)
        return all(word in ("", true) for word, true in zip(asked, there, strict=True))

    def lie(i: int, relation: str, j: int) -> bool:
        return RELATIONS.index(relation) == int(between(*(torch.tensor(things[k][4]) for k in (i, j))))

    if said.field not in ("", list(FIELDS)[one["field"]]):
        return False
    return any(
        all(fits(thing, k) for thing, k in zip(said.things, order, strict=True))
        and all(lie(order[a], relation, order[b]) for a, relation, b in said.relations)
        for order in itertools.permutations(range(len(things)), len(said.things))
    )


def _behind(one: dict, rng: np.random.Generator | None) -> Words:
    return [("on", ""), ("a", ""), (list(FIELDS)[one["field"]], "field"), (_word("field", rng), "")]


def _changed(words: Words, one: dict, rng: np.random.Generator, kind: str | None = None) -> Words | None:
    """The words with one of them changed, of this kind or any, so that they are wrong; None where there is none."""
    first, second = one["things"][0], one["things"][1] if len(one["things"]) > 1 else None
    twins = second is not None and first[:3] == second[:3]  # alike but for the size, which may go unsaid
    places: dict[str, list[int]] = {}
    for at, (word, its) in enumerate(words):
        if twins and (its == "relation" and first[3] == second[3] or its in ("relation", "size") and _unsaid(words)):
            continue
        if its and kind in (None, its) and (its not in OPPOSITE or word in OPPOSITE[its]):
            places.setdefault(its, []).append(at)
    if not places:
        return None
    its = str(rng.choice(list(places)))
    at = int(rng.choice(places[its]))
    word = words[at][0]
    if its in OPPOSITE:
        new = OPPOSITE[its][word]
    else:
        same = next((said for said in OTHER_WORDS.values() if word in said), (word,))
        new = str(rng.choice([other for other in CHOICES[its] if other not in same]))
    return _with(words, at, new)


def _colourless(words: Words, rng: np.random.Generator, share: float) -> Words:
    """The words without some of the colours of things."""
    out: Words = []
    for word, its in words:
        if its == "colour" and share and rng.random() < share:
            continue
        if out and out[-1][0] in ("a", "an"):
            out[-1] = (article(word), "")
        out.append((word, its))
    return out


def _unsaid(words: Words) -> bool:
    """Whether a thing's size goes unsaid."""
    kinds = [its for _, its in words]
    return kinds.count("size") < kinds.count("shape")


def _thing(one: dict, k: int, rng: np.random.Generator | None) -> Words:
    shape, colour, texture, size, _ = one["things"][k]
    words = [] if _chance(rng, 0.25) else [(_word(list(SIZES)[size], rng), "size")]
    words += [(_word(TEXTURES[texture], rng), "texture")] if texture else []
    words += [(list(COLOURS)[colour], "colour"), (SHAPES[shape], "shape")]
    return [(article(words[0][0]), ""), *words]


def _phrase(text: str, kind: str) -> Words:
    return [(word, "" if word in ("in", "at", "on", "the", "of", "to") else kind) for word in text.split()]


def _word(plain: str, rng: np.random.Generator | None) -> str:
    return plain if rng is None or plain not in OTHER_WORDS else str(rng.choice(OTHER_WORDS[plain]))


def _chance(rng: np.random.Generator | None, p: float) -> bool:
    return rng is not None and rng.random() < p


def _text(words: Words) -> str:
    return " ".join(word for word, _ in words).replace(" ,", ",")
