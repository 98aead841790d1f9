"""Steps over office documents, e-books and mails: of parts that fit together, more or less, in damaged archives."""

import json
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from random import Random

from hypothesis import strategies as st

from mmsearch.errors import MediaError
from mmsearch.media.text import TextDecoder
from mmsearch.types import Limits, Windowing
from tests.fuzz.target import Target
from tests.media.documents import made, ole
from tests.media.documents.bombs import HEAD, LAUGHS, OFFICE, TYPES

LARGEST = 100_000
"""Bytes of what is packed, about."""

_WORDS: tuple[str, ...] = (
    "geese",
    " ",
    "\n",
    "\t",
    "é",
    "日本",
    "😀",
    "\u0301",
    "\u200b",
    "&amp;",
    "&#x41;",
    "&lt;",
    "0",
    "1e999",
    "-1",
)
_WORDS += (
    "45000",
    "2024-05-01",
    "true",
    "#N/A",
    "nan",
    "inf",
    "99999999999999999999",
    "&unknown;",
    "\ufffe",
    "/",
    "%2e",
)
_OFFICE = (
    *("p", "r", "t", "pPr", "pStyle", "outlineLvl", "tab", "br", "tbl", "tr", "tc", "del", "Fallback", "fld", "blip"),
    *("imagedata", "style", "name", "basedOn", "sheet", "workbookPr", "si", "rPh", "numFmt", "cellXfs", "xf", "row"),
    *(
        "c",
        "v",
        "is",
        "comment",
        "text",
        "sldId",
        "strCache",
        "Relationship",
        "title",
        "creator",
        "created",
        "keywords",
    ),
)
_OPEN = (
    *("p", "h", "s", "tab", "line-break", "image", "page", "table", "table-row", "table-cell", "annotation", "creator"),
    *("tracked-changes", "title", "keyword", "creation-date", "list", "span", "frame", "text-box"),
)
_BOOK = (
    "item",
    "itemref",
    "navPoint",
    "text",
    "content",
    "title",
    "date",
    "rootfile",
    "CipherReference",
    "p",
    "h1",
    "img",
)
_VALUES = (
    *(
        "a",
        "r1",
        "1",
        "0",
        "-1",
        "s",
        "b",
        "e",
        "str",
        "inlineStr",
        "d",
        "n",
        "Heading1",
        "heading 1",
        "heading 99999999",
    ),
    *("9999999999", "slidenum1", "External", "../../x.png", "Pictures/1.png", "http://127.0.0.1:9/", "sheet.xml", "./"),
    *("%00", "x/image", "x/worksheet", "x/sharedStrings", "x/slide", "x/styles", "x/chart", "yy", "dd/mm/yyyy", '"d"'),
    *("c1", "c2", "text/c1.xhtml", "text/c1.xhtml#a", "application/xhtml+xml", "nav", "application/x-dtbncx+xml", ""),
)
_NAMES = (
    *(
        "val",
        "id",
        "r:id",
        "r:embed",
        "Id",
        "Type",
        "Target",
        "TargetMode",
        "styleId",
        "name",
        "t",
        "s",
        "r",
        "ref",
        "type",
    ),
    *("numFmtId", "formatCode", "outline-level", "c", "href", "xlink:href", "number-rows-repeated", "src", "idref"),
    *("media-type", "properties", "full-path", "URI", "date1904"),
)
_MAIL = (
    *(b"From: a@b.c\n", b"To: =?utf-8?q?=C3=A9?= <x@y>, \n", b"Subject: ", b"Date: Wed, 01 May 2024 10:20:30 +0200\n"),
    *(
        b"Date: 99 99 99\n",
        b"Content-Type: multipart/mixed; boundary=x\n",
        b"Content-Type: multipart/alternative; boundary=y\n",
    ),
    *(
        b"Content-Type: text/html; charset=utf-16\n",
        b"Content-Type: text/plain; charset=base64\n",
        b"\n",
        b"\n\n",
        b"--x\n",
    ),
    *(b"--y\n", b"--x--\n", b"--y--\r\n", b"Content-Type: message/rfc822\n", b"Content-Type: image/png\n", b"words "),
    *(
        b"Content-Transfer-Encoding: base64\n",
        b"Content-Transfer-Encoding: quoted-printable\n",
        b"R0lGODlh",
        b"=\n",
        b"=ZZ",
    ),
    *(
        b"Content-Disposition: attachment; filename*=utf-8''%e2%82%ac",
        b'; filename="..\\..\\x"\n',
        b" folded\n",
        b"\xff\xfe",
    ),
    *(b'Content-Type: ;;;="\\"', b"boundary*0=x; boundary*1=y\n", b"=?x?b?", b"?=", b"<html><body><p>"),
)


