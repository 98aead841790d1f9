"""The tokenizer of a checkpoint: tokenizer.json and what stands beside it, by the tokenizers library, without torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.core.json_text import parse_json
from mmsearch.errors import WeightsError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_FILES = (TOKENIZER_FILE, "tokenizer_config.json", "special_tokens_map.json")


def open_tokenizer(folder: Path) -> "Tokenizer":
    """The tokenizer in a folder. Raises: WeightsError if it is damaged."""
    from tokenizers import Tokenizer

    path = folder / TOKENIZER_FILE
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more exact
        raise WeightsError(f"{path} is damaged: {error}", hint="get the model anew") from error


def declared(folder: Path) -> dict[str, Any]:
    """The special tokens, lengths and sides that stand beside tokenizer.json. Raises: WeightsError."""
    settings: dict[str, Any] = {}
    for name in reversed(TOKENIZER_FILES[1:]):
        path = folder / name
        try:
            settings |= parse_json(path.read_text("utf-8")) if path.is_file() else {}
        except (OSError, ValueError, TypeError) as error:
            raise WeightsError(f"{path} is damaged: {error}", hint="get the model anew") from error
    return settings


def whole(text: object) -> str:
    """The text without lone surrogates, which can't be handed to a tokenizer as UTF-8."""
    return str(text).encode("utf-8", "replace").decode("utf-8")
