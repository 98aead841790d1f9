"""What the names of files and folders say."""

import pytest

from mmsearch.training.weak import words


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("animals-birds__albino_peahen", "animals birds albino peahen"),
        ("redFox", "red fox"),
        ("HTMLPage", "html page"),
        ("ÜberGröße", "über größe"),
        ("2023-05-01 Rome", "rome"),
        ("ladybug-2", "ladybug"),
        ("snail2", "snail"),
        ("baby_cry__1-187207-A", "baby cry"),
        ("Ox", "ox"),
        ("猫", "猫"),
        ("Red-Fox2_IMG_1234", "red fox"),
        ("GOPR0123 surf", "surf"),
    ],
)
def test_words_chosen_by_people_are_used(name: str, expected: str) -> None:
    assert words(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1234",
        "DSC00012",
        "P1010023",
        "PXL_20230101_120000.MP",
        "WhatsApp Image 2023-01-01 at 10.00.01",
        "Screenshot from 2023-01-01",
        "1920x1080",
        "000000006818",
        "d41d8cd98f00b204e9800998ecf8427e",
        "8F14E45F-ceea-467a-9d2b-0a1b2c3d4e5f",
        "dQw4w9WgXcQ",
        "a_b",
        "",
    ],
)
def test_names_made_by_machines_give_no_words(name: str) -> None:
    assert words(name) == ""
