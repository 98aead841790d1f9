"""Names of the parts that can be swapped: one visible table, plus entry points of other packages.

A package adds a part with an entry point, for example:

    [project.entry-points."mmsearch.spaces"]
    my-space = "my_package:space"
"""

import re
from collections.abc import Collection, Mapping
from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mmsearch.core.value_ranges import MAX_CHARACTERS, brief_repr
from mmsearch.errors import InvalidInput, UnknownName

BUILTIN: dict[str, dict[str, str]] = {
    # Asked in this order; the first that accepts a file decodes it.
    "decoders": {
        "image": "mmsearch.media.image:ImageDecoder",
        "text": "mmsearch.media.text:TextDecoder",
        "video": "mmsearch.media.video:VideoDecoder",
        "audio": "mmsearch.media.audio:AudioDecoder",
    },
    # (limits) -> Extractor
    "extractors": {
        "speech": "mmsearch.extract.speech:SpeechExtractor",
        "ocr": "mmsearch.extract.ocr:OcrExtractor",
    },
    # (device, precision) -> Space
    "spaces": {
        "starter": "mmsearch.encoders.starter:second_space",
        "starter-open": "mmsearch.encoders.starter:second_open_space",
        # What is known of these is in encoders/presets.py.
        "mobileclip2-s2": "open_clip:MobileCLIP2-S2/dfndr2b",
        "clip-vit-b-32": "open_clip:ViT-B-32/datacomp_xl_s13b_b90k",
        "siglip2-b-16": "open_clip:ViT-B-16-SigLIP2/webli",
        "siglip2-so400m-14": "open_clip:ViT-SO400M-14-SigLIP2-378/webli",
        "siglip-i18n-b-16": "open_clip:ViT-B-16-SigLIP-i18n-256/webli",
        "clap-htsat": "hf-hub:laion/clap-htsat-unfused",
        "clap-general": "hf-hub:laion/larger_clap_general",
        "pe-av-large": "hf-hub:facebook/pe-av-large",
        "embeddinggemma-2": "st:google/embeddinggemma-2",
        "embeddinggemma-2-text-image": "st:google/embeddinggemma-2,without=audio",
        "qwen3-vl-embedding-2b": "st:Qwen/Qwen3-VL-Embedding-2B",
        "qwen3-vl-embedding-8b": "st:Qwen/Qwen3-VL-Embedding-8B",
    },
    # (dim) -> VectorIndex, with a `load(path, dim)` classmethod
    "indexes": {
        "faiss": "mmsearch.vectors.layered:LayeredIndex",
        "numpy": "mmsearch.vectors.flat:FlatIndex",
    },
}


FAMILIES: dict[str, dict[str, str]] = {
    # (name, device, precision) -> Space
    "spaces": {
        "open_clip": "mmsearch.encoders.pretrained:pretrained_space",
        "hf-hub": "mmsearch.encoders.pretrained:pretrained_space",
        "local-dir": "mmsearch.encoders.pretrained:pretrained_space",
        "adapter": "mmsearch.encoders.pretrained:pretrained_space",
        "connected": "mmsearch.encoders.connected:connected_space",
        "st": "mmsearch.encoders.sentence:sentence_space",
        "st-dir": "mmsearch.encoders.sentence:sentence_space",
    },
}
"""Kind -> what stands before the colon of a name -> "module:attribute", which gets the whole name first."""


FOLDERS = ("local-dir", "adapter", "st-dir")
"""Families whose names are folders."""

_OPTIONS = re.compile(r"(?:,[a-z_]+=[a-z0-9+]*)+$")

LONGEST_NAME = 240
"""Bytes of a name, which becomes the name of a folder, with some more."""

RECORDED = {"mmsearch.encoders.starter:space": "mmsearch.encoders.starter:starter_space"}
"""What libraries, exports and connections have recorded since 0.1 of a built-in space, and where its code is now: a
name on disk outlives the module that it was taken from."""

