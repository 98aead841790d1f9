"""How the work of text decoders grows with hostile texts: `python -m tests.benchmarks.linear`.

CPU seconds, the median of three, at 100, 200 and 400 kB. Linear work takes four times as long for four times as much,
quadratic sixteen times; exit code 1 if one takes more than eight times (and more than 50 ms, below which clocks tell
little).
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from mmsearch.errors import MediaError
from mmsearch.media.text import TextDecoder
from mmsearch.types import Limits, Windowing

SIZE = 100_000
MOST = 8.0

PAGE = "<html><body>"
XMP = '<?xpacket begin=""?><x xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:y="y">'


def _times(piece: str) -> Callable[[int], str]:
    return lambda size: piece * (size // len(piece))


def _counted(pieces: Callable[[int], str]) -> Callable[[int], str]:
    def made(size: int) -> str:
        length = len(pieces(10_000))
        return "".join(pieces(i) for i in range(size // length))

    return made


def _around(before: str, middle: Callable[[int], str], after: str = "") -> Callable[[int], str]:
    return lambda size: before + middle(size) + after


KINDS: dict[str, Callable[[int], str]] = {
    "words": _times("some geese cross the frozen lake. "),
    "one word": _times("a"),
    "spaces": _around("# a", _times(" "), "b"),
    "headings": _times("# #\n"),
    "underlines": _times("a\n==\n"),
    "combining marks": _times("a\u0327\u0301"),
    "comments": _around("", _times("<!-- note -->\n"), "# Title\n"),
    "charsets": _around("caf\u00e9 ", _times("<meta charset=  ")),
    "page: comments": _around(PAGE, _times("<!-- a -->")),
    "page: open comments": _around(PAGE, _times("<!--")),
    "page: elements in elements": _around(PAGE, _times("<div>"), "a"),
    "page: and ends of others": _around(PAGE, lambda n: "<div>" * (n // 10) + "</p>" * (n // 8)),
    "page: lists in lists": _around(PAGE, _times("<dd><ul>")),
    "page: tables in tables": _around(PAGE, _times("<table><tr><td>a")),
    "page: formatting across": _around(PAGE, _times("<b><p></b>a</p>")),
    "page: attributes": _around(PAGE + "<p ", _counted(lambda i: f"a{i:06} "), ">a"),
    "page: quotes": _around(PAGE, _times("<p a='\">")),
    "page: open tags": _around(PAGE, _times("<p ")),
    "page: signs": _around(PAGE, _times("<")),
    "page: references": _around(PAGE, _times("&amp")),
    "page: digits": _around(PAGE + "&#", _times("9")),
    "page: scripts": _around(PAGE, _times("<script>a</script>")),
    "page: open scripts": _around(PAGE, _times("<script><!--<script></")),
    "page: drawings": _around(PAGE, _times("<svg><p>")),
    "page: styles": _around(PAGE + "<p style='", _times("display "), "'>a"),
    "page: instructions": _around(PAGE, _times("<?x y>")),
    "XMP: elements": _around(XMP, _times("<dc:subject>a</dc:subject>"), "</x>"),
    "XMP: attributes": _around(XMP + "<a ", _counted(lambda i: f'y:a{i:06}="" '), "/></x>"),
    "XMP: open": _around(XMP, _times("<dc:subject ")),
    "Takeout: people": _around(
        '{"title": "x", "geoData": {}, "people": [', _counted(lambda i: f'{{"name": "a{i:06}"}},'), "{}]}"
    ),
    "Takeout: brackets": _around('{"title": "x", "geoData": {}, "people": ', _times("[")),
    "Takeout: digits": _around('{"title": "x", "geoData": ', _times("9"), "}"),
}


def seconds(text: str, folder: Path) -> float:
    """CPU that a document takes until it is read or refused, the median of three times."""
    path = folder / "x.txt"
    path.write_text(text, "cp1252" if text.startswith("caf") else "utf-8", errors="replace")
    decoder = TextDecoder(Windowing(), Limits())
    taken = []
    for _ in range(3):
        begun = time.process_time()
        with suppress(MediaError):
            decoder.accepts(path, path.read_bytes()[:8192])
            decoder.describe(path)
            for _segment in decoder.decode(path):
                pass
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def main(names: Iterable[str] = KINDS) -> int:
    worst = 0.0
    print(f"{'':30} {'100 kB':>8} {'200 kB':>8} {'400 kB':>8}  times")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            one, two, four = (seconds(KINDS[name](SIZE * times), Path(folder)) for times in (1, 2, 4))
            ratio = four / max(one, 1e-4)
            print(f"{name:30} {one:8.3f} {two:8.3f} {four:8.3f}  {ratio:5.1f}", flush=True)
            if four > 0.05:
                worst = max(worst, ratio)
    print(f"four times as much takes {worst:.1f} times as long at most")
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or KINDS))
