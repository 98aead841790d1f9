"""CLAP and Perception Encoder audio-video: vectors equal to transformers' own, and folders that lie or are damaged."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from mmsearch.core import registry
from mmsearch.encoders.huggingface.checkpoint import weights_among
from mmsearch.encoders.presets import MODEL_PRESETS
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.types import Segment, Space
from tests import huggingface

TEXTS = ["a red dog", "the rain on the green square", "", "blue " * 60, "Hahn 🐓"]


def opened(name: str, precision: str = "fp32") -> Space:
    space: Space = registry.load_part("spaces", name)("cpu", precision)
    return space


def theirs(variant: str) -> Any:
    """The library's own module, with the weights that `huggingface.space` has."""
    module = huggingface.module(variant)
    path = Path(huggingface.space(variant).partition(":")[2]) / "model.safetensors"
    module.load_state_dict(load_file(path), strict=False)
    return module


def sounds(*seconds: float) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    random = np.random.default_rng(3)
    return [
        np.asarray(
            np.sin(np.arange(int(s * huggingface.RATE)) * 0.1) + random.normal(0, 0.2, int(s * huggingface.RATE)),
            np.float32,
        )
        for s in seconds
    ]


def encoded(space: Space, modality: str, data: list[Any]) -> Any:
    encoder = space.encoders[modality]
    rate = huggingface.RATE if modality == "audio" else None
    return encoder.encode([encoder.prepare(Segment(modality, one, rate=rate)) for one in data])


