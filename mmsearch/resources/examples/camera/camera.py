"""A camera at the door: each new clip is taken in as it comes, and what fits certain words raises an alarm.

`python camera.py` shows it with clips that it makes itself; `python camera.py FOLDER` watches a camera's own folder.
"""

import sys
import threading
from pathlib import Path

import av
import numpy as np
from PIL import Image

import mmsearch

HERE = Path(__file__).resolve().parent
SPACE = "starter"
"""It knows things, vehicles and animals, but not persons: "siglip2-b-16" does (mmsearch help models)."""
ALARMS = ("a person at the door", "a vehicle on the road", "somebody cooking")

PASSING = {
    "0712.mp4": "buses-on-a-wet-road.jpg",
    "0731.mp4": "cook-in-an-old-kitchen.jpg",
    "0802.mp4": "cat-in-a-banana-tree.jpg",
}
"""Clip -> what passes the camera in it."""


def record(photo: Path, clip: Path) -> None:
    """Three seconds of a photo that moves a little: a camera in a box."""
    with Image.open(photo) as opened, av.open(str(clip), "w") as file:
        picture = opened.convert("RGB").resize((360, 260))
        stream = file.add_stream("mpeg4", rate=8, options={"qscale": "4"})
        stream.width, stream.height = 320, 240
        for number in range(24):
            shown = np.asarray(picture.crop((number, 0, number + 320, 240)))
            file.mux(stream.encode(av.VideoFrame.from_ndarray(shown)))
        file.mux(stream.encode(None))


class Doorkeeper:
    """Looks at each clip that comes."""

    def __init__(self, library: mmsearch.Library) -> None:
        self._library = library
        self._seen: set[Path] = set()
        self.looked = threading.Semaphore(0)

    def on_event(self, event: mmsearch.WatchEvent) -> None:
        """Called in the thread of the watch, after each ingest."""
        if event.kind != "ingested":
            return
        for item in list(self._library.items(modalities=["video"])):
            if item.path not in self._seen:
                self._seen.add(item.path)
                self._look(item.path)

    def _look(self, clip: Path) -> None:
        """An alarm where words fit this one clip."""
        fitting = []
        for words in ALARMS:
            hits = self._library.search(words, 1, filter=mmsearch.Comparison("path", "=", str(clip)))
            if hits and hits[0].level != "unlikely":
                fitting.append(f"{words} at {hits[0].start:.0f} s")
        print(f"{clip.name}: {', '.join(fitting) or 'nothing'}", flush=True)
        self.looked.release()


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "clips"
    folder.mkdir(exist_ok=True)
    with mmsearch.open(HERE / "library", space=SPACE) as library:
        keeper = Doorkeeper(library)
        times = mmsearch.WatchTimes(quiet_s=0.5)
        watch = library.watch(folder, times=times, on_event=keeper.on_event)
        thread = threading.Thread(target=watch.run)
        thread.start()
        try:
            if len(sys.argv) > 1:
                thread.join()  # until Ctrl-C
            for clip, photo in PASSING.items():
                # A camera writes beside and renames, so that nobody reads half a clip.
                record(HERE / "media" / "photos" / photo, folder / f".{clip}")
                (folder / f".{clip}").rename(folder / clip)
                keeper.looked.acquire(timeout=300)
        finally:
            watch.stop()
            thread.join()


if __name__ == "__main__":
    main()
