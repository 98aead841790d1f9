"""Whether this machine's decoders can read what people keep."""

import sys
from collections.abc import Iterator
from importlib.metadata import version

from mmsearch.types import Finding

PICTURES = {"jpg": "JPEG", "webp": "WebP", "avif": "AVIF", "libtiff": "TIFF", "littlecms2": "colour profiles"}
"""Pillow's name of an optional part -> what it reads."""

CODECS = ("h264", "hevc", "vp9", "av1", "aac", "mp3", "opus", "vorbis", "flac", "pcm_s16le")
"""FFmpeg decoders that cover nearly all sounds and videos there are."""


def findings() -> Iterator[Finding]:
    yield _pictures()
    yield _heif()
    yield _codecs()
    yield _memory_limit()


def _pictures() -> Finding:
    from PIL import features

    missing = [name for part, name in PICTURES.items() if not features.check(part)]
    detail = f"Pillow {version('pillow')}"
    if missing:
        remedy = "install Pillow's own wheel: pip install --force-reinstall --only-binary :all: pillow"
        return Finding("pictures", "warning", f"{detail} without {', '.join(missing)}", remedy)
    return Finding("pictures", "ok", detail)


def _heif() -> Finding:
    try:
        import pillow_heif
    except ImportError as error:
        return Finding("HEIC", "warning", f"can't be read: {error}", "pip install --force-reinstall pillow-heif")
    return Finding("HEIC", "ok", f"pillow-heif {pillow_heif.__version__}, libheif {pillow_heif.libheif_version()}")


def _codecs() -> Finding:
    try:
        from av import codecs_available
    except ImportError as error:
        return Finding("sounds, videos", "error", f"PyAV can't be loaded: {error}", "pip install --force-reinstall av")
    missing = [name for name in CODECS if name not in codecs_available]
    detail = f"PyAV {version('av')}, {len(codecs_available)} codecs"
    if missing:
        remedy = "install PyAV's own wheel: pip install --force-reinstall --only-binary :all: av"
        return Finding("sounds, videos", "warning", f"{detail}, without {', '.join(missing)}", remedy)
    return Finding("sounds, videos", "ok", detail)


def _memory_limit() -> Finding:
    if sys.platform.startswith("linux"):
        return Finding("decoder memory", "ok", "limited by the kernel")
    return Finding(
        "decoder memory", "warning", "not limited on this system: a hostile file may take much before its time is up",
        "set `decode_s` lower for folders you don't trust",
    )  # fmt: skip
