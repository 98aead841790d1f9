"""The space `starter-open`: the starter without anything that captions of research-only photos taught."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mmsearch
from mmsearch.calibration.neutral import neutral_vectors
from mmsearch.core import registry
from mmsearch.encoders import starter
from mmsearch.encoders.starter.conse import combine
from mmsearch.encoders.starter.image import LEARNED, TOP, scores
from mmsearch.encoders.starter.regions import CAPTIONS, OpenRegionImage
from mmsearch.models.available import available_models
from mmsearch.types import Segment, Space
from tests.conftest import CHECKOUT, Run
from tests.generated import picture

PHOTOS = sorted((CHECKOUT / "mmsearch" / "resources" / "samples" / "photos").iterdir())[:3]


def photos() -> list[Segment]:
    decoder = registry.load_part("decoders", "image")(space("starter-open").windowing, mmsearch.types.Limits())
    return [next(iter(decoder.decode(path))) for path in PHOTOS]


def space(name: str) -> Space:
    made: Space = registry.load_part("spaces", name)("cpu", "fp32")
    return made


def test_starter_open_is_a_space_of_its_own_with_the_starter_s_words_and_sounds() -> None:
    ours, theirs = space("starter-open"), space("starter")
    assert (ours.name, ours.dim, ours.windowing) == ("starter-open-2", 384, theirs.windowing)
    assert ours.fingerprint != theirs.fingerprint
    assert ours.encoders["text"].spec == theirs.encoders["text"].spec
    assert ours.encoders["audio"].spec == theirs.encoders["audio"].spec
    assert CAPTIONS.name not in {name for encoder in ours.encoders.values() for name in encoder.spec.weights}
    assert CAPTIONS in starter.FILES["starter"] and CAPTIONS not in starter.FILES["starter-open"]


@pytest.mark.slow
def test_a_picture_s_vector_is_the_classes_alone() -> None:
    encoder = OpenRegionImage("cpu", "fp32")
    prepared = encoder.prepare(photos()[0])
    model = encoder._loaded()
    expected = combine(scores(encoder.seen(model, [prepared])), model.concepts, TOP)
    assert model.captions is None
    np.testing.assert_array_equal(encoder.encode([prepared]), expected)
    named = encoder.concepts(prepared)
    assert LEARNED not in [name for name, _, _ in named] and len(named) == TOP
    summed = sum(weight * vector for _, weight, vector in named)
    np.testing.assert_allclose(summed, expected[0], atol=1e-5)
    assert float(expected[0] @ space("starter").encoders["image"].encode([prepared])[0]) < 0.98


PROGRAM = """
import json, sys
opened, told = [], []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
import numpy as np
from mmsearch.core import registry
from mmsearch.types import Segment
for name in sys.argv[1:]:
    opened.clear()
    encoder = registry.load_part("spaces", name)("cpu").encoders["image"]
    encoder.encode([encoder.prepare(Segment("image", np.zeros((9, 9, 3), np.uint8)))])
    weights = [path for path in opened if path.endswith((".safetensors", ".pth"))]
    told.append([sorted({path.replace("\\\\", "/").rpartition("/")[2] for path in weights}),
                 "mmsearch.encoders.starter.captions" in sys.modules])
print(json.dumps(told))
"""


@pytest.mark.slow
def test_starter_open_reads_nothing_that_captions_taught() -> None:
    """One process for both, since loading takes seconds: the starter is asked last, so that it can't hide a thing."""
    command = [sys.executable, "-c", PROGRAM, "starter-open", "starter"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=True)
    shared = ["concepts.safetensors", "efficientnet-lite2-9656183e.pth"]
    first, second = json.loads(done.stdout)
    assert first == [shared, False]
    # What was verified for the first is not opened for that again.
    assert "captions_2.safetensors" in second[0] and set(second[0]) <= {"captions_2.safetensors", *shared} and second[1]


def test_neutral_pictures_are_packaged_for_both_spaces() -> None:
    ours, theirs = neutral_vectors(space("starter-open")), neutral_vectors(space("starter"))
    assert {m: len(v) for m, v in ours.items()} == {m: len(v) for m, v in theirs.items()}
    assert ours["image"].shape == (19, 384) and not np.array_equal(ours["image"], theirs["image"])
    np.testing.assert_array_equal(ours["text"], theirs["text"])


@pytest.mark.slow
def test_the_packaged_neutral_pictures_are_what_starter_open_makes_of_the_samples() -> None:
    encoder = space("starter-open").encoders["image"]
    made = encoder.encode([encoder.prepare(photo) for photo in photos()])
    packaged = neutral_vectors(space("starter-open"))["image"][:3]
    assert (np.einsum("nd,nd->n", made, packaged) > 0.999).all()


def test_the_list_of_models_says_what_a_company_must_know_of_the_two_starters() -> None:
    listed = {model.name: model for model in available_models()}
    assert listed["starter-open"].installed and listed["starter-open"].licence == "Apache-2.0"
    assert listed["starter"].licence == "Apache-2.0, taught in part by research-only photos"
    sizes = [sum(file.locate().stat().st_size for file in starter.FILES[name]) for name in ("starter", "starter-open")]
    # The tokenizer and the labels are not weights.
    rest = starter.text.TOKENIZER.locate().stat().st_size + starter.audio.LABELS.locate().stat().st_size
    assert [size - rest for size in sizes] == [listed["starter"].bytes, listed["starter-open"].bytes]


@pytest.mark.slow
def test_a_library_of_the_starter_switches_to_starter_open_and_back(run: Run, folder: Path) -> None:
    picture(folder / "red.png", "red")
    assert run("ingest", folder, "--space", "starter").returncode == 0
    for name in ("starter-open", "starter"):
        assert run("model", "add", name).returncode == 0
        done = run("model", "switch", name)
        assert done.returncode == 0, done.stderr.decode()
        with mmsearch.open(folder.parent / "library") as library:
            assert library.status().space == f"{name}-2"
            assert [hit.path.name for hit in library.search("something red")] == ["red.png"]
