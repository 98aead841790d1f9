"""Who decodes a file, and why nobody does; how reasons and messages travel."""

import io
import os
from pathlib import Path

import numpy as np
import pytest

from mmsearch.errors import Corrupt, LimitExceeded, MediaError, Transient, Unreadable, Unsupported
from mmsearch.media import protocol, sniff
from mmsearch.media.text import TextDecoder
from mmsearch.media.worker import as_media_error, one_line
from mmsearch.types import Limits, Span, Windowing

LIMITS = Limits()


def refusal(path: Path, limits: Limits = LIMITS) -> MediaError:
    with pytest.raises(MediaError) as caught:
        sniff.open_decoder(path, [], limits)
    return caught.value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04" + b"\0" * 30, "ZIP"),
        (b"{\\rtf1\\ansi}", "RTF"),
        (b"%!PS-Adobe-3.0", "PostScript"),
        (b'<?xml version="1.0"?><svg viewBox="0 0 1 1">', "SVG"),
        (b"\x01\x02\x03\x04", "mmsearch reads no file"),
        (b"\xff\x0a\x08\x04", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"II\xbc\x01\x20\0\0\0", "JPEG XR"),
        (b"MThd\0\0\0\x06\0\0\0\x01", "MIDI"),
        (b"RIFF\0\0\0\0RMIDdata", "MIDI"),
        (b"AT&TFORM\0\0\x03\x96DJVM", "DjVu"),
        (b"v/1\x01\x02\0\0\0", "OpenEXR"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n", "Radiance HDR"),
        (b"#?RGBE\n", "Radiance HDR"),
        (b"SDPX\0\x01", "DPX"),
        (b"XPDS\0\x01", "DPX"),
        (b"II\x1a\0\0\0HEAPCCDR", "CRW"),
        (b"\0\0\0\x18ftypcrx ", "CR3"),
        (b"FUJIFILMCCD-RAW 0201\0", "RAF"),
        (b"FOVb\x03\0\x02\0", "X3F"),
        (b"\0MRM\0\0\x0a\x0c", "MRW"),
        (b"IIU\0\x18\0\0\0", "RW2"),
        (b"IIRO\x08\0\0\0", "ORF"),
        (b"BPG\xfb\x40\x08", "BPG"),
        (b"FLIF31\x0f\x0f", "FLIF"),
        (b"AC1032\0\0\0\0", "AutoCAD"),
        (b"\x01\0\0\0" + b"\0" * 36 + b" EMF", "metafile"),
        (b"\x01\0\x09\0\0\x03", "metafile"),
        (b"\xd7\xcd\xc6\x9a\0\0", "metafile"),
        (b"\x8aMNG\r\n\x1a\n", "MNG"),
        (b"\x8bJNG\r\n\x1a\n", "JNG"),
        (b"\xabKTX 11\xbb\r\n\x1a\n", "KTX"),
        (b"\xabKTX 20\xbb\r\n\x1a\n", "KTX"),
        (b"\0" * 128 + b"DICM", "DICOM"),
        (b"8BPS\0\x02", "PSB"),
        (b"IMPM\0", "tracker"),
    ],
)
def test_file_types_without_a_decoder_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    error = refusal(path)
    assert isinstance(error, Unsupported) and words in error.message


