"""reader-scenes: the judge of generated scenes, trained on true ones."""

import torch

from genlab.data import scenes
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.models.classic import Reader, ReaderConfig
from genlab.models.classic.reader import right
from genlab.recipes import _scenes
from genlab.train import Batch, Recipe


def labelled(some: scenes.Scenes) -> Batch:
    return {"image": scenes.draw(some), "things": _scenes.things(some), "field": some.field}


def fresh(batch: Batch) -> Batch:
    """Of any combinations: the judge must know those that generators are not shown. With a little noise, and blurred
    now and then: generated pictures are not as clean as true ones."""
    batch = labelled(_scenes.fresh(batch, split="any"))
    image = batch["image"].float() / 255
    blurred = torch.nn.functional.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)
    share = torch.rand(len(image), 1, 1, 1) * (torch.rand(len(image), 1, 1, 1) < 0.5)
    noise = 0.04 * torch.rand(len(image), 1, 1, 1) * torch.randn_like(image)
    return batch | {"image": (image + share * (blurred - image) + noise).clamp(0, 1)}


def splits() -> dict[str, Batch]:
    return {"train": _scenes.numbers(), "valid": labelled(scenes.sample(2_000, _scenes.VALID_SEED, split="any"))}


def evaluate(model: Reader, samples=None):
    n = samples or 10_000

    def accuracy(split: str) -> list[Metric]:
        some = scenes.sample(n, _scenes.TEST_SEED, split=split)
        said, fields = (
            torch.cat(parts) for parts in zip(*map(model.read, _scenes.pictures(some).split(500)), strict=True)
        )
        true = _scenes.things(some)
        there = true[..., 0] >= 0
        found = {"shape": said[there][:, 0] == true[there][:, 0]}
        found |= {
            name: said[there][:, k] == true[there][:, k] for k, name in ((1, "colour"), (2, "texture"), (3, "size"))
        }
        found |= {"place": ((said[..., 0] >= 0) == there).all(dim=1), "field": fields == some.field}
        found["everything"] = right(said, fields, true, some.field)
        common = {"unit": "%", "better": "higher", "dataset": "genlab.data.scenes", "split": "test"}
        note = {"place": "of pictures: there is something in just the right cells", "everything": "of pictures"}
        return [
            Metric(
                "read right",
                100 * good.float().mean().item(),
                samples=len(good),
                settings={"what": name, "pairs": _scenes.PAIRS[split]},
                headline=name == "everything",
                note=note.get(name, "of pictures" if name == "field" else "of things"),
                **common,
            )
            for name, good in found.items()
        ]

    for split, named in _scenes.PAIRS.items():
        yield Job(named, lambda split=split: accuracy(split))


@torch.no_grad()
def golden(model: Reader) -> dict[str, torch.Tensor]:
    image = _scenes.pictures(scenes.sample(4, 0))
    things, field = model(image)
    return {"image": image, "things": things, "field": field}


RECIPE = Recipe(
    name="reader-scenes",
    summary="Reads what is in a picture of coloured shapes, cell by cell; it judges what text-to-image models draw.",
    model=Reader,
    config=ReaderConfig(
        shapes=len(scenes.SHAPES),
        attributes=(len(scenes.COLOURS), len(scenes.TEXTURES), len(scenes.SIZES)),
        fields=len(scenes.FIELDS),
    ),
    data=splits,
    augment=fresh,  # scenes are made as they are needed
    steps=2_500,
    batch_size=128,
    lr=2e-3,
    ema=0.995,
    precision="bf16",
    validate_every=500,
    evaluate=evaluate,
    golden=golden,
    samples=lambda model: _scenes.pictures(scenes.sample(10, _scenes.TEST_SEED)),
    source="genlab.data.scenes, made as it trains",
    intended_use="Judging generated scenes: which shape, colour, texture, size, where, how many; and by its features "
    "their FID. Teaching.",
    limits="Knows scenes of genlab.data.scenes alone; it names a shape even for a blot, if it sees something there.",
    snippet="""import genlab
from genlab.data import scenes

reader = genlab.from_pretrained("reader-scenes")
some = scenes.sample(4, seed=1)
things, field = reader.read(scenes.draw(some).float() / 255)  # (4, 9, 4): shape, colour, texture, size a cell; (4,)""",
)
