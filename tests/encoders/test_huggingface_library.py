"""Libraries over CLAP and over Perception Encoder audio-video: what they embed, in all directions, offline."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

import mmsearch
from mmsearch.core import registry
from mmsearch.core.config import models_folder
from mmsearch.encoders import model_store
from mmsearch.errors import NoSharedSpace, SpaceChanged, WeightsError
from mmsearch.library import Library
from mmsearch.media.audio import AudioDecoder
from mmsearch.models import download
from mmsearch.models.available import available_models
from mmsearch.types import Limits, Query
from tests import huggingface, trained_clap
from tests.conftest import Run
from tests.generated import picture, sound, words
from tests.media_files import clip as film

pytestmark = pytest.mark.slow

OpenTiny = Callable[..., Library]


def stored(library: Library) -> dict[str, Any]:
    """File name -> its vectors, float32 (segments, dim), in order."""
    found: dict[str, list[Any]] = {}
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        for path, vector in db.execute(
            "SELECT path, vector FROM items JOIN segments ON segments.content_id = items.content_id"
            " JOIN embeddings ON segment_id = segments.id ORDER BY path, ordinal"
        ):
            found.setdefault(Path(path if isinstance(path, str) else path.decode()).name, []).append(
                np.frombuffer(vector, "<f4")
            )
    return {name: np.stack(vectors) for name, vectors in found.items()}


def names(library: Library, query: str | Query, k: int, *modalities: str) -> list[str]:
    return [hit.path.name for hit in library.search(query, k, modalities=list(modalities), mode="vector")]


def test_words_and_sounds_find_each_other_by_meaning(open_tiny: OpenTiny, folder: Path) -> None:
    captions = trained_clap.CAPTIONS * 3
    paths = trained_clap.record(folder, captions, seed=1)
    kind = {path.name: caption for path, caption in zip(paths, captions, strict=True)}
    for number, caption in enumerate(trained_clap.CAPTIONS):
        words(folder / f"note{number}.txt", caption)
    library = open_tiny(space=trained_clap.space())
    report = library.ingest(folder)
    assert (report.new, report.failed.total(), report.not_embedded) == (16, 0, 0)
    for number, caption in enumerate(trained_clap.CAPTIONS):
        assert [kind[name] for name in names(library, caption, 3, "audio")] == [caption] * 3
        other = trained_clap.record(folder.parent / "query", [caption], seed=10 + number)[0]
        assert [kind[name] for name in names(library, Query(audio=other), 3, "audio")] == [caption] * 3
        assert names(library, Query(audio=other), 1, "text") == [f"note{number}.txt"]
        assert names(library, Query(text=folder / f"note{number}.txt"), 1, "audio")[0] in kind
    hit = library.search("a high tone", 1, modalities=["audio"], mode="vector")[0]
    assert hit.start is not None and hit.end is not None and hit.end - hit.start <= huggingface.SECONDS


def test_a_space_of_sounds_ingests_of_videos_only_their_sound(open_tiny: OpenTiny, folder: Path) -> None:
    picture(folder / "red.png", "red")
    film(folder / "loud.mp4", [(0, 0, 255)] * 30, sound_s=3.0)
    sound(folder / "tone.wav", "high")
    library = open_tiny(space=trained_clap.space())
    report = library.ingest(folder)
    assert (report.new, report.not_embedded, report.failed.total()) == (2, 1, 0)
    assert library.search("a low tone", 1, modalities=["video"], mode="vector")[0].matched == "audio"
    with pytest.raises(NoSharedSpace, match="does not know pictures"):
        library.search(Query(image=folder / "red.png"))


@pytest.mark.slow
@pytest.mark.extras
def test_the_same_file_has_the_same_vectors_in_every_library(open_tiny: OpenTiny, folder: Path) -> None:
    # Longer than a window: the library's own feature extractor would take another piece each time.
    trained_clap.record(folder, trained_clap.CAPTIONS, seed=2, seconds=5.3)
    made = []
    for name in ("one", "other"):
        library = open_tiny(name, space=trained_clap.space())
        library.ingest(folder)
        made.append(stored(library))
    assert {name: len(vectors) for name, vectors in made[0].items()} == dict.fromkeys(made[0], 5)
    for name, vectors in made[0].items():
        np.testing.assert_array_equal(vectors, made[1][name])


def test_a_library_refuses_other_windows_and_another_model(tmp_path: Path, folder: Path) -> None:
    trained_clap.record(folder, trained_clap.CAPTIONS[:1], seed=3)
    here = Path(shutil.copytree(trained_clap.space().partition(":")[2], tmp_path / "model"))
    with mmsearch.open(tmp_path / "library", space=f"local-dir:{here}", workers=1) as library:
        library.ingest(folder)
    config = here / "preprocessor_config.json"
    before = config.read_text()
    config.write_text(before.replace('"max_length_s": 2', '"max_length_s": 1'))
    with mmsearch.open(tmp_path / "library") as library, pytest.raises(SpaceChanged, match="another version"):
        library.search("a low tone")
    config.write_text(before)
    with mmsearch.open(tmp_path / "library") as library:
        assert library.search("a low tone", mode="vector")
    huggingface.save(here, "pe")
    with mmsearch.open(tmp_path / "library") as library, pytest.raises(SpaceChanged):
        library.search("a low tone")


def test_a_library_of_real_sounds_has_transformers_own_vectors(open_tiny: OpenTiny, folder: Path, shared: Path) -> None:
    for path in sorted((shared / "data" / "dev" / "esc10").glob("*.ogg"))[::45]:
        shutil.copy(path, folder)
    name = huggingface.space("clap")
    library = open_tiny(space=name)
    assert library.ingest(folder).new == len(list(folder.iterdir())) >= 5
    module = huggingface.module("clap")
    module.load_state_dict(load_file(Path(name.partition(":")[2]) / "model.safetensors"))
    windowing = registry.load_part("spaces", name)("cpu").windowing
    for file, vectors in stored(library).items():
        waves = [segment.data for segment in AudioDecoder(windowing, Limits()).decode(folder / file)]
        features = huggingface.extractor("clap")(waves, sampling_rate=huggingface.RATE, return_tensors="pt")
        assert not any(longer for (longer,) in features["is_longer"])
        with torch.no_grad():
            wanted = module.get_audio_features(**features).pooler_output
        np.testing.assert_allclose(vectors, F.normalize(wanted, dim=-1), atol=1e-5)
        # Untrained, it need not know a file again by all its windows together.
        assert len(names(library, Query(audio=folder / file), 3, "audio")) == 3
    assert len(names(library, "a dog in the rain", 3, "audio")) == 3


def test_the_joint_model_searches_every_modality_by_every_other(open_tiny: OpenTiny, folder: Path) -> None:
    for colour in ("red", "green", "blue"):
        picture(folder / f"{colour}.png", colour)
    trained_clap.record(folder, trained_clap.CAPTIONS[:3], seed=4)
    film(folder / "loud.mp4", [(0, 255, 0)] * 30, sound_s=3.0)
    words(folder / "note.txt", "the red dog on the circle")
    library = open_tiny(space=huggingface.space("pe"))
    report = library.ingest(folder)
    assert (report.new, report.failed.total(), report.not_embedded) == (8, 0, 0)
    queries: dict[str, str | Query] = {
        "text": "a red circle", "image": Query(image=folder / "green.png"), "audio": Query(audio=folder / "4-1.wav"),
        "video": Query(video=folder / "loud.mp4"),
    }  # fmt: skip
    for query in queries.values():
        for modality, count in (("image", 3), ("audio", 3), ("video", 1), ("text", 1)):
            assert len(names(library, query, 5, modality)) == count
    assert names(library, queries["image"], 1, "image") == ["green.png"]
    assert names(library, queries["audio"], 1, "audio") == ["4-1.wav"]
    frames = library.search(queries["image"], 1, modalities=["video"])[0]
    assert (frames.path.name, frames.matched) == ("loud.mp4", "image"), "a green film, by a green picture"


def test_the_joint_model_embeds_real_photos_and_sounds(open_tiny: OpenTiny, folder: Path, shared: Path) -> None:
    dev = shared / "data" / "dev"
    for path in [*sorted((dev / "coco").rglob("*.jpg"))[:3], *sorted((dev / "esc10").glob("*.ogg"))[:3]]:
        shutil.copy(path, folder)
    library = open_tiny(space=huggingface.space("pe"))
    assert library.ingest(folder).new == 6
    photo, recording = (next(folder.glob(kind)) for kind in ("*.jpg", "*.ogg"))
    for query in ("a dog", Query(image=photo), Query(audio=recording)):
        assert len(names(library, query, 5, "image")) == len(names(library, query, 5, "audio")) == 3
    assert names(library, Query(image=photo), 1, "image") == [photo.name]


@pytest.mark.parametrize("variant", ["clap", "pe"])
def test_a_model_is_prepared_from_a_folder_and_used_offline(variant: str, tmp_path: Path) -> None:
    source = Path(shutil.copytree(huggingface.space(variant).partition(":")[2], tmp_path / "source"))
    (source / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (source / "pytorch_model.bin").write_bytes(b"left where it is")
    name = "hf-hub:someone/model"
    assert download.prepared_folder(name) is None
    folder = download.prepare_model(download.plan_download(name, source))
    assert folder == download.prepared_folder(name)
    assert {path.name for path in folder.iterdir()} == {*huggingface.FILES[variant], "README.md", model_store.RECORD}
    found = next(model for model in available_models() if model.name == name)
    space = registry.load_part("spaces", name)("cpu", "fp32")
    assert (found.modalities, found.dim, found.licence) == (tuple(space.encoders), space.dim, "apache-2.0")
    assert found.bytes == (source / "model.safetensors").stat().st_size
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="is not as it was"):
        download.prepared_folder(name)


@pytest.mark.parametrize("broken", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_model_folder_with_a_missing_file_is_not_prepared(broken: str, tmp_path: Path) -> None:
    source = Path(shutil.copytree(huggingface.space("clap").partition(":")[2], tmp_path / "source"))
    (source / broken).unlink()
    with pytest.raises(WeightsError, match=broken if broken != "model.safetensors" else "no weights"):
        download.prepare_model(download.plan_download("clap-htsat", source))
    place = models_folder()
    assert not place.is_dir() or {path.name for path in place.iterdir()} <= {".lock"}


def test_ingest_and_query_work_with_a_clap_space(run: Run, folder: Path) -> None:
    trained_clap.record(folder, trained_clap.CAPTIONS, seed=5)
    picture(folder / "red.png", "red")
    download.prepare_model(download.plan_download("clap-htsat", Path(trained_clap.space().partition(":")[2])))
    done = run("ingest", folder, "--space", "clap-htsat")
    assert done.returncode == 0, done.stderr.decode()
    assert "1 file of kinds that this library's model doesn't know" in done.stdout.decode()
    found = json.loads(run("query", "a high tone", "--json", "--mode", "vector").stdout)
    assert Path(found["hits"][0]["path"]).name == "5-1.wav"
