"""Libraries on PostgreSQL: what a user may count on, in a few steps each. The catalog's other tests run there, too,
with `-m postgres`."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import Connection, create_engine, literal, select, text

import mmsearch
from mmsearch.catalog import Batch, Catalog, NewContent, Placement
from mmsearch.catalog.constructs import glob
from mmsearch.catalog.jobs import (
    ATTEMPTS,
    Claim,
    QueuedFile,
    add_jobs,
    claim_jobs,
    lock_contents,
    queue_state,
    return_jobs,
)
from mmsearch.catalog.moving import copy_into, is_unfinished
from mmsearch.catalog.postgres import connections
from mmsearch.catalog.postgres.errors import translate
from mmsearch.catalog.postgres.store import PostgresStore
from mmsearch.catalog.tables import Base, modelled
from mmsearch.catalog.words import search_words
from mmsearch.core.paths import default_library
from mmsearch.core.server_address import checked_address
from mmsearch.errors import InvalidInput, LibraryError, LibraryLocked, LibraryNotFound
from mmsearch.ingest.queue import ClaimedIngest, WorkerOptions, work_off
from mmsearch.ingest.run import IngestOptions
from mmsearch.library import Library
from mmsearch.types import Span
from tests import tiny
from tests.postgres_server import PostgresServer

SPACE = ("tiny", "tests.tiny:space", tiny.DIM, "f" * 64)


@pytest.fixture
def address(postgres: PostgresServer, tmp_path: Path) -> str:
    """Of a library that is not made yet."""
    return postgres.address(f"own_{abs(hash(tmp_path))}")


@pytest.fixture
def catalog(address: str) -> Iterator[Catalog]:
    with closing(Catalog.open(default_library(address), "1", create=True)) as made:
        made.add_space(*SPACE)
        yield made


@pytest.fixture
def open_there(address: str) -> Iterator[Callable[[], Library]]:
    opened: list[Library] = []

    def open_it(place: str | Path = address) -> Library:
        opened.append(mmsearch.open(place, space="tests.tiny:space", workers=1, dedup=False))
        opened[-1]._context.trust.name("tests.tiny:space")
        return opened[-1]

    yield open_it
    for library in opened:
        library.close()


def content(name: str, text: str = "") -> NewContent:
    vector = tiny.axis("red")[np.newaxis]
    return NewContent(name, "text", {"title": name}, ["text"], [Span(text=text or name)], vector)


def save_image(path: Path, color: str | tuple[int, int, int]) -> None:
    Image.new("RGB", (32, 32), color).save(path)


def placed(name: str, path: str) -> Placement:
    return Placement(os.fsencode(path), b"/r", name, 1, 1)


def shown(hits: list[mmsearch.Hit]) -> list[object]:
    return [(hit.path.name, hit.cosine, hit.confidence, hit.start) for hit in hits]


@pytest.mark.slow
def test_a_library_on_a_server_answers_as_one_of_files(
    open_there: Callable[..., Library], folder: Path, tmp_path: Path
) -> None:
    for color in ("red", "green", "blue"):
        save_image(folder / f"{color} boat.png", color)
    (folder / "notes.txt").write_text("Running boats and a red bus, 图书馆开放时间")
    there, here = open_there(), open_there(tmp_path / "library")
    assert there.ingest(folder).new == here.ingest(folder).new == 4
    for query in ("red", "boat", "run*", '"red bus"', "开放", folder / "red boat.png"):
        assert shown(there.search(query)) == shown(here.search(query)) != []
    for rule in ("name glob '*boat*'", "size > 10 and modality = image", "path contains notes"):
        assert shown(there.search("red", filter=rule)) == shown(here.search("red", filter=rule)) != []
    there.tag(folder / "blue boat.png", add=["holiday"])
    assert [hit.path.name for hit in there.search("holiday", mode="keyword")] == ["blue boat.png"]
    assert there.remove(folder / "notes.txt") == 1
    assert there.search("bus", mode="keyword") == []
    (status,) = (there.status(),)
    assert [(one.modality, one.items) for one in status.counts] == [("image", 3)]
    with pytest.raises(InvalidInput, match="is backed up there"):
        there.backup(tmp_path / "backup")
    assert there.doctor()
    assert not (there.path / "catalog.sqlite").exists()


def test_the_schema_is_what_the_tables_say(catalog: Catalog, postgres: PostgresServer) -> None:
    schema = catalog.store.name.rpartition("schema=")[2]
    url = catalog.store.name.partition("&schema=")[0].replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, connect_args={"options": f"-c search_path={schema}"})
    with engine.connect() as connection:
        own = {"jobs", "word_totals"}

        def ours(thing: object, name: str | None, kind: str, reflected: bool, compared: object) -> bool:
            return modelled(thing, name, kind, reflected, compared) and not (kind == "table" and name in own)

        context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_an_address_has_no_password_and_one_form() -> None:
    for secret in (
        "postgresql://me:secret@db/x",
        "postgresql://db/x?password=secret",
        "postgres://db/x?sslpassword=secret",
    ):
        with pytest.raises(InvalidInput) as refused:
            checked_address(secret)
        assert "secret" not in refused.value.message + str(refused.value.hint)
    assert checked_address("postgres://me@db:5433/media") == "postgresql://me@db:5433/media?schema=mmsearch"
    for wrong in (
        "postgresql://db/x?schema=a-b",
        "postgresql://db/x?schema=pg_own",
        "postgresql://db/x?schema=a&schema=b",
    ):
        with pytest.raises(InvalidInput):
            checked_address(wrong)


def test_a_folder_from_somebody_else_names_no_server(tmp_path: Path) -> None:
    folder = default_library("postgresql://elsewhere.invalid/x")
    shutil.copytree(folder, tmp_path / "sent")
    with pytest.raises(LibraryNotFound):
        Catalog.open(tmp_path / "sent", "1")


def test_a_server_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path) -> None:
    store = PostgresStore(tmp_path, checked_address(f"postgresql://me@/x?host={tmp_path}"))
    with pytest.raises(LibraryError, match="can't be reached") as told:
        store.exists()
    assert told.value.hint


@pytest.mark.slow
def test_a_connection_that_was_ended_costs_no_answer(catalog: Catalog, postgres: PostgresServer) -> None:
    catalog.commit(Batch(contents=[content("a", "boat")], placements=[placed("a", "/r/a.txt")]), 1)
    with postgres.connection() as other:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mmsearch'"
        with pytest.raises(LibraryError), catalog.reading() as snapshot:  # in the middle of a page
            other.execute(ended)
            search_words(snapshot, "boat", 5)
        other.execute(ended)
    assert [found.item_id for found in catalog.read(search_words, "boat", 5)] == [1]


@pytest.mark.slow
def test_workers_take_in_what_was_queued(open_there: Callable[..., Library], folder: Path, address: str) -> None:
    for number in range(3):
        save_image(folder / f"{number}.png", (200, number, 0))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing else")
    one = open_there()
    report = one.ingest(folder, queue=True)
    assert (report.queued, report.new) == (4, 0)
    reports: list[mmsearch.IngestReport] = []
    assert one.work(claim=2, until_empty=True, on_claim=reports.append) == 4
    assert [(each.new, each.failed.total()) for each in reports] in ([(2, 0), (1, 1)], [(1, 1), (2, 0)])
    assert len(one.search("red")) == 3
    again = one.ingest(folder, queue=True)
    assert (again.queued, again.unchanged, again.failed_before) == (0, 3, 1)


@pytest.mark.slow
def test_a_file_that_every_worker_died_of_is_a_failure_that_can_be_tried_again(
    open_there: Callable[..., Library], folder: Path
) -> None:
    save_image(folder / "deadly.png", "red")
    one = open_there()
    assert one.ingest(folder, queue=True).queued == 1
    catalog = one._context.catalog()
    for token in range(ATTEMPTS):
        assert one.status().queue == mmsearch.QueueStatus(waiting=1, claimed=0, workers=0)
        catalog.write(claim_jobs, token, 10, 0.0)  # and dies
    save_image(folder / "harmless.png", "blue")
    assert one.ingest(folder, queue=True).queued == 2  # by a timer, say: it forgets nothing
    assert one.work(until_empty=True) == 2
    assert [(known.path.name, known.failure, known.reason) for known in one.failures()] == [
        ("deadly.png", "crashed", "5 workers claimed it, and ended before they had taken it in")
    ]
    assert (one.status().queue, one.status().failures) == (mmsearch.QueueStatus(0, 0, 0), {"crashed": 1})
    again = one.ingest(folder, queue=True)
    assert (again.queued, again.failed_before) == (0, 1)
    assert one.retry().new == 1  # as anybody may who knows what ended the workers
    assert {hit.path.name for hit in one.search("red")} == {"deadly.png", "harmless.png"}


@pytest.mark.slow
def test_the_shell_says_what_waits_for_workers(
    open_there: Callable[..., Library], folder: Path, address: str, run: Callable[..., Any]
) -> None:
    for number in range(3):
        save_image(folder / f"{number}.png", (200, number, 0))
    one = open_there()
    one.ingest(folder, queue=True)

    def told() -> str:
        said = run("status", "--library", address)
        assert said.returncode == 0, said.stderr
        return str(next(line for line in said.stdout.decode().splitlines() if line.startswith("queue")))

    assert told() == "queue    3 files waiting, no worker has claimed any: mmsearch worker"
    one._context.catalog().write(claim_jobs, 7, 2, 60.0)
    assert told() == "queue    1 file waiting, 2 claimed by 1 worker"
    one._context.catalog().write(return_jobs, 7)
    one.work(until_empty=True)
    assert told() == "queue    empty"


@pytest.mark.slow
def test_a_worker_waits_for_no_commit_of_another(
    open_there: Callable[..., Library], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_image(folder / "red.png", "red")
    one = open_there()
    one.ingest(folder, queue=True)
    monkeypatch.setattr(connections, "LOCK_S", 1)  # who waited would be refused
    context = one._context

    def make() -> ClaimedIngest:
        return ClaimedIngest(context.catalog(), *context.base(), context.decoding(), IngestOptions(), context.derived)

    def another(connection: Connection) -> list[int]:
        lock_contents(connection, ["f" * 64])  # it is in the middle of its commit
        runs = work_off(make, WorkerOptions(until_empty=True), threading.Event(), lambda: None)
        return [each.report.new for each in runs]

    assert context.catalog().write_beside_others(another) == [1]
    assert context.catalog().read(queue_state) == (0, 0, 0)


def queued(name: str) -> QueuedFile:
    return QueuedFile(os.fsencode(f"/r/{name}"), b"/r", 1, 1, name * 16, "new")


def test_who_comes_too_late_is_refused_and_nothing_of_it_stays(catalog: Catalog) -> None:
    catalog.write(add_jobs, [queued("aaaa")])
    (first,) = catalog.write(claim_jobs, 1, 10, 0.0)
    (second,) = catalog.write(claim_jobs, 2, 10, 60.0)
    assert (second.id, second.attempts) == (first.id, 2)
    batch = Batch(contents=[content("a" * 64)], placements=[placed("a" * 64, "/r/aaaa")])
    with pytest.raises(LibraryLocked, match="another worker"):
        catalog.commit_claimed(batch, 1, Claim(1, (first.id,), 60.0))
    assert catalog.read(queue_state) == (0, 1, 1)
    assert catalog.read(search_words, "a" * 64, 5) == []
    generation = catalog.commit_claimed(batch, 1, Claim(2, (second.id,), 60.0))
    assert generation == 1 and catalog.read(queue_state) == (0, 0, 0)


def test_queueing_a_file_again_leaves_it_to_who_has_claimed_it(catalog: Catalog) -> None:
    files = [queued("aaaa"), queued("bbbb")]
    assert catalog.write(add_jobs, files) == 2
    claimed = catalog.write(claim_jobs, 1, 10, 60.0)
    assert catalog.write(add_jobs, [files[0], files[1]._replace(mtime_ns=2)]) == 1
    assert catalog.read(queue_state) == (1, 1, 1)  # what has changed is for anybody
    batch = Batch(contents=[content("a" * 64)], placements=[placed("a" * 64, "/r/aaaa")])
    assert catalog.commit_claimed(batch, 1, Claim(1, (claimed[0].id,), 60.0)) == 1
    (changed,) = catalog.write(claim_jobs, 2, 10, 60.0)
    assert (changed.file.mtime_ns, changed.attempts) == (2, 1)


def test_nobody_has_the_same_file_twice_and_equal_contents_meet(catalog: Catalog) -> None:
    names = [f"{number:04x}" for number in range(40)]
    catalog.write(add_jobs, [queued(name) for name in names])
    errors: list[BaseException] = []

    def work(token: int) -> None:
        try:
            while claimed := catalog.write(claim_jobs, token, 5, 60.0):
                # All files of a claim hold one of two contents, in an order that is each worker's own.
                hashes = [("b" if one.id % 2 else "a") * 64 for one in claimed]
                made = {name: content(name) for name in (hashes if token % 2 else reversed(hashes))}
                places = [placed(name, os.fsdecode(one.file.path)) for name, one in zip(hashes, claimed, strict=True)]
                batch = Batch(contents=list(made.values()), placements=places)
                catalog.commit_claimed(batch, 1, Claim(token, tuple(one.id for one in claimed), 60.0))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(token,)) for token in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with catalog.reading() as snapshot:
        tables = ("items", "contents", "embeddings", "jobs")
        late = "(SELECT count(*) FROM contents WHERE changed > (SELECT generation FROM library))"
        counted = f"SELECT {', '.join(f'(SELECT count(*) FROM {name})' for name in tables)}, {late}"
        assert tuple(snapshot.execute(text(counted)).one()) == (40, 2, 2, 0, 0)


def test_a_library_is_moved_there_and_back_with_its_ids(catalog: Catalog, tmp_path: Path) -> None:
    batch = Batch(
        contents=[content("a", "boat"), content("b", "nul\0inside")],
        placements=[placed("a", "/r/a.txt"), placed("b", "/r/b.txt"), Placement(b"/r/\xff", b"/r", "a", 2, 3)],
        given_tags=[("a", "holiday")],
    )
    for name in ("files", "back"):
        (tmp_path / name).mkdir()
    with closing(Catalog.open(tmp_path / "files", "1", create=True)) as files:
        files.add_space(*SPACE)
        files.commit(batch, 1)
        with pytest.raises(InvalidInput, match="already"):
            copy_into(files, catalog)  # it has a space of its own
    with closing(Catalog.open(tmp_path / "files", "1")) as files:
        catalog.write(lambda connection: connection.execute(text("UPDATE library SET space_id = NULL")))
        catalog.write(lambda connection: connection.execute(text("DELETE FROM spaces")))
        seen: list[str] = []

        def stop(name: str, rows: int) -> None:
            seen.append(name)
            if name == "items":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            copy_into(files, catalog, stop)
        assert catalog.read(is_unfinished)
        again: list[str] = []
        moved = copy_into(files, catalog, lambda name, rows: again.append(name))
        assert "items" in seen and not {"contents", "items"} & set(again)
        assert (moved.rows["items"], moved.rows["embeddings"]) == (3, 2)
        with closing(Catalog.open(tmp_path / "back", "1", create=True)) as back:
            assert copy_into(catalog, back) == moved
            for query in ("boat", "holiday", "nulinside"):
                expected = files.read(search_words, query, 5)
                assert (
                    expected and catalog.read(search_words, query, 5) == back.read(search_words, query, 5) == expected
                )


@settings(max_examples=60, deadline=None)
@given(st.text("ab*?[]^-\\.é\n", max_size=8), st.text("ab]^-\\.é\n", max_size=6))
def test_patterns_mean_what_they_mean_to_sqlite(pattern: str, value: str) -> None:
    assert glob_there(pattern, value) == glob_here(pattern, value)


_ENGINES: dict[str, object] = {}


@pytest.fixture(autouse=True)
def engines(postgres: PostgresServer) -> None:
    if not _ENGINES:
        url = postgres.address("x").partition("&schema=")[0].replace("postgresql://", "postgresql+psycopg://")
        _ENGINES.update(there=create_engine(url), here=create_engine("sqlite://"))


def glob_there(pattern: str, value: str) -> bool:
    with _ENGINES["there"].connect() as connection:  # type: ignore[attr-defined]
        return bool(connection.execute(select(glob(literal(value), pattern))).scalar())


def glob_here(pattern: str, value: str) -> bool:
    with _ENGINES["here"].connect() as connection:  # type: ignore[attr-defined]
        return bool(connection.execute(select(glob(literal(value), pattern))).scalar())


def test_what_a_server_says_is_told_by_its_number() -> None:
    from psycopg import errors

    told = {
        errors.DiskFull: "disk is full", errors.TooManyConnections: "no connection to spare",
        errors.AdminShutdown: "went away", errors.ReadOnlySqlTransaction: "can't be written",
        errors.InvalidCatalogName: "no such database", errors.LockNotAvailable: "another process",
        errors.InvalidPassword: "lets nobody in",
    }  # fmt: skip
    for kind, words in told.items():
        assert words in translate(kind("x"), "postgresql://db/x").message


def test_json_and_texts_lose_nul_and_nothing_else(catalog: Catalog) -> None:
    told = {"title": "a\0b", "deep": [{"k\0": "\\u0000"}]}
    odd = NewContent("c", "text", told, ["text"], [Span(text="x\0y")], tiny.axis("red")[np.newaxis])
    catalog.commit(Batch(contents=[odd], placements=[placed("c", "/r/c.txt")]), 1)
    with catalog.reading() as snapshot:
        metadata, said = snapshot.execute(text("SELECT metadata, (SELECT text FROM segments) FROM contents")).one()
    assert json.loads(metadata) == {"title": "ab", "deep": [{"k": "\\u0000"}]} and said == "xy"
