"""A library over a small CLIP that has learned shapes: words, pictures and videos meet, sounds wait outside."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

import mmsearch
from mmsearch.core import registry, trust
from mmsearch.core.config import user_file
from mmsearch.errors import NoSharedSpace, SpaceChanged, Untrusted, WeightsError
from mmsearch.library import Library
from mmsearch.media.image import ImageDecoder
from mmsearch.types import Limits, Query
from tests import clip, trained_clip
from tests.conftest import Run
from tests.encoders.test_huggingface_library import stored
from tests.generated import sound, words
from tests.media_files import clip as coloured

pytestmark = pytest.mark.slow

OpenTiny = Callable[..., Library]


def film(path: Path, *captions: str) -> Path:
    """Six seconds of each caption's drawing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=2)
        stream.width = stream.height = trained_clip.SIDE
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for number, caption in enumerate(captions):
            frame = av.VideoFrame.from_ndarray(trained_clip.drawn(caption, 7 + number), "rgb24")
            for _ in range(12):
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def colours(library: Library, query: str | Query, names: dict[str, str], k: int) -> list[str]:
    return [names[hit.path.name].split()[1] for hit in library.search(query, k, modalities=["image"], mode="vector")]


def test_words_pictures_and_frames_find_each_other(open_tiny: OpenTiny, folder: Path) -> None:
    paths = trained_clip.draw(folder, trained_clip.CAPTIONS, seed=1)
    names = {path.name: caption for path, caption in zip(paths, trained_clip.CAPTIONS, strict=True)}
    film(folder / "film.mp4", "a green circle", "a red square", "a blue star")
    coloured(folder / "loud.mp4", [(0, 0, 255)] * 20, sound_s=2.0)
    library = open_tiny(space=trained_clip.space())
    report = library.ingest(folder)
    assert (report.new, report.failed.total(), report.not_embedded) == (18, 0, 0)
    for colour in trained_clip.COLOURS:
        assert colours(library, f"a {colour} circle", names, 3) == [colour] * 3
        other = trained_clip.draw(folder.parent / "query", [f"a {colour} square"], seed=2)[0]
        assert colours(library, Query(image=other), names, 3) == [colour] * 3
    hit = library.search("a red square", modalities=["video"], mode="vector")[0]
    assert (hit.path.name, hit.matched) == ("film.mp4", "image")
    assert hit.start is not None and hit.end is not None and 6 <= (hit.start + hit.end) / 2 < 12
    by_film = library.search(Query(video=folder / "film.mp4"), 1, modalities=["video"], mode="vector")[0]
    assert by_film.path.name == "film.mp4" and (by_film.cosine or 0) > 0.9
    loud = {count.modality: count for count in library.status().counts}["video"]
    assert loud.segments == loud.vectors, "of the loud film only frames were taken in"


def test_a_library_of_real_photos_has_open_clips_own_vectors(open_tiny: OpenTiny, folder: Path, shared: Path) -> None:
    for path in sorted((shared / "data" / "dev" / "coco").rglob("*.jpg"))[::6]:
        shutil.copy(path, folder)
    name = clip.space("clip")
    library = open_tiny(space=name)
    assert library.ingest(folder).new == len(list(folder.iterdir())) >= 8
    theirs, _, preprocess = open_clip.create_model_and_transforms(name)
    found = stored(library)
    for path in folder.iterdir():
        # What a decoder may have reduced is what both get.
        segment = next(iter(ImageDecoder(registry.load_part("spaces", name)("cpu").windowing, Limits()).decode(path)))
        with torch.no_grad():
            wanted = theirs.eval().encode_image(
                preprocess(Image.fromarray(np.asarray(segment.data)))[None], normalize=True
            )
        np.testing.assert_allclose(found[path.name], wanted, atol=1e-5)
        first = library.search(Query(image=path), 1, modalities=["image"])[0]
        assert first.path.name == path.name and (first.cosine or 0) > 0.9999
    assert len(library.search("a dog on the grass", 5, mode="vector")) == 5


