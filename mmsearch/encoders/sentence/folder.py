"""The folder of a sentence-transformers model, looked at before either library is: nothing in it may run or fetch.

Only files of known names are read, each is regular and lies below the folder, and every config is searched for what
names code, an address or a pickle.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmsearch.core.json_text import parse_json
from mmsearch.encoders import model_store
from mmsearch.encoders.huggingface.checkpoint import WEIGHTS_FILE, weights_among
from mmsearch.encoders.sentence.template import check_template
from mmsearch.encoders.tokenizer import TOKENIZER_FILE
from mmsearch.errors import WeightsError

MODULES_FILE, CONFIG_FILE = "modules.json", "config.json"
TRANSFORMER_FILE, SENTENCE_FILE = "sentence_bert_config.json", "config_sentence_transformers.json"
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
TEMPLATE_FILE = "chat_template.jinja"
TEXTS = (
    CONFIG_FILE, MODULES_FILE, TRANSFORMER_FILE, SENTENCE_FILE, *PROCESSOR_FILES, "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "chat_template.json", TEMPLATE_FILE,
)  # fmt: skip
"""Small files that the two libraries look for; other files of a folder are not read."""

JSON_BYTES, TOKENIZER_BYTES = 8 * 2**20, 64 * 2**20
"""What such a file may take; EmbeddingGemma 2's tokenizer is one of 33 MB."""
MOST_LAYERS = 512

ANEW = "get the model anew, with the files as they were published"
DECLINED = "take a model of sentence-transformers that needs no code of its own"

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*/(?:config\.json|model\.safetensors)")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S")
_CLASS = re.compile(r"[A-Za-z0-9_]+")
_CLASS_KEYS = re.compile(r"(tokenizer|processor|image_processor|feature_extractor|video_processor)_(class|type)")
_ACTIVATION = re.compile(r"torch\.nn\.modules\.(activation|linear)\.[A-Za-z0-9]+")
_CODE_KEYS = ("auto_map", "custom_pipelines", "custom_generate", "trust_remote_code", "quantization_config")


def module_files(names: Collection[str]) -> list[str]:
    """Config and weights of the modules behind the transformer, among the names of a folder's files."""
    return sorted(name for name in names if _MODULE.fullmatch(name))


def required_files(names: Collection[str], place: object) -> list[str]:
    """Those files of a place that the model is made of, modules.json first and the weights last.

    Raises: WeightsError if some are missing.
    """
    for name in (MODULES_FILE, CONFIG_FILE, TOKENIZER_FILE):
        if name not in names:
            raise WeightsError(
                f"{place} holds no model of sentence-transformers that mmsearch knows: {name} is missing",
                hint="take the files as they were published, or have sentence-transformers save them: "
                "SentenceTransformer(...).save_pretrained(FOLDER)",
            )
    weights = weights_among([name for name in names if "/" not in name], place)
    return [*_read_files(names), *weights]


def _read_files(names: Collection[str]) -> list[str]:
    """All of them but the weights."""
    return [MODULES_FILE, *(name for name in TEXTS if name in names and name != MODULES_FILE), TOKENIZER_FILE,
            *module_files(names)]  # fmt: skip


def names_below(folder: Path) -> set[str]:
    """The files of a folder and of the folders in it, by their names with forward slashes."""
    found = (path for pattern in ("*", "*/*") for path in folder.glob(pattern))
    return {path.relative_to(folder).as_posix() for path in found if path.is_file()}


