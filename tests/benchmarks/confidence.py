"""Whether confidence is the probability that a hit answers its query, and what fits it.

    python -m tests.benchmarks.confidence --shared DATA [--sounds DIR] [--cache DIR] [--fit]

Every kind of question is fitted on one fold of classes and files and reported on the other, both ways round; see
`confidence_questions` for what is asked and `confidence_data` for the media. With --fit, which takes three minutes of
CPU, nothing is reported: all of it is fitted, and `mmsearch/calibration/answers.json` written, which is what ships. So
after every change of a space: `--fit --space NAME`, then the same without --fit for the figures.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from mmsearch.calibration import neutral
from mmsearch.calibration.answers import (
    DEFAULT_FALSE_ACCEPTS,
    LIKELY_FACTOR,
    AnswerModel,
    AnswerWeights,
    FittedAnswers,
    PairBackground,
    parse_answers,
)
from mmsearch.core import registry
from mmsearch.types import Space
from tests.benchmarks import confidence_data as data
from tests.benchmarks.confidence_figures import (
    SIZES,
    Numbers,
    Told,
    area_by_size,
    figures,
    gain,
    interval,
    prevalences,
    rejects,
)
from tests.benchmarks.confidence_fit import (
    AT_MOST_0,
    FACTS,
    OF_REGIONS,
    confidences,
    features,
    fit_pair,
    logits,
    on_scale,
    oracle,
    regression,
    usual,
    weights_of,
)
from tests.benchmarks.confidence_questions import OF_PICTURES, OF_WORDS, TINY, Asker, Question, column

TARGET = Path(neutral.__file__).with_name("answers.json")

TRANSLATED = "translated"
"""The kind of query that words in other languages are."""

KINDS = {
    ("text", "image"): ("photos by objects", "photos by captions", "COCO by objects", "COCO by captions",
                        "stamps by name"),
    (TRANSLATED, "image"): ("photos by translated objects", "photos by translated captions",
                            "stamps by translated names"),
    ("text", "audio"): ("sounds by name",),
    ("text", "text"): ("notes by objects", "notes by captions"),
    ("image", "image"): ("photos by photos",),
    ("audio", "audio"): ("sounds by sounds",),
}  # fmt: skip


LEVELLED = ((("text", "image"), "photos by objects"), (("text", "image"), "photos by captions"),
            (("text", "audio"), "sounds by name"), (("text", "text"), "notes by objects"))  # fmt: skip
"""Whose first hits for what is absent say from where on a hit is likely, or sure; each kind alike."""


MARGIN = 0.01
"""What is taken off both shares of questions about what is absent that a level may be wrong for: of classes that were not
fitted on, a level is wrong for up to a point more."""

LEVELLED_ALONE = {
    ("text", "image"): ("photos by objects", "photos by captions"),
    (TRANSLATED, "image"): ("photos by translated objects", "photos by translated captions"),
}
"""What says so of names, and of sentences, in words of the language and in others."""


def asked(
    shared: Path, sounds: Path, embedder: data.Embedder, words: Any, *, before: bool
) -> tuple[list[Question], dict[str, Any]]:
    """All questions, and a collection of each modality. `before`: whether to say what was said before."""
    dev, asker = shared / "dev", partial(Asker, neutral=words, before=before)
    photos, coco = data.flickr(shared / "flickr8k", embedder), data.coco(dev, embedder)
    notes, heard = data.notes(photos, embedder), data.sounds(dev, sounds, embedder)
    found: list[Question] = []
    found += asker(photos).things("photos by objects", embedder)
    found += asker(photos).sentences("photos by captions", embedder)
    found += asker(coco).things("COCO by objects", embedder)
    found += asker(coco).sentences("COCO by captions", embedder)
    found += asker(data.stamps(dev, embedder)).things("stamps by name", embedder)
    found += asker(data.objects_translated(photos)).things("photos by translated objects", embedder)
    found += asker(data.translated(shared / "flickr8k", photos)).sentences("photos by translated captions", embedder)
    found += asker(data.stamps_translated(data.stamps(dev, embedder), dev)).things(
        "stamps by translated names", embedder
    )
    found += asker(heard).things("sounds by name", embedder)
    found += asker(notes).things("notes by objects", embedder)
    found += asker(notes).sentences("notes by captions", embedder)
    found += asker(photos).examples("photos by photos")
    found += asker(heard).examples("sounds by sounds")
    named = data.stamps_translated(data.stamps(dev, embedder), dev)
    foreign = embedder.words(f"{named.name}-things", [thing.name for thing in named.things])
    return found, {"image": photos, "audio": heard, "text": notes, TRANSLATED: foreign}


def asked_of_few(shared: Path, sounds: Path, embedder: data.Embedder, words: Any) -> list[Question]:
    """Questions about libraries of a few items."""
    dev = shared / "dev"
    photos, heard = data.flickr(shared / "flickr8k", embedder), data.sounds(dev, sounds, embedder)
    found = list(Asker(photos, words).tiny_things("photos by objects", embedder))
    found += Asker(photos, words).tiny_sentences("photos by captions", embedder)
    found += Asker(heard, words).tiny_things("sounds by name", embedder)
    return [*found, *Asker(data.notes(photos, embedder), words).tiny_things("notes by objects", embedder)]


def background(query: str, segment: str, words: Any, collections: dict[str, Any]) -> PairBackground:
    """Of unrelated pairs, as far as chance makes pairs unrelated."""
    segments = collections[segment].items.vectors[:2000]
    queries = {"text": words, TRANSLATED: collections[TRANSLATED]}.get(query)
    queries = collections[query].items.vectors[::4] if queries is None else queries
    scores = np.arctanh(np.clip(queries @ segments.T, -0.999, 0.999))
    low, high = (round(float(value), 4) for value in np.quantile(scores, (0.5, 0.95)))
    of_words, regions = query in ("text", TRANSLATED), segment == "image"
    if not of_words and (query, segment) != ("image", "image"):
        return PairBackground(low, round(high - low, 4))
    hub = segments @ words.mean(axis=0)
    known = PairBackground(low, round(high - low, 4), 0.0, round(float(hub.mean()), 4), round(float(hub.std()), 4))
    return known._replace(discount=(OF_WORDS if of_words else OF_PICTURES) * regions)


def fit(
    questions: Sequence[Question], backgrounds: dict[tuple[str, str], PairBackground], mixed: Sequence[Question] = ()
) -> dict[str, Any]:
    """What `answers.json` holds, but for the encoders' identities. `mixed`: questions that but count for the levels."""
    by_kind = {pair: [one for one in questions if one.kind in kinds] for pair, kinds in KINDS.items()}
    backgrounds = {pair: usual(by_kind.get(pair, ()), known) for pair, known in backgrounds.items()}
    models = {pair: fit_pair(some, backgrounds[pair]) for pair, some in by_kind.items()}
    # Of pairs that weren't fitted: all of these at once, each by its own standard score.
    words = [pair for pair in KINDS if pair[0] == "text"]
    inputs = np.concatenate([features(by_kind[pair], backgrounds[pair]) for pair in words])
    inputs[:, AT_MOST_0] = 0
    right = np.concatenate([column(by_kind[pair], "right") for pair in words])
    weights = np.concatenate([weights_of(by_kind[pair]) for pair in words]) / len(words)
    # What is said of regions is not known of another space's.
    inputs[:, OF_REGIONS] = 0
    other = [round(value, 3) for value in regression(inputs, right, weights, AT_MOST_0).tolist()]
    rival = round(float(np.mean([models[pair].background.rival for pair in words])), 3)
    unfitted = AnswerModel(PairBackground(0, 1), AnswerWeights(*other[:FACTS]), AnswerWeights(*other[FACTS:]))
    pairs = list[dict[str, Any]]()
    for (query, segment), known in backgrounds.items():
        model = models.get((query, segment)) or replace(unfitted, background=known._replace(rival=rival))
        if query == TRANSLATED and (query, segment) not in models:
            model = on_scale(models["text", segment], known)
        pairs.append({"query": query, "segment": segment, "background": list(model.background),
                      "name": list(model.name), "sentence": list(model.sentence)})  # fmt: skip

    def of_absent(pair: tuple[str, str], kind: str) -> Numbers:
        return logits([one for one in chain(questions, mixed) if one.kind == kind and not one.present], models[pair])

    for one in pairs:
        if kinds := LEVELLED_ALONE.get((one["query"], one["segment"])):
            one["absent"] = [through([of_absent((one["query"], one["segment"]), kind)]) for kind in kinds]
    return {
        "pairs": pairs,
        "other": {"name": other[:4], "sentence": other[FACTS : FACTS + 4], "rival": rival},
        "absent": through([of_absent(*one) for one in LEVELLED]),
    }


