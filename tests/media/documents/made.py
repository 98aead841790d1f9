"""Documents as other programs write them: python-docx, python-pptx, openpyxl and `email`; the others by hand."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from html import escape
from pathlib import Path

import docx
import openpyxl
import pptx
from openpyxl.drawing.image import Image as SheetImage
from PIL import Image
from pptx.util import Inches

Cells = Sequence[Sequence[object]]


def picture(colour: str, size: tuple[int, int] = (96, 80), kind: str = "PNG") -> bytes:
    """The file of a picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def write_docx(path: Path, sections: Mapping[str, Sequence[str]], *, colour: str | None = None, **facts: str) -> Path:
    """A document: heading -> paragraphs; the picture stands in the last section."""
    document = docx.Document()
    for name, value in facts.items():
        setattr(document.core_properties, name, value)
    for heading, paragraphs in sections.items():
        if heading:
            document.add_heading(heading, 1)
        for words in paragraphs:
            document.add_paragraph(words)
    if colour:
        document.add_picture(io.BytesIO(picture(colour)))
    document.save(str(path))
    return path


def write_pptx(path: Path, slides: Sequence[str], *, colours: Mapping[int, str] | None = None, **facts: str) -> Path:
    """A deck of a text box a slide; pictures by the number of their slide."""
    deck = pptx.Presentation()
    for name, value in facts.items():
        setattr(deck.core_properties, name, value)
    for number, words in enumerate(slides, 1):
        slide = deck.slides.add_slide(deck.slide_layouts[6])
        slide.shapes.add_textbox(Inches(1), Inches(1), Inches(5), Inches(1)).text_frame.text = words
        if colours and number in colours:
            slide.shapes.add_picture(io.BytesIO(picture(colours[number])), Inches(1), Inches(3))
    deck.save(str(path))
    return path


def write_xlsx(path: Path, sheets: Mapping[str, Cells], *, colour: str | None = None) -> Path:
    """A workbook; the picture lies on the last sheet."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    if colour:
        sheet.add_image(SheetImage(io.BytesIO(picture(colour))), "B2")
    book.save(path)
    return path


_NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for name in ("office", "text", "table", "drawing", "meta", "draw")
)
_NAMES += ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xlink="http://www.w3.org/1999/xlink"'


def write_opendocument(path: Path, kind: str, body: str, meta: str = "", colour: str | None = None) -> Path:
    """`kind`: "text", "presentation" or "spreadsheet"; `body` is what is in its element of that name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}", zipfile.ZIP_STORED)
        inner = f"<office:body><office:{kind}>{body}</office:{kind}></office:body>"
        file.writestr("content.xml", f"<office:document-content {_NAMES}>{inner}</office:document-content>")
        about = f"<office:document-meta {_NAMES}><office:meta>{meta}</office:meta></office:document-meta>"
        file.writestr("meta.xml", about)
        file.writestr("META-INF/manifest.xml", "<manifest/>")
        if colour:
            file.writestr("Pictures/1.png", picture(colour))
    return path


CONTAINER = (
    '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)


def write_epub(
    path: Path, chapters: Mapping[str, str], *, title: str = "", author: str = "", date: str = "", nav: bool = False,
    pictures: Mapping[str, bytes] | None = None,
) -> Path:  # fmt: skip
    """A book: name in the table of contents -> body, in XHTML; EPUB 3 with `nav`, otherwise 2."""
    items, spine, names = "", "", ""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        file.writestr("META-INF/container.xml", CONTAINER)
        for number, (name, body) in enumerate(chapters.items(), 1):
            file.writestr(f"OEBPS/text/c{number}.xhtml", f"<!DOCTYPE html><html><body>{body}</body></html>")
            items += f'<item id="c{number}" href="text/c{number}.xhtml" media-type="application/xhtml+xml"/>'
            spine += f'<itemref idref="c{number}"/>'
            place = f"text/c{number}.xhtml"
            names += (
                f'<li><a href="{place}">{escape(name)}</a></li>' if nav else
                f'<navPoint><navLabel><text>{escape(name)}</text></navLabel><content src="{place}"/></navPoint>'
            )  # fmt: skip
        for name, data in (pictures or {}).items():
            file.writestr(f"OEBPS/{name}", data)
        if nav:
            items += '<item id="toc" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
            file.writestr("OEBPS/nav.xhtml", f"<html><body><nav><ol>{names}</ol></nav></body></html>")
        else:
            items += '<item id="toc" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
            doctype = '<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://127.0.0.1:9/ncx-2005-1.dtd">'
            file.writestr("OEBPS/toc.ncx", f"{doctype}<ncx><navMap>{names}</navMap></ncx>")
        about = f"<dc:title>{title}</dc:title><dc:creator>{author}</dc:creator><dc:date>{date}</dc:date>"
        file.writestr(
            "OEBPS/content.opf",
            '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
            f'xmlns:dc="http://purl.org/dc/elements/1.1/">{about}<dc:subject>novel</dc:subject></metadata>'
            f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
        )
    return path


def mail(subject: str, words: str, *, html: str | None = None) -> EmailMessage:
    """A mail from Jürgen to Ada and Bob."""
    made = EmailMessage()
    made["From"], made["To"] = "Jürgen Müller <jm@example.org>", "Ada <ada@example.org>, bob@example.org"
    made["Subject"], made["Date"] = subject, "Wed, 01 May 2024 10:20:30 +0200"
    made.set_content(words)
    if html is not None:
        made.add_alternative(html, subtype="html")
    return made


def write_mail(path: Path, made: EmailMessage) -> Path:
    path.write_bytes(made.as_bytes())
    return path
