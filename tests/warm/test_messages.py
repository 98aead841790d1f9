"""What a shell and a warm process say to each other, byte for byte, and what is made of anything else."""

import os

import pytest

from mmsearch.warm.messages import REFUSED, Request, packed_answer, unpacked_answer


def test_a_request_arrives_as_it_was_sent() -> None:
    sent = Request(["query", "", os.fsdecode(b"\xff\x1b"), "ü"], "secret")
    sent.system, sent.folder, sent.library, sent.terminals = "1:2", "/tmp/ö", "", "10"
    sent.encodings, sent.environment, sent.terminal = ["utf-8", "ascii"], ["A=", "B=x=y"], ["TERM=xterm"]
    data = sent.packed()
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    found = Request.unpacked(data[4:])
    assert [getattr(found, name) for name in Request.__slots__] == [getattr(sent, name) for name in Request.__slots__]


@pytest.mark.parametrize(
    "data", [b"", b"1", b"2\0s\0y\0f\0l\x0000\x000\x000\x000\x000", b"1\0s\0y\0f\0l\x0000\x009\x000\x000\x000"]
)
def test_anything_else_is_no_request(data: bytes) -> None:
    with pytest.raises(ValueError):
        Request.unpacked(data)


def test_a_whole_answer_keeps_the_order_of_what_was_written() -> None:
    pieces = [(2, b"first\n"), (1, b""), (1, b"\0\xff"), (2, b"last")]
    assert unpacked_answer(packed_answer(7, pieces)) == (7, pieces)


def test_an_answer_that_was_cut_off_is_none() -> None:
    whole = packed_answer(0, [(1, b"some words"), (2, b"more")])
    assert [unpacked_answer(whole[:end]) for end in range(len(whole))] == [None] * len(whole)
    assert unpacked_answer(REFUSED) is None and unpacked_answer(whole + b"x") is None
