"""What `pip install mmsearch` and its extras bring is free to use and to pass on: no package under the GPL or the AGPL.

Looked at is what a person gets: the core and the extras of `SHIPPED`, as far as they are installed here, by what their
packages say of themselves. What their wheels hold beside that they often don't say: so every shared library in them is
looked at by its name, and those under the GPL are listed in `BUNDLED`, each with why that is accepted.
"""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mmsearch.resources.chapters import chapter_text

CHECKOUT = Path(__file__).resolve().parents[2]

NOT_SHIPPED = {"test", "bench"}
"""Extras for those who work on mmsearch; all others are looked at."""

COPYLEFT = re.compile(
    r"(?<![A-Za-z])A?GPL|GNU (?:Affero )?General Public|Affero|(?<![A-Za-z])(?:SSPL|BUSL)", re.IGNORECASE
)
"""The GPL and the AGPL, however it is written; not the LGPL, whose name has a letter before it."""

EXCEPTED = re.compile(r"A?GPL-[\w.+-]+ WITH (?:GCC|Classpath)-exception[\w.-]*", re.IGNORECASE)
"""Libraries of compilers, whose users are free."""

GPL_LIBRARIES = re.compile(
    r"^(?:lib)?(x264|x265|xvidcore|rubberband|vidstab|postproc|cdio|dvdread|dvdnav|dvdcss|davs2|xavs2?|fftw3f?|gsl"
    r"|readline|gdbm|poppler|mupdf|gs|aribb24|frei0r|smbclient|magic_gpl|sane)(?=[-._\d]|$)",
    re.IGNORECASE,
)
"""Well-known libraries under the GPL or the AGPL, by the names of their files."""

LIBRARY = re.compile(r"^(?:[^,\n]*/)?([^,/\n]+\.(?:so|dylib|dll|pyd)(?:\.[\d.]+)?),", re.MULTILINE | re.IGNORECASE)
"""The name of a shared library in the list of a package's files."""

BUNDLED = {
    "av": {"x264", "x265"},
    "pillow-heif": {"x265"},
}
"""Package -> the GPL libraries that its own wheel holds, and that the chapter `third_party` names.

Why it is accepted: mmsearch neither ships nor links them. pip gets these wheels from those who made them, for whoever
installs mmsearch; the GPL asks nothing of people who only run a program, and mmsearch's code calls FFmpeg (LGPL) and
libheif (LGPL) to decode, never these encoders. Measured in av 18.1 and pillow-heif 1.8 (readelf -d): libavcodec and
libheif name them among the libraries that they need, so they are loaded with the decoders. PyAV can be built without
(pip install --no-binary av av, over an FFmpeg of one's own), and pi-heif, by the makers of pillow-heif, is the same
without an encoder. Whoever passes these wheels on, in a product, passes on GPL code: the chapter `release` says so.
"""


def closure(name: str, extras: set[str], seen: dict[str, set[str]]) -> None:
    """Collect a package and all that it requires here, each with its extras."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen and extras <= seen[key]:
        return
    seen.setdefault(key, set()).update(extras)
    try:
        requires = distribution(name).requires or []
    except PackageNotFoundError:
        del seen[key]  # of another system, or of an extra that is not installed
        return
    for line in requires:
        asked = Requirement(line)
        if asked.marker is None or any(asked.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            closure(asked.name, set(asked.extras), seen)


def shipped() -> dict[str, Distribution]:
    """The packages that a person gets, by their names."""
    # As the checkout says: what is installed of mmsearch itself may be older.
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [lines for extra, lines in project["optional-dependencies"].items() if extra not in NOT_SHIPPED]
    seen: dict[str, set[str]] = {}
    for asked in map(Requirement, sum(extras, project["dependencies"])):
        if asked.name != "mmsearch" and (asked.marker is None or asked.marker.evaluate()):
            closure(asked.name, set(asked.extras), seen)
    return {name: distribution(name) for name in sorted(seen)}


def said(package: Distribution) -> tuple[str, list[str]]:
    """The licence as an expression or in few words, and the classifiers of it. A whole text in place of a name is left
    out: those name the licences of what was compiled in, too."""
    about = package.metadata
    named = next((one for key in ("License-Expression", "License") for one in about.get_all(key) or []), "")
    classifiers = [one for one in about.get_all("Classifier") or [] if one.startswith("License ::")]
    return ("" if len(named) > 200 or "\n" in named.strip() else named), classifiers


def refused(named: str, classifiers: list[str]) -> bool:
    """Whether that is the GPL or the AGPL, with nothing else to choose.

    Classifiers have no word for "or": several of them may be a choice or a sum, so with any of the GPL it is refused.
    """
    if any(COPYLEFT.search(one) for one in classifiers):
        return True
    choices = re.split(r"\s+OR\s+", EXCEPTED.sub("", named).replace("(", " ").replace(")", " "), flags=re.IGNORECASE)
    return all(COPYLEFT.search(choice) for choice in choices)


def bundled(package: Distribution) -> set[str]:
    """The GPL libraries among a package's files."""
    libraries = LIBRARY.findall(package.read_text("RECORD") or "")
    return {found[1].lower() for name in libraries if (found := GPL_LIBRARIES.match(name))}


