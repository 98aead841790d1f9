"""Folders of models of sentence-transformers that mean harm, or are broken: refused before a library sees them."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from mmsearch.core import registry
from mmsearch.core.config import models_folder
from mmsearch.core.trust import checked_target
from mmsearch.encoders.model_store import folder_name
from mmsearch.encoders.sentence import find_sentence
from mmsearch.encoders.sentence.options import ModelOptions
from mmsearch.errors import InvalidInput, UnknownName, Untrusted, WeightsError
from mmsearch.types import Space, Windowing

PACKAGE = "sentence_transformers"
FORWARD = {"method": "forward", "method_output_name": "last_hidden_state"}
FILES: dict[str, Any] = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": f"{PACKAGE}.base.modules.transformer.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{PACKAGE}.sentence_transformer.modules.pooling.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{PACKAGE}.base.modules.normalize.Normalize"},
    ],
    "config.json": {
        "model_type": "embedding_gemma2",
        "text_config": {"hidden_size": 64, "num_hidden_layers": 6},
        "vision_config": {"hidden_size": 32},
        "audio_config": {"hidden_size": 32},
    },
    "sentence_bert_config.json": {
        "transformer_task": "feature-extraction",
        "modality_config": {kind: FORWARD for kind in ("text", "image", "audio", "video", "message")},
        "module_output_name": "token_embeddings",
    },
    "config_sentence_transformers.json": {
        "model_type": "SentenceTransformer",
        "prompts": {"query": "task: search result | query: ", "document": "title: none | text: "},
    },
    "processor_config.json": {
        "processor_class": "EmbeddingGemma2Processor",
        "image_processor": {"max_soft_tokens": 280, "patch_size": 16, "pooling_kernel_size": 3},
        "feature_extractor": {"sampling_rate": 16000},
        "video_processor": {"fps": 1},
    },
    "1_Pooling/config.json": {"embedding_dimension": 48, "pooling_mode": "mean"},
    "tokenizer.json": {},
    "tokenizer_config.json": {"tokenizer_class": "GemmaTokenizer"},
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection or asks for an address fails."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something asked the network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the library writes, but for the weights: nothing here opens them."""
    made = tmp_path / "model"
    for name, said in FILES.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(json.dumps(said))
    (made / "chat_template.jinja").write_text("{% for one in messages %}{{ one['content'] }}{% endfor %}")
    save_file({"w": np.zeros(2, np.float32)}, made / "model.safetensors")
    return made


def test_the_configs_tell_what_a_model_takes_without_torch(folder: Path) -> None:
    found = find_sentence(f"st-dir:{folder}")
    assert (found.name, found.dim, found.modalities) == ("st-dir:model", 48, ("text", "image", "audio", "video"))
    assert found.joins
    assert found.prompts == {"query": "task: search result | query: ", "document": "title: none | text: "}
    windows = found.windowing
    assert (windows.audio_rate, windows.clip_s, windows.clip_frames) == (16_000, 10.0, 8)
    assert windows.image_side == round(280**0.5 * 48 * 9 / 8)
    assert (windows.clip_sound, windows.shots, windows.min_frames, windows.frames_per_minute) == (True, 1, 1, 6)


def test_clips_come_in_small_batches_since_each_is_as_much_as_eight_pictures(folder: Path) -> None:
    encoders = registry.load_part("spaces", f"st:{folder}")("cpu").encoders
    assert {kind: one.spec.batch_size for kind, one in encoders.items()} == {
        "text": 16, "image": 16, "audio": 16, "video": 4,
    }  # fmt: skip


