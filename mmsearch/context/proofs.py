"""Proofs that contents of a library are the same, remembered: a content never changes, nor does what it proves."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence

from mmsearch.catalog import Snapshot
from mmsearch.catalog.evidence import StoredEvidence, stored_evidence
from mmsearch.core import forks
from mmsearch.media.sameness.evidence import Evidence, unpack
from mmsearch.media.sameness.proof import Facts, Proof, Witness, same

WITNESSES = 256
"""Contents whose evidence is kept unpacked: 16 MB at most."""
PROOFS = 65_536
"""Pairs that are remembered."""


class Proofs:
    """Thread safety: all methods may be called from any thread."""

    def __init__(self) -> None:
        self._same: OrderedDict[tuple[int, int], Proof | None] = OrderedDict()
        self._witnesses: OrderedDict[int, Witness] = OrderedDict()
        self.forked()
        forks.reset_in_child(self)

    def forked(self) -> None:
        self._mutex = threading.Lock()

    def of(self, snapshot: Snapshot, contents: Collection[int]) -> Callable[[int, int], Proof | None]:
        """Of two of the contents, by their ids, the proof that they are the same thing; None where there is none, or
        no evidence yet. The first pair that is not known reads the evidence of all contents at once."""
        held: dict[int, Witness | None] = {}

        def prove(one: int, other: int) -> Proof | None:
            pair = (one, other) if one < other else (other, one)
            with self._mutex:
                if pair in self._same:
                    return self._same[pair]
            if not held:
                held.update(self._read(snapshot, sorted(contents)))
            first, second = held.get(one), held.get(other)
            if first is None or second is None:
                return None
            found = same(first, second)
            with self._mutex:
                self._same[pair] = found
                if len(self._same) > PROOFS:
                    self._same.popitem(last=False)
            return found

        return prove

    def _read(self, snapshot: Snapshot, contents: Sequence[int]) -> dict[int, Witness | None]:
        with self._mutex:
            held: dict[int, Witness | None] = {one: self._witnesses[one] for one in contents if one in self._witnesses}
        for content, stored in stored_evidence(snapshot, [one for one in contents if one not in held]).items():
            held[content] = witness = as_witness(stored)
            if witness is not None:
                with self._mutex:
                    self._witnesses[content] = witness
                    if len(self._witnesses) > WITNESSES:
                        self._witnesses.popitem(last=False)
        return held


def as_witness(stored: StoredEvidence) -> Witness | None:
    """A content as proofs see it; None if it has no evidence."""
    if stored.data is None:
        return None
    facts = Facts(stored.modality, stored.width, stored.height, stored.duration, stored.taken)
    return Witness(facts, unpack(stored.data) or Evidence())
