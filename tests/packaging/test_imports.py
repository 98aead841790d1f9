"""Who may import whom, and what a bare import must not load."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "mmsearch"

STANDS_ON: dict[str, str] = {
    "errors": "",
    "types.contracts": "",
    "types": "errors types.contracts",
    "core": "types",
    # What contents prove of each other: numpy alone.
    "media.sameness": "types",
    # Samples and docs.
    "resources": "",
    # Asks a process that is warm already: built-in modules alone, since nothing else loads in time.
    "warm": "",
    "core.filters": "types",
    # Four that never import each other.
    "media": "core media.sameness",
    "encoders": "core",
    "vectors": "core",
    "catalog": "core core.filters",
    "ingest": "media catalog",
    "calibration": "catalog",
    "indexing": "calibration vectors",
    "context": "indexing media encoders",
    # Words of sounds and pictures; its workers stand on media alone.
    "extract": "context ingest",
    # What serves of a trained model: a search goes no further into training.
    "training.serving": "context",
    "search": "training.serving",
    "labels": "training.serving",
    "maintenance": "training.serving ingest extract warm",
    "evaluate": "search",
    "training": "evaluate",
    "training.starter": "training",
    "models": "maintenance search ingest",
    "library": "models labels training",
    # Suites of tests for those who write parts.
    "testing": "library",
    # The package itself: what `import mmsearch` offers.
    "": "library",
    # A server, what stands in other programs and the shell see the library, models, filters, the docs, nothing behind.
    "serve": "",
    "integrations": "serve",
    "cli": "serve integrations",
    "__main__": "cli warm",
}
"""Room -> the rooms that it stands on: it may import these, and whatever they stand on."""

SEEN_FROM_OUTSIDE = {"", "library", "models", "core.filters", "core", "types", "errors", "resources", "warm"}
"""Of the package, by what stands around it."""


def allowed(room: str) -> set[str]:
    """Every room that a room may import."""
    if room in ("serve", "integrations", "cli"):
        return SEEN_FROM_OUTSIDE | set(STANDS_ON[room].split())
    below = set(STANDS_ON[room].split()) if room != "" else {"library"}
    return below.union(*(allowed(other) for other in below)) - {room}


OWNERS: dict[str, set[str]] = {
    **{name: {"encoders", "training"} for name in ("torch", "open_clip", "timm", "transformers")},
    **{name: {"encoders"} for name in ("torchaudio", "tokenizers", "sentence_transformers", "jinja2")},
    **{name: {"media"} for name in ("PIL", "pillow_heif", "av", "pypdfium2", "oxmsg", "olefile", "rawpy")},
    **{name: {"extract"} for name in ("faster_whisper", "ctranslate2", "rapidocr", "onnxruntime")},
    "peft": {"training"},
    "huggingface_hub": {"encoders"},
    "faiss": {"vectors"},
    **{name: {"catalog"} for name in ("sqlalchemy", "alembic", "psycopg")},
    **{name: {"cli"} for name in ("click", "rich")},
    **{name: {"serve"} for name in ("fastapi", "starlette", "uvicorn", "anyio", "prometheus_client")},
    # It describes the arguments of tools.
    "pydantic": {"serve", "integrations"},
    **{name: {"integrations"} for name in ("mcp", "langchain_core", "llama_index", "llm", "datasets")},
    "lark": {"core.filters"},
    "pathspec": {"ingest"},
    "watchfiles": {"ingest"},
    "matplotlib": {"evaluate", "training"},
    **{name: {"testing"} for name in ("pytest", "hypothesis")},
}
"""Heavy library -> the rooms that may import it."""

LAZY = {("encoders", "PIL")}
"""Exceptions: allowed inside a function only. Resizing is part of an image encoder's preprocessing."""

TYPE_ONLY = {"cli"}
"""Rooms that may name any type under `if TYPE_CHECKING`: the reports that the library hands on are the stages' own."""


def room_of(module: str) -> str:
    """ "mmsearch.media.image" -> "media"; "mmsearch.training.serving.card" -> "training.serving"; "mmsearch" -> ""."""
    names = module.removeprefix("mmsearch").removeprefix(".").split(".")
    return next((room for room in (".".join(names[:2]), names[0]) if room in STANDS_ON), names[0])


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


def owned(room: str, library: str) -> bool:
    """Whether a room may import a heavy library: it, or the room around it, is an owner."""
    return library not in OWNERS or bool({room, room.partition(".")[0]} & OWNERS[library])


def violations(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of one module, in words."""
    tree, room = ast.parse(source), room_of(module)
    if room not in STANDS_ON:
        return [f"{module}: {room!r} has no place in the order of imports; give it one in this test"]
    lazy = inside(tree, lambda node: isinstance(node, ast.FunctionDef))
    type_only = inside(tree, lambda node: isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    wrong = []
    for node, name in imports(tree, module if is_package else module.rpartition(".")[0]):
        top = name.split(".")[0]
        if top == "mmsearch":
            other = room_of(name) if room_of(name) in STANDS_ON else ""
            excepted = room in TYPE_ONLY and id(node) in type_only
            if other != room and other not in allowed(room) and not excepted:
                wrong.append(f"{module} imports {name}")
        elif not owned(room, top) and not ((room, top) in LAZY and id(node) in lazy):
            wrong.append(f"{module} imports {top}, which belongs to {', '.join(sorted(OWNERS[top]))}")
    return wrong


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if not (path.parent / "__init__.py").exists():
            continue  # an example: a program of its own
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
def test_the_import_checker_finds_violations(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "mmsearch.media.image",
            "from mmsearch.media.pixels import reduce\nfrom . import sniff\nfrom PIL import Image",
        ),
        ("mmsearch.media.image", "from ..errors import Corrupt\nfrom mmsearch.core import registry\nimport numpy"),
        ("mmsearch.encoders.starter.image", "def f():\n    from PIL import Image"),
        ("mmsearch.library", "from mmsearch import ingest, search, vectors"),
        ("mmsearch.cli.query", "import click\nif TYPE_CHECKING:\n    from mmsearch.ingest import IngestReport"),
        ("mmsearch.cli.query", "def f():\n    import mmsearch\n    from mmsearch.library import Library"),
    ],
)
def test_the_import_checker_accepts_allowed_imports(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_nothing_of_the_core_imports_what_stands_in_other_programs() -> None:
    inner = [room for room in STANDS_ON if room not in ("integrations", "cli", "__main__")]
    assert [room for room in inner if "integrations" in allowed(room)] == []


HEAVY = ["torch", "torchaudio", "open_clip", "timm", "transformers", "tokenizers", "faiss", "sqlalchemy", "alembic"]
HEAVY += ["PIL", "av", "pypdfium2", "fastapi", "starlette", "uvicorn", "pydantic", "prometheus_client", "multipart"]
HEAVY += ["mcp", "langchain_core", "llama_index", "llm", "datasets", "pyarrow"]
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
        ("import mmsearch", [*HEAVY, "click", "rich", "pytest", "hypothesis"]),
        ("import mmsearch.vectors, mmsearch.core.registry, mmsearch.core.config", [*HEAVY, "click", "rich"]),
        (HELP, HEAVY),
    ],
    ids=["import mmsearch", "import mmsearch.vectors", "mmsearch --help"],
)
@pytest.mark.slow
def test_unused_heavy_libraries_are_not_loaded(program: str, unwanted: list[str]) -> None:
    report = f"\nimport sys\nprint('loaded:', *sorted(set(sys.modules) & set({unwanted!r})))"
    done = subprocess.run(
        [sys.executable, "-c", program + report], cwd=PACKAGE.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"
