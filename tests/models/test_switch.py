"""A model is switched while others search, and whatever kills it: an answer is always of one model."""

import gc
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

import mmsearch
from mmsearch.catalog import Catalog
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.library import Library
from mmsearch.types import Hit, Query
from tests import clip, tiny
from tests.conftest import CHECKOUT
from tests.generated import picture, sound, words

pytestmark = pytest.mark.slow

OpenTiny = Callable[..., Library]

SPACES = {"tiny": "tests.tiny:space", "twin": "tests.model_spaces:twin", "wide": "tests.model_spaces:wide"}
THREADS = 4
SHOWN = 12
"""More than there are pictures of a colour: those are alike in every model."""
NOTE = "the harbour lies quiet in the evening and nobody counts the boats that come home with a red lantern"


@pytest.fixture
def media(folder: Path) -> Path:
    for n in range(24):
        picture(folder / f"{n:02d}.png", ("red", "green", "blue")[n % 3], mark=n)
    sound(folder / "low.wav", "low", "mid", seconds=2.0)
    for n in range(4):
        words(folder / f"note{n}.txt", f"{NOTE} number {n}")
    return folder


def told(hits: list[Hit]) -> list[tuple[object, ...]]:
    return [(h.path.name, round(h.cosine or 0, 5), h.start, h.end, h.passage, h.segment_id, h.confidence) for h in hits]


class Searching:
    """Threads that ask the same questions again and again, and hold each answer against what each model says."""

    def __init__(self, right: dict[str, list[list[tuple[object, ...]]]], questions: list[str | Query]) -> None:
        self.right, self.questions = right, questions
        self.answered: Counter[str] = Counter()
        self.wrong: list[object] = []
        self._changed = threading.Condition()
        self._stop = False

    @contextmanager
    def on(self, libraries: list[Library]) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask, args=(one, n)) for n, one in enumerate(libraries)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop = True
            for thread in threads:
                thread.join()

    def more(self, name: str, count: int) -> None:
        """Wait until a model has given so many answers more, or something went wrong."""
        with self._changed:
            enough = self.answered[name] + count
            assert self._changed.wait_for(lambda: self.wrong or self.answered[name] >= enough, timeout=120)

    def _ask(self, library: Library, turn: int) -> None:
        while not self._stop:
            at = turn % len(self.questions)
            turn += 1
            try:
                said = told(library.search(self.questions[at], SHOWN))
                by = [name for name, right in self.right.items() if right[at] == said]
            except BaseException as error:  # whatever it is, it must not happen
                by, said = [], [(repr(error),)]
            with self._changed:
                self.answered.update(by)
                self.wrong += [] if len(by) == 1 else [(self.questions[at], by, said)]
                self._changed.notify_all()


@pytest.mark.extras
def test_searches_during_a_switch_answer_from_one_model(open_tiny: OpenTiny, media: Path) -> None:
    library, other = open_tiny(), open_tiny()
    library.ingest(media)
    item = library.search("red", 1, modalities=["image"])[0].item_id
    questions: list[str | Query] = ["red", f'"{NOTE}"', "low", Query(image=media / "00.png"), Query(like=item)]
    right = {"tiny": [told(library.search(question, SHOWN)) for question in questions]}
    for name in ("twin", "wide"):
        library.model.add(SPACES[name])
        library.model.switch(name)
        right[name] = [told(library.search(question, SHOWN)) for question in questions]
    for at in range(len(questions)):
        assert all(right[a][at] != right[b][at] for a, b in (("tiny", "twin"), ("tiny", "wide"), ("twin", "wide")))
    searching = Searching(right, questions)
    with searching.on([library, library, other, other][:THREADS]):
        for name in ("tiny", "twin", "wide", "tiny", "wide"):
            library.model.switch(name)
            searching.more(name, 5)
        library.model.switch("twin")
        library.model.drop("wide")
        searching.more("twin", 5)
        assert library.model.add("tiny").completed == 0
        library.model.add(SPACES["wide"])
        searching.more("twin", 5)
    assert searching.wrong == []
    assert sum(searching.answered.values()) >= 40 and set(searching.answered) == set(SPACES)


