"""Fits what makes a confidence: logistic regressions of labelled questions' first hits, a pair of encoders each."""

from collections.abc import Sequence

import numpy as np

from mmsearch.calibration.answers import (
    COMMON_SPREAD,
    RIVAL_SHARE,
    AnswerModel,
    AnswerWeights,
    ListFacts,
    PairBackground,
    probability,
    rival_level,
)
from tests.benchmarks.confidence_figures import Numbers
from tests.benchmarks.confidence_questions import OF_PICTURES, Question, column

SHARES = {
    "photos by objects": 3.0, "photos by captions": 3.0, "photos by translated objects": 3.0,
    "photos by translated captions": 3.0,
}  # fmt: skip
"""How much a kind of question weighs beside others of its pair of encoders; 1 if nothing is said."""

PENALTY = 1e-5
FACTS = 7
"""Columns of `features` of a name, and as many of a sentence."""
AT_MOST_0 = (2, 3, 4, FACTS + 2, FACTS + 3, FACTS + 4)
"""Columns of `features` that can but take from a confidence."""
OF_REGIONS = (4, 5, 6, FACTS + 4, FACTS + 5, FACTS + 6)
"""Those of pictures with regions."""


def features(questions: Sequence[Question], background: PairBackground) -> Numbers:
    """(n, 14): 1, score less the rival's share, hubness, what suits best, region, common, company, of a name, and of a
    sentence. The last three are 0 but where pictures have regions; and company where no picture asks."""
    hub = (column(questions, "hubness") - background.hubness) / background.hubness_spread
    lead = standard(questions, "score", background) - RIVAL_SHARE * rivals(questions, background)
    of_words, regions = background.hubness_spread != 1, background.discount > 0
    region, common = column(questions, "region"), column(questions, "common")
    near = standard(questions, "company", background) - background.company
    near[column(questions, "company") <= -1] = 0
    basic = np.stack([
        np.ones(len(hub)), lead, hub * of_words, standard(questions, "words", background) * of_words,
        region * regions, (common - background.common) / COMMON_SPREAD * regions,
        near * (background.discount == OF_PICTURES),
    ], 1)  # fmt: skip
    sentence = column(questions, "sentence")[:, np.newaxis]
    if sentence.max() < 1:  # half sentences say nothing of whole ones
        sentence = 0 * sentence
    return np.asarray(np.concatenate([(1 - sentence) * basic, sentence * basic], axis=1))


def standard(questions: Sequence[Question], name: str, background: PairBackground) -> Numbers:
    cosines = np.clip(column(questions, name), -1 + 1e-7, 1 - 1e-7)
    return np.asarray((np.arctanh(cosines) - background.median) / background.spread)


def rivals(questions: Sequence[Question], background: PairBackground) -> Numbers:
    return np.array([rival_level(one.rival, one.segments, background) for one in questions])


def weights_of(questions: Sequence[Question]) -> Numbers:
    """Kinds weigh as `SHARES` says, in a kind questions with an answer as much as those without."""
    kinds = np.array([f"{one.kind} {one.present}" for one in questions])
    weights = np.zeros(len(kinds))
    for kind in np.unique(kinds):
        chosen = kinds == kind
        weights[chosen] = SHARES.get(kind.rsplit(" ", 1)[0], 1.0) / chosen.sum()
    return np.asarray(weights / weights.sum())


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


def fit_pair(questions: Sequence[Question], background: PairBackground) -> AnswerModel:
    inputs = features(questions, background)
    found = regression(inputs, column(questions, "right"), weights_of(questions), AT_MOST_0)
    rounded = [round(value, 3) for value in found.tolist()]
    name, sentence = AnswerWeights(*rounded[:FACTS]), AnswerWeights(*rounded[FACTS:])
    if not sentence.score:  # no sentence was asked
        sentence = name
    weights = weights_of(questions)
    known = (rivals(questions, background), standard(questions, "words", background), column(questions, "region"))
    rival, words, region = (round(float(np.average(values, weights=weights)), 3) for values in known)
    words *= bool(name.words or sentence.words)
    region *= background.discount > 0
    return AnswerModel(background._replace(rival=rival, words=words, region=region), name, sentence)


def usual(questions: Sequence[Question], background: PairBackground) -> PairBackground:
    """With what queries and the segments in place `COMPANY` usually score, where that counts."""
    if not background.discount:
        return background
    near = standard([one for one in questions if one.company > -1], "company", background)
    common = float(column(questions, "common").mean())
    return background._replace(common=round(common, 4), company=round(float(near.mean()), 3))


def on_scale(model: AnswerModel, background: PairBackground) -> AnswerModel:
    """The weights of another kind of query, for scores that have another background."""
    own = model.background
    offset, times = (background.median - own.median) / own.spread, background.spread / own.spread

    def moved(one: AnswerWeights) -> AnswerWeights:
        intercept, words = one.intercept + one.words * offset, one.words * times
        return one._replace(intercept=round(intercept, 3), words=round(words, 3))

    words = round((own.words - offset) / times, 3)
    return AnswerModel(background._replace(rival=own.rival, words=words), moved(model.name), moved(model.sentence))


def confidences(questions: Sequence[Question], model: AnswerModel) -> Numbers:
    return np.array([probability(logit) for logit in logits(questions, model)])


def logits(questions: Sequence[Question], model: AnswerModel) -> Numbers:
    rivals_of = rivals(questions, model.background).tolist()
    return np.array([
        model.logit(one.score, one.sentence, ListFacts(rival, one.hubness, one.words, *_of_regions(one, model)))
        for one, rival in zip(questions, rivals_of, strict=True)
    ])  # fmt: skip


def _of_regions(one: Question, model: AnswerModel) -> tuple[bool, float, float | None] | tuple[()]:
    """What a search says of a list with regions."""
    return (one.region, one.common, one.company if one.company > -1 else None) if model.uses_regions else ()


def oracle(questions: Sequence[Question]) -> Numbers:
    """Boosted trees from the same facts, each half of the classes by the other half's trees: what is to be had."""
    from sklearn.ensemble import GradientBoostingClassifier

    names = ("score", "rival", "hubness", "words", "region", "common", "company", "sentence")
    inputs = np.stack([column(questions, name) for name in names], axis=1)
    fold, mixed, right = (column(questions, name) for name in ("fold", "mixed", "right"))
    weights, found = weights_of(questions) * len(questions), np.zeros(len(questions))
    for one in (0, 1):
        taught, asked_of = (fold == one) & (mixed == 0), fold != one
        trees = GradientBoostingClassifier(n_estimators=60, max_depth=2, subsample=0.5, random_state=0)
        trees.fit(inputs[taught], right[taught], sample_weight=weights[taught])
        found[asked_of] = trees.predict_proba(inputs[asked_of])[:, 1]
    return found
