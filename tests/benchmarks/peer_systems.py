"""What a user might pick for vectors with a filter, each behind the same few methods. Peers are imported when used.

Every system gets the same vectors and one number a vector to filter by, and answers with the places of the ten
nearest. A search parameter decides how hard it tries; systems that compare everything have none.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

import mmsearch
from mmsearch.core.filters.ast import Filter
from mmsearch.core.filters.parser import parse
from mmsearch.types import Query, QueryPart, StoredVector, Vectors
from tests.benchmarks import corpus
from tests.benchmarks.corpus import Corpus

K = 10
AT_ONCE = 20_000
LINKS, BREADTH = 32, 80
"""Of the graph of bare FAISS."""

Places = Sequence[int]


class System:
    """Built once, opened from disk, searched by any number of threads."""

    efforts: Sequence[int] = ()
    filtered: ClassVar[bool] = True
    about: str = ""

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self.corpus = corpus
        self.folder = folder
        self.dim = corpus.vectors.shape[1]

    def build(self) -> None:
        raise NotImplementedError

    def open(self) -> None:
        raise NotImplementedError

    def search(self, query: Vectors, effort: int, below: int | None) -> Places:
        """Of a query float32 (dim,), among places whose number is less than `below`."""
        raise NotImplementedError

    def chunks(self) -> Any:
        for start in range(0, len(self.corpus.vectors), AT_ONCE):
            yield start, np.ascontiguousarray(self.corpus.vectors[start : start + AT_ONCE])


class Faiss(System):
    """The baseline: a graph in FAISS and nothing else; filtered, the flat storage with a bitmap, as one would write
    it by hand."""

    about = f"FAISS alone: HNSW{LINKS},Flat; filtered: its flat storage with a bitmap"
    efforts = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384)

    def build(self) -> None:
        import faiss

        index = faiss.IndexHNSWFlat(self.dim, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = BREADTH
        for _, rows in self.chunks():
            index.add(rows)
        faiss.write_index(index, str(self.folder / "index"))

    def open(self) -> None:
        import faiss

        self.faiss: Any = faiss
        self.index: Any = faiss.read_index(str(self.folder / "index"))
        self.flat: Any = faiss.downcast_index(cast(Any, self.index).storage)

    def search(self, query: Vectors, effort: int, below: int | None) -> Places:
        if below is None:
            options = self.faiss.SearchParametersHNSW(efSearch=effort)
            return list(self.index.search(query[np.newaxis], K, params=options)[1][0])
        bits = np.packbits(self.corpus.places < below, bitorder="little")
        options = self.faiss.SearchParameters(sel=self.faiss.IDSelectorBitmap(bits))
        return list(self.flat.search(query[np.newaxis], K, params=options)[1][0])


class Mmsearch(System):
    """The index with its catalog, as a library has it: ids of segments and their exact scores."""

    about = "index and catalog, what `library.search` asks of them; preset by size and memory (`auto`)"
    preset: ClassVar[str] = "auto"
    chosen: int | None = None
    """The effort that the product serves with; None: it compares everything."""

    def build(self) -> None:
        if not (self.folder / "catalog.sqlite").exists():
            corpus.fill(self.folder, self.corpus)
        with mmsearch.open(self.folder, space="starter", index=self.preset) as library:
            library.search(stored(self.corpus.queries[0]))
            space, record = library._context.embedding()
            with library._context.writing():
                library._context.calibrate(space, record)
                library._context.indexes().publish()
            library._context.builder().build_outgrown()

    def open(self) -> None:
        self.library = mmsearch.open(self.folder, space="starter", index=self.preset)
        self.library.search(stored(self.corpus.queries[0]))
        self.indexes = self.library._context.indexes()
        self.key = self.indexes.refresh()[0]
        self.layers = cast(Any, self.indexes._loaded[self.key].layers)
        if self.layers.ann is not None:
            self.efforts = self.layers.ann.preset.search_efforts
            self.chosen = self.layers.ann.facts.search_effort

    def search(self, query: Vectors, effort: int, below: int | None) -> Places:
        self._try(effort)
        found, _ = self.indexes.search(query[np.newaxis], K, filter=_below(below))
        return [int(i) - 1 for i in found[self.key].ids[0]]

    def _try(self, effort: int) -> None:
        built = self.layers.ann
        if effort and built is not None and built.facts.search_effort != effort:
            self.layers.ann = built.with_facts(search_effort=effort)


class Graph(Mmsearch):
    about = "the preset hnsw"
    preset = "hnsw"

    def build(self) -> None:
        """In a copy of the other's catalog: the cost is that of the structure alone."""
        shutil.copy(self.folder.with_name("mmsearch") / "catalog.sqlite", self.folder)
        with mmsearch.open(self.folder, space="starter", index=self.preset) as library:
            library.search(stored(self.corpus.queries[0]))
            library._context.builder().build_outgrown()


