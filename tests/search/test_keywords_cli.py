"""`mmsearch query --mode keyword` and `--mode vector`, as a user runs them."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from mmsearch.cli import cli
from mmsearch.library import Library
from tests.generated import picture


def found(library: Library, *arguments: str) -> list[tuple[str, list[str]]]:
    done = CliRunner(env={"MMSEARCH_SPACE": "tests.tiny:space"}).invoke(
        cli, ["query", "--library", os.fspath(library.path), "--json", *arguments]
    )
    assert done.exit_code in (0, 1), done.output
    return [(Path(hit["path"]).name, hit["by"]) for hit in json.loads(done.stdout)["hits"]]


@pytest.mark.slow
def test_the_modes_keyword_hybrid_and_vector_rank_as_defined(library: Library, folder: Path) -> None:
    picture(folder / "blue wall.png", "blue")
    picture(folder / "red.png", "blue", mark=1)
    picture(folder / "other.png", "red", mark=2)
    library.ingest(folder)
    library.close()
    assert found(library, "--mode", "keyword", "red") == [("red.png", ["keywords"])]
    assert found(library, "red")[:2] == [("red.png", ["vector", "keywords"]), ("other.png", ["vector"])]
    assert found(library, "--mode", "vector", "red")[0] == ("other.png", ["vector"])
    assert found(library, "--mode", "keyword", "nowhere") == found(library, "--mode", "keyword", "!!!") == []
    assert [name for name, _ in found(library, "--mode", "keyword", "--filter", "path glob '*wall*'", "wall")] == [
        "blue wall.png"
    ]
    assert found(library, "--mode", "keyword", "--filter", "path glob '*wall*'", "red") == []
