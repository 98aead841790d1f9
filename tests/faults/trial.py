"""One operation with one fault, and the judgement of what it left behind.

The state of a catalog is what it knows, without ids and times of its own. A reference run, without faults, writes down
every state that was ever committed; after a fault the library must be in one of them, not before the last that was
committed before the fault, give the answers of that state, and reach the end when the operation is done again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Engine, event

from mmsearch.errors import LibraryEmpty, LibraryNotFound, MmsearchError
from mmsearch.library import Library
from tests.faults.disk import entries
from tests.faults.shim import LASTING, Fault, Shim
from tests.faults.world import OPERATIONS, Operation, Place, catalog_file, lay, open_library, wrong_answers

State: TypeAlias = str
"""What a catalog knows, as JSON: comparable, and readable in a report."""

NOTHING: State = ""

_STATE = {
    # What was handed over in memory has the time at which it was.
    "items": "SELECT hex(path), status, sha256, size, iif(hex(path) LIKE '6D656D3A%', 0, mtime_ns), modality, kept "
    "FROM items JOIN contents ON contents.id = content_id",
    "segments": "SELECT sha256, ordinal, s.modality, start, end, text, hex(vector) FROM segments s "
    "JOIN contents c ON c.id = s.content_id JOIN embeddings e ON e.segment_id = s.id",
    "failures": "SELECT hex(path), failure FROM failures",
}

CONTENTS = [content for one in OPERATIONS for content in (*one.media.values(), *one.after.values())]


def content_of(sha256: str, among: Iterable[str]) -> str:
    """The one of some contents that has a hash."""
    return next(content for content in among if hashlib.sha256(content.encode()).hexdigest() == sha256)


def state(folder: Path) -> State:
    """What the catalog in a folder knows; NOTHING if there is none, or nothing in it yet."""
    file = folder / "catalog.sqlite"
    if not file.exists():
        return NOTHING
    with closing(catalog_file(file)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'items'").fetchone():
            return NOTHING
        rows = {name: sorted(map(list, db.execute(query)), key=repr) for name, query in _STATE.items()}
    return json.dumps(rows) if any(rows.values()) else NOTHING


def swept(of: State) -> State:
    """A state without contents that no path holds."""
    if not of:
        return of
    rows = json.loads(of)
    held = {sha256 for _, _, sha256, *_ in rows["items"]}
    return json.dumps(rows | {"segments": [one for one in rows["segments"] if one[0] in held]})


def known(of: State) -> dict[Path, str]:
    """Path -> content of all that is to be found in a state."""
    rows = json.loads(of)["items"] if of else []
    return {
        Path(os.fsdecode(bytes.fromhex(path))): content_of(sha256, CONTENTS)
        for path, status, sha256, *_ in rows
        if status == "present"
    }


def damage(folder: Path) -> str:
    """What SQLite itself finds wrong with a catalog; "" if nothing."""
    file = folder / "catalog.sqlite"
    if not file.exists():
        return ""
    with closing(catalog_file(file)) as db:
        found = [*db.execute("PRAGMA integrity_check"), *db.execute("PRAGMA foreign_key_check")]
    return "" if found == [("ok",)] else str(found)


@dataclass(slots=True)
class Reference:
    """One operation as it goes without faults."""

    operation: Operation
    before: Path
    """A copy of all that can be harmed, as it was before."""
    log: Path
    states: list[State]
    """Every committed state, from the one before to the one after."""
    committed: list[int]
    """After how many calls each of them was there."""
    calls: list[str] = field(default_factory=list)
    """What each counted call did, such as "w library/catalog.sqlite-wal"; call n is at n - 1."""

    def safe(self, at: int) -> int:
        """Number of the last state that was committed before call `at`."""
        return max(number for number, after in enumerate(self.committed) if after < max(at, 1))


@dataclass(slots=True)
class Outcome:
    """What a fault led to."""

    wrong: list[str] = field(default_factory=list)
    """Wrong answers, or a state that was never committed."""
    lost: list[str] = field(default_factory=list)
    """What was committed and is gone."""
    unclear: list[str] = field(default_factory=list)
    """Errors that are not ours, or say nothing of what to do."""
    stuck: list[str] = field(default_factory=list)
    """Doing it again did not lead to the end."""
    refused: list[str] = field(default_factory=list)
    """Damage to the catalog itself that was noticed and said clearly."""
    unnoticed: list[str] = field(default_factory=list)
    """Damage to the catalog itself that changed none of the answers that were looked at."""
    met: bool = True
    """Whether the fault was met at all."""

    @property
    def bad(self) -> list[str]:
        return [*self.wrong, *self.lost, *self.unclear, *self.stuck]


def in_child(work: Callable[[], Any]) -> Any:
    """Do something in a fork of this process. Returns its result by way of JSON, None if it was killed."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        code = 1
        try:
            answer = json.dumps(work()).encode()
            with open(sink, "wb") as out:
                out.write(answer)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(sink)
    with open(source, "rb") as answers:
        data = answers.read()
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("the forked part of a trial failed, see above")
    return json.loads(data) if os.WIFEXITED(status) else None


