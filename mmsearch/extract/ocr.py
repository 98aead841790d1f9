"""Text in pictures by PP-OCR (PaddlePaddle, Apache-2.0) in ONNX, as the package rapidocr ships it: the extra `ocr`.

Photos and frames are looked through small; what is drawn (screens, scans, pages) at the size at which its letters can
be told. The models are named by their paths, so that nothing is ever downloaded.
"""

import hashlib
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmsearch.errors import Unsupported, WeightsError
from mmsearch.extract.text_reader import read_lines
from mmsearch.media.image import ImageDecoder
from mmsearch.media.pdf import is_pdf, scanned_pages
from mmsearch.media.sniff import open_decoder, read_head
from mmsearch.media.video import VideoDecoder
from mmsearch.types import Decoder, Limits, Modality, TextBox, TextLine, Windowing

MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
"""Stage -> its model's file in the package."""

VERSION = "3"
"""Changed with whatever here changes the lines of a file."""

PHOTO_SIDE, DRAWN_SIDE = 640, 1600
"""Pixels of the longer side at which text is looked for; it is read at the size that the picture has."""

READ_SIDE = 1000
"""Pixels that the shorter side of a picture keeps."""

PAGE_SIDE = 1600
"""Pixels of the longer side of a page of a document."""

FLAT, FLAT_SHARE = 2, 0.7
"""A picture is drawn where so many neighbours differ by no more than this, in levels of 255."""

LONG = 3.0
"""Ratio of the sides beyond which a picture that is large, too, is looked at in pieces."""

_LETTERS = re.compile(r"\w\w")


