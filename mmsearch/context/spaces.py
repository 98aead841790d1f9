"""The spaces that a process has at hand, and the decode workers of each: several for as long as models are switched."""

import threading
from collections.abc import Callable
from typing import Any

from mmsearch.catalog import SpaceRecord
from mmsearch.core import registry
from mmsearch.core.config import Settings
from mmsearch.core.trust import Trust
from mmsearch.encoders.device import may_keep_memory
from mmsearch.encoders.projected import Projector
from mmsearch.encoders.projected import projected_space as projected_space
from mmsearch.errors import SpaceChanged, UnknownName
from mmsearch.media.pool import DecodePool
from mmsearch.types import Space


class Spaces:
    """Spaces by what the library recorded of them. Thread safety: all methods may be called from any thread."""

    def __init__(self, settings: Settings, projection: Callable[[SpaceRecord], bytes], trust: Trust) -> None:
        """`projection`: the safetensors file that makes a projected space of its base."""
        self._trust = trust
        self._settings = settings
        self._projection = projection
        self._mutex = threading.Lock()
        """Of the dictionaries below, for moments."""
        self._loading = threading.RLock()
        """Held while a model is made and compared with what was recorded, which may read gigabytes: whoever needs
        another one that is here already does not wait for it."""
        self._bases: dict[str, Space] = {}
        self._spaces: dict[SpaceRecord, Space] = {}
        self._pools: dict[tuple[str, int], DecodePool] = {}
        """By target and workers."""

    def forked(self) -> None:
        """Go on with another mutex, in a child; decode workers and models see to themselves."""
        self._mutex, self._loading = threading.Lock(), threading.RLock()

    def settle(self, settings: Settings) -> None:
        """Make what is made from now on as these settings say."""
        self._settings = settings

    def close(self) -> None:
        """Stop the decode workers and forget the models."""
        with self._mutex:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()
            self._bases.clear()
            self._spaces.clear()

    def loaded(self, target: str) -> Space:
        """The space behind a target string; its weights load with the first vector. Raises: Untrusted, UnknownName."""
        with self._loading:
            known = self._bases.get(target)
            if known is None:
                if self._settings.keeps_memory:
                    may_keep_memory()
                load = registry.load_part("spaces", self._trust.checked(target))
                known = _called(load, target, self._settings)
                with self._mutex:
                    self._bases[target] = known
            return known

    def of(self, record: SpaceRecord) -> Space:
        """A recorded space. Raises: SpaceChanged if it isn't the one that was recorded, Untrusted, WeightsError."""
        known = self._spaces.get(record)
        if known is not None:
            return known
        with self._loading:
            known = self._spaces.get(record)
            if known is None:
                made = self.loaded(record.target)
                if record.base is not None:
                    made = projected_space(made, record.name, Projector(self._projection(record)))
                known = checked(made, record)
                with self._mutex:
                    self._spaces[record] = known
            return known

    def pool(self, record: SpaceRecord, workers: int) -> DecodePool:
        """Decode workers that prepare segments for a space's encoders."""
        space = self.of(record)
        with self._mutex:
            key = record.target, workers
            if key not in self._pools:
                settings = self._settings
                self._pools[key] = DecodePool(
                    record.target, space.windowing, settings.limits, workers, keeping=settings.keeping
                )
            return self._pools[key]

    def keep_only(self, record: SpaceRecord) -> None:
        """Let go of all other spaces, once nobody uses them; their decode workers end as they become idle."""
        with self._mutex:
            self._spaces = {one: space for one, space in self._spaces.items() if one.target == record.target}
            self._bases = {target: space for target, space in self._bases.items() if target == record.target}
            for (target, _), pool in self._pools.items():
                if target != record.target:
                    pool.stop_idle()


def _called(load: Any, target: str, settings: Settings) -> Space:
    """Raises: UnknownName if what a name leads to makes no space."""
    try:
        made = load(settings.devices[0], settings.precision)
    except TypeError as error:
        raise UnknownName(f"{target!r} makes no space: {error}", hint="name a function (device, precision)") from error
    if not isinstance(made, Space):
        raise UnknownName(f"{target!r} makes a {type(made).__name__}, not a space", hint="see mmsearch.Space")
    return made


def checked(space: Space, record: SpaceRecord) -> Space:
    """The space, if it is what was recorded. Raises: SpaceChanged."""
    if record.fingerprint == space.fingerprint:
        return space
    raise SpaceChanged(
        f"this library was made with another version of the model {record.name!r} than the one here",
        hint="put back the weights or the mmsearch release that made it, or make a new library: "
        "mmsearch ingest FOLDER --library NEW",
    )
