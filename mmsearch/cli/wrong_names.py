"""What people call our commands and options elsewhere. They are told the right name; there are no aliases."""

from collections.abc import Mapping

import click

COMMANDS: Mapping[str, str] = {
    wrong: right
    for right, words in {
        "query": "search find ask lookup show grep",
        "ingest": "add scan update load embed init sync refresh reindex index-folder watch",
        "items": "list ls list-items files get",
        "remove": "rm delete del forget unindex",
        "prune": "clean cleanup gc vacuum",
        "duplicates": "dedup dedupe dups dupes similar",
        "status": "info stats stat show-status",
        "failures": "errors failed skipped",
        "label": "classify tags zero-shot",
        "evaluate": "eval benchmark test measure",
        "prepare": "download pull fetch install",
        "model": "space spaces",
        "doctor": "check diagnose verify",
        "config": "settings configure options",
        "backup": "save dump snapshot",
        "restore": "recover",
        "help": "docs man manual",
        "demo": "try",
        "examples": "example samples templates",
    }.items()
    for wrong in words.split()
}
"""Another name -> the command."""

OPTIONS: Mapping[str, frozenset[str]] = {
    right: frozenset(words.split())
    for right, words in {
        "-k": "--limit -n --top --top-k --topk --num --number --count --results --max --max-results --k",
        "--in": "--type --types --kind --kinds --modality --modalities --media --only -t",
        "--filter": "--where --query --match -f",
        "--library": "--lib --db --database --index --path -l -d",
        "--exclude": "--ignore --skip -x",
        "--min-confidence": "--threshold --min-score --score --cutoff",
        "--threshold": "--similarity --min-similarity",
        "--paths": "--files --files-only --names -p",
        "-0": "--print0 -print0 --null -z",
        "--json": "--format --output -o --out",
        "--space": "--model -m",
        "--workers": "--threads -w",
        "--dry-run": "--simulate --what-if",
        "--yes": "-y --assume-yes",
        "--force": "--overwrite",
        "--mode": "--keywords --keyword --semantic",
        "--like": "--similar --id --similar-to",
        "--in-folder": "--folder --dir --directory",
        "--follow-links": "--follow --follow-symlinks -L",
        "--offset": "--start --page --from",
        "--as": "--labels --names",
        "--name": "--output-name",
        "--epochs": "--iterations",
        "--lr": "--learning-rate",
        "--batch": "--batch-size",
        "--dedup": "--unique",
        "--k": "-k --limit -n --top --top-k",
        "--add": "--tag",
    }.items()
}
"""An option -> other names for it."""


def with_right_command(error: click.UsageError, group: click.Group, named: str) -> click.UsageError:
    """The error of an unknown command, or one that names the right command."""
    right = COMMANDS.get(named.lower())
    if right not in group.commands:
        return error
    return click.UsageError(f"No such command {named!r}. Use mmsearch {right}.", error.ctx)


def with_right_option(error: click.NoSuchOption) -> click.UsageError:
    """The error of an unknown option, or one that names the right option of its command."""
    params = error.ctx.command.params if error.ctx else []
    known = [name for one in params for name in one.opts]
    rights = [name for name in known if error.option_name in OPTIONS.get(name, ())]
    if not rights:
        return error
    return click.UsageError(f"No such option {error.option_name!r}. Use {rights[0]}.", error.ctx)
