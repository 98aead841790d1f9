"""XML from strangers, event by event: no tree, no entities, nothing fetched (as `media.sidecar` reads XMP)."""

from collections.abc import Mapping
from typing import Protocol
from xml.parsers import expat

from mmsearch.errors import Corrupt, LimitExceeded

DEEPEST = 256
"""Elements inside each other: a table in a cell is six deeper than the table around it."""

BYTES_EACH = 48
"""What an element counts for at least of the bytes of text that a file may have: a file of nothing but empty elements
would take many seconds."""


class Handler(Protocol):
    """What takes the events. Names are without what stands before their colon."""

    def start(self, name: str, attributes: Mapping[str, str], /) -> None: ...
    def end(self, name: str, /) -> None: ...
    def text(self, data: str, /) -> None: ...


class Budget:
    """How many elements may still come in one document."""

    def __init__(self, elements: int) -> None:
        self.elements = elements


def attribute(attributes: Mapping[str, str], name: str) -> str | None:
    """The value of an attribute, whatever stands before its colon."""
    if name in attributes:
        return attributes[name]
    return next((value for key, value in attributes.items() if key.rpartition(":")[2] == name), None)


def parse(data: bytes, handler: Handler, budget: Budget) -> None:
    """Read a whole file of XML. Raises: Corrupt, LimitExceeded, and what the handler raises."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = 2**16
    left, depth = budget.elements, 0
    took, gave = handler.start, handler.end

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal left, depth
        left -= 1
        depth += 1
        if left < 0:
            raise LimitExceeded("more elements of XML than the limit for its bytes of text allows")
        if depth > DEEPEST:
            raise LimitExceeded(f"XML nested deeper than {DEEPEST}")
        took(name[name.find(":") + 1 :], attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        gave(name[name.find(":") + 1 :])

    def doctype(_name: str, _system: str | None, _public: str | None, has_subset: bool) -> None:
        # That of a book's table of contents names a file, which nobody looks up.
        if has_subset:
            raise Corrupt("XML with a document type of its own: entities are not expanded")

    def entity(*_: object) -> None:
        raise Corrupt("XML with entities of its own: they are not expanded")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler, parser.EntityDeclHandler = doctype, entity
    try:
        # At once: Expat looks through an unfinished tag anew with every piece that it is given.
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Corrupt(f"its XML is damaged: {error}") from error
    except (ValueError, LookupError) as error:
        raise Corrupt("its XML is in an encoding that can't be read") from error
    finally:
        budget.elements = left
