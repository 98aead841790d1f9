"""From pairs to examples: what the library holds of them, as vectors, split into training and validation."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.catalog import Catalog, SpaceRecord
from mmsearch.catalog.embeddings import segment_vectors
from mmsearch.encoders.queries import ReadsQueries, prepared_query
from mmsearch.encoders.starter.text import OpenStarterText
from mmsearch.errors import InvalidInput, MediaError
from mmsearch.evaluate import JudgedPairs, Pair, UnusedPair
from mmsearch.training import splits
from mmsearch.training.serving.records import KINDS
from mmsearch.training.serving.units import items_at_paths
from mmsearch.types import Modality, Space, Vectors

HELD_BACK = 0.2
"""Share of the pairs that only validate, where no others are given for that."""

Ints = NDArray[np.int64]

EmbedFile = Callable[[Path], tuple[Modality, Vectors]]
"""A query's file: its modality, and its vector in the base space, float32 (dim,)."""


@dataclass(frozen=True, slots=True, eq=False)
class PairExamples:
    """Queries, the segments of items, and which belong together. Kinds are places in `MODALITIES` below."""

    queries: Vectors
    """(q, dim), unit rows."""
    query_kinds: Ints
    segments: Vectors
    """(s, dim), unit rows, those of an item side by side."""
    segment_kinds: Ints
    owners: Ints
    """(s,), the item of each segment: 0, 0, 1, 2, 2, ..."""
    pairs: Ints
    """(p, 2): a query and an item that answers it."""
    groups: Ints
    """(p,): pairs of one group are on one side, and no wrong answers of each other."""
    held: NDArray[np.bool_]
    """(p,): the pairs that validate."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def without_test(self, share: float, seed: int) -> tuple["PairExamples", Ints]:
        """The examples without whole groups that hold about `share` of the pairs that train, and the pairs of these,
        (t, 2): they take no part in the training, nor in the choice of an epoch.

        Raises: InvalidInput for a share that leaves nothing on one side.
        """
        if not 0 <= share < 1:
            raise InvalidInput(f"the share of pairs to test with is at least 0 and below 1, not {share}")
        tested = np.zeros(len(self.pairs), np.bool_)
        if share:
            tested[~self.held] = splits.split_held_back(_numbered(self.groups[~self.held]), share, seed)
        kept = {name: getattr(self, name)[~tested] for name in ("pairs", "groups", "held")}
        return replace(self, **kept), self.pairs[tested]


def _numbered(groups: Ints) -> Ints:
    """The same groups as 0, 1, 2, ..."""
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True, slots=True)
class GatheredExamples:
    """Examples, and what could not be one."""

    examples: PairExamples
    unused: tuple[UnusedPair, ...]
    warnings: tuple[str, ...]
    contents: tuple[int, ...]
    """Contents that take part."""
    used: int
    """Pairs of the training file that are used, on either side."""


def gather_examples(
    judged: JudgedPairs,
    valid: JudgedPairs | None,
    catalog: Catalog,
    base: tuple[Space, SpaceRecord],
    embed_file: EmbedFile,
    seed: int,
) -> GatheredExamples:
    """What the library knows of the pairs. `valid` are pairs to validate with; without them some are held back.

    Raises: InvalidInput if too few can be used, or a vector is not a number.
    """
    space, record = base
    sources = [(pair, False) for pair in judged.pairs] + [(pair, True) for pair in (valid.pairs if valid else ())]
    unused = [*judged.unused, *(valid.unused if valid else ())]
    files = {path for pair, _ in sources for path in (*pair.relevant, pair.query) if isinstance(path, Path)}
    known = {path: item.content_id for path, item in items_at_paths(files, catalog).items()}
    links: list[tuple[Pair, int, bool]] = []
    for pair, held in sources:
        for path in pair.relevant:
            if path in known:
                links.append((pair, known[path], held))
            else:
                unused.append(UnusedPair(pair.source, pair.line, absence(path)))
    vectors, refused = embedded([pair for pair, _, _ in links], space, embed_file)
    unused += refused
    links = [link for link in links if id(link[0]) in vectors]
    if not links:
        why = f": line {unused[0].line}: {unused[0].why}" if unused else ""
        raise InvalidInput(f"nothing in {judged.source} can be used{why}", hint="ingest the files first")
    made, dropped = _assembled(links, vectors, known, catalog, record, valid is not None, seed)
    contents = tuple(sorted({content for _, content, _ in links} | {known[p] for p in _files(links) if p in known}))
    used = sum(not held for _, _, held in links)
    return GatheredExamples(made, (*unused, *dropped), _warnings(links, space), contents, used)


def absence(path: Path) -> str:
    """Why a path can't be used."""
    return f"not in the library: {path}" if path.exists() else f"no such file: {path}"


def embedded(
    questions: Sequence[Pair], space: Space, embed_file: EmbedFile
) -> tuple[dict[int, tuple[Modality, Vectors]], list[UnusedPair]]:
    """Modality and vector of every pair's query, by the pair's identity; and the ones that can't be embedded."""
    pairs = list({id(pair): pair for pair in questions}.values())
    vectors: dict[int, tuple[Modality, Vectors]] = {}
    refused: list[UnusedPair] = []
    words = [pair for pair in pairs if isinstance(pair.query, str)]
    if words and "text" in space.encoders:
        encoder = space.encoders["text"]
        rows = encoder.encode([prepared_query(encoder, str(pair.query)) for pair in words], query=True)
        vectors = {id(pair): ("text", row) for pair, row in zip(words, rows, strict=True)}
    for pair in pairs:
        if isinstance(pair.query, Path):
            try:
                vectors[id(pair)] = embed_file(pair.query)
            except (MediaError, InvalidInput) as error:
                refused.append(UnusedPair(pair.source, pair.line, error.message))
    return vectors, refused


