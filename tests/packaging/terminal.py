"""The picture of a terminal in the README: `python -m tests.packaging.terminal` runs the commands and draws it anew."""

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.text import Text

from mmsearch.cli.exit_codes import NOTHING_FOUND

CHECKOUT = Path(__file__).parents[2]
PICTURE = CHECKOUT / "tests/assets/terminal.svg"
WIDTH = 118
SETUP = "mmsearch ingest mmsearch/resources/samples --exclude CREDITS.md"
SHOWN = (
    "mmsearch query waves rolling onto a beach -k 5",
    "mmsearch query mmsearch/resources/samples/sounds/dog-barking-sharply.ogg --in image -k 2",
    "mmsearch query how to calm a nervous dog -k 3",
    "mmsearch query quarterly tax return",
)


def environment(folder: Path) -> dict[str, str]:
    """A shell whose `mmsearch` is the checkout's, with a library of its own in the folder."""
    script = folder / "mmsearch"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mmsearch "$@"\n')
    script.chmod(0o755)
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(folder), os.environ["PATH"]]),
        "PYTHONPATH": str(CHECKOUT),
        "MMSEARCH_LIBRARY": str(folder / "library"),
        "COLUMNS": str(WIDTH),
        "TERM": "xterm-256color",
    }


def on_terminal(command: str, shell: dict[str, str]) -> str:
    """What a command prints on a terminal, ANSI codes and all."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command.split(), cwd=CHECKOUT, env=shell, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        output = b"".join(_pieces(ours))
    os.close(ours)
    if process.returncode not in (0, NOTHING_FOUND):
        raise RuntimeError(f"{command}: exit code {process.returncode}\n{output.decode()}")
    return output.decode().replace("\r\n", "\n").replace(str(shell["MMSEARCH_LIBRARY"]), "indexes/default")


def _pieces(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says EIO when the other end is closed
            return
        if not piece:
            return
        yield piece


def draw(outputs: list[tuple[str, str]]) -> str:
    """SVG of the commands and what they printed."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w", encoding="utf-8"), highlight=False)  # noqa: SIM115
    for command, output in outputs:
        console.print(Text("$ ", "bold green") + Text(command, "bold"))
        console.print(Text.from_ansi(output.rstrip()))
        console.print()
    console.file.close()
    return console.export_svg(title="mmsearch", unique_id="terminal")


def lines(svg: str) -> list[str]:
    """The text of a drawing, line by line, without empty ones; how wide its gaps are is not kept."""
    texts = [e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text") and e.get("clip-path")]
    rows = groupby(texts, lambda element: element.get("clip-path"))
    joined = (" ".join(e.text or "" for e in row).replace("\xa0", " ").rstrip() for _, row in rows)
    return [line for line in joined if line]


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        shell = environment(folder)
        on_terminal(SETUP, shell)
        svg = draw([(command, on_terminal(command, shell)) for command in SHOWN])
    finally:
        shutil.rmtree(folder)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.M), "utf-8")


if __name__ == "__main__":
    main()
