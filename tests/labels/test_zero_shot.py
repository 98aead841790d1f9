"""Names for labels: what is refused, with what to do."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmsearch.calibration import ListCalibration, ScoreCalibrator
from mmsearch.catalog import Batch, Catalog, ListKey, NewContent, Placement
from mmsearch.errors import InvalidInput
from mmsearch.labels.zero_shot import LONGEST, checked_names, label_zero_shot
from mmsearch.types import Prepared, Space, Span, Windowing
from tests import tiny


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["dog"], "two names are needed"),
        ([], "two names are needed"),
        (["dog", " "], "an empty name"),
        (["dog", "cat", "Dog "], "'dog' is named twice"),
        (["dog", "x" * (LONGEST + 1)], "a label of 201 characters"),
    ],
)
def test_senseless_labels_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        checked_names(names)
    assert refused.value.hint


def test_blanks_around_a_label_are_stripped() -> None:
    assert checked_names([" sea \n waves", "Dog"]) == ("sea waves", "Dog")


class _Framed(tiny.TinyText):
    """Says what a name means inside the sentence of a kind; alone, every name means another thing."""

    def _vector(self, prepared: Prepared) -> NDArray[np.float32]:
        said = prepared.tobytes().decode()
        framed = said.startswith(("a photo of a ", "the sound of "))
        return super()._vector(prepared) if framed else np.roll(super()._vector(prepared), 3)


def test_pictures_and_sounds_are_compared_with_labels_put_into_a_prompt(tmp_path: Path) -> None:
    """A red picture lies at "a photo of a red", a low sound at "the sound of low"; passages have the bare names."""
    space = Space("framed", tiny.DIM, Windowing(), {**tiny.space().encoders, "text": _Framed("1")})
    catalog = Catalog.open(tmp_path, "1", create=True)
    record = catalog.add_space("framed", "-", tiny.DIM, "f")
    batch = Batch()
    for kind, axis in (("image", "red"), ("audio", "low"), ("text", "low")):
        row = tiny.axis(axis)[np.newaxis]
        batch.contents.append(NewContent(kind, kind, {}, [kind], [Span()], row))
        batch.placements.append(Placement(f"/m/{kind}".encode(), b"/m", kind, 1, 1))
    catalog.commit(batch, record.id)
    nothing = np.zeros(tiny.DIM, np.float32)
    fits = ListCalibration(0.0, 0.1, 1, nothing, 0.0, 1.0, np.zeros(4, np.float32), np.ones(4, np.float32))
    known = {("text", ListKey("framed", kind, kind)): fits for kind in ("image", "audio", "text")}
    found, _ = label_zero_shot(
        ["red", "low"],
        space,
        catalog,
        lambda _, vector: ScoreCalibrator.of(known, "text", vector, 0.05),
        min_confidence=0.0,
    )
    catalog.close()
    assert {one.path.name: one.label for one in found} == {"image": "red", "audio": "low", "text": "red"}
