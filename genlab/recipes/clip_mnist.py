"""clip-mnist: digits and what they are called, in one space: a classifier that is told its classes in words."""

import torch

from genlab.data import mnist
from genlab.data.augment import random_affine
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.models.vision_language import CLIP, CLIPConfig
from genlab.train import Batch, Recipe
from genlab.words import tokens

NAMES = tuple("zero one two three four five six seven eight nine".split())
NUMERALS = tuple("0123456789")
TEMPLATES = ("a handwritten {}", "the digit {}", "a picture of a {}", "the number {} written by hand", "a {}", "{}")
WORDS = tuple(sorted({*NAMES, *NUMERALS, *" ".join(TEMPLATES).replace("{}", "").split()}))
# patch=2: all convolutions at 14 x 14 and 7 x 7
CONFIG = CLIPConfig(
    words=WORDS,
    context=12,
    image_size=28,
    channels=1,
    patch=2,
    image_widths=(32, 64),
    width=64,
    image_layers=1,
    text_layers=1,
    features=64,
)


def phrases(label: torch.Tensor, generator: torch.Generator | None = None) -> list[str]:
    """A phrase for each digit: any of the templates, its name in letters or as a numeral."""
    how = torch.randint(len(TEMPLATES) * 2, label.shape, generator=generator).tolist()
    return [TEMPLATES[k // 2].format((NAMES, NUMERALS)[k % 2][y]) for k, y in zip(how, label.tolist(), strict=True)]


def told(data: Batch) -> Batch:
    texts = phrases(data["label"], torch.Generator().manual_seed(0))
    return {"image": data["image"], "tokens": tokens(texts, WORDS, CONFIG.context)}


def splits() -> dict[str, Batch]:
    return {key: part if key == "train" else told(part) for key, part in mnist.splits().items()}


def augment(batch: Batch) -> Batch:
    image = random_affine(batch["image"], degrees=10, scale=0.1, shift=0.08, shear=0.1)
    return {"image": image, "tokens": tokens(phrases(batch["label"]), WORDS, CONFIG.context)}


def evaluate(model: CLIP, samples=None):
    data = mnist.load("test")
    image, label = data["image"][:samples].float() / 255, data["label"][:samples]

    def accuracy(names: tuple[str, ...], said: str, templates: tuple[str, ...], headline: bool = False) -> Metric:
        p = torch.cat([model.zero_shot(part, names, templates) for part in image.split(500)])
        right = (p.argmax(dim=1) == label).float().mean().item()
        n = len(label)
        return Metric(
            "zero_shot",
            100 * right,
            100 * (right * (1 - right) / n) ** 0.5,
            unit="%",
            better="higher",
            samples=n,
            dataset=mnist.HUB_ID,
            split="test",
            settings={"classes": said, "templates": len(templates)},
            headline=headline,
            note="digits read by the phrase that fits best; the spread is the standard error",
        )

    def run() -> list[Metric]:
        return [
            accuracy(NAMES, "names", TEMPLATES, headline=True),
            accuracy(NUMERALS, "numerals", TEMPLATES),
            accuracy(NAMES, "names", ("{}",)),
            accuracy(NUMERALS, "numerals", ("{}",)),
        ]

    yield Job("zero-shot", run)


@torch.no_grad()
def golden(model: CLIP) -> dict[str, torch.Tensor]:
    image = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    texts = ["a handwritten three", "the digit 3", "seven", "a picture of a 7"]
    return {"image": image, "features": model.encode_image(image), "text": model.encode_text(texts)}


@torch.no_grad()
def found(model: CLIP) -> torch.Tensor:
    """Of 2,000 test digits the eight that fit "a handwritten two", "the digit 4", "a picture of a nine" best, a row
    each."""
    image = mnist.load("test")["image"][:2_000].float() / 255
    texts = ["a handwritten two", "the digit 4", "a picture of a nine"]
    return image[model.score(image, texts).T.topk(8).indices]


RECIPE = Recipe(
    name="clip-mnist",
    summary="Handwritten digits and phrases in one space: it reads digits by the sentence that fits best.",
    model=CLIP,
    config=CONFIG,
    data=splits,
    augment=augment,
    steps=4_000,  # 9 passes
    batch_size=128,
    lr=2e-3,
    ema=0.998,
    precision="bf16",
    evaluate=evaluate,
    golden=golden,
    samples=found,
    dataset=mnist.HUB_ID,
    intended_use="Zero-shot classification where the answer is known: classes as words, and templates. Teaching.",
    limits="It knows digits centred as in MNIST, their names, their numerals and a few words around them alone. In a "
    "batch of 128 about a dozen texts say the same digit, and to the loss all but one of them are wrong: its loss and "
    "accuracy say little, the share of digits read right does.",
    snippet="""import genlab
import torch

clip = genlab.from_pretrained("clip-mnist")
names = "zero one two three four five six seven eight nine".split()
clip.zero_shot(torch.rand(2, 1, 28, 28), names, ["a handwritten {}", "the digit {}"])  # (2, 10)""",
)
