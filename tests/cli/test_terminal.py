"""What a terminal gets, whatever files are called; and what becomes of a command whose output nobody takes."""

import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from mmsearch.cli import cli, main
from mmsearch.cli.output import foreign_bars, printable
from tests.conftest import CHECKOUT, Run
from tests.generated import picture, words
from tests.module_library import ModuleLibrary

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pseudo-terminals, any bytes in names, /dev/full")

STEERS = "\x1b]0;owned\x07\x1b[8m\x9b31m\u202e\u2066\u2028\x7f\r\b\t\nError: forged\n[bold]:bomb:[link=x]"
HOSTILE = STEERS + os.fsdecode(b"\xff")
SHOWN = r"\x1b]0;owned\x07\x1b[8m\x9b31m\u202e\u2066\u2028\x7f\r\x08\t\nError: forged\n[bold]:bomb:[link=x]" r"\udcff"
ROWS = "query\trelevant\n{0}\t{0}\nred\n\n".format(STEERS.replace("\t", " ").replace("\n", " "))

PASSAGE = "a red \x9b31m\u202e\u2066\u2028[bold] apple"
"""With C0 controls it would be no text."""

LONG = "photos of a long holiday in the far north, with everybody, 2019-2024/DSC_0001.txt"

FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
RICH = re.compile(
    r"\x1b\[(?:[013]|[39][0-9])?m|\x1b\[(?:1A|2K|\?25[lh])|\r|\x1b\]8;(?:id=\d+)?;(?:file:///[!-~]*)?\x1b\\|\x1b\[\d+G"
)
"""Bold, colours, the movements of a progress bar, links to files, and the way to a column."""

Ended = tuple[int, str]
"""The exit code, and what came to the terminal."""


