"""What fuzzers of files make is read or refused with our errors. `python -m tests.fuzz` runs them for long."""

from contextlib import suppress

import pytest

from mmsearch.errors import MmsearchError
from tests.fuzz import documents, text
from tests.fuzz.target import Target


@pytest.mark.slow
@pytest.mark.parametrize("target", [text.SNIFFING, text.TEXT, text.HTML, text.SIDECARS, text.EXIF, documents.DOCUMENTS])
def test_the_first_steps_of_every_target_raise_only_our_errors(target: Target) -> None:
    for seed in range(12):
        with suppress(MmsearchError):
            target.step(seed)
