"""A library of `starter`'s former version goes on with it until everything was embedded anew, and is switched then."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmsearch
from mmsearch.core import registry
from mmsearch.errors import InvalidInput, SpaceChanged, SpaceIncomplete
from mmsearch.library import Library
from mmsearch.models.switch import ModelAdded
from tests.conftest import CHECKOUT, Run
from tests.library.test_old_library import ANSWERS, ASSETS, asked, facts, recorded, rounded

pytestmark = pytest.mark.slow

SAMPLES = CHECKOUT / "mmsearch" / "resources" / "samples"
MEDIA = (
    *("photos/dog-at-a-laptop.jpg", "photos/pizza-and-wine.jpg", "photos/stop-sign-at-dusk.jpg", "sounds/sneeze.ogg"),
    *(
        "sounds/rooster-crowing.ogg",
        "sounds/dog-barking-sharply.ogg",
        "notes/rye-bread.md",
        "videos/flower-opening.webm",
    ),
)
QUESTIONS = ("a dog", "a sneeze", "bread", "a flower opens", "traffic")
ADD, SWITCH = "mmsearch model add starter", "mmsearch model switch starter"


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """Some of the files that the committed library was made of, in a place where they can be read."""
    for name in MEDIA:
        (tmp_path / "media" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / name, tmp_path / "media" / name)
    return tmp_path / "media"


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Library]:
    shutil.copytree(ASSETS, tmp_path / "library", ignore=shutil.ignore_patterns("README.md", "answers.jsonl"))
    with mmsearch.open(tmp_path / "library", device="cpu", workers=1, commit_segments=2) as library:
        yield library


def moved(library: Library, media: Path) -> None:
    """The library has the media at their new place alone."""
    library.ingest(media)
    library.remove(*(item.id for item in library.items(missing=True) if not item.path.is_relative_to(media)))
    assert {item.path for item in library.items(missing=True)} == set(media.rglob("*.*"))


def told(library: Library) -> list[object]:
    found = [library.search(question, 20) for question in QUESTIONS]
    return [[(h.path.name, h.start, h.end, round(h.cosine or 0, 4), h.matched) for h in hits] for hits in found]


def as_recorded(library: Library) -> bool:
    answers = [one for one in ANSWERS if one["mode"] == "semantic"][:5]
    return all(
        [rounded(facts(hit)) for hit in asked(library, one)] == list(map(recorded, one["hits"])) for one in answers
    )


@pytest.mark.extras
def test_an_old_library_answers_by_its_version_until_the_new_one_has_embedded_everything(
    old: Library, media: Path, tmp_path: Path
) -> None:
    assert as_recorded(old)
    assert (old.status().space, old.status().newer) == ("starter", ADD)
    assert [(one.subject, one.remedy) for one in old.doctor() if one.subject == "model"] == [("model", ADD)]
    moved(old, media)
    before = told(old)
    with pytest.raises(InvalidInput, match="no model 'starter'"):
        old.model.switch("starter")

    stop = threading.Event()
    halfway = old.model.add("starter", on_progress=lambda now: stop.set() if now.files_done >= 3 else None, cancel=stop)
    assert halfway.interrupted and 0 < halfway.lacking < len(MEDIA)
    assert told(old) == before and old.status().newer == ADD
    with pytest.raises(SpaceIncomplete):
        old.model.switch("starter")

    late = media / "late.txt"
    late.write_text("the ferry leaves at nine", "utf-8")
    assert f"this library uses a former version of its model; to the newer one: {ADD}" in old.ingest(media).warnings
    assert old.search("when does the ferry leave", 1)[0].path == late, "by the version in use"

    rest = old.model.add("starter")
    assert isinstance(rest, ModelAdded) and (rest.name, rest.lacking) == ("starter-2", 0)
    late.unlink()
    old.ingest(media)
    old.prune()
    assert told(old) == before and old.status().newer == SWITCH
    old.model.switch("starter")
    assert (old.status().space, old.status().newer) == ("starter-2", None)
    with mmsearch.open(tmp_path / "new", device="cpu", workers=1) as new:
        new.ingest(media)
        assert new.status().space == "starter-2"
        assert told(old) == told(new)
    old.model.drop("starter")
    assert [model.name for model in old.model.list()] == ["starter-2"]


def test_an_old_library_says_that_a_newer_version_is_there(old: Library, run: Run) -> None:
    assert as_recorded(old)
    assert (old.status().space, old.status().newer) == ("starter", ADD)
    assert f"model    a newer version of starter is here: {ADD}" in run("status", "--library", old.path).stdout.decode()
    with pytest.raises(InvalidInput, match="no model 'starter'"):
        old.model.switch("starter")


def test_the_name_of_a_model_opens_a_library_of_its_former_version(old: Library, media: Path) -> None:
    with mmsearch.open(old.path, space="starter", device="cpu", workers=1) as library:
        assert library.ingest(media).failed.total() == 0
    with mmsearch.open(old.path, space="starter-open") as library, pytest.raises(SpaceChanged):
        library.ingest(media)


def test_former_versions_are_the_spaces_that_libraries_have_recorded() -> None:
    prints = {
        target: registry.load_part("spaces", target)("cpu", "fp32").fingerprint[:16] for target in registry.FORMER
    }
    assert prints == PRINTS


PRINTS = {
    "mmsearch.encoders.starter:space": "463c36c5e49d4c07",
    "mmsearch.encoders.starter:open_space": "b7202a8cd5c35762",
}

KILLED = """
import os, signal, sys
import mmsearch
from mmsearch.catalog import batches

work, calls = batches.mark_backfilled, 0

def killed(*given, **named):
    global calls
    calls += 1
    if calls == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return work(*given, **named)

batches.mark_backfilled = killed
mmsearch.open(sys.argv[1], device="cpu", workers=1, commit_segments=2).model.add("starter")
"""


@pytest.mark.extras
def test_adding_the_newer_version_goes_on_after_a_kill(old: Library, media: Path, tmp_path: Path) -> None:
    moved(old, media)
    before = told(old)
    old.close()
    done = subprocess.run([sys.executable, "-c", KILLED, str(old.path)], cwd=CHECKOUT, env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    assert told(old) == before
    lacking = {model.name: model.lacking for model in old.model.list()}["starter-2"]
    assert 0 < lacking < len(MEDIA)
    added = old.model.add("starter")
    assert (added.completed, added.lacking) == (lacking, 0)
    old.model.switch("starter")
    with mmsearch.open(tmp_path / "new", device="cpu", workers=1) as new:
        new.ingest(media)
        assert told(old) == told(new)
