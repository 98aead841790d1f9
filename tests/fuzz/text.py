"""Steps over sniffing, documents, pages, sidecars and what cameras write: a file is read or refused with our error."""

import io
import json
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, AnyStr

from hypothesis import strategies as st
from PIL import Image

from mmsearch.errors import MediaError
from mmsearch.media import audio, image, kinds, plaintext, video
from mmsearch.media import html as media_html
from mmsearch.media import sidecar as sidecars
from mmsearch.media import sniff as sniffing
from mmsearch.media import text as documents
from mmsearch.types import Decoder, Limits, Windowing
from tests.fuzz.target import Target
from tests.raw_files import raw_file

LARGEST = 100_000
"""Bytes of an input, about."""

_SUFFIXES = (".txt", ".md", ".html", ".xmp", ".json", ".jpg", ".tif", ".mp3", ".mp4", ".ts", ".tga", ".heic", "")
_MAGIC = (
    *(b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"GIF89a", b"BM", b"P6 1 1 255\n", b"8BPS\0\1"),
    *(
        b"RIFF\0\0\0\0WEBP",
        b"RIFF\0\0\0\0WAVE",
        b"\0\0\0\x18ftyp",
        b"heic",
        b"hevc",
        b"msf1",
        b"mif1",
        b"meta",
        b"moov",
    ),
    *(b"OggS", b"fLaC", b"ID3\4", b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"G" + b"\0" * 187, b"FLV\1", b"\xff\xfb\x90\0"),
    *(
        b"%PDF-1.4",
        b"PK\3\4",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"#define x_width 1\n#define ",
        b"<svg ",
        b"MZ",
    ),
    *(b"#?RADIANCE\n", b"MThd\0\0\0\6", b"\xff\x0a", b"\0" * 128, b"SIMPLE  =", b"qoif", b"icns", b"\0\0\1\0\1\0"),
)
_WORDS = (
    *(
        "geese",
        "a",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "#",
        "## ",
        "===",
        "~~~",
        "*",
        "é",
        "ß",
        "日本",
        "😀",
        "\u0301",
        "\u00a0",
    ),
    *(
        "\u200b",
        "\ufeff",
        "\x0c",
        "-",
        '"',
        "'",
        "<",
        ">",
        "&",
        ";",
        "=",
        "0",
        "9",
        "{",
        "}",
        "\\",
        "\0",
        "\x85",
        "\u2028",
    ),
)
_TAGS = (
    *("div", "p", "b", "a", "li", "ul", "td", "tr", "table", "br", "img", "script", "style", "svg", "math", "textarea"),
    *(
        "title",
        "head",
        "body",
        "html",
        "select",
        "template",
        "noscript",
        "foreignObject",
        "desc",
        "h1",
        "x-y",
        "dl",
        "dt",
    ),
)
_MARKUP = (
    *(
        "<!--",
        "-->",
        "--!>",
        "<!-->",
        "<!",
        "<!doctype html>",
        "<![CDATA[",
        "]]>",
        "<?xml",
        "<?php",
        "?>",
        "</",
        "/>",
        "<",
    ),
    *(" hidden", " style='display:none'", ' style="visibility : hidden', " a=b", " a='", ' a="', "&amp;", "&#", "&#x"),
    *("&#99999999;", "&#xD800;", "&lt", '<meta charset="', '<meta charset="utf-8">', "display", "charset=", "é"),
)
_XMP = (
    *('<?xpacket begin="" id=""?>', '<x:xmpmeta xmlns:x="adobe:ns:meta/">', "</x:xmpmeta>", "<rdf:RDF>", "</rdf:RDF>"),
    *(
        '<rdf:li xml:lang="x-default">',
        "<rdf:li>",
        "</rdf:li>",
        "<dc:subject>",
        "</dc:subject>",
        "<dc:title>",
        "</dc:title>",
    ),
    *(
        ' xmlns:dc="http://purl.org/dc/elements/1.1/"',
        "<!DOCTYPE a [",
        '<!ENTITY b "c">',
        "&b;",
        "<a>",
        "</a>",
        "<a ",
        ">",
    ),
    *(
        ' exif:GPSLatitude="59,54.6N"',
        ' exif:GPSLongitude="' + "9" * 300 + ',1E"',
        ' xmp:Rating="4"',
        "|",
        "/",
        "\ud7ff",
    ),
)
_TAKEOUT = (
    *(
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"title"',
        '"x"',
        '"photoTakenTime"',
        '"timestamp"',
        '"geoData"',
        '"latitude"',
        "1",
    ),
    *(
        '"longitude"',
        '"description"',
        '"people"',
        '"name"',
        '"\\ud800"',
        "1e999",
        "-1",
        "NaN",
        "null",
        "true",
        "9" * 5000,
    ),
)


