"""Models of sentence-transformers: vectors are the library's own, and a folder whose weights lie is refused."""

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mmsearch.core import registry
from mmsearch.encoders.sentence.encoders import TextEncoder
from mmsearch.errors import EncodeError, InvalidInput, WeightsError
from mmsearch.models import download
from mmsearch.types import Encoder, Modality, Segment, Space, Span
from tests import sentence

LOOKED_UP = "https://images.example/dog.jpg"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever opens a connection or asks for an address fails."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something asked the network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield


def opened(variant: str, options: str = "", precision: str = "fp32") -> Space:
    made: Space = registry.load_part("spaces", sentence.space(variant, options))("cpu", precision)
    return made


def segments(kind: Modality) -> list[Segment]:
    random = np.random.default_rng(7)
    if kind == "text":
        return [Segment("text", "a dog barks"), Segment("text", LOOKED_UP), Segment("text", "waves", title="The Sea")]
    if kind == "image":
        return [Segment("image", random.integers(0, 256, (*size, 3), np.uint8)) for size in ((90, 120), (64, 64))]
    if kind == "audio":
        return [
            Segment("audio", random.normal(0, 0.1, size).astype(np.float32), rate=16_000) for size in (16_000, 7_000)
        ]
    frames = [random.integers(0, 256, (size, 64, 80, 3), np.uint8) for size in (4, 6)]
    return [Segment("video", one, Span(start=0.0, end=8.0)) for one in frames]


def by_the_library(model: Any, kind: Modality, one: Segment, *, query: bool) -> Any:
    """One vector as the library itself makes it, of its own kinds of values."""
    encode = model.encode_query if query else model.encode_document
    data: Any = one.data
    if kind == "text":
        # By the prompt alone: as text, the library would fetch an address.
        prompt = model.prompts.get("query" if query else "document") or ""
        if one.title and not query:
            prompt = prompt.replace("title: none", f"title: {one.title}")
        return encode([{"text": data}], prompt=prompt, normalize_embeddings=True)[0]
    if kind == "image":
        return encode([Image.fromarray(data)], normalize_embeddings=True)[0]
    if kind == "audio":
        return encode([{"array": data, "sampling_rate": one.rate}], normalize_embeddings=True)[0]
    fps = len(data) / ((one.span.end or 0) - (one.span.start or 0))
    told = {"fps": fps, "total_num_frames": len(data), "frames_indices": list(range(len(data)))}
    model[0].processing_kwargs = {"video": {"do_sample_frames": False}}
    return encode([{"array": data.transpose(0, 3, 1, 2), "video_metadata": told}], normalize_embeddings=True)[0]


def check_like_the_library(variant: str) -> None:
    space, model = opened(variant), sentence.library_model(variant)
    assert tuple(space.encoders) == sentence.TAKES[variant]
    assert space.dim == sentence.DIMS[variant]
    for kind, encoder in space.encoders.items():
        for query in (False, True):
            made = encoder.encode([encoder.prepare(one) for one in segments(kind)], query=query)
            expected = [by_the_library(model, kind, one, query=query) for one in segments(kind)]
            np.testing.assert_allclose(made, np.stack(expected), atol=1e-5)


@pytest.mark.slow
def test_vectors_of_every_kind_are_the_librarys_own() -> None:
    check_like_the_library("gemma")


@pytest.mark.extras
@pytest.mark.parametrize("variant", ["qwen", "clip"])
def test_vectors_of_other_architectures_are_the_librarys_own(variant: str) -> None:
    check_like_the_library(variant)


@pytest.mark.extras
def test_words_that_look_like_an_address_or_stand_for_a_picture_are_words() -> None:
    encoder = opened("gemma").encoders["text"]
    texts = ["<|image|>", "<|audio|> <|video|>", LOOKED_UP, "/etc/passwd.png", "data:image/png;base64,AAAA"]
    made = encoder.encode([encoder.prepare(Segment("text", text)) for text in texts], query=True)
    assert np.isfinite(made).all()
    assert len({row.tobytes() for row in made.round(4)}) == len(texts)


@pytest.mark.extras
def test_a_title_goes_into_the_prompt_of_documents_and_of_no_query() -> None:
    encoder = opened("gemma").encoders["text"]
    plain, titled = (encoder.prepare(Segment("text", "waves", title=title)) for title in (None, "The Sea"))
    documents, queries = encoder.encode([plain, titled]), encoder.encode([plain, titled], query=True)
    assert np.abs(documents[0] - documents[1]).max() > 0.01
    np.testing.assert_allclose(queries[0], queries[1], atol=1e-6)


