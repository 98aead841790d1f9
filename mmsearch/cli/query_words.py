"""What the words of `mmsearch query` mean: parts with their signs and weights, files among them, and the folder."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import surroundings
from mmsearch.errors import InvalidInput

if TYPE_CHECKING:
    from mmsearch.library import Library
    from mmsearch.types import Query

_LESS = re.compile(r'(?:^|(?<=\s))-(?:"([^"]+)"|([^\W\d]\S*))')
"""A word, or a quoted phrase, with a minus right before it."""

_BUNDLED = re.compile(r"-[^\W\d_]{2}\S*")
"""What click would read as several short options in one."""

_SEPARATORS = tuple(filter(None, ("/", os.sep, os.altsep)))


class WordsCommand(click.Command):
    """`query`: a word with a minus before it is never taken for short options, such as -hound for -h."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        valued = {name for one in self.params if isinstance(one, click.Option) and not one.is_flag for name in one.opts}
        for before, word in zip(["", *args], args, strict=False):
            if word == "--":
                break
            if _BUNDLED.fullmatch(word) and before not in valued:
                less = word[1:]
                raise click.UsageError(f"{word} is no option. To leave {less} out: dog - {less}, or 'dog {word}'", ctx)
        return super().parse_args(ctx, args)


def split_folder(words: Sequence[str], named: Path | None) -> tuple[list[str], Path | None]:
    """The words without the folder that ends them, and the folder to search in.

    Only the last word is one, and only if it is written with a slash, as `.` or with `~`; `named` is --in-folder.

    Raises: InvalidInput for a folder in another place, twice, or that isn't there.
    """
    words = list(words)
    for word in words[:-1]:
        if _is_explicit(word) and _is_folder(word):
            raise InvalidInput(
                f"{word} is a folder in the middle of the words", hint=f"put it last, or say --in-folder {word}"
            )
    last = words[-1] if words else ""
    if not _is_explicit(last) and not (any(mark in last for mark in _SEPARATORS) and _is_folder(last)):
        return words, named
    if not _is_folder(last):
        return _no_folder(words, named)
    if named is not None:
        raise InvalidInput(f"two folders to search in: {named} and {last}", hint="name one of them")
    return words[:-1], Path(last).expanduser()


def _no_folder(words: list[str], named: Path | None) -> tuple[list[str], Path | None]:
    """A last word that begins as a path does, and is no folder."""
    last = words[-1]
    if os.path.exists(os.path.expanduser(last)) or os.path.splitext(last)[1]:
        return words, named  # a file, or one that isn't there, which is told as that of a query
    raise InvalidInput(f"no such folder: {last}", hint=f"check the spelling; for the words themselves: --text {last!r}")


def _is_explicit(word: str) -> bool:
    """Whether a word begins as only paths do."""
    return word in (".", "..", "~") or os.path.isabs(word) or word.startswith(("./", "../", "~/", f"..{os.sep}"))


def _is_folder(word: str) -> bool:
    try:
        return os.path.isdir(os.path.expanduser(word))
    except ValueError:  # a null byte
        return False


def asked_query(opened: "Library", words: Sequence[str], options: Mapping[str, Any]) -> "Query":
    """One Query from the bare words, the files among them, and the options. Raises: InvalidInput for an empty one."""
    from mmsearch.types import Query

    image, audio, video = (surroundings.located(options[name]) for name in ("image", "audio", "video"))
    query = Query(options["text"], image, audio, video, like=options["like"])
    groups = list(_groups(words))
    for sign, group in groups:
        weight, group = _weight(group)
        query = query + sign * weight * _meant(opened, group)
    if not query.parts:
        raise InvalidInput(
            "the query is empty: what are you looking for?", hint="mmsearch query WORDS, or a picture's or sound's path"
        )
    # What stands together is one query; what a sign joins is arithmetic.
    return replace(query, compose="vector" if options["compose"] == "auto" and len(groups) > 1 else options["compose"])


def _groups(words: Sequence[str]) -> Iterator[tuple[float, list[str]]]:
    """The words between + and -, each group with its sign."""
    sign, group = 1.0, list[str]()
    for word in (*words, "+"):
        # In a phrase, as search engines have it: "dog -barking".
        less = [phrase or one for phrase, one in _LESS.findall(word)]
        yield from ((-1.0, [one]) for one in less)
        word = _LESS.sub("", word).strip() if less else word
        if less and not word:
            continue
        if word not in ("+", "-"):
            group.append(word)
            continue
        if group:
            yield sign, group
        sign, group = (1.0 if word == "+" else -1.0), []


def _weight(group: list[str]) -> tuple[float, list[str]]:
    """The weight in front of a group, as in 0.5:people; a time of day (2:30) is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?):(?!\d)(.+)", group[0], re.DOTALL)
    return (float(found[1]), [found[2], *group[1:]]) if found else (1.0, group)


def _meant(opened: "Library", group: list[str]) -> "Query":
    """The files of a group, and its other words as one text."""
    from mmsearch.types import Query

    query, loose = Query(), list[str]()
    for word in group:
        (part,) = opened.interpret(surroundings.located_word(word)).parts
        if isinstance(part.value, str):
            loose.append(part.value)
        else:
            query = query + Query(mixed=(part,))
    return query + Query(text=" ".join(loose)) if loose else query
