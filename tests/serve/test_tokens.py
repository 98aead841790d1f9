"""Tokens of a library: what their holders may ask, and that what they are told is all there is for them."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mmsearch.errors import InvalidInput, LibraryError, SignInNeeded, UnknownName
from mmsearch.library import Library
from mmsearch.serve.access import Access
from mmsearch.serve.app import described_application
from mmsearch.serve.options import ServeOptions
from tests.conftest import Run
from tests.generated import words
from tests.library.restricted import SECRET
from tests.serve.running import API, Running, anonymous, running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("tokens"), manage=True) as made:
        words(made.media / "private" / f"{SECRET}.txt", f"a red house in {SECRET}")
        (made.media / "private" / f"broken {SECRET}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        made.library.ingest(made.media)
        made.library.tag(made.media / "private" / f"{SECRET}.txt", [f"of {SECRET}"])
        made.library.save_search(SECRET, f"text={SECRET}")
        yield made


PUBLIC = "name in ('red.png', 'green.png', 'note.txt', 'clip.mp4', 'low.wav')"


def holder(served: Running, name: str, **chosen: Any) -> httpx.Client:
    if name in {one.name for one in served.library.tokens.list()}:
        served.library.tokens.revoke(name)
    token = served.library.tokens.create(name, **chosen)
    return anonymous(served.server, headers={"authorization": f"Bearer {token}"})


def test_only_a_hash_is_kept_and_for_its_owner_alone(served: Running) -> None:
    token = served.library.tokens.create("kept")
    file = served.library.path / "tokens.json"
    assert token.startswith("mms_")
    assert token not in file.read_text("utf-8")
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in served.library.tokens.list() if one.name == "kept"] == ["kept"]
    for wrong in ({"name": "owner"}, {"name": "kept"}, {"name": "x\ny"}, {"name": "a", "filter": "tagg = x"}):
        with pytest.raises(InvalidInput):
            served.library.tokens.create(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UnknownName):
        served.library.tokens.revoke("nobody")


def test_who_reads_may_not_change_and_who_manages_may(served: Running) -> None:
    item = served.item("red.png")
    with holder(served, "reader") as reader, holder(served, "manager", scope="manage") as manager:
        assert reader.get(f"{API}/session").json()["rights"] == ["search"]
        assert manager.get(f"{API}/session").json()["rights"] == ["manage", "search", "tag"]
        assert reader.get(f"{API}/status").json()["may"] == ["search"]
        change = {"items": [item], "add": ["seen"]}
        assert reader.post(f"{API}/tags", json=change).status_code == 403
        assert manager.post(f"{API}/tags", json=change).status_code == 204
        assert reader.post(f"{API}/jobs", json={"kind": "prune"}).status_code == 403


def test_who_manages_with_a_filter_tags_what_matches_and_nothing_more(served: Running) -> None:
    seen, secret = served.item("red.png"), served.item(f"private/{SECRET}.txt")
    with holder(served, "curator", scope="manage", filter=PUBLIC) as curator:
        assert curator.get(f"{API}/session").json()["rights"] == ["search", "tag"]
        tagged = curator.post(f"{API}/tags", json={"items": [seen], "add": ["curated"]})
        assert tagged.status_code == 204, tagged.text
        assert "curated" in served.library.tags_of([seen])[seen]
        asked = {"text": "red", "filter": "tag = curated"}
        assert [hit["item_id"] for hit in curator.get(f"{API}/search", params=asked).json()["hits"]] == [seen]
        assert curator.post(f"{API}/tags", json={"items": [secret], "add": ["curated"]}).status_code == 404
        assert curator.post(f"{API}/tags", json={"items": [seen, secret], "remove": ["curated"]}).status_code == 404
        assert "curated" in served.library.tags_of([seen])[seen]
        assert "curated" not in served.library.tags_of([secret])[secret]
        assert curator.post(f"{API}/jobs", json={"kind": "prune"}).status_code == 403
        assert curator.post(f"{API}/searches", json={"name": "x", "address": "text=x"}).status_code == 403
        assert curator.get(f"{API}/searches").json() == []
    served.library.tag(served.media / "red.png", remove=["curated"])


def test_a_revoked_token_and_its_sessions_end_at_once(served: Running) -> None:
    token = served.library.tokens.create("short")
    with anonymous(served.server) as browser:
        assert browser.post(f"{API}/session", json={"token": token}).json()["name"] == "short"
        assert browser.get(f"{API}/session").json()["name"] == "short"
        served.library.tokens.revoke("short")
        assert browser.get(f"{API}/session").status_code == 401
        assert browser.post(f"{API}/session", json={"token": token}).status_code == 401


def test_a_file_of_tokens_that_was_meddled_with_lets_nobody_in(tmp_path: Path, open_tiny: Any) -> None:
    words(tmp_path / "media" / "note.txt", "red")
    library: Library = open_tiny()
    library.ingest(tmp_path / "media")
    token = library.tokens.create("ann")
    access = Access(ServeOptions(token="0" * 20, made_token=False), library.tokens.holder)
    assert access.prove(token, "").name == "ann"
    file = library.path / "tokens.json"
    kept = file.read_text("utf-8")
    for wrong in ("{", "[]", '{"tokens": [{}]}', kept.replace('"read"', '"all"'), kept.replace("null", '"tagg = x"')):
        file.write_text(wrong, "utf-8")
        with pytest.raises((LibraryError, InvalidInput)):
            access.prove(token, "")
    file.write_text(kept, "utf-8")
    os.chmod(file, 0o666)
    with pytest.raises(LibraryError, match="others can write"):
        access.prove(token, "")
    os.chmod(file, 0o600)
    assert access.prove(token, "").name == "ann"
    with pytest.raises(SignInNeeded):
        access.prove(token + "x", "")


@pytest.mark.slow
def test_every_route_tells_the_holder_of_a_filter_nothing_else(served: Running) -> None:
    """All routes there are, with every item and folder there is: of what the filter leaves out no byte comes back, and
    an id outside is answered as one that never was."""
    routes = described_application().openapi()["paths"]
    ids = [item.id for item in served.library.items()]
    hidden = [item.id for item in served.library.items() if item.path.name not in PUBLIC]
    outside = served.media / "private"
    with holder(served, "guest", filter=PUBLIC) as guest:
        asked = 0
        for path, methods in routes.items():
            if path.endswith("/events") or "get" not in methods:
                continue
            values = ids if "{item_id}" in path else [0]
            for value in values:
                where = path.replace("{item_id}", str(value)).replace("{name}", SECRET)
                asks: tuple[dict[str, str | int], ...] = (
                    {"text": "red", "k": 50}, {"path": str(outside)}, {"like": hidden[0]},
                )  # fmt: skip
                for params in asks:
                    said = guest.get(where, params=params if "{item_id}" not in path else {})
                    asked += 1
                    assert SECRET.encode() not in said.content.replace(str(outside).encode(), b"") or (
                        f'"{SECRET}"' in said.request.url.query.decode()
                    ), where
                    assert said.status_code != 500, where
                    if value in hidden:
                        never = guest.get(where.replace(f"/{value}", "/987654"))
                        assert (said.status_code, said.text.replace(str(value), "N")) == (
                            never.status_code, never.text.replace("987654", "N"),
                        )  # fmt: skip
        assert asked > 60
        found = guest.post(f"{API}/search", json={"parts": [{"text": SECRET}], "k": 50}).json()["hits"]
        assert {hit["name"] for hit in found} <= set(re.findall(r"'([^']+)'", PUBLIC))
        assert guest.get(f"{API}/searches").json() == guest.get(f"{API}/jobs").json() == []
        assert guest.get(f"{API}/folders").json()["folders"][0]["count"] == 5
        explained = guest.post(f"{API}/explain", json={"parts": [{"text": "red"}], "item_id": hidden[0]})
        assert explained.status_code == 404


@pytest.mark.slow
def test_an_id_outside_is_one_that_never_was_however_it_is_asked_for(served: Running) -> None:
    """By every method, with ranges and conditions on what the owner was told of it, in searches and explanations."""
    hidden, never = served.item(f"private/{SECRET}.txt"), 987654
    told = served.client.get(f"{API}/items/{hidden}/file")
    assert SECRET.encode() in told.content
    conditions: tuple[dict[str, str], ...] = (
        {}, {"range": "bytes=0-3"}, {"if-none-match": told.headers["etag"]}, {"if-none-match": "*"},
        {"range": "bytes=0-3", "if-range": told.headers["etag"]},
    )  # fmt: skip
    bodies: tuple[tuple[str, Any], ...] = (
        ("/search", lambda number: {"parts": [{"text": "red"}, {"like": number, "weight": 0.5}]}),
        ("/search", lambda number: {"parts": [{"like": number, "weight": -1}, {"text": "red"}], "moments": True}),
        ("/explain", lambda number: {"parts": [{"text": "red"}], "item_id": number}),
        ("/explain", lambda number: {"parts": [{"text": "red"}, {"like": number}], "item_id": served.item("red.png")}),
        ("/tags", lambda number: {"items": [number], "add": ["x"]}),
    )

    def same(one: httpx.Response, other: httpx.Response) -> None:
        names = [{name: value for name, value in said.headers.items() if name != "date"} for said in (one, other)]
        assert (one.status_code, one.text.replace(str(hidden), "N"), names[0].keys()) == (
            other.status_code, other.text.replace(str(never), "N"), names[1].keys(),
        )  # fmt: skip
        assert one.status_code >= 400 and SECRET not in one.text

    with holder(served, "prober", filter=PUBLIC, scope="manage") as guest:
        for what in ("", "/file", "/thumbnail", "/poster", "/sprite", "/waveform", "/clip?end=1"):
            for method in ("GET", "HEAD", "DELETE", "PUT"):
                for headers in conditions:
                    ask = [f"{API}/items/{number}{what}" for number in (hidden, never)]
                    same(*(guest.request(method, one, headers=headers) for one in ask))
        same(*(guest.post(f"{API}/items/{number}/reveal") for number in (hidden, never)))
        for route, body in bodies:
            same(*(guest.post(f"{API}{route}", json=body(number)) for number in (hidden, never)))


@pytest.mark.slow
def test_what_one_holder_sent_is_there_for_no_other(served: Running) -> None:
    with holder(served, "one", filter=PUBLIC) as one, holder(served, "two", filter="name = note.txt") as two:
        sent = one.post(f"{API}/uploads", files={"file": ("seen.png", (served.media / "red.png").read_bytes())})
        assert sent.status_code == 201
        asked = {"parts": [{"upload": sent.json()["id"]}]}
        assert one.post(f"{API}/search", json=asked).json()["hits"]
        assert two.post(f"{API}/search", json=asked).status_code == 404


@pytest.mark.slow
def test_the_shell_makes_lists_and_revokes(run: Run, tmp_path: Path) -> None:
    words(tmp_path / "media" / "note.txt", "red")
    assert run("ingest", str(tmp_path / "media")).returncode == 0
    made = run("token", "create", "ann", "--filter", "modality = image")
    token = made.stdout.decode().strip()
    assert re.fullmatch(r"mms_[\w-]{43}", token)
    assert b"Its holder sees 0 of 1 items." in made.stderr
    listed = json.loads(run("token", "list", "--json").stdout)
    assert [(one["name"], one["scope"], one["filter"]) for one in listed] == [("ann", "read", "modality = image")]
    assert run("token", "revoke", "ann").returncode == 0
    assert json.loads(run("token", "list", "--json").stdout) == []
