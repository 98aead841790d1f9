"""Files of trained weights: their bytes never change, and nothing in one is believed."""

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from mmsearch.encoders.connection import ConnectionMap, dump_connection, read_connection
from mmsearch.encoders.fusion import STRATEGIES, FusionFacts, dump_fusion, restore_fusion
from mmsearch.encoders.head import HEADS, Head, HeadFacts, dump_head, restore_head
from mmsearch.encoders.projection import Projection, dump_projection, projection_facts, restore_projection
from mmsearch.errors import WeightsError

RECORDED = {
    "fusion": "b6cd3fbadc0b277fee4d1870f83e1d1eaf223e54a90a0bb557bd928e36490852",
    "head": "96fd628ec7f921b164b529355b77faa023572ef19b2c9e80c73333fdc4b25ffa",
    "projection": "232e000173cf76bf9843fdf0ecc955e68bd392eb4089a3dd33d31a771ec0d782",
    "connection": "d08f3404937a928e65ab47b6d5a51043b753f536c685ca59c52767c68b73c5fc",
}
"""sha256 of files of counted-up weights, as they were written before these four shared a writer."""


def counted(module: torch.nn.Module) -> torch.nn.Module:
    """With the values 0, 0.25, 0.5, ... in each of its parameters."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 4)
    return module


def matrix(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def fusion_file() -> bytes:
    facts = FusionFacts("cross", 8, ("text", "image", "audio"), "tiny", "0a")
    return dump_fusion(counted(STRATEGIES["cross"](8, 3)), facts)


def head_file() -> bytes:
    facts = HeadFacts("mlp", 8, 5, ("a", "ü", "c"), "tiny", "0a", 1.5, 0.25)
    return dump_head(Head(facts, counted(HEADS["mlp"](8, 3, 5, 0.0)), np.eye(3, 8, dtype=np.float32), fusion_file()))


def projection_file() -> bytes:
    projection = Projection(8, 4, ("text", "image"))
    counted(projection)
    return dump_projection(projection, {"base": "tiny", "fingerprint": "0a", "name": "x"})


def connection_file() -> bytes:
    first = ConnectionMap(matrix(8, 6), matrix(6), matrix(6, 5), matrix(5))
    second = ConnectionMap(matrix(7, 6), matrix(6), matrix(6, 5), matrix(5))
    return dump_connection(("a:b", "c:d"), ("0a", "0b"), (first, second))


FILES: Mapping[str, Callable[[], bytes]] = {
    "fusion": fusion_file, "head": head_file, "projection": projection_file, "connection": connection_file,
}  # fmt: skip


def rewritten(kind: str, content: bytes, folder: Path) -> bytes:
    """Read and written again. Raises: WeightsError."""
    if kind == "fusion":
        return dump_fusion(*restore_fusion(content))
    if kind == "head":
        return dump_head(restore_head(content))
    if kind == "projection":
        facts = {name: projection_facts(content)[name] for name in ("base", "fingerprint", "name")}
        return dump_projection(restore_projection(content), facts)
    path = folder / "connection.safetensors"
    path.write_bytes(content)
    connection = read_connection(path)
    return dump_connection(connection.members, connection.fingerprints, connection.maps)


def changed(content: bytes, facts: Mapping[str, Any] | None = None, tensors: Mapping[str, Any] | None = None) -> bytes:
    """The file with other facts and tensors; None takes one away."""
    length = int.from_bytes(content[:8], "little")
    known = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["mmsearch"])
    stored: dict[str, Any] = load(content)
    merged = [{**old, **(new or {})} for old, new in ((known, facts), (stored, tensors))]
    kept = [{name: value for name, value in one.items() if value is not None} for one in merged]
    return bytes(save(kept[1], {"mmsearch": json.dumps(kept[0], sort_keys=True)}))


@pytest.mark.parametrize("kind", FILES)
def test_the_bytes_are_those_that_were_always_written(kind: str, tmp_path: Path) -> None:
    content = FILES[kind]()
    assert hashlib.sha256(content).hexdigest() == RECORDED[kind]
    assert rewritten(kind, content, tmp_path) == content


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"\x00" * 64,
        lambda content: content[:-20],
        lambda content: struct.pack("<Q", 2**63) + content[8:],
        lambda content: struct.pack("<Q", 10**7) + b"[" * 10**7,
        lambda content: struct.pack("<Q", 2) + b"[]",
        lambda content: changed(content, {"format": "mmsearch-other-1"}),
        lambda content: changed(content, tensors={next(iter(sorted(load(content)))): None}),
        lambda content: changed(content, tensors={"more": np.zeros(1, np.float32)}),
        lambda content: changed(
            content, tensors={name: value.astype(np.float16) for name, value in load(content).items()}
        ),
        lambda content: changed(content, tensors={name: value * np.nan for name, value in load(content).items()}),
        lambda content: changed(content, tensors={name: value[None] for name, value in load(content).items()}),
    ],
    ids=[
        "empty", "zeros", "cut off", "header beyond the file", "nested deeply", "no facts", "another format",
        "a tensor less", "a tensor more", "float16", "NaN", "other shapes",
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_with_a_remedy(kind: str, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        rewritten(kind, damage(FILES[kind]()), tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("kind", "facts", "message"),
    [
        ("fusion", {"strategy": "magic"}, "strategy is none of sum, mean"),
        ("fusion", {"dim": 10**30}, "dim is not a dimension"),
        ("fusion", {"dim": 2**24}, "is of shape"),
        ("fusion", {"modalities": []}, "modalities is not a list of texts"),
        ("head", {"dim": True}, "dim is not a dimension"),
        ("head", {"hidden": 2**24}, "is of shape"),
        ("head", {"classes": ["a", "b"]}, "is of shape"),
        ("head", {"classes": [1, 2, 3]}, "classes is not a list of texts"),
        ("head", {"temperature": 0}, "temperature is out of range"),
        ("head", {"temperature": 10**400}, "temperature is out of range"),
        ("head", {"least": "low"}, "least is not a number"),
        ("head", {"base": 1}, "base is not a text"),
        ("projection", {"hidden": -1}, "hidden is not a dimension"),
        ("projection", {"modalities": ["a.b"]}, "damaged"),
        ("connection", {"members": ["a"]}, "members has 1 entries, not 2"),
    ],
)
def test_facts_out_of_range_are_refused(kind: str, facts: Mapping[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        rewritten(kind, changed(FILES[kind](), facts), tmp_path)


def test_a_head_s_fusion_is_bytes_and_its_centres_fit_its_classes() -> None:
    with pytest.raises(WeightsError, match="fusion holds no bytes"):
        restore_head(changed(head_file(), tensors={"fusion": np.zeros(4, np.float32)}))
    with pytest.raises(WeightsError, match=r"centres is of shape \(2, 8\), not \(3, 8\)"):
        restore_head(changed(head_file(), tensors={"centres": np.zeros((2, 8), np.float32)}))


def test_maps_that_lead_to_different_places_are_refused(tmp_path: Path) -> None:
    other = {"1.outer": matrix(6, 4), "1.outer_bias": matrix(4)}
    with pytest.raises(WeightsError, match="the matrices of map 1 don't fit together"):
        rewritten("connection", changed(connection_file(), tensors=other), tmp_path)
