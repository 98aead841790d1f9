"""Questions about what a library holds and what it doesn't, and the first hit of each.

Half of the questions are asked of the same library without any file that may be an answer: its class is really gone.
Questions and photos are of one of two folds, by class and by photo, so that what is fitted on one is reported on the
other. Only a whole collection, asked for classes of one fold, has files of both.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmsearch.calibration import ListCalibration, fit_null, null_distribution
from mmsearch.calibration.answers import COMPANY, RIVAL, SUITING, discounted, sentence_share
from mmsearch.types import Vectors
from tests.benchmarks.confidence_data import Collection, Embedder, Mask

SIZES = (60, 200, 500)
DRAWN = 4
"""Libraries of each size and fold."""

FEW = 300
"""Segments up to which what is absent changes the background of a library noticeably."""

TINY = (1, 3, 10)
"""Items of the libraries of `tiny_things` and `tiny_sentences`."""
TINY_DRAWN = 4
TINY_SENTENCES = 200

SENTENCES = 1000
"""Captions that are asked, at most."""

OF_WORDS, OF_PICTURES = 0.04, 0.1
"""What is taken off the score of a photo's region, in Fisher's z, where words or a picture ask."""


class Drawn(NamedTuple):
    """Some files of a collection as a library."""

    held: Mask
    mixed: bool
    calibration: ListCalibration | None
    """What the confidence before this one is made of, where it is wanted."""


class Question(NamedTuple):
    """A question's first hit."""

    kind: str
    """What is asked of what, as "photos by objects"."""
    name: str
    """The class, or the file the question is about: questions of one name depend on each other."""
    fold: int
    size: int
    """Items of the library."""
    mixed: bool
    """Whether the library has files of both folds though each has its own: not to be fitted on, then."""
    present: bool
    """Whether the library holds an answer."""
    right: bool
    """Whether the first hit is one."""
    score: float
    """Its cosine, as it counts: of a region less than it is."""
    hubness: float
    rival: float
    """Cosine of the list's segment at the place `answers.RIVAL`; -1 if it is shorter."""
    segments: int
    """Of the list, `answers.RIVAL` at most."""
    words: float
    """Mean cosine of the hit with the `answers.SUITING` neutral words that suit it best."""
    region: bool
    """Whether it is a region."""
    common: float
    """Mean cosine of the query with neutral words."""
    company: float
    """As it counts, the cosine of the segment in place `answers.COMPANY` of the first `answers.RIVAL`; -1 if there is
    none."""
    sentence: float
    family_wise: float
    """The confidence before this one: how sure it is that nothing unrelated scores as high."""


UNASKED = (0.0, 0.0, 0.0, 0, 0.0, False, 0.0, 0.0, 0.0, 0.0)
"""Of a question that was not asked yet, all from `score` on."""


