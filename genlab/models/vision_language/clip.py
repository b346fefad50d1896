"""CLIP: a picture and its caption meet in one space."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from genlab.core import Law, Model
from genlab.models.vision_language.scoring import Scoring
from genlab.nn.codec import check_codec, check_pictures, code_shape, encoder
from genlab.nn.text import TextTower, check_tower
from genlab.nn.transformer import Transformer
from genlab.words import SPECIAL, check_words, tokens, unknown

LAW = Law(
    latex=r"""\begin{aligned}
\mathcal{L} &= -\frac{1}{2N} \sum_{i} \Bigl(\log \frac{\exp s_{ii}}{\sum_j \exp s_{ij}} +
\log \frac{\exp s_{ii}}{\sum_j \exp s_{ji}}\Bigr), \qquad
s_{ij} = \frac{1}{\tau}\,\frac{f(x_i) \cdot g(y_j)}{\lVert f(x_i) \rVert\,\lVert g(y_j) \rVert}
\end{aligned}""",
    symbols={
        "x_i": "picture i of a batch",
        "y_j": "caption j; in the first sum also captions made wrong, of no picture (Yuksekgonul et al., 2023)",
        "f": "the image tower: a picture to a vector",
        "g": "the text tower: words to a vector",
        "s_{ij}": "how well they fit: the cosine of their vectors, over the temperature",
        r"\tau": "the temperature, learned: the smaller, the surer",
        "N": "pairs in a batch: each caption is held against all other pictures, and each picture against all captions",
        r"\mathcal{L}": "the loss",
    },
    paper="Radford et al.: Learning Transferable Visual Models From Natural Language Supervision",
    year=2021,
    url="https://arxiv.org/abs/2103.00020",
    code="contrastive_loss",
)
SHARPEST = 100.0  # 1 / temperature at most, as in the paper


@dataclass(frozen=True)
class CLIPConfig:
    """words: what the text tower can read; others are one unknown word to it. context: words of a text at most, the
    rest is cut off. image_widths, patch: of the convolutions that make tokens of a picture, see `genlab.nn.codec`.
    width, heads, image_layers, text_layers: of the two Transformers."""

    words: tuple[str, ...] = ()
    context: int = 48
    image_size: int = 64
    channels: int = 3
    patch: int = 4
    image_widths: tuple[int, ...] = (64, 128)
    width: int = 128
    heads: int = 4
    image_layers: int = 2
    text_layers: int = 3
    features: int = 128

    def __post_init__(self):
        check_codec(self.image_size, self.channels, self.width, "map", self.image_widths, "silu", self.patch)
        check_words(self.words)
        check_tower(self.context, self.width, self.heads, self.text_layers)
        if not (1 <= self.image_layers <= 64 and 1 <= self.features <= 65_536):
            raise ValueError("image_layers and features are positive numbers of a usual size")


class CLIP(Scoring, Model):
    """Pictures in [0, 1] and texts to features of length 1, near each other where they belong together."""

    config: CLIPConfig

    def __init__(self, config: CLIPConfig = CLIPConfig()):
        super().__init__(config)
        c = config
        # Convolutions first: they know from the start that a thing is the same wherever it lies (Xiao et al., 2021)
        self.patches = encoder(c.image_size, c.channels, c.width, "map", c.image_widths, "silu", c.patch)
        _, *side = code_shape(c.image_size, c.width, "map", c.image_widths, c.patch)
        self.image_places = nn.Parameter(0.02 * torch.randn(math.prod(side), c.width))
        self.image_tower = Transformer(c.width, c.heads, c.image_layers)
        self.image_out = nn.Linear(c.width, c.features, bias=False)
        self.text_tower = TextTower(len(SPECIAL) + len(c.words), c.width, c.heads, c.text_layers)
        self.text_out = nn.Linear(c.width, c.features, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    # -- words -------------------------------------------------------------------------------------------------------

    def tokens(self, texts: Sequence[str]) -> Int[Tensor, "B L"]:
        """Numbers of words, an end behind them, padded. Raises ValueError for what is no list of texts."""
        return tokens(texts, self.config.words, self.config.context).to(self.device)

    def unknown(self, text: str) -> list[str]:
        """The words of a text that the text tower cannot read."""
        return unknown(text, self.config.words)

    # -- towers ------------------------------------------------------------------------------------------------------

    def encode_image(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D"]:
        """f(x) / |f(x)|."""
        check_pictures(images, self.config.channels, self.config.image_size)
        h = self.patches(2 * images.to(self.dtype) - 1).flatten(2).mT + self.image_places
        return F.normalize(self.image_out(self.image_tower(h).mean(dim=1)).float(), dim=1)

    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "B D"]:
        """g(y) / |g(y)|, from the mean of what the tower makes of each word, as f is of each patch."""
        return self.encode_tokens(self.tokens(texts))

    def encode_tokens(self, tokens: Int[Tensor, "B L"]) -> Float[Tensor, "B D"]:
        """As `encode_text`, of texts that are numbers already."""
        h, there = self.text_tower(tokens)
        mean = (h * there[..., None]).sum(dim=1) / there.sum(dim=1, keepdim=True).clamp(min=1)
        return F.normalize(self.text_out(mean).float(), dim=1)

    @property
    def temperature(self) -> float:
        """tau."""
        return 1 / self.logit_scale.exp().item()

    # -- learning ----------------------------------------------------------------------------------------------------

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The symmetric contrastive loss. batch: image (B, C, H, W) in [0, 1], tokens (B, L); and, where there are any,
        wrong (B, L): for each picture one more text, which it has to refuse along with the others' captions. In
        training all processes' batches are one; in `eval`, which one process may be in alone, each sees its own."""
        gather = everywhere if self.training else lambda features: features
        texts = [batch[key] for key in ("tokens", "wrong") if key in batch]
        image = gather(self.encode_image(batch["image"]))
        text, *wrong = map(gather, self.encode_tokens(torch.cat(texts)).chunk(len(texts)))
        with torch.no_grad():  # the parameter, not its use: a gradient finds the way back
            self.logit_scale.clamp_(max=math.log(SHARPEST))
        loss, right = contrastive_loss(image, text, self.logit_scale.exp(), *wrong)
        return loss, {"accuracy": right.item(), "temperature": self.temperature}


def contrastive_loss(
    image: Float[Tensor, "N D"],
    text: Float[Tensor, "N D"],
    sharpness: Float[Tensor, ""],
    wrong: Float[Tensor, "M D"] | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """L, and the share of pictures whose own caption fits best. wrong: texts that belong to no picture, more for each
    picture to choose among (Yuksekgonul et al., 2023)."""
    with torch.autocast(image.device.type, enabled=False):  # one word makes a difference that bfloat16 would round off
        image = sharpness.float() * image.float()
        s = image @ text.float().T
        among = s if wrong is None else torch.cat([s, image @ wrong.float().T], dim=1)
    own = torch.arange(len(s), device=s.device)
    loss = 0.5 * (F.cross_entropy(among, own) + F.cross_entropy(s.T, own))
    return loss, (among.argmax(dim=1) == own).float().mean()


def everywhere(features: Float[Tensor, "B D"]) -> Float[Tensor, "N D"]:
    """The features of all processes' parts of a batch, with their gradients: pairs are held against the whole batch."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return features
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(features))
