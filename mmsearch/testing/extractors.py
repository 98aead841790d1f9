"""What every extractor promises (`mmsearch.Extractor`), as a suite of tests to inherit.

from mmsearch.testing.extractors import ExtractorCase, ExtractorContract

class TestMine(ExtractorContract):
    cases = (ExtractorCase("my-extractor", write_a_file, ".png", "the words in it"),)
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mmsearch.core import registry
from mmsearch.errors import MediaError
from mmsearch.extract.process import ExtractionJob, ExtractionPool
from mmsearch.types.contracts import Extractor, Limits, TextLine

LIMITS = Limits()


@dataclass(frozen=True)
class ExtractorCase:
    """A file, and words that its extractor finds in it."""

    extractor: str
    """The name of the entry point."""
    make: Callable[[Path], object]
    """Writes such a file."""
    suffix: str
    words: str
    """Part of a line, whatever its case."""

    def __str__(self) -> str:
        return f"{self.extractor}{self.suffix}"


class ExtractorContract:
    """Tests of extractors; name the subclass Test..., and give it cases."""

    cases: ClassVar[Sequence[Any]] = ()
    """Of each an `ExtractorCase`, or a `pytest.param` of one."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Each test once for each case."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", self.cases, ids=str)

    @pytest.fixture
    def file(self, case: ExtractorCase, tmp_path: Path) -> Path:
        path = tmp_path / f"file{case.suffix}"
        case.make(path)
        return path

    def test_building_one_says_what_it_is(self, case: ExtractorCase) -> None:
        made = extractor(case)
        assert made.name == case.extractor
        assert made.source in ("said", "written")
        assert made.modalities and all(seconds >= 0 for seconds in made.cost.values())
        assert made.fingerprint == extractor(case).fingerprint != ""

    def test_a_worker_without_torch_gives_the_same_lines_as_this_process(self, case: ExtractorCase, file: Path) -> None:
        here = [line for line in extractor(case).extract(file) if line is not None]
        status = file.stat()
        job = ExtractionJob(1, file, status.st_size, status.st_mtime_ns)
        with ExtractionPool(registry.target_of("extractors", case.extractor), LIMITS, 1) as pool:
            first, second = pool.run([job, job])
        assert first.failure is None
        assert list(map(_plain, first.lines)) == list(map(_plain, here)) == list(map(_plain, second.lines))
        assert any(case.words.casefold() in line.text.casefold() for line in here)
        for line in here:
            _check(line)

    def test_a_file_that_is_gone_or_empty_is_a_media_error_or_has_no_lines(
        self, case: ExtractorCase, file: Path
    ) -> None:
        file.write_bytes(b"")
        assert _lines_of(extractor(case), file) == []
        file.unlink()
        with pytest.raises((MediaError, OSError)):
            list(extractor(case).extract(file))


def extractor(case: ExtractorCase) -> Extractor:
    made: Extractor = registry.load_part("extractors", case.extractor)(LIMITS)
    return made


def _plain(line: TextLine) -> dict[str, Any]:
    return {**asdict(line), "scores": dict(line.scores)}


def _lines_of(made: Extractor, file: Path) -> list[TextLine]:
    try:
        return [line for line in made.extract(file) if line is not None]
    except MediaError:
        return []


def _check(line: TextLine) -> None:
    assert isinstance(line.text, str)
    if line.start is not None and line.end is not None:
        assert 0 <= line.start <= line.end
    if line.box is not None:
        left, top, right, bottom = line.box
        assert 0 <= left <= right <= 1 and 0 <= top <= bottom <= 1
    assert all(isinstance(score, float | int) for score in line.scores.values())
