"""The words of a web page that its reader would see."""

import re
from typing import Any

from selectolax.lexbor import LexborHTMLParser

_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_UNSEEN = frozenset(
    {"script", "style", "noscript", "template", "head", "svg", "math", "iframe", "object", "select", "canvas"}
)
_INLINE = frozenset(
    {*("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img", "ins", "kbd")}
    | {*("label", "mark", "q", "ruby", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var")}
    | {"wbr"}
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\f\v\u00a0]+")
_LINES = re.compile(r" ?\n[ \n]*")


def is_html(text: str) -> bool:
    """Whether a text is a web page rather than a text about one."""
    return _HTML.match(text, 0, 4096) is not None


def title(text: str) -> str | None:
    node = LexborHTMLParser(text).css_first("title")
    words = " ".join(node.text().split()) if node is not None else ""
    return words or None


def visible_text(text: str) -> str:
    """The page's text, one line a block, without scripts, styles and hidden elements."""
    root = LexborHTMLParser(text).body
    if root is None:
        return ""
    parts: list[str] = []
    # No recursion: a hostile page nests a million elements.
    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            parts.append(node)
        elif node.tag == "-text":
            parts.append(node.text_content or "")
        elif node.tag == "br":
            parts.append("\n")
        elif not _is_hidden(node):
            edge = "" if node.tag in _INLINE else "\n"
            parts.append(edge)
            stack.append(edge)
            stack.extend(reversed(list(node.iter(include_text=True))))
    return _LINES.sub("\n", _SPACE.sub(" ", _folded(parts))).strip()


def _folded(parts: list[str]) -> str:
    # A line break in the source is a space on the screen; only ours are lines.
    return "".join(part if part == "\n" else part.replace("\n", " ") for part in parts)


def _is_hidden(node: Any) -> bool:
    if node.tag in _UNSEEN or node.tag.startswith(("-", "_", "!")):
        return True
    attributes = node.attributes
    return "hidden" in attributes or _HIDDEN.search(attributes.get("style") or "") is not None
