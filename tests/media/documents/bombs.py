"""Documents from strangers who mean harm: each is to be refused for its own reason."""

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.media.documents import made, ole

TYPES = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MEGABYTE = 2**20


@dataclass(frozen=True, slots=True)
class Bomb:
    suffix: str
    write: Callable[[Path], object]
    failure: str
    reason: str
    """What the reason says."""


def package(path: Path, files: Mapping[str, str | bytes], main: str = "word/document.xml") -> None:
    """The least that is a package of Office."""
    relation = f'<Relationships><Relationship Id="a" Type="{OFFICE}/officeDocument" Target="{main}"/></Relationships>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", TYPES)
        file.writestr("_rels/.rels", relation)
        for name, data in files.items():
            file.writestr(name, data)


def word(inner: str, before: str = "") -> dict[str, str]:
    return {"word/document.xml": f"{before}<w:document><w:body>{inner}</w:body></w:document>"}


def _zeros(path: Path) -> None:
    """A file of 256 MB in one of 256 kB."""
    package(path, {})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file, file.open("word/document.xml", "w") as inner:
        for _ in range(256):
            inner.write(bytes(MEGABYTE))


def _lying(path: Path) -> None:
    """The same, which says that it has a hundred bytes."""
    _zeros(path)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 100)
    path.write_bytes(data)


def _many_slides(path: Path) -> None:
    """Each of a size that is no bomb by itself."""
    count, words = 200, "<p><t>" + "".join(f"{n:x} " for n in range(120_000)) + "</t></p>"
    ids = "".join(f'<p:sldId id="{n}" r:id="r{n}"/>' for n in range(count))
    relations = "".join(f'<Relationship Id="r{n}" Type="x/slide" Target="s{n}.xml"/>' for n in range(count))
    slides = {f"ppt/s{n}.xml": words for n in range(count)}
    known = {"ppt/_rels/presentation.xml.rels": f"<Relationships>{relations}</Relationships>"}
    package(path, {"ppt/presentation.xml": f"<p>{ids}</p>", **known, **slides}, "ppt/presentation.xml")


def _many_files(path: Path) -> None:
    package(path, word("") | {f"word/{n}": b"" for n in range(25_000)})


def _long_list(path: Path) -> None:
    """A list of half a million files, none of which is there."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHHHHII", 8, 0, 0, 0, 0, 0, 0) + b"word/abc"
    listed = entry * 500_000
    head = b"PK\x03\x04" + bytes(22) + struct.pack("<HH", 8, 0) + b"word/abc"
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, len(listed), len(head), 0)
    path.write_bytes(head + listed + end)


def _overlapping(path: Path) -> None:
    """Files that lie over each other (Fifield, "A better zip bomb", 2019)."""
    noise = bytes(n * 7919 % 251 for n in range(100_000))
    package(path, word("") | {"word/n": noise})
    data = path.read_bytes()
    at = data.rfind(b"PK\x01\x02")
    entry, end = data[at : data.rfind(b"PK\x05\x06")], bytearray(data[data.rfind(b"PK\x05\x06") :])
    size, length = int.from_bytes(end[12:16], "little"), int.from_bytes(end[10:12], "little")
    more = [entry.replace(b"word/n", b"word/" + bytes([65 + n])) for n in range(26)]
    end[8:12] = struct.pack("<HH", length + 26, length + 26)
    end[12:16] = struct.pack("<I", size + len(b"".join(more)))
    path.write_bytes(data[: data.rfind(b"PK\x05\x06")] + b"".join(more) + end)


def _nested(path: Path) -> None:
    """Archives in archives: none is opened."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(50 * MEGABYTE))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("[Content_Types].xml", TYPES)
        for n in range(16):
            file.writestr(f"{n}.zip", inner.getvalue())


LAUGHS = "<!DOCTYPE a [<!ENTITY a0 'ha'>" + "".join(f"<!ENTITY a{n + 1} '{f'&a{n};' * 10}'>" for n in range(9)) + "]>"
OUTSIDE = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>"
PARAMETERS = "<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://127.0.0.1:9/evil.dtd'> %p;]>"
QUADRATIC = f"<!DOCTYPE a [<!ENTITY a '{'x' * 100_000}'>]>"


def _sheet(path: Path, rows: str, strings: str = "") -> None:
    relations = (
        '<Relationships><Relationship Id="s" Type="x/worksheet" Target="sheet.xml"/>'
        '<Relationship Id="t" Type="x/sharedStrings" Target="strings.xml"/></Relationships>'
    )
    files = {
        "xl/workbook.xml": '<workbook><sheet name="a" r:id="s"/></workbook>',
        "xl/_rels/workbook.xml.rels": relations,
        "xl/sheet.xml": f"<worksheet><sheetData>{rows}</sheetData></worksheet>",
        "xl/strings.xml": f"<sst>{strings}</sst>",
    }
    package(path, files, "xl/workbook.xml")


def _huge_sheet(path: Path) -> None:
    _sheet(path, "".join(f'<row r="{n}"><c><v>{n * 7919}</v></c><c><v>{n}</v></c></row>' for n in range(700_000)))


def _huge_string(path: Path) -> None:
    _sheet(
        path,
        '<row><c t="s"><v>0</v></c></row>',
        "<si><t>" + "".join(f"{n:x}," for n in range(12_000_000)) + "</t></si>",
    )


