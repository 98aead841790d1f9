"""Which options of a command exclude each other, or mean nothing alone. Whatever is not listed works together.

A test gives every command every pair of its options: a pair of which one would be ignored has to be listed here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import product
from typing import Any

import click
from click.core import ParameterSource

from mmsearch.cli.help_examples import commands


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Options of which none goes with any of some others; several names are separated by spaces."""

    options: str
    others: str
    why: str

    def pairs(self) -> Iterator[tuple[str, str]]:
        yield from product(self.options.split(), self.others.split())


@dataclass(frozen=True, slots=True)
class Need:
    """Options that mean something only beside another one."""

    options: str
    other: str


_RESUMED = "--valid --loss --optimizer --epochs --batch --lr --patience --seed"
_FORMS = "each is a form of its own"
_RESUME = "a training goes on with the options it began with"
_IN_JSON = "JSON has everything"
_NULL = Need("-0", "--paths")

RULES: Mapping[str, Sequence[Exclusion | Need]] = {
    "": (Need("--log-level", "--log-file"),),
    "query": (
        Exclusion("--paths", "--json --jsonl", _FORMS),
        Exclusion("--json", "--jsonl", _FORMS),
        Exclusion("--json --jsonl", "--scores --ids --all", _IN_JSON),
        Exclusion("--preview", "--paths --json --jsonl", "thumbnails stand below the rows of a table"),
        Exclusion("--paths", "--scores --ids --all --moments --explain", "--paths prints all paths, and nothing else"),
        _NULL,
    ),
    "models": (Need("--library", "--cost"),),
    "duplicates": (Exclusion("--paths", "--json", _FORMS), _NULL),
    "ingest": (
        Exclusion("--quiet", "--verbose --json", _FORMS),
        Exclusion("--verbose", "--json", _IN_JSON),
        Exclusion("--encrypt", "--dry-run", "a dry run makes no key"),
    ),
    "failures": (
        Need("--follow-links --jobs --nice --verbose --quiet", "--retry"),
        Exclusion("--quiet", "--verbose --json", _FORMS),
        Exclusion("--verbose", "--json", _IN_JSON),
    ),
    "serve": (
        Exclusion("--no-token", "--token-file --behind-proxy", "without a token only this machine may reach it"),
        Exclusion("--read-only", "--manage --watch", "who only reads changes nothing"),
    ),
    "mcp": (
        Need("--host --port --token-file --no-token --allow-host --behind-proxy", "--http"),
        Exclusion("--no-token", "--token-file --behind-proxy", "without a token only this machine may reach it"),
    ),
    "service install": (Need("--token-file", "--serve"),),
    "transcript": (Exclusion("--srt", "--vtt", _FORMS), Exclusion("--json", "--srt --vtt", _FORMS)),
    "export": (Need("--keep", "--anonymise"),),
    "items": (Exclusion("--count", "--json", "--count prints a number"),),
    "doctor": (Exclusion("--paths", "--device --precision", "nothing is computed"),),
    "train projection": (
        Exclusion("--resume", f"{_RESUMED} --modality --weak --keep --adversarial --radius --augment --test", _RESUME),
        Need("--radius", "--adversarial"),
    ),
    "train adapter": (Exclusion("--resume", f"{_RESUMED} --rank --alpha --towers --checkpointing", _RESUME),),
    "train fusion": (
        Exclusion("--resume", f"{_RESUMED.removeprefix('--valid ')} --strategy --hide --attack --radius", _RESUME),
        Need("--radius", "--attack"),
    ),
}
"""Command, without "mmsearch" -> its rules."""


def refuse_conflicts(group: click.Group) -> None:
    """Let every command refuse what its rules exclude, before it does anything."""
    for path, command in commands(group):
        if command.callback is not None and path in RULES:
            command.callback = _refusing(command.callback, RULES[path])


def _refusing(callback: Callable[..., Any], rules: Sequence[Exclusion | Need]) -> Callable[..., Any]:
    @wraps(callback)
    def checked(*args: Any, **options: Any) -> Any:
        context = click.get_current_context()
        given = set(_given(context))
        for rule in rules:
            if isinstance(rule, Need):
                for option in sorted(given & set(rule.options.split())):
                    if rule.other not in given:
                        raise click.UsageError(f"{option} goes with {rule.other}, and says nothing alone", context)
                continue
            for one, other in rule.pairs():
                if one in given and other in given:
                    raise click.UsageError(f"{one} and {other} don't go together: {rule.why}", context)
        return callback(*args, **options)

    return checked


def _given(context: click.Context) -> Iterator[str]:
    """The options of the command line, by the names that the rules have."""
    for parameter in context.command.params:
        if parameter.name and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            yield from parameter.opts
