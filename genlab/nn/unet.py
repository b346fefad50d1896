"""The U-Net of diffusion models (Ronneberger et al., 2015; Ho et al., 2020), and its encoder alone.

    h = stem(x);  down: blocks, keep h as a skip, halve;  middle;  up: double, concatenate the skip, blocks;  head(h)

With `patch > 1` the stem folds patch x patch pixels into channels and the head unfolds them again: the same picture at
a fraction of the cost, because convolutions at full resolution are what a small U-Net spends most of its time on.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from genlab.nn.attention import attend

Words = tuple[Float[Tensor, "B L K"], Bool[Tensor, "B L"]]  # what cross-attention attends to, and where there is any


class ResBlock(nn.Module):
    """x + conv(silu((1 + a) norm(conv(silu(norm(x)))) + b)), where the embedding e gives scale a and shift b."""

    def __init__(self, channels_in: int, channels_out: int, embedding: int, groups: int = 8, dropout: float = 0.0):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.film = nn.Linear(embedding, 2 * channels_out)
        self.norm2 = nn.GroupNorm(groups, channels_out, affine=False)  # the film scales and shifts
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: Float[Tensor, "B C_in H W"], e: Float[Tensor, "B E"]) -> Float[Tensor, "B C_out H W"]:
        a, b = self.film(e)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(self.dropout(F.silu((1 + a) * self.norm2(h) + b)))
        return self.skip(x) + h


class SelfAttention(nn.Module):
    """x + W softmax(q k^T / sqrt d) v over all positions of the picture."""

    def __init__(self, channels: int, heads: int = 4, groups: int = 8):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        B, C, H, W = x.shape
        q, k, v = self.qkv(self.norm(x)).view(B, 3, self.heads, C // self.heads, H * W).transpose(-1, -2).unbind(1)
        h = attend(q, k, v)  # (B, heads, H W, C / heads)
        return x + self.out(h.transpose(-1, -2).reshape(B, C, H, W))


class CrossAttention(nn.Module):
    """x + W softmax(q k^T / sqrt d) v: q from each position of the picture, k and v from each word; nobody attends to
    where there is no word."""

    def __init__(self, channels: int, words: int, heads: int = 4, groups: int = 8):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.kv = nn.Linear(words, 2 * channels)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"], words: Words) -> Float[Tensor, "B C H W"]:
        B, C, H, W = x.shape
        states, there = words
        q = self.q(self.norm(x)).view(B, self.heads, C // self.heads, H * W).mT
        k, v = self.kv(states).unflatten(2, (2, self.heads, C // self.heads)).permute(2, 0, 3, 1, 4)
        h = attend(q, k, v, there)
        return x + self.out(h.mT.reshape(B, C, H, W))


class Level(nn.Module):
    """The blocks of one resolution, each followed by attention where asked for: to the picture itself, and to words
    where there are any (`words` is the length of a word's vector, 0 for none)."""

    def __init__(
        self,
        channels_in: int,
        channels: int,
        embedding: int,
        blocks: int,
        attention: bool,
        dropout: float,
        words: int = 0,
    ):
        super().__init__()
        widths = [channels_in] + [channels] * blocks
        self.blocks = nn.ModuleList(
            ResBlock(a, b, embedding, dropout=dropout) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.attention = nn.ModuleList(SelfAttention(channels) if attention else nn.Identity() for _ in range(blocks))
        self.cross = nn.ModuleList(CrossAttention(channels, words) for _ in range(blocks if attention and words else 0))

    def forward(
        self, h: Float[Tensor, "B C_in H W"], e: Float[Tensor, "B E"], words: Words | None = None
    ) -> Float[Tensor, "B C H W"]:
        for number, (block, attention) in enumerate(zip(self.blocks, self.attention, strict=True)):
            h = attention(block(h, e))
            if self.cross:
                h = self.cross[number](h, words)
        return h


class Encoder(nn.Module):
    """Stem and downward half: the deepest features, and a skip from each level above.

    widths: channels of each level, finest first. attention: the levels (0 = finest) that attend. side: of the pictures
    after folding, where a vector is to be learned for each place of them and added.
    """

    def __init__(
        self,
        channels: int,
        widths: tuple[int, ...],
        embedding: int,
        blocks: int = 1,
        patch: int = 1,
        attention: tuple[int, ...] = (),
        dropout: float = 0.0,
        words: int = 0,
        side: int | None = None,
    ):
        super().__init__()
        self.patch = patch
        self.stem = nn.Conv2d(channels * patch**2, widths[0], 3, padding=1)
        self.places = nn.Parameter(0.02 * torch.randn(widths[0], side, side)) if side else None
        inputs = (widths[0], *widths[:-1])
        self.levels = nn.ModuleList(
            Level(c, w, embedding, blocks, i in attention, dropout, words)
            for i, (c, w) in enumerate(zip(inputs, widths, strict=True))
        )
        self.shrink = nn.ModuleList(nn.Conv2d(w, w, 3, stride=2, padding=1) for w in widths[:-1])

    def forward(
        self, x: Float[Tensor, "B C H W"], e: Float[Tensor, "B E"], words: Words | None = None
    ) -> tuple[Float[Tensor, "B D h w"], list[Tensor]]:
        h = self.stem(F.pixel_unshuffle(x, self.patch))
        h = h if self.places is None else h + self.places
        skips = []
        for level, shrink in zip(self.levels, self.shrink, strict=False):
            h = level(h, e, words)
            skips.append(h)
            h = shrink(h)
        return self.levels[-1](h, e, words), skips


class UNet(nn.Module):
    """A picture, an embedding of its conditions (noise level, class, ...) and perhaps words to a picture of the same
    size. words: the length of a word's vector; levels with attention attend to them too."""

    def __init__(
        self,
        channels: int,
        widths: tuple[int, ...],
        embedding: int,
        blocks: int = 1,
        patch: int = 1,
        attention: tuple[int, ...] = (),
        dropout: float = 0.0,
        words: int = 0,
        side: int | None = None,
    ):
        super().__init__()
        self.patch = patch
        self.encoder = Encoder(channels, widths, embedding, blocks, patch, attention, dropout, words, side)
        deep = widths[-1]
        self.middle = nn.ModuleList([ResBlock(deep, deep, embedding), SelfAttention(deep)])
        self.grow = nn.ModuleList(nn.Conv2d(a, a, 3, padding=1) for a in widths[:0:-1])
        self.levels = nn.ModuleList(
            Level(widths[i] + widths[i - 1], widths[i - 1], embedding, blocks, i - 1 in attention, dropout, words)
            for i in range(len(widths) - 1, 0, -1)
        )
        self.norm = nn.GroupNorm(8, widths[0])
        self.head = nn.Conv2d(widths[0], channels * patch**2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, x: Float[Tensor, "B C H W"], e: Float[Tensor, "B E"], words: Words | None = None
    ) -> Float[Tensor, "B C H W"]:
        h, skips = self.encoder(x, e, words)
        h = self.middle[1](self.middle[0](h, e))
        for grow, level in zip(self.grow, self.levels, strict=True):
            h = grow(F.interpolate(h, scale_factor=2.0, mode="nearest"))
            h = level(torch.cat([h, skips.pop()], dim=1), e, words)
        return F.pixel_shuffle(self.head(F.silu(self.norm(h))), self.patch)


def check_encoder(
    image_size: int, channels: int, widths: tuple[int, ...], blocks: int, patch: int, embedding: int
) -> None:
    """Raise ValueError, naming the number, where an Encoder or UNet of these sizes could not be built or run."""
    if not 1 <= len(widths) <= 8 or any(not 8 <= w <= 8_192 or w % 8 for w in widths):
        raise ValueError(f"widths are 1 to 8 multiples of 8 up to 8192, not {widths}")
    most = {"blocks": (blocks, 64), "patch": (patch, 64), "channels": (channels, 1_024)}
    for name, (value, limit) in most.items():
        if not 1 <= value <= limit:
            raise ValueError(f"{name} lies in 1..{limit}, not {value}")
    if not 2 <= embedding <= 8_192 or embedding % 2:
        raise ValueError(f"embedding is even and lies in 2..8192, not {embedding}")
    stride = patch * 2 ** (len(widths) - 1)
    # no weight depends on image_size: nothing else keeps a config from asking for pictures that fill the memory
    if not 1 <= image_size <= 4_096 or image_size % stride:
        raise ValueError(
            f"image_size must be a multiple of patch * 2^(levels - 1) = {stride} up to 4096, not {image_size}"
        )
