"""From pairs to figures: judge the library's own ranking by the right answers."""

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np

from mmsearch.calibration import RIVAL
from mmsearch.catalog import Catalog, SpaceRecord
from mmsearch.catalog.failures import failures_at
from mmsearch.catalog.items import ItemAtPath, items_at
from mmsearch.context.context import LibraryContext
from mmsearch.errors import InvalidInput, MediaError
from mmsearch.evaluate import metrics, ranking
from mmsearch.evaluate.types import (
    DirectionResult,
    Estimate,
    Evaluation,
    JudgedPairs,
    Pair,
    QueryOutcome,
    RankedBy,
    UnusedPair,
)
from mmsearch.indexing.lists import Lists
from mmsearch.media.pool import DecodePool
from mmsearch.search import keywords
from mmsearch.search.kinds import named_kind
from mmsearch.search.query import embed_query, resolve_query
from mmsearch.search.vector import note_lists
from mmsearch.types import Modality, Query, Space, Vectors

RESAMPLES = 1000
SEED = 0

Direction = tuple[Modality, Modality]
"""(of the query, of the items)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Subject:
    """The library that is measured, and the space that its vectors are of."""

    context: LibraryContext
    space: Space
    record: SpaceRecord

    @property
    def catalog(self) -> Catalog:
        return self.context.catalog()

    @property
    def lists(self) -> Lists:
        return self.context.indexes(self.record)


@dataclass(frozen=True, slots=True)
class _Question:
    """A pair whose files are known to the library."""

    pair: Pair
    query: Query
    own: int
    """Item id of the query's file, if it is in the library; else -1."""
    relevant: dict[Modality, frozenset[int]]
    """Item ids, by the modality of the items."""

    @property
    def modality(self) -> Modality:
        return self.query.parts[0].modality


def evaluate(
    judged: JudgedPairs,
    context: LibraryContext,
    *,
    directions: Collection[str] | None = None,
    k: Sequence[int] = (1, 5, 10),
    by: RankedBy = "confidence",
) -> Evaluation:
    """Measure a library's search: every direction that the pairs have, or those named, such as "text-image".

    A query's answer is the rank of each of its relevant items among all items of their modality in the library.
    What can't be used is listed in the result.

    Args:
        k: The counts of first places that are measured.
        by: What items are ranked by: "confidence", as a search shows them, or "cosine" alone.

    Raises: InvalidInput if nothing can be used, for a direction without pairs, and for a senseless k; LibraryEmpty.
    """
    counts = _counts(k)
    if by not in get_args(RankedBy):
        raise InvalidInput(f"by can't be {by!r}", hint="say 'confidence' or 'cosine'")
    subject = _Subject(context, *context.embedding())
    questions, unused = _questions(judged, subject)
    by_direction = _chosen(questions, directions)
    vectors, refused = _vectors([q for asked in by_direction.values() for q in asked], subject)
    unused += refused
    results = []
    for (_, item), asked in sorted(by_direction.items()):
        usable = [question for question in asked if id(question.pair) in vectors]
        if usable:
            rows = np.concatenate([vectors[id(question.pair)] for question in usable])
            results.append(_measured(usable, rows, item, subject, counts, by))
    listed = tuple(sorted({*judged.unused, *unused}, key=lambda one: (str(one.file), one.line, one.why)))
    if not results:
        raise InvalidInput(f"nothing in {judged.source} can be used{_example(listed)}", hint="ingest the files first")
    return Evaluation(
        judged.source, context.path, subject.record.name, subject.record.fingerprint, tuple(results), listed, counts,
        SEED, RESAMPLES, tuple(_trained_on(judged, subject)),
    )  # fmt: skip


def _trained_on(judged: JudgedPairs, subject: _Subject) -> list[str]:
    # It loads torch, which a library without a model of its own does not need.
    if not ((subject.context.path / "training").is_dir() or subject.record.name.startswith("adapter:")):
        return []
    from mmsearch.training.serving.sources import models_that_learned

    return [
        f"the model {name!r} was trained on {judged.source.name}: the figures say what it remembers, not what it finds"
        for name in models_that_learned(judged.source, subject.record, subject.context)
    ]


def _counts(k: Sequence[int]) -> tuple[int, ...]:
    if not k or min(k) < 1:
        raise InvalidInput("k must be one or more numbers of at least 1", hint="for example 1,5,10")
    return tuple(sorted(set(k)))


def _example(unused: Sequence[UnusedPair]) -> str:
    return f": line {unused[0].line}: {unused[0].why}" if unused else ""


def _questions(judged: JudgedPairs, subject: _Subject) -> tuple[list[_Question], list[UnusedPair]]:
    """The pairs that the library can be asked, and what is wrong with the rest."""
    files = {path for pair in judged.pairs for path in (*pair.relevant, pair.query) if isinstance(path, Path)}
    known, failed = _known(files, subject.catalog)
    questions: list[_Question] = []
    unused: list[UnusedPair] = []
    for pair in judged.pairs:
        own = known[pair.query].item_id if isinstance(pair.query, Path) and pair.query in known else -1
        relevant: dict[Modality, set[int]] = {}
        for path in pair.relevant:
            at = known.get(path)
            if at is None or at.status != "present":
                unused.append(UnusedPair(pair.source, pair.line, _absence(path, at, failed.get(path))))
            elif at.item_id == own:
                unused.append(UnusedPair(pair.source, pair.line, f"the query is no answer to itself: {path}"))
            else:
                relevant.setdefault(at.modality, set()).add(at.item_id)
        if not relevant:
            continue
        try:
            query = resolve_query(pair.query, subject.context, subject.record)
        except (MediaError, InvalidInput) as error:
            unused.append(UnusedPair(pair.source, pair.line, error.message))
            continue
        questions.append(_Question(pair, query, own, {m: frozenset(ids) for m, ids in relevant.items()}))
    return questions, unused


