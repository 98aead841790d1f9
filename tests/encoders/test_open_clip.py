"""open_clip checkpoints: vectors equal to the library's own, and models that lie, are damaged or aren't there."""

import hashlib
import json
import os
import pickle
import shutil
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import ftfy
import numpy as np
import open_clip
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file

from mmsearch.core import registry
from mmsearch.encoders import model_store
from mmsearch.encoders.open_clip.checkpoint import find_open_clip
from mmsearch.encoders.open_clip.model import build_open_clip
from mmsearch.encoders.open_clip.tokens import cutter
from mmsearch.encoders.presets import MODEL_PRESETS
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.types import Segment, Space
from tests import clip
from tests.conftest import CHECKOUT

PHOTOS = sorted((CHECKOUT / "mmsearch" / "resources" / "samples" / "photos").glob("*.jpg"))[:4]
TEXTS = [
    "a red square",
    "",
    "It's the DOG's &amp; rain on_the roof!! 12345",
    "Ein Hahn kräht 🐓, ein Huhn gackert",
    "the dog on " * 60,
    "<end_of_text> ﬁne  \t\n naïve 日本語",
]


def opened(name: str, precision: str = "fp32") -> Space:
    space: Space = registry.load_part("spaces", name)("cpu", precision)
    return space


def picture(path: Path) -> Segment:
    return Segment("image", np.asarray(Image.open(path).convert("RGB")))


def odd_pictures() -> list[Segment]:
    random = np.random.default_rng(2)
    shapes = [(64, 64), (300, 41), (41, 300), (1, 1), (17, 200), (30, 40)]
    return [Segment("image", random.integers(0, 256, (*shape, 3), np.uint8)) for shape in shapes]


@pytest.mark.parametrize("variant", sorted(set(clip.VARIANTS) - {"stiff"}))
@pytest.mark.slow
def test_pixels_and_vectors_are_open_clips_own(variant: str) -> None:
    name = clip.space(variant)
    theirs, _, transform = open_clip.create_model_and_transforms(name)
    encoder: Any = opened(name).encoders["image"]
    for segment in [*map(picture, PHOTOS), *odd_pictures()]:
        wanted = transform(Image.fromarray(segment.data))[None]  # type: ignore[arg-type]
        prepared = encoder.prepare(segment)
        np.testing.assert_allclose(encoder.normalised(torch.tensor(prepared[None])), wanted, atol=1e-5)
        with torch.no_grad():
            vector = theirs.eval().encode_image(wanted, normalize=True)
        np.testing.assert_allclose(encoder.encode([prepared]), vector, atol=1e-5)


@pytest.mark.parametrize("variant", ["clip", "siglip", "mobile"])
@pytest.mark.slow
def test_tokens_and_vectors_of_texts_are_open_clips_own(variant: str) -> None:
    name = clip.space(variant)
    theirs, tokens = open_clip.create_model(name).eval(), open_clip.get_tokenizer(name)(TEXTS)
    encoder = opened(name).encoders["text"]
    prepared = [encoder.prepare(Segment("text", text)) for text in TEXTS]
    np.testing.assert_array_equal(np.stack(prepared), tokens)
    with torch.no_grad():
        np.testing.assert_allclose(encoder.encode(prepared), theirs.encode_text(tokens, normalize=True), atol=1e-5)


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(codec="utf-8", max_codepoint=0x2FFF), max_size=60))
def test_byte_pairs_are_open_clips_own(text: str) -> None:
    # The two libraries' tables disagree about characters that Unicode hasn't assigned yet, which mending a text makes.
    assume(all(unicodedata.category(c) != "Cn" for c in text + ftfy.fix_text(text)))
    np.testing.assert_array_equal(cutter({}, 24, None)(text), simple_tokenizer()([text])[0])


@cache
def simple_tokenizer() -> open_clip.SimpleTokenizer:
    return open_clip.SimpleTokenizer(context_length=24)


