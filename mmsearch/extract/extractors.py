"""The extractors that there are, whether they can run here, and what running them takes."""

from collections.abc import Mapping
from dataclasses import dataclass

from mmsearch.catalog.extractions import ExtractorRecord
from mmsearch.core import registry
from mmsearch.core.config import Settings
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.types import Extractor, Limits, Modality

BY_SETTING = ("speech", "ocr")
"""Extractors that an ingest runs by itself, each as the setting of its name says."""


@dataclass(frozen=True, slots=True)
class ExtractionEstimate:
    """What a run would take."""

    extractor: str
    contents: Mapping[Modality, int]
    """Item modality -> distinct files to look at."""
    seconds: float
    """Of sound and video among them."""
    cpu_s: float
    """Seconds of CPU, about."""


def make_extractor(name: str, limits: Limits) -> Extractor:
    """An extractor by its name; its weights load with the first file. Raises: UnknownName."""
    made: Extractor = registry.load_part("extractors", name)(limits)
    return made


def record_of(extractor: Extractor) -> ExtractorRecord:
    """What the catalog keeps of it. Raises: WeightsError if it can't run here, InvalidInput for a source of no kind."""
    if extractor.source not in ("said", "written"):
        raise InvalidInput(
            f"the extractor {extractor.name!r} has the source {extractor.source!r}", hint="said, written"
        )
    return ExtractorRecord(extractor.name, extractor.source, extractor.fingerprint, tuple(extractor.modalities))


def wanted_extractors(settings: Settings) -> list[str]:
    """Names of those that an ingest is followed by: "on", and "auto" where what they need is here.

    Raises: WeightsError for one that is on and can't run.
    """
    found = []
    for name in BY_SETTING:
        chosen = getattr(settings, name)
        if chosen == "off":
            continue
        try:
            _ = make_extractor(name, settings.limits).fingerprint
        except WeightsError:
            if chosen == "on":
                raise
            continue
        found.append(name)
    return found


SCANNED = 5.0
"""Seconds of CPU that a scanned document takes, about: three pages."""


def estimate_cost(
    extractor: Extractor, amounts: Mapping[Modality, tuple[int, float]], scanned: int = 0
) -> ExtractionEstimate:
    """Of contents by item modality: how many, and their seconds of sound or video; and of scanned documents."""
    cpu = SCANNED * scanned
    amounts = {**amounts, "text": (amounts.get("text", (0, 0.0))[0] + scanned, 0.0)} if scanned else amounts
    for modality, (count, seconds) in amounts.items():
        each = extractor.cost.get(modality, 0.0)
        cpu += each * (seconds if modality in ("audio", "video") else count)
    contents = {modality: count for modality, (count, _) in sorted(amounts.items())}
    return ExtractionEstimate(extractor.name, contents, sum(seconds for _, seconds in amounts.values()), cpu)
