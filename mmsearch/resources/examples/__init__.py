"""Applications that use mmsearch, to be copied and changed: each a folder here, with a page in the docs.

The sample media that one needs are copied beside it, with their credits.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent / "samples"
CREDITS = "CREDITS.md"


@dataclass(frozen=True, slots=True)
class Example:
    """An application in one folder."""

    name: str
    summary: str
    run: str
    """How it is run, from the folder that it was copied into."""
    media: tuple[str, ...] = ()
    """Samples that it needs: paths and globs below the samples."""
    extra: str | None = None
    """Of mmsearch, without which it does not run."""

    @property
    def folder(self) -> Path:
        return HERE / self.name

    @property
    def topic(self) -> str:
        """Its page in the docs."""
        return f"example_{self.name}"


EXAMPLES: Mapping[str, Example] = {
    one.name: one
    for one in (
        Example("photos", "a photo app in a browser (FastAPI)", "python photos/photos.py", ("photos/*",)),
        Example("shop", "a shop: picture and description, price and brand", "python shop/shop.py", ("photos/*",)),
        Example("sounds", "a browser of sound effects", "python sounds/sounds.py", ("sounds/*",)),
        Example(
            "assistant", "an assistant over recordings and slides (MCP)", "python assistant/assistant.py",
            ("videos/big-buck-bunny.mp4", "sounds/rain-*", "sounds/chainsaw-cutting.ogg"), "mcp",
        ),
        Example(
            "medical", "an archive of teaching pictures: encrypted, tokens, audit", "python medical/medical.py",
            extra="mcp,encryption",
        ),
        Example("camera", "a home camera's clips, as they come", "python camera/camera.py", ("photos/*",)),
        Example("dashcam", "a dashcam: words within a box on the map", "python dashcam/dashcam.py", ("photos/*",)),
        Example("training", "measure and train, a notebook", "jupyter lab training/training.ipynb", ("photos/*",)),
    )
}  # fmt: skip
"""Name -> example."""


def copy_example(name: str, target: Path) -> Path:
    """Copy an example into a folder that is not there yet, with the media it needs and their credits.

    Returns: the folder.

    Raises: KeyError for a name that there is not, FileExistsError, OSError.
    """
    example = EXAMPLES[name]
    shutil.copytree(example.folder, target, ignore=shutil.ignore_patterns("__pycache__", "library"))
    for file in sorted({file for pattern in example.media for file in SAMPLES.glob(pattern)}):
        place = target / "media" / file.relative_to(SAMPLES)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, place)
    if example.media:
        shutil.copy2(SAMPLES / CREDITS, target / "media" / CREDITS)
    return target
