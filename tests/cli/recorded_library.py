"""A library that does nothing but write down what the shell asks of it, and answers with values made up by their types:
for tests of what reaches it, when there are thousands of combinations of options."""

import dataclasses
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mmsearch
from mmsearch.cli.demo import SAMPLES
from mmsearch.core.config import Settings
from mmsearch.errors import InvalidInput
from mmsearch.training.results import TrainingResult
from mmsearch.types import Hit, Query

PLACES = ("index", "train", "model", "extract", "privacy", "tokens", "audit", "encryption")
"""Properties of a library that have methods of their own."""

HITS = tuple(
    Hit(n, SAMPLES / f"{n}.png", "image", round(0.07 - n / 100, 2), "unlikely", n / 10, 0.5, item_id=n)
    for n in range(1, 7)
)
"""More than a table shows of what is unlikely, each with another confidence."""


def fake(kind: Any) -> Any:
    """Some value of a type: a dataclass or a named tuple with some value in each field."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return fake(inner[0])
    if origin is typing.Literal:
        return inner[0]
    if origin is tuple:
        return (fake(inner[0]),) if Ellipsis in inner else tuple(map(fake, inner))
    if origin is not None and issubclass(origin, Mapping):
        return {}
    if origin is not None and issubclass(origin, Collection):
        return [fake(inner[0])]
    if kind in (str, int, float, Path):
        return kind("7")
    if kind is bool:
        return False
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        hints = typing.get_type_hints(kind)
        names = getattr(kind, "_fields", None) or [one.name for one in dataclasses.fields(kind) if one.init]
        return kind(**{name: fake(hints[name]) for name in names})
    return None


COPIES = mmsearch.DuplicateGroup(
    "image", tuple(dataclasses.replace(fake(mmsearch.Duplicate), path=Path(name), there=True) for name in "ab")
)


def _root(path: Path) -> mmsearch.LibraryRoot:
    return mmsearch.LibraryRoot(1, path, 7, 0, True, ("word",), None)


ANSWERS: dict[str, Any] = {
    "interpret": lambda word: Query(text=word),
    "search": lambda *_, **__: list(HITS),
    "original": lambda path: path,
    "roots": lambda: [_root(Path("/")), _root(Path.cwd() / "FOLDER")],
    "copies": [],
    "set_excludes": None,
    "saved_searches": [mmsearch.SavedSearch("dogs", "text=dog", datetime(2026, 1, 2, tzinfo=UTC))],
    "save_search": None,
    "forget_search": None,
    "estimate": mmsearch.IngestEstimate(1, {"image": 1}, 10, 7.0),
    "ingest": mmsearch.IngestReport(new=1),
    "ingest_media": mmsearch.IngestReport(new=1),
    "retry": mmsearch.IngestReport(new=1),
    "duplicates": [COPIES],
    "evaluate": fake(mmsearch.Evaluation),
    "label": [fake(mmsearch.Label)],
    "items": [],
    "count": 7,
    "tag": 7,
    "set_meta": 7,
    "status": fake(mmsearch.Status),
    "failures": [fake(mmsearch.Failure)],
    "mend": 7,
    "doctor": [mmsearch.Finding("a", "ok", "b")],
    "locations": [fake(mmsearch.Location)],
    "remove": 7,
    "prune": fake(mmsearch.Pruned),
    "backup": 7,
    "restore": 7,
    "export": fake(mmsearch.Exported),
    "import_": fake(mmsearch.Imported),
    "index.presets": [],
    "index.status": [fake(mmsearch.IndexStatus)],
    "index.tune": [],
    "index.build": [],
    "index.verify": [],
    "model.list": [fake(mmsearch.ModelStatus)],
    "model.add": fake(mmsearch.ModelAdded),
    "model.switch": fake(mmsearch.ModelSwitched),
    "model.drop": 7,
    "extract.estimate": fake(mmsearch.ExtractionEstimate),
    "extract.add": fake(mmsearch.ExtractionAdded),
    "extract.list": [fake(mmsearch.ExtractionCounts)],
    "extract.drop": fake(mmsearch.ExtractionDropped),
    "extract.transcript": (mmsearch.TextLine("Good morning.", 0.5, 2.0),),
    "extract.subtitles": lambda path, form: f"as {form}",
    "privacy.set": None,
    "privacy.show": fake(mmsearch.KeptFacts),
    "privacy.apply": fake(mmsearch.Reduced),
    "privacy.places_unasked": None,
    "tokens.create": "a token",
    "tokens.list": [fake(mmsearch.AccessToken)],
    "tokens.revoke": None,
    "audit.record": None,
    "encryption.status": mmsearch.EncryptionStatus(True, "file", "FILE"),
    "encryption.encrypt": None,
    "encryption.rekey": None,
    "audit.entries": [
        dataclasses.replace(fake(mmsearch.AuditEntry), number=n, who="word" if n % 2 else "ann", items=())
        for n in range(1, 10)
    ],
    "audit.verify": mmsearch.AuditCheck(7, "7:head", ()),
    "get_many": [],
    "train.models": [fake(mmsearch.TrainedModel)],
    "train.labels": fake(mmsearch.TrainedHead),
    "train.apply": fake(mmsearch.ActiveSpace),
    "train.to_base": fake(mmsearch.ActiveSpace),
    "train.drop": None,
    **dict.fromkeys(("train.projection", "train.adapter", "train.fusion", "train.resume"), fake(TrainingResult)),
}
"""Method -> what it answers, or the function that does."""


ATTRIBUTES: dict[str, Any] = {"privacy.keeping": mmsearch.Keeping()}
"""Attribute that is no method -> its value."""


class RecordedLibrary:
    """Every call goes into `calls`, with its arguments in words."""

    path = Path("/library")
    generation = 7
    settings = Settings(nice=0)
    """What an option says goes into `calls`, and nobody's process is bound."""

    def __init__(self, calls: list[str], place: str = "") -> None:
        self._calls = calls
        self._place = place

    def __enter__(self) -> "RecordedLibrary":
        return self

    def __exit__(self, *_: object) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name in PLACES:
            return RecordedLibrary(self._calls, f"{name}.")
        if self._place + name in ATTRIBUTES:
            return ATTRIBUTES[self._place + name]
        return self._method(self._place + name)

    def _method(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self._calls.append(f"{name} {_words(args)} {_words(options)}")
            if name == "explain":
                raise InvalidInput("there is nothing to explain")
            answer = ANSWERS[name]
            return answer(*args, **options) if callable(answer) else answer

        return call


def recording(calls: list[str]) -> Callable[..., RecordedLibrary]:
    """In the place of `open_library`."""

    def open_it(path: Path | None, **settings: Any) -> RecordedLibrary:
        calls.append(f"open {path} {_words(settings)}")
        return RecordedLibrary(calls)

    return open_it


def _words(value: Any) -> str:
    """A value by what it says, not by where it lies in memory."""
    if isinstance(value, Query):
        return f"{value.compose} {_words([(one.modality, one.value, one.weight) for one in value.parts])}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_words(one)}' for name, one in value.items())}}}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return f"[{', '.join(map(_words, value))}]"
    if value is None or isinstance(value, str | bytes | int | float | Path):
        return repr(value)
    return repr(value) if dataclasses.is_dataclass(value) else type(value).__name__
