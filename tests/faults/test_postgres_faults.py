"""Workers and the server itself are killed: nothing that was acknowledged is lost, and nothing is half there."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from mmsearch.catalog import Catalog
from mmsearch.catalog.jobs import QueuedFile, add_jobs, queue_state
from mmsearch.core.paths import default_library
from mmsearch.errors import LibraryError
from tests import tiny
from tests.postgres_server import PostgresServer, start_server

pytestmark = [pytest.mark.slow, pytest.mark.extras]

CHECKOUT = Path(__file__).resolve().parents[2]
FILES = 120


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One that may be killed."""
    made = start_server()
    yield made
    made.remove()


@pytest.fixture
def address(server: PostgresServer) -> str:
    """Of a library with a queue of `FILES` files."""
    address = server.address("faults")
    with closing(Catalog.open(default_library(address), "1", create=True)) as catalog:
        catalog.add_space("tiny", "tests.tiny:space", tiny.DIM, "f" * 64)
        files = [QueuedFile(f"/r/{n}".encode(), b"/r", 1, 1, f"{n // 2:064x}", "new") for n in range(FILES)]
        assert catalog.write(add_jobs, files) == FILES
    return address


def start_worker(address: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.faults.queue_worker", address]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def acknowledged(worker: "subprocess.Popen[str]") -> list[list[int]]:
    """What it printed, whole lines only."""
    assert worker.stdout is not None
    with worker.stdout as stdout:
        lines = stdout.read().split("\n")[:-1]
    worker.wait()
    return [list(map(int, line.split())) for line in lines]


def check(address: str, told: list[list[int]]) -> int:
    """Everything that was acknowledged is there, once, and in step. Returns how many files are."""
    with closing(Catalog.open(default_library(address), "1")) as catalog, catalog.reading() as snapshot:
        run = snapshot.execute
        items = {bytes(path) for (path,) in run(text("SELECT path FROM items"))}
        waiting = {number for (number,) in run(text("SELECT id FROM jobs"))}
        assert not waiting & {number for _, *numbers in told for number in numbers}
        assert len(items) + len(waiting) == FILES
        commits = {generation for (generation,) in run(text("SELECT generation FROM commits"))}
        assert {generation for generation, *_ in told} <= commits
        last = run(text("SELECT generation FROM library")).scalar_one()
        assert commits == set(range(1, last + 1))
        broken = (
            "SELECT (SELECT count(*) FROM contents WHERE changed > (SELECT generation FROM library)), "
            "(SELECT count(*) FROM segments) - (SELECT count(*) FROM embeddings), "
            "(SELECT count(*) FROM contents) - (SELECT count(*) FROM segments), "
            "(SELECT count(*) FROM items) - (SELECT count(*) FROM item_words), "
            "(SELECT coalesce(sum(rows), 0) FROM word_totals WHERE name = 'item_words') - (SELECT count(*) FROM items)"
        )
        assert tuple(map(int, run(text(broken)).one())) == (0, 0, 0, 0, 0)
        return len(items)


def test_killed_workers_lose_nothing_and_others_take_their_files(address: str) -> None:
    told: list[list[int]] = []
    for turn in range(4):
        workers = [start_worker(address) for _ in range(2)]
        assert workers[0].stdout is not None
        told.append([int(word) for word in workers[0].stdout.readline().split()])
        time.sleep(0.02 * turn)
        for worker in workers:
            worker.kill()
        told += [line for worker in workers for line in acknowledged(worker)]
        told = [line for line in told if len(line) > 1]
        check(address, told)
    deadline = time.monotonic() + 60
    while check(address, told) < FILES and time.monotonic() < deadline:
        told += acknowledged(start_worker(address))  # once the leases of the dead have ended
    with closing(Catalog.open(default_library(address), "1")) as catalog:
        assert catalog.read(queue_state) == (0, 0, 0)
    assert check(address, told) == FILES


def test_a_server_that_is_killed_in_a_commit_has_what_it_acknowledged(server: PostgresServer, address: str) -> None:
    workers = [start_worker(address) for _ in range(2)]
    assert workers[0].stdout is not None
    told = [list(map(int, workers[0].stdout.readline().split()))]
    server.stop("immediate")
    told += [line for worker in workers for line in acknowledged(worker)]
    with pytest.raises(LibraryError, match="can't be reached"):
        Catalog.open(default_library(address), "1")
    server.start()
    check(address, told)
    deadline = time.monotonic() + 60
    while check(address, told) < FILES and time.monotonic() < deadline:
        told += acknowledged(start_worker(address))
    assert check(address, told) == FILES
