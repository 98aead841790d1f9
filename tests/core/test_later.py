"""Modules that load when something is asked of them."""

import subprocess
import sys

import pytest

from mmsearch.core.later import later


def test_a_module_is_there_with_the_first_thing_that_is_asked_of_it() -> None:
    named = later("colorsys")
    sys.modules.pop("colorsys", None)
    assert repr(named) == "<colorsys, later>"
    assert "colorsys" not in sys.modules
    assert named.ONE_THIRD == 1 / 3
    assert "colorsys" in sys.modules
    with pytest.raises(AttributeError, match="nothing"):
        _ = named.nothing


@pytest.mark.slow
def test_a_library_that_searches_loads_nothing_that_takes_in_or_measures() -> None:
    code = "import sys, mmsearch.library; print(*sorted(name for name in sys.modules if name.startswith('mmsearch.')))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    rooms = {name.split(".")[1] for name in loaded}
    assert rooms.isdisjoint({"ingest", "extract", "evaluate", "labels", "models", "training"}), rooms
    assert "mmsearch.maintenance.export" not in loaded
