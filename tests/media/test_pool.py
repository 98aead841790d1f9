"""The decode pool against decoders that crash, hang, eat memory and talk, in real processes."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from mmsearch.errors import InvalidInput, LibraryError, UnknownName
from mmsearch.media import pool as pool_module
from mmsearch.media.events import DecodeEvent, DecodeJob, FileDone, FileFailed, FileSkipped, PreparedSegment
from mmsearch.media.pool import DecodePool
from mmsearch.media.process import _Wait
from mmsearch.types import Limits, Windowing
from tests import hostile_decoder

LIMITS = Limits(decode_s=30.0)
ROOT = Path(__file__).resolve().parents[2]


def make_pool(workers: int = 1, limits: Limits = LIMITS, space: str = hostile_decoder.SPACE) -> DecodePool:
    return DecodePool(space, Windowing(), limits, workers, decoders=[hostile_decoder.DECODER])


@pytest.fixture(scope="module")
def calm() -> Iterator[DecodePool]:
    """Two workers for tests that leave limits alone; nobody may close it."""
    with make_pool(workers=2) as made:
        yield made


def script(folder: Path, name: str, *commands: str) -> Path:
    path = folder / name
    path.write_bytes(hostile_decoder.MAGIC + "\n".join(commands).encode())
    return path


def ends(events: Sequence[DecodeEvent]) -> list[DecodeEvent]:
    return [event for event in events if not isinstance(event, PreparedSegment)]


def only_failure(events: Sequence[DecodeEvent]) -> FileFailed:
    (end,) = ends(events)
    assert isinstance(end, FileFailed)
    return end


def test_segments_and_ends_come_in_input_order(calm: DecodePool, tmp_path: Path) -> None:
    jobs = [DecodeJob(script(tmp_path, f"{i:03}", f"piece {i % 4 + 1}"), key=i, payload=f"p{i}") for i in range(90)]
    events = list(calm.run(jobs))
    seen = [(event.job.key, event.index if isinstance(event, PreparedSegment) else "end") for event in events]
    expected: list[tuple[int, object]] = []
    for i in range(90):
        expected += [(i, index) for index in range(i % 4 + 1)] + [(i, "end")]
    assert seen == expected
    assert all(event.job.payload == f"p{event.job.key}" for event in events)


def test_a_prepared_segment_has_modality_span_and_array(calm: DecodePool, tmp_path: Path) -> None:
    first, second, sound, done = list(calm.run([DecodeJob(script(tmp_path, "x", "piece 2", "sound"))]))
    assert (
        isinstance(first, PreparedSegment)
        and isinstance(second, PreparedSegment)
        and isinstance(sound, PreparedSegment)
    )
    assert (first.modality, second.modality, sound.modality) == ("image", "image", "audio")
    assert (second.span.start, second.span.end, second.span.page) == (1.0, 2.0, None)
    assert np.all(second.array == np.max(second.array)) and not np.any(first.array)
    assert isinstance(done, FileDone)
    assert (done.modality, done.metadata["width"]) == ("image", 4)
    assert done.decode_s > 0 and done.prepare_s > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "failure", "reason"),
    [
        pytest.param("abort", "crashed", "the decoder crashed (SIGABRT)", id="abort"),
        pytest.param("exit", "crashed", "the decoder crashed (exit code 3)", id="exit"),
        pytest.param("kill", "out-of-memory", "the decode worker was killed by the system", id="kill"),
        pytest.param("raise", "crashed", "ValueError: two lines about bad", id="raise"),
        pytest.param("corrupt", "corrupt", "half of it is missing", id="corrupt"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="signals by name")
def test_a_bad_file_fails_alone(calm: DecodePool, tmp_path: Path, command: str, failure: str, reason: str) -> None:
    names = [("a", "piece 1"), ("bad", command), ("c", "piece 1"), ("d", "piece 1")]
    events = ends(list(calm.run(DecodeJob(script(tmp_path, name, text)) for name, text in names)))
    assert [type(event) for event in events] == [FileDone, FileFailed, FileDone, FileDone]
    assert isinstance(events[1], FileFailed)
    assert (events[1].failure, events[1].reason) == (failure, reason)


def test_segments_before_a_failure_come_before_it(calm: DecodePool, tmp_path: Path) -> None:
    events = list(calm.run([DecodeJob(script(tmp_path, "x", "piece 3", "corrupt"))]))
    assert [type(event) for event in events] == [PreparedSegment, PreparedSegment, PreparedSegment, FileFailed]


@pytest.mark.parametrize("command", ["hang", "spin"])
@pytest.mark.slow
def test_a_hanging_decoder_is_killed(tmp_path: Path, command: str) -> None:
    jobs = [DecodeJob(script(tmp_path, "hangs", command)), DecodeJob(script(tmp_path, "works", "piece 1"))]
    with make_pool(limits=Limits(decode_s=0.5)) as pool:
        hangs, works = ends(list(pool.run(jobs)))
    assert isinstance(hangs, FileFailed) and hangs.failure == "timeout"
    assert hangs.reason == "nothing decoded for 0.5 s"
    assert isinstance(works, FileDone)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's limit on private memory")
@pytest.mark.slow
def test_a_decoder_that_eats_memory_is_stopped(tmp_path: Path) -> None:
    jobs = [DecodeJob(script(tmp_path, "eats", "eat")), DecodeJob(script(tmp_path, "works", "piece 1"))]
    with make_pool(limits=Limits(memory_bytes=384 * 2**20)) as pool:
        eats, works = ends(list(pool.run(jobs)))
    assert isinstance(eats, FileFailed) and eats.failure == "out-of-memory"
    assert isinstance(works, FileDone)


def test_output_of_native_code_does_not_reach_the_protocol(
    calm: DecodePool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    events = list(calm.run([DecodeJob(script(tmp_path, "x", "print", "piece 1", "print"))]))
    assert [type(event) for event in events] == [PreparedSegment, FileDone]
    assert capfd.readouterr() == ("", "")


def test_unreadable_files_fail_with_their_reason(calm: DecodePool, tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty").touch()
    paths = [tmp_path / "gone", tmp_path / "folder.jpg", tmp_path / "empty"]
    failures = [(e.failure, e.reason) for e in calm.run(DecodeJob(path) for path in paths) if isinstance(e, FileFailed)]
    assert failures == [
        ("transient", "the file is gone"),
        ("unreadable", "not a regular file"),
        ("corrupt", "empty file"),
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_is_refused_and_not_waited_for(calm: DecodePool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    assert only_failure(list(calm.run([DecodeJob(tmp_path / "x.jpg")]))).failure == "unreadable"


def test_a_file_that_changed_since_the_scan_is_transient(calm: DecodePool, tmp_path: Path) -> None:
    path = script(tmp_path, "x", "piece 1")
    status = path.stat()
    fine = DecodeJob(path, size=status.st_size, mtime_ns=status.st_mtime_ns)
    longer = DecodeJob(path, size=status.st_size + 1, mtime_ns=status.st_mtime_ns)
    later = DecodeJob(path, size=status.st_size, mtime_ns=status.st_mtime_ns + 1)
    events = ends(list(calm.run([fine, longer, later])))
    assert [type(event) for event in events] == [FileDone, FileFailed, FileFailed]
    assert {event.failure for event in events if isinstance(event, FileFailed)} == {"transient"}


def test_a_file_that_changes_while_decoded_is_transient(calm: DecodePool, tmp_path: Path) -> None:
    path = script(tmp_path, "x", "piece 1", "touch")
    status = path.stat()
    events = list(calm.run([DecodeJob(path, size=status.st_size, mtime_ns=status.st_mtime_ns)]))
    assert only_failure(events).failure == "transient"


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux")
def test_a_file_name_that_is_not_utf8_is_decoded(calm: DecodePool, tmp_path: Path) -> None:
    path = script(tmp_path, os.fsdecode(b"gr\xfc\xdfe\n%_'"), "piece 1")
    _, done = list(calm.run([DecodeJob(path)]))
    assert isinstance(done, FileDone) and done.job.path == path


def test_files_of_modalities_not_asked_for_are_skipped(calm: DecodePool, tmp_path: Path) -> None:
    path = script(tmp_path, "x", "piece 1")
    events = list(
        calm.run([DecodeJob(path, modalities=frozenset({"audio"})), DecodeJob(path, modalities=frozenset({"image"}))])
    )
    assert [type(event) for event in events] == [FileSkipped, PreparedSegment, FileDone]
    assert isinstance(events[0], FileSkipped) and events[0].modality == "image"


def test_a_file_the_space_cannot_embed_fails_as_not_embedded(tmp_path: Path) -> None:
    with make_pool(space=hostile_decoder.TEXT_ONLY) as pool:
        failed = only_failure(list(pool.run([DecodeJob(script(tmp_path, "x", "piece 2"))])))
    assert (failed.failure, failed.reason) == ("not-embedded", "the library's model does not know pictures")


def test_a_file_without_segments_is_corrupt(calm: DecodePool, tmp_path: Path) -> None:
    assert only_failure(list(calm.run([DecodeJob(script(tmp_path, "x", "stop"))]))).failure == "corrupt"


def test_an_unknown_space_is_the_callers_error(tmp_path: Path) -> None:
    with make_pool(space="tests.tiny:nothing") as pool, pytest.raises(UnknownName, match="nothing"):
        list(pool.run([DecodeJob(script(tmp_path, "x", "piece 1"))]))


def test_workers_are_kept_between_runs(tmp_path: Path) -> None:
    path = script(tmp_path, "x", "piece 1")
    with make_pool() as pool:
        pids = {e.metadata["pid"] for _ in range(3) for e in pool.run([DecodeJob(path)]) if isinstance(e, FileDone)}
    assert len(pids) == 1


def test_a_worker_that_died_idle_is_replaced(tmp_path: Path) -> None:
    path = script(tmp_path, "x", "piece 1")
    with make_pool() as pool:
        (first,) = [e.metadata["pid"] for e in pool.run([DecodeJob(path)]) if isinstance(e, FileDone)]
        worker = psutil.Process(first)
        worker.kill()
        psutil.wait_procs([worker], timeout=10)
        assert [type(event) for event in pool.run([DecodeJob(path)])] == [PreparedSegment, FileDone]


def test_closing_early_leaves_no_process_behind(tmp_path: Path) -> None:
    jobs = [DecodeJob(script(tmp_path, f"{i}", "piece 1", "hang" if i % 2 else "piece 3")) for i in range(8)]
    threads = threading.active_count()
    before = set(psutil.Process().children())
    with make_pool(workers=2) as pool:
        events = pool.run(jobs)
        assert isinstance(next(events), PreparedSegment)
        events.close()
        assert [t.name for t in threading.enumerate() if t.name == "mmsearch-decode"] == []
    assert threading.active_count() == threads
    assert set(psutil.Process().children()) <= before


def test_an_error_of_the_callers_own_iterable_ends_the_run(calm: DecodePool, tmp_path: Path) -> None:
    def jobs() -> Iterator[DecodeJob]:
        yield DecodeJob(script(tmp_path, "x", "piece 1"))
        raise RuntimeError("the scan broke")

    with pytest.raises(RuntimeError, match="the scan broke"):
        list(calm.run(jobs()))
    assert [type(event) for event in calm.run([DecodeJob(tmp_path / "x")])] == [PreparedSegment, FileDone]


@pytest.mark.slow
def test_only_a_bounded_number_of_jobs_is_taken_ahead(calm: DecodePool, tmp_path: Path) -> None:
    path = script(tmp_path, "x", "piece 1")
    taken = 0

    def jobs() -> Iterator[DecodeJob]:
        nonlocal taken
        for i in range(500):
            taken += 1
            yield DecodeJob(path, key=i)

    events = calm.run(jobs())
    next(events)
    assert taken == 32 + 8 * 2
    assert sum(1 for _ in events) == 999


def test_long_files_stream_through_small_buffers(
    calm: DecodePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_WAITING_BYTES", 1)
    monkeypatch.setattr(pool_module, "_HEAD_BYTES", 1)
    jobs = [DecodeJob(script(tmp_path, f"{i}", "piece 50"), key=i) for i in range(5)]
    events = list(calm.run(jobs))
    assert [event.job.key for event in events] == [i for i in range(5) for _ in range(51)]


@pytest.mark.slow
def test_several_threads_may_decode_at_once(calm: DecodePool, tmp_path: Path) -> None:
    jobs = [DecodeJob(script(tmp_path, f"{i}", f"piece {i + 1}"), key=i) for i in range(6)]
    counts: list[list[int]] = []

    def work() -> None:
        counts.append([e.job.key for e in calm.run(jobs) if isinstance(e, PreparedSegment)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [[i for i in range(6) for _ in range(i + 1)]] * 4


def test_zero_workers_and_a_closed_pool_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        make_pool(workers=0)
    pool = make_pool()
    pool.close()
    with pytest.raises(LibraryError, match="the library was closed meanwhile"):
        list(pool.run([DecodeJob(tmp_path / "x")]))


@pytest.mark.slow
def test_closing_ends_a_run_in_the_middle_of_a_file_that_hangs(tmp_path: Path) -> None:
    pool = make_pool()
    events = pool.run([DecodeJob(script(tmp_path, "x", "piece 1", "hang"))])
    assert isinstance(next(events), PreparedSegment)
    closer = threading.Thread(target=pool.close)
    closer.start()
    with pytest.raises(LibraryError, match="the library was closed meanwhile"):
        next(events)
    closer.join()


def test_a_worker_s_limit_counts_its_own_time_and_not_the_waiting() -> None:
    wait = _Wait(seconds=10.0, latest=100.0, looked=0.0, due=10.0, began=2.0, used=2.0)
    # 4 s of CPU in 10 s: others had the rest. 6 more are looked at when it may have used them.
    assert (wait.over(10.0, 6.0), wait.due) == (False, 16.0)
    assert (wait.over(16.0, 11.0), wait.due) == (False, 18.5)
    assert wait.over(18.5, 12.0)  # 10 s are used


@pytest.mark.parametrize(
    ("now", "used"),
    [
        pytest.param(10.0, 2.09, id="it sleeps"),
        pytest.param(100.0, 8.0, id="that was long enough whatever it did"),
        pytest.param(10.0, None, id="its time is not known"),
    ],
)
def test_a_worker_over_its_limit_is_given_up_at_once(now: float, used: float | None) -> None:
    assert _Wait(seconds=10.0, latest=100.0, looked=0.0, due=10.0, began=2.0, used=2.0).over(now, used)


@pytest.mark.skipif(sys.platform != "linux", reason="the clock of a process")
def test_the_cpu_time_of_a_worker_is_that_of_its_process(tmp_path: Path) -> None:
    with make_pool() as pool:
        list(pool.run([DecodeJob(script(tmp_path, "x", "piece 1"))]))
        (worker,) = pool._idle
        used, told = worker.cpu_s(), psutil.Process(worker.pid).cpu_times()
    assert used is not None and abs(used - told.user - told.system) < 0.1


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.slow
def test_workers_end_with_their_parent_and_need_no_main_guard(tmp_path: Path) -> None:
    script(tmp_path, "x", "piece 1")
    program = tmp_path / "app.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import os, pathlib, sys
            sys.path.insert(0, {str(ROOT)!r})
            from mmsearch.media.events import DecodeJob, FileDone
            from mmsearch.media.pool import DecodePool
            from mmsearch.types import Limits, Windowing
            from tests import hostile_decoder
            pool = DecodePool(hostile_decoder.SPACE, Windowing(), Limits(), 1, decoders=[hostile_decoder.DECODER])
            for event in pool.run([DecodeJob(pathlib.Path(__file__).with_name("x"))]):
                if isinstance(event, FileDone):
                    print(event.metadata["pid"], flush=True)
            os.kill(os.getpid(), 9)
            """
        )
    )
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    pid = int(ended.stdout)
    try:
        orphan = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    _, alive = psutil.wait_procs([orphan], timeout=20)
    assert not alive or orphan.status() == psutil.STATUS_ZOMBIE
