"""Who asks, and what they may: `Access.caller` is the one place that says so.

There is one token, whose owner may do whatever the server was started for; named tokens with filters of their own would
be other callers here, and nothing else would change.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mmsearch.errors import SignInNeeded, TooManyRequests
from mmsearch.serve.options import ServeOptions

Right: TypeAlias = Literal["search", "tag", "manage"]
"""search: find and look at items. tag: say something of them. manage: start jobs."""

FREE_TRIES = 10
"""Wrong tokens of one address before it has to wait."""
TRY_S = 2.0
"""Seconds after which it may try once more."""
ADDRESSES = 10_000
"""Addresses whose wrong tokens are remembered."""

NEEDED = "open the address that mmsearch serve printed, or send the header Authorization: Bearer TOKEN"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    name: str
    rights: frozenset[Right]


class TriedTokens:
    """How often an address gave a wrong token lately. Thread safety: all methods may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Address -> how many wrong ones count at which time; one is forgotten every TRY_S seconds."""

    def check(self, address: str) -> None:
        """Raises: TooManyRequests."""
        with self._lock:
            count = self._count(address)
        if count >= FREE_TRIES:
            wait = max(1, round((count - FREE_TRIES + 1) * TRY_S))
            raise TooManyRequests("too many wrong tokens", wait_s=wait)

    def wrong(self, address: str) -> None:
        with self._lock:
            self._wrong[address] = (self._count(address) + 1, self._clock())
            self._wrong.move_to_end(address)
            while len(self._wrong) > ADDRESSES:
                self._wrong.popitem(last=False)

    def _count(self, address: str) -> float:
        count, at = self._wrong.get(address, (0.0, 0.0))
        return max(0.0, count - (self._clock() - at) / TRY_S)


@dataclass(slots=True)
class Sessions:
    """Sessions of browsers. A session is remembered by its hash, so that nothing here lets anybody in. Thread safety:
    all methods may be called from any thread."""

    seconds: float
    most: int
    clock: Callable[[], float] = time.monotonic
    _known: OrderedDict[bytes, float] = field(default_factory=OrderedDict)
    """Hash -> when it expires, those used last at the end."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> str:
        """A new session's secret."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._known[_hash(secret)] = self.clock() + self.seconds
            while len(self._known) > self.most:
                self._known.popitem(last=False)
        return secret

    def holds(self, secret: str) -> bool:
        """Whether it is one that has not expired; it then goes on."""
        key = _hash(secret)
        with self._lock:
            if self._known.get(key, 0.0) <= self.clock():
                self._known.pop(key, None)
                return False
            self._known[key] = self.clock() + self.seconds
            self._known.move_to_end(key)
            return True

    def end(self, secret: str) -> None:
        with self._lock:
            self._known.pop(_hash(secret), None)


class Access:
    """What tells callers apart, of one server."""

    def __init__(self, options: ServeOptions) -> None:
        self._token = options.token
        rights: set[Right] = {"search"}
        if not options.read_only:
            rights.add("tag")
        if options.manage:
            rights.add("manage")
        self._owner = Caller("owner", frozenset(rights))
        self.sessions = Sessions(options.limits.session_s, options.limits.sessions)
        self.tried = TriedTokens()

    @property
    def open(self) -> bool:
        """Whether no token is asked for."""
        return self._token is None

    def caller(self, bearer: str | None, session: str | None, address: str) -> Caller:
        """Who asks, by what the request brought.

        Args:
            bearer: The token in the header Authorization.
            session: The secret in the session's cookie.
            address: Where the request comes from.

        Raises: SignInNeeded, TooManyRequests.
        """
        if self._token is None:
            return self._owner
        if bearer is not None:
            self.prove(bearer, address)
            return self._owner
        if session is not None and self.sessions.holds(session):
            return self._owner
        reason = "your session has expired" if session is not None else "this needs a token"
        raise SignInNeeded(reason, hint=NEEDED)

    def prove(self, token: str, address: str) -> None:
        """Raises: SignInNeeded for a wrong token, TooManyRequests after many of them."""
        if self._token is None:
            return
        self.tried.check(address)
        if not hmac.compare_digest(_hash(token), _hash(self._token)):
            self.tried.wrong(address)
            raise SignInNeeded("the token is wrong", hint=NEEDED)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
