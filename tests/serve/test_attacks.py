"""Attacks on a real server, those that take their time: sizes, numbers, silence, kills, what its log says."""

import asyncio
import io
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from mmsearch.serve.options import ServeLimits
from mmsearch.serve.uploads import PREFIX
from tests.conftest import CHECKOUT
from tests.generated import picture
from tests.serve.running import API, TOKEN, Running, anonymous, filled, raw, running, status_of

pytestmark = [pytest.mark.slow, pytest.mark.extras]

MB = 1_000_000
FORM = "content-type: multipart/form-data; boundary=x"
LIMITS = ServeLimits(head_s=3.0, body_s=2.0, connections=200, streams=4, searches=2, waiting=4)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("attacked"), LIMITS, manage=True) as made:
        assert made.client.get("/").status_code == 200
        yield made


def bytes_in_memory() -> int:
    return int(psutil.Process().memory_info().rss)


def head_of(method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"authorization: Bearer {TOKEN}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def test_41_megabytes_are_refused_with_a_length_and_before_they_come(here: Running) -> None:
    head = head_of(
        "POST", f"{API}/uploads", "content-type: multipart/form-data; boundary=x", f"content-length: {41 * MB}"
    )
    assert status_of(raw(here.address, head)) == 413


def test_41_megabytes_are_refused_without_a_length(here: Running) -> None:
    head = head_of(
        "POST", f"{API}/uploads", "content-type: multipart/form-data; boundary=x", "transfer-encoding: chunked"
    )
    start = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    before = bytes_in_memory()
    with socket.create_connection(here.address, timeout=30) as connection:
        connection.sendall(head + b"%x\r\n%s\r\n" % (len(start), start))
        sent, block = 0, b"x" * MB
        try:
            while sent < 60 * MB:
                connection.sendall(b"%x\r\n%s\r\n" % (len(block), block))
                sent += len(block)
        except OSError:
            pass
        try:
            said = connection.recv(65536)
        except OSError:
            said = b""
    assert sent < 60 * MB and status_of(said) in (0, 413)
    assert bytes_in_memory() - before < 30 * MB


def test_a_body_of_json_is_smaller(here: Running) -> None:
    parts = {"parts": [{"text": "x" * 2 * MB}]}
    assert here.client.post(f"{API}/search", json=parts).status_code == 413
    deep = b'{"parts":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    sent = here.client.post(f"{API}/search", content=deep, headers={"content-type": "application/json"})
    assert sent.status_code == 400


def test_20000_fields_of_a_form_are_refused(here: Running) -> None:
    body = b"".join(b'--x\r\ncontent-disposition: form-data; name="f%d"\r\n\r\n1\r\n' % n for n in range(20_000))
    headers = {"content-type": "multipart/form-data; boundary=x"}
    begun = time.process_time()
    for path in ("/search", "/uploads"):
        sent = here.client.post(f"{API}{path}", content=body + b"--x--\r\n", headers=headers)
        assert (sent.status_code, sent.json()["code"]) == (400, "RequestRefused")
    assert time.process_time() - begun < 3
    big = b'--x\r\ncontent-disposition: form-data; name="text"\r\n\r\n' + b"y" * 100_000 + b"\r\n--x--\r\n"
    assert here.client.post(f"{API}/search", content=big, headers=headers).status_code == 400
    encoded = {"content-type": "application/x-www-form-urlencoded"}
    assert here.client.post(f"{API}/search", content=b"a=1&" * 20_000, headers=encoded).status_code == 400


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 7501 * 2000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", bomb()),
        ("a.m3u8", PLAYLIST),
        ("a.mp4", PLAYLIST),
        ("a.mp4", CONCAT),
        ("a.ffconcat", CONCAT),
        ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
    ],
)
def test_bombs_and_lists_of_other_files_open_nothing(here: Running, name: str, content: bytes) -> None:
    before = bytes_in_memory()
    sent = here.client.post(f"{API}/uploads", files={"file": (name, content)})
    # As a text a playlist is words; nothing that it names is opened.
    assert sent.status_code == 422 or sent.json()["modality"] == "text"
    assert "root:" not in sent.text
    assert bytes_in_memory() - before < 50 * MB
    assert here.client.get(f"{API}/search?text=red").status_code == 200


def test_half_open_connections_keep_nobody_out(here: Running) -> None:
    held = []
    try:
        for _ in range(300):
            connection = socket.create_connection(here.address, timeout=30)
            connection.sendall(b"GET / HTTP/1.1\r\nhost: loc")
            held.append(connection)
        begun = time.monotonic()
        with anonymous(here.server) as client:
            assert client.get(f"{API}/health").status_code == 200
        assert time.monotonic() - begun < 10
        assert len(here.server.uvicorn.server_state.connections) <= LIMITS.connections + 1
        # Each ends by itself, though it goes on to trickle.
        ended = 0
        for connection in held:
            connection.settimeout(20)
            try:
                ended += connection.recv(1) == b""
            except ConnectionError:
                ended += 1
        assert ended == 300
    finally:
        for connection in held:
            connection.close()