class Cells(Graph):
    about = "the preset ivf-sq8"
    preset = "ivf-sq8"


class Search(Mmsearch):
    """`library.search` as a user calls it, but for the encoder: near-duplicates folded, bundles, confidence, paths."""

    about = "`library.search` with a stored vector: ranking, bundles, folding, confidence, paths, facts"

    def search(self, query: Vectors, effort: int, below: int | None) -> Places:
        self._try(effort)
        return [hit.segment_id - 1 for hit in self.library.search(stored(query), K, filter=_below(below))]


class Usearch(System):
    about = "usearch with its defaults, float32"
    efforts = (16, 32, 64, 96, 128, 192, 256, 384, 512)
    filtered = False

    def build(self) -> None:
        from usearch.index import Index

        index = Index(ndim=self.dim, metric="ip", dtype="f32")
        for start, rows in self.chunks():
            index.add(np.arange(start, start + len(rows)), rows, threads=int(os.environ["OMP_NUM_THREADS"]))
        index.save(str(self.folder / "index"))

    def open(self) -> None:
        from usearch.index import Index

        self.index: Any = Index.restore(str(self.folder / "index"))

    def search(self, query: Vectors, effort: int, below: int | None) -> Places:
        if self.index.expansion_search != effort:
            self.index.expansion_search = effort
        return list(self.index.search(query, K, threads=1).keys)


class Hnswlib(System):
    about = "hnswlib with its defaults; filtered: its Python callback"
    efforts = (16, 32, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 8192)

    def build(self) -> None:
        import hnswlib

        index = hnswlib.Index("ip", self.dim)
        index.init_index(len(self.corpus.vectors))
        index.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        for start, rows in self.chunks():
            index.add_items(rows, np.arange(start, start + len(rows)))
        index.save_index(str(self.folder / "index"))

    def open(self) -> None:
        import hnswlib

        self.index = hnswlib.Index("ip", self.dim)
        self.index.load_index(str(self.folder / "index"))
        self.numbers = self.corpus.places.tolist()

    def search(self, query: Vectors, effort: int, below: int | None) -> Places:
        self.index.set_ef(effort)
        among = None if below is None else (lambda place: self.numbers[place] < below)
        try:
            return list(self.index.knn_query(query, K, num_threads=1, filter=among)[0][0])
        except RuntimeError:  # fewer than ten were come upon
            return []


class Lance(System):
    about = "LanceDB: IVF_PQ with its defaults, ten times as many re-scored, a scalar index on the number"
    efforts = (5, 10, 20, 40, 80, 160, 320)

    def build(self) -> None:
        import lancedb
        import pyarrow

        def batches() -> Any:
            for start, rows in self.chunks():
                places = np.arange(start, start + len(rows))
                vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(rows.ravel()), self.dim)
                numbers = pyarrow.array(self.corpus.places[start : start + len(rows)])
                yield pyarrow.record_batch([places, numbers, vectors], ["place", "number", "vector"])

        first = next(batches())
        made = lancedb.connect(self.folder).create_table("t", batches(), schema=first.schema)
        made.create_index(metric="cosine", vector_column_name="vector")
        made.create_scalar_index("number")

    def open(self) -> None:
        import lancedb

        self.table: Any = lancedb.connect(self.folder).open_table("t")

    def search(self, query: Vectors, effort: int, below: int | None) -> Places:
        asked = self.table.search(query).distance_type("cosine").limit(K).nprobes(effort).refine_factor(10)
        if below is not None:
            asked = asked.where(f"number < {below}", prefilter=True)
        found: list[int] = asked.select(["place", "_distance"]).to_arrow()["place"].to_pylist()
        return found


