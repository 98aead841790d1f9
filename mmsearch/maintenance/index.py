"""What a library's vectors are searched with: to see, to tune, to build and to verify."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from mmsearch.catalog import ListKey
from mmsearch.context.context import LibraryContext
from mmsearch.core import vault
from mmsearch.core.arguments import checked_methods
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
class IndexStatus:
    """How one list is searched."""

    item: Modality
    segment: Modality
    preset: str
    size: int
    """Vectors."""
    since: int
    """Of these, those that have changed since the ANN index was built, and are searched exactly beside it."""
    memory_bytes: int
    """About."""
    file_bytes: int
    generation: int
    search_effort: int | None
    """Value of the preset's `search_parameter`, nprobe or efSearch; None: every vector is compared."""
    target: float
    recall: Mapping[Modality, float] = field(hash=False)
    """Modality of the query -> share of the ten nearest that are found, as last measured."""


@dataclass(frozen=True, slots=True)
class IndexBuild:
    """What became of building or tuning one list's ANN index."""

    item: Modality
    segment: Modality
    preset: str
    size: int
    """Vectors."""
    search_effort: int | None
    """Value of the preset's `search_parameter`, nprobe or efSearch; None: every vector is compared."""
    target: float
    recall: Mapping[Modality, float] = field(hash=False)
    """Modality of the query -> recall@10 against an exact search."""
    published: bool
    """Whether searches use it: it reached its target."""
    seconds: float


@dataclass(frozen=True, slots=True)
class IndexCheck:
    """What a verification found of one list."""

    item: Modality
    segment: Modality
    size: int
    """Vectors in the catalog."""
    wrong: tuple[str, ...]
    """Nothing, if it is as it should be."""
    repaired: bool = False


@checked_methods
class LibraryIndex:
    """The indexes of a library's active space."""

    def __init__(self, context: LibraryContext) -> None:
        self._context = context

    def presets(self) -> Sequence[IndexPreset]:
        """The kinds of index, the one for the smallest lists first."""
        return presets.PRESETS

    def status(self) -> list[IndexStatus]:
        """How each list is searched, and its measured recall. Raises: LibraryNotFound, LibraryEmpty."""
        indexes = self._context.indexes()
        return [IndexStatus(key.item, key.segment, **indexes.describe(key)) for key in indexes.refresh()]

    def tune(self, recall: float | None = None) -> list[IndexBuild]:
        """Choose the least search effort that reaches a recall with queries of every modality.

        A list that is searched exactly has nothing to tune.

        Args:
            recall: Fraction of the ten nearest to find, in (0, 1]; by default the setting `recall`.

        Returns:
            One result for each list, with the recall that was measured.

        Raises: InvalidInput, LibraryLocked if another process is building.
        """
        tuner = self._tuner(recall)
        with tuner.build_lock():
            tuned = [tuner.tune(key) for key in self._context.indexes().refresh()]
            return [_made_known(made) for made in tuned if made is not None]

    def build(self, preset: str | None = None, recall: float | None = None) -> list[IndexBuild]:
        """Build new approximate indexes now; one that misses the recall is not used.

        A preset that is not the setting `index` is in use until the list has outgrown that index.

        Args:
            preset: A name of `presets`, or "auto"; by default the setting `index`.
            recall: Fraction of the ten nearest to find, in (0, 1]; by default the setting `recall`.

        Returns:
            One result for each index that was built: its recall, and whether it is in use.

        Raises: InvalidInput, UnknownName, LibraryLocked.
        """
        tuner, indexes = self._tuner(recall), self._context.indexes()
        keys, chosen, made = indexes.refresh(), preset or indexes.kind, list[BuildResult]()
        with tuner.build_lock():
            for key in keys:
                suited = indexes.suited_preset(key, chosen)
                made += tuner.build_best(key, suited) if chosen == presets.AUTO else [tuner.build(key, suited)]
        return [_made_known(one) for one in made]

    def start_background_indexing(self, on_built: Callable[[Sequence[IndexBuild]], None] | None = None) -> None:
        """Build indexes in another process whenever a list has outgrown its index, until the library is closed.

        For long-running processes. It notices commits of every process, and an ingest no longer waits for a build.
        Errors are logged, and the build is tried again later.

        Args:
            on_built: Called in another thread when a search has found a new index.
        """
        context = self._context

        def on_done(stored: Sequence[Mapping[str, Any]]) -> None:
            context.indexes().finish_reloads()
            if on_built is not None:
                on_built([IndexBuild(**one) for one in stored])

        arguments = [str(context.path), json.dumps(asdict(context.settings)), json.dumps(sorted(context.trust.named))]
        context.start_background_worker(
            lambda: BackgroundWorker(
                lambda: context.builder().has_work(),
                "mmsearch.maintenance.index:build_outgrown",
                arguments,
                on_done,
                lambda: vault.handed_over(context.path),
            )
        )

    def verify(self, *, repair: bool = False) -> list[IndexCheck]:
        """Compare every list with the catalog: checksums of files, ids, and the scores of some vectors.

        Args:
            repair: Rebuild what is wrong from the catalog.

        Returns:
            One result for each list, with what is wrong in words.

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
        self._tuner(None).build_outgrown()
        return [
            IndexCheck(
                one.item, one.segment, one.size, one.wrong, bool(one.wrong) and not self._check(self._key(one)).wrong
            )
            for one in checks
        ]

    def _key(self, check: IndexCheck) -> ListKey:
        return ListKey(self._context.embedding()[1].name, check.item, check.segment)

    def _check(self, key: ListKey) -> IndexCheck:
        indexes = self._context.indexes()
        wrong = list(indexes.find_damage(key))
        listed, indexed = indexes.compare_ids(key)
        for what, ids in (("lacks", np.setdiff1d(listed, indexed)), ("still has", np.setdiff1d(indexed, listed))):
            if len(ids):
                wrong.append(f"{what} {len(ids)} segments, such as {ids[0]}")
        both = np.intersect1d(listed, indexed)
        some = both[np.unique(np.linspace(0, len(both) - 1, min(SAMPLE, len(both))).astype(np.int64))]
        if count := indexes.count_wrong_scores(key, some):
            wrong.append(f"gives {count} of {len(some)} vectors a score that is not theirs")
        return IndexCheck(key.item, key.segment, len(listed), tuple(wrong))

    def _tuner(self, recall: float | None) -> IndexTuner:
        if recall is not None and not 0 < recall <= 1:
            raise InvalidInput(f"recall is a share above 0, at most 1, not {recall}")
        return self._context.builder(recall)


def _made_known(made: BuildResult) -> IndexBuild:
    facts = {one.name: getattr(made, one.name) for one in fields(made) if one.name != "key"}
    return IndexBuild(made.key.item, made.key.segment, **facts)


def build_outgrown(folder: str, settings: str, trusted: str, key: str | None = None) -> list[dict[str, Any]]:
    """Build what lists have outgrown, in a process of its own: `Settings`, trusted names and the outcomes are JSON.
    `key`: as `vault.handed_over` gives it."""
    vault.take_over(Path(folder), key)
    context = LibraryContext(Path(folder), Settings(**json.loads(settings)), trusted=json.loads(trusted))
    try:
        return [asdict(_made_known(one)) for one in context.builder().build_outgrown(improve=True)]
    finally:
        context.close()
