"""Settings: files of TOML that a library or a user may hold, from well-formed lines to bytes of any kind."""

import tempfile
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from mmsearch.core.config import DOMAINS, FILE_NAME, read_configuration
from tests.fuzz.target import Target

LONGEST = 100_000

_VALUE = st.one_of(
    st.sampled_from(["1", "0", "-1", "1e400", "inf", "nan", "10" * 200, "true", '"auto"', "[]", "{}", "2024-01-01"]),
    st.floats().map(repr),
    st.integers().map(str),
    st.text(max_size=20).map(lambda text: "'''" + text + "'''"),
    st.integers(0, 6_000).map(lambda depth: "[" * depth + "]" * depth),
    st.sampled_from(["image=0.9", "image=", "=1", "a=1,a=2", "image=nan"]).map(lambda text: f'"{text}"'),
)  # fmt: skip
_KEY = st.sampled_from([*DOMAINS, "fold", "alike", "nobody", "a.b", '"\\u001b[31m"']) | st.text(max_size=8)
_LINES = st.lists(st.tuples(_KEY, _VALUE).map(" = ".join), max_size=12).map("\n".join)
_REPEATED = st.builds(lambda line, count: (line * count)[:LONGEST], _LINES, st.integers(0, 20_000))
CASES = st.one_of(
    _LINES.map(str.encode), _REPEATED.map(lambda text: text.encode("utf-8", "replace")), st.binary(max_size=400)
)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="mmsearch-fuzz-")


def _step(content: bytes) -> None:
    folder = Path(_folder().name)
    (folder / FILE_NAME).write_bytes(content)
    read_configuration(folder)


TARGET = Target(CASES, _step)
