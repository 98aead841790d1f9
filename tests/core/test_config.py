"""Settings: what they may be, who has a say, and where each is from."""

import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from mmsearch.core import config
from mmsearch.core.config import (
    DOMAINS,
    MACHINE,
    Settings,
    SettingsArguments,
    read_configuration,
    read_settings,
    user_file,
)
from mmsearch.core.value_ranges import as_text
from mmsearch.errors import InvalidInput, UnknownName
from mmsearch.types import Limits
from mmsearch.vectors import presets
from tests.conftest import Run


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests switch off is as nobody set it."""
    monkeypatch.delenv("MMSEARCH_SPEECH")
    monkeypatch.delenv("MMSEARCH_OCR")


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_default_of_every_setting_is_in_its_domain() -> None:
    assert list(DOMAINS) == [f.name for f in fields(Settings)]
    for name, domain in DOMAINS.items():
        default = getattr(Settings(), name)
        assert domain.of(default) == default and domain.parsed(as_text(default)) == default
    assert {f.name for f in fields(Limits)} < MACHINE < set(DOMAINS)


def test_an_editor_is_shown_every_setting_that_may_be_an_argument() -> None:
    assert not SettingsArguments.__total__
    types = get_type_hints(Settings)
    # The models' folder and the speech model are the process's, `warm` is the shell's: `mmsearch.open` refuses.
    refused = {"models", "speech_model", "warm"}
    assert get_type_hints(SettingsArguments) == {name: types[name] | None for name in DOMAINS if name not in refused}


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("dedup = false", "dedup", False),
        ('dedup = "off"', "dedup", False),
        ('fold = "off"', "dedup", False),
        ("fold = true", "dedup", True),
        ("similarity = { image = 0.9, text = 1 }", "similarity", {"image": 0.9, "text": 1.0}),
        ("[similarity]\nimage = 0.9", "similarity", {"image": 0.9}),
        ('similarity = "image=0.9,text=1"', "similarity", {"image": 0.9, "text": 1.0}),
        ('alike = "image=0.9"', "similarity", {"image": 0.9}),
        ('fusion_weights = "image=2, text=0.5"', "fusion_weights", {"image": 2.0, "text": 0.5}),
    ],
)
def test_a_file_may_spell_a_setting_as_version_0_1_did(tmp_path: Path, line: str, name: str, value: Any) -> None:
    written(tmp_path / "mmsearch.toml", line)
    assert getattr(read_settings(tmp_path), name) == value
    assert hash(read_settings(tmp_path)) == hash(read_settings(tmp_path))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("DEDUP", "off", False), ("DEDUP", "True", True), ("DEDUP", "0", False),
        ("SIMILARITY", "image=0.9,text=1", {"image": 0.9, "text": 1.0}),
        ("FUSION_WEIGHTS", "image=2", {"image": 2.0}),
    ],
)  # fmt: skip
def test_a_variable_has_the_type_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any
) -> None:
    monkeypatch.setenv(f"MMSEARCH_{name}", text)
    assert getattr(read_settings(), name.lower()) == value
    monkeypatch.setenv(f"MMSEARCH_{name}", "maybe")
    with pytest.raises(InvalidInput, match=f"setting {name.lower()} can't be 'maybe'"):
        read_settings()


def test_the_values_of_the_index_setting_are_the_index_presets() -> None:
    assert (*presets.NAMES, "numpy", "pgvector") == config.INDEXES


def test_arguments_beat_the_environment_which_beats_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "mmsearch.toml", 'dedup = "off"\nrecall = 0.5\ncommit_s = 2\nfalse_accepts = 0.2\n')
    written(user_file(), "recall = 0.6\ncommit_s = 3\nfalse_accepts = 0.3\nworkers = 2\ndecode_s = 1.5\n")
    monkeypatch.setenv("MMSEARCH_COMMIT_S", "4")
    monkeypatch.setenv("MMSEARCH_FALSE_ACCEPTS", "0.4")
    found = read_configuration(tmp_path, false_accepts=0.5, device=None)
    values = found.settings.dedup, found.settings.recall, found.settings.commit_s, found.settings.false_accepts
    assert values == (False, 0.6, 4.0, 0.5)
    assert (found.settings.workers, found.settings.limits.decode_s, found.settings.device) == (2, 1.5, "auto")
    origins = {name: found.origin(name) for name in ("dedup", "recall", "commit_s", "false_accepts", "device")}
    assert origins == {
        "dedup": "library", "recall": "user", "commit_s": "environment", "false_accepts": "arguments",
        "device": "default",
    }  # fmt: skip


def test_a_library_s_file_cannot_set_what_concerns_the_machine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MMSEARCH_WARM")
    lines = [f"{name} = 1" for name in sorted(MACHINE)]
    written(tmp_path / "mmsearch.toml", "\n".join([*lines, "recall = 0.5"]))
    found = read_configuration(tmp_path)
    assert found.settings == Settings(recall=0.5) and found.ignored == tuple(sorted(MACHINE))
    with caplog.at_level(logging.WARNING, "mmsearch"):
        config.warn_of_ignored(found)
        config.warn_of_ignored(read_configuration(tmp_path))
    (told,) = caplog.messages
    assert "device" in told and str(tmp_path) in told and str(user_file()) in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decode_s", float("inf")), ("decode_s", float("nan")), ("decode_s", 0), ("decode_s", 10**400),
        ("decode_s", True), ("decode_s", "5"), ("pixels", 10**23), ("pixels", 1.5), ("pixels", float("inf")),
        ("pixels", None.__class__),
        ("workers", -1), ("workers", [1]), ("false_accepts", 1), ("false_accepts", 0), ("recall", 1.01),
        ("device", "cuda:-1"), ("device", "cuda:\u0661"), ("device", "__import__('os')"), ("device", 0),
        ("precision", "int8"), ("dedup", "off"), ("dedup", 1), ("fusion_weights", {}), ("fusion_weights", {"": 1}),
        ("similarity", {"image": True}),
        ("similarity", {"image": 2}), ("storage", ""), ("index_device", "GPU"), ("space", "a\0b"),
        ("space", "x" * 5000), ("fusion", "learned:"), ("fusion_weights", "=1"), ("similarity", "image=nan"),
    ],
)  # fmt: skip
def test_senseless_values_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=f"setting {name} can't be ") as caught:
        read_settings(None, **{name: value})
    assert caught.value.hint == DOMAINS[name].known


@pytest.mark.parametrize("line", ["decode_s = inf", "pixels = 1e400", f"memory_bytes = {10**23}", "workers = true"])
def test_the_user_s_own_file_is_checked_too(line: str) -> None:
    written(user_file(), line)
    with pytest.raises(InvalidInput, match=f"setting {line.split()[0]} can't be .*mmsearch.toml"):
        read_settings()


def test_sensible_values_are_accepted() -> None:
    assert read_settings(pixels=2e9).pixels == 2_000_000_000 and read_settings(decode_s=5).decode_s == 5.0
    assert (
        read_settings(device="cuda:12").device == "cuda:12"
        and read_settings(fusion="learned:a.b").fusion == "learned:a.b"
    )


@pytest.mark.parametrize("index", ["faiss", "annoy", "os:system", "tests.tiny:space"])
def test_an_index_that_is_no_name_is_refused(index: str) -> None:
    with pytest.raises(UnknownName, match="setting index"):
        read_settings(index=index)


@pytest.mark.parametrize("value", ["inf", "nan", "1e400", "-1", "1e", "", " ", "True", "0x10", "9" * 5000])
def test_the_environment_is_checked_too(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMSEARCH_WARM")
    for name in ("DECODE_S", "PIXELS"):
        monkeypatch.setenv(f"MMSEARCH_{name}", value)
        if value == "":
            assert read_settings() == Settings(), "not given"
            continue
        if name == "DECODE_S" and value == "9" * 5000:
            continue
        with pytest.raises(InvalidInput, match=f"setting {name.lower()} can't be .* \\(in the environment\\)"):
            read_settings()
        monkeypatch.delenv(f"MMSEARCH_{name}")


@contextmanager
def somebody_else() -> Iterator[None]:
    """Root may read everything, and is nobody meanwhile."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