@pytest.mark.extras
def test_dimensions_are_the_beginning_of_the_whole_vector_made_one_long() -> None:
    whole, cut = opened("gemma").encoders["image"], opened("gemma", ",dimensions=32").encoders["image"]
    prepared = [whole.prepare(one) for one in segments("image")]
    expected = whole.encode(prepared)[:, :32]
    np.testing.assert_allclose(
        cut.encode(prepared), expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5
    )
    assert cut.spec.dim == 32


@pytest.mark.extras
def test_soft_tokens_change_the_vectors_of_pictures_and_the_fingerprint() -> None:
    few, more = opened("gemma"), opened("gemma", ",max_soft_tokens=140")
    prepared = few.encoders["image"].prepare(segments("image")[0])
    assert np.abs(few.encoders["image"].encode([prepared]) - more.encoders["image"].encode([prepared])).max() > 1e-3
    assert few.fingerprint != more.fingerprint


@pytest.mark.extras
def test_words_load_no_other_tower_until_another_kind_comes() -> None:
    space = opened("gemma")
    words, pictures = space.encoders["text"], space.encoders["image"]
    before = words.encode([words.prepare(Segment("text", "a dog"))], query=True)
    shared = words._loaded()  # type: ignore[attr-defined]
    assert shared.of("text")[0].model.vision_tower is None
    assert shared.of("text")[0].model.audio_tower is None
    pictures.encode([pictures.prepare(segments("image")[0])])
    assert shared.of("text")[0].model.vision_tower is not None
    np.testing.assert_allclose(words.encode([words.prepare(Segment("text", "a dog"))], query=True), before, atol=1e-6)


@pytest.mark.extras
def test_without_a_tower_its_weights_are_never_loaded() -> None:
    space = opened("gemma", ",without=audio")
    assert tuple(space.encoders) == ("text", "image", "video")
    pictures = space.encoders["image"]
    prepared = pictures.prepare(segments("image")[0])
    np.testing.assert_allclose(
        pictures.encode([prepared]), opened("gemma").encoders["image"].encode([prepared]), atol=1e-6
    )
    assert pictures._loaded().of("image")[0].model.audio_tower is None  # type: ignore[attr-defined]


@pytest.mark.extras
def test_words_and_a_picture_become_one_input_as_the_library_joins_them() -> None:
    space, model = opened("gemma"), sentence.library_model("gemma")
    words, pictures = space.encoders["text"], space.encoders["image"]
    assert isinstance(words, TextEncoder)
    picture = segments("image")[0]
    parts = {"text": words.prepare(Segment("text", "red")), "image": pictures.prepare(picture)}
    expected = model.encode_query([{"text": "red", "image": Image.fromarray(np.asarray(picture.data))}])
    np.testing.assert_allclose(words.encode_joint(parts), expected, atol=1e-5)


@pytest.mark.extras
def test_a_clip_and_its_sound_become_one_input_as_the_library_joins_them() -> None:
    encoder, model = opened("gemma").encoders["video"], sentence.library_model("gemma")
    sound = np.random.default_rng(8).normal(0, 0.1, 48_000).astype(np.float32)
    silent = segments("video")
    heard = [replace(silent[0], rate=16_000, sound=sound), *silent, replace(silent[1], rate=16_000, sound=sound)]
    model[0].processing_kwargs = {"video": {"do_sample_frames": False}}
    expected = []
    for one in heard:
        frames = np.asarray(one.data)
        told = {
            "fps": len(frames) / 8, "total_num_frames": len(frames), "frames_indices": list(range(len(frames)))
        }  # fmt: skip
        given: dict[str, Any] = {"video": {"array": frames.transpose(0, 3, 1, 2), "video_metadata": told}}
        if one.sound is not None:
            given["audio"] = {"array": one.sound, "sampling_rate": 16_000}
        expected.append(model.encode_document([given], normalize_embeddings=True)[0])
    made = encoder.encode([encoder.prepare(one) for one in heard])
    np.testing.assert_allclose(made, np.stack(expected), atol=1e-5)
    assert np.abs(made[0] - made[1]).max() > 1e-3
    deaf = opened("gemma", ",clip_sound=0").encoders["video"]
    np.testing.assert_allclose(deaf.encode([deaf.prepare(heard[0])]), made[1:2], atol=1e-6)


@pytest.mark.extras
def test_a_model_that_takes_one_kind_at_a_time_joins_none() -> None:
    words: Encoder = opened("clip").encoders["text"]
    assert isinstance(words, TextEncoder)
    assert words.joins == ()
    with pytest.raises(InvalidInput, match="as one input"):
        words.encode_joint({"text": words.prepare(Segment("text", "red")), "image": np.zeros((32, 32, 3), np.uint8)})


