"""What users leave out: globs as .gitignore means them, `.mmsearchignore` files, and folders with a `.nomedia`."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mmsearch.core.normal_form import normal_form
from mmsearch.core.value_ranges import brief_repr
from mmsearch.errors import InvalidInput

if TYPE_CHECKING:
    from pathspec import Pattern

IGNORE_FILE = b".mmsearchignore"
"""In any folder: globs of what to leave out in it and below, in the syntax of .gitignore."""

NO_MEDIA = b".nomedia"
"""A folder with such a file is none to look into, as Android's gallery has it."""

_MOST_BYTES = 2**20


@dataclass(slots=True)
class Rules:
    """Globs that count below one folder."""

    below: bytes
    """That folder's path below the root, with a slash at its end; empty for the root."""
    patterns: Sequence[tuple[str, "Pattern"]]
    """Each with what the user wrote."""
    matched: set[str] = field(default_factory=set)
    """What the user wrote that matched something."""
    above: str = ""
    """What stands before every path that is asked for: where the globs count from a folder above the root."""

    def verdict(self, path: bytes) -> bool | None:
        """Whether a path below the root, a folder's with a slash at its end, is left out (True) or taken back (False);
        None if no glob says. The last that matches decides."""
        text = self.above + normal_form(os.fsdecode(path[len(self.below) :]).replace(os.sep, "/"))
        found: bool | None = None
        for written, pattern in self.patterns:
            if pattern.include is not None and pattern.match_file(text) is not None:
                self.matched.add(written)
                found = pattern.include
        return found


def excluding(globs: Iterable[str], root: Path) -> Rules:
    """The rules of `exclude` for one root. A path, absolute or as seen from the working folder, counts if it lies below
    the root. Raises: InvalidInput.
    """
    made: list[tuple[str, Pattern]] = []
    for glob in globs:
        written = glob.replace(os.sep, "/")
        turned = "/" + written.removeprefix("./") if written.startswith("./") else written
        made += [
            (glob, _compiled(glob, _literal(line))) for line in dict.fromkeys([turned, *_seen_from(written, root)])
        ]
    return Rules(b"", made)


def kept_for(root: Path, kept: Mapping[bytes, Sequence[str]]) -> list[Rules]:
    """The rules that are kept with a root or with one above it, for a scan of it. Whoever names a folder or a file in
    it, gets no more of it."""
    found = []
    for path, globs in kept.items():
        owner = Path(os.fsdecode(path))
        if root.is_relative_to(owner):
            rules = excluding(globs, owner)
            below = root.relative_to(owner).as_posix()
            if below != ".":
                rules.above = normal_form(below + "/" * root.is_dir())
            found.append(rules)
    return found


def to_keep(glob: str, root: Path) -> str:
    """A glob as it can be kept with a root, without the working folder. Raises: InvalidInput."""
    if "\n" in glob or "\0" in glob or not glob.strip() or not _is_unicode(glob):
        raise InvalidInput(f"{brief_repr(glob)} is no glob to keep", hint="such as '*.tmp' or 'private/'")
    excluding([glob], root)
    written = glob.replace(os.sep, "/")
    return next(iter(_seen_from(written, root)), "/" + written[2:] if written.startswith("./") else glob)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def ignoring(path: bytes, below: bytes) -> Rules:
    """The rules of an ignore file. What is no glob in it is passed over. Raises: OSError."""
    if not os.path.isfile(path):  # a pipe would be waited for
        raise FileNotFoundError(path)
    with open(path, "rb") as file:
        lines = file.read(_MOST_BYTES).decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    made: list[tuple[str, Pattern]] = []
    for line in lines:
        try:
            made.append((line, _compiled(line, line)))
        except InvalidInput:
            continue
    return Rules(below, made)


def left_out(path: bytes, rules: Sequence[Rules]) -> bool:
    """Whether a path is left out: of the folders that say something, the innermost decides."""
    verdicts = (found for each in reversed(rules) if (found := each.verdict(path)) is not None)
    return next(verdicts, False)


def _seen_from(glob: str, root: Path) -> list[str]:
    """A path with a slash in it, as it is below the root; nothing if it isn't below it."""
    if "/" not in glob.rstrip("/") or glob.startswith(("!", "**")):
        return []
    whole = os.path.abspath(os.path.expanduser(glob)).replace(os.sep, "/")
    start = os.fspath(root).replace(os.sep, "/").rstrip("/") + "/"
    end = "/" if glob.endswith("/") else ""
    return ["/" + whole.removeprefix(start) + end] if whole.startswith(start) else []


def _literal(line: str) -> str:
    """In a file # begins a comment and spaces at an end are none; somebody who types them means them."""
    bare = line.rstrip(" ")
    return ("\\" if line.startswith("#") else "") + bare + "\\ " * (len(line) - len(bare))


def _compiled(written: str, line: str) -> "Pattern":
    # Searches load this module too, and have no use for globs.
    from pathspec import lookup_pattern

    try:
        return lookup_pattern("gitignore")(normal_form(line))
    except ValueError as error:
        raise InvalidInput(
            f"{written!r} is no glob: {error}", hint="such as '*.tmp', 'private/' or 'camera/**/*.png'"
        ) from error