def test_options_are_part_of_a_space(folder: Path) -> None:
    target = registry.target_of("spaces", f"st:{folder},dimensions=32,max_soft_tokens=70,without=audio")
    found = find_sentence(target)
    assert target == f"st-dir:{folder},dimensions=32,max_soft_tokens=70,without=audio"
    assert found.name == "st-dir:model,dimensions=32,max_soft_tokens=70,without=audio"
    assert (found.dim, found.modalities) == (32, ("text", "image", "video"))
    assert found.windowing.image_side == round(70**0.5 * 48 * 9 / 8)
    prints = set()
    for options in ("", ",dimensions=32", ",max_soft_tokens=70", ",clip_frames=4", ",clip_sound=0", ",without=audio"):
        space: Space = registry.load_part("spaces", f"st:{folder}{options}")("cpu")
        prints.add(space.fingerprint)
    assert len(prints) == 6


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (",dimensions=49", "gives 48 numbers"),
        (",dimensions=1", "tell nothing apart"),
        (",dimensions=x", "is no number"),
        (",max_soft_tokens=100", "max_soft_tokens = 100"),
        (",clip_frames=1", "a clip of 1 frames"),
        (",clip_sound=1", "clip_sound=1"),
        (",clip_sound=0,without=audio", "takes no clips with their sound"),
        (",without=text", "leaves out what no model can"),
        (",colour=red", "has no option"),
        (",dimensions=32,dimensions=32", "it is there twice"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(folder: Path, options: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        find_sentence(f"st-dir:{folder}{options}")


def test_dimensions_are_those_that_the_publishers_trained_for(folder: Path) -> None:
    shutil.copytree(folder, models_folder() / "st--google--embeddinggemma-2")
    assert find_sentence("st:google/embeddinggemma-2").name == "st:google/embeddinggemma-2"
    with pytest.raises(InvalidInput, match="was not trained for vectors of 32 numbers") as refused:
        find_sentence("st:google/embeddinggemma-2,dimensions=32")
    assert refused.value.hint == "dimensions is one of 128, 256, 512, 768"


def test_options_keep_their_order() -> None:
    given = ",without=image+audio,dimensions=128"
    assert str(ModelOptions.parse(given)) == ",dimensions=128,without=audio+image"
    assert str(ModelOptions.parse("")) == ""


def test_names_of_the_family() -> None:
    assert registry.target_of("spaces", "embeddinggemma-2") == "st:google/embeddinggemma-2"
    assert (
        registry.target_of("spaces", "embeddinggemma-2,dimensions=256") == "st:google/embeddinggemma-2,dimensions=256"
    )
    assert registry.target_of("spaces", "st:a/b") == "st:a/b"
    assert registry.target_of("spaces", "st:./a/b,dimensions=64") == f"st-dir:{Path('a/b').absolute()},dimensions=64"
    assert folder_name("st:google/embeddinggemma-2,without=audio") == "st--google--embeddinggemma-2"
    with pytest.raises(UnknownName):
        registry.target_of("spaces", "starter,dimensions=64")
    with pytest.raises(InvalidInput):
        find_sentence("st:a/b c")


def test_a_library_may_not_name_a_folder_by_its_options(tmp_path: Path) -> None:
    library, elsewhere = tmp_path / "library", tmp_path / "elsewhere"
    library.mkdir()
    elsewhere.mkdir()
    (library / "link").symlink_to(elsewhere)
    assert checked_target(f"st-dir:{library / 'x'},dimensions=32", library)
    with pytest.raises(Untrusted):
        checked_target(f"st-dir:{library / 'link'},dimensions=32", library)


def test_windows_that_came_later_leave_older_fingerprints_as_they_are() -> None:
    assert "clip_s" not in Windowing().cut()
    assert Windowing(clip_s=10.0, clip_frames=8).cut()["clip_frames"] == 8


Change = Callable[[Path], None]


def says(name: str, path: str, value: Any) -> Change:
    """Something that a file says, put there."""

    def change(folder: Path) -> None:
        file = folder / name
        said = json.loads(file.read_text())
        place, keys = said, path.split(".")
        for key in keys[:-1]:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        place[int(keys[-1]) if isinstance(place, list) else keys[-1]] = value
        file.write_text(json.dumps(said))

    return change


def module(number: int, key: str, value: Any) -> Change:
    return says("modules.json", f"{number}.{key}", value)


def writes(name: str, text: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


def grows(name: str, size: int) -> Change:
    return lambda folder: os.truncate(folder / name, size)


def links(name: str, to: str) -> Change:
    def change(folder: Path) -> None:
        outside = folder.parent / "outside"
        outside.mkdir()
        shutil.move(folder / name, outside / to)
        (folder / name).symlink_to(outside / to)

    return change


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


BERT, SENTENCE, PROCESSOR = "sentence_bert_config.json", "config_sentence_transformers.json", "processor_config.json"
HOSTILE: dict[str, tuple[Change, str]] = {
    "code for the model": (says("config.json", "auto_map", {"AutoModel": "evil.Model"}), "asks for auto_map"),
    "code for a part": (says("config.json", "text_config.auto_map", {"A": "e.M"}), "asks for auto_map"),
    "code for the tokenizer": (says("tokenizer_config.json", "auto_map", {"A": ["e.T", None]}), "asks for auto_map"),
    "code for the processor": (says(PROCESSOR, "auto_map", {"AutoProcessor": "e.P"}), "asks for auto_map"),
    "a pipeline of its own": (says("config.json", "custom_pipelines", {"x": {"impl": "e.P"}}), "custom_pipelines"),
    "a module of the folder": (module(0, "type", "evil.Transformer"), "code that mmsearch doesn't load"),
    "a module of Python": (module(0, "type", "os.system"), "code that mmsearch doesn't load"),
    "a module of another package": (module(1, "type", "sentence_transformers_evil.Pooling"), "code that mmsearch"),
    "a module that loads others": (module(1, "type", f"{PACKAGE}.base.modules.router.Router"), "code that mmsearch"),
    "a module elsewhere": (module(1, "path", "../outside"), "not in its folder"),
    "a module anywhere": (module(1, "path", "/etc"), "not in its folder"),
    "arguments for a module": (module(0, "kwargs", ["trust_remote_code"]), "arguments of its own"),
    "a function as activation": (says("1_Pooling/config.json", "activation_function", "os.system"), "none of torch's"),
    "weights as a pickle": (pickled, "only as a pickle"),
    "an adapter": (writes("adapter_config.json", '{"base_model_name_or_path": "evil/base"}'), "holds an adapter"),
    "weights that lie elsewhere": (links("model.safetensors", "w"), "leads out of the model's folder"),
    "a config that lies elsewhere": (links("config.json", "c"), "leads out of the model's folder"),
    "an address in the config": (says("config.json", "_name_or_path", "https://evil.example/m"), "nothing is fetched"),
    "an address of a picture": (says(PROCESSOR, "image_processor.mask", "file:///etc/passwd"), "nothing is fetched"),
    "a template that breaks out": (
        writes("chat_template.jinja", "{{ ''.__class__.__mro__[1].__subclasses__() }}"), "asks for the attribute"),
    "a template that goes by names": (
        writes("chat_template.jinja", "{{ messages|attr('\\x5f\\x5fclass\\x5f\\x5f') }}"), "asks for"),
    "a template that includes": (writes("chat_template.jinja", "{% include '/etc/passwd' %}"), "imports another"),
    "a template without end": (
        writes("chat_template.jinja", "{% for j in range(999999999) %}{% endfor %}"),
        "a loop without end"),
    "a template in another file": (
        says("tokenizer_config.json", "chat_template", "{{ x.__init__.__globals__ }}"), "asks for the attribute"),
    "a template that is none": (writes("chat_template.jinja", "{% for %}"), "is none"),
    "a huge tokenizer": (grows("tokenizer.json", 65 * 2**20), "more than any such file needs"),
    "a huge config": (grows("config.json", 9 * 2**20), "more than any such file needs"),
    "arguments for from_pretrained": (says(BERT, "model_args", {"revision": "x"}), "doesn't hand on"),
    "trust in remote code": (says(BERT, "model_args", {"trust_remote_code": True}), "asks for trust_remote_code"),
    "a method that sends": (says(BERT, "modality_config.text.method", "push_to_hub"), "'push_to_hub' called for"),
    "weights in a format of its own": (
        says("config.json", "quantization_config", {"quant_method": "bitsandbytes"}), "asks for quantization_config"),
    "attention from the hub": (says("config.json", "attn_implementation", "evil/kernel"), "code from elsewhere"),
    "a tokenizer class elsewhere": (says("tokenizer_config.json", "tokenizer_class", "evil.py:T"), "names a class"),
    "layers without end": (says("config.json", "text_config.num_hidden_layers", 10**9), "more than any such model"),
    "depth without end": (writes("config.json", "[" * 100_000), "nested too deeply"),
    "no JSON": (writes("config.json", "{"), "can't be read"),
    "another kind of model": (says(SENTENCE, "model_type", "CrossEncoder"), "not a model of single vectors"),
    "another task": (says(BERT, "transformer_task", "text-generation"), "not for single vectors"),
    "prompts that are none": (says(SENTENCE, "prompts", {"query": ["x"]}), "a prompt that is no short text"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
    "no modules": (lambda folder: (folder / "modules.json").unlink(), "modules.json is missing"),
    "vectors of any length": (says("1_Pooling/config.json", "embedding_dimension", -1), "vectors of -1 numbers"),
}  # fmt: skip


def test_there_are_as_many_kinds_as_were_asked_for() -> None:
    assert len(HOSTILE) >= 25


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_folder_is_refused_before_anything_of_it_is_loaded(kind: str, folder: Path) -> None:
    change, why = HOSTILE[kind]
    change(folder)
    with pytest.raises(WeightsError, match=why) as refused:
        find_sentence(f"st-dir:{folder}")
    assert refused.value.hint
