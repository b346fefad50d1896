"""clip-scenes: pictures of the made-up world and what is said of them, in one space."""

from dataclasses import replace

import torch

from genlab.data import scenes
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.metrics import recall_at
from genlab.models.vision_language import CLIP, CLIPConfig
from genlab.recipes import _scenes
from genlab.train import Batch, Recipe
from genlab.words import tokens

CONFIG = CLIPConfig(words=scenes.vocabulary(), features=256)  # room for each thing with its place
CANDIDATES = 1_000  # of retrieval


def described(some: scenes.Scenes, seed: int) -> Batch:
    """Pictures, a text for each, and one that is wrong. Half of the texts say all that is in the picture, and are wrong
    in what CLIPs are bad at; of these pictures a half shows the things of the other half, elsewhere. A quarter are in
    words of their own, with any one word changed. The last quarter say a little, as one who searches does."""
    quarter = len(some) // 4
    some = scenes.joined(some[:quarter], rearranged(some[:quarter]), some[2 * quarter :])
    full, own, few = some[: 2 * quarter], some[2 * quarter : 3 * quarter], some[3 * quarter :]
    pairs = [
        *zip(scenes.captions(full), misplaced(full, seed), strict=True),
        *scenes.contrasts(own, seed),
        *scenes.glimpses(few, seed),
    ]
    true, wrong = zip(*pairs, strict=True)
    both = tokens([*true, *wrong], CONFIG.words, CONFIG.context)
    return {"image": _scenes.pictures(some)} | dict(zip(("tokens", "wrong"), both.chunk(2), strict=True))


def rearranged(some: scenes.Scenes) -> scenes.Scenes:
    """The first two things in each other's place; one alone in the place opposite, or out of the middle."""
    cell = some.cell.clone()
    one, two = some.count == 1, some.count > 1
    cell[one, 0] = torch.where(cell[one, 0] == 4, 0, 8 - cell[one, 0])
    cell[two, :2] = cell[two, :2].flip(1)
    return replace(some, cell=cell)


def misplaced(some: scenes.Scenes, seed: int) -> list[str]:
    """Captions with the wrong relation, two things exchanged, or the wrong place; any word changed where there is none
    of these. Told from the truth by who is where alone: left to chance such captions are too few to learn from."""
    wrong = scenes.negatives(some, seed)
    chance = torch.rand(len(some), generator=torch.Generator().manual_seed(seed))
    two, third = some.count > 1, some.count == 3
    said = torch.where(third, some.cell[:, 2], some.cell[:, 0])  # whose place the caption says
    place = torch.where(third, chance < 0.3, ~two) & (said != 4)  # the middle has no opposite
    parts = torch.stack([some.shape, some.colour, some.texture, some.size], dim=-1)
    differ = (parts[:, 0] != parts[:, 1]).any(dim=1)
    turned = two & differ & ~place & (chance > 0.65)
    related = two & differ & ~place & ~turned
    for rows, made in (
        (place, lambda part: scenes.negatives(part, seed, "place")),
        (turned, scenes.exchanged),
        (related, lambda part: scenes.negatives(part, seed, "relation")),
    ):
        for row, text in zip(rows.nonzero()[:, 0].tolist(), made(some[rows]), strict=True):
            wrong[row] = text
    return wrong


def fresh(batch: Batch) -> Batch:
    return described(_scenes.fresh(batch), _scenes.seed())


def splits() -> dict[str, Batch]:
    return {"train": _scenes.numbers(), "valid": described(scenes.sample(1_000, _scenes.VALID_SEED), 0)}