def bring_back(place: Place, kept: Path) -> None:
    """Put a copy of all that can be harmed in its place."""
    shutil.rmtree(place.harmed, ignore_errors=True)
    shutil.copytree(kept, place.harmed)


def references(place: Place, copies: Path, shim: Shim) -> Iterator[Reference]:
    """Run all operations once, without faults, keeping copies, states and calls."""
    place.harmed.mkdir(parents=True)
    for number, operation in enumerate(OPERATIONS):
        lay(place.root, operation.media)
        before, log = copies / str(number), copies / f"{number}.log"
        shutil.copytree(place.harmed, before)
        seen = in_child(lambda: _recorded(place, operation, shim, log))  # noqa: B023
        calls = [f"{entry.op} {Path(entry.path).relative_to(place.harmed)}" for entry in entries(log)]
        yield Reference(operation, before, log, [one for _, one in seen], [after for after, _ in seen], calls)
        bring_back(place, copies / "after")
        shutil.rmtree(copies / "after")


def _recorded(place: Place, operation: Operation, shim: Shim, log: Path) -> list[tuple[int, State]]:
    """(calls until then, state) for every state that the catalog is in while an operation runs."""
    seen = [(0, state(place.library))]

    def look(_connection: object = None) -> None:
        now = state(place.library)
        if now != seen[-1][1]:
            seen.append((shim.count(), now))

    shim.watch(place.harmed)
    with log.open("wb") as file:
        shim.log(file.fileno(), data=True)
        shim.arm(0, Fault.NONE)
        event.listen(Engine, "begin", look)
        with closing(open_library(place.library)) as library:
            operation.work(library, place)
            library.close()
        event.remove(Engine, "begin", look)
        calls = shim.disarm()
        shim.log(-1, data=False)
    now = state(place.library)
    if now != seen[-1][1]:
        seen.append((calls, now))
    shutil.copytree(place.harmed, log.with_name("after"))
    return seen


def tried(place: Place, reference: Reference, at: int, fault: Fault, shim: Shim) -> Outcome:
    """Do the operation with a fault at call `at`, and judge what it left."""
    bring_back(place, reference.before)
    report = in_child(lambda: _faulted(place, reference, at, fault, shim))
    outcome = Outcome()
    returned = False
    if report is not None:
        outcome = Outcome(wrong=report["wrong"], unclear=report["unclear"], met=report["calls"] >= at)
        returned = report["returned"]
    floor = len(reference.states) - 1 if returned else reference.safe(at)
    # An index file that was damaged must be noticed and made anew; the catalog is the truth, and can only be refused.
    harms_truth = "indexes/" not in reference.calls[at - 1]
    judge(place, reference, floor, outcome, forgiving=fault is Fault.FLIP and harms_truth)
    return outcome


def _faulted(place: Place, reference: Reference, at: int, fault: Fault, shim: Shim) -> dict[str, Any]:
    """What happened to the operation, told by the process that met the fault and lived."""
    operation = reference.operation
    wrong: list[str] = []
    unclear: list[str] = []
    shim.watch(place.harmed)
    library = open_library(place.library)
    shim.arm(at, fault)
    error = _attempt(lambda: operation.work(library, place), unclear)
    if error and fault in LASTING:
        wrong += _search(library, reference, unclear)
    elif error and fault is not Fault.FLIP:
        # It was for a moment: the same process goes on.
        error = _attempt(lambda: operation.work(library, place), unclear)
        if error:
            unclear.append(f"still after the fault had passed: {error}")
    _attempt(library.close, unclear)
    return {"returned": error is None, "calls": shim.disarm(), "wrong": wrong, "unclear": unclear}


def _attempt(work: Callable[[], object], unclear: list[str]) -> str | None:
    """The error as text, None if there was none."""
    try:
        work()
    except MmsearchError as error:
        if not error.hint:
            unclear.append(f"no hint: {type(error).__name__}: {error}")
        return f"{type(error).__name__}: {error}"
    except Exception as error:
        unclear.append(f"not ours: {type(error).__name__}: {error}")
        return f"{type(error).__name__}: {error}"
    return None


