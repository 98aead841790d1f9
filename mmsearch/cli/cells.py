"""A cell of a table, with what only a terminal shows of it."""

from pathlib import Path


class Cell(str):
    """A cell that a terminal may show in another way than a pipe.

    Args:
        style: A colour of rich's, for its text.
        link: The file that it names.
        short: What a terminal shows in its place.
    """

    style: str
    link: Path | None
    short: str | None

    def __new__(cls, text: str, style: str = "", link: Path | None = None, short: str | None = None) -> "Cell":
        made = super().__new__(cls, text)
        made.style, made.link, made.short = style, link, short
        return made
