"""What a server is told, and which of it goes together."""

import ipaddress
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from mmsearch.errors import InvalidInput

PORT = 8765
LEAST_TOKEN, MOST_TOKEN = 16, 512
"""Characters of a token that a person chose."""


@dataclass(frozen=True, slots=True)
class ServeLimits:
    """How much of everything a server takes on."""

    body_bytes: int = 40_000_000
    """Of a request with a file."""
    json_bytes: int = 1_000_000
    """Of any other request."""
    form_fields: int = 40
    field_bytes: int = 65_536
    head_s: float = 10.0
    """Seconds until a connection has said what it wants."""
    body_s: float = 30.0
    """Seconds that a client may be silent in the midst of a body."""
    connections: int = 512
    streams: int = 16
    """Open streams of events."""
    searches: int = field(default_factory=lambda: max(2, min(os.cpu_count() or 2, 8)))
    """Searches at once."""
    waiting: int = 32
    """Searches that wait; more are turned away."""
    previews: int = field(default_factory=lambda: max(1, min(os.cpu_count() or 1, 4)))
    """Previews made at once, each by a decode worker."""
    waiting_previews: int = 500
    uploads: int = 200
    """Files of queries that are kept."""
    upload_bytes: int = 1_000_000_000
    """Of them together."""
    upload_s: float = 3600.0
    """Seconds that one is kept after its last use."""
    session_s: float = 7 * 86_400.0
    """Seconds without a request after which a session has expired."""
    sessions: int = 1000


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve. Raises: InvalidInput for what does not go together."""

    host: str = "127.0.0.1"
    port: int = PORT
    """0: any that is free."""
    token: str | None = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """None: whoever reaches the port is let in."""
    made_token: bool = True
    """Whether the token was made now, and so may be printed."""
    allow_hosts: tuple[str, ...] = ()
    """Further names of this server."""
    proxies: tuple[str, ...] = ()
    """Addresses whose word is taken for who asks, and by which scheme."""
    read_only: bool = False
    """Whether nothing of the library may be changed."""
    manage: bool = False
    """Whether jobs may be started."""
    limits: ServeLimits = field(default_factory=ServeLimits)

    def __post_init__(self) -> None:
        for proxy in self.proxies:
            _network(proxy)
        if self.read_only and self.manage:
            raise InvalidInput("a server that only reads has nothing to manage", hint="--read-only or --manage")
        if self.token is None and (self.proxies or not self.on_loopback):
            where = "behind a proxy" if self.proxies else f"on {self.host}"
            raise InvalidInput(
                f"without a token everybody who reaches a server {where} could see every file of the library",
                hint="leave --no-token out, and name a file with a token: --token-file FILE",
            )
        if self.token is not None and self.made_token and (self.proxies or not self.on_loopback):
            raise InvalidInput(
                "a server that others can reach needs a token that you chose",
                hint="python -c 'import secrets; print(secrets.token_urlsafe(32))' > token; chmod 600 token; "
                "then --token-file token",
            )

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine reaches the server."""
        return is_loopback(self.host) or self.host == "localhost"


def is_loopback(address: str) -> bool:
    """Whether an address, such as 127.0.0.1 or [::1], is this machine's own; a name is none."""
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def _network(proxy: str) -> None:
    try:
        ipaddress.ip_network(proxy, strict=False)
    except ValueError as error:
        raise InvalidInput(
            f"{proxy!r} is no address of a proxy", hint="such as 127.0.0.1 or 10.0.0.0/8: the proxy's own"
        ) from error


def read_token(file: Path) -> str:
    """The token in a file of one line. Raises: InvalidInput, for a file that others can read, too."""
    try:
        status, text = file.stat(), file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"the token in {file} can't be read: {error}", hint="a file of one line of text") from error
    if os.name == "posix" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidInput(f"others can read the token in {file}", hint=f"chmod 600 {file}")
    if not LEAST_TOKEN <= len(text) <= MOST_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidInput(
            f"what {file} holds is no token",
            hint=f"one line of {LEAST_TOKEN} to {MOST_TOKEN} letters, digits and signs, without blanks",
        )
    return text