def through(absent: Sequence[Numbers]) -> list[float]:
    """Mean and deviation of a normal distribution through the two quantiles that the default of `false_accepts` asks
    for, of log-odds of first hits for what is absent; of several kinds on average."""
    certain, likely = (
        float(np.mean([np.quantile(some, 1 - share + MARGIN) for some in absent]))
        for share in (DEFAULT_FALSE_ACCEPTS, LIKELY_FACTOR * DEFAULT_FALSE_ACCEPTS)
    )
    normal = NormalDist()
    ends = normal.inv_cdf(1 - DEFAULT_FALSE_ACCEPTS), normal.inv_cdf(1 - LIKELY_FACTOR * DEFAULT_FALSE_ACCEPTS)
    spread = (certain - likely) / (ends[0] - ends[1])
    return [round(certain - spread * ends[0], 3), round(spread, 3)]


def cross_fitted(questions: Sequence[Question], backgrounds: dict[tuple[str, str], PairBackground]
                 ) -> Iterator[tuple[str, list[Question], Numbers, Numbers, tuple[float, float]]]:  # fmt: skip
    """Of each kind: its questions, their confidence, what weights of other pairs would say, and the levels' limits.

    Each half is said by what the other half taught, so no class is fitted and reported."""
    parts: dict[str, list[tuple[list[Question], Numbers, Numbers]]] = {}
    limits: dict[str, list[tuple[float, float]]] = {}
    for fold in (0, 1):
        own, mixed = ([one for one in questions if one.fold == fold and one.mixed is also] for also in (False, True))
        fitted: FittedAnswers = parse_answers(fit(own, backgrounds, mixed))
        for pair, kinds in KINDS.items():
            for kind in kinds:
                some = [one for one in questions if one.kind == kind and one.fold != fold]
                other = AnswerModel(backgrounds[pair]._replace(rival=fitted.other_rival), *fitted.other)
                both = confidences(some, fitted.pairs[pair]), confidences(some, other)
                parts.setdefault(kind, []).append((some, *both))
                limits.setdefault(kind, []).append(levels_of(fitted, pair, some))
    for kind, halves in parts.items():
        yield (kind, [one for some, _, _ in halves for one in some], np.concatenate([sure for _, sure, _ in halves]),
               np.concatenate([other for _, _, other in halves]),
               (float(np.mean([likely for likely, _ in limits[kind]])),
                float(np.mean([certain for _, certain in limits[kind]]))))  # fmt: skip


