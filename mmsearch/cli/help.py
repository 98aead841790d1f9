"""mmsearch help"""

import difflib
import sys

import click

from mmsearch.cli import output, show
from mmsearch.errors import UnknownName


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
    _print(chapter_text(wanted))


def _hint(topic: str, known: list[str], context: click.Context) -> str:
    """Chapters with a similar name, the command of that name, or where to find the list."""
    group = context.parent.command if context.parent else None
    if isinstance(group, click.Group) and topic in group.commands:
        return f"for the command: mmsearch {topic} --help"
    close = difflib.get_close_matches(topic, known, cutoff=0.5)
    return f"did you mean {', '.join(close)}?" if close else "mmsearch help lists the chapters"


def _print(text: str) -> None:
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console

    from mmsearch.cli.markdown import print_chapter

    print_chapter(text, Console(file=output.bar(sys.stdout), emoji=False))
