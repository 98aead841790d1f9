"""What is released: the metadata, the wheel, the sdist, and what of other people's is in them."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

import pytest

from mmsearch.core.version import VERSION
from tests.conftest import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
THIRD_PARTY = CHECKOUT / "mmsearch" / "resources" / "docs" / "third_party.md"
MOST_BYTES = 100_000_000
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

Built = tuple[Path, Path]
"""The sdist, and the wheel that was built from it."""


def assets() -> list[str]:
    """What the package has beside Python, by path in it. Migrations are put there by the build."""
    package = [path for path in (CHECKOUT / "mmsearch").rglob("*") if path.is_file()]
    found = [path.relative_to(CHECKOUT / "mmsearch").as_posix() for path in package]
    found += [path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "migrations").rglob("*") if path.is_file()]
    return sorted(name for name in found if not name.endswith((".py", ".pyc")))


def credited() -> dict[str, list[str]]:
    """Pattern -> what it is, its licence, its source, of the first table."""
    table = THIRD_PARTY.read_text("utf-8").partition("## In the package")[2].partition("\n\nThere are no fonts")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:3] == "| `"]
    return {row[0].strip("`"): row[1:] for row in rows}


@pytest.mark.slow
def test_every_asset_of_the_package_has_one_row_of_licence_and_source() -> None:
    rows = credited()
    for asset in assets():
        found = [pattern for pattern in rows if fnmatchcase(asset, pattern)]
        assert asset in found or len(found) == 1, f"{asset} in {THIRD_PARTY.name}"
    for pattern, cells in rows.items():
        assert any(fnmatchcase(asset, pattern) for asset in assets()), f"there is no {pattern}"
        assert len(cells) == 3 and cells[0] and cells[1], pattern


def test_weights_and_media_of_others_name_their_source() -> None:
    for pattern, (_, _, source) in credited().items():
        if pattern.endswith(("safetensors", "labels.json", "photos/*", "sounds/*", "videos/*")):
            assert source, pattern


def test_the_licence_of_the_package_covers_that_of_every_asset() -> None:
    named = set(PROJECT["license"].split(" AND "))
    assert named == {"Apache-2.0", "MIT", "CC0-1.0", "CC-BY-2.0", "CC-BY-3.0"}
    for pattern, (_, licence, _) in credited().items():
        spdx = licence.replace("CC BY ", "CC-BY-").replace("CC0 1.0", "CC0-1.0")
        assert any(one in spdx for one in named), pattern


def test_the_version_is_said_once() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["version"])
    others = [*(CHECKOUT / "mmsearch").rglob("*.py"), CHECKOUT / "README.md"]
    for path in others:
        assert f'"{PROJECT["version"]}"' not in path.read_text("utf-8"), path
    assert VERSION in (PROJECT["version"], "0+checkout") or PROJECT["version"] > VERSION, "an older installed one"


def test_a_release_s_tag_is_its_version() -> None:
    command = ["git", "-C", str(CHECKOUT), "tag", "--points-at", "HEAD", "v*"]
    try:
        tags = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    except OSError:
        tags = []  # no git: an sdist has no tags either
    assert tags in ([], [f"v{PROJECT['version']}"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both, as `python -m build` makes them: the wheel from the sdist."""
    for needed in ("build", "hatchling", "hatch_fancy_pypi_readme"):
        if find_spec(needed) is None:
            pytest.skip("the build's own packages are not here")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(CHECKOUT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as file:
        (name,) = (one for one in file.namelist() if one.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(file.read(name))


@pytest.mark.slow
def test_the_wheel_has_all_of_the_package_and_nothing_else(built: Built) -> None:
    _, wheel = built
    assert wheel.name == f"mmsearch-{PROJECT['version']}-py3-none-any.whl" and wheel.stat().st_size <= MOST_BYTES
    with zipfile.ZipFile(wheel) as file:
        found = {name for name in file.namelist() if ".dist-info/" not in name}
    tracked = {f"mmsearch/{path}" for path in (*modules("mmsearch", "mmsearch"), *modules("migrations", ""))}
    assert found == tracked | {f"mmsearch/{asset}" for asset in assets()}


def modules(folder: str, below: str) -> Iterator[str]:
    for path in (CHECKOUT / folder).rglob("*.py"):
        yield path.relative_to(CHECKOUT / below).as_posix()


@pytest.mark.slow
def test_the_sdist_has_the_tests_and_all_that_they_read(built: Built) -> None:
    sdist, _ = built
    assert sdist.stat().st_size <= MOST_BYTES
    with tarfile.open(sdist) as file:
        found = {name.partition("/")[2] for name in file.getnames()}
    for folder in ("tests", "migrations", "mmsearch"):
        here = {path for path in (CHECKOUT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
        assert {path.relative_to(CHECKOUT).as_posix() for path in here} <= found
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "indexes/README.md"} <= found


@pytest.mark.slow
def test_the_metadata_is_complete(built: Built) -> None:
    found = metadata(built[1])
    assert found["Name"] == "mmsearch" and found["Version"] == PROJECT["version"] and found["Summary"]
    assert found["License-Expression"] == PROJECT["license"] and found["Requires-Python"] == ">=3.11"
    assert set(found.get_all("License-File", [])) == set(PROJECT["license-files"])
    assert "Programming Language :: Python :: 3.11" in found.get_all("Classifier", [])
    assert found["Keywords"] and set(found.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])


@pytest.mark.slow
def test_the_long_description_has_the_readme_s_text_and_no_relative_link(built: Built) -> None:
    found = metadata(built[1])
    assert found["Description-Content-Type"] == "text/markdown"
    payload = found.get_payload(decode=True)
    assert isinstance(payload, bytes)
    described, readme = payload.decode("utf-8"), (CHECKOUT / "README.md").read_text("utf-8")
    links = LINK.findall(described)
    assert not [link for link in links if not link.startswith(("https://", "http://", "#"))]
    assert "![" not in described or re.search(r"!\[[^\]]*\]\(https://", described)

    def code(text: str) -> list[str]:
        return re.findall(r"```.*?```", text, re.DOTALL)

    assert code(described) == code(readme), "a substitution met code"
    # But for pictures and the targets of links every word is there.
    assert len(described) > 0.97 * len(LINK.sub("", readme))
