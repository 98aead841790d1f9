"""What a person does with the samples, on a system that has less than this one: `python -m tests.packaging.elsewhere
FOLDER`, with `tests/elsewhere` on the PYTHONPATH. Prints what was seen as JSON."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

import mmsearch
from mmsearch.vectors import ann, presets
from tests import tiny
from tests.generated import distinct_words, picture, sound, video, words


def main(place: Path) -> dict[str, Any]:
    """Everything once, in a library of the tiny space and two index kinds."""
    ann.MAPPED_FILES_ARE_REPLACED = False
    presets.SMALLEST = 20
    media = place / "media"
    for number, colour in enumerate(("red", "green", "blue", "dark") * 3):
        picture(media / f"{colour}-{number}.png", colour, mark=number)
    sound(media / "low.wav", "low")
    video(media / "clip.mp4", "red", "blue")
    words(media / "note.txt", "a red house\r\nby the sea\r\n")
    words(media / "long.txt", distinct_words(6000))
    (media / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (place / "library").mkdir()
    (place / "library" / "mmsearch.toml").write_bytes(b'dedup = "off"\r\nsimilarity = "image=0.99"\r\n')
    lines = [f"a {c} picture\tmedia\\{c}-{n}.png" for n, c in enumerate(("red", "green", "blue", "dark") * 3)]
    (place / "pairs.tsv").write_bytes(("query\trelevant\r\n" + "\r\n".join(lines) + "\r\n").encode())
    seen: dict[str, Any] = {}
    with mmsearch.open(place / "library", space="tests.tiny:space", workers=2) as library:
        report = library.ingest(media)
        seen["new"], seen["failed"] = report.new, len(library.failures())
        seen["red"] = [hit.path.name for hit in library.search("red", k=3, modalities=["image"])]
        seen["by picture"] = len(library.search(media / "red-0.png", k=2))
        seen["in memory"] = len(library.search(mmsearch.Query(image=(media / "red-0.png").read_bytes()), k=2))
        seen["dedup"] = library.settings.dedup
        seen["indexes"] = [one.preset for one in library.index.build("ivf", recall=0.01)]
        picture(media / "red-99.png", "red", mark=99)
        (media / "green-1.png").unlink()
        library.ingest(media)
        library.index.build("ivf-sq8", recall=0.01)
        seen["more red"] = len(library.search("red", k=20, modalities=["image"]))
        seen["verified"] = [one.wrong for one in library.index.verify(repair=True) if one.wrong]
        found = library.evaluate(place / "pairs.tsv")
        seen["asked"] = [(one.query, one.item, len(one.outcomes)) for one in found.directions]
        seen["unused"] = len(found.unused)
        # torch does without it where sys.platform says Windows; ours has done without it by now.
        setattr(os, "register_at_fork", lambda **_: None)  # noqa: B010
        seen["trained"] = library.train.labels(_names(place), "kinds", epochs=1).name
        library.prune()
        library.backup(place / "all.backup")
        library.remove(media / "low.wav")
        library.restore(place / "all.backup", overwrite=True)
        seen["low"] = [hit.path.name for hit in library.search("low", k=1, modalities=["audio"])]
        library.export(place / "exported")
    with mmsearch.open(place / "second", space="tests.tiny:space", workers=1) as second:
        second.import_(place / "exported")
        second.backup(place / "second.backup")
        seen["imported"] = [hit.path.name for hit in second.search("red", k=1, modalities=["text"])]
    shutil.rmtree(place / "second")
    seen["encoded"] = bool(np.sum(list(tiny.ENCODED.values())))
    return seen


def _names(place: Path) -> Path:
    rows = [f"media\\{c}-{n}.png\t{c}" for n, c in enumerate(("red", "green", "blue", "dark") * 3) if c != "green"]
    table = place / "names.tsv"
    table.write_bytes(("path\tlabel\r\n" + "\r\n".join(rows) + "\r\n").encode())
    return table


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
