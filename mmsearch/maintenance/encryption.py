"""Whether a library is encrypted, and by what its key is protected."""

from dataclasses import dataclass

from mmsearch.catalog import FILE_NAME, encrypting
from mmsearch.catalog.originals import FOLDER_NAME
from mmsearch.context.context import LibraryContext
from mmsearch.core import key_stores, vault
from mmsearch.core.arguments import checked_methods
from mmsearch.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class EncryptionStatus:
    """How a library is encrypted."""

    encrypted: bool
    protection: str | None = None
    """What has its key: keyring, passphrase or file."""
    place: str | None = None
    """The path of the key file."""


@checked_methods
class LibraryEncryption:
    """Encrypts a library, and changes what its key is protected by. A key that is lost is lost for good."""

    def __init__(self, context: LibraryContext) -> None:
        self._context = context
        self._folder = context.path

    def status(self) -> EncryptionStatus:
        """How the library is encrypted; needs no key. Raises: LibraryError for a header that is damaged."""
        if not vault.is_encrypted(self._folder / FILE_NAME):
            return EncryptionStatus(False)
        header = vault.read_header(self._folder)
        return EncryptionStatus(True, header.method, header.place if header.method == vault.FILE else None)

    def encrypt(self, protection: str = vault.KEYRING, *, passphrase: str | None = None) -> None:
        """Encrypt a library that is not. A kill at any moment leaves it as it was, or encrypted.

        What was there is overwritten and removed, with indexes, previews and earlier catalogs (.bak).

        Args:
            protection: "keyring", "passphrase" or "file:PATH", a new file.
            passphrase: The one to protect it with; else `MMSEARCH_PASSPHRASE`, or who sits at the terminal is asked.

        Raises: InvalidInput if it is encrypted or keeps originals, LibraryNotFound, LibraryLocked if anybody has it
        open, LibraryEncrypted without passphrase or keyring, LibraryError.
        """
        if self.status().encrypted:
            raise InvalidInput("the library is encrypted already", hint="for another passphrase: mmsearch rekey")
        self._make_anew(protection, passphrase)

    def rekey(self, protection: str | None = None, *, passphrase: str | None = None, new_key: bool = False) -> None:
        """Protect the library's key by another passphrase, or in another way. A kill at any moment leaves the old one
        or the new one.

        Backups that are there keep the old one: the data key is the same.

        Args:
            protection: As `encrypt` takes it; by default as it is now.
            passphrase: The new one.
            new_key: Encrypt all anew with another data key, as is needed where somebody may have had the old one.

        Raises: as `encrypt`; InvalidInput if the library is not encrypted.
        """
        now = self.status()
        if not now.encrypted:
            raise InvalidInput("the library is not encrypted", hint="mmsearch encrypt")
        chosen = protection or now.protection or vault.KEYRING
        if chosen == vault.FILE:
            raise InvalidInput("another key needs another file", hint="mmsearch rekey file:PATH")
        self._context.catalog()
        if new_key:
            self._make_anew(chosen, passphrase, again=True)
            return
        with self._context.writing():
            vault.rewrap(self._folder, chosen, passphrase)

    def _make_anew(self, protection: str, passphrase: str | None, *, again: bool = False) -> None:
        context = self._context
        if passphrase is not None:
            key_stores.offer(passphrase)
        catalog = context.catalog()
        catalog.store.check_file("encryption", vault.ON_A_SERVER)
        if (self._folder / FOLDER_NAME).is_dir() and any(catalog.originals.hashes()):
            raise InvalidInput(
                "the library keeps originals, which an encrypted one can't",
                hint="export what you need of them, and remove those items",
            )
        with context.writing(), context.adding(), context.extracting():
            before = vault.key_of_library(catalog.path)
            key = vault.fresh(protection, self._folder, passphrase, again=again)
            context.let_go()
            try:
                encrypting.encrypt_files(self._folder, key)
            except BaseException:
                if not encrypting.unfinished(self._folder):
                    vault.discard(key)
                raise
            if before is not None:
                vault.forget_protection(before)
