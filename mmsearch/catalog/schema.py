"""Making and upgrading the schema. Migrations are the only way a schema comes to be, in tests too."""

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from mmsearch.catalog.copy import copy_catalog
from mmsearch.catalog.database import reading, writing
from mmsearch.catalog.dialect import dialect_of, place_of_catalog
from mmsearch.errors import CatalogDamaged, LibraryReadOnly, SchemaTooNew

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0010"
"""The newest revision; known here so that opening an up-to-date library loads no Alembic (a test compares)."""

PACKAGE = Path(__file__).resolve().parents[1]


def scripts() -> Path:
    """The migrations' folder: beside the package's modules in a wheel, beside the package in a checkout."""
    for folder in (PACKAGE / "migrations", PACKAGE.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise CatalogDamaged("the migrations are missing from this installation", hint="install mmsearch again")


def revision(engine: Engine) -> str | None:
    """The catalog's revision, None if it has no schema yet."""
    with reading(engine) as connection:
        return dialect_of(engine).revision(connection)


def check(revision: str) -> None:
    """Raises: SchemaTooNew for a revision that this release doesn't know."""
    if revision == HEAD:
        return
    from alembic.script import ScriptDirectory

    if revision not in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}:
        raise SchemaTooNew(
            f"this library was written by a newer release (schema {revision}, this one knows up to {HEAD})",
            hint="upgrade: pip install --upgrade mmsearch",
        )


def prepare(engine: Engine) -> None:
    """Bring the schema to HEAD: a new catalog is made, an older one in a file copied to `.bak` first.

    Raises: SchemaTooNew, CatalogDamaged.
    """
    current = revision(engine)
    _check_triggers(engine, current)
    if current == HEAD:
        return
    if current is not None:
        check(current)
        if engine.url.database:
            _keep_copy(Path(engine.url.database), current)
    from alembic import command

    config = _config()
    with writing(engine) as connection:
        dialect_of(engine).make_schema(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    _check_triggers(engine, HEAD)


def _keep_copy(path: Path, current: str) -> None:
    """Raises: LibraryReadOnly."""
    kept = path.with_name(f"{path.name}.{current}.bak")
    try:
        kept.unlink(missing_ok=True)
        copy_catalog(path, kept)
    except (LibraryReadOnly, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise LibraryReadOnly(
            f"the library at {path.parent} is of an older release, and nothing may be written there to upgrade it",
            hint="open it once where you may write, or copy it to where you may",
        ) from error


def _check_triggers(engine: Engine, revision: str | None) -> None:
    with reading(engine) as connection:
        dialect_of(engine).check_schema(connection, revision, place_of_catalog(engine))


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    # configparser gives % a meaning; a folder may well have one in its name.
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
