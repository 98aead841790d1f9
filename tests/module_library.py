"""Libraries that many tests begin with, made once for a module and put back as they were before each test.

A library remembers where its files are, so copies in each test's own folder would not do: the tests of a module take
turns in one place, which a module with a function `fill` makes its `tmp_path`:

    @pytest.fixture
    def tmp_path(module_library: ModuleLibrary) -> Path:
        return module_library.restored()
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import mmsearch


class ModuleLibrary:
    """`media`, filled by a function, and the `library` of the tiny space that has taken it in."""

    def __init__(self, place: Path, fill: Callable[[Path], object]) -> None:
        self._place, self._copy = place / "here", place / "copy"
        media = self._place / "media"
        media.mkdir(parents=True)
        fill(media)
        library = self._place / "library"
        with mmsearch.open(library, space="tests.tiny:space", workers=1, dedup=False) as opened:
            opened.ingest(media)
        shutil.copytree(self._place, self._copy)

    def restored(self) -> Path:
        """The folder of both, with their times, as they were at first."""
        shutil.rmtree(self._place)
        return Path(shutil.copytree(self._copy, self._place))
