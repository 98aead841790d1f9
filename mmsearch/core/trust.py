"""What data may name. Catalogs, connections and adapters travel: none of them names code, or reaches beyond itself.

A recorded space is loaded if it is built in, an installed package's entry point, or of a family that reads weights as
data. Any other "module:attribute" counts only where the user gave it for this very library: in code, on the command
line, in MMSEARCH_SPACE or the user's own file. A folder is followed below the models folder or the library, or where
the user named it on this machine, which is remembered.
"""

import json
import os
import shlex
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mmsearch.core import registry
from mmsearch.core.config import models_folder, user_file
from mmsearch.core.json_text import parse_json
from mmsearch.core.value_ranges import brief_repr
from mmsearch.errors import UnknownName, Untrusted

FILE_NAME = "named.json"
"""Beside the user's settings: what was named on this machine."""
MAX_REMEMBERED = 1000
"""How many names are remembered; the oldest are forgotten first."""


@dataclass(slots=True)
class Trust:
    """For one library. Thread safety: any number of threads."""

    library: Path | None = None
    named: set[str] = field(default_factory=set)
    """Targets that the user gave."""

    def name(self, name: str) -> None:
        """Follow what the user calls a space, from now on; one that nobody knows is left to whoever loads it."""
        try:
            target = registry.target_of("spaces", name)
        except UnknownName:
            return
        self.named.add(target)
        remember_named([target])

    def checked(self, target: str) -> str:
        """A target that data names, if it may. Raises: Untrusted."""
        if target in self.named:
            return target
        return checked_target(target, self.library)


def checked_target(target: str, *folders: Path | None) -> str:
    """A target that data names, if it may; its folder may lie below these. Raises: Untrusted."""
    family, _, rest = target.partition(":")
    if family in registry.FOLDERS:
        rest = registry.split_options(rest)[0] if family == "st-dir" else rest
        if is_share(rest) or not _below(rest, [models_folder(), *(one for one in folders if one is not None)]):
            _refuse_folder(target, rest)
        return target
    if family in registry.FAMILIES["spaces"] or _installed(target):
        return target
    raise Untrusted(
        f"what travels with these vectors says that {brief_repr(target)} made them: code that only you may name",
        hint=f"only if you know that code and trust it, name it: MMSEARCH_SPACE={_quoted(target)} before the command, "
        "or mmsearch.open(..., space=...); an installed package names its spaces by entry points",
    )


def _installed(target: str) -> bool:
    # Reading the entry points takes milliseconds; most targets are built in.
    built_in = target in registry.FORMER or target in registry.BUILTIN["spaces"].values()
    return built_in or target in registry.known_targets("spaces").values()


def _refuse_folder(target: str, rest: str) -> None:
    """Raises: Untrusted, unless the folder was named on this machine, and is on it."""
    if not is_share(rest) and target in remembered_names():
        return
    why = "a share of another machine" if is_share(rest) else "neither below the models folder nor below the library"
    raise Untrusted(
        f"what travels with these vectors names a folder of weights, {brief_repr(rest)}, {why}",
        hint=f"if it is yours, name it once: MMSEARCH_SPACE={_quoted(target)} before the command",
    )


def _quoted(target: str) -> str:
    """For a shell, which somebody may paste it into."""
    return shlex.quote(target) if target.isprintable() and len(target) <= 200 else "NAME"


def is_share(path: str) -> bool:
    """Whether a path names another machine (UNC): just to look at it may send that machine a password's hash."""
    return path.startswith(("//", "\\\\", "/\\", "\\/"))


def _below(path: str, folders: Iterable[Path]) -> bool:
    if "\0" in path or not os.path.isabs(path):
        return False
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def remember_named(names: Iterable[str]) -> None:
    """Remember what the user named or made on this machine: folders of weights, connections by "sha256:...".

    Where it can't be written it has to be named again the next time.
    """
    lasting = [name for name in names if name.partition(":")[0] in (*registry.FOLDERS, "sha256")]
    known = remembered_names() if lasting else []
    fresh = [name for name in lasting if name not in known]
    if not fresh:
        return
    path = user_file().with_name(FILE_NAME)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            json.dump([*known, *fresh][-MAX_REMEMBERED:], file, indent=1)
        os.replace(file.name, path)
    except (OSError, ValueError):
        return


def remembered_names() -> list[str]:
    """What was named on this machine."""
    try:
        found = parse_json(user_file().with_name(FILE_NAME).read_bytes())
    except (OSError, ValueError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def connection_member(target: str, sha256: str) -> str:
    """A space that a connection, a file of this hash, is made of. Raises: Untrusted.

    One that was made here was made of spaces that the user named.
    """
    return target if f"sha256:{sha256}" in remembered_names() else checked_target(target)
