"""Loading a model by the library, from local files alone, its tensors compared with its architecture first."""

import logging
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mmsearch.encoders import tensors
from mmsearch.encoders.sentence.checkpoint import SentenceCheckpoint
from mmsearch.errors import WeightsError
from mmsearch.types import Modality

if TYPE_CHECKING:
    import torch

HINT = "take config and weights of the same model"
HEADS = ("position_ids", "lm_head.weight")
"""Ends of names of tensors that vectors don't need: counters, and what would write text."""
TOWERS: Mapping[str, Mapping[str, tuple[Modality, ...]]] = {
    "embedding_gemma2": {"vision_config": ("image", "video"), "audio_config": ("audio",)},
}
"""model_type -> parts of a config that may be left out, with their weights, and the kinds that need them."""
LONGEST_CONTEXT = 8192


def load_model(
    checkpoint: SentenceCheckpoint, needed: Collection[Modality], device: "torch.device", dtype: "torch.dtype"
) -> Any:
    """A SentenceTransformer with the towers of some kinds of input, in evaluation mode.

    transformers' own `from_pretrained` fills in at random what weights lack; here that is an error.
    Raises: WeightsError for weights that are damaged, or are not those of the architecture in the config.
    """
    for path in checkpoint.weights():
        tensors.check_pointer(path)
    with quiet():
        try:
            made = _assembled(checkpoint, needed, device, dtype)
        except WeightsError:
            raise
        except (RuntimeError, MemoryError) as error:
            if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
                raise
            raise _other_shape(checkpoint) or _unusable(checkpoint, error) from error
        except Exception as error:  # whatever the libraries make of files that they don't like
            raise _unusable(checkpoint, error) from error
    missing = [kind for kind in needed if kind not in made.modalities and "message" not in made.modalities]
    if missing:
        raise WeightsError(f"{checkpoint.name} takes {made.modalities}, not {missing[0]} as its config says", hint=HINT)
    return made.eval()


def _unusable(checkpoint: SentenceCheckpoint, error: Exception) -> WeightsError:
    return WeightsError(
        f"{checkpoint.name} can't be loaded: {type(error).__name__}: {' '.join(str(error).split())[:300]}",
        hint="its files may be damaged, or need newer libraries: pip install --upgrade sentence-transformers",
    )


def _other_shape(checkpoint: SentenceCheckpoint) -> WeightsError | None:
    """Which tensor is not of the shape that the architecture has; None if that was not it."""
    try:
        shapes = _architecture(str(checkpoint.folder))
    except Exception:  # then that is what is wrong
        return None
    stored = {name: shape for path in checkpoint.weights() for name, shape in tensors.tensor_shapes(path).items()}
    wrong = next((name for name in sorted(stored) if shapes.get(name, stored[name]) != stored[name]), None)
    if wrong is None:
        return None
    return WeightsError(f"{checkpoint.folder}: {wrong} is {stored[wrong]}, not {shapes[wrong]}", hint=HINT)


def _assembled(
    checkpoint: SentenceCheckpoint, needed: Collection[Modality], device: "torch.device", dtype: "torch.dtype"
) -> Any:
    from sentence_transformers import SentenceTransformer

    whole = _Whole(checkpoint)
    modules = [_module(checkpoint, kind, path, needed, dtype, whole) for kind, path in checkpoint.modules]
    # It gives the other modules the transformer's kind of numbers. Never `.to(dtype)` here: that would round the
    # frequencies that positions turn by, which the transformer keeps in float32 whatever its weights are.
    made = SentenceTransformer(modules=modules, device=str(device), local_files_only=True)
    made.prompts.update(checkpoint.prompts)
    made.max_seq_length = min(made.max_seq_length or LONGEST_CONTEXT, LONGEST_CONTEXT)
    return made


def _module(
    checkpoint: SentenceCheckpoint,
    kind: str,
    path: str,
    needed: Collection[Modality],
    dtype: "torch.dtype",
    whole: "_Whole",
) -> Any:
    from sentence_transformers.base.modules.dense import Dense
    from sentence_transformers.base.modules.normalize import Normalize
    from sentence_transformers.sentence_transformer.modules.dropout import Dropout
    from sentence_transformers.sentence_transformer.modules.layer_norm import LayerNorm
    from sentence_transformers.sentence_transformer.modules.pooling import Pooling

    folder = str(checkpoint.folder)
    if kind == "transformer":
        return _transformer(checkpoint, needed, dtype, whole)
    plain: dict[str, Any] = {
        "pooling": Pooling, "normalize": Normalize, "dense": Dense, "layer_norm": LayerNorm, "dropout": Dropout,
    }  # fmt: skip
    if kind in ("dense", "layer_norm") and not (checkpoint.folder / path / "model.safetensors").is_file():
        raise WeightsError(
            f"{checkpoint.folder / path} holds no model.safetensors; a pickle may run code and is not read",
            hint="have sentence-transformers save the model again where you trust it",
        )
    return plain[kind].load(folder, subfolder=path, local_files_only=True)


