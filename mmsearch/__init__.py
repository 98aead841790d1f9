"""mmsearch: search any of your media with any other.

    import mmsearch

    with mmsearch.open("my.library") as library:
        library.ingest("~/Pictures", "~/Sounds")
        for hit in library.search("a dog barking", k=10):
            print(hit.confidence, hit.path, hit.start)

Importing it loads no heavy library: names arrive when they are first used.
"""

# Neither typing nor logging: the shell asks a warm process for its answer in less time than loading them takes.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from mmsearch import errors as errors
    from mmsearch.core.config import Settings, SettingsArguments
    from mmsearch.core.filters.ast import And, Comparison, Filter, MetaOperand, Not, Or, Period
    from mmsearch.core.keeping import Keeping, KeptFacts, Reduced
    from mmsearch.core.tokens import AccessToken
    from mmsearch.core.version import VERSION as __version__
    from mmsearch.encoders.explaining import Box
    from mmsearch.errors import (
        BodyTooLarge,
        CatalogDamaged,
        Corrupt,
        DecoderCrashed,
        DecodeTimeout,
        EncodeError,
        Forked,
        IndexDamaged,
        InvalidInput,
        ItemChanged,
        LibraryEmpty,
        LibraryEncrypted,
        LibraryError,
        LibraryLocked,
        LibraryNotFound,
        LibraryReadOnly,
        LimitExceeded,
        MediaError,
        MmsearchError,
        NoSharedSpace,
        NotEmbedded,
        NotForgotten,
        NotKept,
        OutOfMemory,
        RequestRefused,
        RequestTimeout,
        SchemaTooNew,
        SignInNeeded,
        SpaceChanged,
        SpaceIncomplete,
        TooManyRequests,
        Transient,
        UnknownHost,
        UnknownName,
        Unreadable,
        Unsupported,
        Untrusted,
        WeightsError,
    )
    from mmsearch.evaluate import DirectionResult, Estimate, Evaluation, QueryOutcome, UnusedPair
    from mmsearch.extract.extractors import ExtractionEstimate
    from mmsearch.extract.job import ExtractionProblem
    from mmsearch.extract.library_extraction import (
        ExtractionAdded,
        ExtractionCounts,
        ExtractionDropped,
        LibraryExtraction,
    )
    from mmsearch.ingest import BackfillProblem, IngestReport, Watch, WatchEvent, WatchTimes
    from mmsearch.ingest.estimate import IngestEstimate
    from mmsearch.ingest.media import Media
    from mmsearch.library import Library
    from mmsearch.library import open_library as open
    from mmsearch.maintenance.anonymised import Identifying
    from mmsearch.maintenance.audit import AuditCheck, AuditEntry, LibraryAudit
    from mmsearch.maintenance.encryption import EncryptionStatus, LibraryEncryption
    from mmsearch.maintenance.export import Exported, Imported
    from mmsearch.maintenance.forgetting import Copy, ForgettingProof, Trace
    from mmsearch.maintenance.index import IndexBuild, IndexCheck, IndexStatus, LibraryIndex
    from mmsearch.maintenance.item_files import ItemFile, PreviewKind
    from mmsearch.maintenance.items import Folder
    from mmsearch.maintenance.move import Moved
    from mmsearch.maintenance.privacy import LibraryPrivacy, PlacesFound
    from mmsearch.maintenance.prune import OnProof, Pruned
    from mmsearch.maintenance.status import IngestRun, ModalityCounts, ModelStatus, QueueStatus, Status
    from mmsearch.maintenance.tokens import LibraryTokens
    from mmsearch.models.available import AvailableModel, available_models
    from mmsearch.models.cost import ModelCost, measure_cost
    from mmsearch.models.download import OnBytes, prepare
    from mmsearch.models.holdings import Holdings
    from mmsearch.models.recommend import SpaceChoice
    from mmsearch.models.switch import LibraryModels, ModelAdded, ModelSwitched
    from mmsearch.search.duplicates import Duplicate, DuplicateGroup
    from mmsearch.search.explanations import ConceptTie, Explanation, PartShare, Region, TextCue
    from mmsearch.search.keywords import Mode
    from mmsearch.training.connection import ConnectionResult, connect
    from mmsearch.training.heads import TrainedHead
    from mmsearch.training.loop import EpochReport, OnEpoch
    from mmsearch.training.results import ActiveSpace, TrainingResult
    from mmsearch.training.serving.records import TrainedModel
    from mmsearch.training.training import LibraryTraining
    from mmsearch.types import (
        Compose,
        Encoded,
        Failure,
        Finding,
        Hit,
        Item,
        Label,
        Level,
        LibraryRoot,
        Location,
        MetaValue,
        Moment,
        OnProgress,
        PillowImage,
        Progress,
        Query,
        QueryLike,
        QueryPart,
        SavedSearch,
        Sound,
        StoredVector,
    )
    from mmsearch.types.contracts import (
        Decoder,
        Encoder,
        EncoderSpec,
        Extractor,
        Ids,
        Limits,
        Metadata,
        Modality,
        Neighbours,
        Prepared,
        Segment,
        Selection,
        Space,
        Span,
        TextBox,
        TextLine,
        VectorIndex,
        Vectors,
        Windowing,
    )
    from mmsearch.vectors.presets import IndexPreset

