"""Whether confidence is the probability that a hit answers its query, and what fits it.

    python -m tests.benchmarks.confidence --shared DATA [--sounds DIR] [--cache DIR] [--fit]

Every kind of question is fitted on one fold of classes and files and reported on the other, both ways round; see
`confidence_questions` for what is asked and `confidence_data` for the media. --fit then fits all of it and writes
`mmsearch/calibration/answers.json`, which is what ships.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.calibration import neutral
from mmsearch.calibration.answers import (
    AnswerModel,
    Background,
    FittedAnswers,
    ListFacts,
    Weights,
    parse_answers,
    probability,
)
from mmsearch.core import registry
from mmsearch.types import Space
from tests.benchmarks import confidence_data as data
from tests.benchmarks.confidence_questions import Asker, Question, column

TARGET = Path(neutral.__file__).with_name("answers.json")
Numbers = NDArray[np.float64]

SHARES = {"photos by objects": 3.0, "COCO by objects": 1.0, "stamps by name": 1.0, "photos by captions": 3.0,
          "COCO by captions": 1.0}  # fmt: skip
"""How much a kind of question weighs beside others of its pair of encoders; 1 if nothing is said."""

PENALTY = 1e-5
AT_MOST_0 = (2, 3, 6, 7)
"""Columns of `features` that can but take from a confidence."""
BINS = 15
DRAWS = 400


# Fitting


def features(questions: Sequence[Question], background: Background) -> Numbers:
    """(n, 8): 1, score, rival and hubness of a name, and of a sentence."""
    score, rival = (
        (np.arctanh(np.clip(column(questions, name), -1 + 1e-7, 1 - 1e-7)) - background.median) / background.spread
        for name in ("score", "rival")
    )
    hub = (column(questions, "hubness") - background.hubness) / background.hubness_spread
    basic = np.stack([np.ones(len(hub)), score, np.maximum(rival, 0), hub * (background.hubness_spread != 1)], axis=1)
    sentence = column(questions, "sentence")[:, np.newaxis]
    if sentence.max() < 1:  # half sentences say nothing of whole ones
        sentence = 0 * sentence
    return np.asarray(np.concatenate([(1 - sentence) * basic, sentence * basic], axis=1))


def weights_of(questions: Sequence[Question]) -> Numbers:
    """Kinds weigh as `SHARES` says, in a kind questions with an answer as much as those without."""
    kinds = np.array([f"{one.kind} {one.present}" for one in questions])
    weights = np.zeros(len(kinds))
    for kind in np.unique(kinds):
        chosen = kinds == kind
        weights[chosen] = SHARES.get(kind.rsplit(" ", 1)[0], 1.0) / chosen.sum()
    return weights / weights.sum()


def regression(inputs: Numbers, right: Numbers, weights: Numbers, bounded: Sequence[int] = ()) -> Numbers:
    """Weights of a logistic regression by Newton's method; those of the columns `bounded` are at most 0."""
    free = [number for number in range(inputs.shape[1]) if np.abs(inputs[:, number]).max() > 0]
    while True:
        some, found = inputs[:, free], np.zeros(len(free))
        for _ in range(60):
            chance = 1 / (1 + np.exp(-some @ found))
            slope = some.T @ (weights * (right - chance)) - PENALTY * found
            curve = (some * (weights * chance * (1 - chance))[:, np.newaxis]).T @ some + PENALTY * np.eye(len(free))
            found += np.linalg.solve(curve, slope)
        wrong = [number for number, value in zip(free, found, strict=True) if number in bounded and value > 0]
        if not wrong:
            break
        free = [number for number in free if number not in wrong]
    made = np.zeros(inputs.shape[1])
    made[free] = found
    return made


def fit_pair(questions: Sequence[Question], background: Background) -> AnswerModel:
    inputs = features(questions, background)
    found = regression(inputs, column(questions, "right"), weights_of(questions), AT_MOST_0)
    rounded = [round(value, 3) for value in found.tolist()]
    name, sentence = Weights(*rounded[:4]), Weights(*rounded[4:])
    if not sentence.score:  # no sentence was asked
        sentence = name
    rival = round(float(np.average(inputs[:, 2] + inputs[:, 6], weights=weights_of(questions))), 3)
    return AnswerModel(background._replace(rival=rival), name, sentence)


