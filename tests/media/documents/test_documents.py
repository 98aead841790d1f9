"""What is read of each kind of document, and where it is found."""

import io
import re
import zipfile
from collections.abc import Callable
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import pytest
from openpyxl.comments import Comment
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from mmsearch.catalog.traces import texts_of_items
from mmsearch.errors import Corrupt, Unsupported
from mmsearch.library import Library
from mmsearch.media.documents import outlook
from mmsearch.media.documents.parts import Part
from mmsearch.media.text import TextDecoder
from mmsearch.types import Limits, Metadata, Segment, Windowing
from tests.media.documents import made, ole
from tests.media_files import pdf

DECODER = TextDecoder(Windowing(), Limits())


def read(path: Path) -> list[tuple[str, int | None, str | None, str]]:
    """(modality, page, place, words) of each segment."""
    assert DECODER.accepts(path, path.read_bytes()[:8192])
    return [(one.modality, one.span.page, one.span.place, _words(one)) for one in DECODER.decode(path)]


def _words(segment: Segment) -> str:
    return segment.data if isinstance(segment.data, str) else str(tuple(segment.data[0, 0].tolist()))


def facts(path: Path) -> Metadata:
    return DECODER.describe(path)


def replaced(path: Path, name: str, change: Callable[[str], str]) -> Path:
    """The document with a file in it changed."""
    with zipfile.ZipFile(path) as file:
        held = {one: file.read(one) for one in file.namelist()}
    held[name] = change(held[name].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for one, data in held.items():
            file.writestr(one, data)
    return path


def test_a_word_document_is_cut_at_its_headings(tmp_path: Path) -> None:
    document = docx.Document()
    document.core_properties.author, document.core_properties.title = "Ada Lovelace", "Rail plan"
    document.core_properties.keywords = "trams; rails"
    document.add_paragraph("before any heading")
    document.add_heading("Results", 1)
    document.add_paragraph("the tramway\tis here")
    table = document.add_table(2, 2)
    table.cell(0, 0).text, table.cell(1, 1).text = "alpha", "omega"
    document.add_heading("Costs", 2)
    document.add_paragraph("paid in full")
    document.add_picture(io.BytesIO(made.picture("red")))
    document.sections[0].footer.paragraphs[0].text = "page footer"
    document.save(str(tmp_path / "a.docx"))
    assert read(tmp_path / "a.docx") == [
        ("text", None, None, "Rail plan\nAda Lovelace\ntrams, rails"),
        ("text", 1, None, "before any heading"),
        ("text", 2, "section Results", "Results\nthe tramway\tis here\nalpha\n\tomega"),
        ("text", 3, "section Costs", "Costs\npaid in full"),
        ("image", 3, "section Costs", "(255, 0, 0)"),
        ("text", 4, "footer", "page footer"),
    ]
    known = facts(tmp_path / "a.docx")
    assert (known["title"], known["author"], known["keywords"]) == ("Rail plan", "Ada Lovelace", ["trams", "rails"])
    assert known["created"] == "2013-12-23T23:15:00+00:00" and "description" not in known


def test_text_in_boxes_is_read_once_and_what_was_deleted_is_not(tmp_path: Path) -> None:
    path = made.write_docx(tmp_path / "a.docx", {"": ["MARK"]})
    box = "<w:r><w:txbxContent><w:p><w:r><w:t>in a box</w:t></w:r></w:p></w:txbxContent></w:r>"
    replaced(
        path, "word/document.xml",
        lambda xml: xml.replace(
            "<w:t>MARK</w:t>",
            "<w:tabs><w:tab/></w:tabs><w:t>kept</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
            "<w:ins><w:r><w:t> added</w:t></w:r></w:ins><w:r><w:instrText>PAGE</w:instrText></w:r>"
            "<w:sdt><w:sdtContent><w:r><w:t> filled</w:t></w:r></w:sdtContent></w:sdt>"
            f"<AlternateContent><Choice>{box}</Choice><Fallback>{box}</Fallback></AlternateContent><w:r>",
        ),
    )  # fmt: skip
    assert [words for *_, words in read(path)] == ["in a box\n\tkept added filled"]


def test_headings_of_own_styles_are_headings(tmp_path: Path) -> None:
    path = made.write_docx(tmp_path / "a.docx", {"Ziel": ["words"]})
    own = '<w:style w:styleId="Eigen"><w:name w:val="Eigen"/><w:basedOn w:val="Heading1"/></w:style></w:styles>'
    replaced(path, "word/styles.xml", lambda xml: xml.replace("</w:styles>", own))
    replaced(path, "word/document.xml", lambda xml: xml.replace('"Heading1"', '"Eigen"'))
    assert read(path) == [("text", 1, "section Ziel", "Ziel\nwords")]


def test_slides_have_their_tables_charts_notes_and_pictures(tmp_path: Path) -> None:
    deck = pptx.Presentation()
    first, second = (deck.slides.add_slide(deck.slide_layouts[5]) for _ in range(2))
    first.shapes.title.text, second.shapes.title.text = "Opening", "Numbers"
    second.notes_slide.notes_text_frame.text = "say it slowly"
    table = second.shapes.add_table(1, 2, Inches(1), Inches(1), Inches(3), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    chart: Any = CategoryChartData()  # type: ignore[no-untyped-call]
    chart.categories = ["Easting", "Westing"]
    chart.add_series("Sales", (1, 2))
    second.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(1), Inches(3), Inches(3), chart)
    for slide in (first, second):  # a logo
        slide.shapes.add_picture(io.BytesIO(made.picture("blue")), Inches(1), Inches(1))
    second.shapes.add_picture(io.BytesIO(made.picture("red", (16, 16))), Inches(1), Inches(1))  # a bullet
    deck.save(str(tmp_path / "a.pptx"))
    assert read(tmp_path / "a.pptx") == [
        ("text", 1, "slide 1", "Opening"),
        ("image", 1, "slide 1", "(0, 0, 255)"),
        ("text", 2, "slide 2", "Numbers\nleft\tright\nsay it slowly\nSales\nEasting\nWesting"),
    ]


def test_slides_come_in_the_order_in_which_they_are_shown(tmp_path: Path) -> None:
    path = made.write_pptx(tmp_path / "a.pptx", ["one", "two", "three"])
    order = re.compile(r"(<p:sldIdLst>)(.*?/>)(.*)(</p:sldIdLst>)")
    replaced(path, "ppt/presentation.xml", lambda xml: order.sub(r"\1\3\2\4", xml))
    assert [(place, words) for _, _, place, words in read(path) if place] == [
        ("slide 1", "two"), ("slide 2", "three"), ("slide 3", "one"),
    ]  # fmt: skip


def test_cells_are_read_as_they_are_shown_with_their_rows(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.title = "Budget"
    sheet["A3"], sheet["B3"], sheet["C3"], sheet["D3"] = "paint", 0.1 + 0.2, date(2024, 5, 1), True
    sheet["A9"] = "=A3"
    sheet["A5"].comment = Comment("ask the painter", "Ada")
    other: Any = book.create_sheet("Second & last")
    other["C7"] = "a needle"
    book.save(tmp_path / "a.xlsx")
    assert read(tmp_path / "a.xlsx") == [
        ("text", 1, "sheet Budget, rows 3-5", "Budget\npaint\t0.3\t2024-05-01\tTRUE\nask the painter"),
        ("text", 2, "sheet Second & last, row 7", "Second & last\na needle"),
    ]


def test_a_passage_names_the_rows_that_it_has() -> None:
    part = Part("Budget\nab cd\nef\n\ngh", 1, "sheet Budget", [(7, 2), (13, 5), (17, 9)])
    places = [part.place_of(0, 6), part.place_of(0, 12), part.place_of(13, 15), part.place_of(10, 19)]
    assert places == ["sheet Budget", "sheet Budget, row 2", "sheet Budget, row 5", "sheet Budget, rows 2-9"]


def test_opendocument_texts_slides_and_sheets(tmp_path: Path) -> None:
    meta = (
        "<dc:title>Plan</dc:title><meta:initial-creator>Ann</meta:initial-creator><dc:creator>Ben</dc:creator>"
        "<meta:creation-date>2024-05-01T10:20:30.5</meta:creation-date><meta:keyword>rail</meta:keyword>"
    )
    body = (
        "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes><text:p>intro</text:p>"
        '<text:h text:outline-level="1">Top</text:h><text:p>a<text:s text:c="2"/>b<text:tab/>c</text:p>'
        '<draw:image xlink:href="Pictures/1.png"/><draw:image xlink:href="http://127.0.0.1:9/x.png"/>'
        "<table:table><table:table-row><table:table-cell><text:p>c1</text:p></table:table-cell><table:table-cell>"
        "<text:p>c2</text:p></table:table-cell></table:table-row></table:table>"
    )
    path = made.write_opendocument(tmp_path / "a.odt", "text", body, meta, "green")
    assert read(path) == [
        ("text", None, None, "Plan\nAnn\nrail"),
        ("text", 1, None, "intro"),
        ("text", 2, "section Top", "Top\na  b\tc\nc1\tc2"),
        ("image", 2, "section Top", "(0, 128, 0)"),
    ]
    assert facts(path) == {
        "title": "Plan", "author": "Ann", "keywords": ["rail"], "created": "2024-05-01T10:20:30",
    }  # fmt: skip
    page = '<draw:page draw:name="x"><draw:frame><text:p>{}</text:p></draw:frame></draw:page>'
    path = made.write_opendocument(tmp_path / "a.odp", "presentation", page.format("first") + page.format("second"))
    assert [row[1:] for row in read(path)] == [(1, "slide 1", "first"), (2, "slide 2", "second")]
    row = "<table:table-row{}><table:table-cell>{}</table:table-cell></table:table-row>"
    rows = row.format(' table:number-rows-repeated="1048570"', "") + row.format("", "<text:p>needle</text:p>")
    path = made.write_opendocument(
        tmp_path / "a.ods", "spreadsheet", f'<table:table table:name="Tab One">{rows}</table:table>'
    )
    assert [row[1:] for row in read(path)] == [(1, "sheet Tab One, row 1048571", "Tab One\nneedle")]


@pytest.mark.parametrize("nav", [False, True], ids=["EPUB 2", "EPUB 3"])
def test_chapters_have_the_names_of_the_table_of_contents(tmp_path: Path, nav: bool) -> None:
    chapters = {"The Storm": "<h1>I</h1><p>wind &amp; rain</p><img src='../p/1.png'/>", "Calm": "<p>still water</p>"}
    path = made.write_epub(
        tmp_path / "a.epub", chapters, title="The Sea", author="Jane Doe", date="1998-04-03", nav=nav,
        pictures={"p/1.png": made.picture("blue")},
    )  # fmt: skip
    assert read(path) == [
        ("text", None, None, "The Sea\nJane Doe\nnovel"),
        ("text", 1, "chapter The Storm", "I\nwind & rain"),
        ("image", 1, "chapter The Storm", "(0, 0, 255)"),
        ("text", 2, "chapter Calm", "still water"),
    ]
    assert facts(path) == {"title": "The Sea", "author": "Jane Doe", "keywords": ["novel"], "created": "1998-04-03"}


def test_a_file_of_several_chapters_is_cut_where_they_begin(tmp_path: Path) -> None:
    body = "<p>still wind</p><div id='b'><p>calm</p></div><h2 id='c'>III</h2><p>harbour</p>"
    path = made.write_epub(tmp_path / "a.epub", {"The Storm": "<p>wind</p>", "Calm": body})
    entry = '<navPoint><navLabel><text>Harbour</text></navLabel><content src="text/c2.xhtml#c"/></navPoint></navMap>'
    replaced(path, "OEBPS/toc.ncx", lambda ncx: ncx.replace("c2.xhtml", "c2.xhtml#b").replace("</navMap>", entry))
    assert [row[1:] for row in read(path)][1:] == [
        (1, "chapter The Storm", "wind"), (2, "chapter The Storm", "still wind"), (3, "chapter Calm", "calm"),
        (4, "chapter Harbour", "III\nharbour"),
    ]  # fmt: skip


def test_a_mail_says_who_wrote_what_to_whom_and_when(tmp_path: Path) -> None:
    mail = made.mail("Grüße from the tramway", "a plain zebra\n", html="<html><p>the same in HTML</p></html>")
    mail.add_attachment(made.picture("red", kind="JPEG"), maintype="image", subtype="jpeg", filename="bicycle.jpg")
    mail.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="offer.pdf")
    mail.add_attachment("about ptarmigans", filename="notes.txt")
    inner = EmailMessage()
    inner["From"], inner["Subject"] = "x@example.org", "inner"
    inner.set_content("a capybara")
    mail.add_attachment(inner)
    path = made.write_mail(tmp_path / "a.eml", mail)
    head = (
        "Grüße from the tramway\nFrom: Jürgen Müller <jm@example.org>\nTo: Ada <ada@example.org>, bob@example.org\n"
        "Date: 2024-05-01T10:20:30+02:00\n\na plain zebra\n\n\nAttached: bicycle.jpg, offer.pdf, notes.txt"
    )
    assert read(path) == [
        ("text", None, None, head),
        ("image", None, "attachment bicycle.jpg", "(254, 0, 0)"),
        ("text", None, "attachment notes.txt", "about ptarmigans"),
        ("text", None, "attachment inner", "inner\nFrom: x@example.org\n\na capybara"),
    ]
    assert facts(path) == {
        "title": "Grüße from the tramway", "author": "Jürgen Müller", "from": "Jürgen Müller <jm@example.org>",
        "to": "Ada <ada@example.org>, bob@example.org", "taken": "2024-05-01T10:20:30+02:00",
    }  # fmt: skip


def test_a_mail_of_html_alone_is_read_as_a_page(tmp_path: Path) -> None:
    mail = EmailMessage()
    mail["From"], mail["Subject"], mail["To"] = "a@example.org", "=?utf-8?q?=C3=A9t=C3=A9?=", "b@example.org"
    mail.set_content("<html><style>p{}</style><p>so <b>bold</b></p></html>", subtype="html", charset="iso-8859-1")
    (*_, words) = read(made.write_mail(tmp_path / "a.eml", mail))[0]
    assert words.splitlines()[-1] == "so bold"


@pytest.mark.parametrize(
    "text",
    [
        "From: here to there\n\nis a road book\n",
        "Subject: a memo\nTo: all\n\nwords\n",
        "title: x\ndate: 2024\n---\nwords",
        "GET / HTTP/1.1\nHost: x\nDate: y\nFrom: z\n\n",
    ],
)
def test_a_text_with_colons_is_no_mail(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text)
    assert [words for *_, words in read(path)] == [text.strip()]


def test_an_outlook_message(tmp_path: Path) -> None:
    attached = {"bicycle.png": ("image/png", made.picture("red", (200, 200))), "offer.pdf": ("", b"%PDF")}
    path = ole.write_message(tmp_path / "a.msg", "Tramway", "a zebra\r\n" * 600, attached=attached)
    first, last = read(path)[0], read(path)[-1]
    assert first[3].startswith(
        "Tramway\nFrom: Ada <ada@example.org>\nTo: Bob <bob@example.org>\nDate: 2024-05-01T08:20:30"
    )
    assert last == ("image", None, "attachment bicycle.png", "(255, 0, 0)")
    assert facts(path)["from"] == "Ada <ada@example.org>" and facts(path)["title"] == "Tramway"
    assert any("Attached: bicycle.png, offer.pdf" in words for *_, words in read(path))


def test_an_outlook_message_without_the_extra_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ole.write_message(tmp_path / "a.msg", "Tramway", "a zebra")
    monkeypatch.setattr(outlook, "find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=re.escape("pip install 'mmsearch[office]'")) as caught:
        DECODER.describe(path)
    assert caught.value.hint == "pip install 'mmsearch[office]'" and "--retry unsupported" in caught.value.message


def test_what_is_protected_or_of_another_kind_says_so(tmp_path: Path) -> None:
    path = ole.write_ole(tmp_path / "a.docx", {"EncryptedPackage": b"x" * 9000, "EncryptionInfo": b"y"})
    with pytest.raises(Unsupported, match="protected by a password"):
        read(path)
    path = ole.write_ole(tmp_path / "a.doc", {"WordDocument": b"x" * 9000})
    assert not DECODER.accepts(path, path.read_bytes()[:8192])
    path = made.write_opendocument(tmp_path / "a.odt", "text", "<text:p>x</text:p>")
    with pytest.raises(Unsupported, match="protected by a password"):
        read(replaced(path, "META-INF/manifest.xml", lambda xml: "<m><encryption-data/></m>"))
    path = made.write_epub(tmp_path / "a.epub", {"One": "<p>x</p>"})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("META-INF/encryption.xml", '<e><CipherReference URI="OEBPS/text/c1.xhtml"/></e>')
    with pytest.raises(Unsupported, match="DRM"):
        read(path)
    path = made.write_docx(tmp_path / "b.docx", {"": ["x"]})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(Corrupt, match="cut off"):
        read(path)


def test_a_pdf_says_when_it_was_made(tmp_path: Path) -> None:
    path = pdf(tmp_path / "a.pdf", ["words"], title="D")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"/Title", b"/CreationDate (D:20240501102030+02'00') /Title"))
    assert facts(path)["created"] == "2024-05-01T08:20:30+00:00"


