"""mmsearch help"""

import difflib
import re
import sys

import click

from mmsearch.cli import output, show
from mmsearch.errors import UnknownName

WIDEST = 100
"""Columns of a chapter on a wide terminal: longer lines are hard to read."""


@click.command("help")
@click.argument("topic", required=False)
@click.pass_context
def help_command(context: click.Context, topic: str | None) -> None:
    """Show a chapter of the docs, or list the chapters.

    A pipe gets the chapter as Markdown.
    """
    from mmsearch.resources.chapters import CONTENTS, chapter_text, chapters

    known = chapters()
    if topic is None:
        rows = [(one.topic, one.summary.replace("`", "")) for one in known.values()]
        show.table(("topic", "content"), rows, wrap="content")
        if sys.stdout.isatty():
            click.echo("\nTo read one: mmsearch help TOPIC")
        return
    wanted = topic.lower().removesuffix(".md").replace("-", "_")
    if wanted not in (*known, CONTENTS):
        raise UnknownName(f"there is no chapter {topic!r}", hint=_hint(wanted, list(known), context))
    _print_markdown(chapter_text(wanted))


def _hint(topic: str, known: list[str], context: click.Context) -> str:
    """Chapters with a similar name, the command of that name, or where to find the list."""
    group = context.parent.command if context.parent else None
    if isinstance(group, click.Group) and topic in group.commands:
        return f"for the command: mmsearch {topic} --help"
    close = difflib.get_close_matches(topic, known, cutoff=0.5)
    return f"did you mean {', '.join(close)}?" if close else "mmsearch help lists the chapters"


def _print_markdown(text: str) -> None:
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(file=output.bar(sys.stdout), emoji=False)
    console.print(Markdown(_without_links(text), hyperlinks=False), width=min(console.width, WIDEST))


def _without_links(text: str) -> str:
    """Links to chapters become the command that shows them; links within a chapter their words."""
    text = re.sub(r"\[([^]]+)\]\(#[^)]+\)", r"\1", text)
    return re.sub(r"\[([^]]+)\]\((\w+)\.md(?:#[^)]+)?\)", _as_command, text)


def _as_command(link: re.Match[str]) -> str:
    words, command = link[1], f"`mmsearch help {link[2]}`"
    return command if words.lower().replace(" ", "_") == link[2] else f"{words} ({command})"
