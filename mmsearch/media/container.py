"""Sound and video files through PyAV: what is a container, what is in it, and how errors are named.

Only local files of listed formats are opened: playlists, scripts and network formats, which could make FFmpeg read
something else, are refused (protocol and format whitelists).
"""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import av
import av.logging
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from mmsearch.errors import Corrupt, MediaError, OutOfMemory, Unsupported
from mmsearch.media import kinds, sniff
from mmsearch.media.dates import EARLIEST
from mmsearch.media.exif import position
from mmsearch.media.music import music_facts
from mmsearch.types import Metadata

av.logging.set_level(None)

_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpeg", "mpegts", "mpegvideo", "m4v", "flv", "asf", "ogg", "nut",
    "mxf", "dv", "ivf", "rm", "wtv", "h264", "hevc", "obu", "yuv4mpegpipe", "swf",
    "wav", "w64", "mp3", "flac", "aac", "loas", "ac3", "eac3", "dts", "truehd", "mlp", "aiff", "au", "caf", "amr",
    "ape", "wv", "tta", "tak", "mpc", "mpc8", "dsf", "iff", "voc", "oma", "shn", "qoa", "bonk", "osq", "wavarc",
)  # fmt: skip

# Tags in another encoding are no reason to fail; from PyAV 19 on there is no saying so.
_LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}

_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(_FORMATS)}

_SIGNATURES = re.compile(
    rb"""
      ....(?:ftyp(?!avi[fs]|hei[cx]|hevc|m[is]f1|jxl|crx)|moov|mdat|wide|free|skip|pnot)   # MP4, QuickTime
    | \x1aE\xdf\xa3                                # Matroska, WebM
    | RIFF....(?:AVI\x20|AVIX|WAVE) | RF64....WAVE | RIFX....WAVE | riff\x2e\x91\xcf\x11
    | FORM....(?:AIFF|AIFC|8SVX|16SV) | FRM8........DSD\x20 | DSD\x20\x1c\x00\x00\x00
    | OggS | fLaC | ID3[\x02-\x04] | \.snd\x00\x00 | caff\x00\x01 | \#!AMR | wvpk | TTA[12] | tBaK | MAC\x20
    | MP\+[\x07\x17\x27] | MPCK | Creative\x20Voice\x20File | ea3\x03 | ajkg | qoaf
    | \x00\x00\x01[\xba\xb3] | G.{187}G | .{4}G.{191}G | FLV\x01 | \x30\x26\xb2\x75\x8e\x66\xcf\x11 | DKIF\x00\x00
    | \.RMF\x00\x00 | \.ra\xfd\x00 | nut/multimedia\x20container | \x06\x0e\x2b\x34\x02\x05\x01\x01 | YUV4MPEG2\x20
    | \x00\x00\x00\x01[\x67\x27\x40\x09\x06] | \xb7\xd8\x00\x20
    | \xff[\xf0\xf1\xf8\xf9][\x4c\x50\x5c\x60\x80\x40\x44\x48\x6c\x70\x90] | \x0b\x77 | \x7f\xfe\x80\x01
    | \xff[\xe2\xe3\xf2-\xf7\xfa-\xfd][\x10-\xef]  # MPEG audio frames, layers I to III
    """,
    re.VERBOSE | re.DOTALL,
)

