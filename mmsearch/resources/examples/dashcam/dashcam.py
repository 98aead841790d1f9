"""A dashcam's stills: "a stop sign", within a box on the map. `python dashcam.py WORDS SOUTH WEST NORTH EAST`."""

import sys
from pathlib import Path

from PIL import Image

import mmsearch

HERE = Path(__file__).resolve().parent

DRIVE = {
    "stop-sign-at-dusk.jpg": (52.5163, 13.3777, "2026:10:03 18:42:11"),
    "buses-on-a-wet-road.jpg": (52.5200, 13.4050, "2026:10:03 18:51:40"),
    "red-blossom-and-stop-sign.jpg": (53.5511, 9.9937, "2026:10:04 11:05:02"),
    "cattle-in-a-valley.jpg": (53.0793, 8.8017, "2026:10:04 13:20:55"),
}
"""Photo -> degrees north and east, and the camera's time. A real dashcam writes these itself."""


def degrees(value: float) -> tuple[float, float, float]:
    minutes = value % 1 * 60
    return float(int(value)), float(int(minutes)), round(minutes % 1 * 60, 2)


def drive(folder: Path) -> None:
    """Stills with place and time, as a dashcam leaves them."""
    folder.mkdir(exist_ok=True)
    for name, (north, east, taken) in DRIVE.items():
        if (folder / name).exists():
            continue
        with Image.open(HERE / "media" / "photos" / name) as photo:
            exif = photo.getexif()
            exif[0x0110] = "Dashcam"
            exif.get_ifd(0x8769)[0x9003] = taken
            place = exif.get_ifd(0x8825)
            place[1], place[2], place[3], place[4] = "N", degrees(north), "E", degrees(east)
            photo.save(folder / name, exif=exif, quality=92)


def show(library: mmsearch.Library, words: str, box: str) -> None:
    print(f"{words!r} where {box}")
    for hit in library.search(words, 3, filter=box):
        item = library.get(hit.item_id)
        if item is not None and item.gps is not None and hit.level != "unlikely":
            print(f"  {item.taken:%Y-%m-%d %H:%M}  {item.gps[0]:.4f} N {item.gps[1]:.4f} E  {hit.path.name}")


def main() -> None:
    drive(HERE / "drive")
    with mmsearch.open(HERE / "library") as library:
        library.ingest(HERE / "drive")
        if len(sys.argv) == 6:
            south, west, north, east = map(float, sys.argv[2:])
            box = f"latitude >= {south} and latitude <= {north} and longitude >= {west} and longitude <= {east}"
            show(library, sys.argv[1], box)
            return
        show(library, "a stop sign", "latitude >= 52.3 and latitude <= 52.7 and longitude >= 13 and longitude <= 13.8")
        show(library, "a stop sign", "latitude >= 53.4 and latitude <= 53.7 and longitude >= 9.7 and longitude <= 10.3")
        show(library, "a bus in the rain", "taken = 2026-10-03 and camera = Dashcam")


if __name__ == "__main__":
    main()
