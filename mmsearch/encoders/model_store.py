"""Where models lie on this machine, and what their files hash to. Nothing here ever asks a network."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmsearch.core import registry
from mmsearch.core.json_text import parse_json
from mmsearch.core.paths import cache_folder
from mmsearch.errors import WeightsError

RECORD = "mmsearch.json"
"""In a model's folder: what `mmsearch prepare` made it of."""


def folder_name(name: str) -> str:
    """A model's name as the name of its folder: "hf-hub:timm/x" -> "hf-hub--timm--x"; without its options."""
    plain = registry.split_options(name)[0] if name.startswith("st:") else name
    return re.sub(r"[:/]", "--", plain)


def cached(repository: str, file: str) -> Path | None:
    """A file of a repository in the Hugging Face cache; None if it isn't there, or the name is none."""
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError

    try:
        found = huggingface_hub.try_to_load_from_cache(repository, file)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def hub_cache() -> Path:
    """Hugging Face's own cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def record(folder: Path, name: str, source: str, hashes: Mapping[str, str]) -> None:
    """Note in a model's folder what it is, where it came from and what it is made of: file name -> sha256."""
    files = {file: {"bytes": (folder / file).stat().st_size, "sha256": digest} for file, digest in hashes.items()}
    with (folder / RECORD).open("w", encoding="utf-8") as written:
        json.dump({"name": name, "source": source, "files": files}, written, indent=2)
        written.flush()
        os.fsync(written.fileno())


def damage(folder: Path, *, thorough: bool) -> str | None:
    """What is not as recorded in a model's folder, in words; None if nothing is, or nothing was recorded.

    Sizes only, unless it is to be thorough: then hashes too. Raises: WeightsError if a file can't be read.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        files = {str(name): (entry["bytes"], entry["sha256"]) for name, entry in _json(path)["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{path} can't be read: {error}"
    for name, (size, digest) in files.items():
        file = folder / name
        if not file.is_file():
            return f"{file} is missing"
        if file.stat().st_size != size or (thorough and sha256(file) != digest):
            return f"{file} is not as it was when it was prepared"
    return None


def _json(path: Path) -> Any:
    return parse_json(path.read_text("utf-8"))


def sha256(path: Path) -> str:
    """The sha256 of a file, remembered for as long as its size, times and inode stay.

    Weights of gigabytes take seconds to hash, and each command needs the figure for the fingerprint of its space.
    Raises: WeightsError if it can't be read.
    """
    memory = Memory("sha256.json")
    try:
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        key = str(path.resolve())
        known = memory.read().get(key)
        if isinstance(known, list) and known[:-1] == stamp:
            return str(known[-1])
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror or error}", hint="check its permissions") from error
    memory.note(key, [*stamp, digest])
    return digest


class Memory:
    """A JSON file of names and values in the user's cache folder; of weights, path -> [size, mtime_ns, ctime_ns, inode,
    sha256]."""

    def __init__(self, name: str) -> None:
        self._path = cache_folder() / name

    def read(self) -> dict[str, Any]:
        try:
            found = _json(self._path)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def note(self, key: str, value: list[Any]) -> None:
        """Two processes that note at once may lose one entry, which costs little; a folder without room for it too."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._path.parent, delete=False, encoding="utf-8") as file:
                json.dump({**self.read(), key: value}, file)
            os.replace(file.name, self._path)
        except OSError:
            return


def file_chunks(path: Path, hint: str) -> Iterator[bytes]:
    """The bytes of a file of weights, a part at a time. Raises: WeightsError with this hint if it can't be read."""
    try:
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                yield chunk
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror or error}", hint=hint) from error
