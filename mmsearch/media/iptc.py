"""IPTC's Information Interchange Model (IIM 4.2): what newsrooms and photo managers write into pictures since 1991."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from mmsearch.media.dates import compact_time
from mmsearch.media.written import LONGEST, LONGEST_TEXT, MOST, Written, clean, unique

_UTF8 = b"\x1b%G"
"""What record 1 says where the others are UTF-8."""

_TITLES, _CAPTION, _KEYWORD = (5, 105), 120, 25
_PLACES = (92, 90, 95, 101)
"""From the spot to the country."""
_DATE, _TIME = 55, 60


def read_iptc(data: bytes) -> Written:
    """What a block of data sets says; what comes after damage is left out."""
    found: dict[int, list[bytes]] = defaultdict(list)
    utf8 = False
    for count, (record, name, value) in enumerate(_data_sets(data)):
        if count >= MOST:
            break
        if (record, name) == (1, 90):
            utf8 = value == _UTF8
        elif record == 2:
            found[name].append(value)
    texts = {name: [_text(value, utf8) for value in values] for name, values in found.items()}
    return Written(
        title=next(iter(_all(texts, *_TITLES)), ""),
        described=_all(texts, _CAPTION, length=LONGEST_TEXT),
        keywords=_all(texts, _KEYWORD),
        places=_all(texts, *_PLACES),
        taken=compact_time("".join(next(iter(texts.get(name, ())), "") for name in (_DATE, _TIME))),
    )


def _data_sets(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Record, number and value of each: a mark, both numbers and the length of the value come before it."""
    at = 0
    while at + 5 <= len(data) and data[at] == 0x1C:
        record, name, length = data[at + 1], data[at + 2], int.from_bytes(data[at + 3 : at + 5], "big")
        at += 5
        if length & 0x8000:
            # The length of the length, of which the caption alone may need more than two bytes.
            size = length & 0x7FFF
            if size > 4:
                return
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            return
        yield record, name, data[at : at + length]
        at += length


def _text(value: bytes, utf8: bool) -> str:
    """Many write UTF-8 and don't say so; the others mean what their Windows or Mac had."""
    if not utf8:
        try:
            return clean(value.decode("utf-8"))
        except UnicodeDecodeError:
            return clean(value.decode("cp1252", "replace"))
    return clean(value.decode("utf-8", "replace"))


def _all(texts: Mapping[int, Sequence[str]], *names: int, length: int = LONGEST) -> tuple[str, ...]:
    return unique(value[:length] for name in names for value in texts.get(name, ()))
