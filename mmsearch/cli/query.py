"""mmsearch query"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.explain import as_json_able, explained, print_reasons
from mmsearch.cli.options import FilePath, device_options, json_option, library_option, open_library, split_modalities
from mmsearch.errors import InvalidInput, Unreadable

if TYPE_CHECKING:
    from mmsearch.library import Library
    from mmsearch.types import Hit, Query

PASSED = ("filter", "offset", "dedup", "moments", "mode")
"""Options that `Library.search` takes as they are."""

WEAK = 3
"""Results shown when none is confident."""

_LESS = re.compile(r"\s-([^\W\d]\S*)")
"""A word in a phrase with a minus right before it."""

_FILE = FilePath()


@click.command()
@click.argument("query", nargs=-1)
@library_option
@click.option("--text", help="Words, even if a file has that name.")
@click.option("--image", type=_FILE, help="A picture to search with.")
@click.option("--audio", type=_FILE, help="A sound to search with.")
@click.option("--video", type=_FILE, help="A video to search with.")
@click.option("--like", type=int, metavar="ID", help="Find more like the result with this id (see --ids).")
@click.option(
    "--in", "modalities", callback=split_modalities, metavar="KINDS", help="Only these kinds, e.g. image,audio."
)
@click.option(
    "--mode",
    type=click.Choice(["hybrid", "keyword", "vector"]),
    default="hybrid",
    show_default=True,
    help="Search by meaning and words, by words only, or by meaning only.",
)
@click.option("--filter", metavar="FILTER", help="Only items such as: \"duration > 10 and path glob '*/2024/*'\".")
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Number of results.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Number of results to skip, for the next page.")
@click.option("--dedup/--no-dedup", default=None, help="Show near-duplicates as one result, or each as its own.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="Leave out results below this confidence.")
@click.option("--all", "show_all", is_flag=True, help="Show all results even if none is confident.")
@click.option("--moments", is_flag=True, help="Show every moment and passage that matches, not only the best.")
@click.option("--scores", is_flag=True, help="Show what each confidence is made of: cosine and share of words.")
@click.option("--ids", is_flag=True, help="Show each result's id, for --like.")
@click.option("--paths", "only_paths", is_flag=True, help="Print only paths, one a line.")
@click.option("-0", "null", is_flag=True, help="With --paths: end each with a null, for xargs -0.")
@click.option("--explain", is_flag=True, help="Say why each result was found.")
@click.option("--overlay", type=_FILE, metavar="DIR", help="Draw what counted over the pictures, as PNG files.")
@click.option("--open", "show_best", is_flag=True, help="Open the best result.")
@device_options
@json_option
def query(
    query: tuple[str, ...],
    library: Path | None,
    modalities: tuple[str, ...] | None,
    k: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Search with words, or with the path of a file.

    QUERY is words, or a picture, a sound, a video or a document. Join parts with + and -; a number before a colon
    weights a part, as in 0.5:people.
    """
    settings = {name: options.pop(name) for name in ("device", "precision")}
    with open_library(library, **settings) as opened:
        asked, passed = _asked(opened, query, options), {n: options[n] for n in PASSED}
        found = opened.search(asked, k, modalities=modalities, **passed)
        if options["min_confidence"] is not None:
            found = [hit for hit in found if hit.confidence is None or hit.confidence >= options["min_confidence"]]
        shown = _shown(found, {**options, "as_json": as_json})
        why = {}
        if options["explain"] or options["overlay"]:
            wanted = found if as_json else shown
            why = {hit.rank: explained(opened, asked, hit, options["overlay"]) for hit in wanted}
        best = opened.original(found[0].path) if options["show_best"] and found else None
    if options["only_paths"] or options["null"]:
        show.paths([hit.path for hit in found], b"\0" if options["null"] else b"\n")
    elif as_json:
        show.hits_json(found, {rank: as_json_able(reason) for rank, reason in why.items()})
    else:
        show.hits(shown, ids=options["ids"], scores=options["scores"])
        if options["explain"]:
            print_reasons(shown, why)
    if best is not None:
        if found[0].missing:
            raise Unreadable(
                f"{best} is not there any more",
                hint="connect its disk, ingest where it is now, or forget it: mmsearch prune",
            )
        click.launch(str(best))


def _shown(found: "list[Hit]", options: dict[str, Any]) -> "list[Hit]":
    """What is printed; of results that are all unlikely, only the first few. How sure they are is said above it."""
    told = not (options["only_paths"] or options["null"] or options["as_json"])
    if found and not all(hit.level == "unlikely" for hit in found):
        if told and sys.stdout.isatty():
            click.echo(show.levels(found), err=True)
        return found
    if told:
        click.echo("No confident match. The nearest:" if found else "Nothing found.", err=True)
    return found if options["show_all"] else found[:WEAK]


def _asked(opened: "Library", words: tuple[str, ...], options: dict[str, Any]) -> "Query":
    """One Query from the bare words, the files among them, and the options."""
    from mmsearch.types import Query

    query = Query(**{name: options[name] for name in ("text", "image", "audio", "video", "like")})
    for sign, group in _groups(words):
        weight, group = _weight(group)
        query = query + sign * weight * _meant(opened, group)
    if not query.parts:
        raise InvalidInput("the query is empty", hint="mmsearch query WORDS, or the path of a picture or a sound")
    return query


def _groups(words: tuple[str, ...]) -> Iterator[tuple[float, list[str]]]:
    """The words between + and -, each group with its sign."""
    sign, group = 1.0, list[str]()
    for word in (*words, "+"):
        # In a phrase, as search engines have it: "dog -barking".
        less = _LESS.findall(word)
        yield from ((-1.0, [one]) for one in less)
        word = _LESS.sub("", word) if less else word
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
        (part,) = opened.interpret(word).parts
        if isinstance(part.value, str):
            loose.append(part.value)
        else:
            query = query + Query(mixed=(part,))
    return query + Query(text=" ".join(loose)) if loose else query