def test_sounds_count_as_not_embedded_and_not_as_failed(open_tiny: OpenTiny, folder: Path) -> None:
    trained_clip.draw(folder, trained_clip.CAPTIONS[:2], seed=3)
    tone = sound(folder / "tone.wav", "mid")
    words(folder / "note.txt", "a red square on the dog " * 12)
    (folder / "broken.wav").write_bytes(tone.read_bytes()[:30])
    library = open_tiny(space=trained_clip.space())
    report = library.ingest(folder)
    assert (report.new, report.not_embedded, report.files) == (3, 1, 5)
    assert report.failed.total() == 1, "a sound that can't be read is a failure in any space"
    again = library.ingest(folder)
    assert (again.unchanged, again.not_embedded, again.failed_before, again.seconds["decode"]) == (3, 1, 1, 0.0)
    assert [failure.path.name for failure in library.failures()] == ["broken.wav"]
    assert [failure.path.name for failure in library.failures("not-embedded")] == ["tone.wav"]
    status = library.status()
    assert (status.not_embedded, sum(status.failures.values())) == (1, 1)
    assert library.search("a red square", modalities=["text"])[0].path.name == "note.txt"
    for query in (Query(audio=tone), Query("a dog") + Query(audio=tone)):
        with pytest.raises(NoSharedSpace, match="does not know sounds") as caught:
            library.search(query)
        assert caught.value.hint is not None and "--space" in caught.value.hint


def test_other_weights_are_refused_and_the_first_ones_work_again(tmp_path: Path, folder: Path) -> None:
    trained_clip.draw(folder, trained_clip.CAPTIONS[:3], seed=4)
    model = Path(trained_clip.space().partition(":")[2])
    here = tmp_path / "model"
    here.mkdir()
    for file in model.iterdir():
        (here / file.name).write_bytes(file.read_bytes())
    with mmsearch.open(tmp_path / "library", space=f"local-dir:{here}", workers=1) as library:
        library.ingest(folder)
        found = [hit.cosine for hit in library.search("a red circle", mode="vector")]
    weights = here / "open_clip_model.safetensors"
    state = load_file(weights)
    save_file({**state, "logit_scale": np.asarray(state["logit_scale"] + 1)}, weights)
    with mmsearch.open(tmp_path / "library") as library, pytest.raises(SpaceChanged) as caught:
        library.search("a red circle")
    assert caught.value.hint is not None and "put back the weights" in caught.value.hint
    weights.write_bytes((model / weights.name).read_bytes())
    with mmsearch.open(tmp_path / "library") as library:
        assert [hit.cosine for hit in library.search("a red circle", mode="vector")] == found
    user_file().with_name(trust.FILE_NAME).unlink()
    for way in (None, "starter"):
        with mmsearch.open(tmp_path / "library", space=way) as library, pytest.raises(Untrusted) as refused:
            library.search("a red circle")
        assert refused.value.hint is not None and f"MMSEARCH_SPACE=local-dir:{here} " in refused.value.hint
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSEARCH_SPACE", f"local-dir:{here}")
        with mmsearch.open(tmp_path / "library") as library:
            assert [hit.cosine for hit in library.search("a red circle", mode="vector")] == found
    with mmsearch.open(tmp_path / "library") as library:
        assert library.ingest(folder).failed.total() == 0, "named once, its workers find it too"
    here.rename(tmp_path / "elsewhere")
    with mmsearch.open(tmp_path / "library") as library, pytest.raises(WeightsError, match="no model in"):
        library.search("a red circle")


def test_ingest_query_and_status_work_with_an_open_clip_space(run: Run, folder: Path) -> None:
    trained_clip.draw(folder, trained_clip.CAPTIONS[:2], seed=5)
    sound(folder / "tone.wav", "mid")
    done = run("ingest", folder, "--space", trained_clip.space())
    assert done.returncode == 0, done.stderr.decode()
    assert (
        "1 file of kinds that this library's model doesn't know" in done.stdout.decode()
        and "failed" not in done.stdout.decode()
    )
    status = json.loads(run("status", "--json").stdout)
    assert (status["space"], status["not_embedded"], status["failures"]) == ("local-dir:shapes", 1, {})
    query = run("query", "--audio", folder / "tone.wav")
    assert query.returncode == 2 and "does not know sounds" in query.stderr.decode()
    missing = run("ingest", folder, "--space", "siglip2-b-16", "--library", folder.parent / "other")
    assert missing.returncode == 6 and "mmsearch prepare" in missing.stderr.decode()
