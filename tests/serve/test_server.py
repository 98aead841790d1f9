"""The API on a real server: what it answers, and who gets an answer."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from mmsearch import DuplicateGroup, Failure, Item, LibraryRoot, Status
from mmsearch.serve.app import described_application
from mmsearch.serve.guard import CSP, OPEN
from mmsearch.serve.jobs import Job
from mmsearch.serve.schemas import FolderAnswer, ModelAnswer, SearchPage, TagCount
from mmsearch.types import Query
from tests.serve.running import API, TOKEN, Running, anonymous, raw, running, status_of


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("served"), manage=True) as made:
        yield made


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["name"] for hit in answer.json()["hits"]]


# What is answered


def test_a_search_answers_what_the_library_finds(here: Running) -> None:
    asked = {"text": "red", "k": "3", "modalities": "image,video", "min_confidence": "0.5"}
    answer = here.client.get(f"{API}/search", params=asked)
    found = here.library.search(Query("red"), 3, modalities=("image", "video"))
    hits = answer.json()["hits"]
    assert [(hit["item_id"], hit["confidence"]) for hit in hits] == [
        (hit.item_id, hit.confidence) for hit in found if hit.confidence is None or hit.confidence >= 0.5
    ]
    as_shell = json.loads(json.dumps(asdict(found[0]), default=str))
    assert {name: hits[0][name] for name in as_shell} == as_shell
    assert hits[0]["name"] == "red.png" and hits[0]["folder"] == str(here.media)
    assert hits[0]["links"]["playable"] and hits[0]["links"]["file"] == f"{API}/items/{here.item('red.png')}/file"


def test_pages_lie_end_to_end_and_say_whether_there_is_more(here: Running) -> None:
    first, second, last = (
        here.client.get(f"{API}/search", params={"text": "red", "k": k, "offset": offset}).json()
        for k, offset in ((4, 0), (2, 4), (4, 4))
    )
    whole = here.client.get(f"{API}/search", params={"text": "red"}).json()
    assert [hit["item_id"] for hit in first["hits"] + second["hits"]] == [hit["item_id"] for hit in whole["hits"]]
    assert (first["more"], second["more"], last["more"]) == (True, False, False)
    assert whole["generation"] == here.library.generation and whole["level"] == "sure"


def test_parts_of_a_query_are_weighted(here: Running) -> None:
    parts = [{"text": "red"}, {"like": here.item("green.png"), "weight": 0.9}, {"text": "blue", "weight": -1}]
    answer = here.client.post(f"{API}/search", json={"parts": parts, "mode": "vector"})
    query = Query("red") + 0.9 * Query(like=here.item("green.png")) - Query("blue")
    assert names(answer) == [hit.path.name for hit in here.library.search(query, 20, mode="vector")]


def test_a_file_is_sent_once_and_searched_with(here: Running) -> None:
    content = (here.media / "red.png").read_bytes()
    sent = here.client.post(f"{API}/uploads", files={"file": ("../../photo.png", content)})
    assert sent.status_code == 201 and sent.json()["modality"] == "image" and sent.json()["name"] == "photo.png"
    by_id = here.client.post(f"{API}/search", json={"parts": [{"upload": sent.json()["id"]}], "k": 2})
    at_once = here.client.post(f"{API}/search", files={"file": ("a.png", content)}, data={"k": "2"})
    assert set(names(by_id)) == set(names(at_once)) == {"red.png", "clip.mp4"}


def test_an_upload_that_is_no_medium_is_an_error_and_leaves_nothing(here: Running) -> None:
    before = sorted(here.server.service.uploads.folder.iterdir())
    sent = here.client.post(f"{API}/uploads", files={"file": ("red.png", b"\0\1\2\3" * 50)})
    assert (sent.status_code, sent.json()["code"]) == (422, "Corrupt")
    assert str(here.server.service.uploads.folder) not in sent.text
    at_once = here.client.post(f"{API}/search", files={"file": ("red.png", b"")})
    assert at_once.status_code == 422
    assert sorted(here.server.service.uploads.folder.iterdir()) == before


def test_why_a_hit_was_found(here: Running) -> None:
    asked = {"parts": [{"text": "red"}], "item_id": here.item("red.png")}
    told = here.client.post(f"{API}/explain", json=asked)
    assert told.status_code == 200 and told.json()["matched"] == "image" and told.json()["score"] == 1.0
    absent = here.client.post(f"{API}/explain", json={**asked, "k": 1, "item_id": here.item("low.wav")})
    assert absent.status_code == 404


def test_answers_fit_their_description(here: Running) -> None:
    item = here.item("clip.mp4")
    fits: dict[str, Any] = {
        "/search?text=red&moments=true": SearchPage, f"/items/{item}": Item, "/status": Status,
        "/roots": list[LibraryRoot], "/failures": list[Failure], "/duplicates": list[DuplicateGroup],
        "/tags": list[TagCount], f"/folders?path={here.media}": FolderAnswer, "/jobs": list[Job],
        "/models": list[ModelAnswer],
    }  # fmt: skip
    for path, kind in fits.items():
        answer = here.client.get(API + path)
        assert answer.status_code == 200, (path, answer.text)
        TypeAdapter(kind).validate_json(answer.content)


def test_a_file_is_served_whole_in_part_or_not_at_all(here: Running) -> None:
    address, content = f"{API}/items/{here.item('clip.mp4')}/file", (here.media / "clip.mp4").read_bytes()
    whole = here.client.get(address)
    assert whole.content == content and whole.headers["content-type"] == "video/mp4"
    etag, size = whole.headers["etag"], len(content)
    parts = {
        "bytes=0-9": (0, 10),
        "bytes=10-": (10, size),
        "bytes=-5": (size - 5, size),
        f"bytes=9-{size * 2}": (9, size),
    }
    for asked, (start, end) in parts.items():
        part = here.client.get(address, headers={"range": asked})
        assert (part.status_code, part.content) == (206, content[start:end]), asked
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    for asked in ("bytes=9-3", "bytes=0-1,3-4", "lines=1-2", "bytes=-", f"bytes={'9' * 40}-"):
        assert here.client.get(address, headers={"range": asked}).content == content, asked
    assert here.client.get(address, headers={"range": f"bytes={size}-"}).status_code == 416
    other = here.client.get(address, headers={"range": "bytes=0-9", "if-range": '"other"'})
    assert (other.status_code, other.content) == (200, content)
    assert here.client.get(address, headers={"if-none-match": etag}).status_code == 304
    head = here.client.head(address)
    assert head.headers["content-length"] == str(size) and head.content == b""
    saved = here.client.get(address, params={"download": "true"})
    assert saved.headers["content-disposition"].startswith("attachment")


def test_no_file_is_sent_as_a_page(here: Running) -> None:
    page = here.client.get(f"{API}/items/{here.item('notes/page.html')}/file")
    assert page.headers["content-type"] == "text/plain; charset=utf-8"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["content-security-policy"] == "default-src 'none'; sandbox"


@pytest.mark.slow
def test_previews_are_made_of_every_kind_and_kept(here: Running) -> None:
    picture, clip, sound = (f"{API}/items/{here.item(name)}" for name in ("red.png", "clip.mp4", "low.wav"))
    for address in (f"{picture}/thumbnail?size=100", f"{clip}/thumbnail", f"{clip}/poster?t=3", f"{clip}/sprite"):
        made = here.client.get(address)
        assert (made.status_code, made.headers["content-type"], made.content[8:12]) == (200, "image/webp", b"WEBP")
    wave = here.client.get(f"{sound}/waveform").json()
    assert wave["duration"] == 2.5 and len(wave["peaks"]) == 200 and set(wave["peaks"][:190]) <= {0.5, 0.499, 0.498}
    part = here.client.get(f"{sound}/clip", params={"start": 1, "end": 2})
    assert part.headers["content-type"] == "video/webm" and part.content[:4] == b"\x1aE\xdf\xa3"
    assert here.client.get(f"{picture}/sprite").json()["code"] == "NotEmbedded"
    kept = {path.name.partition("-")[2] for path in (here.library.path / "previews").rglob("*") if path.is_file()}
    assert kept == {
        "thumbnail-160", "thumbnail-320", "poster-640-3.0", "sprite-320", "waveform-320", "clip-320-1.0-2.0",
    }  # fmt: skip


def test_tags_are_given_and_counted(here: Running) -> None:
    ids = [here.item("red.png"), here.item("notes/note.txt")]
    assert here.client.post(f"{API}/tags", json={"items": ids, "add": ["dear"]}).status_code == 204
    assert here.client.get(f"{API}/tags").json() == [{"name": "dear", "count": 2}]
    assert here.client.get(f"{API}/items/{ids[0]}").json()["tags"] == ["dear"]
    assert here.client.post(f"{API}/tags", json={"items": [10**9], "add": ["x"]}).status_code == 404
    assert here.client.post(f"{API}/tags", json={"items": ids, "remove": ["dear"]}).status_code == 204
    assert here.client.get(f"{API}/tags").json() == []


def test_folders_are_those_of_the_catalog(here: Running) -> None:
    top = here.client.get(f"{API}/folders").json()
    assert [(one["path"], one["count"]) for one in top["folders"]] == [(str(here.media), 6)]
    media = here.client.get(f"{API}/folders", params={"path": str(here.media)}).json()
    assert [(one["name"], one["count"]) for one in media["folders"]] == [("notes", 2)]
    assert [one["name"] for one in media["items"]] == ["clip.mp4", "green.png", "low.wav", "red.png"]
    notes = here.client.get(f"{API}/folders", params={"path": str(here.media / "notes")}).json()
    assert [one["path"] for one in notes["parents"]] == [str(here.media)]
    for outside in ("/etc", str(here.media.parent), f"{here.media}/../..", "", ".."):
        answer = here.client.get(f"{API}/folders", params={"path": outside or "\0"})
        assert answer.status_code in (400, 404), outside


def test_an_error_says_what_to_do(here: Running) -> None:
    for path, status, code in (
        ("/search", 400, "InvalidInput"),
        ("/search?text=red&k=0", 400, "InvalidInput"),
        ("/search?text=red&nonsense=1", 400, "InvalidInput"),
        ("/search?text=red&filter=(((", 400, "InvalidInput"),
        ("/items/999999", 404, "UnknownName"),
        ("/nothing", 404, "UnknownName"),
        ("/items/1/thumbnail?size=9999", 400, "InvalidInput"),
    ):
        answer = here.client.get(API + path)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
        assert answer.json()["message"] and (answer.json()["hint"] or "filter" in path), path


def test_the_page_is_served_from_a_list(here: Running) -> None:
    for path in ("/", "/duplicates", "/help/guide"):
        page = here.client.get(path)
        assert (
            page.headers["content-type"] == "text/html; charset=utf-8"
            and page.headers["content-security-policy"] == CSP
        )
    assert here.client.get("/static/index.html").status_code == 200
    for path in (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/",
        "/x.js",
        "/static//etc/passwd",
    ):
        assert status_of(raw(here.address, f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())) == 404, path


# Who gets an answer


def every_route() -> list[tuple[str, str]]:
    paths = described_application().openapi()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def ask(client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
    return client.request(method, path.format(item_id=1, id=1, name="x"), **more)


def test_every_route_wants_a_token_but_for_three(here: Running) -> None:
    routes = every_route()
    assert len(routes) > 25
    with anonymous(here.server) as client:
        for method, path in routes:
            allowed = method in OPEN.get(path, ())
            for headers in ({}, {"cookie": f"mmsearch-{here.address[1]}=expired"}):
                answer = ask(client, method, path, headers=headers)
                assert allowed or answer.status_code == 401, (method, path, headers)
                assert allowed or answer.json()["code"] == "SignInNeeded"
    assert [path for method, path in routes if method in OPEN.get(path, ())] == [
        f"{API}/session",
        f"{API}/health",
        f"{API}/ready",
    ]


def test_a_wrong_token_opens_no_route_and_soon_has_to_wait(here: Running) -> None:
    wrong = {"authorization": f"Bearer {TOKEN}x"}
    try:
        with anonymous(here.server, headers=wrong) as client:
            given = {ask(client, method, path).status_code for method, path in every_route() if path not in OPEN}
            assert given == {401, 429}
            answer = client.get(f"{API}/status")
            assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
            # Nor is the right one of use to somebody who guesses.
            assert client.post(f"{API}/session", json={"token": TOKEN}).status_code == 429
    finally:
        here.server.service.access.tried._wrong.clear()


def test_a_session_begins_with_the_token_and_ends(here: Running) -> None:
    with anonymous(here.server) as browser:
        assert browser.post(f"{API}/session", json={"token": "wrong"}).status_code == 401
        landed = browser.get("/folders", params={"token": TOKEN, "path": "a b"})
        assert landed.status_code == 303 and landed.headers["location"] == "/folders?path=a+b"
        cookie = landed.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
        known = browser.get(f"{API}/session").json()
        assert known == {"name": "owner", "rights": ["manage", "search", "tag"], "on_this_machine": True}
        value = browser.cookies[f"mmsearch-{here.address[1]}"]
        assert browser.delete(f"{API}/session").status_code == 204
        stolen = {"cookie": f"mmsearch-{here.address[1]}={value}"}
        assert browser.get(f"{API}/session", headers=stolen).status_code == 401
    here.server.service.access.tried._wrong.clear()


def test_a_landing_never_leads_to_another_host(here: Running) -> None:
    with anonymous(here.server) as browser:
        for path in ("//evil.test/", "///evil.test", "/%2fevil.test", "/\\evil"):
            answer = status_line(here, f"GET {path}?token={TOKEN} HTTP/1.1\r\nhost: localhost\r\n\r\n")
            location = next((line for line in answer.splitlines() if line.lower().startswith("location:")), "")
            assert not location or (
                location.split(": ")[1][:1] == "/" and location.split(": ")[1][:2] not in ("//", "/\\")
            )
        assert browser.get("/").status_code == 200


def status_line(here: Running, request: str) -> str:
    return raw(here.address, request.encode()).decode("latin-1")


@pytest.mark.parametrize(
    "host",
    [
        "localhost.evil.test", "evil.test", "localhost:80@evil.test", "user@localhost", "2130706433", "0x7f000001",
        "127.1", "localhost.", "", "[::ffff:8.8.8.8]", "8.8.8.8", "localhost:80:80", "localhost evil.test", "[::1",
        "0.0.0.0",
    ],
)  # fmt: skip
def test_a_name_that_is_not_the_server_s_is_turned_away(here: Running, host: str) -> None:
    for path in ("/", f"{API}/health", f"{API}/status"):
        request = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
        assert status_of(raw(here.address, request.encode())) in (400, 421), path


def test_two_hosts_none_and_an_address_in_the_request_line_are_turned_away(here: Running) -> None:
    for request in (
        "GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET http://evil.test/ HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ):
        assert status_of(raw(here.address, request.encode())) in (400, 421), request
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80"):
        assert status_of(raw(here.address, f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())) == 200, host


@pytest.mark.parametrize(
    ("headers", "read", "write"),
    [
        ({}, 200, 204),
        ({"sec-fetch-site": "same-origin"}, 200, 204),
        ({"sec-fetch-site": "none"}, 200, 403),
        ({"sec-fetch-site": "cross-site"}, 403, 403),
        ({"sec-fetch-site": "same-site"}, 403, 403),
        ({"sec-fetch-site": "cross-site", "origin": "{own}"}, 403, 403),
        ({"origin": "http://evil.test"}, 403, 403),
        ({"origin": "null"}, 403, 403),
        ({"origin": "{own}.evil.test"}, 403, 403),
        ({"origin": "{own}"}, 200, 204),
    ],
)
def test_another_site_s_page_may_neither_read_nor_write(
    here: Running, headers: dict[str, str], read: int, write: int
) -> None:
    given = {name: value.format(own=here.server.address) for name, value in headers.items()}
    assert here.client.get(f"{API}/status", headers=given).status_code == read
    tagging = {"items": [here.item("red.png")], "remove": ["never"]}
    assert here.client.post(f"{API}/tags", json=tagging, headers=given).status_code == write


def test_no_answer_lets_another_site_read_it(here: Running) -> None:
    for path in ("/", f"{API}/status", f"{API}/nothing"):
        answer = here.client.get(path, headers={"origin": here.server.address})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "no-referrer" and answer.headers["x-frame-options"] == "DENY"
    assert "unsafe" not in CSP and "data:" not in CSP
    assert here.client.options(f"{API}/status").status_code == 405


@pytest.mark.parametrize(
    "item",
    ["-1", "1e3", "..", "%2e%2e", "1/../../x", "99999999999999999999", "0x1", "1%00", "%2fetc%2fpasswd"],
)
def test_an_id_is_a_number_and_no_path(here: Running, item: str) -> None:
    for end in ("", "/file", "/thumbnail"):
        request = f"GET {API}/items/{item}{end} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
        assert status_of(raw(here.address, request.encode())) in (400, 404), (item, end)


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are POSIX's here")
def test_a_file_that_was_swapped_is_not_served(here: Running, tmp_path: Path) -> None:
    place = here.media / "green.png"
    item, content, times = here.item("green.png"), place.read_bytes(), place.stat()
    address = f"{API}/items/{item}/file"
    secret = tmp_path / "secret.png"
    secret.write_bytes(content)
    os.utime(secret, ns=(times.st_atime_ns, times.st_mtime_ns))

    def link() -> None:
        place.symlink_to(secret)

    def pipe() -> None:
        os.mkfifo(place)

    def folder() -> None:
        place.mkdir()

    def other() -> None:
        place.write_bytes(content[:-1] + b"x")

    try:
        for swap in (link, pipe, folder, other):
            place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink()
            swap()
            for end in ("/file", "/thumbnail?size=2048"):
                answer = here.client.get(f"{API}/items/{item}{end}")
                assert (answer.status_code, answer.json()["code"]) == (409, "ItemChanged"), (swap.__name__, end)
    finally:
        place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink()
        place.write_bytes(content)
        os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert here.client.get(address).content == content


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are POSIX's here")
def test_a_link_within_the_folder_is_followed_and_one_of_a_folder_out_of_it_is_not(
    here: Running, tmp_path: Path
) -> None:
    notes, note = here.media / "notes", here.item("notes/note.txt")
    moved = tmp_path / "notes"
    notes.rename(moved)
    try:
        notes.symlink_to(moved)
        assert here.client.get(f"{API}/items/{note}/file").status_code == 409
        notes.unlink()
        (here.media / "inside").mkdir()
        moved.rename(here.media / "inside" / "notes")
        notes.symlink_to(here.media / "inside" / "notes")
        assert here.client.get(f"{API}/items/{note}/file").text == "a blue house"
    finally:
        notes.unlink()
        inside = here.media / "inside" / "notes"
        (inside if inside.exists() else moved).rename(notes)
        if (here.media / "inside").exists():
            (here.media / "inside").rmdir()


def test_what_is_read_only_changes_nothing(here: Running) -> None:
    access = here.server.service.access
    owner = access._owner
    try:
        access._owner = type(owner)("owner", frozenset({"search"}))
        for method, path in every_route():
            if method != "GET" and not path.endswith(("/search", "/uploads", "/explain", "/session", "/reveal")):
                assert ask(here.client, method, path).status_code == 403, (method, path)
    finally:
        access._owner = owner


def test_searches_are_saved_under_a_name(here: Running) -> None:
    asked = {"name": "dogs & cats/2024?", "address": "/?text=dog&modalities=image"}
    assert here.client.post(f"{API}/searches", json=asked).status_code == 204
    (saved,) = here.client.get(f"{API}/searches").json()
    assert (saved["name"], saved["address"]) == ("dogs & cats/2024?", "text=dog&modalities=image")
    assert here.client.post(f"{API}/searches", json={"name": "a\nb", "address": "x"}).status_code == 400
    assert here.client.delete(f"{API}/searches/nothing").status_code == 404
    assert here.client.delete(f"{API}/searches/dogs%20%26%20cats%2F2024%3F").status_code == 204
    assert here.client.get(f"{API}/searches").json() == []
