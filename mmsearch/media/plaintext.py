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

# Control characters a text may have (form feeds are allowed anyway; logs have stray ones, typed texts a backspace).
_SANE_SHARE, _SANE_COUNT, _SANE_DENSITY = 0.005, 2, 0.1
_DETECTION_BYTES = 2**18

_TOLD_LENGTH = 64
"""Bytes from which the encoding of a text with control characters can be told by its letters."""

_WIDE_SHARE = 0.6
"""Of the pairs of bytes, those with a zero in their upper half, from which a text without a mark is UTF-16."""


def is_text(head: bytes) -> bool:
    """Whether the beginning of a file reads as text in some encoding."""
    marked = _marked(head)
    if marked:
        return _sane(_cut_off(head, marked) or "\x00")
    if _wide(head):
        return True
    text = _cut_off(head, "utf-8")
    if text is not None:
        return _sane(text)
    if b"\x00" in head:
        return False
    if _BINARY.search(head) and (len(head) < _TOLD_LENGTH or not _sane(head.decode("latin-1"))):
        return False
    return _nearly_utf8(head) is not None or _detected(head) is not None


def decoded_text(data: bytes) -> str:
    """The text: by its byte order mark, else UTF-8, also with a few bytes damaged, else UTF-16 by its zero bytes, else
    what a web page declares, else what it looks like.

    Raises: Corrupt, Unsupported (binary).
    """
    marked = _marked(data)
    if marked:
        try:
            text = data.decode(marked)
        except UnicodeDecodeError as error:
            raise Corrupt(f"not the {marked.removesuffix('-sig').upper()} text that its first bytes say") from error
        return _checked(text.removeprefix("\ufeff"))
    wide = _wide(data)
    if wide:
        return _checked(data.decode(wide, "replace"))
    try:
        return _checked(data.decode("utf-8"))
    except UnicodeDecodeError:
        pass
    nearly = _nearly_utf8(data)
    if nearly is not None:
        return _checked(nearly)
    if b"\x00" in data:
        raise Unsupported("binary data, no text")
    encoding = _declared(data) or _detected(data[:_DETECTION_BYTES])
    if encoding is None:
        raise Unsupported("text in no encoding that can be told")
    return _checked(data.decode(encoding, "replace"))


def _nearly_utf8(data: bytes) -> str | None:
    """UTF-8 with a few bad bytes, replaced: no other encoding has so many of its letters by chance."""
    whole = _cut_off(data, "utf-8")
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    letters = len(text) - len(text.encode("ascii", "ignore")) - bad
    # Of a last letter of which only half is there, nothing else is damaged.
    return text if letters and (whole is not None or 3 * bad <= letters) else None


def _wide(data: bytes) -> str | None:
    """The byte order of UTF-16 without a mark, in a script whose upper bytes are zero; None for anything else."""
    if b"\x00" not in data:
        return None
    pairs = len(data) // 2
    low, high = data[1 : 2 * pairs : 2].count(0), data[0 : 2 * pairs : 2].count(0)
    if not pairs or max(low, high) < _WIDE_SHARE * pairs or min(low, high) > _SANE_SHARE * pairs:
        return None
    encoding = "utf-16-le" if low > high else "utf-16-be"
    text = _cut_off(data, encoding)
    return encoding if text and _sane(text) else None


def is_charset(name: str) -> bool:
    """Whether that is the name of an encoding of characters."""
    try:
        return _CHARSETS.fullmatch(codecs.lookup(name).name) is not None
    except (LookupError, ValueError):
        return False


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
    found = from_bytes(data)
    best = found.best()
    if best is None or not _sane(str(best)):
        return None
    for match in found:
        # What is written in it is by far the most of what reads equally well in several of its kind.
        if "cp1252" in match.could_be_from_charset and match.chaos <= best.chaos and match.coherence >= best.coherence:
            return "cp1252"
    return best.encoding


def _sane(text: str) -> bool:
    """Whether there are no more control characters than a text may have."""
    controls = len(_CONTROLS.findall(text))
    return controls <= min(max(_SANE_COUNT, _SANE_SHARE * len(text)), _SANE_DENSITY * len(text))


def _checked(text: str) -> str:
    if not _sane(text):
        raise Unsupported("binary data, no text")
    return text