def sniff(random: Random) -> None:
    """Which decoder a file of any bytes belongs to."""
    data = _damaged(random, _some(random, (*_MAGIC, bytes(8), random.randbytes(30))))
    kinds.kind_of(data[:8192])
    with _file(random, data) as path, suppress(MediaError):
        sniffing.open_decoder(path, _decoders(), Limits())


def text(random: Random) -> None:
    """A document in any encoding, or in none."""
    words = _some(random, (*_WORDS, *_MARKUP[-4:]))
    encoding = random.choice(
        ("utf-8", "utf-8", "utf-16", "utf-32", "cp1252", "shift_jis", "gb18030", "koi8-r", "utf-7")
    )
    _read(random, _damaged(random, words.encode(encoding, "replace")))


def html(random: Random) -> None:
    """A page of tags that were never meant for each other."""
    tag, close = f"<{random.choice(_TAGS)}", f"</{random.choice(_TAGS)}>"
    pieces = (*_MARKUP, *_WORDS[:12], *(f"<{name}>" for name in _TAGS), *(f"</{name}>" for name in _TAGS), tag, close)
    page = random.choice(("<html><body>", "<!doctype html>", "<!-- a -->" * 9 + "<html>", "")) + _some(random, pieces)
    media_html.html_text(page).encode()
    media_html.html_title(page)
    _read(random, _damaged(random, page.encode("utf-8", "replace")))


def sidecar(random: Random) -> None:
    """An XMP packet or a Takeout file, more or less."""
    if random.random() < 0.5:
        told = '<?xpacket begin=""?>' + _some(random, (*_XMP, *_WORDS))
    else:
        told = '{"title": "x", "geoData": {}' + random.choice((", ", "", ',"people":[')) + _some(random, _TAKEOUT)
    if random.random() < 0.3:
        told = _takeout(random)
    with suppress(MediaError):
        found = sidecars.read_sidecar(told)
        _check([found.words], found.metadata)
    _read(random, _damaged(random, told.encode("utf-8", "replace")))


def exif(random: Random) -> None:
    """A photograph whose EXIF, XMP and IPTC blocks are damaged."""
    block = _damaged(random, _exif(random))[:60_000]
    data = bytearray(_photo())
    packet = _some(random, _XMP).encode("utf-8", "replace")[:60_000]
    sets = _damaged(random, _iptc(random))[:60_000]
    resource = b"8BIM\4\4\0\0" + struct.pack(">I", len(sets)) + sets
    for mark, kind, body in (
        (0xE1, b"Exif\0\0", block),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0", packet),
        (0xED, b"Photoshop 3.0\0", resource),
    ):
        data[2:2] = bytes([0xFF, mark]) + struct.pack(">H", len(kind) + len(body) + 2) + kind + body
    with _file(random, bytes(data), ".jpg") as path:
        decoder = image.ImageDecoder(Windowing(), Limits())
        with suppress(MediaError):
            _check([], decoder.describe(path))
            list(decoder.decode(path))


def raw(random: Random) -> None:
    """A raw picture whose directories, and little else, are damaged."""
    data = bytearray(_raw_picture())
    tail = _damaged(random, bytes(data[-900:]))
    with _file(random, bytes(data[:-900]) + tail, ".dng") as path:
        decoder = image.ImageDecoder(Windowing(), Limits(pixels=1_000_000))
        with suppress(MediaError):
            _check([], decoder.describe(path))
            list(decoder.decode(path))


@cache
def _raw_picture() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return raw_file(Path(folder, "x.dng"), size=(80, 60), preview=(64, 48), thumbnail=(16, 12)).read_bytes()


def _iptc(random: Random) -> bytes:
    made = b""
    for _ in range(random.randint(0, 30)):
        value = random.choice((b"dog", b"\xff\xfe", b"20240501", b"x" * 500, b"\x1b%G", b""))
        name = random.choice((5, 25, 55, 60, 90, 120, random.randrange(256)))
        length = random.choice((len(value), 0x8004, random.randrange(65536))) if random.random() < 0.2 else len(value)
        made += struct.pack(">BBBH", 0x1C, random.choice((1, 2, 2, 2)), name, length) + value
    return made


