"""A model of sentence-transformers on disk: what its configs say, read and checked without torch or the library.

- modules.json: what a vector goes through: a transformer, pooling, dense layers, normalising
- config.json, sentence_bert_config.json: the transformer, and the kinds of input it takes
- config_sentence_transformers.json: what stands before queries and before documents
- processor_config.json and its like, tokenizer.json: how inputs are prepared, by the library itself
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmsearch.encoders import model_store
from mmsearch.encoders.huggingface.checkpoint import weights_among
from mmsearch.encoders.sentence import folder as files
from mmsearch.encoders.sentence.options import ModelOptions
from mmsearch.encoders.tokenizer import TOKENIZER_FILE
from mmsearch.errors import InvalidInput, MmsearchError, WeightsError
from mmsearch.types import Modality, Windowing

VERSION = 1
"""Raised whenever the vectors of the same files would change by what is done here."""
MODULES = {
    "Transformer": "transformer",
    "CLIPModel": "transformer",
    "Pooling": "pooling",
    "Normalize": "normalize",
    "Dense": "dense",
    "LayerNorm": "layer_norm",
    "Dropout": "dropout",
}
"""Class of a module -> what it is; others are not loaded."""
METHODS = ("forward", "get_text_features", "get_image_features", "get_audio_features", "get_video_features")
"""Methods of a model that a config may have called."""
KINDS: tuple[Modality, ...] = ("text", "image", "audio", "video")
WINDOW_S = 10.0
"""Of sounds, where the model takes as much."""
CLIP_S, CLIP_FRAMES = 10.0, 8
"""Of a video: the length of a clip, about, and how many frames of it a model sees."""
PASSAGE_WORDS, LONGEST_CONTEXT = 180, 8192
MOST_SIDE, MOST_CLIP_SIDE = 1024, 448
"""Pixels of a picture's shorter side, and of a clip's where the model doesn't say."""
_PLAIN = Windowing()
SOFT_TOKENS = (70, 140, 280, 560, 1120)
"""What Gemma's processors take."""

_TRANSFORMER_KEYS = {
    "max_seq_length", "do_lower_case", "transformer_task", "modality_config", "module_output_name",
    "processing_kwargs", "unpad_inputs", "query_length", "document_length",
}  # fmt: skip
_PASSING = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "__version__")


@dataclass(frozen=True, slots=True)
class SentenceCheckpoint:
    """What the configs say, checked; the weights are not opened."""

    name: str
    folder: Path
    options: ModelOptions
    modules: tuple[tuple[str, str], ...]
    """(what it is, the folder of its own), in the order that a vector goes through them."""
    full_dim: int
    takes: tuple[Modality, ...]
    """Segment modalities that the model itself takes."""
    joins: bool
    """Whether it takes several kinds as one input."""
    prompts: Mapping[str, str]
    """"query" and "document" -> what stands before them."""
    windowing: Windowing
    kind: str
    """model_type of its transformer."""
    digest: str
    """12 hex digits over everything in the configs that bears on vectors."""

    @property
    def dim(self) -> int:
        return self.options.dimensions or self.full_dim

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Those it embeds: all it takes but what was left out, and videos only as clips."""
        clips = self.windowing.clip_frames > 0
        return tuple(kind for kind in self.takes if kind not in self.options.without and (clips or kind != "video"))

    @property
    def size(self) -> int:
        """Bytes of its weights. Raises: WeightsError if there are none."""
        return sum(path.stat().st_size for path in self.weights())

    def weights(self) -> list[Path]:
        """The files with the weights, those of the modules too. Raises: WeightsError if there are none."""
        names = files.names_below(self.folder)
        modules = [name for name in files.module_files(names) if name.endswith(".safetensors")]
        root = weights_among([name for name in names if "/" not in name], self.folder)
        return [self.folder / name for name in (*root, *modules)]

    def hashes(self) -> dict[str, str]:
        """File name -> sha256 of what vectors depend on. Raises: WeightsError."""
        named = [*self.weights(), self.folder / TOKENIZER_FILE]
        return {path.relative_to(self.folder).as_posix(): model_store.sha256(path) for path in named}


def read_sentence(name: str, folder: Path, options: ModelOptions) -> SentenceCheckpoint:
    """The checkpoint in a folder. Raises: WeightsError for a folder that can't be used, InvalidInput for options that
    the model doesn't have."""
    configs = files.read_configs(folder)
    try:
        return _read(name, folder, options, configs)
    except MmsearchError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"the configs in {folder} can't be used: {reason}", hint=files.ANEW) from error