def _transformer(
    checkpoint: SentenceCheckpoint, needed: Collection[Modality], dtype: "torch.dtype", whole: "_Whole"
) -> Any:
    from sentence_transformers.base.modules.transformer import Transformer

    class Checked(Transformer):
        """The library's module, whose weights are compared with its architecture as they are loaded."""

        def _load_model(self, *args: Any, **kwargs: Any) -> Any:
            found: Any = super()._load_model(*args, output_loading_info=True, use_safetensors=True, **kwargs)
            loaded, told = found
            whole.check(loaded, told)
            return loaded

    spared = {
        part: None
        for part, kinds in TOWERS.get(checkpoint.kind, {}).items()
        if not any(kind in needed for kind in kinds)
    }
    made = Checked.load(
        str(checkpoint.folder),
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"dtype": dtype},
        config_kwargs=spared,
    )
    made.processing_kwargs = _processing(checkpoint, made.processing_kwargs)
    return made


def _processing(checkpoint: SentenceCheckpoint, own: Mapping[str, Any] | None) -> dict[str, Any]:
    """How the library is to prepare inputs: frames are those that it is given."""
    said: dict[str, Any] = {kind: dict(entry) for kind, entry in (own or {}).items()}
    if "video" in checkpoint.modalities:
        said.setdefault("video", {})["do_sample_frames"] = False
    if checkpoint.options.max_soft_tokens is not None:
        said.setdefault("image", {})["max_soft_tokens"] = checkpoint.options.max_soft_tokens
    return said


class _Whole:
    """The tensors of a checkpoint, against what its architecture has."""

    def __init__(self, checkpoint: SentenceCheckpoint) -> None:
        self._checkpoint = checkpoint
        own = [path for path in checkpoint.weights() if path.parent == checkpoint.folder]
        self._stored = {name: shape for path in own for name, shape in tensors.tensor_shapes(path).items()}

    def check(self, loaded: Any, told: Mapping[str, Any]) -> None:
        """Raises: WeightsError for tensors that are missing, too many, or of another shape."""
        mismatch = f"{self._checkpoint.folder} does not hold the weights of the architecture in its config"
        for key, what in (("missing_keys", "is missing"), ("mismatched_keys", "has another shape")):
            if names := sorted(str(name) for name in told.get(key) or ()):
                raise WeightsError(f"{mismatch}: {names[0]} {what}", hint=HINT)
        if problems := told.get("error_msgs"):
            raise WeightsError(f"{mismatch}: {str(problems)[:200]}", hint=HINT)
        surplus = {str(name) for name in told.get("unexpected_keys") or ()} | self._unasked(loaded)
        if names := sorted(name for name in surplus if not name.endswith(HEADS)):
            raise WeightsError(f"{mismatch}: {names[0]} is too much", hint=HINT)

    def _unasked(self, loaded: Any) -> set[str]:
        """Stored tensors that the library leaves out without a word, and the whole architecture doesn't have; among
        them the shapes of towers that are not loaded."""
        ignored = [re.compile(pattern) for pattern in type(loaded)._keys_to_ignore_on_load_unexpected or ()]
        silent = [name for name in self._stored if any(pattern.search(name) for pattern in ignored)]
        if not silent:
            return set()
        shapes = _architecture(str(self._checkpoint.folder))
        return {name for name in silent if shapes.get(name) != self._stored[name]}


def _architecture(folder: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of the whole model, which takes no memory."""
    import torch
    import transformers

    library: Any = transformers  # half of it has no types
    config = library.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        built = library.AutoModel.from_config(config, trust_remote_code=False)
    return {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}


_QUIET = threading.RLock()
"""The libraries' levels are the process's."""


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and no remarks of the two libraries; what is wrong is raised."""
    import transformers

    said: Any = transformers.utils.logging
    with _QUIET:
        bars, level = said.is_progress_bar_enabled(), said.get_verbosity()
        library = logging.getLogger("sentence_transformers")
        own = library.level
        said.disable_progress_bar()
        said.set_verbosity_error()
        library.setLevel(logging.ERROR)
        try:
            yield
        finally:
            if bars:
                said.enable_progress_bar()
            said.set_verbosity(level)
            library.setLevel(own)


class SharedModel:
    """One model for the encoders of a space on one device: with the tower of words alone until another is asked for."""

    def __init__(self, load: Callable[[Collection[Modality]], Any], all_kinds: Collection[Modality]) -> None:
        self._load = load
        self._all = frozenset(all_kinds)
        self._kinds: frozenset[Modality] = frozenset()
        self._model: Any = None
        self.lock = threading.RLock()
        """Held while the library is at work: its tokenizers serve one thread at a time."""

    def of(self, kind: Modality) -> Any:
        """The model, with what this kind of input needs. The caller holds the lock."""
        if kind not in self._kinds:
            needed = frozenset((kind,)) if not self._kinds and kind == "text" else self._all
            self._model = None  # two at once need not fit
            self._model, self._kinds = self._load(needed), needed
        return self._model
