"""What `Library.label` does: zero-shot names, or those of a trained head; kept as tags if asked to."""

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from mmsearch.catalog import NewTag
from mmsearch.context.context import LibraryContext
from mmsearch.core.filters.ast import Filter
from mmsearch.errors import InvalidInput
from mmsearch.labels import zero_shot
from mmsearch.types import Label, Modality, Query, Space


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """What is labelled, and with what."""

    names: Sequence[str]
    """Zero-shot; or none, and `model` is the name of a trained head."""
    model: str | None = None
    filter: Filter | None = None
    modalities: Collection[Modality] | None = None
    min_confidence: float | None = None
    """Confidence below which nothing fits; None: 1 - `false_accepts` for names, 0 for a head, which knows itself what
    is none of its classes."""

    def __post_init__(self) -> None:
        """Raises: InvalidInput."""
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise InvalidInput(f"a confidence lies between 0 and 1, {self.min_confidence} does not")
        if self.names and self.model is not None:
            raise InvalidInput("items are labelled with names or with a model, not both", hint="leave one out")
        if self.model is None:
            zero_shot.checked_names(self.names)


def label_items(options: LabelOptions, context: LibraryContext, *, save: bool) -> list[Label]:
    """By path. Raises: InvalidInput for senseless names or an unknown model, SpaceChanged, LibraryLocked."""
    names = () if options.model is not None else zero_shot.checked_names(options.names)
    with context.writing() if save else nullcontext():
        names, labelled, tags = context.of_one_space(
            lambda space, _: (
                _zero_shot(names, options, context, space) if names else _learned(str(options.model), options, context)
            )
        )
        if save:
            context.catalog().tag(names, tags)
    return labelled


def _zero_shot(
    names: tuple[str, ...], options: LabelOptions, context: LibraryContext, space: Space
) -> tuple[tuple[str, ...], list[Label], list[NewTag]]:
    min_confidence = 1 - context.settings.false_accepts if options.min_confidence is None else options.min_confidence
    labelled, tags = zero_shot.label_zero_shot(
        names, space, context.catalog(), lambda name, vector: context.calibrator(Query(text=name), vector, space),
        modalities=options.modalities, filter=options.filter, min_confidence=min_confidence,
    )  # fmt: skip
    return names, labelled, tags


def _learned(
    name: str, options: LabelOptions, context: LibraryContext
) -> tuple[tuple[str, ...], list[Label], list[NewTag]]:
    # Loads torch, which zero-shot names may not need.
    from mmsearch.labels import trained
    from mmsearch.training.serving import heads

    head = heads.load_head(context, name)
    labelled, tags = trained.label_with_head(
        context,
        head,
        modalities=options.modalities,
        filter=options.filter,
        min_confidence=options.min_confidence or 0.0,
    )
    return head.facts.classes, labelled, tags