def problems(packages: dict[str, Distribution]) -> Iterator[str]:
    """What is wrong, in words."""
    for name, package in packages.items():
        if refused(*said(package)):
            yield f"{name} is under {said(package)}"
        for library in sorted(bundled(package) - BUNDLED.get(name, set())):
            yield f"{name} holds {library}, which is under the GPL"


def test_no_package_is_under_the_gpl_and_no_wheel_holds_more_of_it_than_is_known() -> None:
    packages = shipped()
    assert {"torch", "sqlalchemy", "av", "pillow-heif", "matplotlib", "peft", "python-oxmsg"} <= set(packages)
    assert list(problems(packages)) == []


def test_the_docs_name_every_gpl_library_in_a_wheel() -> None:
    told = chapter_text("third_party")
    for package, libraries in BUNDLED.items():
        (row,) = [line for line in told.splitlines() if line.startswith(f"| `{package}` |")]
        assert "GPL-2.0" in row and all(library in row for library in libraries), row


@pytest.mark.parametrize(
    ("named", "classifiers", "expected"),
    [
        ("GPL-3.0-or-later", [], True),
        ("GPLv3", [], True),
        ("AGPL-3.0-only", [], True),
        ("GNU General Public License v2", [], True),
        ("MIT AND GPL-2.0-only", [], True),
        ("(GPL-2.0-only OR AGPL-3.0-only)", [], True),
        ("", ["License :: OSI Approved :: GNU Affero General Public License v3"], True),
        # odfpy's: a choice, which classifiers can't say.
        (
            "",
            [
                "License :: OSI Approved :: Apache Software License",
                "License :: OSI Approved :: GNU General Public License (GPL)",
            ],
            True,
        ),
        ("LGPL-3.0-or-later", [], False),
        ("", ["License :: OSI Approved :: GNU Lesser General Public License v2 (LGPLv2)"], False),
        ("GPL-2.0-only OR MIT", [], False),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", [], False),
        ("Apache-2.0", [], False),
        ("", [], False),
    ],
)
def test_what_counts_as_the_gpl(named: str, classifiers: list[str], expected: bool) -> None:
    assert refused(named, classifiers) is expected


def test_a_new_dependency_under_the_gpl_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that requires one that requires it, and one whose wheel holds such a library."""
    for name, lines in {
        "first": "License-Expression: MIT\nRequires-Dist: second\nRequires-Dist: third; extra == 'more'",
        "second": "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
        "third": "License: MIT",
    }.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{lines}\n")
        (folder / "RECORD").write_text(f"{name}.libs/libx265-abc.so.216,,\n{name}.libs/libgslcblas.so,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen: dict[str, set[str]] = {}
    closure("first", {"more"}, seen)
    found = list(problems({name: distribution(name) for name in seen}))
    assert [line.split(" ", 1)[0] for line in found] == ["first", "second", "second", "third"]
    assert "second is under" in found[1] and "x265" in found[0]
