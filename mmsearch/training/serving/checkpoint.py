"""Checkpoints: the whole state after an epoch, in one file that is replaced whole."""

import io
from pathlib import Path
from typing import Any

import torch

from mmsearch.core import sealed
from mmsearch.errors import LibraryError


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Put the state in the place of the file; a kill or a full disk leaves the earlier one.

    Raises: LibraryError, LibraryReadOnly.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(buffer.getvalue(), path)


def write_whole(content: bytes, path: Path) -> None:
    """The same for any content."""
    sealed.write_bytes(path, content)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Tensors and plain values only: nothing in the file is run. Raises: LibraryError if it can't be used."""
    try:
        state = torch.load(io.BytesIO(sealed.read_bytes(path)), map_location="cpu", weights_only=True)
    except Exception as error:  # of what isn't a pickle, the unpickler stumbles over anything
        raise LibraryError(
            f"the checkpoint {path} can't be used: {str(error).splitlines()[0] if str(error) else error!r}",
            hint="delete it, and train again from the start",
        ) from error
    if not isinstance(state, dict):
        raise LibraryError(f"{path} is no checkpoint", hint="delete it, and train again from the start")
    return state
