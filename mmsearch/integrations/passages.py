"""A hit as other programs take what was retrieved: a text that a model can read, and where it is from."""

from datetime import date
from typing import Any

from mmsearch import Hit, Library, MmsearchError

OF_THE_HIT = (
    "modality", "confidence", "level", "start", "end", "page", "place", "matched", "item_id", "media_id", "cosine",
    "keyword_score",
)  # fmt: skip
OF_THE_FILE = ("title", "taken", "camera", "duration", "width", "height")


def hit_text(hit: Hit) -> str:
    """The passage of a text; of another medium what it is called, with the moment: `rain.ogg, 0:05-0:10`."""
    if hit.passage:
        return hit.passage
    said = str(hit.metadata.get("title") or (hit.part or hit.path).name)
    return said if hit.start is None else f"{said}, {moment(hit.start)}-{moment(hit.end)}"


def moment(seconds: float | None) -> str:
    """Seconds as a clock shows them: 1:05, or 1:02:03."""
    whole = round(seconds or 0.0)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def hit_metadata(library: Library, hit: Hit) -> dict[str, Any]:
    """What is known of a hit, as values of JSON: `path` (and `source`, which is the same), its moment or page, what its
    file says of itself, tags, and a person's own metadata under `meta`; what is not known is left out."""
    path = str(hit.part or hit.path)
    facts: dict[str, Any] = {"path": path, "source": path, **{name: getattr(hit, name) for name in OF_THE_HIT}}
    facts |= {name: hit.metadata.get(name) for name in OF_THE_FILE}
    item = _item(library, hit)
    if item is not None:
        facts |= {"tags": list(item.tags) or None, "meta": {k: _plain(v) for k, v in item.meta.items()} or None}
    return {name: _plain(value) for name, value in facts.items() if value is not None}


def _item(library: Library, hit: Hit) -> Any:
    try:
        return library.get(hit.item_id)
    except MmsearchError:
        return None  # the library changed meanwhile; the hit stays what it is


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
