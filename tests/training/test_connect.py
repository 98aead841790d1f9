"""Two spaces that only words connect become one, in which all finds all."""

import hashlib
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import mmsearch
from mmsearch.cli import cli
from mmsearch.core import registry, trust
from mmsearch.encoders import connection
from mmsearch.errors import InvalidInput, Untrusted, WeightsError
from mmsearch.training.connection import ConnectionTask, Texts, plain
from mmsearch.training.loop import fit_task
from mmsearch.training.serving.recipe import Recipe
from mmsearch.types import Segment, Space
from tests.halves import heard
from tests.tiny import AXES

SEEN, HEARD, MUTE = "tests.halves:seen", "tests.halves:heard", "tests.halves:mute"
TEXTS = [*AXES, *(f"thing {number}" for number in range(192))]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(autouse=True)
def _kept_there(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSEARCH_MODELS", str(models))
    # Where it is noted that the connection was made here: its members are code.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(models.parent / "config"))


@pytest.fixture(scope="module")
def made(models: Path) -> str:
    """The name of a space that connects the two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSEARCH_MODELS", str(models))
        patch.setenv("XDG_CONFIG_HOME", str(models.parent / "config"))
        return mmsearch.connect(SEEN, HEARD, "both", TEXTS).space


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    for name, colour in (("dark", (0, 0, 0)), ("green", (0, 255, 0))):
        Image.new("RGB", (32, 32), colour).save(folder / f"{name}.png")
    for name, hertz in (("silence", 0.0), ("high", 4000.0)):
        samples = 0.5 * np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes((samples * 32767).astype("<i2").tobytes())
    return folder


def test_pictures_and_sounds_find_each_other(made: str, media: Path, tmp_path: Path) -> None:
    """Both spaces call a black picture and silence "dark"; nothing else ever told the one from the other."""
    with mmsearch.open(tmp_path / "library", space=made) as library:
        report = library.ingest(media)
        assert report.new == 4 and not report.failed
        sound, *_ = library.search(mmsearch.Query(image=media / "dark.png"), modalities=["audio"], k=2)
        assert sound.path.name == "silence.wav"
        picture, *_ = library.search(mmsearch.Query(audio=media / "silence.wav"), modalities=["image"], k=2)
        assert picture.path.name == "dark.png"
        for words, name in (("green", "green.png"), ("high", "high.wav")):
            assert library.search(words, k=1)[0].path.name == name


def test_words_order_a_member_s_items_as_the_member_does(made: str) -> None:
    both, alone = registry.load_part("spaces", made)(), heard()
    tones = [np.sin(2 * np.pi * hertz * np.arange(8000) / 16_000).astype(np.float32) for hertz in (0, 200, 900, 4000)]
    sounds = [Segment("audio", tone, rate=16_000) for tone in tones]

    def scores(space: Space) -> Any:
        words = [Segment("text", text) for text in ("high", "something else")]
        found = [
            space.encoders[kind].encode([space.encoders[kind].prepare(one) for one in some])
            for kind, some in (("text", words), ("audio", sounds))
        ]
        return found[0] @ found[1].T

    np.testing.assert_allclose(scores(both), scores(alone) * 0.5, atol=1e-6)


def test_each_kind_is_cut_as_its_member_wants_it(made: str) -> None:
    windowing = registry.load_part("spaces", made)().windowing
    assert (windowing.audio_window_s, windowing.passage_words) == (2.0, 9)
    assert set(registry.load_part("spaces", made)().encoders) == {"text", "image", "audio"}


def test_learned_again_it_is_the_same(made: str, models: Path) -> None:
    again = mmsearch.connect(SEEN, HEARD, "again", TEXTS)
    first = connection.connection_folder("both") / connection.FILE
    assert (again.path / connection.FILE).read_bytes() == first.read_bytes()


def test_plain_matrices_say_what_the_module_says() -> None:
    import torch
    from torch.nn import functional as F

    rows = np.random.default_rng(0).standard_normal((64, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    module = ConnectionTask(Texts(rows, rows), Texts(rows, rows), 0).maps[0]
    module.train()
    with torch.inference_mode():
        module(torch.from_numpy(rows))  # moves the averages
        expected = F.normalize(module.eval()(torch.from_numpy(rows)), dim=1).numpy()
    np.testing.assert_allclose(plain(module)(rows), expected, atol=1e-6)


def test_words_that_say_nothing_common_don_t_connect() -> None:
    """Leakage check: the texts of the one are those of the other, in another order."""
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((400, 8)).astype(np.float32) for _ in range(2))
    task = ConnectionTask(Texts(a[:200], b[:200]), Texts(a[200:], b[200:]), 0)
    fitted = fit_task(task, Recipe(epochs=10, batch=64, lr=1e-3))
    assert all(epoch.measures["met"] < 0.05 for epoch in fitted.history)


def test_in_the_shell(models: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS), "utf-8")
    arguments = ["connect", SEEN, HEARD, "--name", "shell", "--texts", str(texts), "--json"]
    told = json.loads(CliRunner().invoke(cli, arguments, catch_exceptions=False).output)
    assert told["space"] == "connected:shell" and told["texts"] == len(TEXTS) and told["met"] > 0.3
    listed = json.loads(CliRunner().invoke(cli, ["models", "--json"], catch_exceptions=False).output)
    one = next(model for model in listed if model["name"] == "connected:shell")
    assert one["installed"] and one["dim"] == 8 + 12 + 512 and set(one["modalities"]) == {"text", "image", "audio"}
    assert "already here" in CliRunner().invoke(cli, ["prepare", "connected:shell"], catch_exceptions=False).output


@pytest.mark.parametrize(
    ("spaces", "name", "texts", "said"),
    [
        ((SEEN, SEEN), "x", TEXTS, "same space"),
        ((SEEN, MUTE), "x", TEXTS, "embeds no words"),
        ((SEEN, HEARD), "x", TEXTS[:99], "99 texts are too few"),
        ((SEEN, HEARD), "x", ["the same"] * 500, "1 texts are too few"),
        ((SEEN, HEARD), "../x", TEXTS, "is no name"),
        ((SEEN, HEARD), "both", TEXTS, "already"),
        ((SEEN, "nobody"), "x", TEXTS, "no space named"),
    ],
)
def test_what_can_t_be_connected(
    made: str, models: Path, spaces: tuple[str, str], name: str, texts: list[str], said: str
) -> None:
    before = sorted(path.name for path in models.iterdir())
    with pytest.raises(InvalidInput, match=said):
        mmsearch.connect(*spaces, name, texts)
    assert sorted(path.name for path in models.iterdir()) == before


def test_a_member_that_changed_is_noticed(made: str, models: Path) -> None:
    kept = connection.read_connection(connection.connection_folder("both") / connection.FILE)
    folder = connection.connection_folder("stale")
    folder.mkdir()
    content = connection.dump_connection(kept.members, ("0" * 64, kept.fingerprints[1]), kept.maps)
    (folder / connection.FILE).write_bytes(content)
    with pytest.raises(Untrusted, match="code that only you may name"):
        registry.load_part("spaces", "connected:stale")()
    trust.remember_named([f"sha256:{hashlib.sha256(content).hexdigest()}"])
    with pytest.raises(WeightsError, match="another version of 'seen'"):
        registry.load_part("spaces", "connected:stale")()


def test_a_connection_of_itself_is_refused(models: Path) -> None:
    one = connection.ConnectionMap(*(np.zeros(shape, np.float32) for shape in ((8, 4), (4,), (4, 4), (4,))))
    for name, member in (("ring", "connected:ring"), ("there", "connected:back"), ("back", "connected:there")):
        content = connection.dump_connection((member, "mmsearch.encoders.starter:space"), ("a", "b"), (one, one))
        connection.connection_folder(name).mkdir(parents=True)
        (connection.connection_folder(name) / connection.FILE).write_bytes(content)
    for name in ("ring", "there"):
        with pytest.raises(WeightsError, match=f"connected:{name} is made of itself"):
            registry.load_part("spaces", f"connected:{name}")()


@pytest.mark.parametrize("damage", ["missing", "short", "foreign"])
def test_a_damaged_connection_is_refused(made: str, models: Path, damage: str) -> None:
    content = (connection.connection_folder("both") / connection.FILE).read_bytes()
    folder = connection.connection_folder(f"damaged-{damage}")
    folder.mkdir()
    if damage != "missing":
        written = content[: len(content) // 2] if damage == "short" else b"\x00" * 64
        (folder / connection.FILE).write_bytes(written)
    with pytest.raises(WeightsError, match="no connection can be read"):
        registry.load_part("spaces", f"connected:damaged-{damage}")()
