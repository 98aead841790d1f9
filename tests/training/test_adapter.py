"""`train adapter`: a small CLIP learns other words and colours, its own weights stay, and the result is a space."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from mmsearch.core import registry, trust
from mmsearch.encoders.open_clip.adapter import merge_adapter, read_adapter
from mmsearch.encoders.open_clip.checkpoint import find_open_clip
from mmsearch.encoders.open_clip.model import build_open_clip
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.library import Library
from mmsearch.training.lora import LoraOptions, Towers
from mmsearch.training.results import TrainingResult
from mmsearch.types import Segment, Space
from tests import clip, trained_clip
from tests.conftest import Run

pytestmark = pytest.mark.slow

OpenTiny = Callable[..., Library]

INKS = {"crimson": (150, 10, 60), "emerald": (0, 110, 90), "navy": (20, 20, 100), "golden": (190, 140, 0)}
WORDS = {"disc": "circle", "box": "square", "wedge": "triangle", "sparkle": "star"}
CAPTIONS = tuple(f"the {ink} {word}" for ink in INKS for word in WORDS)
"""Words that the model has never seen, for shapes it knows, in darker colours."""
QUICK: dict[str, Any] = {"epochs": 6, "batch": 16, "lr": 1e-2, "rank": 4, "alpha": 8}


def plain(caption: str) -> str:
    """What `trained_clip.drawn` takes for it."""
    return f"a {caption.split()[1]} {WORDS[caption.split()[2]]}"


def write_pairs(folder: Path, each: int, seed: int) -> Path:
    captions = [caption for caption in CAPTIONS for _ in range(each)]
    paths = trained_clip.draw(folder / f"drawings-{seed}", [plain(caption) for caption in captions], seed, colours=INKS)
    rows = [f"{caption}\t{path}" for caption, path in zip(captions, paths, strict=True)]
    pairs = folder / f"pairs-{seed}.tsv"
    pairs.write_text("\n".join(["query\trelevant", *rows]) + "\n")
    return pairs


def right(space: Space, each: int = 4) -> float:
    """How often a new drawing's nearest caption is its own."""
    segments = [
        Segment("image", trained_clip.drawn(plain(caption), 777_000 + 100 * row + n, INKS))
        for row, caption in enumerate(CAPTIONS)
        for n in range(each)
    ]
    image, text = space.encoders["image"], space.encoders["text"]
    seen = image.encode([image.prepare(segment) for segment in segments])
    words = text.encode([text.prepare(Segment("text", caption)) for caption in CAPTIONS])
    return float(((seen @ words.T).argmax(1) == np.repeat(np.arange(len(CAPTIONS)), each)).mean())


@pytest.fixture
def library(open_tiny: OpenTiny, folder: Path) -> Library:
    """Of the model that knows shapes; small, since adapters don't learn from it."""
    trained_clip.draw(folder, trained_clip.CAPTIONS[:2], seed=1)
    opened = open_tiny(space=trained_clip.space(), workers=1, device="cpu")
    opened.ingest(folder)
    return opened


