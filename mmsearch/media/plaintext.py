"""Bytes to characters, and whether bytes are characters at all."""

import codecs
import re

from charset_normalizer import from_bytes

from mmsearch.errors import Corrupt, Unsupported

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffe\uffff]")
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*+=\s*+(?:[\"']\s*+)?+([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)

_CHARSETS = re.compile(
    r"ascii|utf-8|iso8859-\d+|cp\d+|koi8-[rtu]|mac-[a-z]+|tis-620|ptcp154|kz1048|gb2312|gbk|gb18030|hz|big5(hkscs)?"
    r"|euc_\w+|shift_jis\w*|iso2022_\w+|johab"
)
"""Encodings of characters; Python has others, of escapes and names, that make what is no character."""

# Control characters a text may have (form feeds are allowed anyway; logs have stray ones).
_SANE_SHARE = 0.002
_DETECTION_BYTES = 2**18


def is_text(head: bytes) -> bool:
    """Whether the beginning of a file reads as text in some encoding."""
    marked = _marked(head)
    if marked:
        return _sane(_cut_off(head, marked) or "\x00")
    if _BINARY.search(head):
        return _cut_off(head, "utf-8") is not None and b"\x00" not in head and _sane(head.decode("utf-8", "ignore"))
    if _cut_off(head, "utf-8") is not None:
        return True
    return _detected(head) is not None


def decoded_text(data: bytes) -> str:
    """The text: by its byte order mark, else UTF-8, else what a web page declares, else what it looks like.

    Raises: Corrupt, Unsupported (binary).
    """
    marked = _marked(data)
    if marked:
        try:
            text = data.decode(marked)
        except UnicodeDecodeError as error:
            raise Corrupt(f"not the {marked.removesuffix('-sig').upper()} text that its first bytes say") from error
        return _checked(text.removeprefix("\ufeff"))
    try:
        return _checked(data.decode("utf-8"))
    except UnicodeDecodeError:
        pass
    if b"\x00" in data:
        raise Unsupported("binary data, no text")
    encoding = _declared(data) or _detected(data[:_DETECTION_BYTES])
    if encoding is None:
        raise Unsupported("text in no encoding that can be told")
    return _checked(data.decode(encoding, "replace"))


def has_mark(data: bytes) -> bool:
    """Whether a byte order mark says what it is."""
    return _marked(data) is not None


def _marked(data: bytes) -> str | None:
    return next((encoding for mark, encoding in _BOMS if data.startswith(mark)), None)


def _cut_off(head: bytes, encoding: str) -> str | None:
    """The text of a head that may end in the middle of a character; None if it isn't in that encoding."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None


def _declared(data: bytes) -> str | None:
    declaration = _DECLARED.search(data[:4096])
    if declaration is None:
        return None
    try:
        name = codecs.lookup(declaration[1].decode("ascii")).name
        if _CHARSETS.fullmatch(name) is None:
            return None
        data.decode(name)
    except (LookupError, UnicodeDecodeError, ValueError):
        return None
    return name


def _detected(data: bytes) -> str | None:
    best = from_bytes(data).best()
    if best is None or not _sane(str(best)):
        return None
    return best.encoding


def _sane(text: str) -> bool:
    return len(_CONTROLS.findall(text)) <= _SANE_SHARE * len(text)


def _checked(text: str) -> str:
    if not _sane(text):
        raise Unsupported("binary data, no text")
    return text