def evaluate(model: CLIP, samples=None):
    n = samples or 5_000

    def figure(name: str, value: float, count: int, split: str, headline: bool, note: str, **settings) -> Metric:
        settings = {"pairs": _scenes.PAIRS[split]} | settings
        where = {"dataset": "genlab.data.scenes", "split": "test", "samples": count, "settings": settings}
        return Metric(name, value, unit="%", better="higher", headline=headline, note=note, **where)

    def retrieval(split: str) -> list[Metric]:
        """Each of 1,000 pictures among as many captions, and the other way round."""
        some = scenes.sample(CANDIDATES, _scenes.TEST_SEED, split=split)
        image = model.encode_image(_scenes.pictures(some))
        found = []
        for words, texts in (("caption", scenes.captions(some)), ("paraphrase", scenes.paraphrases(some, 0))):
            right = torch.tensor([[a == b for b in texts] for a in texts])
            scores = image @ model.encode_text(texts).T
            for way, s in (("picture to text", scores), ("text to picture", scores.T)):
                note = f"the right one of {CANDIDATES:,} comes first" + (
                    "; a paraphrase may leave out what tells two scenes apart" if words == "paraphrase" else ""
                )
                headline = words == "caption" and way == "picture to text"
                value = 100 * recall_at(s, right)
                found.append(figure("R@1", value, CANDIDATES, split, headline, note, way=way, words=words))
        return found

    def negatives(split: str) -> list[Metric]:
        """The caption scores higher than the same with one word changed, by the kind of word; and than itself with the
        first two things exchanged, which has the same words."""
        some = scenes.sample(n, _scenes.TEST_SEED + 1, split=split)
        image, text = (
            encode(x) for encode, x in ((model.encode_image, _scenes.pictures(some)), (by_part, scenes.captions(some)))
        )
        own = (image * text).sum(dim=1)

        def told_apart(rows: torch.Tensor, wrong: list[str], kind: str, headline: bool = False) -> Metric:
            better = own[rows] > (image[rows] * by_part(wrong)).sum(dim=1)
            note = "the caption scores higher than with one word changed"
            if kind == "exchanged":
                note = "the caption scores higher than with its first two things exchanged: the same words"
            return figure(
                "told apart", 100 * better.float().mean().item(), len(rows), split, headline, note, change=kind
            )

        everyone = torch.arange(n)
        found = [told_apart(everyone, scenes.negatives(some, 0), "any word", headline=True)]
        two = (some.count > 1).nonzero()[:, 0]
        alike = (some.shape[two, 0] == some.shape[two, 1]) & (some.colour[two, 0] == some.colour[two, 1])
        two = two[~alike]
        rows = {"relation": two, "texture": (some.texture * (some.shape >= 0)).amax(dim=1).nonzero()[:, 0]}
        rows["place"] = (some.count == 3).nonzero()[:, 0]
        for kind in scenes.KINDS:
            mine = rows.get(kind, everyone)
            if kind == "place":  # the middle has no opposite
                mine = mine[some.cell[mine, 2] != 4]
            found.append(told_apart(mine, scenes.negatives(some[mine], 1, kind), kind))
        found.append(told_apart(two, scenes.exchanged(some[two]), "exchanged"))
        return found

    def few_words(split: str) -> list[Metric]:
        """Texts that say little: a thing's shape or colour among all there are; and pictures with a colour and a shape,
        searched for among 1,000."""
        one = scenes.sample(CANDIDATES, _scenes.TEST_SEED + 2, split=split, most=1)
        image, found = model.encode_image(_scenes.pictures(one)), []
        for classes, names, templates, true in (
            ("shape", scenes.SHAPES, ["a {}"], one.shape),
            ("colour", tuple(scenes.COLOURS), [f"a {{}} {shape}" for shape in scenes.SHAPES], one.colour),
        ):
            right = (image @ model.classifier(list(names), templates).T).argmax(dim=1) == true[:, 0]
            how = {"classes": classes, "templates": len(templates)}
            note = f"of scenes of one thing, which {classes} it has"
            found.append(figure("zero shot", 100 * right.float().mean().item(), len(one), split, False, note, **how))
        some = scenes.sample(CANDIDATES, _scenes.TEST_SEED + 3, split=split)
        every = [(c, s) for c in range(len(scenes.COLOURS)) for s in range(len(scenes.SHAPES))]
        pairs = [pair for pair in every if (pair in scenes.HELD_OUT) == (split == "held_out")]
        fits = torch.stack([((some.colour == c) & (some.shape == s)).any(dim=1) for c, s in pairs])
        texts = [f"a {list(scenes.COLOURS)[c]} {scenes.SHAPES[s]}" for c, s in pairs]  # "a orange" reads as well
        best = (model.encode_text(texts) @ model.encode_image(_scenes.pictures(some)).T).topk(10).indices
        value = 100 * fits.gather(1, best).float().mean().item()
        note = f"of the ten of {CANDIDATES:,} scenes that fit 'a red star' best, how many show one"
        return [*found, figure("P@10", value, len(pairs), split, False, note)]

    def by_part(texts: list[str]) -> torch.Tensor:
        return torch.cat([model.encode_text(texts[i : i + 500]) for i in range(0, len(texts), 500)])

    for split, named in _scenes.PAIRS.items():
        yield Job(f"retrieval {named}", lambda split=split: retrieval(split))
        yield Job(f"one word {named}", lambda split=split: negatives(split))
        yield Job(f"few words {named}", lambda split=split: few_words(split))


@torch.no_grad()
def golden(model: CLIP) -> dict[str, torch.Tensor]:
    some = scenes.sample(4, 0)
    image = _scenes.pictures(some)
    return {"image": image, "features": model.encode_image(image), "text": model.encode_text(scenes.captions(some))}


@torch.no_grad()
def found(model: CLIP) -> torch.Tensor:
    """Of 300 scenes the eight that fit a sentence best, a row each: a red circle; blue stars on a yellow field; a heart
    above a square."""
    image = _scenes.pictures(scenes.sample(300, _scenes.TEST_SEED + 5))
    texts = ["a red circle", "a blue star, on a yellow field", "a heart above a square"]
    return image[model.score(image, texts).T.topk(8).indices]


RECIPE = Recipe(
    name="clip-scenes",
    summary="How well a picture of coloured shapes and a sentence fit: CLIP in a world small enough to know whole.",
    model=CLIP,
    config=CONFIG,
    data=splits,
    augment=fresh,  # scenes are made as they are needed
    steps=8_000,
    batch_size=128,
    lr=1e-3,
    warmup=200,
    ema=0.998,
    precision="bf16",
    validate_every=500,
    evaluate=evaluate,
    golden=golden,
    samples=found,
    source="genlab.data.scenes, made as it trains",
    intended_use="Scores of scenes and sentences; guidance by words; where CLIPs fail, in numbers. Teaching.",
    limits="It knows the world of genlab.data.scenes and its words alone: other words are one unknown word to it, and "
    "of photographs it knows nothing. Of a caption with three things it may miss that one is in another place: of all "
    "wrong words that of a place fools it most. These weights saw no short texts ('a red star') in their first 4,000 "
    "steps, and in the next 4,000 none made wrong.",
    snippet="""import genlab
from genlab.data import scenes

clip = genlab.from_pretrained("clip-scenes")
some = scenes.sample(4, seed=1)
clip.score(scenes.draw(some).float() / 255, scenes.captions(some))  # (4, 4) cosines""",
)
