"""Texts as open_clip cuts them into tokens for a checkpoint, with the tokenizers library and no torch.

Two kinds: CLIP's byte-pair encoding (Radford et al., 2021; Sennrich et al., 2016), whose merges open_clip ships, and
the tokenizer.json of a checkpoint.
"""

import gzip
import html
import string
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.core import forks
from mmsearch.encoders.tokenizer import declared, open_tokenizer, whole
from mmsearch.encoders.weights import WeightFile
from mmsearch.errors import WeightsError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BPE_FILE = WeightFile(
    "open_clip",
    "bpe_simple_vocab_16e6.txt.gz",
    "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
    "open_clip_torch",
)
BPE_MERGES = 49_152 - 256 - 2
START, END = "<start_of_text>", "<end_of_text>"
START_ID, END_ID = BPE_MERGES + 512, BPE_MERGES + 513
"""After the merges and two entries for each byte."""
_WORDS = rf"(?i){START}|{END}|'s|'t|'re|'ve|'m|'ll|'d|\p{{L}}+|\p{{N}}|[^\s\p{{L}}\p{{N}}]+"
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_LOCK = forks.ForkSafeLock()

Cut = Callable[[str], NDArray[np.int64]]
"""A text -> int64 (context,) token ids, padded."""


def cutter(config: Mapping[str, Any], context: int, folder: Path | None) -> Cut:
    """What cuts texts for a model of this text_cfg; `folder` has its tokenizer.json, None: CLIP's own encoding.

    Raises: WeightsError for a tokenizer that is damaged or lacks its padding token.
    """
    options = config.get("tokenizer_kwargs", {})
    clean = _cleaner(str(options.get("clean", "lower" if folder is None else "whitespace")))
    with _LOCK:
        if folder is None:
            return _by_bpe(clean, context, tuple(options.get("additional_special_tokens", ())))
        return _by_file(clean, context, folder, bool(options.get("strip_sep_token", False)))


def _by_bpe(clean: Callable[[str], str], context: int, special: tuple[str, ...]) -> Cut:
    tokenizer = _bpe(special)

    def cut(text: str) -> NDArray[np.int64]:
        ids = [START_ID, *tokenizer.encode(clean(text)).ids, END_ID]
        return _padded([*ids[: context - 1], END_ID] if len(ids) > context else ids, context, 0)

    return cut


def _by_file(clean: Callable[[str], str], context: int, folder: Path, strip: bool) -> Cut:
    tokenizer, beside = open_tokenizer(folder), declared(folder)
    padding = _special(tokenizer, beside, "pad_token")
    if padding is None and tokenizer.padding is not None:
        padding = tokenizer.padding["pad_id"]
    if padding is None:
        raise WeightsError(
            f"the tokenizer in {folder} doesn't say what it pads with", hint="add its tokenizer_config.json"
        )
    separator = _special(tokenizer, beside, "sep_token") if strip else None
    tokenizer.no_padding()
    tokenizer.enable_truncation(context, direction=beside.get("truncation_side", "right"))
    left = beside.get("padding_side") == "left"

    def cut(text: str) -> NDArray[np.int64]:
        ids = _padded(tokenizer.encode(clean(text)).ids, context, padding, left=left)
        return np.where(ids == separator, 0, ids) if separator is not None else ids

    return cut


def _special(tokenizer: "Tokenizer", beside: Mapping[str, Any], which: str) -> int | None:
    token = beside.get(which)
    text = token.get("content") if isinstance(token, dict) else token
    return tokenizer.token_to_id(text) if isinstance(text, str) else None


def _padded(ids: list[int], context: int, padding: int, *, left: bool = False) -> NDArray[np.int64]:
    filling = [padding] * (context - len(ids))
    return np.array([*filling, *ids] if left else [*ids, *filling], np.int64)


def _cleaner(how: str) -> Callable[[str], str]:
    import ftfy

    def clean(text: str) -> str:
        plain = " ".join(html.unescape(html.unescape(ftfy.fix_text(whole(text)))).split())
        if how == "canonicalize":
            plain = " ".join(plain.replace("_", " ").translate(_PUNCTUATION).lower().split())
        return plain.lower() if how == "lower" else plain

    if how not in ("lower", "whitespace", "canonicalize"):
        raise WeightsError(f"unknown way of cleaning texts: {how!r}", hint="update mmsearch")
    return clean


@cache
def _bpe(special: tuple[str, ...]) -> "Tokenizer":
    """CLIP's tokenizer: ids in the order bytes, bytes that end a word, merges, special tokens."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

    with gzip.open(BPE_FILE.verified(), "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")[1 : BPE_MERGES + 1]
    merges = [(first, second) for first, second in (line.split() for line in lines)]
    characters = _byte_characters()
    words = [*characters, *(f"{c}</w>" for c in characters), *(f"{a}{b}" for a, b in merges), START, END, *special]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(word, normalized=False) for word in (START, END, *special)])
    return tokenizer


def _byte_characters() -> list[str]:
    """A printable character for every byte: itself where it has one, printable bytes first, as GPT-2 has it."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - len(printable))]
