"""A library that an older version made, moved to PostgreSQL, gives its two hundred recorded answers, and back again."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mmsearch
from mmsearch.library import Library
from tests.library.test_old_library import (
    ANSWERS,
    ASSETS,
    give_evidence,
    test_an_old_library_gives_its_recorded_answers,
)
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.extras]

check = test_an_old_library_gives_its_recorded_answers
del test_an_old_library_gives_its_recorded_answers


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[tuple[Library, Path]]:
    place = tmp_path_factory.mktemp("moved")
    shutil.copytree(ASSETS, place / "old", ignore=shutil.ignore_patterns("README.md", "answers.jsonl"))
    address = postgres.address("moved")
    with mmsearch.open(place / "old") as old:
        give_evidence(old)
        counted = old.move_to(address)
        assert counted.rows["items"] == 55
    with mmsearch.open(address) as there:
        assert there.move_to(place / "back") == counted
        yield there, place / "back"


@pytest.mark.parametrize("answer", ANSWERS, ids=[str(number) for number in range(len(ANSWERS))])
def test_it_gives_its_recorded_answers_there(moved: tuple[Library, Path], answer: dict[str, Any]) -> None:
    check(moved[0], answer)


def test_it_gives_its_recorded_answers_when_it_is_back(moved: tuple[Library, Path]) -> None:
    with mmsearch.open(moved[1]) as back:
        for answer in ANSWERS:
            check(back, answer)
