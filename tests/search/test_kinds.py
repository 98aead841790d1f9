"""What a query says of the kind of its answers, without compiling an expression for each kind in each language."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from mmsearch.search import kinds


def texts(parts: Any) -> Iterator[str]:
    """All that a parsed expression fits, any text standing for what is left open."""
    for chosen in product(*(list(_texts(str(operator), given)) for operator, given in parts)):
        yield "".join(chosen)


def _texts(operator: str, given: Any) -> Iterator[str]:
    if operator == "LITERAL":
        yield chr(given)
    elif operator == "IN":
        yield from (chr(letter) for _, letter in given)
    elif operator == "BRANCH":
        for branch in given[1]:
            yield from texts(branch)
    elif operator == "SUBPATTERN":
        yield from texts(given[-1])
    elif operator in ("MAX_REPEAT", "MIN_REPEAT"):
        most, inner = given[1:]
        if most == 1:
            yield ""
            yield from texts(inner)
        else:
            yield "x y"
    else:
        assert operator == "ASSERT", operator
        yield ""


@pytest.mark.parametrize("row", range(44))
def test_every_text_that_a_row_fits_has_one_of_its_stems(row: int) -> None:
    assert len(kinds._table()) == 44
    _, stems, pattern = kinds._table()[row]
    assert all(len(stem) >= 1 for stem in stems)
    parsed: Any = re._parser.parse(pattern)
    fitting = list(texts(parsed))
    assert fitting
    assert [text for text in fitting if not any(stem in text for stem in stems)] == []


def test_a_query_without_a_kind_compiles_no_expression() -> None:
    kinds._compiled.cache_clear()
    assert kinds.named_kind("waves on a beach").modalities == ()
    assert kinds._compiled.cache_info().currsize == 0
    assert kinds.named_kind("photo of a dog").modalities == ("image",)
    assert kinds.named_kind("Geräusch von Regen").modalities == ("audio", "video")
    assert kinds.named_kind("狗的照片").modalities == ("image",)
    assert kinds._compiled.cache_info().currsize <= 6
