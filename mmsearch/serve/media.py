"""Files out: whole or in part, from a descriptor that was opened and looked at once."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import BinaryIO
from urllib.parse import quote

from anyio import CancelScope, CapacityLimiter, create_task_group, to_thread
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

CHUNK = 2**18
"""Bytes read at once."""

TYPES: Mapping[str, str] = {
    "avif": "image/avif", "bmp": "image/bmp", "gif": "image/gif", "jpeg": "image/jpeg", "jpg": "image/jpeg",
    "png": "image/png", "webp": "image/webp",
    "aac": "audio/aac", "flac": "audio/flac", "m4a": "audio/mp4", "mp3": "audio/mpeg", "oga": "audio/ogg",
    "ogg": "audio/ogg", "opus": "audio/ogg", "wav": "audio/wav", "weba": "audio/webm",
    "m4v": "video/mp4", "mkv": "video/x-matroska", "mov": "video/quicktime", "mp4": "video/mp4", "ogv": "video/ogg",
    "webm": "video/webm",
}  # fmt: skip
"""Suffix -> what a browser may take it for. Nothing that could be a page or a script, SVG included."""

CONTENT = "default-src 'none'; sandbox"
"""What a file may do where it is opened by itself: nothing."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_reading = CapacityLimiter(16)
"""Threads that read; each for a moment."""


def media_type(name: str, modality: str) -> str:
    """The Content-Type of an item's file: a medium's own, or text, or bytes to be saved."""
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    kind = TYPES.get(suffix)
    if kind is not None and modality in ("image", "audio", "video"):
        # The same containers hold sounds and videos.
        return f"{modality}/{kind.partition('/')[2]}" if kind in ("video/mp4", "audio/mp4", "audio/ogg") else kind
    return "text/plain; charset=utf-8" if modality == "text" and suffix != "pdf" else "application/octet-stream"


class FileAnswer(Response):
    """A file, or the one range of it that was asked for; closed when it is sent, or the client is gone."""

    def __init__(self, file: BinaryIO, size: int, etag: str, kind: str, name: str, *, download: bool = False) -> None:
        self._file = file
        self._size = size
        self._etag = f'"{etag}"'
        how = "attachment" if download or kind == "application/octet-stream" else "inline"
        headers = {
            "accept-ranges": "bytes",
            "cache-control": "private, no-cache",
            "content-disposition": f"{how}; filename*=utf-8''{quote(name.encode('utf-8', 'replace'), safe='')}",
            "content-security-policy": CONTENT,
            "etag": self._etag,
        }
        super().__init__(b"", 200, headers, kind)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        try:
            # Uvicorn lets who has gone be sent to: without a watch the whole file would be read for nobody.
            async with create_task_group() as group:
                group.start_soon(watch)
                await self._answer(scope, Headers(scope=scope), send)
                group.cancel_scope.cancel()
        finally:
            with CancelScope(shield=True), suppress(OSError):
                await to_thread.run_sync(self._file.close, limiter=_reading)

    async def _answer(self, scope: Scope, asked: Headers, send: Send) -> None:
        start, end = 0, self._size
        if self._etag in [one.strip() for one in asked.get("if-none-match", "").split(",")]:
            self.status_code, end = 304, 0
        elif "range" in asked and asked.get("if-range", self._etag) == self._etag:
            part = byte_range(asked["range"], self._size)
            if part is not None:
                start, end = part
                self.status_code = 206 if start < end else 416
                told = f"{start}-{end - 1}" if start < end else "*"
                self.headers["content-range"] = f"bytes {told}/{self._size}"
        if self.status_code != 304:
            self.headers["content-length"] = str(end - start)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD" and start < end:
            await self._send(start, end, send)
        else:
            await send({"type": "http.response.body", "body": b""})

    async def _send(self, start: int, end: int, send: Send) -> None:
        def read(at: int, count: int) -> bytes:
            self._file.seek(at)
            return self._file.read(count)

        while start < end:
            chunk = await to_thread.run_sync(read, start, min(CHUNK, end - start), limiter=_reading)
            if not chunk:
                return  # it was cut off meanwhile: the connection ends, as the length that was promised says
            start += len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": start < end})


def byte_range(given: str, size: int) -> tuple[int, int] | None:
    """The start and the end of the one range that a header asks for; (0, 0) if there is nothing there, None if all is
    to be sent, as it is for several ranges."""
    found = _RANGE.fullmatch(given.strip())
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start = max(0, size - int(last))
        return (start, size) if start < size else (0, 0)
    start, end = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < int(first):
        return None
    return (start, end) if start < end else (0, 0)