def tokens(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    from transformers import AutoTokenizer

    cut = AutoTokenizer.from_pretrained(name.partition(":")[2])(
        TEXTS, padding=True, truncation=True, max_length=16, return_tensors="pt"
    )
    return cut["input_ids"], cut["attention_mask"]


@pytest.mark.parametrize("variant", ["clap", "clap-fused"])
@pytest.mark.slow
def test_vectors_of_sounds_are_claps_own(variant: str) -> None:
    waves = sounds(huggingface.SECONDS, 0.3, 0.9, 1.7)
    features = huggingface.extractor(variant)(waves, sampling_rate=huggingface.RATE, return_tensors="pt")
    space, module = opened(huggingface.space(variant)), theirs(variant)
    # Where nothing is longer than a window, the library picks a sound at random and treats it as if it were.
    longer = torch.zeros(len(waves), 1, dtype=torch.bool)
    with torch.no_grad():
        wanted = module.get_audio_features(features["input_features"], is_longer=longer).pooler_output
    prepared = [space.encoders["audio"].prepare(Segment("audio", wave, rate=huggingface.RATE)) for wave in waves]
    np.testing.assert_allclose(np.stack(prepared), features["input_features"][:, 0], atol=2e-4)
    np.testing.assert_allclose(encoded(space, "audio", waves), F.normalize(wanted, dim=-1), atol=1e-5)


@pytest.mark.parametrize("padding", ["repeat", "pad"])
def test_every_padding_of_a_clap_config_matches_transformers(folder: Path, padding: str) -> None:
    from transformers import ClapFeatureExtractor

    rewrite(folder, "preprocessor_config.json", lambda config: config.update(padding=padding))
    wave = sounds(0.7)[0]
    wanted = ClapFeatureExtractor.from_pretrained(folder)(wave, sampling_rate=huggingface.RATE)["input_features"][0]
    prepared = opened(f"local-dir:{folder}").encoders["audio"].prepare(Segment("audio", wave, rate=huggingface.RATE))
    np.testing.assert_allclose(prepared, wanted[0], atol=2e-4)


@pytest.mark.slow
def test_vectors_of_words_are_claps_own() -> None:
    name = huggingface.space("clap")
    ids, mask = tokens(name)
    with torch.no_grad():
        wanted = theirs("clap").get_text_features(ids, mask).pooler_output
    np.testing.assert_allclose(encoded(opened(name), "text", TEXTS), F.normalize(wanted, dim=-1), atol=1e-5)


def test_a_sound_longer_than_a_window_never_loses_a_random_piece() -> None:
    wave = sounds(huggingface.SECONDS * 3)[0]
    extract = huggingface.extractor("clap")
    theirs_differ = [extract(wave, sampling_rate=huggingface.RATE)["input_features"][0] for _ in range(3)]
    assert any(not np.array_equal(theirs_differ[0], other) for other in theirs_differ[1:])
    audio = opened(huggingface.space("clap")).encoders["audio"]
    first, second = (audio.prepare(Segment("audio", wave, rate=huggingface.RATE)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    start = wave[: huggingface.SECONDS * huggingface.RATE]
    np.testing.assert_array_equal(first, audio.prepare(Segment("audio", start, rate=huggingface.RATE)))


@pytest.mark.slow
def test_cosines_between_all_modalities_are_half_of_the_joint_model_s_own() -> None:
    name = huggingface.space("pe")
    space, module, (ids, mask) = opened(name), theirs("pe"), tokens(name)
    waves, random = sounds(1.0, 1.0, 1.0), np.random.default_rng(5)
    pictures = random.integers(0, 256, (3, huggingface.SIDE, huggingface.SIDE, 3), np.uint8)
    frames = huggingface.video_processor()(
        [picture[None].transpose(0, 3, 1, 2) for picture in pictures], return_tensors="pt"
    )
    heard = huggingface.extractor("pe")(waves, sampling_rate=huggingface.RATE, return_tensors="pt")
    with torch.no_grad():
        found = module(
            input_ids=ids[:3], attention_mask=mask[:3], pixel_values_videos=frames["pixel_values_videos"],
            input_values=heard["input_values"], padding_mask=heard["padding_mask"],
        )  # fmt: skip
        own = {
            kind: F.normalize(found[f"{kind}_embeds"], dim=-1)
            for kind in ("audio", "video", "text_audio", "text_video")
        }
    words, seen, sound = (
        encoded(space, modality, data)
        for modality, data in (("text", TEXTS[:3]), ("image", list(pictures)), ("audio", waves))
    )
    for ours, wanted in (
        (words @ sound.T, own["text_audio"] @ own["audio"].T / 2),
        (words @ seen.T, own["text_video"] @ own["video"].T / 2),
        (sound @ seen.T, own["audio"] @ own["video"].T / 2),
        (sound @ sound.T, own["audio"] @ own["audio"].T),
        (seen @ seen.T, own["video"] @ own["video"].T),
    ):
        np.testing.assert_allclose(ours, wanted, atol=1e-5)


def test_pictures_of_any_size_are_prepared_as_by_the_joint_model_s_own_processor() -> None:
    image: Any = opened(huggingface.space("pe")).encoders["image"]
    for number, shape in enumerate([(300, 200), (20, 50), (64, 64), (640, 480)]):
        picture = np.random.default_rng(number).integers(0, 256, (*shape, 3), np.uint8)
        wanted = huggingface.video_processor()([picture[None].transpose(0, 3, 1, 2)], return_tensors="pt")
        prepared = torch.tensor(image.prepare(Segment("image", picture)))[None]
        # The library resizes tensors, Pillow pixels: they round differently by one level of 255, rarely.
        difference = (image.normalised(prepared) - wanted["pixel_values_videos"][0]).abs()
        assert difference.max() <= 2.1 / 127.5 and difference.mean() < 0.3 / 127.5


def test_sounds_are_padded_as_by_the_joint_model_s_own_processor() -> None:
    wave = sounds(0.9)[0][:-5]
    wanted = huggingface.extractor("pe")(wave, sampling_rate=huggingface.RATE, return_tensors="np")["input_values"]
    prepared = opened(huggingface.space("pe")).encoders["audio"].prepare(Segment("audio", wave, rate=huggingface.RATE))
    np.testing.assert_array_equal(prepared, wanted[0][0])


@pytest.mark.parametrize("variant", huggingface.VARIANTS)
@pytest.mark.slow
def test_half_precision_stays_close_and_unit_length(variant: str) -> None:
    full, half = (opened(huggingface.space(variant), precision) for precision in ("fp32", "bf16"))
    for modality, data in (("text", TEXTS), ("audio", sounds(1.0, 0.4))):
        assert ((encoded(full, modality, data) * encoded(half, modality, data)).sum(1) > 0.99).all()


@pytest.mark.parametrize("variant", ["clap", "pe"])
@pytest.mark.slow
def test_a_tower_is_loaded_without_the_others(variant: str, tmp_path: Path) -> None:
    whole = opened(huggingface.space(variant))
    given: dict[str, list[Any]] = {"text": TEXTS, "audio": sounds(1.0), "image": [np.full((9, 9, 3), 80, np.uint8)]}
    for modality, encoder in whole.encoders.items():
        wanted = encoded(whole, modality, given[modality])
        loaded: Any = encoder
        module = loaded._loaded().module
        assert all(name.startswith(loaded.parts) for name, _ in module.named_parameters())
        folder = Path(shutil.copytree(huggingface.space(variant).partition(":")[2], tmp_path / modality))
        state = load_file(folder / "model.safetensors")
        # What serves in two places may be stored under the other's name.
        held = {name for name, _ in module.named_parameters(remove_duplicate=False)}
        for name in set(state) - held - {name for name, _ in module.named_buffers()}:
            state[name].fill_(torch.nan if state[name].is_floating_point() else 0)
        save_file(state, folder / "model.safetensors")
        np.testing.assert_array_equal(encoded(opened(f"local-dir:{folder}"), modality, given[modality]), wanted)


@pytest.mark.parametrize("variant", ["clap", "pe"])
def test_another_sample_rate_is_refused(variant: str) -> None:
    with pytest.raises(InvalidInput, match="16000 Hz, not 8000"):
        opened(huggingface.space(variant)).encoders["audio"].prepare(Segment("audio", sounds(0.1)[0], rate=8000))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A CLAP's folder of a test's own."""
    return Path(shutil.copytree(huggingface.space("clap").partition(":")[2], tmp_path / "model"))


@pytest.fixture
def pe(tmp_path: Path) -> Path:
    """A joint model's folder of a test's own."""
    return Path(shutil.copytree(huggingface.space("pe").partition(":")[2], tmp_path / "pe"))


def rewrite(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / name).read_text())
    change(config)
    (folder / name).write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("preprocessor_config.json", lambda config: config.update(frequency_max=6000)),
        ("preprocessor_config.json", lambda config: config.update(hop_length=200)),
        ("preprocessor_config.json", lambda config: config.update(max_length_s=1)),
        ("preprocessor_config.json", lambda config: config.update(padding="pad")),
        ("config.json", lambda config: config["text_config"].update(num_attention_heads=4)),
        ("config.json", lambda config: config["audio_config"].update(window_size=8)),
    ],
    ids=["band", "hop", "window", "padding", "heads", "attention"],
)
def test_the_fingerprint_covers_the_preprocessing_config(
    folder: Path, name: str, change: Callable[[Any], object]
) -> None:
    before = opened(f"local-dir:{folder}").fingerprint
    rewrite(folder, name, change)
    assert opened(f"local-dir:{folder}").fingerprint != before


def test_the_fingerprint_covers_weights_and_tokenizer_but_not_who_saved_them(folder: Path) -> None:
    before = opened(f"local-dir:{folder}").fingerprint
    rewrite(folder, "config.json", lambda config: config.update(transformers_version="4.30.0", torch_dtype="float32"))
    assert opened(f"local-dir:{folder}").fingerprint == before
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    changed = opened(f"local-dir:{folder}").fingerprint
    assert changed != before
    path.write_bytes(whole)
    rewrite(folder, "tokenizer.json", lambda config: config["model"]["vocab"].update(extra=40))
    assert opened(f"local-dir:{folder}").fingerprint not in (before, changed)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", lambda config: config.update(model_type="bert"), "of the kind 'bert'"),
        ("config.json", lambda config: config.update(projection_dim="many"), "projection_dim"),
        ("config.json", lambda config: config.update(auto_map={"AutoModel": "theirs.py"}), "auto_map"),
        ("config.json", lambda config: config["text_config"].update(attn_implementation="some/kernel"), "attn_impl"),
        ("config.json", lambda config: config.update(quantization_config={"bits": 4}), "quantization_config"),
        ("config.json", lambda config: config["audio_config"].update(num_mel_bins=64), "64 mel bands"),
        ("config.json", lambda config: config["audio_config"].update(enable_fusion=True), "enable_fusion = True"),
        ("preprocessor_config.json", lambda config: config.pop("sampling_rate"), "'sampling_rate' is missing"),
        ("preprocessor_config.json", lambda config: config.update(frequency_max=90_000), "frequencies"),
        ("preprocessor_config.json", lambda config: config.update(padding="melt"), "melt"),
        ("preprocessor_config.json", lambda config: config.update(hop_length=-3), "hop_length"),
    ],
)  # fmt: skip
def test_a_config_that_makes_no_sense_is_refused_at_once(
    folder: Path, name: str, change: Callable[[Any], object], message: str
) -> None:
    rewrite(folder, name, change)
    with pytest.raises(WeightsError, match=message):
        opened(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda vision: vision.update(architecture="hf-hub:someone/model"), "address"),
        (lambda vision: vision["model_args"].update(checkpoint_path="code.pth"), "address"),
        (lambda vision: vision["model_args"].update(pretrained_cfg={"url": "http://"}), "address"),
    ],
)
def test_an_image_tower_is_never_downloaded_while_loading(
    pe: Path, change: Callable[[Any], object], message: str
) -> None:
    rewrite(pe, "config.json", lambda config: change(config["audio_video_config"]["video_config"]["vision_config"]))
    with pytest.raises(WeightsError, match=message):
        opened(f"local-dir:{pe}")


@pytest.mark.parametrize(
    "change", [{"do_center_crop": True}, {"rescale_factor": 1.0}, {"do_normalize": False}, {"resample": 1}]
)
def test_unknown_preprocessing_of_pictures_is_refused(pe: Path, change: dict[str, Any]) -> None:
    rewrite(pe, "processor_config.json", lambda config: config["video_processor"].update(change))
    with pytest.raises(WeightsError, match="can't be used"):
        opened(f"local-dir:{pe}")


def test_an_older_folder_with_one_file_for_each_processor_loads_the_same(pe: Path) -> None:
    before = opened(f"local-dir:{pe}").fingerprint
    parts = json.loads((pe / "processor_config.json").read_text())
    (pe / "processor_config.json").unlink()
    with pytest.raises(WeightsError, match="is missing"):
        opened(f"local-dir:{pe}")
    (pe / "preprocessor_config.json").write_text(json.dumps(parts["feature_extractor"]))
    (pe / "video_preprocessor_config.json").write_text(json.dumps(parts["video_processor"]))
    assert opened(f"local-dir:{pe}").fingerprint == before


def load(folder: Path, modality: str = "text") -> None:
    encoded(opened(f"local-dir:{folder}"), modality, ["a dog"] if modality == "text" else sounds(0.1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config["text_config"].update(num_hidden_layers=1), "is too much"),
        (lambda config: config["text_config"].update(num_hidden_layers=3), "is missing"),
        (lambda config: config["text_config"].update(vocab_size=65), "is .*, not"),
        (lambda config: config.update(projection_dim=48), "is .*, not"),
        (lambda config: config["text_config"].update(hidden_act="loud"), "can't be built"),
    ],
)
def test_a_config_that_disagrees_with_the_weights_is_refused(
    folder: Path, change: Callable[[Any], object], message: str
) -> None:
    rewrite(folder, "config.json", change)
    with pytest.raises(WeightsError, match=message):
        load(folder)


def test_a_text_limit_beyond_the_position_embeddings_is_refused(folder: Path) -> None:
    rewrite(folder, "config.json", lambda config: config["text_config"].pop("max_position_embeddings"))
    rewrite(folder, "tokenizer_config.json", lambda config: config.pop("model_max_length"))
    with pytest.raises(WeightsError, match=r"is \(34, 32\), not \(514, 32\)"):
        load(folder)


@pytest.mark.slow
def test_a_joint_model_with_a_missing_or_an_unknown_tensor_is_refused(pe: Path) -> None:
    path = pe / "model.safetensors"
    state = load_file(path)
    name = "video_model.video_head.proj.weight"
    save_file({key: value for key, value in state.items() if key != name}, path)
    with pytest.raises(WeightsError, match=f"{name} is missing"):
        load(pe)
    save_file({**state, "stranger": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="stranger is too much"):
        load(pe)


@pytest.mark.parametrize("kept", [0, 5, 3000, -10])
def test_truncated_weights_are_refused(folder: Path, kept: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match="damaged"):
        load(folder)


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_is_refused_unread(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"state_dict": Bomb(tmp_path / "boom")}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="only as a pickle") as caught:
        load(folder)
    assert caught.value.hint is not None and "save_pretrained" in caught.value.hint
    assert not (tmp_path / "boom").exists()


def test_sharded_weights_give_the_same_vectors(folder: Path) -> None:
    expected = encoded(opened(f"local-dir:{folder}"), "text", TEXTS)
    path = folder / "model.safetensors"
    state = load_file(path)
    path.unlink()
    names = sorted(state)
    for number, some in enumerate((names[::2], names[1::2]), 1):
        save_file({name: state[name] for name in some}, folder / f"model-0000{number}-of-00002.safetensors")
    space = opened(f"local-dir:{folder}")
    assert len(space.encoders["audio"].spec.weights) == 2
    np.testing.assert_array_equal(encoded(space, "text", TEXTS), expected)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match="1 of the 2 parts"):
        load(folder)


def test_an_ambiguous_choice_of_weights_is_refused() -> None:
    assert weights_among({"other.safetensors", "x.bin"}, "here") == ["other.safetensors"]
    for names in ({"a.safetensors", "b.safetensors"}, {"config.json"}):
        with pytest.raises(WeightsError, match=r"no telling which|no weights"):
            weights_among(names, "here")


def test_a_missing_or_damaged_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"tokenizer\.json is damaged"):
        load(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"no tokenizer\.json"):
        opened(f"local-dir:{folder}")


def test_a_config_that_is_no_object_is_refused(folder: Path) -> None:
    for content in ("{", "[]"):
        (folder / "config.json").write_text(content)
        with pytest.raises(WeightsError, match="can't be read"):
            opened(f"local-dir:{folder}")


@pytest.mark.slow
def test_nothing_is_printed_while_a_joint_model_loads(capsys: pytest.CaptureFixture[str]) -> None:
    load(Path(huggingface.space("pe").partition(":")[2]))
    assert capsys.readouterr() == ("", "")


def test_presets_are_named_by_their_repository() -> None:
    ours = [preset for preset in MODEL_PRESETS if preset.target.startswith("hf-hub:")]
    assert [preset.name for preset in ours] == ["clap-htsat", "clap-general", "pe-av-large"]
    assert all(preset.target == f"hf-hub:{preset.repository}" for preset in ours)
