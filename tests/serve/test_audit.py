"""The audit log: what servers write into it, and that whatever is done to it shows."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmsearch.errors import InvalidInput, LibraryError
from mmsearch.library import Library
from mmsearch.maintenance import audit as audit_log
from tests.conftest import Run
from tests.generated import words
from tests.serve.running import API, Running, anonymous, running


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Running]:
    """For one test alone: what is noted stays noted."""
    with running(tmp_path / "audited") as made:
        yield made


@pytest.mark.slow
def test_who_opened_and_changed_which_item_is_noted_and_what_was_searched_for_is_not(served: Running) -> None:
    red = served.item("red.png")
    assert not served.library.audit.on and served.client.get(f"{API}/items/{red}").status_code == 200
    token = served.library.tokens.create("ann")
    with anonymous(served.server, headers={"authorization": f"Bearer {token}"}) as ann:
        ann.get(f"{API}/search", params={"text": "a secret word"})
        ann.get(f"{API}/items/{red}/file")
        ann.post(f"{API}/tags", json={"items": [red], "add": ["x"]})
        ann.get(f"{API}/items/987654")
        ann.get(f"{API}/search", params={"like": red})
        ann.get(f"{API}/session")
    served.client.post(f"{API}/tags", json={"items": [red], "add": ["x"]})
    with anonymous(served.server, headers={"authorization": "Bearer wrong-token-of-somebody"}) as nobody:
        nobody.get(f"{API}/items/{red}")
    with anonymous(served.server) as nobody:
        nobody.get(f"{API}/items/{red}")
    found = [(one.who, one.what, one.items, one.status, one.query) for one in served.library.audit.entries()]
    assert found == [
        ("ann", "GET /search", (), 200, None),
        ("ann", "GET /items/{item_id}/file", (red,), 200, None),
        ("ann", "POST /tags", (), 403, None),
        ("ann", "GET /items/{item_id}", (987654,), 404, None),
        ("ann", "GET /search", (red,), 200, None),
        ("owner", "POST /tags", (red,), 204, None),
        ("-", "GET /-", (), 401, None),
    ]
    assert served.library.audit.verify().problems == ()
    assert not any(b"secret" in path.read_bytes() for path in (served.library.path / "audit").iterdir())
    for path in (served.library.path / "audit", *(served.library.path / "audit").iterdir()):
        assert path.stat().st_mode & 0o77 == 0


@pytest.mark.slow
def test_what_cannot_be_noted_is_not_answered(served: Running) -> None:
    folder = served.library.path / "audit"
    if not served.library.audit.on:
        served.library.tokens.create("ann")
    served.client.get(f"{API}/tags")
    aside = folder.with_name("aside")
    os.rename(folder, aside)
    folder.write_text("no folder")
    try:
        said = served.client.get(f"{API}/items/{served.item('red.png')}/file")
        assert said.status_code in (403, 500) and not said.content.startswith(b"\x89PNG")
    finally:
        folder.unlink()
        os.rename(aside, folder)


@pytest.fixture
def kept(open_tiny: Callable[..., Library], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library with a log of three files."""
    words(folder / "note.txt", "red")
    monkeypatch.setattr(audit_log, "ROTATE_BYTES", 1000)
    library = open_tiny(audit="on", audit_queries=True)
    library.ingest(folder)
    for number in range(12):
        library.audit.record("ann", "GET /search", (number,), 200, f"query {number}")
    return library


def test_an_altered_cut_or_reordered_log_is_found(kept: Library) -> None:
    folder = kept.path / "audit"
    files = sorted(path for path in folder.iterdir() if path.suffix == ".jsonl")
    assert len(files) > 2 and kept.audit.verify().problems == ()
    assert [one.query for one in kept.audit.entries()] == [f"query {number}" for number in range(12)]
    (log,) = [path for path in files if path.name == "log.jsonl"]
    whole = {path: path.read_text("utf-8") for path in (*files, folder / "head")}

    def found(change: Callable[[], object]) -> bool:
        change()
        problems = kept.audit.verify().problems
        for path, text in whole.items():
            path.write_text(text, "utf-8")
        assert kept.audit.verify().problems == ()
        return bool(problems)

    for path in files:
        lines = whole[path].splitlines(keepends=True)
        for number in range(len(lines)):
            others_of = lines[:number] + lines[number + 1 :]
            assert found(lambda: path.write_text("".join(others_of)))  # noqa: B023
            assert found(lambda: path.write_text(whole[path].replace("ann", "bob")))  # noqa: B023
            altered = [*lines[:number], lines[number].replace("query", "quary"), *lines[number + 1 :]]
            assert found(lambda: path.write_text("".join(altered)))  # noqa: B023
        assert len(lines) < 2 or found(lambda: path.write_text("".join(reversed(lines))))  # noqa: B023
        assert found(path.unlink)
    assert found(lambda: log.write_text(""))
    assert found((folder / "head").unlink)


@pytest.mark.slow
def test_a_log_that_was_made_anew_is_told_by_a_head_that_was_noted(kept: Library) -> None:
    head = kept.audit.verify().head
    kept.audit.record("ann", "GET /tags")
    assert kept.audit.verify(head).problems == ()
    for path in (kept.path / "audit").iterdir():
        path.unlink()
    for _ in range(20):
        kept.audit.record("ann", "GET /tags")
    assert kept.audit.verify().problems == ()
    assert "written anew" in kept.audit.verify(head).problems[0]
    with pytest.raises(InvalidInput):
        kept.audit.verify("12")


def test_who_dies_in_the_midst_of_an_entry_leaves_one_that_shows(kept: Library) -> None:
    folder = kept.path / "audit"
    head = (folder / "head").read_bytes()
    kept.audit.record("ann", "GET /tags")
    (folder / "head").write_bytes(head)
    assert kept.audit.verify().problems == (), "the entry was written, the head was not"
    kept.audit.record("ann", "GET /tags")
    assert kept.audit.verify().problems == () and kept.audit.verify().entries == 14
    with (folder / "log.jsonl").open("a") as log:
        log.write('{"number": 15, "at"')
    kept.audit.record("ann", "GET /roots")
    (problem,) = kept.audit.verify().problems
    assert problem.endswith("is no entry")
    with pytest.raises(LibraryError):
        list(kept.audit.entries())


def test_the_shell_lists_and_verifies(run: Run, tmp_path: Path) -> None:
    words(tmp_path / "media" / "note.txt", "red")
    assert run("ingest", str(tmp_path / "media")).returncode == 0
    assert run("token", "create", "ann").returncode == 0
    (made,) = json.loads(run("audit", "list", "--json").stdout)
    assert (made["who"], made["what"]) == ("shell", "token create ann")
    checked = json.loads(run("audit", "verify", "--json").stdout)
    assert (checked["entries"], checked["problems"]) == (1, [])
    assert run("audit", "verify", "--since", checked["head"]).returncode == 0
    (log,) = tmp_path.rglob("log.jsonl")
    log.write_text(log.read_text().replace("ann", "bob"))
    assert run("audit", "verify").returncode == 3
