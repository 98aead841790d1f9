"""`mmsearch serve` as a command: what it prints, refuses and leaves."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import CHECKOUT, Run
from tests.generated import words
from tests.serve.running import API, filled


@pytest.mark.slow
@pytest.mark.extras
@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends a process of its own there")
def test_the_command_prints_where_it_serves_and_ends_with_a_signal(tmp_path: Path, environment: dict[str, str]) -> None:
    filled(tmp_path).close()
    known = {**os.environ, **environment, "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "mmsearch", "serve", "--port", "0"]
    for ending in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(command, env=known, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            address = re.fullmatch(r"mmsearch serves .* at (http://127\.0\.0\.1:\d+/\?token=\S+)\n", said)
            assert address, said
            with httpx.Client(follow_redirects=True, timeout=60) as browser:
                page = browser.get(address[1])
                assert page.status_code == 200 and "token" not in str(page.url)
                base = str(page.url).rstrip("/")
                assert browser.get(f"{base}{API}/search?text=red").json()["hits"][0]["confidence"] > 0.5
            process.send_signal(ending)
            assert process.wait(60) == 0
    assert list(tmp_path.glob("mmsearch-*")) == []


@pytest.mark.slow
@pytest.mark.extras
@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends a process of its own there")
def test_a_server_that_watches_shows_what_comes(tmp_path: Path, environment: dict[str, str]) -> None:
    filled(tmp_path).close()
    known = {**os.environ, **environment, "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "mmsearch", "serve", "--port", "0", "--watch"]
    with subprocess.Popen(command, env=known, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().rpartition(" ")[2].strip()
        words(tmp_path / "media" / "come.txt", "a lighthouse")
        with httpx.Client(follow_redirects=True, timeout=60) as browser:
            base = str(browser.get(address).url).rstrip("/")
            for _ in range(600):
                found = browser.get(f"{base}{API}/search?text=lighthouse&mode=keyword").json()["hits"]
                if found:
                    break
                time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert [hit["name"] for hit in found] == ["come.txt"]


def test_what_would_let_others_in_is_refused_by_the_command(run: Run, tmp_path: Path) -> None:
    for arguments in (("--host", "0.0.0.0"), ("--behind-proxy", "127.0.0.1"), ("--no-token", "--host", "0.0.0.0")):
        done = run("serve", "--port", "0", *arguments)
        assert done.returncode == 2 and b"--token-file" in done.stderr, arguments
    (tmp_path / "token").write_text("a-token-of-many-characters")
    (tmp_path / "token").chmod(0o644)
    assert b"chmod 600" in run("serve", "--token-file", "token").stderr
    assert run("serve", "--no-token", "--token-file", "token").returncode == 2


@pytest.mark.slow
def test_searches_are_saved_by_the_command(run: Run, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "note.txt").write_text("a red house")
    run("ingest", "media")
    assert run("searches", "--save", "dogs=?text=dog").stdout == b"dogs\ttext=dog\n"
    assert b'"address": "text=dog"' in run("searches", "--json").stdout
    assert run("searches", "--forget", "dogs").stdout == b""
    assert run("searches", "--forget", "dogs").returncode == 2
