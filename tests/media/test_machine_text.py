"""What no person wrote into a text is no passage; the words around it stay."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from mmsearch.media.events import DecodeJob, FileDone
from mmsearch.media.machine_text import MOST, Numbers, without_encoded
from mmsearch.media.pool import DecodePool
from mmsearch.media.sameness.evidence import Evidence, unpack
from mmsearch.media.sameness.proof import Facts, Proof, Witness, prove
from mmsearch.media.text import TextDecoder
from mmsearch.types import Limits, Windowing

DECODER = TextDecoder(Windowing(), Limits())
PICTURE = np.random.default_rng(5).bytes(20_000)
ENCODED = base64.b64encode(PICTURE).decode()
LINES = base64.encodebytes(PICTURE).decode()
FOLDED = "PHOTO;ENCODING=b;TYPE=JPEG:" + "\n ".join(
    [ENCODED[:48], *(ENCODED[at : at + 74] for at in range(48, len(ENCODED), 74))]
)
NOTEBOOK = json.dumps({"source": ["# Tide heights"], "data": {"image/png": LINES}, "end": "of the harbour"}, indent=1)

CASES = {
    "markdown": (f"# A trip\n\nWe ate plum cake.\n\n[image1]: <data:image/jpeg;base64,{ENCODED}>\n", "plum cake"),
    "mail": (f"Subject: Fair\n\nThe brass band.\n--xx\n\n{LINES}--xx--\nAnna Berg\n", "brass band"),
    "mail of Windows": (f"Subject: Fair\n\nThe brass band.\n\n{LINES}--xx--\n".replace("\n", "\r\n"), "brass band"),
    "notebook": (NOTEBOOK, "Tide heights"),
    "card": (f"BEGIN:VCARD\nFN:Anna Berg\n{FOLDED}\nNOTE:plays the horn\nEND:VCARD\n", "plays the horn"),
    "key": (f"The key of the house:\n-----BEGIN KEY-----\n{LINES[:1000]}\n-----END KEY-----\n", "of the house"),
    "hex": (f"The dump of May:\n{PICTURE[:500].hex()}\nand its end\n", "dump of May"),
}


def decoded(path: Path, text: str) -> list[str]:
    path.write_bytes(text.encode())
    return [str(segment.data) for segment in DECODER.decode(path)]


@pytest.mark.parametrize("case", CASES)
def test_encoded_pictures_are_left_out_and_the_words_around_them_stay(tmp_path: Path, case: str) -> None:
    text, words = CASES[case]
    (passage,) = decoded(tmp_path / "x.txt", text)
    assert words in passage
    assert max(len(word) for word in passage.split()) < 60


@pytest.mark.parametrize(
    "text",
    [
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft " * 3,
        "https://example.org/" + "/".join(["archive", "2024", "holiday-pictures", "of-the-harbour-fair"] * 4) + ".html",
        "GATTACA" * 40,
        "d41d8cd98f00b204e9800998ecf8427e  a.jpg\n" * 5,
        "The brown fox\nrepresentatives/of/the/people/of/Oslo\n" * 9,
    ],
)
def test_long_words_addresses_and_checksums_are_no_encoded_pictures(text: str) -> None:
    assert without_encoded(text) == text


def test_what_encodes_is_found_in_time_that_grows_with_the_text() -> None:
    assert without_encoded("xy1" * 300_000) == "xy1" * 300_000
    assert len(without_encoded(("A1" * 29 + "\n") * 20_000)) == 59 * 20_000


def track(points: int) -> str:
    rows = "".join(f'<trkpt lat="59.{n:06}" lon="10.{2 * n:06}"><ele>{n % 90}</ele></trkpt>\n' for n in range(points))
    return f"<gpx><trk><name>Walk round the lake</name>\n{rows}</trk><wpt><name>Cabin</name></wpt></gpx>"


def telemetry(frames: int) -> str:
    return "".join(
        f"{n}\n00:00:{n % 60:02},{n % 1000:03} --> 00:00:01,000\n[iso: {100 + n}] [shutter: 1/{500 + n}.0]"
        f" [latitude: 59.9{n:05}] [longitude: 10.7{n:05}]\n\n"
        for n in range(frames)
    )


@pytest.mark.parametrize("text", [track(3000), telemetry(2000), "1.5,2.5,3.5\n" * 20_000], ids=["gpx", "srt", "csv"])
def test_of_rows_of_numbers_a_few_passages_are_kept(tmp_path: Path, text: str) -> None:
    passages = decoded(tmp_path / "x.txt", text)
    assert 1 <= len(passages) <= 3
    assert text.index(passages[0][:30]) < 50  # of subtitles without number and times


def test_a_name_late_in_a_track_is_kept(tmp_path: Path) -> None:
    assert "Cabin" in decoded(tmp_path / "x.gpx", track(3000))[-1]


def test_a_log_keeps_what_is_new_in_it(tmp_path: Path) -> None:
    rows = [
        f"2024-05-01 10:{n // 60 % 60:02}:{n % 60:02}.{n % 999:03} INFO served 10.0.0.{n % 250}\n" for n in range(5000)
    ]
    rows[4000] = "2024-05-01 11:06:40.004 ERROR the disk of Gunhild is full\n"
    passages = decoded(tmp_path / "x.log", "".join(rows))
    assert len(passages) <= 4 and any("Gunhild" in passage for passage in passages)


@pytest.mark.slow
def test_texts_that_differ_in_what_is_left_out_are_not_the_same(tmp_path: Path) -> None:
    card = CASES["card"][0]
    other = card.replace(ENCODED[788:862], ENCODED[862:936])
    witnesses = [witness(tmp_path / "x.vcf", text) for text in (card, card.replace("\n", "\r\n"), other)]
    assert prove(*witnesses[:2]) == Proof("saved again", "lines", 1.0)
    assert prove(witnesses[0], witnesses[2]) != Proof("saved again", "lines", 1.0)


def witness(path: Path, text: str) -> Witness:
    """A text as it comes out of a decode worker."""
    path.write_bytes(text.encode())
    with DecodePool("tests.tiny:space", Windowing(), Limits(), workers=1) as pool:
        (done,) = (event for event in pool.run([DecodeJob(path, 0)]) if isinstance(event, FileDone))
    return Witness(Facts("text"), unpack(done.evidence) or Evidence())


def test_the_tables_of_a_report_stay(tmp_path: Path) -> None:
    names = ["".join(chr(97 + n // 26**place % 26) for place in range(4)) for n in range(200)]
    table = "".join(f"| model {n % 7} | 0.{n:03} | 1.{n:03} | 12.{n:03} | 3.{n:03} |\n" for n in range(250))
    text = f"{' '.join(names)}\n\n{table}\n"
    step = Windowing().passage_words - Windowing().passage_overlap
    assert len(decoded(tmp_path / "x.md", text)) == -(-(len(text.split()) - Windowing().passage_overlap) // step)


def test_a_file_of_numbers_is_bounded_and_prose_is_not() -> None:
    names = ["".join(chr(97 + n // 26**place % 26) for place in range(4)) for n in range(2 * MOST)]
    numbers, prose = Numbers(), Numbers()
    assert sum(numbers.keeps(f"{name} 1234567890") for name in names) == MOST
    assert all(prose.keeps("the same words again, in the year 1999") for _ in range(2 * MOST))
