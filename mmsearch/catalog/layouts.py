"""How files are cut into segments, as a short name: spaces of one layout share their segments.

A layout is all that decides which segments a file has: the windows, and the modalities that the space embeds. So every
segment of a layout has a vector in each space of that layout, and whoever reads segments keeps to one layout.
"""

import hashlib
import json

from sqlalchemy import ScalarSelect, select
from sqlalchemy.orm import InstrumentedAttribute

from mmsearch.catalog.tables import LibraryRow, SpaceRow
from mmsearch.types import Space


def layout_of(space: Space) -> str:
    """16 hexadecimal digits."""
    cut = space.windowing.cut()
    for side in ("image_side", "clip_side"):  # how far a picture is reduced changes its pixels, not what is a segment
        cut.pop(side, None)
    if "page_side" in cut:
        cut["page_side"] = True
    if "regions" in cut:  # it is the encoder that says where they are
        spec = space.encoders["image"].spec
        cut["regions"] = [cut["regions"], dict(spec.weights), spec.preprocessing]
    text = json.dumps([cut, sorted(space.encoders)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def active_layout() -> ScalarSelect[str]:
    """That of the space that searches use, inside a statement."""
    return select(SpaceRow.layout).join(LibraryRow, LibraryRow.space_id == SpaceRow.id).scalar_subquery()


def layout_of_space(
    column: InstrumentedAttribute[int] | InstrumentedAttribute[str], value: object
) -> ScalarSelect[str]:
    """That of the space with this id, or of this name, inside a statement."""
    return select(SpaceRow.layout).where(column == value).scalar_subquery()