def _files(links: Sequence[tuple[Pair, int, bool]]) -> list[Path]:
    return [pair.query for pair, _, _ in links if isinstance(pair.query, Path)]


def _assembled(
    links: Sequence[tuple[Pair, int, bool]],
    vectors: dict[int, tuple[Modality, Vectors]],
    known: dict[Path, int],
    catalog: Catalog,
    record: SpaceRecord,
    has_valid: bool,
    seed: int,
) -> tuple[PairExamples, list[UnusedPair]]:
    questions = list({id(pair): pair for pair, _, _ in links}.values())
    query_at = {id(pair): at for at, pair in enumerate(questions)}
    with catalog.reading() as snapshot:
        stored = segment_vectors(snapshot, record, sorted({content for _, content, _ in links}))
    items, owners = np.unique(stored.contents, return_inverse=True)
    order = np.argsort(owners, kind="stable")
    queries = np.stack([vectors[id(pair)][1] for pair in questions])
    _check_finite(stored.vectors, stored.contents, queries, questions, links)
    pairs = np.array([(query_at[id(pair)], np.searchsorted(items, content)) for pair, content, _ in links], np.int64)
    groups = _groups(links, known, items, owners, stored.vectors)
    held = np.array([link[2] for link in links]) if has_valid else splits.split_held_back(groups, HELD_BACK, seed)
    dropped: list[UnusedPair] = []
    if has_valid:
        # What validates must be new: training gives way.
        both = np.isin(groups, groups[held]) & ~held
        dropped = [
            UnusedPair(links[at][0].source, links[at][0].line, "it or a near-duplicate also validates; not trained on")
            for at in np.flatnonzero(both).tolist()
        ]
        pairs, groups, held = pairs[~both], groups[~both], held[~both]
        if held.all() or not held.any():
            raise InvalidInput("nothing is left to train on, or to validate with", hint="give pairs of other files")
    kinds = [vectors[id(pair)][0] for pair in questions]
    made = PairExamples(
        queries.astype(np.float32), _numbers(kinds), stored.vectors[order],
        _numbers([stored.kinds[at] for at in order]), owners[order].astype(np.int64), pairs, groups, held,
    )  # fmt: skip
    return made, dropped


def _numbers(kinds: Sequence[Modality]) -> Ints:
    # A query made of several kinds of segments (a video) is projected by none of the maps.
    return np.array([KINDS.index(kind) if kind in KINDS else -1 for kind in kinds], np.int64)


def _groups(
    links: Sequence[tuple[Pair, int, bool]], known: dict[Path, int], items: Ints, owners: Ints, vectors: Vectors
) -> Ints:
    """Pairs of one content, of near-duplicates, or tied by a query's file share a group."""
    means = np.zeros((len(items), vectors.shape[1]), np.float32)
    np.add.at(means, owners, vectors)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    files = [known.get(pair.query) if isinstance(pair.query, Path) else None for pair, _, _ in links]
    nodes = {content: at for at, content in enumerate(items.tolist())}
    for content in files:
        if content is not None:
            nodes.setdefault(content, len(nodes))
    padded = np.full((len(nodes), means.shape[1]), np.nan, np.float32)
    padded[: len(means)] = means
    ties = [(nodes[file], nodes[link[1]]) for file, link in zip(files, links, strict=True) if file is not None]
    grouped = splits.split_groups(len(nodes), ties=ties, vectors=padded)
    return grouped[[nodes[content] for _, content, _ in links]]


def _check_finite(
    segments: Vectors,
    contents: Ints,
    queries: Vectors,
    questions: Sequence[Pair],
    links: Sequence[tuple[Pair, int, bool]],
) -> None:
    bad = set(contents[~np.isfinite(segments).all(axis=1)].tolist())
    lines = {pair.line for pair, content, _ in links if content in bad}
    lines |= {pair.line for pair, row in zip(questions, queries, strict=True) if not np.isfinite(row).all()}
    if lines:
        named = ", ".join(map(str, sorted(lines)[:5]))
        raise InvalidInput(
            f"{len(lines)} lines of {links[0][0].source.name} lead to vectors that are not numbers: {named}",
            hint="remove these files from the library and ingest them again",
        )


def _warnings(links: Sequence[tuple[Pair, int, bool]], space: Space) -> tuple[str, ...]:
    foreign = sorted({pair.line for pair, _, _ in links if isinstance(pair.query, str) and _foreign(pair.query)})
    encoder = space.encoders["text"]
    if not foreign or not isinstance(encoder, OpenStarterText) or isinstance(encoder, ReadsQueries):
        return ()
    return (
        f"{len(foreign)} queries are in another script than the Latin one (first: line {foreign[0]}): "
        f"the text encoder of {space.name!r} knows English, and sees little in them",
    )


def _foreign(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    latin = sum(unicodedata.name(char, "").startswith("LATIN") for char in letters)
    return latin * 2 < len(letters)
