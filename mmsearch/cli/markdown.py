"""Chapters of the docs on a terminal."""

import re
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Markdown, MarkdownElement, TableElement
from rich.table import Table

WIDEST = 100
"""Columns on a wide terminal: longer lines are hard to read."""


class _FoldedTable(TableElement):
    """Breaks a word that has no room in its column, where rich would end it with "…"."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for made in super().__rich_console__(console, options):
            for column in made.columns if isinstance(made, Table) else ():
                column.overflow = "fold"
            yield made


class _Chapter(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "table_open": _FoldedTable}


def print_chapter(text: str, console: Console) -> None:
    """Print Markdown, with links to chapters as the commands that show them."""
    console.print(_Chapter(_without_links(text), hyperlinks=False), width=min(console.width, WIDEST))


def _without_links(text: str) -> str:
    """Links to chapters become the command that shows them; links within a chapter their words."""
    text = re.sub(r"\[([^]]+)\]\(#[^)]+\)", r"\1", text)
    return re.sub(r"\[([^]]+)\]\((\w+)\.md(?:#[^)]+)?\)", _as_command, text)


def _as_command(link: re.Match[str]) -> str:
    words, command = link[1], f"`mmsearch help {link[2]}`"
    return command if words.lower().replace(" ", "_") == link[2] else f"{words} ({command})"
