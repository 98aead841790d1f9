"""Settings: arguments > MMSEARCH_* variables > the user's own file > the library's mmsearch.toml > defaults.

`memory_bytes = 2_000_000_000` in a file and MMSEARCH_MEMORY_BYTES=2000000000 say the same. A library's file travels
with it: it has no say in what this machine does, and names no code.
"""

import logging
import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict, get_args

from mmsearch.core import registry
from mmsearch.core.keeping import Keeping, Places
from mmsearch.core.paths import data_folder
from mmsearch.core.value_ranges import (
    NumbersByName,
    RealNumbers,
    Switch,
    TextValues,
    ValueRange,
    WholeNumbers,
    brief_repr,
    one_of,
)
from mmsearch.errors import InvalidInput, UnknownName
from mmsearch.types import Limits, Modality

_log = logging.getLogger(__name__)

FILE_NAME = "mmsearch.toml"
FUSIONS = ("best", "mean", "weighted", "off")
AUTO = "auto"
"""The setting `space` that leaves the choice to us."""
LEARNED = "learned:"
"""Begins the fusion that is a trained model's; its name follows."""
INDEXES = ("auto", "flat", "ivf", "ivf-sq8", "ivf-pq", "ivf-rabitq", "hnsw", "hnsw-sq8", "numpy", "pgvector")
"""What `index` may be, besides what other packages bring; the presets themselves are `mmsearch.vectors.presets`."""
DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?")
DEVICES = re.compile(rf"({DEVICE.pattern})(\+({DEVICE.pattern})){{0,15}}")
"""Several of them, an ingest's encoders on each."""
Precision: TypeAlias = Literal["auto", "fp32", "fp16", "bf16"]
IndexDevice: TypeAlias = Literal["cpu", "gpu"]
Storage: TypeAlias = Literal["float32", "float16"]
KeepMemory: TypeAlias = Literal["auto", "on", "off"]
Warm: TypeAlias = Literal["auto", "on", "off"]
Extract: TypeAlias = Literal["auto", "on", "off"]
Audit: TypeAlias = Literal["auto", "on", "off"]
_LIMITS = Limits()
_ours = False


def own_process() -> None:
    """Say that this process is mmsearch's own, a command or a worker: nobody else minds what it does to the whole."""
    global _ours
    _ours = True
    # No library beneath tells anybody what runs here.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def _is_index(name: str) -> bool:
    # Reading the entry points takes milliseconds. "faiss" is what the presets are made with.
    return name in INDEXES or (name != "faiss" and name in registry.known_targets("indexes"))


def _is_fusion(name: str) -> bool:
    return name in FUSIONS or (name.startswith(LEARNED) and name != LEARNED)


_LONG_S = 1e9
"""Thirty years: no sound is longer."""
_MUCH = 2**62

DOMAINS: Mapping[str, ValueRange] = {
    "space": TextValues("a name of `mmsearch models`", lambda name: name and "\0" not in name),
    "device": TextValues("known: auto, cpu, cuda, cuda:N, mps; several: cuda:0+cuda:1", DEVICES.fullmatch),
    "precision": one_of(*get_args(Precision)),
    "models": TextValues("a folder", lambda path: "\0" not in path),
    "index": TextValues(f"known: {', '.join(INDEXES)}", _is_index),
    "index_device": one_of(*get_args(IndexDevice)),
    "recall": RealNumbers(1),
    "workers": WholeNumbers(0, 1024),
    "jobs": WholeNumbers(0, 1024),
    "nice": WholeNumbers(0, 19),
    "batch_size": WholeNumbers(0, 2**20),
    "regions": WholeNumbers(0, 7),
    "false_accepts": RealNumbers(1, below=True),
    "fusion": TextValues(f"known: {', '.join(FUSIONS)}, {LEARNED}NAME", _is_fusion),
    "fusion_weights": NumbersByName(
        "a finite number above 0 for each kind, such as { image = 1, text = 0.5 }; as a text image=1,text=0.5",
        lambda n: 0 < n < math.inf,
    ),
    "dedup": Switch(),
    "similarity": NumbersByName(
        "a cosine above 0, at most 1, for each kind, such as { image = 0.95 }; as a text image=0.95,audio=0.999",
        lambda n: 0 < n <= 1,
    ),
    "storage": one_of(*get_args(Storage)),
    "commit_segments": WholeNumbers(1, 2**31),
    "commit_s": RealNumbers(_LONG_S),
    "keep_memory": one_of(*get_args(KeepMemory)),
    "warm": one_of(*get_args(Warm)),
    "speech": one_of(*get_args(Extract)),
    "speech_model": TextValues("whisper-base, or a folder", lambda name: name and "\0" not in name),
    "ocr": one_of(*get_args(Extract)),
    "keep_places": one_of(*get_args(Places)),
    "keep_camera": Switch(),
    "keep_people": Switch(),
    "keep_tags": Switch(),
    "keep_names": Switch(),
    "audit": one_of(*get_args(Audit)),
    "audit_queries": Switch(),
    "preview_bytes": WholeNumbers(0, _MUCH),
    "pixels": WholeNumbers(1, _MUCH),
    "file_bytes": WholeNumbers(1, _MUCH),
    "text_bytes": WholeNumbers(1, _MUCH),
    "duration_s": RealNumbers(_LONG_S),
    "decode_s": RealNumbers(1e6),
    "memory_bytes": WholeNumbers(1, _MUCH),
    "frames_per_minute": WholeNumbers(1, 3600),
}
"""Setting -> what it may be."""