def test_a_trickling_head_and_a_silent_body_end(here: Running) -> None:
    with socket.create_connection(here.address, timeout=30) as connection:
        begun = time.monotonic()
        with pytest.raises(OSError):
            for byte in b"GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: " + b"x" * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - begun < 20
    with socket.create_connection(here.address, timeout=30) as connection:
        connection.sendall(
            head_of("POST", f"{API}/search", "content-type: application/json", "content-length: 100") + b"{"
        )
        assert status_of(connection.recv(65536)) == 408


def test_streams_of_events_are_counted(here: Running) -> None:
    async def open_many() -> list[int]:
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=here.server.address, headers=headers, timeout=30) as client:
            streams = [client.stream("GET", f"{API}/events") for _ in range(LIMITS.streams + 2)]
            answers = [await stream.__aenter__() for stream in streams]
            codes = [answer.status_code for answer in answers]
            for stream in streams:
                await stream.__aexit__(None, None, None)
            return codes

    assert asyncio.run(open_many()) == [200] * LIMITS.streams + [429] * 2
    for _ in range(100):
        if here.server.service.streams == 0:
            break
        time.sleep(0.1)
    assert asyncio.run(open_many()) == [200] * LIMITS.streams + [429] * 2, "those that left made room"


def test_more_searches_than_may_wait_are_turned_away_and_the_others_answered(here: Running) -> None:
    codes: list[int] = []
    wanted = here.client.get(f"{API}/search?text=red").json()["hits"]
    wrong: list[object] = []

    def ask() -> None:
        with anonymous(here.server, headers={"authorization": f"Bearer {TOKEN}"}) as client:
            for _ in range(5):
                answer = client.get(f"{API}/search?text=red")
                codes.append(answer.status_code)
                if answer.status_code == 200 and answer.json()["hits"] != wanted:
                    wrong.append(answer.json())
                assert answer.status_code == 200 or answer.headers["retry-after"]

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) == {200, 429} and wrong == []
    assert here.client.get(f"{API}/search?text=red").json()["hits"] == wanted
    assert here.server.service.searches.running == here.server.service.searches.waiting == 0


def test_markup_in_names_tags_and_passages_stays_text(here: Running) -> None:
    evil = "<img src=x onerror=alert(1)>"
    picture(here.media / f"{evil.replace('/', '')}.png", "blue", mark=7)
    here.library.ingest(here.media)
    item = here.item(f"{evil}.png")
    here.library.tag(here.media / f"{evil}.png", [evil])
    for path in ("/search?text=blue", f"/items/{item}", "/tags", f"/folders?path={here.media}"):
        answer = here.client.get(API + path)
        assert answer.headers["content-type"] == "application/json" and evil in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
    told = here.client.get(f"{API}/items/{item}/file").headers["content-disposition"]
    assert told == "inline; filename*=utf-8''%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.png"


def test_forwarded_headers_count_from_the_proxy_alone(tmp_path: Path) -> None:
    forged = {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "https", "x-forwarded-host": "evil.test"}
    with running(tmp_path / "direct") as direct:
        known = direct.client.get(f"{API}/session", headers={**forged, "x-forwarded-for": "10.9.9.9"}).json()
        assert known["on_this_machine"], "nobody's word was taken"
        assert direct.client.get(f"{API}/status", headers={"host": "evil.test", **forged}).status_code == 421
        origin = {"origin": f"https://localhost:{direct.address[1]}", "x-forwarded-proto": "https"}
        assert direct.client.get(f"{API}/status", headers=origin).status_code == 403
    with running(tmp_path / "behind", proxies=("127.0.0.1",), allow_hosts=("media.home",)) as behind:
        theirs = {"x-forwarded-for": "10.9.9.9", "x-forwarded-proto": "https", "host": "media.home"}
        known = behind.client.get(f"{API}/session", headers=theirs).json()
        assert not known["on_this_machine"]
        assert behind.client.post(f"{API}/items/1/reveal", headers=theirs).status_code == 403
        assert behind.client.post(f"{API}/items/1/reveal").status_code == 403
        begun = behind.client.post(f"{API}/session", json={"token": TOKEN}, headers=theirs)
        assert "Secure" in begun.headers["set-cookie"]
        assert behind.client.get(f"{API}/status", headers={**theirs, "host": "evil.test"}).status_code == 421
    with running(tmp_path / "other", proxies=("10.1.1.1",)) as other:
        known = other.client.get(f"{API}/session", headers={**forged, "x-forwarded-for": "10.9.9.9"}).json()
        assert known["on_this_machine"], "127.0.0.1 is no proxy of this one"


