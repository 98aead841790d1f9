"""mmsearch examples"""

from pathlib import Path

import click

from mmsearch.cli import show
from mmsearch.cli.options import FilePath
from mmsearch.errors import InvalidInput, UnknownName


@click.command()
@click.argument("name", required=False)
@click.argument("folder", required=False, type=FilePath(file_okay=False))
def examples(name: str | None, folder: Path | None) -> None:
    """List applications that use mmsearch, or copy one.

    It is copied into FOLDER, by default one of its name here, with the media it needs. Each has a page in the docs.
    """
    from mmsearch.resources.examples import EXAMPLES, copy_example

    if name is None:
        show.table(("example", "what it is"), [(one.name, one.summary) for one in EXAMPLES.values()], wrap="what it is")
        return
    if name not in EXAMPLES:
        raise UnknownName(f"there is no example {name!r}", hint=f"one of {', '.join(EXAMPLES)}")
    example, target = EXAMPLES[name], folder or Path(name)
    try:
        copy_example(name, target)
    except OSError as error:
        why = "it is there already" if isinstance(error, FileExistsError) else error.strerror
        raise InvalidInput(f"can't copy the example into {target}: {why}", hint="name another folder") from error
    click.echo(f"Copied into {target}. Run it:")
    if example.extra is not None:
        click.echo(f"  pip install 'mmsearch[{example.extra}]'")
    click.echo(f"  {example.run.replace(f'{name}/', f'{target}/', 1)}")
    click.echo(f"Its page: mmsearch help {example.topic}")