@pytest.mark.parametrize("modality", ["text", "image"])
@pytest.mark.parametrize("variant", ["clip", "siglip"])
def test_a_tower_is_loaded_without_the_other(variant: str, modality: str, tmp_path: Path) -> None:
    whole: Any = build_open_clip(find_open_clip(clip.space(variant)))
    whole = whole.to(memory_format=torch.channels_last)
    folder = Path(shutil.copytree(clip.space(variant).partition(":")[2], tmp_path / "model"))
    state = load_file(folder / "open_clip_model.safetensors")
    for name, tensor in state.items():
        if name.startswith("visual.") != (modality == "image"):
            tensor.fill_(torch.nan)
    save_file(state, folder / "open_clip_model.safetensors")
    encoder: Any = opened(f"local-dir:{folder}").encoders[modality]
    segments = odd_pictures() if modality == "image" else [Segment("text", text) for text in TEXTS]
    prepared = [encoder.prepare(segment) for segment in segments]
    stacked = torch.from_numpy(np.stack(prepared))
    with torch.inference_mode():
        vectors = whole.encode_image(encoder.normalised(stacked)) if modality == "image" else whole.encode_text(stacked)
    wanted = torch.nn.functional.normalize(vectors, dim=-1)
    np.testing.assert_allclose(encoder.encode(prepared), wanted.numpy(), atol=1e-6)
    held = {name for name, _ in encoder._loaded().module.named_parameters()}
    names = {name for name in state if name.startswith(encoder.parts) and state[name].is_floating_point()}
    assert held == {name.removeprefix("text.") for name in names}


def test_half_precision_stays_close_and_unit_length() -> None:
    full, half = (opened(clip.space("clip"), precision) for precision in ("fp32", "bf16"))
    for modality, segments in (("image", odd_pictures()), ("text", [Segment("text", text) for text in TEXTS])):
        prepared = [full.encoders[modality].prepare(segment) for segment in segments]
        cosines = (full.encoders[modality].encode(prepared) * half.encoders[modality].encode(prepared)).sum(1)
        assert (cosines > 0.995).all()


def test_the_space_says_what_it_is_made_of() -> None:
    name = clip.space("siglip")
    space = opened(name)
    folder = Path(name.partition(":")[2])
    weights = hashlib.sha256((folder / "open_clip_model.safetensors").read_bytes()).hexdigest()
    tokenizer = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    assert space.encoders["image"].spec.weights == {"open_clip_model.safetensors": weights}
    assert space.encoders["text"].spec.weights["tokenizer.json"] == tokenizer
    assert (space.dim, sorted(space.encoders), space.windowing.image_side) == (clip.DIM, ["image", "text"], 180)
    assert space.windowing.passage_words == 8, "a passage that the model can read to its end"
    assert "squash" in space.encoders["image"].spec.preprocessing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder of a test's own."""
    return Path(shutil.copytree(clip.space("clip").partition(":")[2], tmp_path / "model"))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["preprocess_cfg"].update(resize_mode="squash"),
        lambda config: config["preprocess_cfg"].update(interpolation="bilinear"),
        lambda config: config["preprocess_cfg"].update(mean=[0.5, 0.5, 0.5]),
        lambda config: config["preprocess_cfg"].update(std=[0.5, 0.5, 0.5]),
        lambda config: config["model_cfg"]["vision_cfg"].update(head_width=16),
        lambda config: config["model_cfg"].update(quick_gelu=True),
    ],
    ids=["resize", "filter", "mean", "std", "heads", "activation"],
)
def test_the_fingerprint_covers_the_preprocessing_config(folder: Path, change: Callable[[Any], object]) -> None:
    # open_clip issue 1068: with the same weights, offline, SigLIP2 silently got another model's preprocessing.
    before = opened(f"local-dir:{folder}").fingerprint
    rewrite(folder, change)
    assert opened(f"local-dir:{folder}").fingerprint != before


def test_other_weights_of_the_same_size_and_time_have_another_fingerprint(folder: Path) -> None:
    path = folder / "open_clip_model.safetensors"
    before, status = opened(f"local-dir:{folder}").fingerprint, path.stat()
    assert opened(f"local-dir:{folder}").fingerprint == before
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert opened(f"local-dir:{folder}").fingerprint != before


