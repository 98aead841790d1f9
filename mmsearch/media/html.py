"""The words of a web page that its reader would see.

One pass over tags and text, whose work grows with the page's length. An HTML5 parser looks through all open elements
at a tag and through all attributes at an attribute, so 400 kB of nested elements take it eight seconds.
"""

import re
from collections import Counter
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

_HEAD = 4096
"""Characters within which a page shows that it is one."""

_ROOT = re.compile(r"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
# Possessive and atomic where parts could share characters: what has matched is never tried in another way.
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*+)")
_ATTRIBUTE = re.compile(r"""[\s/]*+([^\s/>][^\s/>=]*+)(?>\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]*+)))?+""")
_TAG_END = re.compile(r"\s*+(/?)[\s/]*+>")
_COMMENT = re.compile(r"<!--(?:-?>)?+")
_COMMENT_END = re.compile(r"--!?>")
_LONG_NUMBER = re.compile(r"&#[0-9]{100,}+;?")

_VERBATIM = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "iframe", "noscript", "noembed", "noframes", "title", "textarea", "xmp")
}
"""Elements that hold characters, whatever these look like -> what ends them."""

_UNSEEN = frozenset(
    {*("script", "style", "noscript", "noembed", "noframes", "template", "title", "svg", "math", "iframe", "object")}
    | {"select", "canvas"}
)
_INLINE = frozenset(
    {*("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img", "ins", "kbd")}
    | {*("label", "mark", "q", "ruby", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var")}
    | {"wbr"}
)
_VOID = frozenset(
    {*("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")}
)
_BLOCKS = frozenset(
    {*("address", "article", "aside", "blockquote", "center", "dd", "details", "dialog", "dir", "div", "dl", "dt")}
    | {*("fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup")}
    | {*("hr", "li", "main", "menu", "nav", "ol", "p", "pre", "search", "section", "summary", "table", "ul")}
)
_ROWS = frozenset({"tr", "tbody", "thead", "tfoot"})
_CELLS = _ROWS | {"td", "th"}
_ENDED_BY = {
    "p": _BLOCKS,
    "li": frozenset({"li"}),
    "dt": frozenset({"dt", "dd"}),
    "dd": frozenset({"dt", "dd"}),
    "td": _CELLS,
    "th": _CELLS,
    "tr": _ROWS,
    "head": _BLOCKS | {"body"},
}
"""Elements that need no end tag -> those whose beginning ends them."""

_FOREIGN = ("svg", "math")
_GUESTS = ("foreignobject", "desc", "annotation-xml")
"""Foreign elements that hold a page's own."""

_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\f\v\u00a0]+")
_LINES = re.compile(r" ?\n[ \n]*")


class _Tag(NamedTuple):
    name: str
    """In lower case."""
    ends: bool = False
    hidden: bool = False
    """By an attribute of its own."""
    closed: bool = False
    """Written as <name/>, which means something for foreign elements only."""


def is_html(text: str) -> bool:
    """Whether a text is a web page rather than a text about one."""
    head = text[:_HEAD].lstrip()
    if head.startswith("<?xml"):
        head = head.partition(">")[2].lstrip()
    at = 0
    while head.startswith("<!--", at):
        end = head.find("-->", at + 4)
        if end < 0:
            return False
        at = end + 3
        while at < len(head) and head[at].isspace():
            at += 1
    return _ROOT.match(head, at) is not None


def html_title(text: str) -> str | None:
    """The first title that has words."""
    inside = False
    for token in _tokens(text):
        if isinstance(token, _Tag):
            inside = token.name == "title" and not token.ends
        elif inside and token.split():
            return " ".join(token.split())
    return None


def html_text(text: str) -> str:
    """The page's text, one line a block, without scripts, styles and hidden elements."""
    page = _Page()
    for token in _tokens(text):
        if not isinstance(token, _Tag):
            page.text(token)
        elif token.ends:
            page.end(token.name)
        else:
            page.start(token)
    return _LINES.sub("\n", _SPACE.sub(" ", "".join(page.parts))).strip()


def _tokens(text: str) -> Iterator[_Tag | str]:
    """Tags, and the characters between them."""
    at = 0
    while at < len(text):
        begin = text.find("<", at)
        if begin < 0:
            begin = len(text)
        if begin > at:
            yield _characters(text[at:begin])
        match = _TAG.match(text, begin)
        if match is None:
            at = _after_declaration(text, begin)
            if at == begin:
                yield text[begin : begin + 1]
                at += 1
            continue
        tag, at = _tag(text, match)
        if tag is not None:
            yield tag
            if tag.name in _VERBATIM and not tag.ends and not tag.closed:
                ended = _VERBATIM[tag.name].search(text, at)
                end = ended.start() if ended else len(text)
                yield _characters(text[at:end])
                at = end


def _tag(text: str, match: re.Match[str]) -> tuple[_Tag | None, int]:
    """The tag that begins there, None if it never ends, and the place behind it."""
    name, hidden, at = match[2].lower(), False, match.end()
    while attribute := _ATTRIBUTE.match(text, at):
        at = attribute.end()
        own = attribute[1].lower()
        if own == "style":
            value = attribute[2] or attribute[3] or attribute[4] or ""
            hidden = hidden or _HIDDEN.search(_characters(value)) is not None
        hidden = hidden or own == "hidden"
    end = _TAG_END.match(text, at)
    if end is None:
        return None, len(text)
    return _Tag(name, bool(match[1]), hidden, bool(end[1])), end.end()


def _after_declaration(text: str, at: int) -> int:
    """Behind the comment, document type or instruction that begins there; `at` if none does."""
    comment = _COMMENT.match(text, at)
    if comment and comment[0].endswith(">"):
        return comment.end()
    if comment:
        end = _COMMENT_END.search(text, comment.end())
        return end.end() if end else len(text)
    if text.startswith(("<!", "<?", "</"), at):
        return text.find(">", at) + 1 or len(text)
    return at


def _characters(text: str) -> str:
    """Without references; a number of a thousand digits is no character, and slow to read."""
    return unescape(_LONG_NUMBER.sub("\ufffd", text)) if "&" in text else text


class _Page:
    """What is open, and what has been seen."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._open: list[tuple[str, bool]] = []
        """(name, whether it hides what is in it)"""
        self._count: Counter[str] = Counter()
        """How many of a name are open: whether an end tag has a beginning is known without looking through all."""
        self._hiding = 0

    def text(self, text: str) -> None:
        if not self._hiding:
            # A line break in the source is a space on the screen; only ours are lines.
            self.parts.append(text.replace("\n", " ").replace("\0", ""))

    def start(self, tag: _Tag) -> None:
        if tag.name == "html" or (tag.name in _CELLS and not self._count["table"]):
            return
        self._make_room(tag.name)
        unseen = tag.hidden or tag.name in _UNSEEN
        if not unseen:
            self._edge(tag.name)
        foreign = tag.name in _FOREIGN or self._within(_FOREIGN)
        if tag.name not in _VOID and not (tag.closed and foreign):
            self._open.append((tag.name, unseen))
            self._count[tag.name] += 1
            self._hiding += unseen

    def end(self, name: str) -> None:
        # What follows the end of the body is shown as a part of it.
        if name in ("html", "body"):
            return
        if not self._count[name]:
            if name in ("p", "br"):
                self._edge(name)
            return
        while self._pop() != name:
            pass

    def _make_room(self, name: str) -> None:
        """End what the beginning of an element ends."""
        if name in _BLOCKS and self._within(_FOREIGN) and not self._within(_GUESTS):
            while self._pop() not in _FOREIGN:
                pass
        while self._open and name in _ENDED_BY.get(self._open[-1][0], ()):
            self._pop()

    def _within(self, names: tuple[str, ...]) -> bool:
        return any(self._count[name] for name in names)

    def _pop(self) -> str:
        name, unseen = self._open.pop()
        self._count[name] -= 1
        self._hiding -= unseen
        if not unseen:
            self._edge(name)
        return name

    def _edge(self, name: str) -> None:
        if name not in _INLINE and not self._hiding:
            self.parts.append("\n")
