"""Places of documents as the shell prints them, and through export and import; and what the missing extra leads to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmsearch.library import Library
from tests.conftest import Run
from tests.media.documents import made, ole


@pytest.mark.slow
def test_the_shell_prints_the_place_and_json_has_it(run: Run, folder: Path) -> None:
    made.write_pptx(folder / "deck.pptx", ["nothing", "a kestrel"], colours={2: "red"})
    assert run("ingest", folder).returncode == 0
    lines = run("query", '"a kestrel"', "-k", "1").stdout.decode().splitlines()
    assert lines[0].split("\t")[-1] == "slide 2 a kestrel"
    assert run("query", "red", "-k", "1").stdout.decode().splitlines()[0].split("\t")[-1] == "slide 2 picture"
    told: Any = json.loads(run("query", '"a kestrel"', "-k", "1", "--moments", "--json").stdout)
    (hit,) = told if isinstance(told, list) else told["hits"]
    assert (hit["place"], hit["page"]) == ("slide 2", 2)
    assert {"slide 2"} <= {moment["place"] for moment in hit["moments"]}


@pytest.mark.extras
@pytest.mark.slow
def test_places_survive_export_and_import(
    library: Library, open_tiny: Callable[..., Library], folder: Path, tmp_path: Path
) -> None:
    made.write_xlsx(folder / "a.xlsx", {"Budget": [["x", 1], ["a kestrel", 2]]}, colour="red")
    library.ingest(folder)
    library.export(tmp_path / "out")
    other = open_tiny("other")
    other.import_(tmp_path / "out")
    before, after = (one.search("kestrel", k=1, mode="keyword")[0] for one in (library, other))
    assert before.place == after.place == "sheet Budget, rows 1-2"


@pytest.mark.extras
@pytest.mark.slow
def test_a_message_without_the_extra_is_taken_in_by_a_retry_after_its_install(
    open_tiny: Callable[..., Library], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the decode workers can import decides: at first they find no python-oxmsg."""
    ole.write_message(folder / "a.msg", "Tramway", "a kestrel")
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    (hiding / "sitecustomize.py").write_text("import sys\nsys.modules['oxmsg'] = None\n")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(hiding))
        library = open_tiny()
        library.ingest(folder)
        (failure,) = library.failures()
        assert (failure.failure, failure.path.name) == ("unsupported", "a.msg")
        assert "pip install 'mmsearch[office]'" in failure.reason
        library.close()
    library = open_tiny()
    assert library.retry("unsupported").new == 1
    assert library.search('"a kestrel"', k=1)[0].path.name == "a.msg" and not library.failures()
