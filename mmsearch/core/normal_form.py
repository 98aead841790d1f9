"""Names in one form of Unicode: Macs write an accent after its letter (NFD), other systems both as one (NFC)."""

import unicodedata


def normal_form(text: str) -> str:
    """The text in NFC."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def normal_forms(text: str) -> list[str]:
    """The text as it is, in NFC and in NFD, each once."""
    if text.isascii():
        return [text]
    return list(dict.fromkeys([text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))]))
