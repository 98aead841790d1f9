"""Every command of the shell once, in one process: `python -m tests.packaging.every_command FOLDER`.

FOLDER gets the media, the library and whatever a command is told to write. Prints one line of JSON for each command:
its arguments, its exit code, what it said. What is watched meanwhile is the caller's affair.
"""

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from mmsearch.cli import main as shell
from tests.generated import COLOURS, picture, sound, words

Arguments = tuple[str, ...]
INKS = tuple(f"{ink}-{mark}" for ink in COLOURS for mark in range(3))
QUICK = ("--epochs", "1")
MODEL = "hf-hub:drawn/clip"


def fill(folder: Path) -> None:
    """Media, pairs of words and files, and names of files."""
    media = folder / "media"
    media.mkdir(parents=True)
    for ink in INKS:
        picture(media / f"{ink}.png", ink.partition("-")[0], mark=int(ink[-1]))
        words(media / f"note on {ink}.txt", f"a {ink} house by the sea")
        picture(folder / "bundles" / f"{ink}.png", ink.partition("-")[0], mark=int(ink[-1]) + 9)
        words(folder / "bundles" / f"{ink}.txt", f"a {ink} garden")
    sound(media / "low.wav", "low")
    sound(media / "talk.wav", "mid")
    (media / "talk.srt").write_text("1\n00:00:00,500 --> 00:00:02,000\nGood morning.\n")
    (media / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for table, place in (("pairs.tsv", "media"), ("bundled.tsv", "bundles")):
        lines = "".join(f"a {ink} picture\t{place}/{ink}.png\r\n" for ink in INKS)
        (folder / table).write_bytes(b"query\trelevant\r\n" + lines.encode())
    rows = "".join(f"media/{ink}.png\t{'warm' if n % 2 else 'cold'}\r\n" for n, ink in enumerate(INKS))
    (folder / "names.tsv").write_bytes(b"path\tlabel\r\n" + rows.encode())


def commands(model: str) -> Iterator[Arguments]:
    """With what they need; `model` is the folder of a small open_clip model."""
    yield ("ingest", "media", "bundles")
    yield ("ingest", "media/broken.png", "--dry-run")
    yield from (
        ("query", "a red house"),
        ("query", "media/red-1.png", "--explain"),
        ("query", "low", "--mode", "keyword"),
    )
    yield from (("duplicates",), ("status",), ("failures",), ("failures", "--retry"), ("config",))
    yield from (("label", "--as", "red,green", "--save"), ("evaluate", "pairs.tsv"))
    yield from (("index", one) for one in ("presets", "status", "tune", "build", "verify"))
    yield ("train", "projection", "pairs.tsv", "--name", "bent", *QUICK)
    yield from (("train", "apply", "bent"), ("query", "green"), ("train", "apply", "--base"), ("train", "list"))
    yield ("train", "labels", "names.tsv", "--name", "warmth", *QUICK)
    yield ("label", "--with", "warmth")
    yield ("train", "fusion", "bundled.tsv", "--name", "ours", *QUICK)
    yield ("train", "drop", "bent")
    yield from (("backup", "all.backup"), ("restore", "all.backup", "--force"), ("export", "exported"))
    yield ("import", "exported", "--library", "second.library")
    yield ("move", "second.library", "third.library")
    yield from (("models",), ("prepare", MODEL, "--from", model, "--yes"))
    yield from (("model", "add", MODEL), ("model", "switch", MODEL), ("model", "list"), ("model", "drop", "tiny"))
    yield ("connect", "starter", "starter-open", "--name", "both", "--texts", "texts.txt")
    yield ("ingest", "media", "--library", "clip.library", "--space", MODEL)
    yield ("train", "adapter", "pairs.tsv", "--library", "clip.library", "--name", "fitted", *QUICK)
    yield from (
        ("extract", "add", "ocr", "--dry-run"),
        ("extract", "list"),
        ("extract", "drop", "ocr"),
        ("transcript", "media/talk.wav", "--srt"),
        ("items",),
        ("searches", "--save", "dogs=text=dog"),
        ("tag", "media/red-1.png", "--add", "seen"),
        ("token", "create", "ann", "--filter", "modality = image"),
        ("token", "list"),
        ("audit", "list"),
        ("privacy", "show"),
        ("privacy", "set", "--places", "rounded"),
        ("privacy", "apply"),
        ("audit", "verify"),
        ("encrypt", "file:library.key"),
        ("rekey", "file:other.key"),
        ("token", "revoke", "ann"),
        ("help",),
        ("warm", "status"),
        ("warm", "stop"),
        ("service", "install", "media"),
        ("service", "remove"),
        ("help", "guide"),
        ("examples",),
        ("examples", "shop"),
        ("doctor",),
        ("completion", "bash"),
        ("doctor", "--paths", "--json"),
        ("roots", "media", "--exclude", "private/"),
        ("remove", "media/red-1.png"),
        ("prune", "--prove"),
    )


def run(arguments: Arguments) -> tuple[int, str]:
    """The exit code, and what was printed."""
    said = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    before = sys.argv
    sys.argv = ["mmsearch", *arguments]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            shell()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    printed = said.buffer.getvalue() if isinstance(said.buffer, io.BytesIO) else b""
    return code, printed.decode("utf-8", "replace")


def main(folder: Path) -> None:
    from tests import clip

    fill(folder)
    things = ("house", "boat", "dog", "tree", "car", "bird", "river", "hill", "cup", "lamp")
    texts = [f"a {ink} {thing}" for ink in INKS for thing in things]
    (folder / "texts.txt").write_text("\n".join(texts), "utf-8")
    clip.save(folder / "model", "clip")
    for arguments in commands(str(folder / "model")):
        code, said = run(arguments)
        sys.__stdout__.write(json.dumps([arguments, code, said]) + "\n")  # type: ignore[union-attr]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