_OFFERED = {
    "mmsearch.types.contracts": (
        "Decoder Encoder EncoderSpec Extractor Ids Limits Metadata Modality Neighbours Prepared Segment Selection "
        "Space Span TextBox TextLine VectorIndex Vectors Windowing"
    ),
    "mmsearch.core.config": "Settings SettingsArguments",
    "mmsearch.encoders.explaining": "Box",
    "mmsearch.errors": (
        "BodyTooLarge CatalogDamaged Corrupt DecodeTimeout DecoderCrashed EncodeError Forked IndexDamaged "
        "InvalidInput ItemChanged LibraryEmpty LibraryEncrypted LibraryError LibraryLocked LibraryNotFound "
        "LibraryReadOnly LimitExceeded MediaError MmsearchError NoSharedSpace NotEmbedded NotForgotten NotKept "
        "OutOfMemory RequestRefused RequestTimeout SchemaTooNew SignInNeeded SpaceChanged SpaceIncomplete "
        "TooManyRequests Transient UnknownHost UnknownName Unreadable Unsupported Untrusted WeightsError"
    ),
    "mmsearch.evaluate": "DirectionResult Estimate Evaluation QueryOutcome UnusedPair",
    "mmsearch.extract.extractors": "ExtractionEstimate",
    "mmsearch.extract.job": "ExtractionProblem",
    "mmsearch.extract.library_extraction": "ExtractionAdded ExtractionCounts ExtractionDropped LibraryExtraction",
    "mmsearch.core.filters.ast": "And Comparison Filter MetaOperand Not Or Period",
    "mmsearch.ingest": "BackfillProblem IngestReport Watch WatchEvent WatchTimes",
    "mmsearch.ingest.estimate": "IngestEstimate",
    "mmsearch.ingest.media": "Media",
    "mmsearch.library": "Library",
    "mmsearch.maintenance.export": "Exported Imported",
    "mmsearch.maintenance.index": "IndexBuild IndexCheck IndexStatus LibraryIndex",
    "mmsearch.maintenance.item_files": "ItemFile PreviewKind",
    "mmsearch.maintenance.items": "Folder",
    "mmsearch.maintenance.forgetting": "Copy ForgettingProof Trace",
    "mmsearch.maintenance.prune": "OnProof Pruned",
    "mmsearch.core.tokens": "AccessToken",
    "mmsearch.maintenance.audit": "AuditCheck AuditEntry LibraryAudit",
    "mmsearch.maintenance.encryption": "EncryptionStatus LibraryEncryption",
    "mmsearch.core.keeping": "Keeping KeptFacts Reduced",
    "mmsearch.maintenance.anonymised": "Identifying",
    "mmsearch.maintenance.move": "Moved",
    "mmsearch.maintenance.privacy": "LibraryPrivacy PlacesFound",
    "mmsearch.maintenance.tokens": "LibraryTokens",
    "mmsearch.maintenance.status": "IngestRun ModalityCounts ModelStatus QueueStatus Status",
    "mmsearch.models.available": "AvailableModel available_models",
    "mmsearch.models.cost": "ModelCost measure_cost",
    "mmsearch.models.holdings": "Holdings",
    "mmsearch.models.recommend": "SpaceChoice",
    "mmsearch.models.download": "OnBytes prepare",
    "mmsearch.models.switch": "LibraryModels ModelAdded ModelSwitched",
    "mmsearch.search.duplicates": "Duplicate DuplicateGroup",
    "mmsearch.search.explanations": "ConceptTie Explanation PartShare Region TextCue",
    "mmsearch.search.keywords": "Mode",
    "mmsearch.training.connection": "ConnectionResult connect",
    "mmsearch.training.heads": "TrainedHead",
    "mmsearch.training.loop": "EpochReport OnEpoch",
    "mmsearch.training.results": "ActiveSpace TrainingResult",
    "mmsearch.training.serving.records": "TrainedModel",
    "mmsearch.training.training": "LibraryTraining",
    "mmsearch.types": (
        "Compose Encoded Failure Finding Hit Item Label Level Location MetaValue Moment OnProgress PillowImage "
        "Progress Query QueryLike QueryPart LibraryRoot SavedSearch Sound StoredVector"
    ),
    "mmsearch.vectors.presets": "IndexPreset",
}
"""Module -> the names that it offers here."""