class OcrExtractor:
    """Reads pictures, the frames of videos that are embedded, and pages of documents without a text layer."""

    name = "ocr"
    source = "written"
    modalities: Sequence[Modality] = ("image", "video", "text")
    cost: ClassVar[Mapping[Modality, float]] = {"image": 0.15, "video": 0.03, "text": 0.01}

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._engine: Any = None

    @property
    def fingerprint(self) -> str:
        """Raises: WeightsError without the extra."""
        digests = [_digest(path) for path in _model_files().values()]
        return hashlib.sha256("|".join([VERSION, *digests]).encode()).hexdigest()

    def extract(self, path: Path) -> Iterator[TextLine | None]:
        head = read_head(path, self._limits)
        if is_pdf(head):
            yield from self._pages(path)
            return
        windowing = Windowing(image_side=READ_SIDE)
        decoders: list[Decoder] = [ImageDecoder(windowing, self._limits), VideoDecoder(windowing, self._limits)]
        try:
            decoder = open_decoder(path, decoders, self._limits)
        except Unsupported:
            return  # a text, which is read already
        frames = _Frames()
        for segment in decoder.decode(path):
            if segment.modality != "image" or not isinstance(segment.data, np.ndarray):
                break
            if segment.part:
                continue
            yield None
            found = self._lines(segment.data)
            span = segment.span
            if span.start is None:
                yield from (TextLine(text, page=span.page, box=box, scores=scores) for text, box, scores in found)
            else:
                yield from frames.ended(found, span.start, span.end or span.start)
        yield from frames.rest()

    def _pages(self, path: Path) -> Iterator[TextLine | None]:
        for number, pixels in scanned_pages(path, self._limits, PAGE_SIDE):
            yield None
            for text, box, scores in self._lines(pixels):
                yield TextLine(text, page=number, box=box, scores=scores)

    def _lines(self, pixels: NDArray[np.uint8]) -> list["_Found"]:
        """What stands in a picture, uint8 (height, width, 3), in reading order."""
        height, width = pixels.shape[:2]
        if max(height, width) <= max(LONG * min(height, width), DRAWN_SIDE):
            return self._read(pixels, (0.0, 0.0, 1.0, 1.0))
        down, step = height > width, max(2 * min(height, width), DRAWN_SIDE // 2)
        found: list[_Found] = []
        for start in range(0, max(height, width), step):
            # Each piece reaches into its neighbours, so that no line is cut; where it begins decides whose it is.
            size, end = max(height, width), start + step
            first, last = max(start - step // 8, 0), min(end + step // 8, size)
            piece = pixels[first:last] if down else pixels[:, first:last]
            area = (0.0, first / size, 1.0, last / size)
            area = area if down else (area[1], 0.0, area[3], 1.0)
            lines = self._read(piece, area)
            found += [one for one in lines if start <= one[1][1 if down else 0] * size < end]
        return found

    def _read(self, pixels: NDArray[np.uint8], area: TextBox) -> list["_Found"]:
        """Of a piece of a picture that covers this area of it."""
        side = DRAWN_SIDE if is_drawn(pixels) else PHOTO_SIDE
        found: list[_Found] = []
        for line in read_lines(self._loaded(), pixels, side):
            xs, ys = line.corners[:, 0] / pixels.shape[1], line.corners[:, 1] / pixels.shape[0]
            left, top, right, bottom = area
            box = (
                left + (right - left) * _share(xs.min()), top + (bottom - top) * _share(ys.min()),
                left + (right - left) * _share(xs.max()), top + (bottom - top) * _share(ys.max()),
            )  # fmt: skip
            if _LETTERS.search(line.text):
                found.append((line.text.strip(), box, {"score": round(line.score, 4)}))
        return found

    def _loaded(self) -> Any:
        if self._engine is None:
            files = _model_files()
            with _without_sockets():
                from rapidocr import RapidOCR

            threads = "EngineConfig.onnxruntime"
            params: dict[str, Any] = {
                "Global.log_level": "critical",
                f"{threads}.intra_op_num_threads": 1,
                f"{threads}.inter_op_num_threads": 1,
                # Memory is kept between pictures, which costs less than asking for it anew.
                f"{threads}.enable_cpu_mem_arena": True,
                "Det.limit_type": "max",
                **{f"{stage}.model_path": str(path) for stage, path in files.items()},
            }
            self._engine = RapidOCR(params=params)
        return self._engine


@contextmanager
def _without_sockets() -> Iterator[None]:
    """Meanwhile a module that tries IPv6 when it is imported does not: urllib3, which rapidocr's downloader imports."""
    before, socket.has_ipv6 = socket.has_ipv6, False
    try:
        yield
    finally:
        socket.has_ipv6 = before


_Found = tuple[str, TextBox, Mapping[str, float]]
"""A text, where it stands, and its score."""


class _Frames:
    """The lines of a video: one that neighbouring frames show is one line, from the first to the last of them."""

    def __init__(self) -> None:
        self._shown: dict[str, TextLine] = {}

    def ended(self, found: Sequence[_Found], start: float, end: float) -> Iterator[TextLine]:
        """What no longer stands in a frame that is shown from start to end, in seconds."""
        shown: dict[str, TextLine] = {}
        for text, box, scores in found:
            before = self._shown.pop(text, None)
            if before is None or before.end is None or start - before.end > _NEXT_S:
                if before is not None:
                    yield before
                shown[text] = TextLine(text, start=start, end=end, box=box, scores=scores)
            else:
                shown[text] = TextLine(text, start=before.start, end=end, box=before.box, scores=before.scores)
        yield from self._shown.values()
        self._shown = shown

    def rest(self) -> Iterator[TextLine]:
        yield from self._shown.values()


_NEXT_S = 0.05
"""Seconds between two frames that follow each other."""


def is_drawn(pixels: NDArray[np.uint8]) -> bool:
    """Whether a picture has flat areas as screens, scans and drawings do, rather than a sensor's grain."""
    rows = pixels[:: max(1, pixels.shape[0] // 256)].astype(np.int16)
    steps = np.abs(np.diff(rows, axis=1)).max(axis=2)
    return bool(steps.size) and float((steps <= FLAT).mean()) >= FLAT_SHARE


def _share(value: Any) -> float:
    return float(min(max(value, 0.0), 1.0))


def _model_files() -> dict[str, Path]:
    """Raises: WeightsError."""
    spec = find_spec("rapidocr")
    if spec is None or spec.origin is None or find_spec("onnxruntime") is None:
        raise WeightsError("reading text in pictures needs rapidocr", hint="pip install 'mmsearch[ocr]'")
    files = {stage: Path(spec.origin).parent / "models" / name for stage, name in MODELS.items()}
    if missing := [path.name for path in files.values() if not path.is_file()]:
        raise WeightsError(
            f"this rapidocr lacks its models: {', '.join(missing)}",
            hint="pip install --force-reinstall 'rapidocr>=3.10'",
        )
    return files


@cache
def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
