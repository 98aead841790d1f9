"""A server of the tiny space in a thread of the test's process, and who asks it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

import mmsearch
from mmsearch.library import Library
from mmsearch.serve.options import ServeLimits, ServeOptions
from mmsearch.serve.server import RunningServer, served
from tests.generated import picture, sound, video, words

API = "/api/v1"
TOKEN = "a-token-for-the-tests-alone"


class Running(NamedTuple):
    """A server, its library, and a client that has the token."""

    server: RunningServer
    library: Library
    media: Path
    client: httpx.Client

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.server.listener.getsockname()[:2]
        return str(host), int(port)

    def item(self, name: str) -> int:
        """The id of an item."""
        item = self.library.get(self.media / name)
        assert item is not None
        return item.id


def fill(folder: Path) -> None:
    """Media of every kind."""
    picture(folder / "red.png", "red")
    picture(folder / "green.png", "green")
    sound(folder / "low.wav", "low")
    video(folder / "clip.mp4", "red", "blue")
    words(folder / "notes" / "note.txt", "a blue house")
    words(folder / "notes" / "page.html", "<script>alert(1)</script> a green <b>house</b>")


def filled(place: Path) -> Library:
    """A library of the tiny space, open."""
    fill(place / "media")
    library = mmsearch.open(place / "library", space="tests.tiny:space", workers=1, dedup=False)
    library.ingest(place / "media")
    return library


def anonymous(server: RunningServer, **more: Any) -> httpx.Client:
    """A client without a token."""
    return httpx.Client(base_url=server.address, timeout=60, **more)


@contextmanager
def running(place: Path, limits: ServeLimits | None = None, **chosen: Any) -> Iterator[Running]:
    """A server of a new library in a folder."""
    given = {"port": 0, "token": TOKEN, "made_token": False, "limits": limits or ServeLimits(), **chosen}
    with (
        filled(place) as library,
        served(library, ServeOptions(**given)) as server,
        anonymous(server, headers={"authorization": f"Bearer {TOKEN}"}) as client,
    ):
        yield Running(server, library, place / "media", client)


def raw(address: tuple[str, int], request: bytes) -> bytes:
    """What is answered to a request without a body, up to the end of the connection."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(request.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        said = b""
        while part := connection.recv(65536):
            said += part
        return said


def status_of(said: bytes) -> int:
    return int(said.split(b" ", 2)[1]) if said else 0