def test_the_hash_of_a_weight_file_is_cached(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "open_clip_model.safetensors"
    first = model_store.sha256(path)
    assert first == hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("it was hashed again"))
    assert model_store.sha256(path) == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config.pop("preprocess_cfg"), "'preprocess_cfg' is missing"),
        (lambda config: config["preprocess_cfg"].pop("std"), "'std' is missing"),
        (lambda config: config["preprocess_cfg"].update(mean="grey"), "grey"),
        (lambda config: config["preprocess_cfg"].update(resize_mode="melt"), "melt"),
        (lambda config: config["preprocess_cfg"].update(size=224), "64x64"),
        (lambda config: config["model_cfg"].update(embed_dim="many"), "embed_dim"),
        (lambda config: config["model_cfg"].pop("text_cfg"), "'text_cfg' is missing"),
        (lambda config: config["model_cfg"]["vision_cfg"].update(image_size=-3), "image_size"),
        (lambda config: config["model_cfg"]["vision_cfg"].update(timm_model_name="hf-hub:a/b"), "address"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_at_once(
    folder: Path, change: Callable[[Any], object], message: str
) -> None:
    rewrite(folder, change)
    with pytest.raises(WeightsError, match=message):
        opened(f"local-dir:{folder}")


def test_a_config_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "open_clip_config.json").write_text("{")
    with pytest.raises(WeightsError, match="can't be read"):
        opened(f"local-dir:{folder}")


def encode(folder: Path) -> None:
    encoder = opened(f"local-dir:{folder}").encoders["image"]
    encoder.encode([encoder.prepare(odd_pictures()[0])])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # open_clip would stretch the positions for these two, and say nothing.
        (lambda model: model["vision_cfg"].update(image_size=96), "contradicts itself"),
        (lambda model: model["text_cfg"].update(context_length=32), "contradicts itself"),
        (lambda model: model["vision_cfg"].update(layers=3), "does not hold the weights"),
        (lambda model: model.update(embed_dim=48), "does not hold the weights"),
        (lambda model: model["vision_cfg"].update(timm_model_name="test_vit"), "does not hold the weights"),
        (lambda model: model["vision_cfg"].update(timm_model_name="no_such_thing"), "can't be built"),
        (lambda model: model["text_cfg"].update(hf_model_name="a/b"), r"config\.json is not on this machine"),
        (lambda model: model.update(heads=3), "can't be built"),
    ],
)
def test_a_config_that_disagrees_with_the_weights_is_refused(
    folder: Path, change: Callable[[Any], object], message: str
) -> None:
    rewrite(folder, lambda config: change(config["model_cfg"]))
    with pytest.raises(WeightsError, match=message):
        encode(folder)


@pytest.mark.slow
def test_an_image_size_that_the_tower_does_not_take_is_refused(tmp_path: Path) -> None:
    folder = clip.save(tmp_path / "model", "stiff")
    with pytest.raises(WeightsError, match="doesn't take what its config says"):
        encode(folder)


@pytest.mark.parametrize("name", ["hf-hub:a/b", "HF-HUB:a/b", "Local-Dir:/a", "a/b", "hf_hub:a", "a\nb"])
def test_a_tower_named_by_a_url_is_refused(folder: Path, name: str) -> None:
    rewrite(folder, lambda config: config["model_cfg"]["vision_cfg"].update(timm_model_name=name))
    with pytest.raises(WeightsError, match="named by an address"):
        opened(f"local-dir:{folder}")


