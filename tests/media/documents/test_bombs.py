"""Bombs are refused for their own reasons, within five seconds, and harm no neighbour."""

import re
import socket
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mmsearch.errors import MediaError
from mmsearch.library import Library
from mmsearch.media.text import TextDecoder
from mmsearch.types import Limits, Windowing
from tests.media.documents import made
from tests.media.documents.bombs import BOMBS, OUTSIDE, Bomb, package, word

HEAVY = frozenset(
    {*("zeros", "a lie about the size", "many slides", "many files", "a huge sheet", "a huge string", "many elements")}
    | {"a book of zeros"}
)
"""Those that take a second to write, or to refuse."""

LIGHT = {name: bomb for name, bomb in BOMBS.items() if name not in HEAVY}

DECODER = TextDecoder(Windowing(), Limits())


@pytest.mark.parametrize("bomb", LIGHT.values(), ids=LIGHT)
def test_a_bomb_is_refused_for_its_reason(tmp_path: Path, bomb: Bomb) -> None:
    path = tmp_path / f"bomb{bomb.suffix}"
    bomb.write(path)
    assert DECODER.accepts(path, path.read_bytes()[:8192])
    with pytest.raises(MediaError) as caught:
        DECODER.describe(path)
        list(DECODER.decode(path))
    assert caught.value.failure == bomb.failure and re.search(bomb.reason, caught.value.message), caught.value.message


@pytest.mark.extras
@pytest.mark.slow
def test_all_bombs_fail_within_five_seconds_and_their_neighbours_do_not(open_tiny: Any, folder: Path) -> None:
    """The worker of a file that takes longer is killed, and the failure then is a timeout."""
    for number, bomb in enumerate(BOMBS.values()):
        bomb.write(folder / f"{number:02}{bomb.suffix}")
        made.write_docx(folder / f"{number:02}-good.docx", {"Kept": [f"neighbour {number}"]})
    library: Library = open_tiny(decode_s=5.0)
    report = library.ingest(folder)
    assert report.new == len(BOMBS)
    found = {failure.path.name: failure for failure in library.failures()}
    for number, (name, bomb) in enumerate(BOMBS.items()):
        failure = found.pop(f"{number:02}{bomb.suffix}")
        assert failure.failure == bomb.failure, (name, failure)
        assert re.search(bomb.reason, failure.reason), (name, failure)
        hit = library.search(f'"neighbour {number}"', k=1)[0]
        assert (hit.path.name, hit.place) == (f"{number:02}-good.docx", "section Kept")
    assert not found


def test_nothing_outside_of_a_document_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file that its XML or its relations name, no address, and no macro."""

    def refused(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    secret = tmp_path / "secret.png"
    secret.write_bytes(made.picture("red"))
    relations = (
        '<Relationships><Relationship Id="a" Type="x/image" Target="../../secret.png"/>'
        f'<Relationship Id="b" Type="x/image" Target="file://{secret}" TargetMode="External"/>'
        '<Relationship Id="c" Type="x/image" Target="http://127.0.0.1:9/x.png" TargetMode="External"/>'
        '<Relationship Id="d" Type="x/attachedTemplate" Target="http://127.0.0.1:9/x.dotm" TargetMode="External"/>'
        "</Relationships>"
    )
    pictures = "".join(f'<a:blip r:embed="{one}" r:link="{one}"/>' for one in "abcd")
    path = tmp_path / "a.docm"
    package(
        path,
        word(f"<p><t>words</t></p>{pictures}")
        | {"word/_rels/document.xml.rels": relations, "word/vbaProject.bin": "x"},
    )
    assert [(one.modality, one.data) for one in DECODER.decode(path)] == [("text", "words")]
    package(path, word("<p><t>&x;</t></p>", OUTSIDE))
    with pytest.raises(MediaError, match="entities are not expanded"):
        list(DECODER.decode(path))


def test_a_picture_that_is_a_bomb_or_damaged_leaves_the_words(tmp_path: Path) -> None:
    path = made.write_docx(tmp_path / "a.docx", {"": ["words"]}, colour="red")
    huge = bytearray(made.picture("red"))
    huge[16:24] = (60_000).to_bytes(4, "big") * 2

    with zipfile.ZipFile(path) as file:
        held = {name: file.read(name) for name in file.namelist()}
    name = next(one for one in held if one.startswith("word/media/"))
    for data in (bytes(huge), b"no picture", held[name][:40]):
        with zipfile.ZipFile(path, "w") as file:
            for one, kept in held.items():
                file.writestr(one, data if one == name else kept)
        assert [segment.modality for segment in DECODER.decode(path)] == ["text"]
