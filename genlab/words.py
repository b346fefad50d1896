"""Words as numbers: a word-level tokenizer of the library `tokenizers`, made from the list of words in a config."""

import functools
import re
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from genlab.names import require
from genlab.nn.text import PAD

UNKNOWN, END = PAD + 1, PAD + 2  # numbers of no word either
SPECIAL = ("[PAD]", "[UNK]", "[END]")


def check_words(words: Sequence[str]) -> None:
    """Raises ValueError for a list that makes no tokenizer."""
    if len(set(words)) < len(words) or any(word != word.lower() or not word for word in strings(words, "words")):
        raise ValueError("words are lower case and each there once")


@functools.lru_cache(maxsize=8)
def tokenizer(words: tuple[str, ...], context: int):
    """Lower case, split at blanks and punctuation, an end behind the last word; padded to the longest text of a batch,
    cut off at `context`. Punctuation that is no word of the list is passed over, for people end sentences with it;
    other signs, < or an emoji, are unknown words."""
    tokenizers = require("tokenizers", extra="apps")
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *words))}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token=SPECIAL[UNKNOWN]))
    kept = "".join(re.escape(word) for word in words if len(word) == 1)
    passed_over = tokenizers.Regex(rf"[\p{{P}}&&[^_{kept}]]")  # to Unicode _ is punctuation too, but it joins words
    made.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Lowercase(), tokenizers.normalizers.Replace(passed_over, " ")]
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    end = SPECIAL[END]
    made.post_processor = tokenizers.processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, END)])
    made.enable_truncation(context)
    made.enable_padding(pad_id=PAD, pad_token=SPECIAL[PAD])
    return made


def strings(texts, what: str = "texts") -> list[str]:
    """The texts as a list. Raises ValueError for what is none, and for halves of characters, which nobody can read."""
    texts = list(texts) if isinstance(texts, Iterable) and not isinstance(texts, str) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{what} are a list of strings")
    broken = next((text for text in texts if re.search("[\ud800-\udfff]", text)), None)
    if broken is not None:
        raise ValueError(f"{what} are Unicode, and {broken[:80]!r} holds half a character")
    return texts


def tokens(texts: Iterable[str], words: tuple[str, ...], context: int) -> Int[Tensor, "B L"]:
    """Numbers of words, PAD behind the end. Raises ValueError for what is no list of texts."""
    texts = strings(texts)
    found = [encoding.ids for encoding in tokenizer(words, context).encode_batch(texts)]
    return torch.tensor(found, dtype=torch.long).view(len(found), -1 if found else 0)


def unknown(text: str, words: tuple[str, ...]) -> list[str]:
    """The words of a text that are not in the list, each once, as they are written. Raises ValueError."""
    (text,) = strings([text])
    found = tokenizer(words, 1 << 20).encode(text)
    strange = [text[a:b] for number, (a, b) in zip(found.ids, found.offsets, strict=True) if number == UNKNOWN]
    return list(dict.fromkeys(strange))
