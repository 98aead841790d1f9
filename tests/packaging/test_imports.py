"""Who may import whom, and what a bare import must not load."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "mmsearch"

BASE = {"errors", "types", "findings", "reasons", "rankings", "version", "criteria", "forks", "documents", "domains"}
GROUND = BASE | {"registry", "config", "trust"}
PARTS = {"media", "encoders", "vectors", "catalog"}
STAGES = {"ingest", "search", "hybrid", "labels", "explain", "training", "evaluate"}

PORTABLE = {"portable_values", "portable_told", "portable_files"}

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "findings": set(),
    "version": set(),
    "types": {"errors"},
    # What belongs to one process, for everybody.
    "forks": {"errors"},
    "criteria": {"errors"},
    "reasons": {"types"},
    # What the stages of a search hand on.
    "rankings": {"types"},
    "filters": {"errors", "types", "criteria"},
    "documents": set(),
    "domains": set(),
    "registry": BASE,
    "config": BASE | {"registry"},
    # What data may name.
    "trust": BASE | {"registry", "config"},
    **{name: GROUND for name in PARTS},
    # Keeps vectors in step with the catalog, for the stages.
    "held": GROUND | {"vectors", "catalog"},
    "indexing": GROUND | {"vectors", "catalog", "held"},
    # How unusual a score is, for the stages.
    "calibration": GROUND | {"vectors", "catalog", "indexing"},
    # Structures for large lists, measured with calibration's queries.
    "building": GROUND | PARTS | {"indexing", "calibration"},
    **{name: GROUND | PARTS | {"indexing", "calibration"} for name in STAGES},
    # What is learned is measured as a search is.
    "training": GROUND | PARTS | {"indexing", "calibration", "evaluate", "parts", "bundles"},
    "places": BASE,
    # Has work done in another process.
    "caretaker": BASE | {"config"},
    # What a library is made of, opened when needed.
    "spaces": GROUND | PARTS,
    "parts": GROUND | PARTS | {"spaces", "indexing", "calibration", "building", "caretaker"},
    "index": GROUND | PARTS | {"parts", "building", "caretaker"},
    "bundles": GROUND | PARTS | {"indexing", "calibration", "search"},
    # Bundles by what training made of them.
    "fused": GROUND | PARTS | {"indexing", "calibration", "search", "bundles", "parts", "training"},
    "alike": BASE,
    "fold": GROUND | PARTS | {"alike"},
    "duplicates": GROUND | PARTS | {"indexing", "alike"},
    "moments": GROUND | PARTS | {"indexing", "calibration"},
    # The stages of a search one after the other.
    "results": GROUND
    | PARTS
    | {"indexing", "calibration", "fold", "moments", "explain", "parts", "search", "hybrid", "bundles", "fused"},
    # Names that need no training, and those of a trained head.
    "naming": GROUND | PARTS | {"parts", "labels", "training"},
    "library": GROUND
    | PARTS
    | STAGES
    | {
        "indexing",
        "calibration",
        "filters",
        "places",
        "naming",
        "parts",
        "results",
        "duplicates",
        "status",
        "lifecycle",
        "backup",
        "doctor",
        "upkeep",
        "portable",
        "index",
    },
    "status": GROUND | PARTS | {"parts"},
    "lifecycle": GROUND | PARTS | {"parts", "building", "ingest", "status", "fused"},
    "backup": BASE | PARTS,
    "portable_values": BASE,
    "portable_told": BASE | {"portable_values"},
    "portable_files": GROUND | PARTS | {"portable_values"},
    "portable_check": GROUND | PORTABLE,
    **{
        name: GROUND | PARTS | PORTABLE | {"parts", "portable_check", "portable_models", "training"}
        for name in ("portable", "portable_models")
    },
    "upkeep": GROUND | PARTS | {"parts", "places"},
    "doctor": GROUND | PARTS | {"parts"},
    # No library is needed to look at models and to get one.
    "models": GROUND | {"encoders"},
    "preparation": GROUND | {"encoders", "vectors", "places"},
    # The command line and the server see the library and nothing behind it; "" is mmsearch itself.
    **{name: GROUND | {"library", "models", "preparation", ""} for name in ("cli", "server")},
    "__main__": {"cli"},
    "": BASE | {"library", "ingest", "status", "upkeep", "training"},
}
"""Part of the package -> the other parts it may import."""

OWNERS: dict[str, set[str]] = {
    **{name: {"encoders", "training"} for name in ("torch", "open_clip", "timm", "transformers")},
    **{name: {"encoders"} for name in ("torchaudio", "tokenizers")},
    **{name: {"media"} for name in ("PIL", "pillow_heif", "av", "pypdfium2")},
    "peft": {"training"},
    "huggingface_hub": {"encoders"},
    "faiss": {"vectors"},
    **{name: {"catalog"} for name in ("sqlalchemy", "alembic")},
    **{name: {"cli"} for name in ("click", "rich")},
    "fastapi": {"server"},
    "lark": {"filters"},
    "matplotlib": {"evaluate", "training"},
}
"""Heavy library -> the parts that may import it."""

LAZY = {("encoders", "PIL")}
"""Exceptions: allowed inside a function only. Resizing is part of an image encoder's preprocessing."""

REPORTING = ("building", "ingest", "evaluate", "duplicates", "training", "lifecycle")
TYPE_ONLY = {(reader, stage) for reader in ("cli", "server") for stage in REPORTING}
"""Exceptions: allowed under `if TYPE_CHECKING` only. The reports that the library hands on are theirs."""


