"""What a query of words says of the kind of its answers: "photo of a dog", "sound of rain", "Video von einem Hund".

`kinds.tsv` has the words, a row for each language and kind: what begins such a query, and what ends it where a language
puts it last. A file of another kind is then hardly an answer: its evidence counts for little. The words themselves say
nothing of what a file is about, so that no file is found by them.
"""

import csv
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from mmsearch.calibration import sentence_share
from mmsearch.catalog.word_candidates import fold_case
from mmsearch.types import Modality

OTHER_KIND = 0.05
"""What evidence counts for in a file of another kind than the query names."""

OF_NAMES: Mapping[Modality, float] = {"text": 0.1, "audio": 0.5}
"""What the meaning of a kind counts for next to that of a picture, where the query is a name of one or two words: many
passages are near a name and few were asked for, and most things that have a name are seen before they are heard.

That of texts was chosen on 107 names of objects in Flickr8k's train photos among prose (the part "chosen" of
`python -m tests.benchmarks.ranking`). That of sounds was chosen on the names of COCO's objects and of ESC-10's and the
stamps' sounds in one library, the ones that its part `kinds` reports: its figures there are no test of it."""

ANSWERED_BY: Mapping[Modality, tuple[Modality, ...]] = {
    "image": ("image",),
    "audio": ("audio", "video"),
    "video": ("video",),
    "text": ("text",),
}
"""Kind that a query names -> item modalities that it means. A video has a sound too."""


@dataclass(frozen=True, slots=True)
class KindOfAnswer:
    """The kind that a query asks for."""

    modalities: tuple[Modality, ...] = ()
    """Of items; none: any."""
    words: frozenset[str] = field(default_factory=frozenset)
    """The words that say so, folded."""
    name: float = 0.0
    """How much of a name the query is, in [0, 1]; 0 for a sentence, and if it names a kind."""
    alone: Modality | None = None
    """The one kind of items that is searched: it has to stand behind no other."""

    def weight(self, modality: Modality) -> float:
        """What the evidence of an item counts for, in (0, 1]."""
        return 1.0 if not self.modalities or modality in self.modalities else OTHER_KIND

    def meaning(self, modality: Modality, segment: Modality) -> float:
        """What the part of the evidence that is the meaning of an item's segment counts for, in (0, 1]. The lines of a
        film, and what is written in photos, are as many as passages are."""
        part: Modality = "text" if segment == "text" else modality
        of_name = 1.0 if part == self.alone else OF_NAMES.get(part, 1.0)
        return self.weight(modality) * (1 - self.name * (1 - of_name))


ANY_KIND = KindOfAnswer()


def named_kind(text: str) -> KindOfAnswer:
    """The kind that a query of words asks for, if it names one and something beside it."""
    if not text:
        return ANY_KIND
    words = " ".join(fold_case(text))
    for modality, stems, pattern in _table():
        # To compile one pattern takes longer than to look for the stems of all.
        if any(stem in words for stem in stems) and (named := _compiled(pattern).fullmatch(words)) is not None:
            return KindOfAnswer(ANSWERED_BY[modality], frozenset(named["kind"].split()))
    return KindOfAnswer(name=1 - sentence_share(text))


@cache
def _table() -> tuple[tuple[Modality, Sequence[str], str], ...]:
    """Of each row the kind, what one word of every query that it fits begins with, and its expression."""
    written = files("mmsearch.search").joinpath("kinds.tsv").read_text("utf-8")
    # As folded words are: Hangul in its letters.
    lines = unicodedata.normalize("NFKD", written).splitlines()
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return tuple(
        (
            row["kind"],
            _stems(row["begin"] or row["end"]),
            rf"(?P<kind>{row['begin']}) .+" if row["begin"] else rf".+? ?(?P<kind>{row['end']})",
        )
        for row in rows
    )


def _stems(pattern: str) -> Sequence[str]:
    """What stands in every text that an expression of the table fits: one of these, at least."""
    found = _ALTERNATIVES.search(_LEFT_OUT.sub(" ", pattern))
    return [_LETTERS.findall(one)[0] for one in found[1].split("|")] if found else [""]


_LEFT_OUT = re.compile(r"(?<=\w)\(\?:[^()]*\)|\(\?:[^()]*\)\?|.\?(?!:)")
"""What may be missing, and endings."""

_ALTERNATIVES = re.compile(r"\(\?:([^()]*)\)")
_LETTERS = re.compile(r"\w*")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