def _many_parts(path: Path) -> None:
    part = b"--x\nContent-Type: text/plain\n\nwords\n"
    path.write_bytes(HEAD + b'Content-Type: multipart/mixed; boundary="x"\n\n' + part * 10_000 + b"--x--\n")


HEAD = b"From: a@example.org\nTo: b@example.org\nSubject: hello\n"


def _deep_parts(path: Path) -> None:
    data = HEAD
    for n in range(2000):
        data += b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n)
    path.write_bytes(data + b"Content-Type: text/plain\n\nwords\n")


def _long_header(path: Path) -> None:
    path.write_bytes(HEAD + b"X-Long: " + b"=?utf-8?q?=41?= \n " * 200_000 + b"\n\nwords")


def _endless(path: Path) -> None:
    data = b'Content-Type: multipart/mixed; boundary="x"\n\n' + b"--x\n\nwords\n" * 3000
    path.write_bytes(HEAD + data)


def _book(path: Path, body: str, package_head: str = "") -> None:
    made.write_epub(path, {"One": body})
    with zipfile.ZipFile(path) as file:
        held = {name: file.read(name) for name in file.namelist()}
    held["OEBPS/content.opf"] = package_head.encode() + held["OEBPS/content.opf"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in held.items():
            file.writestr(name, data)


def _streams(path: Path) -> None:
    """A message whose streams are all the same megabyte."""
    ole.write_message(path, "hello", "x" * MEGABYTE)
    data = bytearray(path.read_bytes())
    at = data.find("__substg1.0_1000001F".encode("utf-16-le"))
    first, size = struct.unpack("<IQ", data[at + 116 : at + 128])
    for name in ("0037001F", "0C1A001F", "0C1F001F"):
        own = data.find(f"__substg1.0_{name}".encode("utf-16-le"))
        data[own + 116 : own + 128] = struct.pack("<IQ", first, size)
    path.write_bytes(data)


def _cell(path: Path) -> None:
    body = "<table:table table:name='a'>" + "<table:table-row><table:table-cell/>" * 150 + "</table:table>"
    made.write_opendocument(path, "spreadsheet", body.replace("</table:table>", "<table:table-row>" * 200))


BOMBS: dict[str, Bomb] = {
    "zeros": Bomb(".docx", _zeros, "limit", "bytes of text"),
    "a lie about the size": Bomb(".docx", _lying, "corrupt", "damaged"),
    "many slides": Bomb(".pptx", _many_slides, "limit", "bytes of text"),
    "many files": Bomb(".docx", _many_files, "limit", "more than 20,000 files"),
    "a long list of files": Bomb(".docx", _long_list, "limit", "more than 20,000 files"),
    "files over each other": Bomb(".docx", _overlapping, "limit", "lie over each other"),
    "archives in archives": Bomb(".docx", _nested, "unsupported", "a kind that is not read"),
    "a billion laughs": Bomb(
        ".docx", lambda path: package(path, word("<p><t>&a9;</t></p>", LAUGHS)), "corrupt", "entities"
    ),
    "one large entity": Bomb(
        ".docx", lambda path: package(path, word(f"<p><t>{'&a;' * 10_000}</t></p>", QUADRATIC)), "corrupt", "entities"
    ),
    "an entity from a file": Bomb(
        ".docx", lambda path: package(path, word("<p><t>&x;</t></p>", OUTSIDE)), "corrupt", "entities"
    ),
    "an entity from an address": Bomb(
        ".docx", lambda path: package(path, word("<p><t>x</t></p>", PARAMETERS)), "corrupt", "entities"
    ),
    "deep elements": Bomb(
        ".docx", lambda path: package(path, word("<a>" * 100_000 + "</a>" * 100_000)), "limit", "nested deeper"
    ),
    "many elements": Bomb(
        ".docx", lambda path: package(path, word("<a/><b/>" * 2_000_000)), "limit", "packed more than 400 times"
    ),
    "a huge sheet": Bomb(".xlsx", _huge_sheet, "limit", "elements of XML"),
    "a huge string": Bomb(".xlsx", _huge_string, "limit", "bytes of text"),
    "laughs in a spreadsheet": Bomb(".ods", lambda path: _laughing_content(path), "corrupt", "entities"),
    "deep rows": Bomb(".ods", _cell, "limit", "nested deeper"),
    "a mail of 10,000 parts": Bomb(".eml", _many_parts, "limit", "more than 1,000 parts"),
    "parts in parts": Bomb(".eml", _deep_parts, "limit", "nested deeper than 20"),
    "a long header": Bomb(".eml", _long_header, "limit", "headers of more than"),
    "a mail that never ends": Bomb(".eml", _endless, "limit", "more than 1,000 parts"),
    "a book of zeros": Bomb(".epub", lambda path: _book(path, "0" * 100 * MEGABYTE), "limit", "bytes of text"),
    "a book with laughs": Bomb(".epub", lambda path: _book(path, "<p>x</p>", LAUGHS), "corrupt", "entities"),
    "streams over each other": Bomb(".msg", _streams, "limit", "lie over each other"),
}  # fmt: skip


def _laughing_content(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("content.xml", f"{LAUGHS}<a><p>&a9;</p></a>")