KILLED = """
import os, signal, sys
import mmsearch
from mmsearch.catalog import Catalog, batches, store
from mmsearch.indexing.lists import Lists

owner = {"Catalog": Catalog, "batches": batches, "store": store, "Lists": Lists}[sys.argv[2]]
name, nth = sys.argv[3:5]
work, calls = getattr(owner, name), 0

def killed(*given, **named):
    global calls
    calls += 1
    if calls == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)
    done = work(*given, **named)
    if calls == -int(nth):
        os.kill(os.getpid(), signal.SIGKILL)
    return done

setattr(owner, name, killed)
library = mmsearch.open(sys.argv[1], workers=1, space="tests.tiny:space")
library.model.switch("tests.model_spaces:wide", when_complete=True)
"""

MOMENTS = {
    "before the first batch": ("Catalog", "backfill", 1),
    "in the third batch, its vectors written but not committed": ("batches", "mark_backfilled", 3),
    "when all is embedded, before it is known what scores mean": ("Catalog", "keep_backgrounds", 1),
    "before the indexes are published": ("Lists", "publish", 1),
    "in the transaction that switches": ("store", "activate_space", 1),
    "just after it": ("Catalog", "activate", -1),
}


def contents(library: Path) -> list[object]:
    """Everything that must be the same, however it came to be: not row ids."""
    with closing(sqlite3.connect(library / "catalog.sqlite")) as db:
        return (
            db.execute(
                "SELECT p.name, sha256, s.layout, ordinal, s.modality, start, end, char_start, char_end, text, vector "
                "FROM segments s JOIN contents c ON c.id = s.content_id JOIN embeddings e ON e.segment_id = s.id "
                "JOIN spaces p ON p.id = e.space_id ORDER BY p.name, sha256, ordinal"
            ).fetchall()
            + db.execute("SELECT count(*) FROM segments").fetchall()
        )


def asked(library: Library) -> list[object]:
    found = [library.search(query, 30) for query in ("red", "quiet boats", "low")]
    return [[(h.path.name, round(h.cosine or 0, 5), h.start, h.passage, h.confidence) for h in hits] for hits in found]


@pytest.mark.extras
def test_a_switch_killed_at_any_step_can_be_resumed(open_tiny: OpenTiny, media: Path) -> None:
    undisturbed, library = open_tiny("undisturbed"), open_tiny("killed")
    for one in (undisturbed, library):
        one.ingest(media)
    before = asked(library)
    undisturbed.model.switch(SPACES["wide"], when_complete=True)
    after = asked(undisturbed)
    environment = {**os.environ, "MMSEARCH_COMMIT_SEGMENTS": "4", "MMSEARCH_DEDUP": "off"}
    left = []
    for moment, (owner, name, nth) in MOMENTS.items():
        library.close()
        command = [sys.executable, "-c", KILLED, str(library.path), owner, name, str(nth)]
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, f"{moment}: {done.stderr.decode()}"
        assert asked(library) == (after if nth < 0 else before), moment
        left.append({model.name: model.lacking for model in library.model.list()}["wide"])
    assert left[0] == 29 > left[1] > 0 == left[2] == left[3] == left[4], "what was committed stayed"
    tiny.reset()
    library.model.switch(SPACES["wide"], when_complete=True)
    assert not tiny.ENCODED and asked(library) == after
    assert contents(library.path) == contents(undisturbed.path)


def explained(library: Library, hit: Hit) -> object:
    try:
        return library.explain("quiet boats", hit).score
    except InvalidInput as refused:
        return refused.message