def test_a_text_tower_whose_config_names_code_is_refused_without_a_prompt(folder: Path) -> None:
    rewrite(folder, lambda config: config["model_cfg"]["text_cfg"].update(hf_model_name="a/b"))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "auto_map": {"AutoConfig": "evil.Config"}}))
    with pytest.raises(WeightsError, match="asks for auto_map"):
        encode(folder)


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_code_in_it_is_not_run(folder: Path, tmp_path: Path) -> None:
    (folder / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": Bomb(tmp_path / "boom")}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(WeightsError, match="code in it is not run") as caught:
        encode(folder)
    assert isinstance(caught.value.__cause__, pickle.UnpicklingError)
    assert not (tmp_path / "boom").exists()


def test_a_pickle_of_weights_alone_works_and_safetensors_are_preferred(folder: Path) -> None:
    state = load_file(folder / "open_clip_model.safetensors")
    expected = opened(f"local-dir:{folder}").encoders["text"].encode([np.arange(16)])
    torch.save({"state_dict": state}, folder / "open_clip_pytorch_model.bin")
    assert find_open_clip(f"local-dir:{folder}").weights().name == "open_clip_model.safetensors"
    (folder / "open_clip_model.safetensors").unlink()
    encoder = opened(f"local-dir:{folder}").encoders["text"]
    assert next(iter(encoder.spec.weights)) == "open_clip_pytorch_model.bin"
    np.testing.assert_allclose(encoder.encode([np.arange(16)]), expected, atol=1e-6)


@pytest.mark.parametrize("kept", [0, 5, 3000, -10])
def test_truncated_weights_are_refused(folder: Path, kept: int) -> None:
    path = folder / "open_clip_model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match="damaged"):
        encode(folder)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 no archive"])
def test_a_file_that_only_looks_like_weights_is_refused(folder: Path, content: bytes) -> None:
    (folder / "open_clip_model.safetensors").unlink()
    (folder / "open_clip_pytorch_model.bin").write_bytes(content)
    with pytest.raises(WeightsError, match=r"no file of weights|holds more than weights"):
        encode(folder)


def test_an_ambiguous_choice_of_weights_is_refused(folder: Path) -> None:
    path = folder / "open_clip_model.safetensors"
    state = load_file(path)
    path.rename(folder / "mine.safetensors")
    assert find_open_clip(f"local-dir:{folder}").weights().name == "mine.safetensors"
    save_file(state, folder / "other.safetensors")
    with pytest.raises(WeightsError, match="no telling which"):
        encode(folder)
    (folder / "mine.safetensors").unlink()
    (folder / "other.safetensors").unlink()
    with pytest.raises(WeightsError, match="no weights"):
        encode(folder)


def test_a_tokenizer_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clip.space("siglip").partition(":")[2], tmp_path / "model"))
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(WeightsError, match="what it pads with"):
        opened(f"local-dir:{folder}").encoders["text"].prepare(Segment("text", "a"))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="damaged"):
        opened(f"local-dir:{folder}").encoders["text"].prepare(Segment("text", "a"))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"needs tokenizer\.json"):
        opened(f"local-dir:{folder}").encoders["text"].prepare(Segment("text", "a"))


@pytest.mark.parametrize("name", ["hf-hub:someone/no-such-model", "open_clip:ViT-B-32/openai", "siglip2-b-16"])
def test_a_missing_model_is_never_downloaded_while_loading(name: str) -> None:
    with pytest.raises(WeightsError, match="not on this machine") as caught:
        opened(name)
    assert caught.value.hint is not None and "mmsearch prepare" in caught.value.hint


@pytest.mark.parametrize("name", ["hf-hub:nobody", "open_clip:ViT-B-32", "open_clip:../x/y", "hf-hub:a/b/c"])
def test_a_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="names no model"):
        opened(name)


def test_a_missing_model_folder_is_named() -> None:
    with pytest.raises(WeightsError, match="no model in /nowhere"):
        opened("local-dir:/nowhere")


def test_a_relative_model_folder_is_made_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert registry.target_of("spaces", "local-dir:model") == f"local-dir:{folder}"


@pytest.mark.parametrize("name", ["hf-hub:someone/model", "open_clip:ViT-Tiny/drawn"])
def test_a_prepared_model_is_found_in_the_models_folder(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSEARCH_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    folder.rename(tmp_path / "models" / name.replace(":", "--").replace("/", "--"))
    assert opened(name).name == name


def test_models_in_the_hugging_face_cache_are_found(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    # As the hub's client lays it out: blobs by hash, snapshots of links, a reference to one of them.
    cache = tmp_path / "hub"
    repository = cache / "models--someone--model"
    for part in ("blobs", "snapshots/abc", "refs"):
        (repository / part).mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    for file in folder.iterdir():
        blob = repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        file.rename(blob)
        (repository / "snapshots" / "abc" / file.name).symlink_to(blob)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    found = opened("hf-hub:someone/model")
    assert found.encoders["text"].encode([np.arange(16)]).shape == (1, clip.DIM)


@pytest.mark.parametrize(
    "preset", [p for p in MODEL_PRESETS if p.target.startswith("open_clip:")], ids=lambda p: p.name
)
def test_the_presets_agree_with_open_clip_s_list(preset: Any) -> None:
    scheme, _, rest = preset.target.partition(":")
    architecture, _, tag = rest.partition("/")
    published, config = open_clip.get_pretrained_cfg(architecture, tag), open_clip.get_model_config(architecture)
    assert scheme == "open_clip"
    assert (preset.dim, f"{preset.repository}/") == (config["embed_dim"], published["hf_hub"])


def test_every_space_in_the_registry_has_a_preset_with_its_licence() -> None:
    assert {preset.name for preset in MODEL_PRESETS} == set(registry.BUILTIN["spaces"])
    assert [preset.name for preset in MODEL_PRESETS if preset.non_commercial] == ["mobileclip2-s2"]