RENAMED = {"fold": "dedup", "alike": "similarity"}
"""What a library's own file may still say, of version 0.1: it travels with the library, which has to open."""

ONCE_TEXTS = frozenset(("dedup", "fusion_weights", "similarity"))
"""Settings that were texts in version 0.1, "off" and "image=0.95,text=0.98": in a file they may still be."""

MACHINE = frozenset(
    (
        "device",
        "precision",
        "models",
        "index_device",
        "workers",
        "jobs",
        "nice",
        "batch_size",
        "keep_memory",
        "warm",
        "speech_model",
        "preview_bytes",
        *(f.name for f in fields(Limits)),
    )
)
"""Settings of a machine, in which a library's own file has no say."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default. Where 0 is allowed, it means "choose for this machine"."""

    space: str = "starter"
    """Model (space) of a new library; an existing library keeps its own. auto takes the best one that is here, fits
    the machine, may be used commercially and takes an hour at most."""
    device: str = "auto"
    """Device that models compute on; auto takes a GPU if there is one. Of several, cuda:0+cuda:1, an ingest uses all, a
    process for each, and everything else the first."""
    precision: Precision = "auto"
    """Number format that models compute in; auto is fp16 on a GPU and fp32 on a CPU, or bf16 where a trial there shows
    that a large model gains by it."""
    models: str = ""
    """Folder of prepared models; if empty, `models` in your data folder. No argument: a process has one."""
    index: str = "auto"
    """Kind of index for large lists: auto, a preset of `mmsearch index presets`, numpy (no FAISS), or pgvector, which
    a library on PostgreSQL with that extension can have."""
    index_device: IndexDevice = "cpu"
    """Device that searches vectors; gpu needs a GPU that FAISS sees."""
    recall: float = 0.95
    """Fraction of the ten nearest that an index must find before it is used."""
    workers: int = 0
    """Number of decoding processes; 0 means one per CPU core, at most 8."""
    jobs: int = 0
    """Number of CPU cores that an ingest takes at most, all its threads and processes together; 0 means all. In a
    program that imports mmsearch it bounds the decoding processes alone."""
    nice: int = 5
    """How far a long run of the mmsearch command steps back behind other programs, from 0 to 19; nothing in a program
    that imports mmsearch."""
    batch_size: int = 0
    """Number of segments an encoder takes at once; 0 means the encoder's own choice."""
    regions: int = 3
    """Parts of a photo, at most, that get a vector of their own beside the whole, where the model sees such; 0 turns
    them off, and changes no other vector."""
    false_accepts: float = 0.05
    """Fraction of queries about nothing in the library that may still get a confident hit."""
    fusion: str = "best"
    """How files that belong together are ranked: by the "best" of them, their "mean", their "weighted" mean, a
    model that `mmsearch train fusion` made ("learned:NAME"), or each by itself ("off")."""
    fusion_weights: Mapping[Modality, float] = field(
        default_factory=lambda: {"image": 1.0, "video": 1.0, "audio": 1.0, "text": 0.5}, hash=False
    )
    """Weight of a file of each kind in a weighted mean; 1 for a kind that is not named."""
    dedup: bool = True
    """Whether near-duplicates among results are shown as one."""
    similarity: Mapping[Modality, float] = field(
        default_factory=lambda: {"image": 0.95, "audio": 0.999, "text": 0.98}, hash=False
    )
    """Cosine from which two segments of a kind count as near-duplicates. The defaults suit the starter space, where
    hardly two different files reach them; another space may need others."""
    storage: Storage = "float32"
    """Number format of a new library's vectors on disk; float16 is half as large."""
    commit_segments: int = 512
    """Number of segments after which a transaction is committed; the last file may exceed it."""
    commit_s: float = 5.0
    """Seconds after which a transaction is committed even if it is smaller."""
    keep_memory: KeepMemory = "auto"
    """Whether the C library keeps freed memory for the next batch, in the whole process. auto is on in mmsearch's own
    commands and workers, and off in a program that imports mmsearch."""
    warm: Warm = "auto"
    """Whether a query in a shell leaves a process behind that answers the next ones. auto is on at a terminal of a
    machine with 8 GB of memory or more. No argument: it is about the shell."""
    speech: Extract = "auto"
    """Whether an ingest listens to what is said afterwards; auto where the extra and its model are here."""
    speech_model: str = "whisper-base"
    """Model that listens: a prepared one, or a folder in CTranslate2's layout. No argument: a process has one."""
    ocr: Extract = "auto"
    """Whether an ingest reads what is written in pictures afterwards; auto where the extra is here."""
    keep_places: Places = "exact"
    """What is kept of where media were taken: exact, rounded (0.1 degree, no places by name) or none."""
    keep_camera: bool = True
    """Whether the make and model of cameras and their lenses are kept."""
    keep_people: bool = True
    """Whether names of people are kept that files and sidecars bring: who is in a picture, who wrote a document."""
    keep_tags: bool = True
    """Whether keywords become tags that files and sidecars bring."""
    keep_names: bool = True
    """Whether words of the names of files and folders are kept for searches."""
    audit: Audit = "auto"
    """Whether servers note who opened and changed which items (`mmsearch audit`); auto where the library has tokens."""
    audit_queries: bool = False
    """Whether they note what was searched for, too."""
    preview_bytes: int = 2_000_000_000
    """Bytes of small pictures that are kept for the page of `mmsearch serve`, in the library's folder; 0 keeps none."""
    pixels: int = _LIMITS.pixels
    file_bytes: int = _LIMITS.file_bytes
    text_bytes: int = _LIMITS.text_bytes
    duration_s: float = _LIMITS.duration_s
    decode_s: float = _LIMITS.decode_s
    memory_bytes: int = _LIMITS.memory_bytes
    frames_per_minute: int = _LIMITS.frames_per_minute

    @property
    def limits(self) -> Limits:
        return Limits(**{f.name: getattr(self, f.name) for f in fields(Limits)})

    @property
    def keeping(self) -> Keeping:
        """The settings `keep_...` together, but for `keep_memory`."""
        return Keeping(self.keep_places, self.keep_camera, self.keep_people, self.keep_tags, self.keep_names)

    @property
    def keeps_memory(self) -> bool:
        """What `keep_memory` means in this process."""
        return self.keep_memory == "on" or (self.keep_memory == "auto" and _ours)

    @property
    def similar_segments(self) -> Mapping[Modality, float]:
        """Segment modality -> cosine: `similarity`, and for the clips of videos that of their frames."""
        seen = self.similarity.get("image")
        return self.similarity if seen is None else {"video": seen, **self.similarity}

    @property
    def weights(self) -> Mapping[str, float]:
        """Item modality -> what a file counts for in its bundle's mean, 1 if it isn't named."""
        return self.fusion_weights if self.fusion == "weighted" else {}

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that models compute on."""
        return tuple(self.device.split("+"))

    @property
    def decode_workers(self) -> int:
        workers = self.workers or min(os.cpu_count() or 1, 8)
        return min(workers, self.jobs) if self.jobs else workers


class SettingsArguments(TypedDict, total=False):
    """What `mmsearch.open` takes by name: all but `models`, `speech_model`, `warm`. None counts as not given."""

    space: str | None
    device: str | None
    precision: Precision | None
    index: str | None
    index_device: IndexDevice | None
    recall: float | None
    workers: int | None
    jobs: int | None
    nice: int | None
    batch_size: int | None
    regions: int | None
    false_accepts: float | None
    fusion: str | None
    fusion_weights: Mapping[Modality, float] | None
    dedup: bool | None
    similarity: Mapping[Modality, float] | None
    storage: Storage | None
    commit_segments: int | None
    commit_s: float | None
    keep_memory: KeepMemory | None
    speech: Extract | None
    ocr: Extract | None
    keep_places: Places | None
    keep_camera: bool | None
    keep_people: bool | None
    keep_tags: bool | None
    keep_names: bool | None
    audit: Audit | None
    audit_queries: bool | None
    preview_bytes: int | None
    pixels: int | None
    file_bytes: int | None
    text_bytes: int | None
    duration_s: float | None
    decode_s: float | None
    memory_bytes: int | None
    frames_per_minute: int | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings, and where each is from."""

    settings: Settings
    origins: Mapping[str, str] = field(default_factory=dict)
    """Setting -> "arguments", "environment", "user" or "library", for those that somebody gave."""
    ignored: tuple[str, ...] = ()
    """Settings of the machine in the library's file, which don't count."""
    library_file: Path | None = None
    named: tuple[str, ...] = ()
    """The spaces that the user named anywhere: a library's own file may choose one that is installed, but no code."""

    def origin(self, name: str) -> str:
        """Where a setting is from: "default" for one that nobody gave."""
        return self.origins.get(name, "default")


