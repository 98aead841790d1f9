"""mmsearch query"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import keeping, query_folder, show
from mmsearch.cli.exit_codes import NOTHING_FOUND
from mmsearch.cli.explain import as_json_able, explained, print_reasons
from mmsearch.cli.options import FilePath, device_options, json_option, kinds_option, library_option, open_library
from mmsearch.cli.query_words import WordsCommand, asked_query, split_folder
from mmsearch.core.kind_names import kind_name, kind_names
from mmsearch.errors import Unreadable

if TYPE_CHECKING:
    from mmsearch.core.filters.ast import Filter
    from mmsearch.library import Library
    from mmsearch.types import Hit, Query

PASSED = ("offset", "dedup", "moments", "mode")
"""Options that `Library.search` takes as they are."""

FORMATS = ("only_paths", "as_json", "as_json_lines")
"""Options that print something else than a table."""

KINDS = ("image", "video", "audio", "text")

WEAK = 3
"""Results shown when none is confident."""

_FILE = FilePath()


@click.command(cls=WordsCommand)
@click.argument("query", nargs=-1)
@library_option
@click.option("--text", help="Words, even if a file has that name.")
@click.option("--image", type=_FILE, help="A picture to search with.")
@click.option("--audio", type=_FILE, help="A sound to search with.")
@click.option("--video", type=_FILE, help="A video to search with.")
@click.option("--like", type=int, metavar="ID", help="Find more like the result with this id (see --ids).")
@click.option(
    "--compose",
    type=click.Choice(["auto", "joint", "vector"]),
    default="auto",
    show_default=True,
    help="Words with a picture or a sound: read by the model as one, or their vectors added up.",
)
@kinds_option
@click.option(
    "--in-folder",
    type=FilePath(exists=True, file_okay=False),
    metavar="DIR",
    help="Only results in this folder; it is taken in if it never was. The last word may be a folder, too, written "
    "with a slash, as . or with ~.",
)
@click.option("--update", is_flag=True, help="First take in what is new in the folders of the library.")
@click.option("--yes", is_flag=True, help="Take in a folder, or what is new, without asking, however long it takes.")
@click.option(
    "--mode",
    type=click.Choice(["hybrid", "keyword", "vector"]),
    default="hybrid",
    show_default=True,
    help="Search by meaning and words, by words only, or by meaning only.",
)
@click.option("--filter", metavar="FILTER", help="Only items such as: \"duration > 10 and path glob '*/2024/*'\".")
@click.option(
    "--source",
    type=click.Choice(["said", "written", "seen", "heard"]),
    help="Only what is said in sounds and videos, written in pictures and texts, seen, or heard.",
)
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
@click.option("--preview", is_flag=True, help="Draw pictures, moments of videos and sounds below their results.")
@click.option("--open", "show_best", is_flag=True, help="Open the best result.")
@click.option("--no-warm", is_flag=True, help="Neither ask a warm process nor leave one behind (see help warm).")
@device_options
@json_option
@click.option("--jsonl", "as_json_lines", is_flag=True, help="Print JSON Lines: a result a line.")
def query(
    query: tuple[str, ...],
    library: Path | None,
    modalities: tuple[str, ...] | None,
    k: int,
    **options: Any,
) -> None:
    """Search with words, or with the path of a file.

    QUERY is words, or a picture, a sound, a video or a document. Join parts with + and -; a number before a colon
    weights a part, as in 0.5:people. The exit code is 1 if nothing likely was found.
    """
    settings = {name: options.pop(name) for name in ("device", "precision")}
    words, folder = split_folder(query, options["in_folder"])
    folder = query_folder.absolute(folder)
    if options["yes"] and folder is None and not options["update"]:
        raise click.UsageError("--yes goes with a folder or with --update, and says nothing alone")
    with open_library(library, **settings) as opened:
        asked, passed = asked_query(opened, words, options), {n: options[n] for n in PASSED}
        filter = options["filter"] if folder is None else query_folder.in_folder(folder, options["filter"])
        filter = _with_source(filter, options["source"])
        if folder is not None or options["update"]:
            query_folder.take_in(opened, folder, update=options["update"], yes=options["yes"])
        generation = opened.generation if _as_json(options) else 0
        found = opened.search(asked, k, modalities=modalities, filter=filter, **passed)
        by_words = all(isinstance(part.value, str) for part in asked.parts)
        keeping.note_query(opened, words=by_words and not any(settings.values()))
        if options["min_confidence"] is not None:
            found = [hit for hit in found if hit.confidence is None or hit.confidence >= options["min_confidence"]]
        shown = _shown(found, options)
        why = {}
        if options["explain"] or options["overlay"]:
            why = {hit.rank: explained(opened, asked, hit, options["overlay"]) for hit in shown}
        previews = _previews(opened, shown) if options["preview"] else {}
        best = opened.original(found[0].path) if options["show_best"] and found else None
        if by_words and not modalities and not options["offset"] and len(found) == k and _on_terminal(options):
            _say_other_kinds(opened, asked, found, filter, passed)
    if options["only_paths"]:
        show.paths([hit.path for hit in found], b"\0" if options["null"] else b"\n")
    elif _as_json(options):
        reasons = {rank: as_json_able(reason) for rank, reason in why.items()}
        if options["as_json"]:
            show.answer_json(asked, generation, found, reasons)
        else:
            show.hits_json_lines(found, reasons)
    else:
        show.hits(shown, ids=options["ids"], scores=options["scores"], previews=previews)
        if options["explain"]:
            print_reasons(shown, why)
    if best is not None:
        if found[0].missing:
            raise Unreadable(
                f"{best} is not there any more",
                hint="connect its disk, ingest where it is now, or forget it: mmsearch prune",
            )
        click.launch(str(best))
    if not answered(found):
        raise SystemExit(NOTHING_FOUND)


def answered(found: "list[Hit]") -> bool:
    """Whether some hit is at least likely, or not known to be unlikely."""
    return any(hit.level != "unlikely" for hit in found)


def _say_other_kinds(
    opened: "Library", asked: "Query", found: "list[Hit]", filter: "str | Filter | None", passed: Mapping[str, Any]
) -> None:
    """Where a page is all of one kind, say the best of each other kind that is likely: the order can't show it."""
    kinds = {hit.modality for hit in found}
    if len(kinds) > 1 or not answered(found):
        return
    others = (
        hit
        for kind in KINDS
        if kind not in kinds
        for hit in opened.search(asked, 1, modalities=(kind,), filter=filter, **passed)
        if hit.level in ("sure", "likely")
    )
    said = [
        f"{kind_name(hit.modality, 2)} from {show.decimal(hit.confidence, 2)} (--in {hit.modality})" for hit in others
    ]
    if said:
        click.echo(f"These are all {kind_names(kinds)}. Likely, too: {', '.join(said)}", err=True)


