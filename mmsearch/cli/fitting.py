"""How text is made to fit into so many columns of a terminal. Widths are those of graphemes: a Chinese character takes
two columns, an accent none."""

from collections.abc import Sequence

from rich.cells import cell_len, split_graphemes

GAP = "…"

LEAST_TAIL = 8
"""Columns of the end of a name that is shortened itself: its number and suffix."""


BREAKS = ",;/-_="
"""Where a long word is best broken."""


def beginning(text: str, width: int) -> str:
    """As many whole graphemes of the beginning as fit into `width` columns, and "…" in the place of the others."""
    return text if cell_len(text) <= width else _taken(text, width - 1).rstrip() + GAP


def shortened_path(path: str, width: int) -> str:
    """A path in `width` columns: folders in its middle go first, then the middle of the file's name."""
    if cell_len(path) <= width:
        return path
    *folders, name = path.split("/")
    if not folders or cell_len(name) + 2 > width:
        return _shortened_name(name, width)
    room = width - cell_len(name) - 2  # "…/"
    # The folder nearest to the file says most of it, then where it all begins.
    first, near, joins = "", "", True
    for n in dict.fromkeys([len(folders) - 1, 0, *range(len(folders) - 2, 0, -1)]):
        part = f"{folders[n]}/"
        begins, fits = n == 0 and len(folders) > 1, cell_len(part) <= room
        if fits and begins:
            first = part
        elif fits and joins:
            near = part + near
        else:
            joins = joins and begins
            continue
        room -= cell_len(part)
    return f"{first}{GAP}/{near}{name}"


def folded(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken between words; a longer word is broken where it must be."""
    lines, line = list[str](), ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cell_len(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while cell_len(word) > width:
            head = _broken(word, width)
            lines.append(head)
            word = word[len(head) :]
        line = word
    return [*lines, line]


def cut_lines(lines: Sequence[str], most: int, width: int) -> list[str]:
    """The first `most` lines; the last of them ends with "…" if there were more."""
    if len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], beginning(f"{lines[most - 1]} {lines[most]}", width)]


def _shortened_name(name: str, width: int) -> str:
    """The beginning and the end of a name."""
    if cell_len(name) <= width:
        return name
    tail = max(min(LEAST_TAIL, width // 2), 1)
    end = _taken_from_end(name, tail)
    return _taken(name, width - 1 - cell_len(end)) + GAP + end


def _broken(word: str, width: int) -> str:
    """The beginning of a long word: up to a comma or the like in its second half, if it has one."""
    head = _taken(word, width)
    last = max(head.rfind(sign) for sign in BREAKS) + 1
    return head[:last] if last > len(head) // 2 else head


def _taken(text: str, width: int) -> str:
    """Whole graphemes of the beginning; one at least, so that whoever folds gets on."""
    spans, _ = split_graphemes(text)
    taken, used = 0, 0
    for _, end, size in spans:
        if used + size > width and taken:
            break
        taken, used = end, used + size
    return text[:taken]


def _taken_from_end(text: str, width: int) -> str:
    spans, _ = split_graphemes(text)
    taken, used = len(text), 0
    for start, _, size in reversed(spans):
        if used + size > width:
            break
        taken, used = start, used + size
    return text[taken:]