# Streams of these formats begin anywhere, or with whatever their recorder put there: then the name is asked too.
_SUFFIXES = (
    *(".mp3", ".mp2", ".aac", ".ac3", ".eac3", ".dts", ".shn", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob", ".m2v"),
    *(".h264", ".264", ".hevc", ".265", ".dv"),
)

_TAGS = {
    "creation_time": "created",
    "com.apple.quicktime.creationdate": "taken", "location": "gps", "location-eng": "gps",
    "com.apple.quicktime.location.iso6709": "gps", "make": "make", "com.apple.quicktime.make": "make",
    "com.android.manufacturer": "make", "model": "model", "com.apple.quicktime.model": "model",
    "com.android.model": "model",
}  # fmt: skip

_STILL = frozenset({"mjpeg", "png", "bmp", "webp", "tiff", "gif", "jpeg2000", "mjpegb", "ljpeg"})
"""Codecs of pictures."""

_PLACE = re.compile(
    r"([+-])(\d\d|\d{4}|\d{6})(\.\d+)?([+-])(\d{3}|\d{5}|\d{7})(\.\d+)?(?:[+-][\d.]+)?(?:CRS\w+)?/?", re.ASCII
)
"""ISO 6709: degrees, degrees and minutes, or with seconds too, and perhaps the height."""


@dataclass(frozen=True, slots=True)
class Streams:
    """What a container says it has."""

    video: bool
    """Moving pictures; cover art doesn't count."""
    audio: bool


def accepts(path: Path, head: bytes) -> Streams | None:
    """The streams of a sound or video file, None if the content is something else.

    A damaged file with a clear signature counts as a sound, whose decoder then says what is wrong.
    """
    if kinds.kind_of(head):
        return None
    known = _SIGNATURES.match(head) is not None or kinds.is_picture_track(head)
    if not known and path.suffix.lower() not in _SUFFIXES:
        return None
    try:
        streams = stream_facts(path)
    except MediaError:
        return Streams(video=False, audio=True) if known else None
    return streams if known or streams.video or streams.audio else None


def stream_facts(path: Path) -> Streams:
    """Raises: MediaError if it can't be opened."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise sniff.from_os_error(error) from error
    return _streams(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _streams(path: Path, size: int, mtime_ns: int) -> Streams:
    # Sniffing asks twice, and opening may mean decoding the beginning.
    with opened_container(path) as container:
        shown, audio = picture_stream(container), bool(container.streams.audio)
        return Streams(video=shown is not None and not (audio and _is_cover(container, shown)), audio=audio)


def _is_cover(container: InputContainer, stream: Any) -> bool:
    """Whether a track beside a sound is one picture, which some programs don't mark as the cover that it is."""
    if stream.codec_context.name not in _STILL:
        return False
    packets = (packet for packet in container.demux(stream) if packet.size)
    return next(islice(packets, 1, None), None) is None


@contextmanager
def opened_container(path: Path) -> Iterator[InputContainer]:
    """An open container. Foreign exceptions inside become MediaErrors."""
    # "file:" keeps a name such as "concat:a|b" from being a protocol.
    with _opened(f"file:{path}") as container:
        yield container


@contextmanager
def opened_bytes(data: bytes) -> Iterator[InputContainer]:
    """The same of a file that lies inside another one."""
    with _opened(io.BytesIO(data)) as container:
        yield container


@contextmanager
def _opened(source: str | io.BytesIO) -> Iterator[InputContainer]:
    with errors_wrapped(), av.open(source, options=_OPTIONS, **_LENIENT) as container:
        for stream in container.streams:
            if isinstance(stream, VideoStream | AudioStream) and stream.codec_context is not None:
                # One worker a core already; and one thread decodes damaged streams the same way every time.
                stream.codec_context.thread_count = 1
        yield container


@contextmanager
def errors_wrapped() -> Iterator[None]:
    try:
        yield
    except MediaError:
        raise
    except MemoryError as error:
        raise OutOfMemory("out of memory") from error
    except (av.error.InvalidDataError, av.error.EOFError) as error:
        raise Corrupt("its container is damaged") from error
    except (av.error.DecoderNotFoundError, av.error.DemuxerNotFoundError, av.error.PatchWelcomeError) as error:
        raise Unsupported("no decoder for this codec") from error
    except av.error.FFmpegError as error:
        if error.errno in (2, 13, 20, 5, 21):
            raise sniff.from_os_error(OSError(error.errno, error.strerror)) from error
        raise Corrupt(error.strerror or "it can't be decoded") from error
    except OSError as error:
        raise sniff.from_os_error(error) from error
    except (ValueError, ArithmeticError) as error:
        raise Corrupt(str(error) or type(error).__name__) from error


def picture_stream(container: InputContainer) -> Any:
    """The video stream that is shown, the default one or the first; None if all are cover art or thumbnails."""
    covers = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    shown = [one for one in container.streams.video if one.codec_context is not None and not one.disposition & covers]
    default = av.stream.Disposition.default
    return next((stream for stream in shown if stream.disposition & default), shown[0] if shown else None)


def tags(container: InputContainer) -> Metadata:
    """What `music_facts` has, and created, taken (the camera's clock), make, model, gps."""
    metadata = music_facts(container)
    for source in (container.metadata, *(stream.metadata for stream in container.streams)):
        for name, value in source.items():
            ours = _TAGS.get(name.lower())
            text = "".join(c for c in str(value) if c.isprintable()).strip()[:200]
            told = place(text) if ours == "gps" else text
            if ours and told and ours not in metadata:
                metadata[ours] = told
    if metadata.get("created", "9")[:4] < str(EARLIEST):
        del metadata["created"]
    return metadata


def place(text: str) -> list[float] | None:
    """[latitude, longitude] in degrees, as ISO 6709 writes them: +59.9139+010.7522/."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    return position(_angle(found[1], found[2], found[3], 2), _angle(found[4], found[5], found[6], 3))


def _angle(sign: str, digits: str, fraction: str | None, degrees: int) -> float:
    parts = [digits[:degrees], *(digits[at : at + 2] for at in range(degrees, len(digits), 2))]
    parts[-1] += fraction or ""
    angle = sum(float(part) / 60.0**power for power, part in enumerate(parts))
    return round(-angle if sign == "-" else angle, 6)


def seconds(value: int | None, time_base: Any) -> float | None:
    """A time stamp in seconds; None for none, negative durations and broken clocks."""
    if value is None or not time_base:
        return None
    return float(value * time_base)


def duration(container: InputContainer) -> float | None:
    """Seconds by the header, which may lie."""
    return container.duration / 1_000_000 if container.duration and container.duration > 0 else None