FORMER = {"mmsearch.encoders.starter:space": "starter", "mmsearch.encoders.starter:open_space": "starter-open"}
"""Target of a built-in space's former version -> the name of the space, which leads to its version of now. A library
that has the former one keeps it until it is switched."""


@cache
def known_targets(kind: str) -> Mapping[str, str]:
    """Name -> "module:attribute" of every known part of a kind, built-in ones first. Read once in a process."""
    table = dict(BUILTIN[kind])
    for point in entry_points(group=f"mmsearch.{kind}"):
        if point.name in table and table[point.name] != point.value:
            raise InvalidInput(
                f"two {kind} are named {point.name!r}: {table[point.name]} and {point.value}",
                hint="uninstall one of the two packages, or rename one entry point",
            )
        table[point.name] = point.value
    return MappingProxyType(table)


def target_of(kind: str, name: str) -> str:
    """The "module:attribute" behind a name, or the name of one of a family; a space's with a colon is either already.

    What data names goes through `mmsearch.core.trust` first.
    """
    _check_name(kind, name)
    family, _, rest = name.partition(":")
    if family == "st" and _is_folder(rest):
        family = "st-dir"
    if family in FOLDERS:
        # It is remembered, and must mean the same from wherever it is used.
        folder, options = split_options(rest) if family == "st-dir" else (rest, "")
        return f"{family}:{Path(folder).expanduser().absolute()}{options}"
    if ":" in name and kind in FAMILIES:
        return name
    # Reading the entry points takes milliseconds; most names need none of them.
    short, options = split_options(name)
    table = BUILTIN[kind] if short in BUILTIN[kind] else known_targets(kind)
    if short not in table or (options and not table[short].startswith("st:")):
        raise UnknownName(f"no {kind.rstrip('s')} named {name!r}", hint=f"known: {', '.join(sorted(table))}")
    return table[short] + options


def split_options(name: str) -> tuple[str, str]:
    """What is named, and the options behind it: "st:a/b,dimensions=256" -> ("st:a/b", ",dimensions=256")."""
    found = _OPTIONS.search(name)
    return (name[: found.start()], found[0]) if found else (name, "")


def _is_folder(rest: str) -> bool:
    """Whether what stands behind "st:" is a folder rather than OWNER/NAME."""
    return rest.startswith((".", "~", "/", "\\")) or rest.count("/") != 1 or Path(rest).is_absolute()


def _check_name(kind: str, name: str) -> None:
    """Raises: UnknownName for what can be no name of a part, nor of the folder that a model lies in."""
    parts = name.split("/") if name.partition(":")[0] in (*FOLDERS, "st") else [name]
    longest = max(len(part.encode("utf-8", "surrogatepass")) for part in parts)
    if not name.strip(":") or "\0" in name or longest > LONGEST_NAME or len(name) > MAX_CHARACTERS:
        raise UnknownName(f"no {kind.rstrip('s')} can be named {brief_repr(name)}", hint="see: mmsearch models")


def check_modalities(named: Collection[str] | None) -> None:
    """Raises: InvalidInput for a modality that no decoder has."""
    # Reading the entry points takes as long as a short search.
    if set(named or ()) <= BUILTIN["decoders"].keys():
        return
    known = known_targets("decoders")
    for modality in named or ():
        if modality not in known:
            raise InvalidInput(f"unknown modality {modality!r}", hint=f"known: {', '.join(sorted(known))}")


def load_part(kind: str, name: str) -> Any:
    """Import the part behind a name. Raises: UnknownName."""
    found = target_of(kind, name)
    if family := FAMILIES.get(kind, {}).get(found.partition(":")[0]):
        return partial(_imported(kind, name, family), found)
    return _imported(kind, name, found)


def _imported(kind: str, name: str, found: str) -> Any:
    module, _, attribute = RECORDED.get(found, found).partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownName(f"{kind.rstrip('s')} {name!r} can't be imported: {error}") from error
