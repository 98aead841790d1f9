"""Hits and items as they are answered: with the names that the library has, and the addresses of their media."""

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mmsearch import Hit, Item, Library
from mmsearch.serve.answers import plain
from mmsearch.serve.guard import API
from mmsearch.serve.media import TYPES
from mmsearch.serve.schemas import MediaLinks

HIT_FIELDS = tuple(Hit.__dataclass_fields__)

OF_THE_FILE = ("width", "height", "duration", "taken", "title")
"""What a hit tells of what its file says of itself."""

PLAYED = {
    "image": frozenset(kind for kind, medium in TYPES.items() if medium.startswith("image/")),
    "audio": frozenset(("aac", "flac", "m4a", "mp3", "oga", "ogg", "opus", "wav", "weba")),
    "video": frozenset(("m4v", "mp4", "webm")),
}
"""Modality -> suffixes that every browser of today shows or plays, if it knows the codecs."""

STRIPPED = frozenset(("jpeg", "jpg", "png", "webp"))
"""Suffixes of pictures that `Library.open_file` strips."""

VIDEO_CODECS = frozenset(("av1", "h264", "libdav1d", "libvpx-vp9", "vp8", "vp9"))
AUDIO_CODECS = frozenset(("aac", "flac", "mp3", "mp3float", "opus", "vorbis", "pcm_s16le", "pcm_u8", "pcm_f32le"))


def served_hits(library: Library, hits: list[Hit]) -> list[dict[str, Any]]:
    """Hits as `ServedHit` describes them, with their tags and the times of their files."""
    ids = [hit.item_id for hit in hits]
    tags, modified = library.tags_of(ids), library.modified_of(ids)
    return [_served(library, hit, tags.get(hit.item_id, []), modified.get(hit.item_id)) for hit in hits]


def _served(library: Library, hit: Hit, tags: list[str], modified: datetime | None) -> dict[str, Any]:
    folder, _, name = str(hit.path).rpartition(os.sep)
    facts = {field: plain(getattr(hit, field)) for field in HIT_FIELDS}
    said = {field: plain(hit.metadata.get(field)) for field in OF_THE_FILE}
    media = plain(links(library, hit.item_id, hit.modality, name, hit.metadata))
    return {**facts, **said, "tags": tags, "modified": plain(modified), "name": name, "folder": folder, "links": media}


def item_facts(library: Library, item: Item) -> dict[str, Any]:
    """An item as JSON has it."""
    more = {
        "name": item.path.name, "folder": str(item.path.parent),
        "links": links(library, item.id, item.modality, item.path.name, item.metadata),
    }  # fmt: skip
    return {**plain(item), **plain(more)}


def links(library: Library, item_id: int, modality: str, name: str, metadata: Mapping[str, Any]) -> MediaLinks:
    """Where the media of an item are."""
    base = f"{API}/items/{item_id}"
    seen = modality in ("image", "video")
    return MediaLinks(
        file=f"{base}/file",
        playable=is_playable(modality, name, metadata) and is_handed_out(library, name),
        thumbnail=f"{base}/thumbnail" if seen else None,
        poster=f"{base}/poster" if modality == "video" else None,
        sprite=f"{base}/sprite" if modality == "video" else None,
        waveform=f"{base}/waveform" if modality == "audio" or metadata.get("audio_codec") else None,
        clip=f"{base}/clip" if modality in ("audio", "video") else None,
    )


def is_handed_out(library: Library, name: str) -> bool:
    """Whether the file of a medium is sent at all: where not all is kept that it tells, only if it can be stripped."""
    return library.settings.keeping.everything or name.rpartition(".")[2].lower() in STRIPPED


def is_playable(modality: str, name: str, metadata: Mapping[str, Any]) -> bool:
    """Whether a browser shows or plays the file itself."""
    suffix = name.rpartition(".")[2].lower()
    if suffix not in PLAYED.get(modality, ()):
        return False
    if modality == "video":
        return metadata.get("codec") in VIDEO_CODECS and metadata.get("audio_codec") in AUDIO_CODECS | {None}
    return modality == "image" or metadata.get("codec") in AUDIO_CODECS | {None}