def test_no_log_holds_a_token_a_session_or_a_query(tmp_path: Path) -> None:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger("mmsearch").setLevel(logging.DEBUG)
    try:
        with running(tmp_path) as here, anonymous(here.server) as browser:
            browser.get("/", params={"token": TOKEN})
            browser.get("/", params={"token": f"{TOKEN}-wrong"})
            session = browser.cookies[f"mmsearch-{here.address[1]}"]
            browser.get(f"{API}/search?text=a-private-query")
            browser.get(f"{API}/search?text=red&filter=(((")
            raw(here.address, f"NONSENSE {TOKEN}\r\n\r\n".encode())
            here.client.get(f"{API}/metrics")
            counted = here.client.get(f"{API}/metrics").text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    ours = "\n".join(
        line for line in said.getvalue().splitlines() if "HTTP Request" not in line and "send_request" not in line
    )
    for secret in (TOKEN, session, "a-private-query"):
        assert secret not in counted
        assert not [line for line in ours.splitlines() if secret in line and "headers" not in line]


SERVER = """
import sys
from pathlib import Path
import mmsearch
from mmsearch.serve.options import ServeOptions
from mmsearch.serve.server import start
with mmsearch.open(Path(sys.argv[1]), space="tests.tiny:space", workers=1) as library:
    server = start(library, ServeOptions(port=0, token=sys.argv[2], made_token=False, manage=True))
    print(server.address, flush=True)
    server.run()
"""


def started(library: Path, temporary: Path) -> tuple["subprocess.Popen[str]", str]:
    known = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(temporary)}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(library), TOKEN], stdout=subprocess.PIPE, text=True, env=known, cwd=CHECKOUT
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def descendants(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))


@pytest.mark.skipif(sys.platform == "win32", reason="a kill is POSIX's here")
def test_a_kill_loses_nothing_and_the_next_start_is_clean(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    filled(tmp_path).close()
    headers = {"authorization": f"Bearer {TOKEN}"}
    seen: list[psutil.Process] = []
    for _ in range(2):
        process, address = started(tmp_path / "library", temporary)
        with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
            content = (tmp_path / "media" / "red.png").read_bytes()
            assert client.post(f"{API}/uploads", files={"file": ("a.png", content)}).status_code == 201
            assert len(list(temporary.glob(f"{PREFIX}*/*.png"))) == 1, "what the killed one left is gone"
            picture(tmp_path / "media" / f"new-{process.pid}.png", "blue", mark=process.pid % 16384)
            assert client.post(f"{API}/jobs", json={"kind": "ingest"}).status_code == 202
            seen += descendants(process)
        with process:
            process.send_signal(signal.SIGKILL)
    # Neither a worker nor a job outlives its server for long.
    _, alive = psutil.wait_procs(seen, timeout=30)
    assert alive == []
    process, address = started(tmp_path / "library", temporary)
    try:
        with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
            assert client.get(f"{API}/search?text=red").json()["hits"][0]["name"] in ("red.png", "clip.mp4")
            assert list(temporary.glob(f"{PREFIX}*/*.png")) == []
    finally:
        with process:
            process.terminate()
    assert process.returncode in (0, -signal.SIGTERM)
    assert list(temporary.glob(f"{PREFIX}*")) == [], "a server that ends leaves nothing"


def test_a_job_runs_beside_searches_and_is_followed(here: Running) -> None:
    picture(here.media / "beside.png", "green", mark=99)
    begun = here.client.post(f"{API}/jobs", json={"kind": "ingest"}).json()
    second = here.client.post(f"{API}/jobs", json={"kind": "prune"}).json()
    assert (begun["state"], second["state"]) == ("queued", "queued")
    assert here.client.delete(f"{API}/jobs/{second['id']}").status_code == 204
    events = set()
    with here.client.stream("GET", f"{API}/events") as stream:
        for line in stream.iter_lines():
            assert here.client.get(f"{API}/search?text=red").status_code == 200
            events.add(line)
            if '"state": "done"' in line:
                break
    assert {"event: progress", "event: generation"} <= events
    states = {job["id"]: job["state"] for job in here.client.get(f"{API}/jobs").json()}
    assert (states[begun["id"]], states[second["id"]]) == ("done", "cancelled")
    assert here.library.get(here.media / "beside.png") is not None
    for asked in ({"kind": "ingest", "roots": [10**6]}, {"kind": "ingest", "path": "/etc"}, {"kind": "exec"}):
        assert here.client.post(f"{API}/jobs", json=asked).status_code in (400, 404)


def test_temporary_folders_of_others_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmsearch.serve.uploads import sweep_left_behind

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    fresh = tmp_path / f"{PREFIX}fresh"
    fresh.mkdir()
    old = tmp_path / f"{PREFIX}old"
    old.mkdir()
    (old / "a.png").write_text("x")
    os.utime(old, (0, 0))
    sweep_left_behind()
    assert (elsewhere / "precious").exists() and fresh.exists() and not old.exists()
