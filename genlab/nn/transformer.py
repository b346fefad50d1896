"""The Transformer's encoder (Vaswani et al., 2017), normalised before each part (Xiong et al., 2020).

h <- h + attention(norm(h));    h <- h + mlp(norm(h))
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from genlab.nn.attention import attend, rotated


class Block(nn.Module):
    def __init__(self, width: int, heads: int, rotary: bool = False):
        super().__init__()
        self.heads, self.rotary = heads, rotary
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Float[Tensor, "B L W"], there: Bool[Tensor, "B L"] | None = None) -> Float[Tensor, "B L W"]:
        B, L, W = h.shape
        q, k, v = self.qkv(self.norm1(h)).view(B, L, 3, self.heads, W // self.heads).permute(2, 0, 3, 1, 4)
        if self.rotary:
            q, k = rotated(q), rotated(k)
        h = h + self.out(attend(q, k, v, there).transpose(1, 2).reshape(B, L, W))
        return h + self.mlp(self.norm2(h))


class Transformer(nn.Module):
    """Blocks and a last normalisation. `there`: which tokens are no padding; nobody attends to that. rotary: tokens
    stand in a row, and attention knows how far apart two of them are."""

    def __init__(self, width: int, heads: int, layers: int, rotary: bool = False):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, rotary) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, h: Float[Tensor, "B L W"], there: Bool[Tensor, "B L"] | None = None) -> Float[Tensor, "B L W"]:
        for block in self.blocks:
            h = block(h, there)
        return self.norm(h)