def _known(files: Iterable[Path], catalog: Catalog) -> tuple[dict[Path, ItemAtPath], dict[Path, str]]:
    """What the library has at these paths, as they are written or with symbolic links followed; and what failed."""
    named = {path: (os.fsencode(path), os.fsencode(os.path.realpath(path))) for path in files}
    every = sorted({name for names in named.values() for name in names})
    with catalog.reading() as snapshot:
        at, failed = items_at(snapshot, every), failures_at(snapshot, every)
    return (
        {path: at[name] for path, names in named.items() for name in reversed(names) if name in at},
        {path: failed[name] for path, names in named.items() for name in names if name in failed},
    )


def _absence(path: Path, at: ItemAtPath | None, failure: str | None) -> str:
    if at is not None:
        return f"missing since the last ingest: {path}"
    if failure is not None:
        return f"could not be taken in ({failure}): {path}"
    return f"not in the library: {path}" if path.exists() else f"no such file: {path}"


def _chosen(questions: Sequence[_Question], directions: Collection[str] | None) -> dict[Direction, list[_Question]]:
    found: dict[Direction, list[_Question]] = {}
    for question in questions:
        for item in question.relevant:
            found.setdefault((question.modality, item), []).append(question)
    if directions is None:
        return found
    names = {"-".join(direction): direction for direction in found}
    for name in directions:
        if name not in names:
            have = ", ".join(sorted(names)) or "none"
            raise InvalidInput(f"no usable pair for the direction {name!r}", hint=f"the pairs have: {have}")
    return {names[name]: found[names[name]] for name in directions}


def _vectors(questions: Sequence[_Question], subject: _Subject) -> tuple[dict[int, Vectors], list[UnusedPair]]:
    """float32 (1, dim) of every pair by its identity, and the ones that can't be embedded."""
    vectors: dict[int, Vectors] = {}
    refused: list[UnusedPair] = []

    def pool() -> DecodePool:
        return subject.context.query_decoding(subject.record)

    for question in {id(q): q for q in questions}.values():
        try:
            vectors[id(question.pair)] = embed_query(question.query, subject.space, pool)
        except (MediaError, InvalidInput) as error:
            refused.append(UnusedPair(question.pair.source, question.pair.line, error.message))
    return vectors, refused


def _measured(
    questions: Sequence[_Question],
    vectors: Vectors,
    item: Modality,
    subject: _Subject,
    k: tuple[int, ...],
    by: RankedBy,
) -> DirectionResult:
    items, lists = ranking.candidates(subject.catalog, subject.lists, item)
    outcomes = []
    judges = _judges(questions, vectors, item, subject) if by == "confidence" else []
    calibrated = bool(judges) and judges[0].covers(one.key for one in lists)
    ranked = ranking.merits(vectors, subject.lists, items, lists, judges if calibrated else None)
    for question, merit in zip(questions, ranked, strict=True):
        # A picture finds itself first; that is no achievement.
        merit[items == question.own] = np.nan
        relevant = np.isin(items, list(question.relevant[item]))
        ranks = metrics.ranks(merit, relevant)
        outcomes.append(QueryOutcome(str(question.pair.query), question.pair.line, ranks))
    recall = ranking.index_recall(vectors, subject.catalog, subject.lists, subject.record, item)
    return DirectionResult(
        questions[0].modality, item, len(items), _metrics(outcomes, k), recall, tuple(outcomes)
    )  # fmt: skip


def _judges(questions: Sequence[_Question], vectors: Vectors, item: Modality, subject: _Subject) -> list[ranking.Judge]:
    """What a search would say of items of a modality: one for each question."""
    judges = []
    for row, question in enumerate(questions):
        text = keywords.query_text(question.query)
        kind = replace(named_kind(text), modalities=(), alone=item)
        matches = keywords.match_keywords(text, keywords.FUSED, subject.catalog, (item,), kind=kind)
        words = {match.item_id: match for match in keywords.telling(matches)}
        calibrator = subject.context.calibrator(question.query, vectors[row : row + 1], subject.space)
        found, _ = subject.lists.search(vectors[row : row + 1], RIVAL, (item,))
        note_lists(calibrator, found, subject.catalog, subject.record)
        judges.append(ranking.Judge(calibrator, words, kind))
    return judges


def _metrics(outcomes: Sequence[QueryOutcome], counts: tuple[int, ...]) -> dict[str, Estimate]:
    ranks = [outcome.ranks for outcome in outcomes]
    per_query = {f"success@{k}": [metrics.success_at(r, k) for r in ranks] for k in counts}
    per_query |= {f"recall@{k}": [metrics.recall_at(r, k) for r in ranks] for k in counts}
    per_query["median rank"] = [float(r[0]) for r in ranks]
    per_query["MRR"] = [metrics.reciprocal_rank(r) for r in ranks]
    per_query["mAP"] = [metrics.average_precision(r) for r in ranks]
    per_query[f"nDCG@{counts[-1]}"] = [metrics.ndcg_at(r, counts[-1]) for r in ranks]
    return {name: _estimate(np.array(values), name == "median rank") for name, values in per_query.items()}


def _estimate(values: metrics.Floats, median: bool) -> Estimate:
    statistic = np.median if median else np.mean
    low, high = metrics.interval(values, statistic, resamples=RESAMPLES, seed=SEED)
    return Estimate(float(statistic(values)), low, high)
