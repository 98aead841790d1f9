"""What raw scores mean in a library: the calibration that is stored in its catalog."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mmsearch.calibration import (
    Backgrounds,
    EncoderIdentities,
    ScoreCalibrator,
    backgrounds_stale,
    measure_backgrounds,
    read_calibration,
)
from mmsearch.catalog import SpaceRecord
from mmsearch.catalog.backgrounds import load_backgrounds
from mmsearch.catalog.commits import current_commit
from mmsearch.context.resources import Resources
from mmsearch.core.config import Settings
from mmsearch.encoders.queries import is_translated
from mmsearch.errors import CatalogDamaged
from mmsearch.types import Query, Space, Vectors


class Calibration(Resources):
    """Measures score backgrounds, and reads them for queries. Thread safety: as `Resources`."""

    def __init__(
        self, path: Path, settings: Settings, requested: str | None = None, trusted: Iterable[str] = ()
    ) -> None:
        super().__init__(path, settings, requested, trusted)
        self._backgrounds: tuple[int, str, Backgrounds] | None = None
        """Of a generation and a space."""
        self._identities: tuple[Space, EncoderIdentities] | None = None

    def let_go(self) -> None:
        """As `Resources.let_go`."""
        super().let_go()
        self._backgrounds = self._identities = None

    def calibrator(self, query: Query, vector: Vectors, space: Space) -> ScoreCalibrator:
        """What is known about scores of a query and its vector, float32 (1, dim); a mix is taken for its main part."""
        generation = self.catalog().read(current_commit).generation
        main = max(query.parts, key=lambda part: part.weight)
        words = main.value if isinstance(main.value, str) else ""
        translated = main.modality == "text" and is_translated(space.encoders.get("text"), words)
        with self._mutex:
            if self._backgrounds is None or self._backgrounds[:2] != (generation, space.name):
                with self.catalog().reading() as snapshot:
                    stored = load_backgrounds(snapshot, space.name)
                self._backgrounds = generation, space.name, read_calibration(stored, space.dim)
            if self._identities is None or self._identities[0] is not space:
                self._identities = space, EncoderIdentities.of_space(space)
            backgrounds, identities = self._backgrounds[2], self._identities[1]
        encoders = replace(identities, translated=True) if translated else identities
        return ScoreCalibrator.of(backgrounds, main.modality, vector, self.settings.false_accepts, words, encoders)

    def measure_scores(self, space: Space) -> None:
        """Measure what a search needs and nobody who writes measures; to be called before its snapshot is held."""

    def calibrate(self, space: Space, record: SpaceRecord) -> None:
        """Measure the backgrounds anew if the library has outgrown them. The caller holds the writer lock."""
        catalog, indexes = self.catalog(), self.indexes(record)
        with catalog.reading() as snapshot:
            stored = load_backgrounds(snapshot, space.name)
        try:
            known = read_calibration(stored, space.dim)
        except CatalogDamaged:
            known = {}  # measured anew
        if backgrounds_stale(known, indexes.sizes()):
            measured = measure_backgrounds(catalog, indexes, space)
            catalog.keep_backgrounds(record.id, {key: fitted.as_dict() for key, fitted in measured.items()})
        self._backgrounds = None
