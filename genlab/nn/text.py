"""A text tower: words read by a Transformer that sees both ways, and how far from each other two words are."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from genlab.nn.transformer import Transformer

PAD = 0  # the number of no word


def check_tower(context: int, width: int, heads: int, layers: int) -> None:
    """Raises ValueError for sizes from which no tower can be built."""
    if not (2 <= context <= 65_536 and 1 <= heads <= width <= 65_536 and 1 <= layers <= 64) or width % (2 * heads):
        raise ValueError("sizes and layers are positive, context two or more, and width is a multiple of 2 heads")


class TextTower(nn.Module):
    """h = Transformer(words[y]): a vector for each word.

    Rotary attention, because which thing a word belongs to is told by the words beside it, wherever in the text.
    """

    def __init__(self, vocabulary: int, width: int, heads: int, layers: int):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.tower = Transformer(width, heads, layers, rotary=True)

    def forward(self, tokens: Int[Tensor, "B L"]) -> tuple[Float[Tensor, "B L W"], Bool[Tensor, "B L"]]:
        """What is made of each word, and where there is one: what text-to-image models attend to."""
        there = tokens != PAD
        return self.tower(self.words(tokens), there), there
