"""What a library's vectors are searched with: to see, to tune, to build and to verify."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmsearch.catalog import ListKey
from mmsearch.context.context import LibraryContext
from mmsearch.core.config import Settings
from mmsearch.errors import InvalidInput
from mmsearch.indexing.background import BackgroundWorker
from mmsearch.indexing.tuning import BuildResult, IndexTuner
from mmsearch.types import Modality
from mmsearch.vectors import presets
from mmsearch.vectors.presets import IndexPreset

SAMPLE = 256
"""Vectors of each list whose scores are compared with the catalog's by a verification."""


@dataclass(frozen=True, slots=True)
class ListStatus:
    """How one list is searched."""

    item: Modality
    segment: Modality
    preset: str
    size: int
    """Vectors."""
    since: int
    """Of these, those that have changed since the structure was built, and are searched exactly beside it."""
    memory_bytes: int
    """About."""
    file_bytes: int
    generation: int
    effort: int | None
    """Value of the preset's search parameter; None: every vector is compared."""
    target: float
    recall: Mapping[Modality, float]
    """Modality of the query -> share of the ten nearest that are found, as last measured."""


@dataclass(frozen=True, slots=True)
class ListCheck:
    """What a verification found of one list."""

    item: Modality
    segment: Modality
    size: int
    """Vectors in the catalog."""
    wrong: tuple[str, ...]
    """Nothing, if it is as it should be."""
    repaired: bool = False


class LibraryIndex:
    """The indexes of a library's active space."""

    def __init__(self, context: LibraryContext) -> None:
        self._context = context

    def presets(self) -> Sequence[IndexPreset]:
        """The kinds of index there are."""
        return presets.PRESETS

    def status(self) -> list[ListStatus]:
        """How every list is searched. Raises: LibraryNotFound, LibraryEmpty."""
        indexes = self._context.indexes()
        return [ListStatus(key.item, key.segment, **indexes.facts(key)) for key in indexes.refresh()]

    def tune(self, recall: float | None = None) -> list[BuildResult]:
        """Find the least effort that reaches a recall with queries of every modality, by default the setting's, and
        search with it from now on. Lists that are searched exactly have nothing to tune.

        Raises: InvalidInput, LibraryLocked if somebody else is building.
        """
        builder = self._builder(recall)
        with builder.alone():
            return [made for key in self._context.indexes().refresh() if (made := builder.tune(key)) is not None]

    def build(self, preset: str | None = None, recall: float | None = None) -> list[BuildResult]:
        """Build the structures anew now: of this preset, or of the one that suits each list.

        A preset that is not the setting `index` serves until that structure has outgrown itself.

        Raises: InvalidInput, UnknownName, LibraryLocked.
        """
        builder, indexes = self._builder(recall), self._context.indexes()
        sizes = indexes.sizes()
        with builder.alone():
            return [
                builder.build(key, presets.suited_preset(size, preset or indexes.kind)) for key, size in sizes.items()
            ]

    def keep_built(self, on_built: Callable[[Sequence[BuildResult]], None] | None = None) -> None:
        """Look from now on, until the library is closed, whether a list has outgrown its structure, whoever's commit
        it was by, and have it built by another process while this one serves; an ingest no longer waits for that.

        For processes that live long. What goes wrong is logged, and tried again later.

        Args:
            on_built: Called, in another thread, once a search finds what was built.
        """
        context = self._context

        def done(told: Sequence[Mapping[str, Any]]) -> None:
            context.indexes().renew()
            if on_built is not None:
                on_built([BuildResult(**{**one, "key": ListKey(**one["key"])}) for one in told])

        arguments = [str(context.path), json.dumps(asdict(context.settings)), json.dumps(sorted(context.trust.named))]
        context.keep_caretaker(
            lambda: BackgroundWorker(
                lambda: context.builder().wanted(), "mmsearch.maintenance.index:build_due", arguments, done
            )
        )

    def verify(self, *, repair: bool = False) -> list[ListCheck]:
        """Compare every list with the catalog: its files' checksums, its ids, and the scores of some vectors.

        Args:
            repair: Make what is wrong anew from the catalog.

        Raises: LibraryLocked, with `repair`.
        """
        indexes = self._context.indexes()
        checks = [self._check(key) for key in indexes.refresh()]
        if not repair or not any(check.wrong for check in checks):
            return checks
        with self._context.writing():
            for check in checks:
                if check.wrong:
                    indexes.reset(self._key(check))
            indexes.publish()
        self._builder(None).due()
        return [
            ListCheck(
                one.item, one.segment, one.size, one.wrong, bool(one.wrong) and not self._check(self._key(one)).wrong
            )
            for one in checks
        ]

    def _key(self, check: ListCheck) -> ListKey:
        return ListKey(self._context.embedding()[1].name, check.item, check.segment)

    def _check(self, key: ListKey) -> ListCheck:
        indexes = self._context.indexes()
        wrong = list(indexes.damages(key))
        listed, held = indexes.compared(key)
        for what, ids in (("lacks", np.setdiff1d(listed, held)), ("still has", np.setdiff1d(held, listed))):
            if len(ids):
                wrong.append(f"{what} {len(ids)} segments, such as {ids[0]}")
        both = np.intersect1d(listed, held)
        some = both[np.unique(np.linspace(0, len(both) - 1, min(SAMPLE, len(both))).astype(np.int64))]
        if count := indexes.misjudged(key, some):
            wrong.append(f"gives {count} of {len(some)} vectors a score that is not theirs")
        return ListCheck(key.item, key.segment, len(listed), tuple(wrong))

    def _builder(self, recall: float | None) -> IndexTuner:
        if recall is not None and not 0 < recall <= 1:
            raise InvalidInput(f"recall is a share above 0, at most 1, not {recall}")
        return self._context.builder(recall)


def build_due(folder: str, settings: str, trusted: str) -> list[dict[str, Any]]:
    """Build what lists have outgrown, in a process of its own: `Settings`, trusted names and the outcomes are JSON."""
    context = LibraryContext(Path(folder), Settings(**json.loads(settings)), trusted=json.loads(trusted))
    try:
        return [asdict(one) for one in context.builder().due()]
    finally:
        context.close()
