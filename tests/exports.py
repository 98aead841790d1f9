"""Exported folders changed by hand: an export is read, changed, and sealed anew, as whoever means harm would do."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


class Export:
    """An exported folder: its JSON by file, to be changed; `seal` writes it, with hashes that fit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Any = json.loads((folder / MANIFEST).read_text("utf-8"))
        self.contents = self.lines("contents.jsonl")
        self.items = self.lines("items.jsonl")

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in (self.folder / name).read_text("utf-8").splitlines()]

    def write(self, name: str, data: bytes | list[Any]) -> None:
        """A file, as bytes or as lines of JSON."""
        if isinstance(data, list):
            data = b"".join(json.dumps(one).encode() + b"\n" for one in data)
        (self.folder / name).write_bytes(data)
        if isinstance(self.manifest, dict) and isinstance(self.manifest.get("files"), dict):
            self.manifest["files"][name] = hashlib.sha256(data).hexdigest()

    def seal(self) -> Path:
        """Write what was changed; the folder."""
        self.write("contents.jsonl", self.contents)
        self.write("items.jsonl", self.items)
        return self.close()

    def close(self) -> Path:
        """Write the manifest alone."""
        (self.folder / MANIFEST).write_text(json.dumps(self.manifest), "utf-8")
        return self.folder


def copied(source: Path, target: Path) -> Export:
    return Export(Path(shutil.copytree(source, target)))


Change = Callable[[Export], object]
"""Changes an export; one that gives its folder has sealed it in its own way."""


def sealed(export: Export, change: Change) -> Path:
    done = change(export)
    return done if isinstance(done, Path) else export.seal()
