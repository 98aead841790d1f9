"""mmsearch encrypt, rekey; and what --encrypt says"""

import sys
from pathlib import Path

import click

from mmsearch.cli.options import library_option, open_library
from mmsearch.core import key_stores

FINAL = {
    "keyring": "Its key is in the keyring of this user. If that is lost, nobody can read the library.",
    "passphrase": "If its passphrase is lost, nobody can read the library.",
    "file": "If its key file is lost, nobody can read the library; keep a copy of it elsewhere.",
}
_PROTECTION = click.argument("protection", metavar="[keyring|passphrase|file:PATH]", required=False)


def ask_on_terminal() -> None:
    """Let whoever sits at the terminal be asked for passphrases."""
    if sys.stdin is not None and sys.stdin.isatty():
        key_stores.ask_with(lambda what: str(click.prompt(what, hide_input=True, err=True)))


def tell_of_key(protection: str) -> None:
    """What a loss means, said when a key is made."""
    final = FINAL.get(protection.partition(":")[0], "")
    click.echo(f"The library is encrypted. {final}", err=True)


@click.command()
@_PROTECTION
@library_option
def encrypt(protection: str | None, library: Path | None) -> None:
    """Encrypt a library that is there.

    Its key is in the keyring, in a file, or made of a passphrase. Ctrl-C or a crash leave it as it was, or encrypted.
    What was there is overwritten and removed.
    """
    chosen = protection or "keyring"
    with open_library(library) as opened:
        opened.encryption.encrypt(chosen)
        copies = opened.copies()
    tell_of_key(chosen)
    click.echo("What was there was overwritten; snapshots, and worn cells of an SSD, may still hold it.", err=True)
    for copy in copies:
        click.echo(f"Not encrypted: {copy.path}", err=True)


@click.command()
@_PROTECTION
@click.option("--new-key", is_flag=True, help="Encrypt all anew, where somebody may have had the key.")
@library_option
def rekey(protection: str | None, new_key: bool, library: Path | None) -> None:
    """Change the key of an encrypted library.

    Without --new-key another passphrase, file or entry of the keyring protects the same key.
    """
    with open_library(library) as opened:
        opened.encryption.rekey(protection, new_key=new_key)
        now = opened.encryption.status()
    tell_of_key(now.protection or "")
