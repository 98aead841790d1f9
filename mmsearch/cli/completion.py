"""mmsearch completion, and what the shells complete: files, kinds, names of models, tags, topics."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class
from click.types import StringParamType

from mmsearch.cli import known_names
from mmsearch.cli.help_examples import commands

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_MMSEARCH_COMPLETE"

FISH = """\
function %(complete_func)s
    set -l response (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp | string collect) \
COMP_CWORD=(commandline -t | string collect) %(prog_name)s)
    for completion in $response
        set -l found (string split -m 1 "," -- $completion)
        switch $found[1]
            case dir
                __fish_complete_directories $found[2]
            case file
                __fish_complete_path $found[2]
            case plain
                echo $found[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""
"""click's own ends a value at its first comma, and so `image,audio`."""

Names = Callable[[click.Context], Iterable[str]]


def _library(context: click.Context) -> Path:
    from mmsearch.core.paths import default_library

    given = context.params.get("library")
    return default_library(given if isinstance(given, Path | str) else None)


BY_PARAMETER: Mapping[str, Names] = {
    "modalities": lambda _: known_names.kinds(),
    "space": lambda _: known_names.models(),
    "device": lambda _: known_names.VALUES["device"].split(),
    "precision": lambda _: known_names.VALUES["precision"].split(),
}
"""Parameters of any command."""

BY_COMMAND: Mapping[str, Names] = {
    "help topic": lambda _: known_names.topics(),
    "failures retry": lambda _: known_names.failure_classes(),
    "index build preset": lambda _: known_names.presets(),
    "tag add": lambda context: known_names.tags(_library(context)),
    "tag remove": lambda context: known_names.tags(_library(context)),
    "label model": lambda context: known_names.trained(_library(context)),
    "train apply name": lambda context: known_names.trained(_library(context)),
    "train drop name": lambda context: known_names.trained(_library(context)),
    "model add name": lambda _: known_names.models(),
    "model switch name": lambda context: known_names.library_models(_library(context)),
    "model drop name": lambda context: known_names.library_models(_library(context)),
    "prepare name": lambda _: known_names.models(),
    "connect space_a": lambda _: known_names.models(),
    "connect space_b": lambda _: known_names.models(),
    "completion shell": lambda _: SHELLS,
}
"""Command and parameter."""

LISTS = frozenset(("modalities",))
"""Parameters that are lists with commas."""

FILES = frozenset(("query query",))
"""Words that are also files."""


class _Named(StringParamType):
    """A text for which a shell offers names."""

    def __init__(self, names: Names, *, is_list: bool = False) -> None:
        self._names, self._is_list = names, is_list

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem[str]]":
        before, comma, last = incomplete.rpartition(",") if self._is_list else ("", "", incomplete)
        named = {*before.split(",")}
        return [
            CompletionItem(before + comma + name)
            for name in self._names(ctx)
            if name.startswith(last) and name not in named
        ]


class _FileWord(StringParamType):
    """A text that may name a file."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem[str]]":
        return [CompletionItem(incomplete, type="file")]


def add_completion(group: click.Group) -> None:
    """Give the parameters of every command the names that a shell offers for them."""
    for path, command in commands(group):
        for parameter in command.params:
            name = parameter.name or ""
            names = BY_COMMAND.get(f"{path} {name}") or BY_PARAMETER.get(name)
            if not isinstance(parameter.type, StringParamType):
                continue
            if names is not None:
                parameter.type = _Named(names, is_list=name in LISTS)
            elif f"{path} {name}" in FILES:
                parameter.type = _FileWord()


def script(shell: str, group: click.Group) -> str:
    """What a shell reads at its start."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    made: ShellComplete = kind(group, {}, "mmsearch", VARIABLE)
    template = FISH if shell == "fish" else made.source_template
    return template % made.source_vars()


def answer(group: click.Group, instruction: str) -> None:
    """What a script asks, such as "bash_complete"; "bash_source" is the script itself."""
    shell, _, asked = instruction.partition("_")
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell!r}")
    # click writes bytes, which no guarded stream takes.
    text = script(shell, group) if asked == "source" else kind(group, {}, "mmsearch", VARIABLE).complete()
    click.echo(text)


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that makes SHELL complete words.

    It completes commands, options, files, kinds, and the names of models, tags and chapters. Put it where your shell
    looks: see the examples.
    """
    group = context.find_root().command
    if isinstance(group, click.Group):
        click.echo(script(shell, group), nl=False)