class Sqlite(System):
    """Shared by the two that live in SQLite; a connection a thread."""

    table: ClassVar[str]
    asked: ClassVar[str]
    among: ClassVar[str]

    def build(self) -> None:
        connection = self._connect()
        connection.execute(self.table)
        for start, rows in self.chunks():
            numbers = self.corpus.places[start : start + len(rows)].tolist()
            values = [(start + n, row.tobytes(), numbers[n]) for n, row in enumerate(rows)]
            with connection:
                connection.executemany("INSERT INTO t(rowid, vector, number) VALUES (?, ?, ?)", values)
        connection.close()

    def open(self) -> None:
        import threading

        self.local = threading.local()

    def search(self, query: Vectors, effort: int, below: int | None) -> Places:
        if not hasattr(self.local, "connection"):
            self.local.connection = self._connect()
        if below is None:
            found = self.local.connection.execute(self.asked, (query.tobytes(),))
        else:
            found = self.local.connection.execute(self.among, (query.tobytes(), below))
        return [row[0] for row in found]

    def _connect(self) -> Any:
        # Python's own sqlite3 is often built without extensions.
        import apsw
        import sqlite_vec

        connection = apsw.Connection(str(self.folder / "db"))
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.execute("PRAGMA journal_mode = WAL")
        return connection


class SqliteVec(Sqlite):
    about = "sqlite-vec: a vec0 table with a metadata column"
    table = "CREATE VIRTUAL TABLE t USING vec0(vector float[384] distance_metric=cosine, number integer)"
    asked = f"SELECT rowid FROM t WHERE vector MATCH ? AND k = {K}"
    among = f"{asked} AND number < ?"


class SqliteScan(Sqlite):
    about = "brute force in SQL, Panoptikon's way: ORDER BY vec_distance_cosine, an index on the number"
    table = "CREATE TABLE t(vector BLOB, number INTEGER)"
    asked = f"SELECT rowid FROM t ORDER BY vec_distance_cosine(vector, ?1) LIMIT {K}"
    among = f"SELECT rowid FROM t WHERE number < ?2 ORDER BY vec_distance_cosine(vector, ?1) LIMIT {K}"

    def build(self) -> None:
        super().build()
        connection = self._connect()
        connection.execute("CREATE INDEX t_number ON t(number)")
        connection.close()


SYSTEMS: dict[str, Callable[[Corpus, Path], System]] = {
    "faiss": Faiss, "mmsearch": Mmsearch, "mmsearch hnsw": Graph, "mmsearch ivf-sq8": Cells, "library.search": Search,
    "usearch": Usearch, "hnswlib": Hnswlib,
    "lancedb": Lance, "sqlite-vec": SqliteVec, "sqlite": SqliteScan,
}  # fmt: skip

SHARES = {"library.search": "mmsearch"}
"""Whose files a system uses."""


def stored(query: Vectors) -> Query:
    return Query(mixed=(QueryPart("image", StoredVector(-1, Path("/nowhere"), np.asarray(query))),))


def _below(bound: int | None) -> Filter | None:
    return None if bound is None else parse(f"size < {bound}")


def exact(corpus_: Corpus, below: int | None) -> NDArray[np.int64]:
    """(q, K) places of the nearest of all queries."""
    among = None if below is None else np.flatnonzero(corpus_.places < below)
    return corpus.exact(corpus_.vectors, corpus_.queries, K, among)