def _search(library: Library, reference: Reference, unclear: list[str]) -> list[str]:
    """With a disk that stays broken, a search may fail, clearly, but not be wrong."""
    answers = [list[str]() for _ in reference.states]
    for found, one in zip(answers, reference.states, strict=True):
        error = _attempt(lambda: found.extend(wrong_answers(library, known(one))), unclear)  # noqa: B023
        if error:
            return []
    return [] if not all(answers) else answers[-1]


_JUDGED: set[bytes] = set()
"""What was found to be good: many faults leave the same bytes."""


def _image(folder: Path, question: str) -> bytes:
    """A digest of all files in a folder, and of what is asked about them."""
    digest = hashlib.sha256(question.encode())
    for path in sorted(folder.rglob("*")):
        digest.update(f"\0{path.relative_to(folder)}\0".encode())
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()


def judge(
    place: Place, reference: Reference, floor: int, outcome: Outcome, *, forgiving: bool = False, cut: bool = False
) -> None:
    """Open what is there, as a user would, and compare.

    Args:
        floor: Number of the earliest state that it may be in.
        forgiving: Something silently damaged the catalog: saying so is right, too.
        cut: The power was: what had been removed may be there again.
    """
    allowed = reference.states[floor:]
    image = _image(place.harmed, f"{reference.operation.name} {floor} {forgiving}")
    if image in _JUDGED and not outcome.bad:
        return
    try:
        with closing(open_library(place.library)) as library:
            _judge_state(place, library, allowed, outcome, forgiving)
            if not forgiving:
                # After a restore those that the catalog of before needs stay until `prune`.
                outcome.wrong += wrong_originals(library, cut or reference.operation.name.startswith("restore"))
            if not outcome.bad:
                reference.operation.work(library, place)
        if not outcome.bad:
            _judge_end(place, reference, outcome, forgiving)
        if not outcome.bad:
            _JUDGED.add(image)
    except MmsearchError as error:
        told = f"{type(error).__name__}: {error.message}"
        (outcome.refused if forgiving and error.hint else outcome.stuck).append(told)
    except Exception as error:
        outcome.unclear.append(f"not ours, afterwards: {type(error).__name__}: {error}")


def wrong_originals(library: Library, cut: bool) -> list[str]:
    """What is wrong with the bytes that an opened library keeps."""
    if not (library.path / "catalog.sqlite").exists():
        return []
    with closing(catalog_file(library.path / "catalog.sqlite")) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'items'").fetchone():
            return []
        needed = {
            one for (one,) in db.execute("SELECT sha256 FROM items JOIN contents c ON c.id = content_id AND kept")
        }
    files = [path for path in (library.path / "originals").glob("*/*") if path.is_file()]
    whole = {path.name for path in files if hashlib.sha256(path.read_bytes()).hexdigest() == path.name}
    found = [f"the original {one[:8]} is lost" for one in needed - whole]
    return found if cut else found + [f"{one} is left" for one in {path.name for path in files} - needed]


def _judge_state(place: Place, library: Library, allowed: list[State], outcome: Outcome, forgiving: bool) -> None:
    try:
        if forgiving:
            # Bits may differ that no answer shows; what counts is what is said.
            answers = [wrong_answers(library, known(one)) for one in allowed]
            outcome.wrong += [] if not all(answers) else answers[-1]
            return
        # Asked before anything else opens the catalog: it is mmsearch that has to mend it.
        answers = [wrong_answers(library, known(allowed[-1]))]
        now = state(place.library)
        if now != allowed[-1]:
            answers.append(wrong_answers(library, known(now)))
        outcome.wrong += answers[-1]
    except (LibraryEmpty, LibraryNotFound):
        if NOTHING not in allowed:
            outcome.lost.append("the library says that it is empty")
        return
    # Who opens a library collects what a commit before the last left without a path.
    if now not in (*allowed, *map(swept, allowed)):
        outcome.lost.append("the catalog is in a state that it may not be in")
    if found := damage(place.library):
        outcome.wrong.append(f"SQLite says: {found}")


def _judge_end(place: Place, reference: Reference, outcome: Outcome, forgiving: bool) -> None:
    """After doing it again, from the published files alone."""
    with closing(open_library(place.library)) as library:
        wrong = wrong_answers(library, place.known(reference.operation.after))
        outcome.stuck += [f"done again: {one}" for one in wrong]
    if state(place.library) != reference.states[-1]:
        found = outcome.unnoticed if forgiving else outcome.stuck
        found.append("done again, the catalog is in another state than without a fault")
