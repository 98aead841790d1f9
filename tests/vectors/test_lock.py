"""The readers-writer lock."""

from threading import Barrier, Event, Thread

import pytest

from mmsearch.vectors.lock import ReadWriteLock

LONG = 30.0
"""Seconds after which a test gives up; none waits so long when it passes."""


def test_readers_share_the_lock() -> None:
    lock, meeting = ReadWriteLock(), Barrier(3, timeout=LONG)

    def read() -> None:
        with lock.reading():
            meeting.wait()

    threads = [Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    with lock.reading():
        meeting.wait()
    for thread in threads:
        thread.join(LONG)


def test_a_writer_is_exclusive_and_goes_before_later_readers() -> None:
    lock, order = ReadWriteLock(), list[str]()
    writer_asked, may_leave = Event(), Event()

    def write() -> None:
        writer_asked.set()
        with lock.writing():
            order.append("writer")

    def read() -> None:
        with lock.reading():
            order.append("reader")

    with lock.reading():
        writer = Thread(target=write)
        writer.start()
        assert writer_asked.wait(LONG)
        while not lock._waiting:
            may_leave.wait(0.001)
        reader = Thread(target=read)
        reader.start()
        reader.join(0.05)
        assert order == []
    for thread in (writer, reader):
        thread.join(LONG)
    assert order == ["writer", "reader"]


def test_writers_exclude_each_other() -> None:
    lock, count = ReadWriteLock(), [0]

    def write() -> None:
        for _ in range(500):
            with lock.writing():
                before = count[0]
                Event().wait(0)
                count[0] = before + 1

    threads = [Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert count == [1500]


def test_an_exception_releases_the_lock() -> None:
    lock = ReadWriteLock()
    for hold in (lock.reading, lock.writing):
        with pytest.raises(RuntimeError), hold():
            raise RuntimeError
    with lock.writing():
        pass