def levels_of(fitted: FittedAnswers, pair: tuple[str, str], questions: Sequence[Question]) -> tuple[float, float]:
    """Where a hit of these questions is likely, and sure, as of their usual length."""
    sentence = float(column(questions, "sentence").mean()) if len(questions) else 0.0
    levels = fitted.levels(DEFAULT_FALSE_ACCEPTS, (pair[0], "image"), sentence)
    return levels.likely, levels.sure


COLUMNS = ("questions", "right", "false rejects", "of all present", "AUROC", "right sure", "right unlikely",
           "absent sure", "absent likely+", "ECE 10%", "ECE 50%", "ECE 90%")  # fmt: skip


def tables(questions: Sequence[Question], backgrounds: dict[tuple[str, str], PairBackground]) -> Iterator[str]:
    reported = list(cross_fitted(questions, backgrounds))
    said = (f"{kind} {likely:.3f} and {certain:.3f}" for kind, _, _, _, (likely, certain) in reported)
    yield f"Likely and sure from: {', '.join(said)}.\n"
    others = ("AUROC before", "AUROC unfitted", "ECE unfitted", "AUROC ceiling", "false rejects ceiling")
    yield "| | " + " | ".join([*COLUMNS, *others]) + " |"
    yield "|---" * (len(COLUMNS) + len(others) + 1) + "|"
    for kind, some, sure, other, levels in reported:
        told = Told.of(sure, some)
        found, bounds = figures(told, levels), interval(told, some, levels)
        cells = [f"{found['questions']:.0f}"] + [
            f"{found[name]:.3f} ({bounds[name][0]:.2f}-{bounds[name][1]:.2f})" for name in COLUMNS[1:]
        ]
        before = Told.of(column(some, "family_wise"), some)
        unfitted, ceiling = figures(Told.of(other, some), levels), figures(Told.of(oracle(some), some), levels)
        cells += [
            f"{value:.3f}"
            for value in (
                area_by_size(before),
                unfitted["AUROC"],
                unfitted["ECE 50%"],
                ceiling["AUROC"],
                ceiling["false rejects"],
            )
        ]
        yield f"| {kind} | " + " | ".join(cells) + " |"
    yield "\nRight first hits that are unlikely, and false rejects at one threshold, by the library's size:\n"
    for kind, some, sure, _, levels in reported:
        told, before = Told.of(sure, some), Told.of(column(some, "family_wise"), some)
        threshold = np.quantile(sure[~told.present], 0.95)
        cells = []
        for number, (low, high) in enumerate(pairwise((0, *SIZES, 5000))):
            chosen = told.right & (told.size == number)
            if chosen.any():
                unlikely, rejected = (sure[chosen] < levels[0]).mean(), (sure[chosen] <= threshold).mean()
                was = (before.sure[chosen] < 0.95).mean()
                cells.append(f"{low}-{high}: {unlikely:.2f}, {rejected:.2f} (before {was:.2f})")
        yield f"- {kind}: " + "; ".join(cells)