_HOMES = {
    **{name: f"{module}:{name}" for module, names in _OFFERED.items() for name in names.split()},
    "__version__": "mmsearch.core.version:VERSION",
    "errors": "mmsearch.errors",
    "open": "mmsearch.library:open_library",
}

__all__ = [
    "AccessToken",
    "ActiveSpace",
    "And",
    "AuditCheck",
    "AuditEntry",
    "AvailableModel",
    "BackfillProblem",
    "BodyTooLarge",
    "Box",
    "CatalogDamaged",
    "Comparison",
    "Compose",
    "ConceptTie",
    "ConnectionResult",
    "Copy",
    "Corrupt",
    "DecodeTimeout",
    "Decoder",
    "DecoderCrashed",
    "DirectionResult",
    "Duplicate",
    "DuplicateGroup",
    "EncodeError",
    "Encoded",
    "Encoder",
    "EncoderSpec",
    "EncryptionStatus",
    "EpochReport",
    "Estimate",
    "Evaluation",
    "Explanation",
    "Exported",
    "ExtractionAdded",
    "ExtractionCounts",
    "ExtractionDropped",
    "ExtractionEstimate",
    "ExtractionProblem",
    "Extractor",
    "Failure",
    "Filter",
    "Finding",
    "Folder",
    "ForgettingProof",
    "Forked",
    "Hit",
    "Holdings",
    "Identifying",
    "Ids",
    "Imported",
    "IndexBuild",
    "IndexCheck",
    "IndexDamaged",
    "IndexPreset",
    "IndexStatus",
    "IngestEstimate",
    "IngestReport",
    "IngestRun",
    "InvalidInput",
    "Item",
    "ItemChanged",
    "ItemFile",
    "Keeping",
    "KeptFacts",
    "Label",
    "Level",
    "Library",
    "LibraryAudit",
    "LibraryEmpty",
    "LibraryEncrypted",
    "LibraryEncryption",
    "LibraryError",
    "LibraryExtraction",
    "LibraryIndex",
    "LibraryLocked",
    "LibraryModels",
    "LibraryNotFound",
    "LibraryPrivacy",
    "LibraryReadOnly",
    "LibraryRoot",
    "LibraryTokens",
    "LibraryTraining",
    "LimitExceeded",
    "Limits",
    "Location",
    "Media",
    "MediaError",
    "MetaOperand",
    "MetaValue",
    "Metadata",
    "MmsearchError",
    "Modality",
    "ModalityCounts",
    "Mode",
    "ModelAdded",
    "ModelCost",
    "ModelStatus",
    "ModelSwitched",
    "Moment",
    "Moved",
    "Neighbours",
    "NoSharedSpace",
    "Not",
    "NotEmbedded",
    "NotForgotten",
    "NotKept",
    "OnBytes",
    "OnEpoch",
    "OnProgress",
    "OnProof",
    "Or",
    "OutOfMemory",
    "PartShare",
    "Period",
    "PillowImage",
    "PlacesFound",
    "Prepared",
    "PreviewKind",
    "Progress",
    "Pruned",
    "Query",
    "QueryLike",
    "QueryOutcome",
    "QueryPart",
    "QueueStatus",
    "Reduced",
    "Region",
    "RequestRefused",
    "RequestTimeout",
    "SavedSearch",
    "SchemaTooNew",
    "Segment",
    "Selection",
    "Settings",
    "SettingsArguments",
    "SignInNeeded",
    "Sound",
    "Space",
    "SpaceChanged",
    "SpaceChoice",
    "SpaceIncomplete",
    "Span",
    "Status",
    "StoredVector",
    "TextBox",
    "TextCue",
    "TextLine",
    "TooManyRequests",
    "Trace",
    "TrainedHead",
    "TrainedModel",
    "TrainingResult",
    "Transient",
    "UnknownHost",
    "UnknownName",
    "Unreadable",
    "Unsupported",
    "Untrusted",
    "UnusedPair",
    "VectorIndex",
    "Vectors",
    "Watch",
    "WatchEvent",
    "WatchTimes",
    "WeightsError",
    "Windowing",
    "__version__",
    "available_models",
    "connect",
    "errors",
    "measure_cost",
    "open",
    "prepare",
]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'mmsearch' has no attribute {name!r}")
    value = globals()[name] = _located(_HOMES[name])
    return value


def _located(home: str) -> "Any":
    from importlib import import_module

    module, _, attribute = home.partition(":")
    found = import_module(module)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