LIBRARY = "library"
FILES = (LIBRARY, "user")
_told: set[tuple[Path, tuple[str, ...]]] = set()


def read_settings(folder: Path | None = None, **arguments: Any) -> Settings:
    """Settings for a library folder; an argument that is None counts as not given. Raises: InvalidInput."""
    return read_configuration(folder, **arguments).settings


def read_configuration(folder: Path | None = None, **arguments: Any) -> Configuration:
    """As `settings`, with what is known of each. Raises: InvalidInput, UnknownName."""
    path = folder / FILE_NAME if folder else None
    given = {name: value for name, value in arguments.items() if value is not None}
    if "warm" in given:
        raise InvalidInput("warm cannot be an argument: it is about the shell", hint="set MMSEARCH_WARM")
    for name in ("models", "speech_model"):
        if name in given:
            raise InvalidInput(
                f"{name} cannot be an argument: a process has one",
                hint=f"set MMSEARCH_{name.upper()}, or {name} in {user_file()}",
            )
    library = {RENAMED.get(name, name): value for name, value in _file(path).items()} if path else {}
    sources: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
        (LIBRARY, str(path), library),
        ("user", str(user_file()), _file(user_file())),
        ("environment", "the environment", _environment()),
        ("arguments", "the arguments", given),
    )
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source, place, found in sources:
        for name, value in found.items():
            if name not in DOMAINS:
                known = ", ".join(sorted(DOMAINS))
                raise InvalidInput(f"unknown setting {brief_repr(name)} in {place}", hint=f"known: {known}")
            if source == LIBRARY and name in MACHINE:
                continue
            values[name], origins[name] = _checked(name, value, source, place), source
    ignored = tuple(sorted(MACHINE.intersection(library)))
    named = tuple(found["space"] for _, _, found in sources[1:] if "space" in found)
    return Configuration(Settings(**values), origins, ignored, path, named)