def _with_source(filter: "str | Filter | None", source: str | None) -> "str | Filter | None":
    """The filter, and what of an item is to match."""
    if source is None:
        return filter
    from mmsearch.core.filters import filter_of
    from mmsearch.core.filters.ast import And, Comparison

    wanted, others = Comparison("source", "=", source), filter_of(filter)
    return wanted if others is None else And((wanted, others))


def _on_terminal(options: dict[str, Any]) -> bool:
    """Whether a table is printed for people."""
    return sys.stdout.isatty() and not any(options[name] for name in FORMATS)


def _as_json(options: dict[str, Any]) -> bool:
    return bool(options["as_json"] or options["as_json_lines"])


def _previews(opened: "Library", shown: "list[Hit]") -> Mapping[int, Any]:
    """Rank -> its thumbnail, where this terminal can draw."""
    from mmsearch.cli.preview import drawn, wanted

    return drawn(opened, shown) if wanted() else {}


def _shown(found: "list[Hit]", options: dict[str, Any]) -> "list[Hit]":
    """What is printed; of results that are all unlikely, a table has the first few. How sure they are is said above."""
    if any(options[name] for name in FORMATS):
        return found
    if answered(found):
        if sys.stdout.isatty():
            click.echo(show.levels(found), err=True)
        return found
    click.echo("No confident match. The nearest:" if found else "Nothing found.", err=True)
    return found if options["show_all"] else found[:WEAK]
