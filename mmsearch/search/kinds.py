"""What a query of words says of the kind of its answers: "photo of a dog", "sound of rain", "Video von einem Hund".

`kinds.tsv` has the words, a row for each language and kind: what begins such a query, and what ends it where a language
puts it last. A file of another kind is then hardly an answer: its evidence counts for little. The words themselves say
nothing of what a file is about, so that no file is found by them.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from mmsearch.catalog.words import fold_case
from mmsearch.types import Modality

OTHER_KIND = 0.05
"""What evidence counts for in a file of another kind than the query names."""

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

    def weight(self, modality: Modality) -> float:
        """What the evidence of an item counts for, in (0, 1]."""
        return 1.0 if not self.modalities or modality in self.modalities else OTHER_KIND


ANY_KIND = KindOfAnswer()


def named_kind(text: str) -> KindOfAnswer:
    """The kind that a query of words asks for, if it names one and something beside it."""
    words = " ".join(fold_case(text))
    for modality, pattern in _table():
        if (named := pattern.fullmatch(words)) is not None:
            return KindOfAnswer(ANSWERED_BY[modality], frozenset(named["kind"].split()))
    return ANY_KIND


@cache
def _table() -> tuple[tuple[Modality, re.Pattern[str]], ...]:
    lines = files("mmsearch.search").joinpath("kinds.tsv").read_text("utf-8").splitlines()
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return tuple(
        (row["kind"], re.compile(rf"(?P<kind>{row['begin']}) .+" if row["begin"] else rf".+? ?(?P<kind>{row['end']})"))
        for row in rows
    )
