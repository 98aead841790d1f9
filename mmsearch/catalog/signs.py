"""Scripts that put no spaces between words: each of their signs is a word of its own in the tables of words.

So "开放" is found inside of "图书馆开放时间", as two signs that follow each other. The index is cut by triggers, in SQL
(migration 0010), and what is asked for here; a test compares the two.
"""

import re

SIGNS = (
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e50-\u0e59"  # Thai
    "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"  # Hangul: particles follow their word without a space
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
)
"""The inside of a class of characters, in Python and for GLOB."""

MARKS = "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
"""Thai vowels and tones that stand over or under a letter, likewise."""

SHIFT = 0xE000
"""Added to Thai vowels and tones that stand over or under a letter: FTS5's tokenizer would cut at them and drop them.
What comes out is for private use, and part of a word to it."""

_THAI_MARKS = [0x0E31, *range(0x0E34, 0x0E3B), *range(0x0E47, 0x0E4F)]
_TO_INDEX = {mark: mark + SHIFT for mark in _THAI_MARKS}
_FROM_INDEX = {shifted: mark for mark, shifted in _TO_INDEX.items()}
SHIFTED = "".join(map(chr, _FROM_INDEX))
"""Those marks as they are in the index."""
_IN_INDEX = SIGNS + SHIFTED
_SIGN = re.compile(f"[{SIGNS}{MARKS}]")
_APART = re.compile(f"(?<=[{_IN_INDEX}]) +(?=[{_IN_INDEX}])")


def cut_signs(text: str) -> str:
    """The text with blanks around every sign of such a script, as the index has it."""
    return text if text.isascii() else _SIGN.sub(r" \g<0> ", text).translate(_TO_INDEX)


def joined_signs(text: str) -> str:
    """A text that was cut, with its signs together again."""
    return text if text.isascii() else _APART.sub("", text).translate(_FROM_INDEX)
