"""What a look at the machine found: the values that `mmsearch doctor` prints."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "warning", "error"]
"""error: something mmsearch needs doesn't work. warning: it works, but slower or with less than it could."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: State
    detail: str
    remedy: str | None = None
    """What to do about it, unless all is well."""
