"""Writes OLE files (MS-CFB) and Outlook messages in them (MS-OXMSG), which no library does."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

Tree: TypeAlias = "Mapping[str, bytes | Tree]"

SECTOR, MINI, CUTOFF = 512, 64, 4096
_END, _FREE, _FAT, _NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF
_STRING, _BINARY, _TIME, _NUMBER = 0x001F, 0x0102, 0x0040, 0x0003

SUBJECT, BODY, SENDER, ADDRESS, SENT = 0x0037, 0x1000, 0x0C1A, 0x0C1F, 0x0039
NAME, EMAIL, FILE, KIND, DATA, METHOD = 0x3001, 0x3003, 0x3707, 0x370E, 0x3701, 0x3705


class _File:
    def __init__(self) -> None:
        self.sectors: list[bytes] = []
        self.chain: list[int] = []
        self.mini = b""
        self.mini_chain: list[int] = []
        self.entries: list[bytes] = []

    def stream(self, data: bytes) -> tuple[int, int]:
        """(first sector, size)."""
        if not data:
            return _END, 0
        if len(data) < CUTOFF:
            first, count = len(self.mini_chain), -(-len(data) // MINI)
            self.mini += data.ljust(count * MINI, b"\0")
            self.mini_chain += [*range(first + 1, first + count), _END]
            return first, len(data)
        return self.large(data), len(data)

    def large(self, data: bytes) -> int:
        first, count = len(self.sectors), -(-len(data) // SECTOR)
        padded = data.ljust(count * SECTOR, b"\0")
        self.sectors += [padded[at : at + SECTOR] for at in range(0, len(padded), SECTOR)]
        self.chain += [*range(first + 1, first + count), _END]
        return first if count else _END

    def folder(self, tree: Tree) -> int:
        """The entry of its first child; the others hang on it as a list."""
        first, last = _NONE, -1
        for name, value in tree.items():
            own = len(self.entries)
            self.entries.append(b"")
            if isinstance(value, bytes):
                self.entries[own] = entry(name, 2, *self.stream(value))
            else:
                self.entries[own] = entry(name, 1, 0, 0, child=self.folder(value))
            if last < 0:
                first = own
            else:
                self.entries[last] = self.entries[last][:72] + struct.pack("<I", own) + self.entries[last][76:]
            last = own
        return first


def entry(name: str, kind: int, first: int, size: int, child: int = _NONE) -> bytes:
    """128 bytes of a directory."""
    letters = name.encode("utf-16-le") + b"\0\0"
    head = letters.ljust(64, b"\0") + struct.pack("<HBBIII", len(letters), kind, 1, _NONE, _NONE, child)
    return head + bytes(36) + struct.pack("<IQ", first, size)


def write_ole(path: Path, tree: Tree) -> Path:
    file = _File()
    file.entries.append(b"")
    child = file.folder(tree)
    mini = file.large(file.mini)
    file.entries[0] = entry("Root Entry", 5, mini if file.mini else _END, len(file.mini), child)
    mini_fat = file.large(b"".join(struct.pack("<I", one) for one in file.mini_chain)) if file.mini_chain else _END
    mini_count = -(-4 * len(file.mini_chain) // SECTOR)
    while len(file.entries) % 4:
        file.entries.append(bytes(68) + struct.pack("<III", _NONE, _NONE, _NONE) + bytes(48))
    directory = file.large(b"".join(file.entries))
    count = 1
    while count * (SECTOR // 4) < len(file.sectors) + count:
        count += 1
    first = len(file.sectors)
    fat = struct.pack(f"<{len(file.chain)}I", *file.chain) + struct.pack(f"<{count}I", *[_FAT] * count)
    fat = fat.ljust(count * SECTOR, b"\xff")
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    header += bytes(6) + struct.pack("<IIIIIIIII", 0, count, directory, 0, CUTOFF, mini_fat, mini_count, _END, 0)
    header += b"".join(struct.pack("<I", first + n if n < count else _FREE) for n in range(109))
    path.write_bytes(header + b"".join(file.sectors) + fat)
    return path


def _storage(values: Mapping[int, str | bytes | int], header: bytes, sent: int = 0) -> dict[str, "bytes | Tree"]:
    """The streams of a message, a recipient or an attachment."""
    made: dict[str, bytes | Tree] = {}
    rows = b""
    for number, value in values.items():
        if isinstance(value, int):
            rows += struct.pack("<HHIQ", _NUMBER, number, 6, value)
            continue
        kind, data = (_STRING, value.encode("utf-16-le")) if isinstance(value, str) else (_BINARY, value)
        rows += struct.pack("<HHIQ", kind, number, 6, len(data))
        made[f"__substg1.0_{number:04X}{kind:04X}"] = data
    if sent:
        rows += struct.pack("<HHIQ", _TIME, SENT, 6, sent)
    return {"__properties_version1.0": header + rows, **made}


def write_message(
    path: Path,
    subject: str,
    body: str,
    *,
    sender: tuple[str, str] = ("Ada", "ada@example.org"),
    to: tuple[str, str] = ("Bob", "bob@example.org"),
    sent_s: int = 1_714_551_630,
    attached: Mapping[str, tuple[str, bytes]] | None = None,
) -> Path:
    """An Outlook message.

    Args:
        sent_s: Seconds since 1970, UTC; 0 if it was not sent.
        attached: Name -> (type, content).
    """
    files = attached or {}
    header = bytes(8) + struct.pack("<IIII", 1, len(files), 1, len(files)) + bytes(8)
    sent = (sent_s + 11_644_473_600) * 10_000_000 if sent_s else 0
    values: dict[int, str | bytes | int] = {SUBJECT: subject, BODY: body, SENDER: sender[0], ADDRESS: sender[1]}
    tree = _storage(values, header, sent)
    tree["__nameid_version1.0"] = {}
    tree["__recip_version1.0_#00000000"] = _storage({NAME: to[0], EMAIL: to[1]}, bytes(8))
    for number, (name, (kind, data)) in enumerate(files.items()):
        values = {METHOD: 1, FILE: name, KIND: kind, DATA: data}
        tree[f"__attach_version1.0_#{number:08X}"] = _storage(values, bytes(8))
    return write_ole(path, tree)
