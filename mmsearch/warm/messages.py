"""What a shell and a warm process say to each other.

A request is its length in four bytes, and texts with a null between them: none of them can hold one. An answer is
TAKEN, at once, and then REFUSED, or ANSWERED, the exit code, and pieces in the order they were written: number of the
descriptor, length in four bytes, bytes; a piece of number 0 ends it.
"""

import os

PROTOCOL = "1"
TAKEN, REFUSED, ANSWERED = b"T", b"R", b"A"
STATUS, STOP = "status", "stop"
"""Requests of `mmsearch warm`, in the place of a command line."""
MAX_REQUEST = 4 * 2**20

PREFIXES = (
    "MMSEARCH_", "LC_", "PYTHON", "HF_", "TRANSFORMERS_", "TORCH", "PYTORCH_", "OMP_", "KMP_", "GOMP_", "MKL_",
    "OPENBLAS_", "CUDA_", "NVIDIA_", "LD_", "DYLD_", "MALLOC_", "RICH_",
)  # fmt: skip
NAMES = frozenset(
    (
        "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "USER", "LOGNAME", "XDG_DATA_HOME", "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_DIRS", "XDG_RUNTIME_DIR",
    )
)  # fmt: skip
"""With PREFIXES: variables that may change an answer. They must be as the warm process found them."""

TOLD_OTHERWISE = frozenset(
    (
        "MMSEARCH_LIBRARY", "MMSEARCH_WARM", "PYTHONSTARTUP", "HF_HUB_DISABLE_TELEMETRY", "MMSEARCH_PASSPHRASE",
        "MMSEARCH_PASSPHRASE_FD", "MMSEARCH_NEW_PASSPHRASE",
    )
)  # fmt: skip
"""Which library it is, both sides find out by themselves; HF_... is set by each command (`own_process`); secrets go to
no other process."""

TERMINAL = ("TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE",
            "TTY_INTERACTIVE", "COLUMNS", "LINES", "TMUX")  # fmt: skip
"""Variables about a terminal, which differ between those of one user."""


def environment() -> list[str]:
    """The variables that may change an answer, as NAME=VALUE."""
    return sorted(
        f"{name}={value}"
        for name, value in os.environ.items()
        if (name in NAMES or name.startswith(PREFIXES)) and name not in TOLD_OTHERWISE
    )


def system() -> str:
    """Tells containers apart that share a folder of sockets: what is a path here is another file there."""
    root = os.stat("/")
    return f"{root.st_dev}:{root.st_ino}"


class Request:
    """A command line, and the circumstances that its output depends on."""

    __slots__ = (
        "arguments", "encodings", "environment", "folder", "library", "secret", "system", "terminal", "terminals",
    )  # fmt: skip

    def __init__(self, arguments: list[str], secret: str = "") -> None:
        self.arguments = arguments
        self.secret = secret
        self.system = ""
        self.folder = ""
        """The working folder."""
        self.library = ""
        """The one that is meant where the command line names none, as `address.library_named` tells it."""
        self.terminals = "00"
        """Whether standard output and standard error are terminals."""
        self.encodings = ["utf-8", "utf-8"]
        self.environment: list[str] = []
        self.terminal: list[str] = []
        """TERMINAL variables as NAME=VALUE, if standard output is one."""

    def packed(self) -> bytes:
        lists = (self.arguments, self.encodings, self.environment, self.terminal)
        head = [PROTOCOL, self.secret, self.system, self.folder, self.library, self.terminals]
        head += [str(len(one)) for one in lists]
        data = os.fsencode("\0".join([*head, *(text for one in lists for text in one)]))
        return len(data).to_bytes(4, "big") + data

    @classmethod
    def unpacked(cls, data: bytes) -> "Request":
        """Without the length. Raises: ValueError for anything else than `packed` gives."""
        protocol, secret, *rest = os.fsdecode(data).split("\0")
        if protocol != PROTOCOL or len(rest) < 8:
            raise ValueError("another protocol")
        made = cls([], secret)
        made.system, made.folder, made.library, made.terminals = rest[:4]
        sizes, texts = [int(size) for size in rest[4:8]], rest[8:]
        if min(sizes) < 0 or sum(sizes) != len(texts):
            raise ValueError("torn")
        lists = []
        for size in sizes:
            lists.append(texts[:size])
            texts = texts[size:]
        made.arguments, made.encodings, made.environment, made.terminal = lists
        return made


def packed_answer(code: int, pieces: list[tuple[int, bytes]]) -> bytes:
    """`pieces`: (1 or 2, what was written there)."""
    parts = [ANSWERED, bytes([code])]
    for number, data in pieces:
        parts += [bytes([number]), len(data).to_bytes(4, "big"), data]
    return b"".join([*parts, b"\0"])


def unpacked_answer(data: bytes) -> tuple[int, list[tuple[int, bytes]]] | None:
    """Exit code and pieces; None if it isn't whole, or a refusal."""
    if data[:1] != ANSWERED or len(data) < 3:
        return None
    pieces, at = [], 2
    while at < len(data) and data[at] != 0:
        end = at + 5 + int.from_bytes(data[at + 1 : at + 5], "big")
        if end > len(data):
            return None
        pieces.append((data[at], data[at + 5 : end]))
        at = end
    return (data[1], pieces) if at == len(data) - 1 else None