def warn_of_ignored(found: Configuration) -> Configuration:
    """The same; what of a library's file doesn't count has been logged, once in a process."""
    if not found.ignored or found.library_file is None or (found.library_file, found.ignored) in _told:
        return found
    _told.add((found.library_file, found.ignored))
    _log.warning(
        "%s sets %s, which are settings of a machine: ignored; yours are in %s",
        found.library_file, ", ".join(found.ignored), user_file(),
    )  # fmt: skip
    return found


def user_file() -> Path:
    """The user's own settings, on this machine."""
    import platformdirs

    return Path(platformdirs.user_config_dir("mmsearch", appauthor=False)) / FILE_NAME


def models_folder() -> Path:
    """The setting `models`: one folder for each prepared model. Raises: InvalidInput for a user's file that can't be
    read."""
    named = os.environ.get("MMSEARCH_MODELS") or _file(user_file()).get("models")
    if named:
        return Path(DOMAINS["models"].of(named)).expanduser().absolute()
    return data_folder() / "models"


MOST_BYTES, LONGEST_LINE = 2**15, 500
"""Of a file of settings: what tomllib does with a key of many parts takes their number's square."""


def _file(path: Path) -> Mapping[str, Any]:
    """What a file says; nothing if there is none. Raises: InvalidInput."""
    try:
        if not _there(path):
            return {}
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidInput(f"{path} can't be read: {why}", hint="make it readable, or move it away") from error
    if len(content) > MOST_BYTES or max(map(len, content.splitlines()), default=0) > LONGEST_LINE:
        raise InvalidInput(f"{path} is too large for a file of settings", hint="a line for each: workers = 4")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError, OverflowError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInput(f"{path} is not valid TOML: {said}", hint="a line for each setting: workers = 4") from error


def _there(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:
        # A folder that this user may not look into, such as another's home, holds nothing of theirs.
        return False


def _environment() -> Mapping[str, str]:
    # MMSEARCH_LIBRARY chooses the folder itself and is read by library.locate().
    named = {name: os.environ.get(f"MMSEARCH_{name.upper()}") for name in DOMAINS}
    return {name: value for name, value in named.items() if value}


def _checked(name: str, value: Any, source: str, place: str) -> Any:
    """Raises: InvalidInput, UnknownName for an index nobody knows."""
    domain = DOMAINS[name]
    is_text = source == "environment" or (source in FILES and name in ONCE_TEXTS and isinstance(value, str))
    try:
        return domain.parsed(value) if is_text else domain.of(value)
    except (ValueError, OverflowError) as error:
        kind = UnknownName if name == "index" else InvalidInput
        raise kind(f"setting {name} can't be {brief_repr(value)} (in {place})", hint=domain.known) from error
