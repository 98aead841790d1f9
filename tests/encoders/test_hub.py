"""Downloads by the hub's protocol, served here from a folder: verified, and a failure leaves nothing."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mmsearch.core.config import models_folder
from mmsearch.models import download
from tests import clip, sentence
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.slow

NAME = "hf-hub:someone/model"
WEIGHTS = "open_clip_model.safetensors"
REVISION = "a" * 40


class Hub(ThreadingHTTPServer):
    """As much of the Hugging Face hub as a download asks for; a repository is a folder."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = self.path.split("?")[0].strip("/")
        self.server.asked.append(f"{self.command} {path}")
        if path.startswith("api/models/"):
            self.describe(self.server.root / path.removeprefix("api/models/"))
            return
        name, _, file = path.partition(f"/resolve/{REVISION}/")
        found = self.server.root / name / file
        if file and found.is_file():
            self.give(found.read_bytes())
        else:
            self.send_error(404)

    def describe(self, folder: Path) -> None:
        if not folder.is_dir():
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            return
        files = []
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            name = path.relative_to(folder).as_posix()
            said: dict[str, Any] = {"rfilename": name, "size": path.stat().st_size}
            if path.name == WEIGHTS:
                digest = (folder.parent / "sha256").read_text()
                said["lfs"] = {"sha256": digest, "size": said["size"], "pointerSize": 130}
            files.append(said)
        self.give(json.dumps({"id": "someone/model", "sha": REVISION, "siblings": files}).encode())

    def give(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """Serves a model as someone/model, with a file that is not a part of it."""
    source = Path(clip.space("shapes").partition(":")[2])
    folder = Path(shutil.copytree(source, tmp_path / "hub" / "someone" / "model"))
    (folder / "optimizer.bin").write_bytes(b"0" * 1000)
    (folder.parent / "sha256").write_text(hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest())
    served = Hub(tmp_path / "hub")
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


def prepare(hub: Hub, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    environment = {
        **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        "HF_ENDPOINT": hub.address,
        "HF_HUB_OFFLINE": "0",
        "PYTHONPATH": str(CHECKOUT),
    }
    command = [sys.executable, "-m", "mmsearch", "prepare", *arguments]
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def left() -> list[str]:
    place = models_folder()
    return sorted(path.name for path in place.iterdir() if path.name != ".lock") if place.is_dir() else []


def test_only_the_needed_files_are_downloaded_and_only_after_consent(hub: Hub) -> None:
    asked = prepare(hub, NAME)
    assert asked.returncode == 2 and "--yes" in asked.stderr.decode()
    assert "591.5 kB from someone/model on the Hugging Face hub" in asked.stdout.decode()
    assert [path for path in hub.asked if "someone" in path] == ["GET api/models/someone/model"] and left() == []
    done = prepare(hub, NAME, "--yes")
    assert done.returncode == 0, done.stderr.decode()
    folder = download.prepared_folder(NAME)
    assert folder is not None and left() == [folder.name]
    files = {"open_clip_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in folder.iterdir()} == {*files, "mmsearch.json"}
    assert not any("optimizer" in path for path in hub.asked)
    source = hub.root / "someone" / "model"
    assert all((folder / name).read_bytes() == (source / name).read_bytes() for name in files)
    assert json.loads((folder / "mmsearch.json").read_text())["source"] == f"someone/model@{REVISION}"


def test_a_download_with_another_hash_is_refused(hub: Hub) -> None:
    (hub.root / "someone" / "sha256").write_text("0" * 64)
    done = prepare(hub, NAME, "--yes")
    assert done.returncode == 6
    assert f"{WEIGHTS} of someone/model does not match the hub's record" in done.stderr.decode()
    assert left() == []


def test_a_missing_repository_is_an_error_with_a_hint(hub: Hub) -> None:
    done = prepare(hub, "hf-hub:someone/else", "--yes")
    assert done.returncode == 6 and "the hub has no someone/else" in done.stderr.decode()
    assert left() == []


@pytest.mark.extras
def test_a_model_of_sentence_transformers_comes_with_the_folders_of_its_modules(hub: Hub) -> None:
    source = Path(shutil.copytree(sentence.model_folder("gemma"), hub.root / "someone" / "gemma"))
    (source / "evil.py").write_text("raise SystemExit")
    (source / "pytorch_model.bin").write_bytes(b"0")
    done = prepare(hub, "st:someone/gemma,dimensions=32", "--yes")
    assert done.returncode == 0, done.stderr.decode()
    folder = download.prepared_folder("st:someone/gemma")
    assert folder is not None and left() == ["st--someone--gemma"]
    assert (folder / "1_Pooling" / "config.json").read_bytes() == (source / "1_Pooling" / "config.json").read_bytes()
    assert not any("evil" in path or "pytorch_model" in path for path in hub.asked)