def _read(name: str, folder: Path, options: ModelOptions, configs: Mapping[str, Any]) -> SentenceCheckpoint:
    config = configs[files.CONFIG_FILE]
    modules = _modules(configs[files.MODULES_FILE])
    transformer = _transformer(configs.get(files.TRANSFORMER_FILE, {}))
    processors = _processors(configs)
    takes, joins = _takes(config, transformer, processors)
    dim = _dim(config, transformer, modules, configs)
    _check_options(name, options, dim, takes, processors)
    said = {key: value for key, value in configs.items() if key != files.MODULES_FILE}
    digest = _digest([configs[files.MODULES_FILE], said, _template(folder)])
    return SentenceCheckpoint(
        name, folder, options, modules, dim, takes, joins, _prompts(configs.get(files.SENTENCE_FILE, {})),
        _windowing(config, transformer, processors, options, takes, joins), str(config["model_type"]), digest,
    )  # fmt: skip


def _template(folder: Path) -> str:
    path = folder / files.TEMPLATE_FILE
    return path.read_text("utf-8") if path.is_file() else ""


def _digest(said: Any) -> str:
    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: kept(one) for key, one in value.items() if key not in _PASSING}
        return [kept(one) for one in value] if isinstance(value, list) else value

    return hashlib.sha256(json.dumps(kept(said), sort_keys=True).encode()).hexdigest()[:12]


def _modules(listed: list[Any]) -> tuple[tuple[str, str], ...]:
    """Raises: WeightsError for a module that is not one of the library's few, or lies elsewhere."""
    found = []
    for entry in listed:
        reference, path = str(entry["type"]), str(entry["path"])
        package, _, name = reference.rpartition(".")
        if package.split(".")[0] != "sentence_transformers" or name not in MODULES:
            raise WeightsError(
                f"modules.json asks for {reference[:120]!r}, which is code that mmsearch doesn't load",
                hint=files.DECLINED,
            )
        if Path(path).is_absolute() or len(Path(path).parts) > 1 or ".." in path or "\\" in path or "\0" in path:
            raise WeightsError(f"modules.json looks for {name} in {path[:120]!r}, not in its folder", hint=files.ANEW)
        if entry.get("kwargs"):
            raise WeightsError(f"modules.json hands {name} arguments of its own", hint=files.DECLINED)
        found.append((MODULES[name], path))
    kinds = [kind for kind, _ in found]
    if kinds[:1] != ["transformer"] or kinds.count("transformer") > 1 or found[0][1]:
        raise ValueError("its modules don't begin with a transformer that lies in the folder itself")
    return tuple(found)


