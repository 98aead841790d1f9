"""The demo's media: credited one by one, freely licensed, small, and nothing else beside them."""

import re
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parents[2] / "mmsearch" / "resources" / "samples"
CREDITS = SAMPLES / "CREDITS.md"
SUFFIXES = {"photos": {".jpg"}, "sounds": {".ogg"}, "videos": {".mp4", ".webm"}, "notes": {".md", ".txt", ".html"}}
FREE = {
    "[CC0 1.0](https://creativecommons.org/publicdomain/zero/1.0/)",
    "[CC BY 2.0](https://creativecommons.org/licenses/by/2.0/)",
    "[CC BY 3.0](https://creativecommons.org/licenses/by/3.0/)",
}
MAX_BYTES = 5_000_000


def samples() -> list[Path]:
    return sorted(path for path in SAMPLES.rglob("*") if path.is_file() and path != CREDITS)


def credits() -> list[list[str]]:
    """Rows of the table: file, author, source, licence, changes."""
    lines = [line for line in CREDITS.read_text("utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_sample_has_one_credits_row_and_every_row_a_sample() -> None:
    assert [row[0] for row in credits()] == [path.relative_to(SAMPLES).as_posix() for path in samples()]


@pytest.mark.parametrize("row", credits(), ids=lambda row: row[0])
def test_a_credits_row_names_author_source_free_licence_and_changes(row: list[str]) -> None:
    assert len(row) == 5 and all(row)
    _, _, source, licence, changes = row
    assert licence in FREE
    assert source == "written for this project" or re.match(r"https?://\S+", source)
    assert changes == "none" or re.match("renamed|resized|cropped", changes)


def test_the_samples_are_small_together() -> None:
    assert sum(path.stat().st_size for path in [CREDITS, *samples()]) <= MAX_BYTES


def test_the_samples_folder_has_no_other_files() -> None:
    assert {path.name for path in SAMPLES.iterdir()} == {*SUFFIXES, CREDITS.name}
    for folder, suffixes in SUFFIXES.items():
        for path in (SAMPLES / folder).iterdir():
            assert path.is_file() and path.suffix in suffixes, path


@pytest.mark.parametrize(("folder", "least"), [("photos", 16), ("sounds", 14), ("videos", 2), ("notes", 5)])
def test_the_samples_have_enough_of_every_modality(folder: str, least: int) -> None:
    assert len(list((SAMPLES / folder).iterdir())) >= least


def test_every_sample_is_of_the_type_of_its_suffix() -> None:
    heads = {".jpg": b"\xff\xd8\xff", ".ogg": b"OggS", ".webm": b"\x1a\x45\xdf\xa3"}
    for path in samples():
        head = path.read_bytes()[:16]
        if path.suffix in heads:
            assert head.startswith(heads[path.suffix]), path
        elif path.suffix == ".mp4":
            assert head[4:8] == b"ftyp", path
        else:
            path.read_text("utf-8")
