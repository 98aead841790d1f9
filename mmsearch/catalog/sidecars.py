"""What a sidecar says of the medium beside it counts where the medium itself says nothing: when, where, and stars."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, and_, case, exists, not_, or_, select, type_coerce
from sqlalchemy.orm import aliased

from mmsearch.catalog.constructs import flag_of
from mmsearch.catalog.statements import chunks
from mmsearch.catalog.tables import Content, ItemRow, Meta

RATING = "rating"
"""Metadata that becomes own metadata of the same key: stars that a person gave."""

COLUMNS = frozenset({"taken", "latitude", "longitude"})
"""Columns of contents that a sidecar fills."""

Clause = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class SidecarFacts:
    """What the sidecars of one file group say together, the first by path first."""

    taken: str | None = None
    gps: tuple[float, float] | None = None
    rating: int | float | None = None


def completed(own: Any, holds: Callable[[Any], Clause], few: bool) -> Clause:
    """Whether a condition holds of a column of a content, or, where that is empty, of a sidecar's; never NULL.

    Args:
        holds: From the column of some content to the condition.
        few: As of `filters.filter_clause`.
    """
    told = _beside(lambda content: and_(*_known(getattr(content, own.key), holds)), few)
    return or_(and_(*_known(own, holds)), and_(own.is_(None), told))


def missing(own: Any) -> Clause:
    """Whether neither a content nor a sidecar has something in a column."""
    return and_(own.is_(None), not_(_beside(lambda content: getattr(content, own.key).is_not(None), True)))


def rated(value: Clause, few: bool) -> Clause:
    """Whether a sidecar of an item without stars has such a value."""
    rows = select(Meta.content_id).where(Meta.key == RATING)
    own = exists().where(Meta.content_id == Content.id, Meta.key == RATING)
    return and_(not_(own), _beside(lambda content: content.id.in_(rows.where(value)), few))


def _known(column: Any, holds: Callable[[Any], Clause]) -> tuple[Clause, Clause]:
    return column.is_not(None), holds(column)


def _beside(holds: Callable[[Any], Clause], few: bool) -> Clause:
    """Whether a condition holds of a sidecar beside an item that is no text."""
    near, told = aliased(ItemRow), aliased(Content)
    says = (holds(told), _is_sidecar(told))
    if few:
        # From the item to its neighbours, however few texts there are.
        text = case((told.modality == "text", 1), else_=0) == 1
        group = (near.bundle == ItemRow.bundle, near.status == "present", near.content_id == told.id)
        found: Clause = exists().where(*group, text, *says)
    else:
        bundles = select(near.bundle).join(told, told.id == near.content_id)
        found = ItemRow.bundle.in_(bundles.where(near.status == "present", told.modality == "text", *says))
    return and_(Content.modality != "text", found)


def _is_sidecar(content: Any) -> Clause:
    return flag_of(type_coerce(content.meta, String), "sidecar")


def sidecar_facts(connection: Connection, bundles: Iterable[bytes]) -> dict[bytes, SidecarFacts]:
    """Group key -> what its present sidecars say; nothing for a group without any."""
    found: dict[bytes, SidecarFacts] = {}
    stars = select(Meta.number).where(Meta.content_id == Content.id, Meta.key == RATING).scalar_subquery()
    query: Any = (
        select(ItemRow.bundle, Content.taken, Content.latitude, Content.longitude, stars)
        .join(Content, Content.id == ItemRow.content_id)
        .where(ItemRow.status == "present", case((Content.modality == "text", 1), else_=0) == 1, _is_sidecar(Content))
        .order_by(ItemRow.path)
    )
    for part in chunks(sorted(set(bundles))):
        for bundle, taken, latitude, longitude, rating in connection.execute(query.where(ItemRow.bundle.in_(part))):
            known = found.get(bundle, SidecarFacts())
            here = None if latitude is None or longitude is None else (latitude, longitude)
            number = int(rating) if rating is not None and float(rating).is_integer() else rating
            found[bundle] = replace(
                known,
                taken=taken if known.taken is None else known.taken,
                gps=here if known.gps is None else known.gps,
                rating=number if known.rating is None else known.rating,
            )
    return found
