"""Trained heads as files of a library, for those who label with one."""

from mmsearch.context.context import LibraryContext
from mmsearch.core import sealed
from mmsearch.encoders.head import Head, restore_head
from mmsearch.errors import InvalidInput, LibraryError, SpaceChanged
from mmsearch.training.serving.folder import ModelFolder, model_folders

KIND, HEAD = "labels", "head.safetensors"


def load_head(context: LibraryContext, name: str) -> Head:
    """A head of this library. Raises: InvalidInput if there is none, SpaceChanged if it is of another space,
    WeightsError if it is damaged."""
    folder = ModelFolder.of(context.path, name)
    path = folder.path / HEAD
    if not path.is_file():
        names = ", ".join(one.name for one in model_folders(context.path) if (one.path / HEAD).is_file()) or "none yet"
        raise InvalidInput(f"there is no classifier {name!r}", hint=f"there are: {names}; mmsearch train labels")
    try:
        head = restore_head(sealed.read_bytes(path))
    except OSError as error:
        raise LibraryError(f"{path} can't be read: {error}", hint="check permissions") from error
    space, _ = context.base()
    if head.facts.fingerprint != space.fingerprint:
        raise SpaceChanged(
            f"{name!r} was trained on vectors of the space {head.facts.base!r}, not of {space.name!r} as it is here",
            hint="train it again here: mmsearch train drop, then mmsearch train labels",
        )
    return head