def test_an_unreadable_settings_file_is_an_error_and_an_unreachable_one_counts_as_absent() -> None:
    user_file()  # loads what it needs
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        file = written(place / "library" / "mmsearch.toml", "recall = 0.5")
        file.chmod(0)
        with somebody_else(), pytest.raises(InvalidInput, match="can't be read: Permission denied"):
            read_settings(file.parent)
        file.chmod(0o644)
        file.parent.chmod(0)
        with somebody_else():
            assert read_settings(file.parent).recall == 0.95
        file.parent.chmod(0o755)


def test_a_settings_path_that_is_too_long_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="can't be read"):
        read_settings(tmp_path / ("x" * 300))


def test_the_models_folder_comes_from_the_environment_or_the_user_s_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.models_folder() == Path(os.environ["XDG_DATA_HOME"]) / "mmsearch" / "models"
    written(user_file(), f"models = {json.dumps(str(tmp_path / 'mine'))}\n")
    assert config.models_folder() == tmp_path / "mine"
    monkeypatch.setenv("MMSEARCH_MODELS", str(tmp_path / "named"))
    assert config.models_folder() == tmp_path / "named" and read_settings().models == str(tmp_path / "named")
    with pytest.raises(InvalidInput, match="cannot be an argument") as caught:
        read_settings(models="elsewhere")
    assert caught.value.hint is not None and "MMSEARCH_MODELS" in caught.value.hint


@pytest.mark.slow
def test_the_config_command_prints_each_value_with_its_source(run: Run, process: Run, tmp_path: Path) -> None:
    written(tmp_path / "library" / "mmsearch.toml", 'device = "cuda"\nrecall = 0.5\n')
    written(user_file(), "batch_size = 7\n")
    done = run("config", "--json")
    told = json.loads(done.stdout)
    assert list(told["settings"]) == list(DOMAINS)
    assert told["settings"]["recall"] == {"value": 0.5, "from": "library"}
    assert told["settings"]["batch_size"] == {"value": 7, "from": "user"}
    assert told["settings"]["workers"] == {"value": 1, "from": "environment"}
    assert told["settings"]["device"] == {"value": "auto", "from": "default"}
    assert told["ignored"] == ["device"]
    assert told["files"] == {"user": str(user_file()), "library": str(tmp_path / "library" / "mmsearch.toml")}
    shown = process("config")
    assert "batch_size\t7\tuser" in shown.stdout.decode().splitlines()
    warnings = [line for line in shown.stderr.decode().splitlines() if "device" in line]
    assert len(warnings) == 1 and warnings[0].startswith("Warning: "), "said once"


def test_clips_are_alike_as_frames_are() -> None:
    assert Settings().similar_segments == {"video": 0.95, "image": 0.95, "audio": 0.999, "text": 0.98}
    assert Settings(similarity={"audio": 0.9}).similar_segments == {"audio": 0.9}
