"""Who asks, and what they may: `Access.caller` is the one place that says so.

The server's own token is its owner's, who may do whatever it was started for. The library's tokens (`Library.tokens`)
are other people's: they may search, or as much as the owner, and with a filter there is nothing else for them.
"""

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mmsearch.core.tokens import AccessToken, token_hash
from mmsearch.errors import SignInNeeded, TooManyRequests
from mmsearch.serve.options import ServeOptions

Right: TypeAlias = Literal["search", "tag", "manage"]
"""search: find and look at items. tag: say something of them. manage: start jobs."""

OWNER = "owner"
"""The name of who has the server's own token, or asks one that wants none."""

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
    within: str | None = None
    """A filter: nothing else is there for them."""


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
    _known: OrderedDict[str, tuple[float, str]] = field(default_factory=OrderedDict)
    """Hash -> when it expires, and the hash of the token that began it; those used last at the end."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, token: str) -> str:
        """A new session's secret, for whoever gave a token."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._known[token_hash(secret)] = self.clock() + self.seconds, token_hash(token)
            while len(self._known) > self.most:
                self._known.popitem(last=False)
        return secret

    def token_of(self, secret: str) -> str | None:
        """The hash of the token that began a session, which then goes on; None for one that has expired."""
        key = token_hash(secret)
        with self._lock:
            expires, token = self._known.get(key, (0.0, ""))
            if expires <= self.clock():
                self._known.pop(key, None)
                return None
            self._known[key] = self.clock() + self.seconds, token
            self._known.move_to_end(key)
            return token

    def end(self, secret: str) -> None:
        with self._lock:
            self._known.pop(token_hash(secret), None)


Holder: TypeAlias = Callable[[str], AccessToken | None]
"""Whose a token is, by its hash."""


def nobody(_: str) -> None:
    """Whose a token is where there are none."""


class Access:
    """What tells callers apart, of one server."""

    def __init__(self, options: ServeOptions, holder: Holder = nobody) -> None:
        self._token = None if options.token is None else token_hash(options.token)
        self._holder = holder
        rights: set[Right] = {"search"}
        if not options.read_only:
            rights.add("tag")
        if options.manage:
            rights.add("manage")
        self._owner = Caller(OWNER, frozenset(rights))
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
        if bearer is not None:
            return self.prove(bearer, address)
        if self._token is None and session is None:
            return self._owner
        token = None if session is None else self.sessions.token_of(session)
        known = None if token is None else self._known(token)
        if known is not None:
            return known
        if self._token is None:
            return self._owner
        reason = "your session has expired" if session is not None else "this needs a token"
        raise SignInNeeded(reason, hint=NEEDED)

    def prove(self, token: str, address: str) -> Caller:
        """Whose a token is. Raises: SignInNeeded for a wrong token, TooManyRequests after many of them."""
        if self._token is not None:
            self.tried.check(address)
        known = self._known(token_hash(token))
        if known is not None:
            return known
        if self._token is None:
            return self._owner
        self.tried.wrong(address)
        raise SignInNeeded("the token is wrong", hint=NEEDED)

    def _known(self, hashed: str) -> Caller | None:
        """Who is known by a token's hash now: one that was revoked is nobody's."""
        if self._token is not None and hmac.compare_digest(hashed, self._token):
            return self._owner
        held = self._holder(hashed)
        if held is None:
            return None
        rights = self._owner.rights if held.scope == "manage" else frozenset[Right](("search",))
        if held.filter is not None:
            # A job takes in what no filter has met yet.
            rights -= {"manage"}
        return Caller(held.name, rights, held.filter)