def xml(random: Random, names: tuple[str, ...]) -> str:
    """Elements in each other that end as they should, now and then with what no one should send."""
    out = [
        random.choice(("", '<?xml version="1.0"?>', '<?xml version="1.0" encoding="utf-7"?>', LAUGHS, "<!DOCTYPE a>"))
    ]
    opened: list[str] = ["root"]
    out.append("<root>")
    size, wanted = 0, random.choice((20, 400, 3000, LARGEST))
    while size < wanted:
        match random.randrange(5):
            case 0 | 1:
                name = f"{random.choice(('w:', '', 'a:b:'))[:2]}{random.choice(names)}"
                given = {random.choice(_NAMES): random.choice(_VALUES) for _ in range(random.randrange(4))}
                out.append(f"<{name}{''.join(f' {key}={_quoted(value)}' for key, value in given.items())}>")
                opened.append(name)
            case 2:
                out.append(random.choice(_WORDS) * random.choice((1, 1, 3, 1000)))
            case _:
                if len(opened) > 1:
                    out.append(f"</{opened.pop()}>")
        size += len(out[-1])
    return "".join(out) + "".join(f"</{name}>" for name in reversed(opened))


def _quoted(value: str) -> str:
    return "'" + value.replace("&", "&amp;") + "'"


def damaged(random: Random, data: bytes) -> bytes:
    """Some bytes changed, cut out or put in, as often as not."""
    changed = bytearray(data)
    for _ in range(random.choice((0, 0, 1, 3, 20))):
        at = random.randrange(len(changed) + 1)
        changed[at : at + random.choice((0, 1, 30))] = random.randbytes(random.randrange(4))
    return bytes(changed)


_LAYOUTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "word/document.xml", _OFFICE,
        ("word/_rels/document.xml.rels", "word/styles.xml", "sheet.xml", "docProps/core.xml", "word/sheet.xml"),
    ),
    ("ppt/presentation.xml", _OFFICE, ("ppt/_rels/presentation.xml.rels", "ppt/sheet.xml", "ppt/_rels/sheet.xml.rels")),
    (
        "xl/workbook.xml", _OFFICE,
        ("xl/_rels/workbook.xml.rels", "xl/sheet.xml", "xl/_rels/sheet.xml.rels", "xl/styles.xml"),
    ),
    ("content.xml", _OPEN, ("meta.xml", "META-INF/manifest.xml", "Pictures/1.png")),
    (
        "OEBPS/content.opf", _BOOK,
        ("OEBPS/text/c1.xhtml", "OEBPS/toc.ncx", "META-INF/encryption.xml", "OEBPS/nav.xhtml"),
    ),
)  # fmt: skip


def packed(random: Random) -> None:
    """A document of one of the kinds that are ZIP files."""
    main, names, others = random.choice(_LAYOUTS)
    kind = random.choice(("text", "presentation", "spreadsheet", "graphics"))
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        path = Path(folder) / f"x{random.choice(('.docx', '.pptx', '.xlsx', '.odt', '.epub'))}"
        with zipfile.ZipFile(path, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as file:
            if main == "content.xml":
                file.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
            elif main.startswith("OEBPS"):
                file.writestr("META-INF/container.xml", made.CONTAINER)
            else:
                file.writestr("[Content_Types].xml", TYPES)
                relation = f'<Relationship Id="a" Type="{OFFICE}/officeDocument" Target="{main}"/>'
                file.writestr("_rels/.rels", f"<Relationships>{relation}</Relationships>")
            for name in (main, *others):
                if name == main or random.random() < 0.8:
                    file.writestr(name, damaged(random, xml(random, names).encode("utf-8", "replace")))
        data, at = path.read_bytes(), random.choice((0, -1000, -200))
        if random.random() < 0.4:  # the list of files stands at the end
            path.write_bytes(data[:at] + damaged(random, data[at:]))
        read(path)


def mail(random: Random) -> None:
    """Headers, boundaries and bodies that were never meant for each other."""
    wanted = random.choice((100, 2000, LARGEST))
    pieces = [HEAD]
    while sum(map(len, pieces)) < wanted:
        pieces.append(random.choice(_MAIL) * random.choice((1, 1, 1, 5, wanted // 40)))
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        path = Path(folder) / "x.eml"
        path.write_bytes(damaged(random, b"".join(pieces)[:LARGEST]))
        read(path)


def message(random: Random) -> None:
    """A damaged Outlook message."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        attached = {"x.png": ("image/png", made.picture("red", (70, 70)))}
        path = ole.write_message(
            Path(folder) / "x.msg", "hello", "words " * random.choice((1, 2000)), attached=attached
        )
        data = bytearray(path.read_bytes())
        for _ in range(random.choice((1, 3, 30))):
            at = random.choice((random.randrange(len(data)), random.randrange(30, 80)))
            data[at : at + 1] = random.randbytes(1)
        path.write_bytes(bytes(data))
        read(path)


def read(path: Path) -> None:
    """What a worker does with it. Raises: MediaError."""
    decoder = TextDecoder(Windowing(), Limits())
    with open(path, "rb") as file:
        head = file.read(8192)
    decoder.accepts(path, head)
    with suppress(MediaError):
        json.dumps(decoder.describe(path), allow_nan=False, ensure_ascii=False).encode()
    for segment in decoder.decode(path):
        assert segment.span.place is None or segment.span.place.isprintable(), segment.span
        assert segment.span.text is None or segment.span.text == segment.data


def step(seed: int) -> None:
    """One of them. Raises: MediaError."""
    random = Random(seed)
    random.choice((packed, packed, mail, message))(random)


DOCUMENTS = Target(st.integers(0, 2**32), step)
