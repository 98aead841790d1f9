"""What the file of an ANN index says of it."""

import pytest

from mmsearch.vectors.ann import AnnFacts

STORED = (
    b'{"effort": 48, "filtered": {"0.3": 0.97}, "preset": "ivf-sq8", "recall": {"text": 0.96}, "target": 0.95, '
    b'"token": "0011223344556677", "trained": 20000}'
)


def test_facts_are_written_by_the_names_that_earlier_files_have() -> None:
    facts = AnnFacts("ivf-sq8", 48, 0.95, {"text": 0.96}, {"0.3": 0.97}, "0011223344556677", 20000)
    assert facts.to_json() == STORED
    assert AnnFacts.from_json(STORED) == facts


@pytest.mark.parametrize("content", [b"[]", b"{}", b"7", STORED.replace(b"effort", b"search_effort")])
def test_facts_of_other_names_are_refused(content: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        AnnFacts.from_json(content)
