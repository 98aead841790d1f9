"""Trained fusions as files of a library, for those who use one: searches, and heads that name bundles."""

from pathlib import Path

from mmsearch.catalog import SpaceRecord
from mmsearch.core import sealed
from mmsearch.core.config import LEARNED
from mmsearch.encoders.fusion import STRATEGIES, FusionFacts, dump_fusion, restore_fusion
from mmsearch.errors import InvalidInput, LibraryError, SpaceChanged
from mmsearch.training.serving.folder import FUSION, ModelFolder
from mmsearch.training.serving.records import KINDS


def read_fusion(library: Path, name: str, space: SpaceRecord) -> bytes:
    """The file of a trained fusion of this space. Raises: InvalidInput if there is none, SpaceChanged, WeightsError."""
    path = ModelFolder.of(library, name).path / FUSION
    if not path.is_file():
        raise InvalidInput(f"there is no trained fusion {name!r}", hint="mmsearch train list; mmsearch train fusion")
    try:
        content = sealed.read_bytes(path)
    except OSError as error:
        raise LibraryError(f"{path} can't be read: {error}", hint="check permissions") from error
    _, facts = restore_fusion(content)
    if facts.fingerprint != space.fingerprint:
        raise SpaceChanged(
            f"the fusion {name!r} was trained in the space {facts.base!r}, not in {space.name!r}",
            hint="mmsearch train apply --base, or another setting `fusion`",
        )
    return content


def fusion_named(library: Path, fusion: str, space: SpaceRecord) -> bytes:
    """What "learned:NAME" or "mean" stands for, as a fusion's file; nothing for "off". Raises: as `read`."""
    if fusion == "off":
        return b""
    if fusion.startswith(LEARNED):
        return read_fusion(library, fusion.removeprefix(LEARNED), space)
    facts = FusionFacts(fusion, space.dim, KINDS, space.name, space.fingerprint)
    return dump_fusion(STRATEGIES[fusion](space.dim, len(KINDS)), facts)
