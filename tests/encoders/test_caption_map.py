"""Queries that describe a photo lie nearer to photos; all others, and all passages, stay where they were."""

from collections.abc import Callable

import numpy as np
import pytest

from mmsearch.encoders.artefact import dump_artefact
from mmsearch.encoders.queries import prepared_query
from mmsearch.encoders.starter import languages, open_space, second_open_space, second_space, starter_space
from mmsearch.encoders.starter.caption_map import DIM, FORMAT, MAP, CaptionMap, dump_map, read_map, shipped_map
from mmsearch.encoders.starter.text import OpenStarterText, SecondStarterText, StarterText
from mmsearch.errors import WeightsError
from mmsearch.training.starter.caption_map import fitted, sentences
from mmsearch.types import Encoder, Segment, Space, Vectors

CAPTIONS = (
    "Two dogs run across a grassy field .", "A man in a red jacket skis down a snowy hill .",
    "a child splashes in a swimming pool", "A woman stands on a rock and looks at the sea .",
)  # fmt: skip
OTHERS = (
    "toaster", "rain", "fire hydrant", "church bells", "invoice for the repair of the roof",
    "when does the library open on sunday", "the committee adopted the report without a vote",
)  # fmt: skip


def asked(words: tuple[str, ...], encoder: Encoder) -> Vectors:
    return encoder.encode([prepared_query(encoder, one) for one in words], query=True)


def test_descriptions_of_photos_are_moved_and_other_queries_stay() -> None:
    raw, moved = (asked((*CAPTIONS, *OTHERS), one("cpu")) for one in (StarterText, SecondStarterText))
    cosines = (raw * moved).sum(1)
    assert cosines[: len(CAPTIONS)].max() < 0.94, "they are moved"
    assert cosines[: len(CAPTIONS)].min() > 0.8, "not to something else"
    assert cosines[len(CAPTIONS) :].min() > 0.99
    shares = shipped_map().caption_share(raw)
    assert shares[: len(CAPTIONS)].min() > 0.9 > 0.2 > shares[len(CAPTIONS) :].max()
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-6)


def test_a_query_by_itself_is_what_it_is_among_others() -> None:
    encoder = SecondStarterText("cpu")
    together = asked((*CAPTIONS, *OTHERS), encoder)
    for row, words in enumerate((*CAPTIONS, *OTHERS)):
        np.testing.assert_allclose(asked((words,), encoder)[0], together[row], atol=1e-6)
    assert encoder.encode([], query=True).shape == (0, DIM)


def test_passages_are_read_as_before() -> None:
    first, second = StarterText("cpu"), SecondStarterText("cpu")
    passages = [first.prepare(Segment("text", one)) for one in CAPTIONS]
    np.testing.assert_array_equal(first.encode(passages), second.encode(passages))


def test_a_description_in_another_language_has_a_map_of_its_own() -> None:
    words = ("Zwei Hunde rennen über eine Wiese .", "ein roter Bus", *CAPTIONS[:1])
    english, raw, moved = (asked(words, one("cpu")) for one in (OpenStarterText, StarterText, SecondStarterText))
    meant = np.stack([languages.mapped(one) for one in words[:2]])
    np.testing.assert_allclose(moved[:2], shipped_map().of_translated(english[:2], meant), atol=1e-6)
    np.testing.assert_allclose(moved[2:], shipped_map()(raw[2:]), atol=1e-6)
    cosines = (raw * moved).sum(1)
    assert 0.8 < cosines[0] < 0.95 and cosines[1] > 0.98, "a description is moved, a name hardly"


@pytest.mark.parametrize("space", [starter_space, open_space, second_open_space])
def test_only_the_second_version_has_it(space: Callable[[str], Space]) -> None:
    """The first version answers as ever, and the open one has learned nothing from captions."""
    assert not isinstance(space("cpu").encoders["text"], SecondStarterText)
    assert isinstance(second_space("cpu").encoders["text"], SecondStarterText)


def test_a_library_s_fingerprint_says_nothing_of_it() -> None:
    """So that no library is embedded anew."""
    assert second_space("cpu").encoders["text"].spec == OpenStarterText("cpu").spec


def test_a_map_survives_its_file() -> None:
    draw = np.random.default_rng(0)
    weights, translated = draw.normal(size=(2, DIM, DIM)).astype(np.float32)
    made = CaptionMap(weights, translated, draw.normal(size=DIM).astype(np.float32), -2.5)
    read = read_map(dump_map(made, {"seed": 0}))
    for ours, theirs in ((made.weights, read.weights), (made.translated, read.translated)):
        assert (np.abs(theirs - ours) <= np.abs(ours).max(0) / 127 / 2 + 1e-6).all()
    np.testing.assert_array_equal(read.gate, made.gate)
    assert read.constant == -2.5 and len(MAP.locate().read_bytes()) < 303_000


def test_a_damaged_map_is_refused() -> None:
    content = MAP.verified().read_bytes()
    for wrong in (content[:1000], b"", dump_artefact(FORMAT, {"constant": 1}, {"weights": np.zeros(3, np.uint8)})):
        with pytest.raises(WeightsError):
            read_map(wrong)


@pytest.mark.slow
@pytest.mark.extras
def test_a_map_learns_where_photos_of_captions_lie_and_leaves_others() -> None:
    draw = np.random.default_rng(0)

    def unit(rows: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> Vectors:
        return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)

    # Photos say in the second half of their vector what captions say in the first; others have a sign of their own.
    said = draw.normal(size=(300, DIM // 2 - 1))
    captions = unit(np.concatenate([said, 0.1 * draw.normal(size=(300, DIM // 2 - 1)), np.full((300, 2), 3.0)], axis=1))
    photos = unit(np.concatenate([0 * said, said, np.full((300, 2), 3.0)], axis=1))
    others = unit(np.concatenate([draw.normal(size=(200, DIM - 2)), np.full((200, 2), -3.0)], axis=1))
    meant = np.roll(captions, 1, axis=1)
    made, again = (fitted(photos, captions[:, np.newaxis], meant[:, np.newaxis], others, seed=0) for _ in range(2))
    np.testing.assert_array_equal(made.weights, again.weights)
    np.testing.assert_array_equal(made.translated, again.translated)
    moved = made(captions)
    assert (moved * photos).sum(1).mean() > (captions * photos).sum(1).mean() + 0.005
    nothing = np.zeros_like(meant)
    sure = CaptionMap(made.weights, made.translated, 0 * made.gate, 100.0)
    assert (sure.of_translated(nothing, meant) * photos).sum(1).mean() > (meant * photos).sum(1).mean() + 0.005
    assert made.caption_share(captions).mean() > 0.35 > 0.3 > made.caption_share(others).mean()


def test_prose_of_a_chapter_has_no_code_and_no_tables() -> None:
    text = (
        "# Parts of photos\n\nA photo is found. It has parts, too.\n\n```\nmmsearch query x y z\n```\n| a b | c d e |\n"
    )
    assert sentences(text) == ["# Parts of photos", "A photo is found.", "It has parts, too."]
