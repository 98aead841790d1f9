"""Names for labels: what is refused, with what to do."""

import pytest

from mmsearch.errors import InvalidInput
from mmsearch.labels import LONGEST, checked


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["dog"], "two names are needed"),
        ([], "two names are needed"),
        (["dog", " "], "an empty name"),
        (["dog", "cat", "Dog "], "'dog' is named twice"),
        (["dog", "x" * (LONGEST + 1)], "a label of 201 characters"),
        ("dog,cat", "must be a list"),
    ],
)
def test_senseless_names_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        checked(names)
    assert refused.value.hint


def test_blanks_are_no_part_of_a_name() -> None:
    assert checked([" sea \n waves", "Dog"]) == ("sea waves", "Dog")