CURVE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
OF_FEW = ("items", "questions", "right", "right sure", "right unlikely", "wrong sure", "absent sure", "absent likely+")


def curves(questions: Sequence[Question], backgrounds: dict[tuple[str, str], PairBackground]) -> Iterator[str]:
    """False rejects over false accepts, and how much the area grew, as intervals of paired draws."""
    yield "\n| false rejects at false accepts of | " + " | ".join(f"{one:.0%}" for one in CURVE) + " | AUROC grew by |"
    yield "|---" * (len(CURVE) + 2) + "|"
    for kind, some, sure, _, _ in cross_fitted(questions, backgrounds):
        told, before = Told.of(sure, some), Told.of(column(some, "family_wise"), some)
        low, high = gain(told, before, some)
        cells = [f"{rejects(told, one):.2f}" for one in CURVE]
        yield f"| {kind} | " + " | ".join(cells) + f" | {low:+.3f} to {high:+.3f} |"


def shares(questions: Sequence[Question], backgrounds: dict[tuple[str, str], PairBackground]) -> Iterator[str]:
    """What calibration can be had where 10 or 90 % of the questions are about what is absent."""
    columns = ("10 %", "90 %", "refit for 10 %", "refit for 90 %", "one map, at least", "one map of the ceiling's")
    yield "\n| calibration error | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for kind, some, sure, _, levels in cross_fitted(questions, backgrounds):
        told = Told.of(sure, some)
        found, known = prevalences(told), figures(told, levels)
        values = [known["ECE 10%"], known["ECE 90%"], found["refit 10%"], found["refit 90%"], found["one map"]]
        values.append(prevalences(Told.of(oracle(some), some))["one map"])
        yield f"| {kind} | " + " | ".join(f"{value:.3f}" for value in values) + " |"


