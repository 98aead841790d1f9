"""Tokens: what is known of one, and by what it is known."""

import hashlib
from dataclasses import dataclass
from typing import Literal, TypeAlias

Scope: TypeAlias = Literal["read", "manage"]
"""read: find and look at items. manage: whatever the server lets its owner do."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What is known of a token; not the token."""

    name: str
    scope: Scope
    filter: str | None
    """Only what matches is there for its holder."""
    created: str
    """UTC, ISO 8601."""


def token_hash(token: str) -> str:
    """By which a token is known: 256 random bits need no slower one."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