def trained(library: Library, tmp_path: Path, name: str = "mine", **options: Any) -> TrainingResult:
    pairs, valid = write_pairs(tmp_path, 6, seed=11), write_pairs(tmp_path, 2, seed=12)
    return library.train.adapter(pairs, name, valid=valid, **{**QUICK, **options})


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Threads that wait for each other take longer than such small work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_an_adapter_learns_a_new_domain_and_leaves_the_base_weights_alone(
    library: Library, tmp_path: Path, open_tiny: OpenTiny
) -> None:
    base = registry.load_part("spaces", trained_clip.space())("cpu")
    weights = Path(trained_clip.space().partition(":")[2]) / "open_clip_model.safetensors"
    content, before = weights.read_bytes(), right(base)
    found = trained(library, tmp_path)
    assert weights.read_bytes() == content
    assert found.after["recall"] > found.before["recall"] + 0.1
    assert found.space is not None and found.best_epoch > 0 and not found.unused
    adapted = registry.load_part("spaces", found.space)("cpu")
    assert right(adapted) > before + 0.2
    assert adapted.fingerprint != base.fingerprint
    card = json.loads((found.path / "model.json").read_text())
    assert (card["kind"], card["splits"]) == ("adapter", {"training pairs": 96, "validation pairs": 32})
    with pytest.raises(InvalidInput, match="is an adapter") as caught:
        library.train.apply("mine")
    assert caught.value.hint is not None and found.space in caught.value.hint
    second = open_tiny("second", space=found.space, workers=1, device="cpu")
    assert second.ingest(tmp_path / "drawings-12").new == 32
    for caption in ("the navy disc", "the golden box"):
        hits = second.search(caption, 2, mode="vector")
        rows = [2 * CAPTIONS.index(caption), 2 * CAPTIONS.index(caption) + 1]
        inks = {CAPTIONS[int(hit.path.stem.split("-")[1]) // 2].split()[1] for hit in hits}
        assert inks == {caption.split()[1]}, rows


def test_a_resumed_training_gives_the_same_weights(library: Library, tmp_path: Path) -> None:
    whole = trained(library, tmp_path, "whole", epochs=3)

    class Killed(Exception):
        pass

    def kill(epoch: Any) -> None:
        if epoch.number == 2:
            raise Killed

    with pytest.raises(Killed):
        trained(library, tmp_path, "cut", epochs=3, on_epoch=kill)
    with pytest.raises(InvalidInput, match="a training 'cut' already"):
        trained(library, tmp_path, "cut")
    resumed = library.train.resume("cut")
    assert (resumed.epochs, resumed.after) == (3, whole.after)
    first, second = (load_file(one.path / "adapter_model.safetensors") for one in (whole, resumed))
    assert set(first) == set(second)
    for name, matrix in first.items():
        torch.testing.assert_close(second[name], matrix, atol=1e-6, rtol=0)


def shaken(name: str, folder: Path, **low: Any) -> Towers:
    """A model with random adapters, written to a folder."""
    trust.remember_named([name])  # as where its user opened a library with it
    checkpoint = find_open_clip(name)
    towers = Towers(checkpoint, LoraOptions(**low), seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for key, value in towers.adapted.named_parameters():
            if "lora_B" in key:
                value.copy_(torch.randn(value.shape, generator=generator) * 0.05)
    folder.mkdir()
    towers.write(folder, name, checkpoint.hashes(text=False)[checkpoint.weights().name])
    return towers


def inputs(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    space = registry.load_part("spaces", name)("cpu")
    image, text = space.encoders["image"], space.encoders["text"]
    drawings = [image.prepare(Segment("image", trained_clip.drawn(c, 5))) for c in trained_clip.CAPTIONS[:3]]
    words = [text.prepare(Segment("text", caption)) for caption in trained_clip.CAPTIONS[:3]]
    return torch.from_numpy(np.stack(drawings)), torch.from_numpy(np.stack(words))


@pytest.mark.parametrize("variant", ["clip", "siglip", "mobile", "resnet"])
def test_merged_and_unmerged_adapters_agree_with_peft(variant: str, tmp_path: Path) -> None:
    name = clip.space(variant)
    towers = shaken(name, tmp_path / "adapter")
    pixels, tokens = inputs(name)
    with torch.inference_mode():
        images, texts = towers.images(pixels).numpy(), towers.texts(tokens).numpy()
    space = registry.load_part("spaces", f"adapter:{tmp_path / 'adapter'}")("cpu")
    np.testing.assert_allclose(space.encoders["image"].encode(list(pixels.numpy())), images, atol=1e-5)
    np.testing.assert_allclose(space.encoders["text"].encode(list(tokens.numpy())), texts, atol=1e-5)
    base = registry.load_part("spaces", name)("cpu")
    assert np.abs(base.encoders["text"].encode(list(tokens.numpy())) - texts).max() > 0.01
    with warnings.catch_warnings():
        # It asks for the output layers of attention, which are not adapted, and for a config of transformers.
        warnings.simplefilter("ignore", UserWarning)
        stock: Any = peft.PeftModel.from_pretrained(
            build_open_clip(find_open_clip(name)), str(tmp_path / "adapter")
        ).eval()
    encoder: Any = base.encoders["image"]
    with torch.inference_mode():
        theirs = stock.get_base_model().encode_image(encoder.normalised(pixels), normalize=True)
        np.testing.assert_allclose(theirs, images, atol=1e-5)
        np.testing.assert_allclose(stock.get_base_model().encode_text(tokens, normalize=True), texts, atol=1e-5)


def test_a_new_adapter_changes_nothing_and_training_moves_nothing_else() -> None:
    name = clip.space("clip")
    pixels, tokens = inputs(name)
    towers, untouched = (
        Towers(find_open_clip(name), LoraOptions(checkpointing=True), seed=0),
        build_open_clip(find_open_clip(name)),
    )
    base = registry.load_part("spaces", name)("cpu")
    with torch.inference_mode():
        np.testing.assert_allclose(
            towers.images(pixels), base.encoders["image"].encode(list(pixels.numpy())), atol=1e-5
        )
        np.testing.assert_allclose(towers.texts(tokens), base.encoders["text"].encode(list(tokens.numpy())), atol=1e-5)
    learning = {key for key, value in towers.named_parameters() if value.requires_grad}
    assert learning and all(".lora_" in key for key in learning)
    optimiser = torch.optim.SGD([p for p in towers.parameters() if p.requires_grad], lr=1.0)
    for _ in range(5):
        towers.train()
        (towers.images(pixels) - towers.texts(tokens)).pow(2).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    rest = {
        key.removeprefix("adapted.base_model.model.")
        .replace(".base_layer.", ".")
        .replace(".in_proj.", ".in_proj_"): value
        for key, value in towers.named_parameters()
        if ".lora_" not in key
    }
    for key, value in untouched.named_parameters():
        assert torch.equal(rest[key], value), key


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    pixels, tokens = inputs(clip.space("clip"))
    gradients = []
    for checkpointing in (False, True):
        towers = Towers(find_open_clip(clip.space("clip")), LoraOptions(checkpointing=checkpointing), seed=0)
        (towers.images(pixels) * towers.texts(tokens)).sum().backward()  # type: ignore[no-untyped-call]
        gradients.append([p.grad for p in towers.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 0
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)


def test_one_tower_may_be_left_unadapted() -> None:
    towers = Towers(find_open_clip(clip.space("clip")), LoraOptions(towers=("text",)), seed=0)
    assert all("visual" not in key for key in towers.state_dict())
    with pytest.raises(InvalidInput, match="nothing that can be adapted"):
        Towers(find_open_clip(clip.space("resnet")), LoraOptions(towers=("image",)), seed=0)


def test_an_adapter_of_other_weights_is_refused(tmp_path: Path) -> None:
    model = clip.save(tmp_path / "model", "clip")
    shaken(f"local-dir:{model}", tmp_path / "adapter")
    clip.save(model, "clip", seed=2)
    with pytest.raises(WeightsError, match="trained on other weights"):
        _ = registry.load_part("spaces", f"adapter:{tmp_path / 'adapter'}")("cpu").fingerprint


def test_a_damaged_adapter_is_refused(tmp_path: Path) -> None:
    name, folder = clip.space("clip"), tmp_path / "adapter"
    shaken(name, folder)
    path = folder / "adapter_model.safetensors"
    good, state = path.read_bytes(), load_file(path)
    first = next(key for key in state if key.endswith("lora_B.weight"))
    for wrong, message in (
        ({**state, first: state[first][:-1].contiguous()}, "does not fit"),
        ({key: value for key, value in state.items() if key != first}, "does not fit"),
        ({**state, "more": torch.ones(1)}, "holds more"),
    ):
        save_file(wrong, path)
        with pytest.raises(WeightsError, match=message):
            merge_adapter(build_open_clip(find_open_clip(name)), read_adapter(folder))
    path.write_bytes(good[:-20])
    with pytest.raises(WeightsError, match="damaged"):
        merge_adapter(build_open_clip(find_open_clip(name)), read_adapter(folder))
    config = folder / "adapter_config.json"
    config.write_text(config.read_text().replace('"LORA"', '"IA3"'))
    with pytest.raises(WeightsError, match="of a kind"):
        read_adapter(folder)
    config.write_text("{}")
    with pytest.raises(WeightsError, match="holds no adapter"):
        registry.load_part("spaces", f"adapter:{folder}")("cpu")


def test_the_train_adapter_command_makes_a_space(run: Run, tmp_path: Path, folder: Path) -> None:
    trained_clip.draw(folder, trained_clip.CAPTIONS[:2], seed=1)
    assert run("ingest", folder, "--space", trained_clip.space()).returncode == 0
    quick = ("--epochs", 1, "--batch", 16, "--rank", 2, "--towers", "text", "--loss", "sigmoid", "--lr", 0.001)
    pairs, valid = write_pairs(tmp_path, 2, seed=15), write_pairs(tmp_path, 1, seed=16)
    done = run("train", "adapter", pairs, "--valid", valid, "--name", "words", *quick)
    assert done.returncode == 0, done.stderr.decode()
    space = f"adapter:{tmp_path / 'library' / 'training' / 'words'}"
    assert f"--space {space}" in done.stdout.decode()
    again = run("ingest", folder, "--space", space, "--library", tmp_path / "second")
    assert again.returncode == 0 and again.stdout.startswith(b"Took in 2 new files"), again.stderr.decode()
    listed = json.loads(run("train", "list", "--json").stdout)
    assert [(model["name"], model["kind"]) for model in listed] == [("words", "adapter")]


def test_unusable_pairs_and_settings_of_an_adapter_are_named(
    library: Library, tmp_path: Path, open_tiny: OpenTiny
) -> None:
    pairs = write_pairs(tmp_path, 3, seed=13)
    (tmp_path / "note.txt").write_text("words")
    with pairs.open("a") as file:
        file.write(f"a dog\t{tmp_path / 'note.txt'}\n")
    found = library.train.adapter(pairs, "some", **{**QUICK, "epochs": 1}, valid=write_pairs(tmp_path, 1, seed=14))
    assert ["not a picture" in one.why for one in found.unused] == [True]
    with pytest.raises(InvalidInput, match="unknown training settings: colour"):
        library.train.adapter(pairs, "other", colour="red")
    with pytest.raises(InvalidInput, match="unknown loss"):
        library.train.adapter(pairs, "other", loss="hinge")
    with pytest.raises(InvalidInput, match="rank >= 1"):
        library.train.adapter(pairs, "other", rank=0)
    tiny = open_tiny("tiny", space="tests.tiny:space")
    tiny.ingest(tmp_path / "note.txt")
    with pytest.raises(InvalidInput, match="no towers that can be adapted"):
        tiny.train.adapter(pairs)