@pytest.mark.slow
def test_a_hit_says_the_slide_and_a_picture_finds_its_deck(library: Library, folder: Path) -> None:
    made.write_pptx(folder / "deck.pptx", ["nothing", "a kestrel"], colours={2: "red"}, author="Ada", title="Birds")
    made.write_mail(folder / "m.eml", made.mail("Greetings", "words"))
    assert library.ingest(folder).new == 2
    hit = library.search('"a kestrel"', k=1)[0]
    assert (hit.path.name, hit.modality, hit.page, hit.place, hit.passage) == (
        "deck.pptx", "text", 2, "slide 2", "a kestrel",
    )  # fmt: skip
    seen = library.search("red", k=1)[0]
    assert (seen.path.name, seen.matched, seen.page, seen.place, seen.passage) == (
        "deck.pptx", "image", 2, "slide 2", None,
    )  # fmt: skip
    moments = library.search("red", k=1, moments=True)[0].moments
    assert ("image", "slide 2") in [(one.matched, one.place) for one in moments]
    found = library.search("words", filter="meta.from contains 'Jürgen' and taken = 2024-05-01")
    assert [one.path.name for one in found] == ["m.eml"]
    held = library._context.catalog().read(lambda snapshot: list(texts_of_items(snapshot, [hit.item_id])))
    assert {"slide 2", "a kestrel", "Ada", "Birds"} <= set(held)
    assert [one.meta for one in library.items(filter="name = 'deck.pptx'")] == [{"author": "Ada"}]
