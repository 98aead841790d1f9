"""Models are listed and got on purpose, whole or not at all; without a network, from a folder."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmsearch
from mmsearch.core import registry
from mmsearch.core.config import models_folder
from mmsearch.encoders import model_store
from mmsearch.encoders.presets import MODEL_PRESETS
from mmsearch.errors import InvalidInput, UnknownName, WeightsError
from mmsearch.models import download
from mmsearch.models.available import AvailableModel, available_models
from mmsearch.types import Segment
from tests import clip
from tests.conftest import CHECKOUT, Run
from tests.generated import picture

NAME = "hf-hub:someone/model"
WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small model's folder, as the hub has it."""
    made = Path(clip.space("shapes").partition(":")[2])
    return Path(shutil.copytree(made, tmp_path / "source"))


def prepared(source: Path, name: str = NAME) -> Path:
    return download.prepare_model(download.plan_download(name, source))


def left() -> list[str]:
    """What lies in the models folder, but for the lock."""
    place = models_folder()
    return sorted(path.name for path in place.iterdir() if path.name != ".lock") if place.is_dir() else []


def listed(name: str) -> AvailableModel | None:
    return next((model for model in available_models() if model.name == name), None)


@pytest.mark.slow
def test_a_copied_model_is_used_like_its_original(source: Path) -> None:
    (source / "training.log").write_text("not part of the model")
    assert download.prepared_folder(NAME) is None
    folder = prepared(source)
    assert folder == download.prepared_folder(NAME) == models_folder() / "hf-hub--someone--model"
    files = {"open_clip_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in folder.iterdir()} == {*files, "mmsearch.json"}
    recorded = json.loads((folder / "mmsearch.json").read_text())
    assert (recorded["name"], recorded["source"], set(recorded["files"])) == (NAME, str(source), files)
    assert recorded["files"][WEIGHTS] == {
        "sha256": model_store.sha256(source / WEIGHTS),
        "bytes": (source / WEIGHTS).stat().st_size,
    }
    copy, original = (registry.load_part("spaces", name)("cpu", "fp32") for name in (NAME, f"local-dir:{source}"))
    for segment in (Segment("text", "a red dog"), Segment("image", np.full((50, 60, 3), (200, 30, 90), np.uint8))):
        one, other = copy.encoders[segment.modality], original.encoders[segment.modality]
        assert np.array_equal(one.encode([one.prepare(segment)]), other.encode([other.prepare(segment)]))


def test_preparing_follows_links_and_copies_licence_files(source: Path, tmp_path: Path) -> None:
    (source / "README.md").write_text("---\nlicense: other\nlicense_name: cc-by-nc-4.0\n---\n# A model\n")
    links = tmp_path / "snapshot"
    links.mkdir()
    for file in source.iterdir():
        (links / file.name).symlink_to(file)
    folder = prepared(links)
    assert not any(path.is_symlink() for path in folder.iterdir())
    found = listed(NAME)
    assert found is not None and (found.licence, found.non_commercial) == ("cc-by-nc-4.0", True)


def test_the_list_of_models_has_every_preset_and_every_folder(source: Path) -> None:
    found = available_models()
    assert [(m.name, m.dim, m.bytes, m.licence) for m in found] == [
        (p.name, p.dim, p.bytes, p.licence) for p in MODEL_PRESETS
    ]
    assert [m.name for m in found if m.installed] == ["starter", "starter-open"]
    assert [m.name for m in found if m.non_commercial] == ["mobileclip2-s2"]
    prepared(source)
    prepared(source, "open_clip:Small/drawn")
    shutil.copytree(source, models_folder() / "by-hand")
    size = (source / WEIGHTS).stat().st_size
    by_hand = f"local-dir:{models_folder() / 'by-hand'}"
    others = available_models()[len(MODEL_PRESETS) :]
    assert [m.name for m in others] == [by_hand, NAME, "open_clip:Small/drawn"]
    assert {(m.modalities, m.dim, m.bytes, m.installed) for m in others} == {(("text", "image"), clip.DIM, size, True)}


@pytest.mark.parametrize("name", ["starter", "starter-open", "local-dir"])
def test_spaces_that_need_no_preparing_count_as_present(name: str, source: Path) -> None:
    here = download.prepared_folder(f"local-dir:{source}" if name == "local-dir" else name)
    assert here is not None and here.is_dir()


def pickled(source: Path) -> None:
    (source / WEIGHTS).unlink()
    (source / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps(print, protocol=2))


def cut(source: Path) -> None:
    os.truncate(source / WEIGHTS, (source / WEIGHTS).stat().st_size - 1000)


def pointed(source: Path) -> None:
    (source / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 589364\n")


def swapped(source: Path) -> None:
    clip.save(source.parent / "other", "clip")
    shutil.copy(source.parent / "other" / WEIGHTS, source / WEIGHTS)


def unconfigured(source: Path) -> None:
    (source / "open_clip_config.json").unlink()


def wordless(source: Path) -> None:
    (source / "tokenizer.json").unlink()


def dangling(source: Path) -> None:
    (source / WEIGHTS).unlink()
    (source / WEIGHTS).symlink_to("nowhere")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (pickled, "code in it is not run"),
        (cut, "is damaged"),
        (pointed, "Git LFS"),
        (swapped, "does not hold the weights|contradicts itself"),
        (unconfigured, "open_clip_config.json"),
        (wordless, "needs tokenizer.json"),
        (dangling, "holds no weights"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_and_leaves_no_files(
    source: Path, damage: Callable[[Path], None], said: str
) -> None:
    damage(source)
    with pytest.raises(WeightsError, match=said) as caught:
        prepared(source)
    assert caught.value.message.startswith((str(source), "the model", NAME)) and caught.value.hint
    assert left() == [] and download.prepared_folder(NAME) is None


def test_another_model_does_not_pass_for_a_known_one(source: Path) -> None:
    with pytest.raises(WeightsError, match="another model than open_clip:ViT-B-16-SigLIP2/webli: its embed_dim is 32"):
        prepared(source, "siglip2-b-16")
    assert left() == []


def test_a_missing_folder_and_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no folder"):
        download.plan_download(NAME, tmp_path / "missing")
    with pytest.raises(UnknownName):
        download.prepared_folder("nonsense")
    with pytest.raises(InvalidInput, match="names no model"):
        download.prepared_folder("hf-hub:nonsense")


KILLED = """
import os, signal, sys
from pathlib import Path
from mmsearch.models import download
copied = 0
def count(more):
    global copied
    copied += more
    if copied >= int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
download.prepare_model(download.plan_download(sys.argv[1], Path(sys.argv[2])), count)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.slow
@pytest.mark.extras
def test_a_killed_preparation_leaves_no_model_and_is_cleared_by_the_next(source: Path) -> None:
    total = download.plan_download(NAME, source).bytes
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    for moment in (1, total):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, NAME, source, str(moment)], env=environment, capture_output=True, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        assert left() == [".preparing-hf-hub--someone--model"]
        assert download.prepared_folder(NAME) is None and listed(NAME) is None
        with pytest.raises(WeightsError, match="is not on this machine"):
            registry.load_part("spaces", NAME)("cpu", "fp32")
    prepared(source)
    assert left() == ["hf-hub--someone--model"]


def test_an_interrupted_preparation_leaves_no_files(source: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download.prepare_model(download.plan_download(NAME, source), interrupt)
    assert left() == []


def test_a_copy_that_differs_from_its_source_is_refused(source: Path) -> None:
    target = models_folder() / ".preparing-hf-hub--someone--model" / WEIGHTS

    def rot(copied: int) -> None:
        if copied > 100_000:
            with target.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                last = file.read(1)
                file.seek(-1, os.SEEK_END)
                file.write(bytes([last[0] ^ 1]))

    with pytest.raises(WeightsError, match="differs from it"):
        download.prepare_model(download.plan_download(NAME, source), rot)
    assert left() == []


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
from mmsearch.cli import main
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
@pytest.mark.slow
@pytest.mark.extras
def test_a_write_that_fails_midway_says_what_to_do(source: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "prepare", NAME, "--from", source],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, check=False,
    )  # fmt: skip
    said = done.stderr.decode()
    assert done.returncode == 6 and "can't write to" in said and "MMSEARCH_MODELS" in said, said
    assert left() == []


def test_too_little_disk_space_is_refused_before_copying(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(source)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(WeightsError, match="GB free"):
        prepared(source)
    assert left() == []


def test_a_second_preparation_is_refused_while_one_runs(source: Path) -> None:
    said = []

    def meanwhile(_: int) -> None:
        with pytest.raises(WeightsError, match="another process is preparing") as caught:
            prepared(source, "hf-hub:someone/other")
        said.append(caught.value.hint)

    download.prepare_model(download.plan_download(NAME, source), meanwhile)
    assert said and left() == ["hf-hub--someone--model"]


def test_a_prepared_model_that_changed_is_refused(source: Path) -> None:
    weights = prepared(source) / WEIGHTS
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(WeightsError, match="is not as it was") as caught:
        download.prepared_folder(NAME)
    assert caught.value.hint is not None and f"remove the folder {weights.parent}" in caught.value.hint
    weights.write_bytes(good)
    assert download.prepared_folder(NAME) == weights.parent
    weights.write_bytes(good[:-1])
    found = listed(NAME)
    assert found is not None and not found.installed and "is not as it was" in str(found.problem)
    weights.unlink()
    found = listed(NAME)
    assert found is not None and not found.installed and "is missing" in str(found.problem)


@pytest.mark.parametrize("name", ["siglip2-b-16", "hf-hub:timm/ViT-B-16-SigLIP2"])
@pytest.mark.slow
def test_the_prepare_command_offline_names_the_option_from(process: Run, name: str) -> None:
    # A process of its own: huggingface_hub reads the variable once, as it is imported.
    done = process("prepare", name, "--yes")
    said = done.stderr.decode()
    assert done.returncode == 6 and "HF_HUB_OFFLINE is set" in said and "--from FOLDER" in said
    assert not models_folder().exists()


def test_an_app_prepares_and_lists_models_as_the_shell_does(source: Path) -> None:
    counted: list[int] = []
    folder = mmsearch.prepare(NAME, source, counted.append)
    assert folder == models_folder() / "hf-hub--someone--model" == mmsearch.prepare(NAME), "it is here already"
    assert sum(counted) == download.plan_download(NAME, source).bytes
    (found,) = (model for model in mmsearch.available_models() if model.name == NAME)
    assert isinstance(found, mmsearch.AvailableModel) and found.installed and found.folder == folder
    wrong: list[Any] = [None, 5, b"x", "", "no such model"]
    for name in wrong:
        with pytest.raises(InvalidInput):
            mmsearch.prepare(name, source)


@pytest.mark.slow
def test_the_prepare_and_models_commands_list_what_is_present(run: Run, source: Path, folder: Path) -> None:
    done = run("prepare", NAME, "--from", "source")
    assert done.returncode == 0, done.stderr.decode()
    printed = done.stdout.decode()
    assert f"591.5 kB from {source}" in printed and str(models_folder()) in printed
    again = run("prepare", NAME, "--from", "source")
    assert again.returncode == 0 and "is already here" in again.stdout.decode()
    assert b"`connect` joins two" in run("models", "--help").stdout
    rows = [line.split("\t") for line in run("models").stdout.decode().splitlines()]
    assert {row[0]: row[-1] for row in rows} == {
        **{preset.name: "no" for preset in MODEL_PRESETS},
        "starter": "yes",
        "starter-open": "yes",
        NAME: "yes",
    }
    assert [row[0] for row in rows if "NO COMMERCIAL USE" in row[-2]] == ["mobileclip2-s2"]
    assert {row["name"] for row in json.loads(run("models", "--json").stdout)} == {row[0] for row in rows}
    picture(folder / "red.png", "red")
    assert run("ingest", folder, "--space", NAME).returncode == 0
    other = run("ingest", folder, "--space", "starter")
    assert other.returncode == 3 and f"has the model '{NAME}'" in other.stderr.decode()
    with mmsearch.open(folder.parent / "library") as library:
        assert library.status().space == NAME