def of_few(
    few: Sequence[Question], questions: Sequence[Question], backgrounds: dict[tuple[str, str], PairBackground]
) -> Iterator[str]:
    """What is said in libraries of a few items, each fold by weights of the other."""
    yield "\n| | " + " | ".join(OF_FEW) + " |"
    yield "|---" * (len(OF_FEW) + 1) + "|"
    folds = [[[one for one in questions if one.fold == fold and one.mixed is also] for also in (False, True)]
             for fold in (0, 1)]  # fmt: skip
    fitted = [parse_answers(fit(own, backgrounds, mixed)) for own, mixed in folds]
    pairs = {kind: pair for pair, kinds in KINDS.items() for kind in kinds}
    for kind in dict.fromkeys(one.kind for one in few):
        for size in TINY:
            parts = []
            for fold, known in enumerate(fitted):
                some = [one for one in few if (one.kind, one.size) == (kind, size) and one.fold != fold]
                sure, (from_likely, from_sure) = (
                    confidences(some, known.pairs[pairs[kind]]), levels_of(known, pairs[kind], some)
                )  # fmt: skip
                present, right = column(some, "present") > 0, column(some, "right") > 0
                parts.append((present, right, sure >= from_sure, sure >= from_likely))
            present, right, certain, likely = (np.concatenate(some) for some in zip(*parts, strict=True))
            shares = (certain[right], ~likely[right], certain[present & ~right], certain[~present], likely[~present])
            cells = [f"{size}", f"{len(right)}", f"{right[present].mean():.3f}"]
            cells += [f"{one.mean():.3f}" if len(one) else "none" for one in shares]
            yield f"| {kind} | " + " | ".join(cells) + " |"


def written(fitted: dict[str, Any], space: Space, before: str) -> str:
    """JSON, a pair of encoders a line. What `before` has stays, so that a library of another version answers as it did:
    a pair whose line was deleted is fitted anew."""
    identities: dict[str, str] = {modality: neutral.identity(encoder) for modality, encoder in space.encoders.items()}
    identities[TRANSLATED] = identities["text"] + neutral.TRANSLATED
    known = json.loads(before)
    named = [
        {**pair, "query": identities[pair["query"]], "segment": identities[pair["segment"]]} for pair in fitted["pairs"]
    ]
    there = {(pair["query"], pair["segment"]) for pair in known["pairs"]}
    pairs = [*known["pairs"], *(pair for pair in named if (pair["query"], pair["segment"]) not in there)]
    lines = ",\n  ".join(map(json.dumps, pairs))
    other, absent = (json.dumps(known.get(name, fitted[name])) for name in ("other", "absent"))
    return f'{{\n "pairs": [\n  {lines}\n ],\n "other": {other},\n "absent": {absent}\n}}\n'


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--sounds", type=Path, default=Path("sounds"), help="Where the Debian packages were unpacked.")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "mmsearch-confidence")
    parser.add_argument("--space", default="starter")
    parser.add_argument("--fit", action="store_true", help=f"Write {TARGET.name} anew.")
    given = parser.parse_args(arguments)
    space = registry.load_part("spaces", given.space)("cpu")
    words = neutral.neutral_vectors(space)["text"]
    embedder = data.Embedder(space, given.cache)
    questions, collections = asked(given.shared.resolve() / "data", given.sounds, embedder, words, before=not given.fit)
    modalities = ("text", "image", "audio")
    backgrounds = {
        (query, segment): background(query, segment, words, collections)
        for query in (*modalities, TRANSLATED)
        for segment in modalities
    }
    if given.fit:
        TARGET.write_text(written(fit(questions, backgrounds), space, TARGET.read_text("utf-8")), "utf-8")
        return 0
    few = asked_of_few(given.shared.resolve() / "data", given.sounds, embedder, words)
    asked_and_told = tables(questions, backgrounds), curves(questions, backgrounds), shares(questions, backgrounds)
    for line in chain(*asked_and_told, of_few(few, questions, backgrounds)):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