def fill(media: Path) -> None:
    words(media / f"{HOSTILE}.txt", PASSAGE)
    words(media / "green.txt", "a green field")
    words(media / "copy of it.txt", PASSAGE)
    words(media / LONG, "a blue house")
    (media / f"{HOSTILE}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (media.parent / f"{HOSTILE}.tsv").write_text(ROWS, "utf-8")
    picture(media / "red.png", "red")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.fixture
def shell(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Callable[..., int]":
    """The command in this process with streams of our own; its exit code."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("COLORTERM", raising=False)

    def run(out: io.TextIOBase | None, err: io.TextIOBase | None, *arguments: str | Path) -> int:
        with monkeypatch.context() as patch:
            for name, value in (("stdout", out), ("stderr", err), ("argv", ["mmsearch", *map(str, arguments)])):
                patch.setattr(sys, name, value)
            try:
                main()
            except SystemExit as end:
                return int(end.code or 0)
            finally:
                for given, stream in ((out, sys.stdout), (err, sys.stderr)):
                    if given is None:
                        stream.close()
            return 0

    return run


@pytest.fixture
def terminal(shell: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """The command on a pseudo-terminal, which gets all that it prints."""

    def run(*arguments: str | Path, columns: int = 80, term: str = "dumb") -> Ended:
        import fcntl
        import struct
        import termios
        import tty

        monkeypatch.setenv("TERM", term)
        monkeypatch.setenv("COLUMNS", str(columns))
        controller, end = os.openpty()
        tty.setraw(end)
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        seen: list[bytes] = []
        reader = threading.Thread(target=lambda: seen.extend(_read(controller)))
        reader.start()
        with open(end, "w", encoding="utf-8") as out, open(os.dup(end), "w", encoding="utf-8") as err:
            code = shell(out, err, *arguments)
        reader.join()
        os.close(controller)
        return code, b"".join(seen).decode()

    return run


def _read(controller: int) -> Iterator[bytes]:
    """Until nobody has the other end open, which Linux calls an error."""
    while True:
        try:
            data = os.read(controller, 65536)
        except OSError:
            return
        if not data:
            return
        yield data


def leaves(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*before, name))
        else:
            yield (*before, name), command


ENDLESS = ("demo",), ("mcp",), ("serve",), ("watch",)
COMMANDS = {names: command for names, command in leaves(cli) if names not in ENDLESS}
"""All but the demo, which prints words and samples of our own and takes long, and what goes on until it is stopped."""
LAST = ("remove", "prune", "restore")
"""Commands after which there is less to print."""
ORDER = sorted(COMMANDS, key=lambda names: names[0] in LAST)
SAME = {"--library", "--device", "--precision", "--audio", "--video"}
"""Options that all share, and those of files besides --image: given once at most."""


def given(parameter: click.Parameter, media: Path) -> str:
    """A hostile value of the parameter's type."""
    if parameter.type.name == "file" or parameter.name == "pairs":
        return str(media.parent / f"{HOSTILE}.tsv")
    if parameter.type.name == "directory":
        return str(media.parent / HOSTILE)
    return str(media / f"{HOSTILE}.txt") if parameter.type.name == "path" else HOSTILE


def bare(names: tuple[str, ...], media: Path) -> list[str]:
    """The command with what it can't do without."""
    command = COMMANDS[names]
    arguments = [*names]
    for one in command.params:
        if isinstance(one, click.Argument):
            arguments.append(given(one, media))
        elif one.required:
            arguments += [one.opts[0], given(one, media)]
    return arguments


def with_options(names: tuple[str, ...], media: Path) -> Iterator[list[str]]:
    """The command by itself, then with each option that takes words or a path."""
    yield bare(names, media)
    for one in COMMANDS[names].params:
        wordy = isinstance(one, click.Option) and not one.is_flag and one.type.name in ("text", "path", "file")
        if wordy and (one.opts[0] not in SAME or names == ("ingest",)):
            yield [*bare(names, media), one.opts[0], given(one, media)]


@pytest.mark.parametrize("names", ORDER, ids=" ".join)
@pytest.mark.slow
def test_no_command_lets_a_name_steer_the_terminal(
    terminal: Callable[..., Ended], folder: Path, names: tuple[str, ...]
) -> None:
    for arguments in with_options(names, folder):
        _, seen = terminal(*arguments)
        assert FORBIDDEN.findall(seen) == [], (arguments, seen)
        assert "Traceback" not in seen
        assert "\nError: forged" not in f"\n{seen}", (arguments, seen)


@pytest.mark.parametrize("arguments", [["query", "red"], ["failures"], ["status"], ["ingest", "media"]])
def test_only_the_table_and_the_progress_bar_write_control_sequences(
    terminal: Callable[..., Ended], arguments: list[str]
) -> None:
    _, seen = terminal(*arguments, term="xterm")
    assert FORBIDDEN.findall(RICH.sub("", seen)) == []


def test_control_characters_in_names_are_escaped_on_a_terminal(terminal: Callable[..., Ended], folder: Path) -> None:
    path = f"{folder}/{SHOWN}.txt"
    assert terminal("query", "red", "-k", "1", "--in", "text", "--paths", "--no-dedup") == (0, f"{path}\n")
    assert terminal("query", "red", "-k", "1", "--in", "text", "--paths", "-0", "--no-dedup") == (0, f"{path}\n")
    code, seen = terminal("query", "red", "--in", "text", "--no-dedup", columns=400, term="xterm")
    (row,) = (line.split("  ") for line in RICH.sub("", seen).splitlines() if SHOWN in line)
    assert code == 0 and f"media/{SHOWN}.txt" in row
    seen = terminal("failures", columns=400, term="xterm")[1]
    assert RICH.sub("", seen).splitlines()[1].startswith(f"corrupt      1  media/{SHOWN}.png")
    gone = folder / (HOSTILE + "2")
    code, seen = terminal("ingest", gone)
    assert (code, seen.strip().splitlines()) == (
        2,
        [f"Error: no such file or folder: {folder}/{SHOWN}2", "Hint: check the spelling, or mount the disk"],
    )


def test_prints_logs_and_tracebacks_of_other_code_are_escaped_too(
    terminal: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(*_: object, **__: object) -> None:
        print(HOSTILE)
        logging.StreamHandler().emit(logging.makeLogRecord({"msg": HOSTILE}))
        traceback.print_exception(ValueError(HOSTILE))

    monkeypatch.setattr(COMMANDS["status",], "callback", status)
    _, seen = terminal("status")
    assert FORBIDDEN.findall(seen.replace("\t", "")) == [] and seen.count(r"\x1b]0;owned\x07") == 3


def test_a_progress_bar_of_another_package_may_use_carriage_returns(
    terminal: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(*_: object, **__: object) -> None:
        with foreign_bars():
            sys.stderr.write(f"\r{STEERS}")
        sys.stderr.write("\r")

    monkeypatch.setattr(COMMANDS["status",], "callback", status)
    _, seen = terminal("status")
    assert seen.count("\r") == 2 and seen.endswith(r"\r") and "\x1b" not in seen


def test_json_output_is_ascii_and_restores_every_name(terminal: Callable[..., Ended], folder: Path) -> None:
    code, seen = terminal("query", "red", "-k", "1", "--in", "text", "--json")
    assert code == 0 and seen.replace("\n", "").isprintable() and seen.isascii()
    assert json.loads(seen)["hits"][0]["path"] == str(folder / f"{HOSTILE}.txt")


def test_in_a_pipe_paths_are_raw_bytes_and_a_name_cannot_forge_a_row(run: Run, folder: Path) -> None:
    path = os.fsencode(folder / f"{HOSTILE}.txt")
    assert run("query", "red", "-k", "1", "--in", "text", "--paths", "--no-dedup").stdout == path + b"\n"
    assert run("query", "red", "-k", "1", "--in", "text", "--paths", "-0", "--no-dedup").stdout == path + b"\0"
    first, *_ = run("query", "red", "--in", "text", "--no-dedup").stdout.decode().splitlines()
    assert first.split("\t")[3:5] == ["text", f"media/{SHOWN}.txt"] and len(first.split("\t")) == 6
    assert [line.count("\t") for line in run("failures").stdout.decode().splitlines()] == [3]


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_a_long_path_is_shortened_in_its_middle(terminal: Callable[..., Ended], folder: Path, columns: int) -> None:
    code, seen = terminal("query", "blue", "-k", "1", "--in", "text", "--ids", columns=columns, term="xterm")
    said, head, row = RICH.sub("", seen).splitlines()
    assert said.strip() == "Sure: 1."
    assert code == 0 and head.split() == ["#", "confidence", "kind", "path", "where", "id"]
    path = row[head.index("path") : head.index("where")].strip()
    first, gap, last = path.partition("…")
    assert f"media/{LONG}".startswith(first) and f"media/{LONG}".endswith(last) and path.endswith("/DSC_0001.txt")
    assert bool(gap) == (columns < 140)
    assert "a blue house" in row and max(map(len, (head, row))) <= columns


def test_a_path_is_not_wrapped_while_there_is_room(terminal: Callable[..., Ended]) -> None:
    _, seen = terminal("query", "blue", "-k", "1", "--in", "text", columns=140, term="xterm")
    assert RICH.sub("", seen).splitlines()[2:] == [f"1        1.00  text  media/{LONG}  a blue house"]


def test_a_table_without_a_wrapping_column_loses_no_text(terminal: Callable[..., Ended]) -> None:
    seen = RICH.sub("", terminal("index", "status", columns=60, term="xterm")[1])
    assert {"since", "exact"} <= set(seen.split())
    assert max(map(len, seen.splitlines())) <= 60


def test_printable_text_is_unchanged_and_everything_else_escaped() -> None:
    for text in ("naïve café", "日本語　名", "مى\u200cكنم", "👨\u200d👩\u200d👧", "at 3.05\u202fPM", r"C:\new\table"):
        assert printable(text) == text
    assert printable("a\tb\nc\x85\u2029\ufeff\U000e0041") == r"a\tb\nc\x85\u2029\ufeff\U000e0041"


PRINTING = [
    *([*names, "--help"] for names in COMMANDS),
    *(["query", "red", *how] for how in ((), ("--paths",), ("--jsonl",), ("--json",), ("--explain",))),
    ["duplicates", "--json"], ["status"], ["failures"], ["label", "--as", "red,green"], ["index", "status"],
    ["index", "verify"], ["backup", "file"], ["export", "folder"], ["prune"], ["ingest", "media"], ["models"],
]  # fmt: skip


@pytest.mark.parametrize("gone", ["full", "closed pipe"])
@pytest.mark.slow
def test_a_closed_pipe_ends_silently_and_a_full_disk_is_an_error(
    shell: Callable[..., int], tmp_path: Path, gone: str
) -> None:
    for arguments in PRINTING:
        with _gone(gone) as out, open(tmp_path / "errors", "w", encoding="utf-8") as err:
            code = shell(out, err, *arguments)
        said = (tmp_path / "errors").read_text("utf-8")
        if gone == "full":
            assert (code, said) == (70, "Error: can't write to standard output: No space left on device\n"), arguments
        else:
            assert (code, said) == (141, ""), arguments
        for name in ("file", "folder"):
            made = tmp_path / name
            assert made.exists() == (arguments[-1] == name)
            shutil.rmtree(made, ignore_errors=True)
            made.unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["full", "closed pipe"])
def test_a_command_works_without_standard_error(
    shell: Callable[..., int], folder: Path, tmp_path: Path, gone: str
) -> None:
    words(folder / "new.txt", "a high tower")
    with open(tmp_path / "out", "w", encoding="utf-8") as out, _gone(gone) as err:
        assert shell(out, err, "ingest", folder) == 0
        assert shell(out, err, "query", "nothing like it") == 1
        assert shell(out, err, "ingest", folder / "nowhere") == 2
    assert (tmp_path / "out").read_text("utf-8").startswith("Took in 1 new file, 5 unchanged\n")


def _gone(how: str) -> io.TextIOWrapper:
    if how == "full":
        return open("/dev/full", "w", encoding="utf-8")
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "w", encoding="utf-8")


def test_standard_output_closed_at_the_start_is_an_error(shell: Callable[..., int], tmp_path: Path) -> None:
    with open(tmp_path / "errors", "w", encoding="utf-8") as err:
        assert shell(None, err, "status") == 70
    assert (tmp_path / "errors").read_text("utf-8") == "Error: can't write to standard output: it is closed\n"
    with open(tmp_path / "out", "w", encoding="utf-8") as out:
        assert shell(out, None, "status") == 0
    assert (tmp_path / "out").read_text("utf-8").startswith("library  ")


CLOSED = """
import sys
from mmsearch.cli import main
try:
    main()
finally:
    with open("first", "w") as file:
        file.write(str(file.fileno() > 2))
"""


@pytest.fixture
def closed(environment: dict[str, str], tmp_path: Path) -> Callable[..., int]:
    """The command as a process that starts with no standard stream at all."""

    def run(*arguments: str | Path) -> int:
        known = {**os.environ, **environment, "PYTHONPATH": str(CHECKOUT)}
        shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", CLOSED, *map(str, arguments)]
        return subprocess.run(shell, env=known, cwd=tmp_path, check=False).returncode

    return run


@pytest.mark.slow
def test_no_file_is_opened_on_the_number_of_a_closed_stream(
    closed: Callable[..., int], folder: Path, tmp_path: Path, run: Run
) -> None:
    words(folder / "new.txt", "a high tower")
    # The work is done; that its report could not be printed is an error, as it is of `cp -v`.
    assert closed("ingest", folder) == 70
    assert (tmp_path / "first").read_text() == "True"
    report = json.loads(run("ingest", folder, "--json").stdout)
    assert (report["new"], report["unchanged"]) == (0, 6)


@pytest.mark.slow
def test_a_page_all_of_one_kind_names_the_others_that_are_likely(
    terminal: Callable[..., Ended], run: Run, tmp_path: Path
) -> None:
    for number in range(3):
        words(tmp_path / "more" / f"{number}" / "red house.txt", f"a place, number {number}")
    assert run("ingest", tmp_path / "more").returncode == 0
    note = "These are all texts. Likely, too: pictures from 1.00 (--in image)"
    _, seen = terminal("query", "red house", "-k", "3", columns=140)
    assert [line.strip() for line in seen.splitlines()][:2] == ["Sure: 1 to 3.", note]
    for others in (("-k", "2", "--offset", "1"), ("-k", "3", "--in", "text"), ("-k", "20"), ("-k", "3", "--json")):
        _, seen = terminal("query", "red house", *others, columns=140)
        assert "These are all" not in seen, others
    assert b"These are all" not in run("query", "red house", "-k", "3").stderr