def _some(random: Random, pieces: Sequence[AnyStr]) -> AnyStr:
    """Pieces, some of them many times: what explodes repeats."""
    out: list[AnyStr] = []
    empty, size, wanted = pieces[0][:0], 0, random.choice((20, 200, 2000, 2000, LARGEST))
    while size < wanted:
        piece = empty.join(random.choice(pieces) for _ in range(random.randint(1, 4)))
        times = min(random.choice((1, 1, 1, 2, 30, wanted // 4, wanted)), (wanted - size) // max(len(piece), 1))
        out.append(piece * max(times, 1))
        size += len(out[-1]) + 1
    return empty.join(out)


def _damaged(random: Random, data: bytes) -> bytes:
    """Some bytes changed, cut out or put in, as often as not."""
    damaged = bytearray(data)
    for _ in range(random.choice((0, 0, 1, 3, 20))):
        at = random.randrange(len(damaged) + 1)
        match random.randrange(3):
            case 0:
                damaged[at : at + 1] = random.randbytes(1)
            case 1:
                del damaged[at : at + random.randint(1, 50)]
            case _:
                damaged[at:at] = random.randbytes(random.randint(1, 8))
    return bytes(damaged)


def _takeout(random: Random) -> str:
    """A Takeout file whose values are of any kind."""
    odd: list[Any] = [None, True, -1, 10**400, 1e308, "9" * 5000, "\ud800x", "", [], {}, [[["x"]]], {"name": ["a"]}]

    def value() -> Any:
        return random.choice((*odd, {"timestamp": random.choice(odd), "latitude": random.choice(odd)}, [{"name": "A"}]))

    names = ("description", "photoTakenTime", "geoData", "people")
    return json.dumps({"title": value(), "geoData": {}} | {name: value() for name in names if random.random() < 0.8})


def _exif(random: Random) -> bytes:
    block = Image.Exif()
    for tag in (0x010F, 0x0110, 0x0112, 0x0132, 0x9003, 0x9011, 0xA434):
        if random.random() < 0.7:
            block[tag] = random.choice(("2024:05:01 10:20:30", "x" * 500, 6, 2**31, "\0", 0))
    place = block.get_ifd(0x8825)
    place[1], place[2] = (
        random.choice("NSX"),
        tuple(random.choice((0.0, 59.5, 1e9)) for _ in range(random.randint(1, 4))),
    )
    place[3], place[4] = "E", (10.0, 20.0, 30.0)
    camera = block.get_ifd(0x8769)
    camera[0x9003], camera[0xA434] = random.choice(("2024:05:01 10:20:30", "9999:99:99", "\0")), "x" * 500
    with suppress(Exception):
        return block.tobytes()[6:]
    return random.randbytes(100)


@cache
def _photo() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 12), "red").save(out, "JPEG")
    return out.getvalue()


@cache
def _decoders() -> tuple[Decoder, ...]:
    kinds = (image.ImageDecoder, documents.TextDecoder, video.VideoDecoder, audio.AudioDecoder)
    return tuple(kind(Windowing(), Limits()) for kind in kinds)


@contextmanager
def _file(random: Random, data: bytes, suffix: str | None = None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        path = Path(folder) / f"x{random.choice(_SUFFIXES) if suffix is None else suffix}"
        path.write_bytes(data)
        yield path


def _read(random: Random, data: bytes) -> None:
    """Put a file through the decoder of documents, whether it would be given it or not."""
    plaintext.is_text(data[:8192])
    with _file(random, data, ".txt") as path:
        decoder = documents.TextDecoder(Windowing(), Limits())
        with suppress(MediaError):
            decoder.accepts(path, data[:8192])
            _check([], decoder.describe(path))
        with suppress(MediaError):
            for segment in decoder.decode(path):
                span = segment.span
                assert span.char_start is not None and span.char_end is not None
                assert span.char_end - span.char_start == len(str(segment.data))
                _check([str(segment.data)], {})


def _check(texts: Sequence[str], metadata: dict[str, Any]) -> None:
    """What was read can be sent and kept: whole characters, finite numbers."""
    for text in texts:
        text.encode()
    json.dumps(metadata, allow_nan=False, ensure_ascii=False).encode()


def _target(step: Callable[[Random], object]) -> Target:
    return Target(st.integers(0, 2**63), lambda seed: step(Random(seed)))


SNIFFING, TEXT, HTML, SIDECARS, EXIF, RAW = map(_target, (sniff, text, html, sidecar, exif, raw))
