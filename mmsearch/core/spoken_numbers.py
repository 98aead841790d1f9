"""Small numbers as they are said: who looks for the digits finds the word, and the other way round."""

import re

NUMBERS = {
    "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "en": "zero one two three four five six seven eight nine ten eleven twelve",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze",
    "it": "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici",
    "ru": "ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать",
}
"""Language -> what is said for the numbers from 0 on."""

ONE = 1
"""Its name is mostly no number ("one of them", "un chien")."""

_SMALL = re.compile(r"[0-9]{1,2}")
_SIGNS = ".,!?…"


def with_numbers(text: str, language: str | None) -> list[str]:
    """The words of what was heard, small numbers followed by their other form: "7 (seven)", "two (2)".

    A one counts where nothing but numbers is said.
    """
    names = NUMBERS.get(language or "", "").split()
    words = text.split()
    values = [_value(word.strip(_SIGNS).lower(), names) for word in words]
    if None in values:
        values = [
            None if one == ONE and not word[0].isdigit() else one for word, one in zip(words, values, strict=True)
        ]
    return [
        word if one is None else f"{word} ({_other(word, one, names)})" for word, one in zip(words, values, strict=True)
    ]


def _value(word: str, names: list[str]) -> int | None:
    if _SMALL.fullmatch(word):
        return int(word) if int(word) < len(names) else None
    return names.index(word) if word in names else None


def _other(word: str, value: int, names: list[str]) -> str:
    return names[value] if word[0].isdigit() else str(value)
