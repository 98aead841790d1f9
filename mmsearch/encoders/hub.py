"""The Hugging Face hub: the only place that asks a network, for a model that somebody said to get."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mmsearch.errors import WeightsError

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What the hub says of a file, before it is downloaded."""

    name: str
    bytes: int
    sha256: str | None
    """Of large files only."""


@dataclass(frozen=True, slots=True)
class Repository:
    """The files of a repository at one revision."""

    name: str
    revision: str
    files: tuple[RemoteFile, ...]


def look_up(repository: str) -> Repository:
    """What a repository holds now; downloads none of it. Raises: WeightsError if there is no asking, or no such one."""
    import huggingface_hub

    model = _asked(repository, lambda: huggingface_hub.HfApi().model_info(repository, files_metadata=True))
    files = [
        RemoteFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None)
        for file in model.siblings or ()
    ]
    return Repository(repository, model.sha or "main", tuple(files))


def fetch_file(repository: Repository, file: RemoteFile, folder: Path) -> Path:
    """Download a file into a folder. Raises: WeightsError."""
    import huggingface_hub

    path = _asked(
        repository.name,
        lambda: huggingface_hub.hf_hub_download(
            repository.name, file.name, revision=repository.revision, local_dir=folder
        ),
    )
    return Path(path)


def _asked(repository: str, ask: Callable[[], Answer]) -> Answer:
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    otherwise = "get its files on another machine, then name their folder: --from FOLDER"
    try:
        return ask()
    except OfflineModeIsEnabled as error:
        raise WeightsError(
            f"{repository} can't be downloaded: HF_HUB_OFFLINE is set", hint=f"unset it, or {otherwise}"
        ) from error
    except GatedRepoError as error:
        raise WeightsError(
            f"{repository} is given only to those who agreed to its terms", hint="agree there, then: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise WeightsError(f"the hub has no {repository}", hint=f"check the name, or {otherwise}") from error
    except Exception as error:  # whatever the HTTP library beneath raises, which is one or another
        raise WeightsError(
            f"{repository} can't be downloaded: {type(error).__name__}: {str(error)[:300]}",
            hint=f"check the network and free space, then repeat; or {otherwise}",
        ) from error
