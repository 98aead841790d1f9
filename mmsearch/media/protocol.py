"""Messages between the pool and its workers: one JSON object and at most one array each.

No pickle: what a worker says after it has met a hostile file is data, never code.
"""

import json
import struct
from dataclasses import asdict, replace
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Span

Message: TypeAlias = dict[str, Any]
T = TypeVar("T")

STRETCH = 10
"""A worker may take so many times its limit on a machine that has other things to do."""

_FRAME = struct.Struct("<IQ")
_MAX_JSON = 2**28
_MAX_ARRAY = 2**33


class ProtocolError(Exception):
    """The other side is gone, or what it sent makes no sense."""


class Pipe(Protocol):
    """A raw, unbuffered binary stream."""

    def readinto(self, buffer: Any, /) -> int | None: ...
    def write(self, data: Any, /) -> int | None: ...


def write_message(pipe: Pipe, message: Message, array: NDArray[Any] | None = None) -> None:
    """Send a message; the array (any plain dtype) follows it as raw bytes. Raises: ProtocolError, ValueError."""
    body: bytes | memoryview = b""
    if array is not None:
        if array.dtype.hasobject or array.dtype.names:
            raise ValueError(f"an array of {array.dtype} can't be sent")
        message = {**message, "dtype": array.dtype.str, "shape": array.shape}
        body = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    text = json.dumps(message, allow_nan=False).encode()
    _write_all(pipe, _FRAME.pack(len(text), len(body)) + text)
    _write_all(pipe, body)


def read_message(pipe: Pipe) -> tuple[Message, NDArray[Any] | None]:
    """Wait for the next message. Raises: ProtocolError."""
    text_length, array_length = _FRAME.unpack(_read_exactly(pipe, _FRAME.size))
    if text_length > _MAX_JSON or array_length > _MAX_ARRAY:
        raise ProtocolError("oversized message")
    try:
        message = json.loads(bytes(_read_exactly(pipe, text_length)))
        if not isinstance(message, dict):
            raise ProtocolError("malformed message")
        if "dtype" not in message:
            return message, None
        dtype = np.dtype(str(message.pop("dtype")))
        raw = np.frombuffer(_read_exactly(pipe, array_length), np.uint8)
        return message, raw.view(dtype).reshape(message.pop("shape"))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ProtocolError(f"malformed message: {error}") from error


def without_surrogates(value: T) -> T:
    """A value of JSON without lone surrogates, which UTF-8 has no bytes for: a file's words may hold them, and neither
    a tokenizer nor a database takes them."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        made: T = json.loads(text.encode("utf-8", "replace"))
        return made
    return value


def pack_span(span: Span) -> Message:
    return {name: value for name, value in asdict(span).items() if value is not None}


def unpack_span(fields: Message) -> Span:
    span = Span(**fields)
    if span.box is None:
        return span
    left, top, right, bottom = span.box  # a list: JSON has no others
    return replace(span, box=(left, top, right, bottom))


def _read_exactly(pipe: Pipe, length: int) -> bytearray:
    buffer = bytearray(length)
    view = memoryview(buffer)
    done = 0
    while done < length:
        try:
            count = pipe.readinto(view[done:])
        except (OSError, ValueError) as error:
            raise ProtocolError(f"the pipe broke: {error}") from error
        if not count:
            raise ProtocolError("the other side is gone")
        done += count
    return buffer


def _write_all(pipe: Pipe, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        try:
            count = pipe.write(view)
        except (OSError, ValueError) as error:
            raise ProtocolError(f"the pipe broke: {error}") from error
        view = view[count or 0 :]