def read_configs(folder: Path) -> dict[str, Any]:
    """File name -> what every JSON file of the model says, checked.

    Raises: WeightsError for a file that is missing, damaged, too large, lies elsewhere, or names code or an address.
    """
    names = names_below(folder)
    if "adapter_config.json" in names:
        raise WeightsError(
            f"{folder} holds an adapter, whose base would be fetched from elsewhere",
            hint="where you trust it, merge it into its base and save that",
        )
    configs = {}
    # While a model is downloaded its weights are to come.
    coming = not any("/" not in name and name.endswith(_WEIGHTS) for name in names)
    for name in required_files({*names, WEIGHTS_FILE} if coming else names, folder):
        if coming and name == WEIGHTS_FILE:
            continue
        _check_place(folder, folder / name)
        if name == TEMPLATE_FILE:
            check_template(folder / name, _text(folder / name))
        elif name.endswith(".json") and name != TOKENIZER_FILE:
            configs[name] = _checked(folder / name)
        elif name == TOKENIZER_FILE:
            _check_size(folder / name, TOKENIZER_BYTES)
    return configs


def _check_place(folder: Path, path: Path) -> None:
    """Raises: WeightsError for what is no regular file of the folder's own; the hub's cache links into itself."""
    real, root = path.resolve(), folder.resolve()
    cache = model_store.hub_cache().resolve()
    if not real.is_relative_to(root) and not (root.is_relative_to(cache) and real.is_relative_to(cache)):
        raise WeightsError(f"{path} leads out of the model's folder", hint=ANEW)
    if not real.is_file():
        raise WeightsError(f"{path} is no regular file", hint=ANEW)


def _check_size(path: Path, most: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror or error}", hint="check its permissions") from error
    if size > most:
        raise WeightsError(f"{path} takes {size:,} bytes, more than any such file needs ({most:,})", hint=ANEW)


def _text(path: Path) -> str:
    _check_size(path, JSON_BYTES)
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} can't be read: {error}", hint=ANEW) from error


def _checked(path: Path) -> Any:
    try:
        found = parse_json(_text(path))
    except ValueError as error:
        raise WeightsError(f"{path} can't be read: {error}", hint=ANEW) from error
    if not isinstance(found, list if path.name == MODULES_FILE else dict):
        raise WeightsError(f"{path} can't be read: it holds something else than it should", hint=ANEW)
    for key, value in entries(found):
        _check_entry(path, key, value)
    return found


def entries(found: Any) -> Iterator[tuple[str, Any]]:
    """Key and value of everything in a document, however deep; what stands in a list has the key of the list."""
    left: list[tuple[str, Any]] = [("", found)]
    while left:
        key, value = left.pop()
        yield key, value
        if isinstance(value, Mapping):
            left.extend((str(inner), one) for inner, one in value.items())
        elif isinstance(value, list):
            left.extend((key, one) for one in value)


def _check_entry(path: Path, key: str, value: Any) -> None:
    """Raises: WeightsError for what would have one of the libraries run, fetch or build something without end."""
    if key in _CODE_KEYS and value:
        raise WeightsError(f"{path} asks for {key}, which mmsearch doesn't do", hint=DECLINED)
    if isinstance(value, str):
        if key.endswith("_implementation") and not _CLASS.fullmatch(value):
            raise WeightsError(f"{path} asks for {key} = {value[:80]!r}, which is code from elsewhere", hint=DECLINED)
        if _CLASS_KEYS.fullmatch(key) and not _CLASS.fullmatch(value):
            raise WeightsError(f"{path} names a class {value[:80]!r}, which is none of transformers'", hint=DECLINED)
        if key == "activation_function" and not _ACTIVATION.fullmatch(value):
            raise WeightsError(f"{path} names a function {value[:80]!r}, which is none of torch's", hint=DECLINED)
        if key == "chat_template" or (key == "template" and len(value) > 0):
            check_template(path, value)
        elif _ADDRESS.match(value):
            raise WeightsError(f"{path} holds the address {value[:80]!r} in {key!r}: nothing is fetched", hint=ANEW)
    layers = key.endswith(("layers", "depth"))
    if layers and isinstance(value, int | float) and not isinstance(value, bool) and value > MOST_LAYERS:
        raise WeightsError(f"{path} asks for {key} = {value}, more than any such model has", hint=ANEW)
