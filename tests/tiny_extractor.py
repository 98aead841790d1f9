"""Extractors that read lines which a file itself brings: quick, exact, and no model.

The lines stand at the end of a PNG or a WAV file, where nothing else looks: a mark and a JSON list of objects with the
fields of `mmsearch.types.TextLine`. `with_lines` puts them there. A file whose lines are the word "broken" fails.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmsearch.core import registry
from mmsearch.errors import Corrupt
from mmsearch.types import Limits, Modality, TextLine

MARK = b"\nmmsearch-lines:"

TARGETS = {"tiny-ocr": "tests.tiny_extractor:TinyOcr", "tiny-speech": "tests.tiny_extractor:TinySpeech"}

SLOW = "MMSEARCH_TEST_EXTRACT_S"
"""Seconds that a file takes at least: so that somebody has time to kill it."""


def register(monkeypatch: Any) -> None:
    """Let this process know them by name."""
    for name, target in TARGETS.items():
        monkeypatch.setitem(registry.BUILTIN["extractors"], name, target)


def with_lines(path: Path, *lines: Mapping[str, Any] | str) -> Path:
    """Let a file bring lines; a text alone is one without a place."""
    listed = [{"text": line} if isinstance(line, str) else dict(line) for line in lines]
    with path.open("ab") as file:
        file.write(MARK + json.dumps(listed).encode())
    return path


class _Tiny:
    name = ""
    source = ""
    modalities: Sequence[Modality] = ()
    fingerprint = "1"
    cost: ClassVar[Mapping[Modality, float]] = {"image": 0.5, "audio": 0.1, "video": 0.2}

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def extract(self, path: Path) -> Iterator[TextLine | None]:
        time.sleep(float(os.environ.get(SLOW, "0")))
        _, mark, raw = path.read_bytes().rpartition(MARK)
        yield None
        for fields in json.loads(raw) if mark else ():
            if fields["text"] == "broken":
                raise Corrupt("its lines are broken")
            if fields["text"] == "crash":
                os._exit(9)
            if fields["text"] == "hang":
                time.sleep(3600)
            if fields["text"] == "memory":
                taken = bytearray(2**40)
                raise AssertionError(f"{len(taken)} bytes were there")
            box = fields.pop("box", None)
            yield TextLine(**fields, box=None if box is None else tuple(box))


class TinyOcr(_Tiny):
    name = "tiny-ocr"
    source = "written"
    modalities = ("image", "video", "text")


class TinySpeech(_Tiny):
    name = "tiny-speech"
    source = "said"
    modalities = ("audio", "video")
