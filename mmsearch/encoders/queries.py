"""What an encoder of words may do with a query that it does not do with a passage."""

from typing import Protocol, runtime_checkable

from mmsearch.types import Encoder, Prepared, Segment


@runtime_checkable
class ReadsQueries(Protocol):
    """An encoder that reads a query otherwise than a passage; optional."""

    def prepare_query(self, words: str) -> Prepared:
        """The model's input for the words of a query, as `prepare` has it for a segment."""
        ...


@runtime_checkable
class Translates(Protocol):
    """An encoder that reads words of other languages by way of another model; optional."""

    def is_translated(self, words: str) -> bool:
        """Whether a query of these words is read so: its cosines lie on another scale."""
        ...


def is_translated(encoder: Encoder | None, words: str) -> bool:
    """Whether an encoder of words reads a query by way of another model. Raises: WeightsError."""
    return bool(words) and isinstance(encoder, Translates) and encoder.is_translated(words)


def prepared_query(encoder: Encoder, words: str) -> Prepared:
    """What an encoder of words takes for a query of them. Raises: WeightsError."""
    if isinstance(encoder, ReadsQueries):
        return encoder.prepare_query(words)
    return encoder.prepare(Segment("text", words))
