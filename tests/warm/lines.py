"""Random command lines of `mmsearch query`, over the media of `fill`."""

import random
from pathlib import Path

from tests.generated import picture, sound, words

VOCABULARY = ("red", "green", "blue", "house", "by the sea", "low", "note", "zebra", '"red house"', "dark", "ünïcode")
OPTIONS: tuple[tuple[str, ...], ...] = (
    ("-k", "2"), ("-k", "1", "--offset", "1"), ("--in", "image"), ("--in", "text,audio"), ("--mode", "keyword"),
    ("--mode", "vector"), ("--scores",), ("--ids",), ("--json",), ("--paths",), ("-0",), ("--all",), ("--no-dedup",),
    ("--min-confidence", "0.5"), ("--filter", "path glob '*red*'"), ("--text", "sea"),
)  # fmt: skip
WRONG: tuple[tuple[str, ...], ...] = (("--filter", "nonsense ("), ("-k", "0"), ("--mode", "odd"), ("--in", "smell"))
FILES = ("media/red.png", "./media/low.wav", "media/nothing.png", "--image=media/blue.png")
GROUPS = ("+", "-", "0.5:red")


def fill(media: Path) -> None:
    for colour in ("red", "green", "blue"):
        picture(media / f"{colour}.png", colour)
        words(media / f"note on {colour}.txt", f"a {colour} house by the sea")
    sound(media / "low.wav", "low")
    words(media / "ünïcode \x1b[31m.txt", "words with a control character in the name")


def command_lines(count: int, seed: int, files: float = 0.2) -> list[list[str]]:
    """Words, files and options as a shell hands them over; a few are wrong.

    Args:
        files: Fraction of lines that name one: a command of its own takes half a second of CPU to look into it.
    """
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        line = draw.choices(VOCABULARY, k=draw.randint(1, 3))
        if draw.random() < files:
            line.insert(draw.randint(0, len(line)), draw.choice(FILES))
        if draw.random() < 0.2:
            line.insert(1, draw.choice(GROUPS))
        for option in draw.sample(OPTIONS, draw.randint(0, 3)):
            line += option
        if draw.random() < 0.1:
            line += draw.choice(WRONG)
        made.append(["query", *line])
    return made
