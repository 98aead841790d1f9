"""Which decoder a file belongs to: its content decides, its name only where the content can't."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from mmsearch.errors import Corrupt, LimitExceeded, MediaError, OutOfMemory, Transient, Unreadable, Unsupported
from mmsearch.media import kinds
from mmsearch.types import Decoder, Limits

HEAD_BYTES = 8192

_READ = {
    "image": "apng avif bmp bw cur dcx dds dib fits flc fli gif heic heif hif icns ico im j2c j2k jfif jp2 jpc jpe "
    "jpeg jpf jpg jpx mpo msp pbm pcx pfm pgm png pnm ppm psd qoi ras rgb rgba sgi tga tif tiff webp xbm xpm",
    "audio": "aac ac3 aif aifc aiff amr ape au caf dsf dts eac3 flac m4a m4b mka mp2 mp3 mpc oga ogg opus ra snd spx "
    "tak tta wav wave weba wma wv",
    "video": "3g2 3gp asf avi divx dv f4v flv h264 hevc m2ts m2v m4v mkv mov mp4 mpe mpeg mpg mts mxf ogv rm rmvb ts "
    "vob webm wmv wtv y4m",
    "document": "docm docx dotm dotx epub msg odg odp ods odt otg otp ots ott potm potx ppsm ppsx pptm pptx xlsm xlsx "
    "xltm xltx",
}
_NAMED = {suffix: medium for medium, suffixes in _READ.items() for suffix in suffixes.split()}
"""Suffix -> what a file so named is, of the formats that are read: other content under it is damage."""

_WRITTEN = "csv eml htm html ics ipynb json log markdown md pdf rst srt text txt vcf vtt xml xmp"
_DOCUMENTS = frozenset(_WRITTEN.split())


def is_media_name(name: str) -> bool:
    """Whether a name ends as those of media and documents do."""
    return named_modality(os.fsencode(name)) is not None


def named_modality(path: bytes) -> str | None:
    """What a file seems to be by its name alone; None if the name says nothing."""
    suffix = os.path.splitext(path)[1][1:].lower().decode("ascii", "replace")
    return _NAMED.get(suffix) or ("text" if suffix in _DOCUMENTS else None)


def open_decoder(path: Path, decoders: Sequence[Decoder], limits: Limits) -> Decoder:
    """The first decoder that accepts the file.

    Raises: Unreadable for what is no regular file or may not be read, Transient if it is gone, LimitExceeded for
    its size, Corrupt if it is empty or isn't what its name says, Unsupported if no decoder knows it.
    """
    head = read_head(path, limits)
    for decoder in decoders:
        if decoder.accepts(path, head):
            return decoder
    kind = kinds.kind_of(head)
    if kind:
        raise Unsupported(f"{kind}: mmsearch does not read it")
    named = _NAMED.get(path.suffix[1:].lower())
    if named:
        raise Corrupt(f"its name says {named}, its content says nothing known")
    raise Unsupported("mmsearch reads no file of this kind")


def read_head(path: Path, limits: Limits) -> bytes:
    """The first 8 KiB of a regular file. Raises: Unreadable, Transient, LimitExceeded, Corrupt (empty)."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("not a regular file")
        if status.st_size > limits.file_bytes:
            raise LimitExceeded(f"{status.st_size:,} bytes, the limit is {limits.file_bytes:,}")
        if status.st_size == 0:
            raise Corrupt("empty file")
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise from_os_error(error) from error


def from_os_error(error: OSError) -> MediaError:
    """The failure class of an error that the file system raised."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Transient("the file is gone")
    if error.errno == errno.ENOMEM:
        return OutOfMemory("out of memory")
    return Unreadable(error.strerror or "can't be read")