def test_fp16_is_refused_where_the_model_gives_no_numbers_in_it(tmp_path: Path) -> None:
    from tests.encoders.test_sentence_folders import FILES

    for name, said in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(said))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InvalidInput, match="NaN in fp16"):
        registry.load_part("spaces", f"st:{tmp_path}")("cpu", "fp16")


@pytest.mark.extras
def test_bf16_gives_nearly_the_same_vectors() -> None:
    for kind, encoder in opened("gemma", precision="bf16").encoders.items():
        prepared = [encoder.prepare(one) for one in segments(kind)]
        expected = opened("gemma").encoders[kind].encode(prepared)
        assert ((encoder.encode(prepared) * expected).sum(1) > 0.97).all(), kind


@pytest.mark.extras
@pytest.mark.parametrize("variant", ["gemma", "qwen"])
def test_positions_are_as_exact_in_bf16_as_in_fp32(variant: str) -> None:
    whole, half = (opened(variant, precision=one).encoders["text"] for one in ("fp32", "bf16"))
    tables, rounded = (dict(one._loaded().of("image").named_buffers()) for one in (whole, half))  # type: ignore[attr-defined]
    turning = [name for name in tables if name.endswith("inv_freq")]
    assert turning
    for name in turning:
        assert rounded[name].dtype == torch.float32
        torch.testing.assert_close(rounded[name], tables[name], rtol=0, atol=0)


@pytest.mark.extras
def test_numbers_that_are_none_are_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    change_weights(folder, lambda state: state["language_model.norm.weight"].fill_(float("nan")))
    encoder = registry.load_part("spaces", f"st:{folder}")("cpu").encoders["text"]
    with pytest.raises(EncodeError, match="NaN") as refused:
        encoder.encode([encoder.prepare(Segment("text", "a"))])
    assert "--precision" in str(refused.value.hint)


@pytest.mark.extras
def test_a_model_is_prepared_from_a_folder_with_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSEARCH_MODELS", str(tmp_path / "models"))
    made = download.prepare("st:tests/gemma", sentence.model_folder("gemma"))
    assert made == tmp_path / "models" / "st--tests--gemma"
    assert (made / "1_Pooling" / "config.json").is_file()
    assert download.prepare("st:tests/gemma,dimensions=32") == made
    space: Space = registry.load_part("spaces", "st:tests/gemma,dimensions=32")("cpu")
    assert (space.name, space.dim) == ("st:tests/gemma,dimensions=32", 32)


def copied(place: Path) -> Path:
    folder = place / "model"
    shutil.copytree(sentence.model_folder("gemma"), folder)
    return folder


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def first(state: dict[str, torch.Tensor], part: str) -> str:
    return next(name for name in sorted(state) if part in name and state[name].ndim == 2)


def widened(state: dict[str, torch.Tensor], part: str) -> None:
    name = first(state, part)
    state[name] = torch.zeros(state[name].shape[0] + 1, state[name].shape[1])


LIES: dict[str, tuple[Callable[[dict[str, torch.Tensor]], object], str]] = {
    "missing": (lambda state: state.pop("language_model.norm.weight"), "is missing"),
    "missing in a tower": (lambda state: state.pop(first(state, "vision_tower")), "is missing"),
    "surplus": (lambda state: state.update(evil=torch.zeros(3)), "evil is too much"),
    "surplus in a tower": (lambda state: state.update({"audio_tower.evil": torch.zeros(3)}), "evil is too much"),
    "another shape": (lambda state: widened(state, "language_model"), "language_model"),
    "another shape in a tower": (lambda state: widened(state, "audio_tower"), "audio_tower"),
}


@pytest.mark.extras
@pytest.mark.parametrize("kind", LIES)
def test_weights_that_are_not_those_of_the_architecture_are_refused(kind: str, tmp_path: Path) -> None:
    change, why = LIES[kind]
    folder = copied(tmp_path)
    change_weights(folder, change)
    with pytest.raises(WeightsError, match=why):
        download.prepare("st:tests/lies", folder)
    if "missing" not in kind or "tower" not in kind:
        encoder = registry.load_part("spaces", f"st:{folder}")("cpu").encoders["text"]
        with pytest.raises(WeightsError, match=why):
            encoder.encode([encoder.prepare(Segment("text", "a"))], query=True)


@pytest.mark.extras
@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        ("model.safetensors", b"\xff" * 64, "is damaged"),
        ("tokenizer.json", b"{}", "can't be loaded"),
        ("config.json", b'{"model_type": "evil"}', "can't be loaded"),
        (
            "1_Pooling/config.json",
            b'{"embedding_dimension": 40, "pooling_mode": "mean"}',
            "gives 48 numbers, not the 40",
        ),
    ],
)
def test_damaged_files_are_refused(name: str, content: bytes, why: str, tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(WeightsError, match=why):
        download.prepare("st:tests/damaged", folder)