@pytest.mark.parametrize(("name", "kind"), [("x.jpg", "image"), ("x.mp3", "audio"), ("x.mp4", "video")])
def test_a_media_name_over_unknown_content_is_corrupt(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(b"\x01\x02\x03\x04")
    error = refusal(tmp_path / name)
    assert isinstance(error, Corrupt) and kind in error.message


@pytest.mark.parametrize("name", ["x.mid", "x.djvu", "x.dwg", "x.svgz", "x.cr3", "x.m3u"])
def test_unknown_content_under_an_unsupported_suffix_is_unsupported(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x01\x02\x03\x04")
    assert isinstance(refusal(tmp_path / name), Unsupported)


@pytest.mark.parametrize("text", [b"MZ is a name", b"BZh, said he.", b"GRIB holds weather", b"FWS\n", b"Rar! it said"])
def test_a_text_that_begins_like_a_program_is_a_text(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(text)
    decoder = TextDecoder(Windowing(), LIMITS)
    assert sniff.open_decoder(path, [decoder], LIMITS) is decoder


def test_a_folder_a_missing_and_an_empty_file_fail_each_in_its_class(tmp_path: Path) -> None:
    assert isinstance(refusal(tmp_path), Unreadable)
    assert isinstance(refusal(tmp_path / "gone"), Transient)
    (tmp_path / "empty").touch()
    assert isinstance(refusal(tmp_path / "empty"), Corrupt)
    assert isinstance(refusal(tmp_path / "empty" / "below"), Transient)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_permission_denied_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"words")
    path.chmod(0)
    assert isinstance(refusal(path), Unreadable)


def test_the_size_limit_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\x01" * 100)
    assert isinstance(refusal(path, Limits(file_bytes=99)), LimitExceeded)
    assert isinstance(refusal(path, Limits(file_bytes=100)), Unsupported)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (PermissionError(13, "Permission denied"), "unreadable"),
        (FileNotFoundError(2, "No such file"), "transient"),
        (OSError(5, "Input/output error"), "unreadable"),
        (OSError(12, "Cannot allocate memory"), "out-of-memory"),
        (MemoryError(), "out-of-memory"),
        (KeyError("x"), "crashed"),
        (Corrupt("cut off"), "corrupt"),
    ],
)
def test_every_exception_of_a_decoder_becomes_a_media_error(error: Exception, failure: str) -> None:
    assert as_media_error(error).failure == failure


def test_failure_reasons_are_one_short_line_without_folders() -> None:
    path = Path("/home/someone/photos/x.jpg")
    assert one_line("can't read\n  /home/someone/photos/x.jpg: bad", path) == "can't read x.jpg: bad"
    assert one_line("/home/someone/photos/y.jpg", path) == "y.jpg"
    assert one_line("\n", path) == "no reason given"
    assert len(one_line("word " * 100, path)) == 200


@pytest.mark.parametrize("dtype", ["u1", "<f4", "<i8", "<f2", ">i2", "?"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4)])
def test_arrays_pass_the_worker_protocol_unchanged(dtype: str, shape: tuple[int, ...]) -> None:
    sent = np.arange(int(np.prod(shape)), dtype=np.int64).astype(dtype).reshape(shape)
    pipe = io.BytesIO()
    protocol.write_message(pipe, {"name": "a\udcff\n"}, sent)
    pipe.seek(0)
    message, array = protocol.read_message(pipe)
    assert message == {"name": "a\udcff\n"}
    assert array is not None and array.dtype == sent.dtype and np.array_equal(array, sent)
    assert array.shape == shape


def test_transposed_arrays_pass_the_worker_protocol() -> None:
    sent = np.arange(12, dtype=np.float32).reshape(3, 4).T
    pipe = io.BytesIO()
    protocol.write_message(pipe, {}, sent)
    pipe.seek(0)
    assert np.array_equal(np.asarray(protocol.read_message(pipe)[1]), sent)


def test_object_arrays_and_nan_are_refused_by_the_worker_protocol() -> None:
    with pytest.raises(ValueError, match="object"):
        protocol.write_message(io.BytesIO(), {}, np.array([object()]))
    with pytest.raises(ValueError, match="JSON"):
        protocol.write_message(io.BytesIO(), {"x": float("nan")})


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x01",
        b"\xff" * 12,
        b"\x02\0\0\0" + b"\0" * 8 + b"{}"[:1],
        b"\x02\0\0\0" + b"\0" * 8 + b"[]",
        b"\x02\0\0\0" + b"\0" * 8 + b"xx",
    ],
)
def test_a_broken_stream_is_a_protocol_error(garbage: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.read_message(io.BytesIO(garbage))


def test_spans_pass_the_worker_protocol_without_unset_fields() -> None:
    span = Span(page=2, char_start=0, char_end=5, text="words")
    assert protocol.pack_span(span) == {"page": 2, "char_start": 0, "char_end": 5, "text": "words"}
    assert protocol.unpack_span(protocol.pack_span(span)) == span
    assert protocol.unpack_span({"box": [0.0, 0.0, 0.5, 1.0]}) == Span(box=(0.0, 0.0, 0.5, 1.0))
