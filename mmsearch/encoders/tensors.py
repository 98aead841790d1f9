"""Files of weights, looked at before they are believed."""

from pathlib import Path

from mmsearch.errors import WeightsError

HINT = "get the model anew; weights are best published as safetensors"

POINTER = b"version https://git-lfs"


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors in a safetensors file, from its head. Raises: WeightsError if it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is damaged: {error}", hint=HINT) from error


def check_pointer(path: Path) -> None:
    """Raises: WeightsError if Git LFS has left a pointer in place of the weights, or the file can't be read."""
    try:
        with path.open("rb") as file:
            start = file.read(len(POINTER))
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror or error}", hint="check its permissions") from error
    if start == POINTER:
        raise WeightsError(f"{path} is what Git LFS has in place of the weights", hint="there: git lfs pull")