def part_of(module: str) -> str:
    """ "mmsearch.media.image" -> "media"; "mmsearch" -> ""."""
    return module.removeprefix("mmsearch").removeprefix(".").split(".")[0]


def imports(tree: ast.AST, package: str) -> Iterator[tuple[ast.AST, str]]:
    """Every import of a module in `package`, absolute and dotted; of import_module calls the literal ones."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            # "from mmsearch import registry" may name a module or an attribute: both are looked at.
            yield from ((node, f"{source}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield node, str(node.args[0].value)


def inside(tree: ast.AST, wanted: Callable[[ast.AST], bool]) -> set[int]:
    """The ids of all nodes within the nodes wanted."""
    return {id(node) for outer in ast.walk(tree) if wanted(outer) for node in ast.walk(outer)}


def violations(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of one module, in words."""
    tree, part = ast.parse(source), part_of(module)
    if part not in ALLOWED:
        return [f"{module}: part {part!r} has no place in the order of imports; give it one in this test"]
    lazy = inside(tree, lambda node: isinstance(node, ast.FunctionDef))
    type_only = inside(tree, lambda node: isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    wrong = []
    for node, name in imports(tree, module if is_package else module.rpartition(".")[0]):
        top = name.split(".")[0]
        if top == "mmsearch":
            other = part_of(name) if part_of(name) in ALLOWED else ""
            excepted = (part, other) in TYPE_ONLY and id(node) in type_only
            if other != part and other not in ALLOWED[part] and not excepted:
                wrong.append(f"{module} imports {name}")
        elif part not in OWNERS.get(top, {part}) and not ((part, top) in LAZY and id(node) in lazy):
            wrong.append(f"{module} imports {top}, which belongs to {', '.join(sorted(OWNERS[top]))}")
    return wrong


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        names = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(names[:-1] if names[-1] == "__init__" else names), path


@pytest.mark.parametrize(("module", "path"), [pytest.param(*pair, id=pair[0]) for pair in modules()])
def test_imports_point_downwards_and_heavy_libraries_have_one_owner(module: str, path: Path) -> None:
    assert violations(module, path.read_text("utf-8"), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("mmsearch.types", "from mmsearch.core.config import settings"),
        ("mmsearch.core.registry", "import mmsearch.media.image"),
        ("mmsearch.media.image", "from mmsearch.encoders import weights"),
        ("mmsearch.media.image", "from mmsearch import encoders"),
        ("mmsearch.media.image", "from ..vectors import read"),
        ("mmsearch.media.image", "from .. import catalog"),
        ("mmsearch.encoders.lazy", "def f():\n    from mmsearch.catalog.store import Store"),
        ("mmsearch.vectors.file", "from importlib import import_module\nimport_module('mmsearch.catalog')"),
        ("mmsearch.catalog.store", "from mmsearch.ingest import ingest"),
        ("mmsearch.search.vector", "from mmsearch.ingest import ingest"),
        ("mmsearch.ingest", "import mmsearch"),
        ("mmsearch.ingest", "from mmsearch import open"),
        ("mmsearch.library", "from mmsearch.cli import main"),
        ("mmsearch.cli.query", "from mmsearch.search.vector import search"),
        ("mmsearch.cli.query", "from .. import catalog"),
        ("mmsearch.cli.query", "from mmsearch.ingest import IngestReport"),
        ("mmsearch.indexing.lists", "from mmsearch.encoders import lazy"),
        ("mmsearch.new", "import os"),
        ("mmsearch.search.vector", "import faiss"),
        ("mmsearch.media.image", "import torch.nn"),
        ("mmsearch.library", "from sqlalchemy.orm import Session"),
        ("mmsearch.library", "if TYPE_CHECKING:\n    import rich.table"),
        ("mmsearch.encoders.starter.image", "from PIL import Image"),
        ("mmsearch.vectors.flat", "def f():\n    from PIL import Image"),
    ],
)
def test_the_checker_sees_a_violation(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "mmsearch.media.image",
            "from mmsearch.media.pixels import reduce\nfrom . import sniff\nfrom PIL import Image",
        ),
        ("mmsearch.media.image", "from ..errors import Corrupt\nfrom mmsearch import registry\nimport numpy"),
        ("mmsearch.encoders.starter.image", "def f():\n    from PIL import Image"),
        ("mmsearch.library", "from mmsearch import ingest, search, vectors"),
        ("mmsearch.cli.query", "import click\nif TYPE_CHECKING:\n    from mmsearch.ingest import IngestReport"),
        ("mmsearch.cli.query", "def f():\n    import mmsearch\n    from mmsearch.library import Library"),
    ],
)
def test_the_checker_lets_pass_what_is_right(module: str, source: str) -> None:
    assert violations(module, source) == []


HEAVY = ["torch", "torchaudio", "open_clip", "timm", "transformers", "tokenizers", "faiss", "sqlalchemy", "alembic"]
HEAVY += ["PIL", "av", "pypdfium2"]
HELP = """
import sys
sys.argv = ["mmsearch", "--help"]
from mmsearch.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        ("import mmsearch", [*HEAVY, "click", "rich"]),
        ("import mmsearch.vectors, mmsearch.core.registry, mmsearch.core.config", [*HEAVY, "click", "rich"]),
        (HELP, HEAVY),
    ],
    ids=["import mmsearch", "import mmsearch.vectors", "mmsearch --help"],
)
def test_what_is_not_used_is_not_loaded(program: str, unwanted: list[str]) -> None:
    report = f"\nimport sys\nprint('loaded:', *sorted(set(sys.modules) & set({unwanted!r})))"
    done = subprocess.run(
        [sys.executable, "-c", program + report], cwd=PACKAGE.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"