class Asker:
    """Asks one collection."""

    def __init__(self, collection: Collection, neutral: Vectors, seed: int = 0, *, before: bool = True) -> None:
        """`before`: whether the confidence before this one is wanted, too, which takes most of the time."""
        self.collection = collection
        self._before = before
        self._neutral = neutral
        self._firsts = np.flatnonzero(np.diff(collection.items.owners, prepend=-1))
        # Of the few photos that the decoder cuts, too, all but the first piece.
        self._regions = np.full(len(collection.items.owners), collection.modality == "image")
        self._regions[self._firsts] = False
        named = collection.items.vectors @ neutral.T
        self._hubness = named.mean(axis=1)
        self._words = np.partition(named, -SUITING, axis=1)[:, -SUITING:].mean(axis=1)
        self._random = np.random.default_rng(seed)
        self._drawn = [list(self._draw(fold)) for fold in (0, 1)]

    def things(self, kind: str, embedder: Embedder) -> Iterator[Question]:
        """By name."""
        phrasings = [words for thing in self.collection.things for words in thing.phrasings]
        vectors = dict(zip(phrasings, embedder.words(f"{self.collection.name}-things", phrasings), strict=True))
        for number, thing in enumerate(self.collection.things):
            for library in self._libraries(number):
                kept = library.held & ~thing.unclear
                for present, held in ((True, kept), (False, kept & ~thing.there)):
                    if present and not (held & thing.there).any():
                        continue
                    asked = [(words, vectors[words]) for words in thing.phrasings]
                    yield from self._ask(
                        asked, held, thing.there, library.calibration,
                        Question(kind, thing.name, number % 2, 0, library.mixed, present, False, *UNASKED),
                    )  # fmt: skip

    def sentences(self, kind: str, embedder: Embedder) -> Iterator[Question]:
        """By what is said of one item, which is an answer; so is one of which all of that is said."""
        some = self._random.permutation(len(self.collection.captions))[:SENTENCES]
        captions = [self.collection.captions[number] for number in sorted(some)]
        vectors = embedder.words(f"{self.collection.name}-sentences", [one[0] for one in captions])
        for (words, item, said), vector in zip(captions, vectors, strict=True):
            whole = np.array([len(said) > 1 and said <= tags for tags in self.collection.tags])
            whole[item] = True
            yield from self._about(kind, (words, vector), item, (whole, self._shared(said)), own=True)

    def examples(self, kind: str) -> Iterator[Question]:
        """By an item like it, which is not in the library."""
        for item in self._random.permutation(self.collection.count)[:SENTENCES].tolist():
            if said := self.collection.tags[item]:
                vector = self.collection.items.vectors[self._firsts[item]]
                alike = np.array([len(said & tags) >= min(2, len(said)) for tags in self.collection.tags])
                yield from self._about(kind, ("", vector), item, (alike, self._shared(said)), own=False)

    def tiny_things(self, kind: str, embedder: Embedder) -> Iterator[Question]:
        """By name, of libraries of a few items, one of which is an answer, or none: not to be fitted on."""
        phrasings = [words for thing in self.collection.things for words in thing.phrasings]
        vectors = dict(zip(phrasings, embedder.words(f"{self.collection.name}-things", phrasings), strict=True))
        for number, thing in enumerate(self.collection.things):
            asked = [(words, vectors[words]) for words in thing.phrasings]
            yield from self._tiny(kind, thing.name, number % 2, asked, (thing.there, thing.there | thing.unclear))

    def tiny_sentences(self, kind: str, embedder: Embedder) -> Iterator[Question]:
        """By what is said of one item, as `tiny_things`."""
        some = sorted(self._random.permutation(len(self.collection.captions))[:TINY_SENTENCES])
        captions = [self.collection.captions[number] for number in some]
        vectors = embedder.words(f"{self.collection.name}-tiny", [one[0] for one in captions])
        for (words, item, said), vector in zip(captions, vectors, strict=True):
            own = np.arange(self.collection.count) == item
            yield from self._tiny(kind, str(item), item % 2, [(words, vector)], (own, own | self._shared(said)))

    def _tiny(
        self, kind: str, name: str, fold: int, asked: Sequence[tuple[str, Vectors]], known: tuple[Mask, Mask]
    ) -> Iterator[Question]:
        answers, others = np.flatnonzero(known[0]), np.flatnonzero(~known[1])
        for size in TINY:
            for _ in range(TINY_DRAWN):
                for present in (True, False):
                    held = np.zeros(self.collection.count, bool)
                    held[self._random.choice(others, size - present, replace=False)] = True
                    held[self._random.choice(answers, int(present))] = True
                    calibration = self._measured(self.collection.items.vectors[held[self.collection.items.owners]])
                    question = Question(kind, name, fold, 0, True, present, False, *UNASKED)
                    yield from self._ask(asked, held, known[0], calibration, question)

    def _about(
        self, kind: str, asked: tuple[str, Vectors], item: int, known: tuple[Mask, Mask], *, own: bool
    ) -> Iterator[Question]:
        answers, related = known
        for library in self._libraries(item):
            held = library.held.copy()
            held[item] = own
            unrelated = held & ~related
            unrelated[item] = False
            for present, kept in ((True, held), (False, unrelated)):
                if (present and not (kept & answers).any()) or not kept.any():
                    continue
                question = Question(kind, str(item), item % 2, 0, library.mixed, present, False, *UNASKED)
                yield from self._ask([asked], kept, answers, library.calibration, question)

    def _shared(self, said: frozenset[str]) -> Mask:
        return np.array([bool(said & tags) for tags in self.collection.tags])

    def _libraries(self, number: int) -> Iterator[Drawn]:
        """One of each size, for a question of this number: files of its fold, and all of them."""
        for some in self._drawn[number % 2]:
            yield some[number // 2 % len(some)]

    def _draw(self, fold: int) -> Iterator[list[Drawn]]:
        count = self.collection.count
        own = np.flatnonzero((np.arange(count) % 2 == fold) | (not self.collection.halves))
        for size in SIZES:
            if size < count:
                yield [self._calibrated(self._random.permutation(own)[:size]) for _ in range(DRAWN)]
        yield [self._calibrated(np.arange(count))]

    def _calibrated(self, files: NDArray[np.int64]) -> Drawn:
        held = np.zeros(self.collection.count, bool)
        held[files] = True
        vectors = self.collection.items.vectors[held[self.collection.items.owners]]
        return Drawn(held, bool(held.all()) and self.collection.halves, self._measured(vectors))

    def _measured(self, vectors: Vectors) -> ListCalibration | None:
        if not self._before:
            return None
        cosines = self._neutral @ vectors.T
        best = np.asarray(cosines.max(axis=1), np.float32)
        calibration = fit_null(self._neutral, vectors, np.zeros(cosines.shape, bool), best, len(vectors))
        return calibration

    def _ask(
        self, asked: Sequence[tuple[str, Vectors]], held: Mask, answers: Mask, calibration: ListCalibration | None,
        question: Question,
    ) -> Iterator[Question]:  # fmt: skip
        if not held.any():
            return
        segments = np.flatnonzero(held[self.collection.items.owners])
        vectors, regions = self.collection.items.vectors[segments], self._regions[segments]
        if calibration is not None and len(segments) < FEW and calibration.segments != len(segments):
            calibration = self._measured(vectors)
        for words, query in asked:
            scores = vectors @ query
            counted, sentence = scores.copy(), sentence_share(words)
            asking = (OF_WORDS, sentence) if words else (OF_PICTURES, 1.0)
            counted[regions] = [discounted(one, *asking) for one in scores[regions].tolist()]
            first = int(counted.argmax())
            segment = segments[first]
            family_wise = 0.0
            if calibration is not None:
                tail = calibration.tail(float(scores.max()))
                family_wise = null_distribution([calibration], query).confidence(tail, len(segments))
            nearest = np.sort(counted[np.argsort(-scores)[:RIVAL]])
            yield question._replace(
                size=int(held.sum()), right=bool(answers[self.collection.items.owners[segment]]),
                score=float(counted[first]), region=bool(regions[first]), common=float((self._neutral @ query).mean()),
                company=float(nearest[-COMPANY]) if len(nearest) >= COMPANY else -1.0,
                hubness=float(self._hubness[segment]), words=float(self._words[segment]),
                rival=float(np.sort(scores)[-RIVAL]) if len(scores) >= RIVAL else -1.0,
                segments=min(len(scores), RIVAL),
                sentence=sentence,
                family_wise=family_wise,
            )  # fmt: skip


def column(questions: Sequence[Question], name: str) -> NDArray[np.float64]:
    return np.array([getattr(one, name) for one in questions], np.float64)
