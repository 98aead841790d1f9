"""How high the scores of unrelated queries are: what calibration measured, as it is kept."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from mmsearch.catalog.records import ListKey
from mmsearch.catalog.tables import Background, SpaceRow
from mmsearch.types import Modality


def load_backgrounds(connection: Connection, space: str) -> dict[tuple[Modality, ListKey], dict[str, Any]]:
    """(query modality, list) -> what was measured."""
    query = (
        select(Background.query, Background.item, Background.segment, Background.fitted)
        .join(SpaceRow, SpaceRow.id == Background.space_id)
        .where(SpaceRow.name == space)
    )
    return {
        (modality, ListKey(space, item, segment)): fitted
        for modality, item, segment, fitted in connection.execute(query)
    }


def store_backgrounds(
    connection: Connection,
    space_id: int,
    generation: int,
    measured: Mapping[tuple[Modality, ListKey], Mapping[str, Any]],
) -> None:
    """Put the measured backgrounds in the place of all earlier ones of the space."""
    connection.execute(delete(Background).where(Background.space_id == space_id))
    rows = [
        {"space_id": space_id, "query": modality, "item": key.item, "segment": key.segment,
         "generation": generation, "fitted": dict(fitted)}
        for (modality, key), fitted in measured.items()
    ]  # fmt: skip
    if rows:
        connection.execute(insert(Background), rows)
