"""A browser of sound effects in a terminal: words, or a sound that is like what is wanted. `python sounds.py WORDS`."""

import json
import sys
from pathlib import Path

import mmsearch

HERE = Path(__file__).resolve().parent
BARS = " ▁▂▃▄▅▆▇█"


def drawn(library: mmsearch.Library, hit: mmsearch.Hit, width: int = 24) -> str:
    """How loud a sound is along its time."""
    peaks = json.loads(library.preview(hit.item_id, "waveform"))["peaks"]
    parts = [max(peaks[at * len(peaks) // width : (at + 1) * len(peaks) // width]) for at in range(width)]
    return "".join(BARS[round(part * (len(BARS) - 1))] for part in parts)


def browse(library: mmsearch.Library, query: mmsearch.QueryLike, k: int = 3) -> None:
    for hit in library.search(query, k, modalities=["audio"]):
        print(f"  {hit.level:8} {hit.confidence:.2f}  |{drawn(library, hit)}|  {hit.path.name}")


def main() -> None:
    asked = " ".join(sys.argv[1:])
    with mmsearch.open(HERE / "library") as library:
        library.ingest(HERE / "media", exclude=["*.md"])
        for words in [asked] if asked else ["rain on a roof", "an engine in the air", "waves"]:
            print(words)
            browse(library, words)
        if not asked:
            print("like rain-on-a-plastic-roof.ogg, but by the sea")
            (rain,) = library.search("rain on a roof", 1)
            browse(library, mmsearch.Query(like=rain) + mmsearch.Query("waves on the shore"), 2)


if __name__ == "__main__":
    main()
