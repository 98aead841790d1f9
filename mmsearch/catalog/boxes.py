"""Boxes in pictures as the catalog stores them: a JSON list of four shares of a picture's sides."""

import json

from mmsearch.catalog import blobs
from mmsearch.errors import CatalogDamaged
from mmsearch.types import Box


def write_box(box: Box | None) -> str | None:
    """To four decimals: a thousandth of a page is a stroke."""
    return None if box is None else json.dumps([round(one, 4) for one in box])


def read_box(stored: str | None) -> Box | None:
    """Raises: CatalogDamaged for what no release wrote."""
    if stored is None:
        return None
    try:
        (left, top, right, bottom) = map(float, json.loads(stored))
    except (ValueError, TypeError, RecursionError) as error:
        raise CatalogDamaged("the catalog holds a place that mmsearch never writes", hint=blobs.MEND) from error
    return (left, top, right, bottom)
