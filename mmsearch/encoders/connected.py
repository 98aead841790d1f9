"""One space made of two: pictures as the one sees them, sounds as the other hears them, words as both read them.

`connected:NAME`, after `mmsearch connect A B --name NAME`. A vector has three parts, A's, B's, and one where both meet:

    picture (A)   [ a sqrt(1 - SHARE) | 0                  | f(a) sqrt(SHARE) ]
    sound (B)     [ 0                 | b sqrt(1 - SHARE)  | g(b) sqrt(SHARE) ]
    words         [ a sqrt(1/2)       | b sqrt(1/2)        | 0                ]

so that words order pictures just as A does and sounds just as B does, and pictures and sounds find each other by the
connection (f, g). A kind of segment that both embed, other than words, is left to the first.
"""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import numpy as np

from mmsearch.core import registry, trust
from mmsearch.encoders import connection
from mmsearch.encoders.check import checked_output
from mmsearch.encoders.connection import Connection
from mmsearch.encoders.explaining import Box, OccludesRegions
from mmsearch.encoders.queries import prepared_query
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.types import Encoder, EncoderSpec, Modality, Prepared, Segment, Space, Vectors, Windowing

SHARE = 0.5
"""Of a picture's or a sound's squared length, what belongs to where the spaces meet."""
VERSION = 1
"""Raised whenever the vectors of the same two spaces would change."""


_OPENING: ContextVar[frozenset[str]] = ContextVar("opening", default=frozenset())
"""Connections whose members are being loaded."""


def connected_space(name: str, device: str = "auto", precision: str = "auto") -> Space:
    """The space "connected:NAME".

    Raises: InvalidInput, WeightsError if it or one of the two isn't here or changed, Untrusted for one that was made
        elsewhere of what only its maker may name.
    """
    link = connection.read_connection(connection.connection_folder(name.partition(":")[2]) / connection.FILE)
    if name in _OPENING.get():
        raise WeightsError(f"{name} is made of itself", hint="make it anew: mmsearch connect")
    token = _OPENING.set(_OPENING.get() | {name})
    try:
        targets = [trust.connection_member(member, link.sha256) for member in link.members]
        members: list[Space] = [registry.load_part("spaces", target)(device, precision) for target in targets]
    finally:
        _OPENING.reset(token)
    for member, fingerprint in zip(members, link.fingerprints, strict=True):
        if member.fingerprint != fingerprint:
            raise WeightsError(
                f"{name} was made for another version of {member.name!r}",
                hint=f"make it anew under another name: mmsearch connect {' '.join(link.members)} --name NEW",
            )
    return joined(name, members, link)


def joined(name: str, members: Sequence[Space], link: Connection) -> Space:
    """The space of two members and their connection. Raises: InvalidInput if one of them embeds no words."""
    if missing := [member.name for member in members if "text" not in member.encoders]:
        raise InvalidInput(f"{missing[0]!r} embeds no words, and words are what connects two spaces")
    owners: dict[Modality, int] = {}
    for number, member in enumerate(members):
        for modality in member.encoders:
            owners.setdefault(modality, number)
    encoders: dict[Modality, Encoder] = {"text": _Words([member.encoders["text"] for member in members], link)}
    for modality, number in sorted(owners.items()):
        if modality != "text":
            encoders[modality] = _placed(members[number].encoders[modality], link, number)
    dim = sum(link.dims) + link.meeting
    return Space(name, dim, _windowing([member.windowing for member in members], owners), encoders)


def _windowing(windows: Sequence[Windowing], owners: Mapping[Modality, int]) -> Windowing:
    """Each kind cut as its member wants it; passages as short as the member that reads less wants them."""
    seen, heard = windows[owners.get("image", 0)], windows[owners.get("audio", 1)]
    read = min(windows, key=lambda one: one.passage_words)
    return replace(
        seen,
        audio_rate=heard.audio_rate,
        audio_window_s=heard.audio_window_s,
        audio_hop_s=heard.audio_hop_s,
        passage_words=read.passage_words,
        passage_overlap=read.passage_overlap,
    )


class _Placed:
    """A member's encoder, its vectors put in their place."""

    def __init__(self, member: Encoder, link: Connection, number: int) -> None:
        self.member = member
        self._link = link
        self._number = number

    @property
    def spec(self) -> EncoderSpec:
        return _spec([self.member.spec], self._link)

    def prepare(self, segment: Segment) -> Prepared:
        return self.member.prepare(segment)

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """float32 (len(batch), dim), rows of L2 norm 1. Raises: as the member's encoder."""
        own = self.member.encode(batch, query=query)
        start = self._number * self._link.dims[0]
        rows = np.zeros((len(batch), self.spec.dim), np.float32)
        rows[:, start : start + own.shape[1]] = math.sqrt(1 - SHARE) * own
        rows[:, sum(self._link.dims) :] = math.sqrt(SHARE) * self._link.maps[self._number](own)
        return checked_output(rows, len(batch), self.spec)


class _Occluding(_Placed):
    """One whose member can do without a part of its input."""

    def occluded(self, prepared: Prepared, box: Box) -> Prepared:
        member: Any = self.member
        hidden: Prepared = member.occluded(prepared, box)
        return hidden


def _placed(member: Encoder, link: Connection, number: int) -> Encoder:
    return (_Occluding if isinstance(member, OccludesRegions) else _Placed)(member, link, number)


class _Words:
    """Both members' encoders of words."""

    def __init__(self, members: Sequence[Encoder], link: Connection) -> None:
        self._members = members
        self._link = link

    @property
    def spec(self) -> EncoderSpec:
        return _spec([member.spec for member in self._members], self._link)

    def prepare(self, segment: Segment) -> Prepared:
        """uint8 (n,): what each member takes, as NumPy writes arrays, one after the other."""
        return _together(member.prepare(segment) for member in self._members)

    def prepare_query(self, words: str) -> Prepared:
        return _together(prepared_query(member, words) for member in self._members)

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """float32 (len(batch), dim), rows of L2 norm 1. Raises: as the members' encoders."""
        apart = [self._taken_apart(prepared) for prepared in batch]
        rows = np.zeros((len(batch), self.spec.dim), np.float32)
        for number, member in enumerate(self._members):
            own = member.encode([one[number] for one in apart], query=query)
            start = number * self._link.dims[0]
            rows[:, start : start + own.shape[1]] = math.sqrt(0.5) * own
        return checked_output(rows, len(batch), self.spec)

    def _taken_apart(self, prepared: Prepared) -> list[Prepared]:
        read = io.BytesIO(prepared.tobytes())
        return [np.load(read, allow_pickle=False) for _ in self._members]


def _together(arrays: Iterable[Prepared]) -> Prepared:
    written = io.BytesIO()
    for array in arrays:
        np.save(written, array, allow_pickle=False)
    return np.frombuffer(written.getvalue(), np.uint8)


def _spec(members: Sequence[EncoderSpec], link: Connection) -> EncoderSpec:
    name = "+".join(member.name for member in members)
    weights = {f"{member.name}/{file}": digest for member in members for file, digest in member.weights.items()}
    weights[connection.FILE] = link.sha256
    tags = ",".join(member.preprocessing for member in members)
    size = min(member.batch_size for member in members)
    dim = sum(link.dims) + link.meeting
    return EncoderSpec(name, members[0].modality, dim, weights, f"connected-{VERSION}-{SHARE}({tags})", size)