def _transformer(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises: WeightsError for arguments to the libraries, or methods, that a config has no business with."""
    if unknown := sorted(key for key, value in said.items() if key not in _TRANSFORMER_KEYS and value):
        raise WeightsError(
            f"{files.TRANSFORMER_FILE} sets {', '.join(unknown)[:200]}, which mmsearch doesn't hand on",
            hint=files.DECLINED,
        )
    if said.get("transformer_task", "feature-extraction") != "feature-extraction":
        raise WeightsError(
            f"the model is made for {str(said['transformer_task'])[:60]}, not for single vectors",
            hint="take one whose modules.json gives one vector an input",
        )
    for key, entry in (said.get("modality_config") or {}).items():
        if entry["method"] not in METHODS or not set(key.replace("(", "").split(",")[0].split("+")):
            raise WeightsError(
                f"{files.TRANSFORMER_FILE} has {str(entry['method'])[:60]!r} called for {key!r}", hint=files.DECLINED
            )
    return said


def _processors(configs: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What is said of "image", "audio" and "video" inputs, in the newer or an older layout."""
    whole = configs.get("processor_config.json", {})
    older = configs.get("preprocessor_config.json", {})
    found = {
        "image": whole.get("image_processor") or (older if "image_mean" in older else None),
        "audio": whole.get("feature_extractor") or (older if "sampling_rate" in older else None),
        "video": whole.get("video_processor") or configs.get("video_preprocessor_config.json"),
    }  # fmt: skip
    return {kind: said for kind, said in found.items() if isinstance(said, Mapping)}


def _takes(
    config: Mapping[str, Any], transformer: Mapping[str, Any], processors: Mapping[str, Any]
) -> tuple[tuple[Modality, ...], bool]:
    """The kinds of input by the model's own word; where it gives none, by its towers and processors."""
    said = transformer.get("modality_config")
    if said:
        named = {kind for key in said for kind in KINDS if key == kind}
        joins = "message" in said or any("," in key for key in said)
        return tuple(kind for kind in KINDS if kind in named), joins
    seen = any(key in config for key in ("vision_config", "vision_tower")) and "image" in processors
    heard = "audio_config" in config and "audio" in processors
    clips = seen and "video" in processors
    return tuple(kind for kind, there in zip(KINDS, (True, seen, heard, clips), strict=True) if there), False


def _dim(
    config: Mapping[str, Any],
    transformer: Mapping[str, Any],
    modules: tuple[tuple[str, str], ...],
    configs: Mapping[str, Any],
) -> int:
    """Numbers of a vector; what the model really gives is compared with it."""
    for kind, path in reversed(modules):
        said = configs.get(f"{path}/config.json", {})
        if kind == "dense":
            return _positive(said["out_features"])
        if kind == "pooling":
            modes = [key for key, value in said.items() if key.startswith("pooling_mode_") and value is True]
            if len(modes) > 1 or isinstance(said.get("pooling_mode"), list):
                raise ValueError("several poolings side by side")
            return _positive(said.get("embedding_dimension") or said["word_embedding_dimension"])
    text = config.get("text_config") or {}
    return _positive(config.get("projection_dim") or config.get("hidden_size") or text["hidden_size"])


def _positive(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 65_536:
        raise ValueError(f"vectors of {value!r} numbers")
    return value


def _prompts(said: Mapping[str, Any]) -> dict[str, str]:
    """What the library puts before queries and documents: the same names in the same order."""
    if said.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        raise WeightsError(
            f"the folder holds a {str(said['model_type'])[:60]}, not a model of single vectors",
            hint="take a SentenceTransformer; late interaction and sparse vectors are not built",
        )
    prompts = said.get("prompts") or {}
    if not all(isinstance(one, str) and len(one) <= 2000 for one in prompts.values()):
        raise ValueError("a prompt that is no short text")
    document = next((prompts[one] for one in ("document", "passage", "corpus") if one in prompts), None)
    found = {"query": prompts.get("query"), "document": document}
    default = prompts.get(said.get("default_prompt_name") or "", "")
    return {role: default if prompt is None else prompt for role, prompt in found.items()}


def _check_options(
    name: str, options: ModelOptions, dim: int, takes: tuple[Modality, ...], processors: Mapping[str, Any]
) -> None:
    """Raises: InvalidInput for what this model doesn't have."""
    if options.dimensions is not None and options.dimensions > dim:
        raise InvalidInput(f"{name} gives {dim} numbers, not {options.dimensions}", hint=f"take {dim} at most")
    if options.max_soft_tokens is not None and "max_soft_tokens" not in processors.get("image", {}):
        raise InvalidInput(f"{name} has no max_soft_tokens", hint="leave it out: only Gemma's processors have such")
    if options.max_soft_tokens not in (None, *SOFT_TOKENS):
        raise InvalidInput(f"max_soft_tokens = {options.max_soft_tokens}", hint=f"take one of {SOFT_TOKENS}")
    if missing := [kind for kind in options.without if kind not in takes]:
        raise InvalidInput(f"{name} embeds no {missing[0]} anyhow", hint="leave the option out")
    if options.clip_frames and "video" not in takes:
        raise InvalidInput(f"{name} embeds no clips of videos, but their frames", hint="leave clip_frames out")
    if options.clip_sound is not None and not {"video", "audio"} <= set(takes) - set(options.without):
        raise InvalidInput(f"{name} takes no clips with their sound anyhow", hint="leave clip_sound out")


def _windowing(
    config: Mapping[str, Any],
    transformer: Mapping[str, Any],
    processors: Mapping[str, Mapping[str, Any]],
    options: ModelOptions,
    takes: tuple[Modality, ...],
    joins: bool,
) -> Windowing:
    heard, seen = processors.get("audio", {}), processors.get("image", {})
    context = transformer.get("max_seq_length") or LONGEST_CONTEXT
    text = config.get("text_config") or config
    context = min(context, int(text.get("max_position_embeddings") or LONGEST_CONTEXT))
    words = min(PASSAGE_WORDS, max(8, int(context * 0.55)))
    wanted = set(takes) - set(options.without)
    frames = (CLIP_FRAMES if options.clip_frames is None else options.clip_frames) if "video" in wanted else 0
    window = WINDOW_S
    return Windowing(
        image_side=_side(seen, options),
        audio_rate=int(heard.get("sampling_rate", 16_000)),
        audio_window_s=window,
        audio_hop_s=window / 2,
        passage_words=words,
        passage_overlap=min(40, words // 5),
        # Of every shot, and of every ten seconds of a long one, a frame and a clip: a video in one take has one.
        shots=1 if frames else 0,
        min_frames=1 if frames else _PLAIN.min_frames,
        frames_per_minute=round(60 / CLIP_S) if frames else _PLAIN.frames_per_minute,
        clip_s=CLIP_S if frames else 0.0,
        clip_frames=frames,
        clip_sound=bool(frames and joins and "audio" in wanted and options.clip_sound is None),
        page_side=_side(seen, options) if reads_pages(seen, options) else 0,
        clip_side=_clip_side(processors.get("video", {})) if frames else 0,
    )


def reads_pages(seen: Mapping[str, Any], options: ModelOptions) -> bool:
    """Whether a model sees enough of a picture, in its own proportions, to read a page."""
    own_size = "max_soft_tokens" in seen or (seen.get("size") or {}).get("longest_edge", 0) > MOST_SIDE
    return bool(seen) and "image" not in options.without and own_size


def _clip_side(said: Mapping[str, Any]) -> int:
    """Pixels of the shorter side of a clip's frames."""
    return _side(said, ModelOptions()) if "max_soft_tokens" in said else MOST_CLIP_SIDE


def _side(seen: Mapping[str, Any], options: ModelOptions) -> int:
    """Pixels of the shorter side that the model can make use of, an eighth more."""
    if "max_soft_tokens" in seen:
        tokens = options.max_soft_tokens or int(seen["max_soft_tokens"])
        cell = int(seen.get("patch_size", 16)) * int(seen.get("pooling_kernel_size", 3))
        return min(MOST_SIDE, round(math.sqrt(tokens) * cell * 9 / 8))
    size = seen.get("crop_size") or seen.get("size") or {}
    sides = [size] if isinstance(size, int) else [size.get("height"), size.get("width"), size.get("shortest_edge")]
    known = [side for side in sides if isinstance(side, int) and 16 <= side < MOST_SIDE]
    return int(max(known) * 9 // 8) if known else MOST_SIDE
