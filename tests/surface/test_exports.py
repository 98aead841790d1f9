"""What `mmsearch` offers: all that its functions take, return and raise, and nothing of what lies behind them."""

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import mmsearch
from mmsearch import errors
from tests.conftest import CHECKOUT
from tests.surface.walk import Walk, public_types

LEAST_ANNOTATIONS = 400
"""So that a walk that loses its way is noticed."""


@pytest.fixture(scope="module")
def walk() -> Walk:
    return Walk().everything()


def test_every_type_that_the_public_functions_lead_to_is_exported(walk: Walk) -> None:
    exported = set(public_types().values())
    assert {kind.__name__: place for kind, place in walk.classes.items() if kind not in exported} == {}
    assert walk.annotations >= LEAST_ANNOTATIONS


def test_no_type_of_the_catalog_is_met(walk: Walk) -> None:
    inside = ("mmsearch.catalog", "mmsearch.context", "mmsearch.indexing", "sqlalchemy")
    assert {k.__name__: place for k, place in walk.classes.items() if k.__module__.startswith(inside)} == {}


def test_the_walk_finds_a_type_that_is_not_exported() -> None:
    from mmsearch.catalog import ListKey

    def leaks() -> list[dict[str, tuple[ListKey | None, ...]]]:
        return []

    walk = Walk()
    walk.function(leaks, "leaks")
    assert walk.classes == {ListKey: "leaks(return)"}


def test_every_error_is_exported() -> None:
    tree = {name for name, one in vars(errors).items() if inspect.isclass(one) and issubclass(one, Exception)}
    assert tree <= set(mmsearch.__all__) and "InvalidInput" in tree
    assert mmsearch.errors is errors and all(name in (errors.__doc__ or "") for name in tree)


def test_all_is_sorted_and_what_dir_lists() -> None:
    assert len(set(mmsearch.__all__)) == len(mmsearch.__all__)
    assert set(mmsearch.__all__) <= set(dir(mmsearch))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mmsearch.nonsense  # noqa: B018


EVERY_MODULE = """
import importlib, pkgutil, sys
import mmsearch
names = sorted(one.name for one in pkgutil.walk_packages(mmsearch.__path__, "mmsearch."))
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
wrong = [name for name, home in mmsearch._HOMES.items() if getattr(mmsearch, name) is not mmsearch._located(home)]
print(len(names), wrong)
"""


@pytest.mark.slow
def test_no_module_takes_the_place_of_a_public_name() -> None:
    """A module that is imported becomes an attribute of its package, whatever that was before."""
    done = subprocess.run(
        [sys.executable, "-c", EVERY_MODULE], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    count, _, wrong = done.stdout.strip().partition(" ")
    assert int(count) > 200 and wrong == "[]", done.stderr


def test_no_public_name_is_a_module_s() -> None:
    modules = {one.name for one in pkgutil.iter_modules(mmsearch.__path__)}
    assert modules & set(mmsearch.__all__) == {"errors"}
    assert importlib.import_module("mmsearch.errors") is mmsearch.errors


def hashed(kind: type) -> typing.Iterator[tuple[str, object]]:
    """The fields that count in the hash of a frozen dataclass."""
    annotations = typing.get_type_hints(kind)
    for field in fields(kind):
        if field.hash is not False and field.compare:
            yield field.name, annotations[field.name]


def hashable(annotation: object) -> bool:
    origin, inner = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if origin is typing.Literal:
        return True
    if inspect.isclass(origin) and (issubclass(origin, Mapping) or origin.__hash__ is None):
        return False
    return all(hashable(one) for one in inner if one is not Ellipsis)


@pytest.mark.parametrize("name", sorted(n for n, kind in public_types().items() if is_dataclass(kind)))
def test_frozen_results_can_be_hashed(name: str) -> None:
    kind = public_types()[name]
    parameters: Any = vars(next(one for one in kind.__mro__ if "__dataclass_params__" in vars(one)))[
        "__dataclass_params__"
    ]
    if name == "IngestReport":
        assert not parameters.frozen, "it counts while an ingest runs"
        return
    assert parameters.frozen and kind.__hash__ is not None
    if parameters.eq:
        assert [field for field, annotation in hashed(kind) if not hashable(annotation)] == []


def test_hits_that_are_equal_have_one_place_in_a_set() -> None:
    made = [mmsearch.Hit(1, Path("a.png"), "image", 0.5, metadata={"width": width}) for width in (3, 3, 4)]
    assert len(set(made)) == 2 and hash(made[0]) == hash(made[1])
    assert hash(mmsearch.Settings()) == hash(mmsearch.Settings())


def test_a_library_says_where_it_is_and_how_without_opening_anything(tmp_path: Path) -> None:
    place = tmp_path / "photos"
    library = mmsearch.open(place, space="tests.tiny:space")
    assert repr(library) == f"<mmsearch.Library {os.fspath(place)!r}, not made yet>" and not place.exists()
    (tmp_path / "red.txt").write_text("a red thing")
    library.ingest(tmp_path / "red.txt")
    assert repr(library) == f"<mmsearch.Library {os.fspath(place)!r}, open>"
    library.close()
    assert repr(library) == f"<mmsearch.Library {os.fspath(place)!r}, closed>"


TYPED = """
from pathlib import Path
from typing import Any

from PIL import Image

import mmsearch

library = mmsearch.open("photos", device="cpu", dedup=False, similarity={"image": 0.9}, workers=2, precision="fp16")
hits: list[mmsearch.Hit] = library.search(Path("a.png"), k=3)
hits = library.search(Image.new("RGB", (2, 2)))
hits = library.search(([0.0, 0.5], 16_000))
hits = library.search(0.5 * mmsearch.Query(image=Image.new("RGB", (2, 2)), text="red") - mmsearch.Query("blue"))
states: list[mmsearch.IndexStatus] = library.index.status()
"""

REFUSED = {
    'mmsearch.open("photos", dedupe=True)': "dedupe",
    'mmsearch.open("photos", dedup="off")': '"str"; expected "bool',
    'mmsearch.open("photos", similarity="image=0.9")': "Mapping[str, float]",
    'mmsearch.open("photos", precision="int8")': "int8",
    'mmsearch.open("photos", workers="2")': '"str"; expected "int',
    "mmsearch.Query(image=3)": '"int"; expected "str',
    "library.search(3)": '"int"; expected "str',
    'library.search("red", k="3")': '"str"; expected "int',
    'library.search("red", mode="words")': "words",
}
"""Line -> what mypy says of it."""


@pytest.mark.extras
@pytest.mark.slow
def test_a_type_checker_knows_the_settings_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    from mypy import api

    (tmp_path / "app.py").write_text(TYPED + "\n".join(REFUSED) + "\n")
    options = ["--strict", "--no-error-summary", "--cache-dir", str(CHECKOUT / ".mypy_cache")]
    told, _, _ = api.run([*options, "--config-file", str(CHECKOUT / "pyproject.toml"), str(tmp_path / "app.py")])
    lines = [line for line in told.splitlines() if ": error:" in line]
    first = len(TYPED.splitlines()) + 1
    assert {int(line.split(":")[1]) for line in lines} == set(range(first, first + len(REFUSED))), told
    for number, (line, said) in enumerate(REFUSED.items(), first):
        assert any(f":{number}:" in one and said in one for one in lines), (line, told)