ANSWERS: dict[str, Callable[[Library, Hit], object]] = {
    "duplicates": lambda library, _: [
        [(file.path.name, file.kind, round(file.similarity, 5)) for file in group.files]
        for group in library.duplicates()
    ],
    "label": lambda library, _: library.label(["red", "green", "blue"], modalities=["image"]),
    "explain": explained,
    "more like it": lambda library, hit: told(library.search(Query(like=hit.item_id), 8)),
    "moments": lambda library, _: [hit.moments for hit in library.search("low", 8, moments=True)],
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_interrupted_by_a_switch_is_computed_again(
    open_tiny: OpenTiny, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Before whichever of its looks into the catalog the switch comes, and if the model it began with is gone then."""
    for n, colour in enumerate(("red", "green")):
        picture(folder / f"{colour}.png", colour)
        # A text and its revision: one passage of the tiny space, says red; of the wide one several, none the same.
        words(folder / f"note{n}.txt", f"{'look, ' * n}a red lantern, {NOTE}")
    sound(folder / "low.wav", "low", "mid", seconds=2.0)
    library, other = open_tiny(workers=1), open_tiny(workers=1)
    library.ingest(folder)
    library.model.add(SPACES["wide"])
    hit = next(one for one in library.search("quiet boats", 8) if one.path.name == "note0.txt")
    looks, switch_at, drop = 0, 0, False
    reading = Catalog.reading

    def looked(catalog: Catalog) -> AbstractContextManager[Connection]:
        nonlocal looks
        looks += 1
        if looks == switch_at:
            other.model.switch("wide")
            if drop:
                other.model.drop("tiny")
        return reading(catalog)

    def answer(at: int = 0) -> object:
        nonlocal looks, switch_at
        looks, switch_at = 0, at
        return ANSWERS[kind](library, hit)

    monkeypatch.setattr(Catalog, "reading", looked)
    before = answer()
    count = looks
    other.model.switch("wide")
    after = answer()
    assert before != after and count >= 3
    for at in range(1, count + 1):
        other.model.switch("tiny")
        found = answer(at)
        # A page that had its snapshot already is of the model before, whole; whatever came before it is made anew.
        assert found in ((before, after) if at > 1 else (after,)), f"{at} of {count}"
        assert answer() == after
    other.model.switch("tiny")
    drop = True
    assert answer(count // 2) == answer()


def test_a_library_switches_from_the_starter_to_open_clip_and_back(tmp_path: Path, folder: Path) -> None:
    for n, colour in enumerate(("red", "green", "blue")):
        picture(folder / f"{colour}.png", colour, side=64, mark=n)
    sound(folder / "tone.wav", "mid", seconds=1.0)
    words(folder / "note.txt", "a red lantern " * 60)
    model = clip.save(tmp_path / "clip", "clip")
    with mmsearch.open(tmp_path / "fresh", space=f"local-dir:{model}", workers=1) as fresh:
        fresh.ingest(folder)
        expected = [(h.path.name, h.passage, h.cosine) for h in fresh.search("a red bus", mode="vector")]
    with mmsearch.open(tmp_path / "library", workers=1) as library:
        library.ingest(folder)
        first = [(h.path.name, h.passage, h.cosine) for h in library.search("a red bus", mode="vector")]
        switched = library.model.switch(f"local-dir:{model}", when_complete=True)
        assert switched is not None and dict(switched.unreachable) == {"audio": 1}
        found = [(h.path.name, h.passage, h.cosine) for h in library.search("a red bus", mode="vector")]
        assert found == expected != first
    model.rename(tmp_path / "elsewhere")
    with mmsearch.open(tmp_path / "library", workers=1) as library:
        with pytest.raises(WeightsError) as caught:
            library.search("a red bus", mode="vector")
        assert caught.value.hint is not None and "mmsearch model switch starter" in caught.value.hint
        library.model.switch("starter")
        assert [(h.path.name, h.passage, h.cosine) for h in library.search("a red bus", mode="vector")] == first


def test_a_model_that_is_no_longer_active_is_freed_from_memory(open_tiny: OpenTiny, folder: Path) -> None:
    picture(folder / "a.png", "red")
    library = open_tiny()
    library.ingest(folder)
    library.search(folder / "a.png")
    spaces, (space, record) = library._context._spaces, library._context.embedding()
    former = weakref.ref(space.encoders["image"])
    pool = spaces.pool(record, 1)
    assert len(pool._idle) == 1
    library.model.add(SPACES["twin"])
    library.model.switch("twin")
    assert library.search("red")
    del space
    gc.collect()
    assert former() is None and pool._idle == []
    assert [one.name for one in spaces._spaces] == ["twin"]
    assert library._context.embedding()[1].name == "twin"
