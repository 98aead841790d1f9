"""Copying a library to another place, its catalog, and what lies beside it that can't be made again."""

import shutil

from mmsearch.catalog.moving import Moved, OnTable, copy_into
from mmsearch.catalog.originals import FOLDER_NAME as ORIGINALS
from mmsearch.context.context import LibraryContext
from mmsearch.core import vault
from mmsearch.core.atomic import told
from mmsearch.core.config import FILE_NAME as SETTINGS
from mmsearch.errors import InvalidInput

TRAINING = "training"

BESIDE = (ORIGINALS, TRAINING)
"""Folders of a library that go along, if they are there."""


def move_library(source: LibraryContext, target: LibraryContext, on_table: OnTable) -> Moved:
    """Copy a library. The caller holds the writer's lock of both. Raises: InvalidInput if one is
    encrypted; as `catalog.moving.copy_into`."""
    if vault.is_encrypted(source.path / vault.HEADER) or vault.is_encrypted(target.path / vault.HEADER):
        raise InvalidInput(
            "an encrypted library is not copied row by row",
            hint="copy its folder, or mmsearch backup and restore; a server encrypts its own disk",
        )
    catalog = source.catalog()
    copied = target.catalog(create=True)
    for name in BESIDE:
        if (source.path / name).is_dir():
            with told(target.path):
                shutil.copytree(source.path / name, target.path / name, dirs_exist_ok=True)
    if (source.path / SETTINGS).is_file():
        with told(target.path):
            shutil.copy2(source.path / SETTINGS, target.path / SETTINGS)
    return copy_into(catalog, copied, on_table)
