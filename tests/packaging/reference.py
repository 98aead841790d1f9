"""The generated parts of the docs; `python -m tests.packaging.reference` writes all of them again."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import click
from click.testing import CliRunner

from mmsearch import errors
from mmsearch.cli import cli
from mmsearch.cli.exit_codes import MEANINGS
from mmsearch.cli.help_examples import commands
from mmsearch.core.config import DOMAINS, MACHINE, Settings
from mmsearch.errors import MediaError, MmsearchError
from mmsearch.resources.chapters import CONTENTS, DOCS, chapters
from mmsearch.types import Limits
from tests.packaging import api_reference, http_reference, name_table
from tests.packaging.docstrings import class_fields, doc

WIDTH = 76
"""Columns of a help block, so that a terminal of 80 shows it unbroken."""

MARK, END = "<!-- generated: settings -->\n", "<!-- end -->"

SHELL = """\
# Shell reference

What `--help` prints, for every command.

`python -m tests.packaging.reference` writes this chapter from the commands.
"""

ERRORS = """\
# Errors

Every error that mmsearch raises, its exit code in the shell, and what to do about it.

All of them are subclasses of `mmsearch.MmsearchError`. `message` says what went wrong and why; `hint`, if it is not
None, says what to do. The shell prints both and ends with the exit code.

## Exit codes

| code | what it says |
|---|---|
{codes}

```sh
if mmsearch query "a red bus" --paths > found.txt; then cat found.txt; fi
```

## Errors in general

`python -m tests.packaging.reference` writes this chapter from `mmsearch/errors.py`.
"""

FAILURES = """\
## One file that cannot be read

A file that cannot be read never stops an ingest: `mmsearch failures` lists it with one of these classes. As the file of
a query it raises the error, a `MediaError` with exit code {code}.
"""

LIST = """\
# Contents

All chapters of the docs. `mmsearch help TOPIC` shows one on a terminal.

| topic | content |
|---|---|
"""


def shell() -> str:
    """`--help` of every command."""
    blocks = [SHELL]
    for path, command in commands(cli):
        title = f"mmsearch {path}".strip()
        blocks.append(f"## {title}\n\n```text\n{printed_help(path, command)}```\n")
    return "\n".join(blocks)


def printed_help(path: str, command: click.Command) -> str:
    """What `mmsearch PATH --help` prints."""
    done = CliRunner().invoke(cli, [*path.split(), "--help"], prog_name="mmsearch", terminal_width=WIDTH)
    assert done.exit_code == 0, (path, command, done.output)
    return done.output


def error_chapter() -> str:
    """Errors by class, then those of one file by failure class."""
    general, of_files = [], []
    for kind in in_order(MmsearchError):
        what, todo = said(kind)
        told = f"{what} *To do:* {todo}" if todo else what
        if kind is not MediaError and issubclass(kind, MediaError):
            of_files.append(f"- **`{kind.failure}`** (`{kind.__name__}`): {told}")
        else:
            facts = f"{kind.__bases__[0].__name__}, exit code {kind.exit_code}, HTTP {kind.http_status}"
            general.append(f"- **`{kind.__name__}`** ({facts}): {told}")
    codes = "\n".join(f"| {code} | {meaning} |" for code, meaning in MEANINGS.items())
    return "\n".join(
        [ERRORS.format(codes=codes), *general, "", FAILURES.format(code=MediaError.exit_code), *of_files, ""]
    )


def in_order(kind: type[MmsearchError]) -> list[type[MmsearchError]]:
    """A class and all below it, each before its own subclasses, in the order written."""
    ours = (one for one in kind.__subclasses__() if one.__module__ == errors.__name__)
    return [kind, *(below for one in ours for below in in_order(one))]


def said(kind: type[MmsearchError]) -> tuple[str, str]:
    """(what happened, what to do) of the docstring of an error."""
    what, _, todo = doc(kind).partition("To do: ")
    return " ".join(what.split()), " ".join(todo.split())


def setting_list() -> str:
    """An entry for each setting, first those of a library, then those of a machine."""
    meant = {field.name: field.text for field in class_fields(Settings)}
    meant |= {field.name: field.text for field in class_fields(Limits) if not meant.get(field.name)}
    of_library = [_entry(field.name, meant) for field in fields(Settings) if field.name not in MACHINE]
    of_machine = [_entry(field.name, meant) for field in fields(Settings) if field.name in MACHINE]
    return "\n".join(["## Settings of a library", "", *of_library, "", "## Settings of a machine", "", *of_machine, ""])


def _entry(name: str, meant: dict[str, str]) -> str:
    default = getattr(Settings(), name)
    shown = "empty" if default == "" else f"`{_as_toml(default)}`"
    # What only keeps a number within 64 bits is no limit that anybody meets.
    values = DOMAINS[name].known.removeprefix("known: ").replace(f" from 1 to {2**62:,}", " above 0")
    return f"- **`{name}`**: {meant[name]} Values: {values}. Default: {shown}."


def _as_toml(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {number:g}' for name, number in value.items())} }}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def settings() -> str:
    """The chapter on settings with its list."""
    text = (DOCS / "settings.md").read_text("utf-8")
    before, _, rest = text.partition(MARK)
    return f"{before}{MARK}\n{setting_list()}\n{END}{rest.partition(END)[2]}"


def contents() -> str:
    """The list of all chapters."""
    rows = [f"| [{one.topic}]({one.path.name}) | {one.summary} |" for one in chapters().values()]
    return LIST + "\n".join(rows) + "\n"


GENERATED = {
    "shell.md": shell,
    "api.md": api_reference.reference,
    "errors.md": error_chapter,
    "settings.md": settings,
    name_table.DOCS.name: name_table.table,
    "openapi.json": http_reference.openapi,
    "api_http.md": http_reference.chapter,
    f"{CONTENTS}.md": contents,
}
"""File -> what makes its text; the list of chapters last, since it reads the others."""


def main(folder: Path = DOCS) -> None:
    """Write all of them."""
    for name, make in GENERATED.items():
        (folder / name).write_text(make(), "utf-8")


if __name__ == "__main__":
    main()
