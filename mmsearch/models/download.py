"""Downloading a model, or copying one from a folder: checked, and put into the models folder whole or not at all."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from filelock import FileLock, Timeout

from mmsearch.core import registry
from mmsearch.core.arguments import checked_arguments
from mmsearch.core.atomic import folder_to_disk
from mmsearch.core.config import models_folder
from mmsearch.core.paths import absolute_path
from mmsearch.encoders import connection, hub, model_names, model_store, presets, pretrained, starter
from mmsearch.encoders.hub import RemoteFile, Repository
from mmsearch.encoders.open_clip import package
from mmsearch.encoders.presets import ModelPreset
from mmsearch.encoders.tokenizer import TOKENIZER_FILES
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.models.speech import is_speech_model, prepare_speech

OnBytes: TypeAlias = Callable[[int], None]
"""Called with how many bytes were copied since the last call."""

UNFINISHED = ".preparing-"
"""Prefix of a model's folder until it is complete; nothing looks for a model there."""


WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth")


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What would be downloaded or copied, and into which folder."""

    name: str
    """As the registry knows it: "open_clip:ARCH/PRETRAINED" or "hf-hub:OWNER/NAME"."""
    folder: Path
    origin: Path | Repository
    preset: ModelPreset | None
    """What is known of it, if it has a short name."""

    @property
    def files(self) -> tuple[Path, ...] | tuple[RemoteFile, ...]:
        if isinstance(self.origin, Repository):
            return self.origin.files
        return tuple(pretrained.pretrained_files(pretrained.read_pretrained(self.name, self.origin)))

    @property
    def bytes(self) -> int:
        return sum(one.stat().st_size if isinstance(one, Path) else one.bytes for one in self.files)

    @property
    def source(self) -> str:
        if isinstance(self.origin, Path):
            return str(self.origin)
        return f"{self.origin.name} on the Hugging Face hub"


@checked_arguments
def prepare(name: str, source: str | os.PathLike[str] | None = None, on_bytes: OnBytes | None = None) -> Path:
    """Get a model onto this machine, unless it is here: the only function that downloads anything, and it doesn't ask.

    Its size and its licence are in `available_models`.

    Args:
        name: As `AvailableModel.name` and the setting `space` have it.
        source: Copy it from this folder, laid out as on the hub, instead of downloading it.
        on_bytes: Called with how many bytes were copied since the last call; a download shows its own progress.

    Returns the folder it lies in.

    Raises: UnknownName, InvalidInput for a name that is none, WeightsError if it can't be had or is damaged.
    """
    if is_speech_model(name):
        return prepare_speech(name, None if source is None else absolute_path(source))
    there = prepared_folder(name)
    if there is not None:
        return there
    planned = plan_download(name, None if source is None else absolute_path(source))
    return prepare_model(planned) if on_bytes is None else prepare_model(planned, on_bytes)


def prepared_folder(name: str) -> Path | None:
    """The folder of a model that is here and whole, as far as its recorded hashes tell; None if it isn't here.

    Raises: UnknownName, InvalidInput for a malformed name, WeightsError if it is damaged.
    """
    target = registry.target_of("spaces", name)
    family = target.partition(":")[0]
    if family not in registry.FAMILIES["spaces"]:
        return _packaged(target)
    if family in registry.FOLDERS:
        return pretrained.find_pretrained(target).folder
    if family == connection.FAMILY:
        folder = connection.connection_folder(target.partition(":")[2])
        connection.read_connection(folder / connection.FILE)
        return folder
    model_names.split_name(registry.split_options(target)[0])
    folder = models_folder() / model_store.folder_name(target)
    if folder.is_dir():
        problem = model_store.damage(folder, thorough=True)
        if problem is None:
            pretrained.pretrained_files(pretrained.read_pretrained(target, folder))
            return folder
        raise WeightsError(problem, hint=f"remove the folder {folder}, then prepare {name} again")
    try:
        checkpoint = pretrained.find_pretrained(target)
        pretrained.pretrained_files(checkpoint)
    except WeightsError:
        return None
    return checkpoint.folder


def _packaged(target: str) -> Path:
    """Where the package lies that a space comes with. Raises: WeightsError if starter's weights are damaged."""
    module = target.partition(":")[0]
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise InvalidInput(f"the package with {module} is not installed")
    preset = presets.find_preset(target)
    for file in () if preset is None else starter.FILES[preset.name]:
        file.verified()
    return Path(spec.origin).parent


def plan_download(name: str, source: Path | None = None) -> DownloadPlan:
    """What `prepare_model` would do; without a folder to copy from, the hub lists its files, and nothing is downloaded.

    Raises: UnknownName, InvalidInput, WeightsError.
    """
    target = registry.target_of("spaces", name)
    folder = models_folder() / model_store.folder_name(target)
    preset = presets.find_preset(target)
    if source is None:
        repository = hub.look_up(
            (preset and preset.repository) or package.repository(registry.split_options(target)[0])
        )
        names = pretrained.required_files(target, {file.name for file in repository.files}, repository.name)
        files = {file.name: file for file in repository.files}
        return DownloadPlan(target, folder, replace(repository, files=tuple(files[name] for name in names)), preset)
    if not source.is_dir():
        raise InvalidInput(f"there is no folder {source}", hint="name the one with the model's config and weights")
    pretrained.required_files(target, pretrained.names_in(source), source)
    return DownloadPlan(target, folder, absolute_path(source), preset)


