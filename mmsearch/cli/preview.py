"""Thumbnails of hits on a terminal, drawn by textual-image: sixels, kitty's graphics, or half blocks."""

import io
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from mmsearch.errors import InvalidInput

if TYPE_CHECKING:
    from mmsearch.library import Library
    from mmsearch.types import Hit

COLUMNS, LINES = 24, 10
"""Of a thumbnail, at most."""

LEVELS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
"""Blocks of a sound's outline, from silent to loud."""

INDENT = 3


def wanted() -> bool:
    """Whether thumbnails can be drawn: a terminal at both ends, and colours. Raises: InvalidInput without the package
    that draws them."""
    if find_spec("textual_image") is None:
        raise InvalidInput("--preview needs textual-image", hint="pip install 'mmsearch[preview]'")
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    # What can be drawn is asked of the terminal, and its answer read from standard input. One that doesn't know its
    # size can't be drawn on.
    asked = sys.__stdin__
    return asked is not None and asked.isatty() and os.get_terminal_size(asked.fileno()).columns > 0


def drawn(opened: "Library", hits: Sequence["Hit"]) -> Mapping[int, Any]:
    """Rank -> what is drawn below the hit; nothing for texts, and for files that can't be read any more."""
    found = zip(hits, opened.stills(hits), strict=True)
    return {
        hit.rank: Padding(_renderable(still), (0, 0, 0, INDENT), expand=False)
        for hit, still in found
        if still is not None
    }


def _renderable(still: Any) -> Any:
    if still.ndim == 1:
        return Text("".join(LEVELS[round(float(peak) * (len(LEVELS) - 1))] for peak in still), "magenta")
    height, width, _ = still.shape
    # A line is about twice as high as a column is wide.
    columns = max(1, min(COLUMNS, round(2 * LINES * width / height)))
    # A PPM file, which whatever reads pictures reads: Pillow is not the shell's affair.
    file = io.BytesIO(b"P6 %d %d 255\n" % (width, height) + still.tobytes())
    return _drawer()(file, width=columns, height="auto")


def _drawer() -> Any:
    """What this terminal can draw with: it is asked, as the module is first imported."""
    logging.getLogger("textual_image").addHandler(logging.NullHandler())
    logging.getLogger("textual_image").propagate = False
    from textual_image.renderable import Image

    return Image
