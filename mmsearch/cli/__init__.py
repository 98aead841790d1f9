"""The `mmsearch` command. Parses, calls `mmsearch.open(...)`, prints; nothing else happens here."""

import os
import sys
import traceback
from pathlib import Path

import click

from mmsearch.cli import exit_codes, log, output
from mmsearch.cli.audit import audit
from mmsearch.cli.backup import backup, export, import_folder, restore
from mmsearch.cli.completion import VARIABLE, add_completion, answer, completion
from mmsearch.cli.config import config
from mmsearch.cli.conflicts import refuse_conflicts
from mmsearch.cli.connect import connect
from mmsearch.cli.demo import demo
from mmsearch.cli.doctor import doctor
from mmsearch.cli.duplicates import duplicates
from mmsearch.cli.encryption import ask_on_terminal, encrypt, rekey
from mmsearch.cli.evaluate import evaluate
from mmsearch.cli.examples import examples
from mmsearch.cli.extract import extract, transcript
from mmsearch.cli.help import help_command
from mmsearch.cli.help_examples import add_examples
from mmsearch.cli.index import index
from mmsearch.cli.ingest import ingest
from mmsearch.cli.items import items, tag
from mmsearch.cli.label import label
from mmsearch.cli.mcp import mcp
from mmsearch.cli.model import model
from mmsearch.cli.models import models, prepare
from mmsearch.cli.move import move
from mmsearch.cli.options import FilePath
from mmsearch.cli.privacy import privacy
from mmsearch.cli.prune import prune, remove
from mmsearch.cli.query import query
from mmsearch.cli.roots import roots
from mmsearch.cli.searches import searches
from mmsearch.cli.serve import serve
from mmsearch.cli.service import service
from mmsearch.cli.status import failures, status
from mmsearch.cli.token import token
from mmsearch.cli.train import train
from mmsearch.cli.train_fusion import fusion as train_fusion
from mmsearch.cli.train_labels import labels as train_labels
from mmsearch.cli.warm import warm
from mmsearch.cli.watch import watch
from mmsearch.cli.worker import worker
from mmsearch.cli.wrong_names import with_right_command, with_right_option
from mmsearch.core.config import own_process
from mmsearch.errors import MmsearchError

EPILOG = """
`mmsearch help` lists the chapters of the docs, `mmsearch COMMAND --help` explains a command.
"""

SECTIONS = {
    "Search": "query searches serve mcp duplicates label transcript",
    "Library": "ingest worker extract watch status roots failures items tag remove prune backup restore move export "
    "import",
    "Models": "models prepare model connect",
    "Training": "train evaluate",
    "Upkeep": "index doctor privacy encrypt rekey token audit config service warm completion help demo examples",
}
"""How `--help` groups the commands; those that no section names come last."""


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from mmsearch.core.version import VERSION

        click.echo(f"mmsearch {VERSION}")
        context.exit()


class _Shell(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """An option of commands that stands before the command is told where it goes."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            commands = [name for name, one in self.commands.items() if _has_option(one, error.option_name)]
            if not commands:
                raise
            example = "query" if "query" in commands else commands[0]
            raise click.UsageError(
                f"{error.option_name} goes after the command, as in: mmsearch {example} {error.option_name} ...", ctx
            ) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands in sections."""
        named = {name for names in SECTIONS.values() for name in names.split()}
        others = [name for name in self.commands if name not in named]
        room = formatter.width - 6 - max(map(len, self.commands))
        for section, names in (*SECTIONS.items(), ("More", " ".join(others))):
            rows = [(name, self.commands[name].get_short_help_str(room)) for name in names.split()]
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """What other programs call a command is told its name here."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise with_right_command(error, self, args[0]) from error

    def invoke(self, ctx: click.Context) -> object:
        """Click would end in silence on any broken pipe; standard output's is a ReaderGone, so this is another's."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            raise with_right_option(error) from error
        except BrokenPipeError as error:
            raise MmsearchError("a process that mmsearch uses has ended", hint="run the command again") from error


def _has_option(command: click.Command, option: str) -> bool:
    return any(option in parameter.opts for parameter in command.params)


@click.group(cls=_Shell, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version and exit.",
)
@click.option("--log-file", type=FilePath(dir_okay=False), help="Also write messages into this file.")
@click.option(
    "--log-level",
    type=click.Choice(log.LEVELS),
    default="info",
    show_default=True,
    help="Lowest level in the log file; only debug has paths and queries.",
)
@click.pass_context
def cli(context: click.Context, log_file: Path | None, log_level: str) -> None:
    """Search any of your media with any other: type it, show it, or play it."""
    context.with_resource(log.logged(context.invoked_subcommand or "", log_file, log_level))


for command in (
    ingest,
    extract,
    transcript,
    query,
    serve,
    mcp,
    searches,
    duplicates,
    status,
    failures,
    remove,
    prune,
    roots,
    backup,
    restore,
    export,
    import_folder,
    items,
    tag,
    label,
    evaluate,
    index,
    train,
    model,
    models,
    prepare,
    connect,
    doctor,
    config,
    completion,
    demo,
    examples,
    token,
    privacy,
    encrypt,
    rekey,
    audit,
    watch,
    worker,
    move,
    service,
    warm,
    help_command,
):
    cli.add_command(command)

train.add_command(train_labels)
train.add_command(train_fusion)
add_examples(cli)
add_completion(cli)
refuse_conflicts(cli)


def main() -> None:
    """Run the command line; what went wrong is said in a line or two, with an exit code of its own (`exit_codes`)."""
    output.guard()
    own_process()
    ask_on_terminal()
    try:
        code = _run()
    except MmsearchError as error:
        _say(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(exit_codes.of_usage(error))
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(exit_codes.INTERRUPTED)
    except output.ReaderGone:
        sys.exit(exit_codes.READER_GONE)
    except Exception as error:
        traceback.print_exc()
        _say(MmsearchError(f"something unexpected: {type(error).__name__}", hint="please report what is printed above"))
        sys.exit(exit_codes.UNEXPECTED)
    if code:
        sys.exit(code)


def _run() -> int:
    """The exit code of a command that came to its end. What it printed is written down before that is told."""
    code = 0
    try:
        if instruction := os.environ.get(VARIABLE):
            answer(cli, instruction)
        else:
            cli(standalone_mode=False)
    except SystemExit as end:
        code = int(end.code or 0)
    sys.stdout.flush()
    return code


def _say(error: MmsearchError) -> None:
    click.echo(_lines(f"Error: {error.message}"), err=True)
    if error.hint:
        click.echo(_lines(f"Hint: {error.hint}"), err=True)


def _lines(message: str) -> str:
    """A message's own further lines are indented; any other line end is part of a name."""
    return "\n  ".join(map(output.printable, message.split("\n  ")))
