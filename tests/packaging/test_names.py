"""Names: one meaning each, nouns of the field, and a top level that a newcomer can take in."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "mmsearch"

VAGUE = {"read", "load", "space", "find"}
"""Names that say nothing where a function is called by them alone."""

CATCH_ALL = {"utils", "helpers", "common", "manager", "misc", "tools"}

MOST_ENTRIES = 28
"""Files and folders of the package's top level."""


def definitions() -> Iterator[tuple[Path, ast.FunctionDef | ast.ClassDef]]:
    """Every public class and function at the top of a module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield path, node


@pytest.mark.slow
def test_a_public_class_name_has_one_meaning() -> None:
    homes = defaultdict(set)
    for path, node in definitions():
        if isinstance(node, ast.ClassDef):
            homes[node.name].add(path.relative_to(PACKAGE).as_posix())
    assert {name: sorted(places) for name, places in homes.items() if len(places) > 1} == {}


@pytest.mark.slow
def test_a_public_function_says_what_it_reads_loads_or_finds() -> None:
    vague = [f"{path.relative_to(PACKAGE)}:{node.name}" for path, node in definitions() if node.name in VAGUE]
    assert vague == []


def test_no_module_is_a_catch_all() -> None:
    assert [path for path in PACKAGE.rglob("*.py") if path.stem in CATCH_ALL or path.parent.name in CATCH_ALL] == []


def test_the_top_level_has_a_bounded_number_of_entries() -> None:
    entries = [path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= MOST_ENTRIES, sorted(entries)
