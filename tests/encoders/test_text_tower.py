"""Our own module for CLIP's text towers: open_clip's numbers, on as many tokens as there are, without importing it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from mmsearch.core import registry
from mmsearch.encoders.open_clip.checkpoint import find_open_clip
from mmsearch.encoders.open_clip.text_config import text_config
from mmsearch.encoders.open_clip.text_tower import ClipTextTower
from mmsearch.errors import WeightsError
from mmsearch.types import Segment
from tests import clip

TEXTS = ["a red square", "", "rain", "the dog on the rain " * 60, "a golden disc on a navy box"]


def text_encoder(name: str) -> Any:
    return registry.load_part("spaces", name)("cpu", "fp32").encoders["text"]


def changed(folder: Path, text: Mapping[str, Any] = {}, seed: int = 3, **model: Any) -> Path:
    """A model whose config has these entries beside, with random weights."""
    config = clip.config()
    config["model_cfg"]["text_cfg"].update(text)
    config["model_cfg"].update(model)
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ({}, {}),
        ({}, {"quick_gelu": True}),
        ({"pool_type": "eos", "eos_id": 49407}, {"custom_text": True}),
        ({"pool_type": "last"}, {"custom_text": True}),
        ({"pool_type": "first", "no_causal_mask": True, "proj_bias": True}, {"custom_text": True}),
        ({"norm_kwargs": {"eps": 1e-6}, "act_kwargs": {"approximate": "tanh"}}, {"custom_text": True}),
    ],
)
def test_vectors_are_open_clip_s_own(tmp_path: Path, text: dict[str, Any], model: dict[str, Any]) -> None:
    name = f"local-dir:{changed(tmp_path / 'model', text, **model)}"
    theirs: Any = open_clip.create_model(name).eval()
    encoder = text_encoder(name)
    prepared = [encoder.prepare(Segment("text", words)) for words in TEXTS]
    with torch.no_grad():
        wanted = theirs.encode_text(torch.from_numpy(np.stack(prepared)), normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode(prepared), wanted, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(prepared[:2], query=True), wanted[:2], atol=1e-6)
    assert isinstance(encoder._loaded().module, ClipTextTower)


@pytest.mark.parametrize(
    ("text", "cut"), [({}, True), ({"pool_type": "last"}, False), ({"no_causal_mask": True}, False)]
)
def test_a_causal_tower_is_run_on_as_many_tokens_as_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: dict[str, Any], cut: bool
) -> None:
    encoder = text_encoder(f"local-dir:{changed(tmp_path / 'model', text, custom_text=True)}")
    encoder._loaded()
    sizes, encode = [], ClipTextTower.encode_text

    def noted(self: ClipTextTower, ids: torch.Tensor) -> torch.Tensor:
        sizes.append(ids.shape[1])
        return encode(self, ids)

    monkeypatch.setattr(ClipTextTower, "encode_text", noted)
    encoder.encode([encoder.prepare(Segment("text", words)) for words in ("rain", "rain " * 50)])
    # The two marks at the ends count.
    assert sizes == ([3, 16] if cut else [16])


@pytest.mark.parametrize(
    "change",
    [
        {"ls_init_value": 1.0},
        {"embed_cls": True},
        {"qk_norm": True},
        {"hf_model_name": "a/b"},
        {"mlp_ratio": 3},
        {"something_new": 1},
        {"heads": 5},
        {"norm_kwargs": {"eps": 1e-3}},
    ],
)
def test_a_tower_of_another_kind_is_left_to_open_clip(change: dict[str, Any]) -> None:
    model = clip.config()["model_cfg"]
    assert text_config(model) is not None
    assert text_config({**model, "text_cfg": {**model["text_cfg"], **change}}) is None
    assert text_config({**model, "multimodal_cfg": {}}) is None


def test_another_kind_is_still_run(tmp_path: Path) -> None:
    name = f"local-dir:{changed(tmp_path / 'model', {'ls_init_value': 0.5})}"
    encoder = text_encoder(name)
    prepared = [encoder.prepare(Segment("text", words)) for words in TEXTS]
    with torch.no_grad():
        theirs: Any = open_clip.create_model(name).eval()
        wanted = theirs.encode_text(torch.from_numpy(np.stack(prepared)), normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode(prepared), wanted, atol=1e-6)


@pytest.mark.parametrize("change", ["more", "fewer", "shape"])
def test_weights_of_another_tower_are_refused(tmp_path: Path, change: str) -> None:
    folder = clip.save(tmp_path / "model")
    state = load_file(folder / "open_clip_model.safetensors")
    if change == "more":
        state["transformer.resblocks.2.ln_1.weight"] = torch.ones(32)
    elif change == "fewer":
        del state["transformer.resblocks.1.mlp.c_fc.bias"]
    else:
        state["ln_final.weight"] = torch.ones(33)
    save_file(state, folder / "open_clip_model.safetensors")
    encoder = text_encoder(f"local-dir:{folder}")
    with pytest.raises(WeightsError, match="does not hold the weights"):
        encoder.encode([encoder.prepare(Segment("text", "rain"))])


COLD = """
import sys
from mmsearch.core import registry
from mmsearch.types import Segment
encoder = registry.load_part("spaces", sys.argv[1])("cpu", "fp32").encoders["text"]
encoder.encode([encoder.prepare(Segment("text", "a red square"))], query=True)
heavy = ("torch", "open_clip", "torchvision", "timm", "transformers")
print([name for name in heavy if name in sys.modules])
"""


@pytest.mark.slow
def test_a_query_imports_no_library_of_models() -> None:
    done = subprocess.run([sys.executable, "-c", COLD, clip.space("clip")], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"
    assert find_open_clip(clip.space("clip")).reads_bpe
