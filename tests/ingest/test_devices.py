"""An ingest on several devices: a process for each, here on the CPU, and nothing is lost when one ends."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from mmsearch.context.encoding import dealt_space
from mmsearch.core import registry
from mmsearch.core.config import Settings, read_settings
from mmsearch.errors import InvalidInput, MmsearchError
from mmsearch.library import Library
from mmsearch.types import Query, Segment, Space
from tests import tiny
from tests.generated import picture, sound, words

TWO = "cpu+cpu"
OpenTiny = Callable[..., Library]


DELICATE = "tests.delicate_space:space"


def found(library: Library, folder: Path) -> list[tuple[str, float | None]]:
    hits = [library.search(query, 20, mode="vector") for query in ("red", Query(image=folder / "3.png"))]
    return [(hit.path.name, hit.cosine) for one in hits for hit in one]


@pytest.mark.extras
def test_two_processes_make_the_vectors_that_one_makes(open_tiny: OpenTiny, folder: Path) -> None:
    for number, colour in enumerate(("red", "green", "blue") * 4):
        picture(folder / f"{number}.png", colour, mark=number)
    sound(folder / "low.wav", "low")
    words(folder / "note.txt", "a red bus")
    alone, dealt = open_tiny("alone"), open_tiny("dealt", device=TWO)
    assert alone.ingest(folder).new == 14
    tiny.reset()
    assert dealt.ingest(folder).new == 14
    assert not tiny.ENCODED
    assert found(dealt, folder) == found(alone, folder)


@pytest.mark.extras
def test_what_an_encoder_process_refuses_is_that_files_fault_alone(open_tiny: OpenTiny, folder: Path) -> None:
    for number, colour in enumerate(("red", "red", "green", "red")):
        picture(folder / f"{number}.png", colour, mark=number)
    library = open_tiny(space=DELICATE, device=TWO)
    report = library.ingest(folder)
    assert (report.new, dict(report.failed)) == (3, {"corrupt": 1})
    assert [one.path.name for one in library.failures()] == ["2.png"]


@pytest.mark.extras
def test_a_process_that_ends_loses_nothing_that_was_committed(open_tiny: OpenTiny, folder: Path) -> None:
    for number in range(8):
        picture(folder / f"{number}.png", "red", mark=number)
    picture(folder / "8.png", "blue")
    library = open_tiny(space=DELICATE, device=TWO, commit_segments=4)
    with pytest.raises(MmsearchError, match=r"the encoder process on cpu ended \(SIGKILL\)") as ended:
        library.ingest(folder)
    assert "what was committed is kept" in str(ended.value.hint)
    library.close()
    again = open_tiny(space=DELICATE)
    report = again.ingest(folder)
    # What was embedded and not yet committed is embedded again.
    assert report.new + report.unchanged == 9 and report.unchanged >= 4


@pytest.mark.slow
def test_batches_are_dealt_out_in_order_and_regions_come_with_them() -> None:
    target = "tests.region_space:space"
    own: Space = registry.load_part("spaces", target)("cpu", "fp32")
    random = np.random.default_rng(1)
    encoder = own.encoders["image"]
    batch = [encoder.prepare(Segment("image", random.integers(0, 256, (16, 16, 3), np.uint8))) for _ in range(5)]
    expected, seen = encoder.encode_regions(batch, 2)  # type: ignore[attr-defined]
    with dealt_space(own, target, Settings(device="cpu+cpu+cpu")) as dealt:
        pictures = dealt.encoders["image"]
        assert pictures.spec.batch_size == 3 * encoder.spec.batch_size
        assert dealt.fingerprint == own.fingerprint
        vectors, regions = pictures.encode_regions(batch, 2)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(vectors, expected)
        assert [[one.box for one in found] for found in regions] == [[one.box for one in found] for found in seen]
        for one, other in zip(chain.from_iterable(regions), chain.from_iterable(seen), strict=True):
            np.testing.assert_array_equal(one.vector, other.vector)
        np.testing.assert_array_equal(pictures.encode(batch[:2]), expected[:2])
    with dealt_space(own, target, Settings(device="cpu")) as same:
        assert same is own


def test_a_device_that_is_none_is_refused_among_others() -> None:
    assert read_settings(device="cuda:0+cuda:1").devices == ("cuda:0", "cuda:1")
    for wrong in ("cuda:0+", "+", "cpu+gpu", "cpu,cpu"):
        with pytest.raises(InvalidInput, match="device"):
            read_settings(device=wrong)