def prepare_model(planned: DownloadPlan, on_bytes: OnBytes = lambda _: None) -> Path:
    """Copy or download, verify, and only then let it be a model. Returns its folder; a failure leaves nothing.

    Raises: WeightsError for a source that can't be read, is damaged, holds code or is another model; for a disk that
        is full; or while another process prepares a model.
    """
    place = planned.folder.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _only_download(place):
            return _prepared(planned, on_bytes)
    except OSError as error:
        raise WeightsError(
            f"can't write to {place}: {error.strerror or error}",
            hint="check free space and permissions, or keep models elsewhere: MMSEARCH_MODELS=FOLDER",
        ) from error


def _prepared(planned: DownloadPlan, on_bytes: OnBytes) -> Path:
    """Raises: WeightsError, OSError from the folder written to."""
    if planned.folder.exists():
        return planned.folder
    free, size = shutil.disk_usage(planned.folder.parent).free, planned.bytes
    if free < size:
        raise WeightsError(
            f"{planned.name} takes {size / 1e9:.2f} GB, and {planned.folder.parent} has {free / 1e9:.2f} GB free",
            hint="free some, or keep models elsewhere: MMSEARCH_MODELS=FOLDER",
        )
    temporary = planned.folder.with_name(UNFINISHED + planned.folder.name)
    try:
        temporary.mkdir()
        origin = planned.origin
        if isinstance(origin, Path):
            hashes = _copied(pretrained.read_pretrained(planned.name, origin), temporary, on_bytes)
            source = str(origin)
        else:
            hashes = _downloaded(planned.name, origin, temporary)
            source = f"{origin.name}@{origin.revision}"
        model_store.record(temporary, planned.name, source, hashes)
        folder_to_disk(temporary)
        temporary.rename(planned.folder)
        folder_to_disk(planned.folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return planned.folder


def _copied(model: pretrained.Checkpoint, folder: Path, on_bytes: OnBytes) -> dict[str, str]:
    """File name -> sha256. What can't be used is refused before gigabytes are copied."""
    pretrained.check_pretrained(model)
    hashes = {}
    for source in pretrained.pretrained_files(model):
        name = _relative(source, model.folder)
        digest, target = hashlib.sha256(), folder / name
        target.parent.mkdir(exist_ok=True)
        with target.open("xb") as file:
            for chunk in model_store.file_chunks(source, "check its disk and permissions"):
                digest.update(chunk)
                file.write(chunk)
                on_bytes(len(chunk))
        hashes[name] = digest.hexdigest()
        if _hash_on_disk(target) != hashes[name]:
            raise WeightsError(f"the copy of {source} differs from it", hint=f"check the disk of {folder.parent}")
    return hashes


def _relative(path: Path, folder: Path) -> str:
    """The name below the model's folder, with forward slashes; the bare name of what lies elsewhere."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _downloaded(name: str, origin: Repository, folder: Path) -> dict[str, str]:
    """File name -> sha256. Weights come last: a config that makes no sense spares them."""
    weights = [file for file in origin.files if file.name.endswith(WEIGHT_SUFFIXES)]
    try:
        hashes = {file.name: _fetched(origin, file, folder) for file in origin.files if file not in weights}
        if (other := pretrained.tokenizer_repository(pretrained.read_pretrained(name, folder))) is not None:
            repository = hub.look_up(other)
            tokenizer = [file for file in repository.files if file.name in TOKENIZER_FILES]
            hashes |= {file.name: _fetched(repository, file, folder) for file in tokenizer}
        hashes |= {file.name: _fetched(origin, file, folder) for file in weights}
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        pretrained.check_pretrained(pretrained.read_pretrained(name, folder))
    except WeightsError as error:
        # The folder will be gone when this is read.
        raise WeightsError(error.message.replace(str(folder), origin.name), hint=error.hint) from error
    return hashes


def _fetched(origin: Repository, file: RemoteFile, folder: Path) -> str:
    """The sha256 of what was downloaded."""
    path = hub.fetch_file(origin, file, folder)
    digest = _hash_on_disk(path)
    if path.stat().st_size != file.bytes or file.sha256 not in (None, digest):
        raise WeightsError(f"{file.name} of {origin.name} does not match the hub's record", hint="try again")
    return digest


def _hash_on_disk(path: Path) -> str:
    """The sha256 of a file as the disk gives it back, where the platform can be told to forget what it keeps."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _only_download(place: Path) -> Iterator[None]:
    """One download at a time; what a killed one left is removed."""
    lock = FileLock(place / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise WeightsError("another process is preparing a model", hint="wait until it is done") from error
    try:
        for leftover in place.glob(f"{UNFINISHED}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
    finally:
        lock.release()