def confidences(questions: Sequence[Question], model: AnswerModel) -> Numbers:
    return np.array([
        probability(model.logit(one.score, one.sentence, ListFacts(one.rival, one.hubness))) for one in questions
    ])  # fmt: skip


# Measuring


def area(right: Numbers, wrong: Numbers) -> float:
    """Area under the ROC curve."""
    order = np.concatenate([right, wrong])
    ranks = np.searchsorted(np.sort(order), right, "left") + np.searchsorted(np.sort(order), right, "right") + 1
    return float((ranks.sum() / 2 - len(right) * (len(right) + 1) / 2) / len(right) / len(wrong))


def error(sure: Numbers, right: Numbers, weights: Numbers) -> float:
    """Expected calibration error, bins of equal mass."""
    order = np.argsort(sure, kind="stable")
    mass = np.cumsum(weights[order]) / weights.sum()
    bins = np.minimum((mass * BINS - 1e-9).astype(int), BINS - 1)
    gaps = np.bincount(bins, (weights * (sure - right))[order], BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def figures(sure: Numbers, questions: Sequence[Question], levels: tuple[float, float]) -> dict[str, float]:
    present, right = column(questions, "present") > 0, column(questions, "right") > 0
    likely, certain = levels
    threshold = np.quantile(sure[~present], 0.95)
    found: dict[str, float] = {
        "questions": len(questions),
        "right": float(right[present].mean()),
        "false rejects": float((sure[right] <= threshold).mean()),
        "of all present": float((sure[present] <= threshold).mean()),
        "AUROC": area(sure[right], sure[~right]),
        "right sure": float((sure[right] >= certain).mean()),
        "right unlikely": float((sure[right] < likely).mean()),
        "absent sure": float((sure[~present] >= certain).mean()),
        "absent likely+": float((sure[~present] >= likely).mean()),
    }
    for absent in (0.1, 0.5, 0.9):
        weights = np.where(present, (1 - absent) / present.sum(), absent / (~present).sum())
        found[f"ECE {absent:.0%}"] = error(sure, right.astype(float), weights)
    return found


def interval(
    sure: Numbers, questions: Sequence[Question], levels: tuple[float, float]
) -> dict[str, tuple[float, float]]:
    """95 % of bootstrap draws of names: their questions depend on each other."""
    draw = np.random.default_rng(0)
    by_name: dict[str, list[int]] = {}
    for number, one in enumerate(questions):
        by_name.setdefault(one.name, []).append(number)
    names = list(by_name)
    drawn: dict[str, list[float]] = {}
    for _ in range(DRAWS):
        chosen = np.concatenate([by_name[names[number]] for number in draw.integers(0, len(names), len(names))])
        for key, value in figures(sure[chosen], [questions[number] for number in chosen], levels).items():
            drawn.setdefault(key, []).append(value)
    return {key: (float(low), float(high)) for key, values in drawn.items()
            for low, high in [np.quantile(values, (0.025, 0.975))]}  # fmt: skip


# All of it

KINDS = {
    ("text", "image"): ("photos by objects", "photos by captions", "COCO by objects", "COCO by captions",
                        "stamps by name"),
    ("text", "audio"): ("sounds by name",),
    ("text", "text"): ("notes by objects", "notes by captions"),
    ("image", "image"): ("photos by photos",),
    ("audio", "audio"): ("sounds by sounds",),
}  # fmt: skip


LEVELLED = ((("text", "image"), "photos by objects"), (("text", "image"), "photos by captions"),
            (("text", "audio"), "sounds by name"), (("text", "text"), "notes by objects"))  # fmt: skip
"""Whose first hits for what is absent say from where on a hit is likely, or sure; each kind alike."""


def asked(shared: Path, sounds: Path, embedder: data.Embedder, words: Any) -> tuple[list[Question], dict[str, Any]]:
    """All questions, and a collection of each modality."""
    dev = shared / "dev"
    photos, coco = data.flickr(shared / "flickr8k", embedder), data.coco(dev, embedder)
    notes, heard = data.notes(photos, embedder), data.sounds(dev, sounds, embedder)
    found: list[Question] = []
    found += Asker(photos, words).things("photos by objects", embedder)
    found += Asker(photos, words).sentences("photos by captions", embedder)
    found += Asker(coco, words).things("COCO by objects", embedder)
    found += Asker(coco, words).sentences("COCO by captions", embedder)
    found += Asker(data.stamps(dev, embedder), words).things("stamps by name", embedder)
    found += Asker(heard, words).things("sounds by name", embedder)
    found += Asker(notes, words).things("notes by objects", embedder)
    found += Asker(notes, words).sentences("notes by captions", embedder)
    found += Asker(photos, words).examples("photos by photos")
    found += Asker(heard, words).examples("sounds by sounds")
    return found, {"image": photos, "audio": heard, "text": notes}


def background(query: str, segment: str, words: Any, collections: dict[str, Any]) -> Background:
    """Of unrelated pairs, as far as chance makes pairs unrelated."""
    segments = collections[segment].items.vectors[:2000]
    queries = words if query == "text" else collections[query].items.vectors[::4]
    scores = np.arctanh(np.clip(queries @ segments.T, -0.999, 0.999))
    low, high = (round(float(value), 4) for value in np.quantile(scores, (0.5, 0.95)))
    if query != "text":
        return Background(low, round(high - low, 4))
    hub = segments @ words.mean(axis=0)
    return Background(low, round(high - low, 4), 0.0, round(float(hub.mean()), 4), round(float(hub.std()), 4))


def fit(questions: Sequence[Question], backgrounds: dict[tuple[str, str], Background]) -> dict[str, Any]:
    """What `answers.json` holds, but for the encoders' identities."""
    by_kind = {pair: [one for one in questions if one.kind in kinds] for pair, kinds in KINDS.items()}
    models = {pair: fit_pair(some, backgrounds[pair]) for pair, some in by_kind.items()}
    # Of pairs that weren't fitted: all of these at once, each by its own standard score.
    words = [pair for pair in KINDS if pair[0] == "text"]
    inputs = np.concatenate([features(by_kind[pair], backgrounds[pair]) for pair in words])
    inputs[:, [3, 7]] = 0
    right = np.concatenate([column(by_kind[pair], "right") for pair in words])
    weights = np.concatenate([weights_of(by_kind[pair]) for pair in words]) / len(words)
    other = [round(value, 3) for value in regression(inputs, right, weights, AT_MOST_0).tolist()]
    rival = round(float(np.mean([models[pair].background.rival for pair in words])), 3)
    unfitted = AnswerModel(Background(0, 1), Weights(*other[:4]), Weights(*other[4:]))
    pairs = []
    for (query, segment), known in backgrounds.items():
        model = models.get((query, segment)) or replace(unfitted, background=known._replace(rival=rival))
        pairs.append({"query": query, "segment": segment, "background": list(model.background),
                      "name": list(model.name), "sentence": list(model.sentence)})  # fmt: skip
    logits = [
        np.array([models[pair].logit(one.score, one.sentence, ListFacts(one.rival, one.hubness))
                  for one in questions if one.kind == kind and not one.present])
        for pair, kind in LEVELLED
    ]  # fmt: skip
    mean = float(np.mean([some.mean() for some in logits]))
    spread = float(np.sqrt(np.mean([((some - mean) ** 2).mean() for some in logits])))
    return {
        "pairs": pairs,
        "other": {"name": other[:4], "sentence": other[4:], "rival": rival},
        "absent": [round(mean, 3), round(spread, 3)],
    }


def cross_fitted(questions: Sequence[Question], backgrounds: dict[tuple[str, str], Background]
                 ) -> Iterator[tuple[str, list[Question], Numbers, Numbers, tuple[float, float]]]:  # fmt: skip
    """Of each kind: its questions, their confidence, what weights of other pairs would say, and the levels' limits.

    Each half is said by what the other half taught, so no class is fitted and reported."""
    parts: dict[str, list[tuple[list[Question], Numbers, Numbers]]] = {}
    limits = []
    for fold in (0, 1):
        taught = fit([one for one in questions if one.fold == fold and not one.mixed], backgrounds)
        fitted: FittedAnswers = parse_answers(taught)
        limits.append(tuple(fitted.levels(0.05)))
        for pair, kinds in KINDS.items():
            for kind in kinds:
                some = [one for one in questions if one.kind == kind and one.fold != fold]
                other = AnswerModel(backgrounds[pair]._replace(rival=fitted.other_rival), *fitted.other)
                parts.setdefault(kind, []).append(
                    (some, confidences(some, fitted.pairs[pair]), confidences(some, other))
                )
    likely, certain = (float(value) for value in np.mean(limits, axis=0))
    for kind, halves in parts.items():
        yield (kind, [one for some, _, _ in halves for one in some], np.concatenate([sure for _, sure, _ in halves]),
               np.concatenate([other for _, _, other in halves]), (likely, certain))  # fmt: skip


COLUMNS = ("questions", "right", "false rejects", "of all present", "AUROC", "right sure", "right unlikely",
           "absent sure", "absent likely+", "ECE 10%", "ECE 50%", "ECE 90%")  # fmt: skip


def tables(questions: Sequence[Question], backgrounds: dict[tuple[str, str], Background]) -> Iterator[str]:
    reported = list(cross_fitted(questions, backgrounds))
    yield f"Likely from {reported[0][4][0]:.3f}, sure from {reported[0][4][1]:.3f}.\n"
    yield "| | " + " | ".join(COLUMNS) + " | AUROC before | AUROC unfitted | ECE unfitted |"
    yield "|---" * (len(COLUMNS) + 4) + "|"
    for kind, some, sure, other, levels in reported:
        found, bounds = figures(sure, some, levels), interval(sure, some, levels)
        cells = [f"{found['questions']:.0f}"] + [
            f"{found[name]:.3f} ({bounds[name][0]:.2f}-{bounds[name][1]:.2f})" for name in COLUMNS[1:]
        ]
        right = column(some, "right") > 0
        before = column(some, "family_wise")
        unfitted = figures(other, some, levels)
        cells += [
            f"{area(before[right], before[~right]):.3f}",
            f"{unfitted['AUROC']:.3f}",
            f"{unfitted['ECE 50%']:.3f}",
        ]
        yield f"| {kind} | " + " | ".join(cells) + " |"
    yield "\nRight first hits that are unlikely, and false rejects at one threshold, by the library's size:\n"
    for kind, some, sure, _, levels in reported:
        sizes = column(some, "size")
        right, present = column(some, "right") > 0, column(some, "present") > 0
        threshold = np.quantile(sure[~present], 0.95)
        before = column(some, "family_wise")
        cells = []
        for low, high in ((0, 90), (90, 300), (300, 600), (600, 5000)):
            chosen = right & (sizes >= low) & (sizes < high)
            if chosen.any():
                unlikely, rejected = (sure[chosen] < levels[0]).mean(), (sure[chosen] <= threshold).mean()
                was = (before[chosen] < 0.95).mean()
                cells.append(f"{low}-{high}: {unlikely:.2f}, {rejected:.2f} (before {was:.2f})")
        yield f"- {kind}: " + "; ".join(cells)


def written(fitted: dict[str, Any], space: Space) -> str:
    """JSON, a pair of encoders a line."""
    identities = {modality: neutral.identity(encoder) for modality, encoder in space.encoders.items()}
    lines = ",\n  ".join(
        json.dumps({**pair, "query": identities[pair["query"]], "segment": identities[pair["segment"]]})
        for pair in fitted["pairs"]
    )
    other, absent = json.dumps(fitted["other"]), json.dumps(fitted["absent"])
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
    questions, collections = asked(given.shared.resolve() / "data", given.sounds, embedder, words)
    modalities = ("text", "image", "audio")
    backgrounds = {
        (query, segment): background(query, segment, words, collections)
        for query in modalities
        for segment in modalities
    }
    for line in tables(questions, backgrounds):
        sys.stdout.write(line + "\n")
    if given.fit:
        TARGET.write_text(written(fit(questions, backgrounds), space), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
