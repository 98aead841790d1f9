"""Runs a notebook as its cells would be run in turn, without a kernel: `python -m tests.resources.notebooks FILE`
writes what they print into it."""

import ast
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any


def run(path: Path) -> list[str]:
    """What each cell of code prints, and the value of its last expression."""
    names: dict[str, Any] = {"__name__": "__main__"}
    return [_printed("".join(cell["source"]), names) for cell in code_cells(json.loads(path.read_text("utf-8")))]


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def shown(cell: dict[str, Any]) -> str:
    """What a cell is kept to print."""
    return "".join("".join(output["text"]) for output in cell["outputs"])


def _printed(source: str, names: dict[str, Any]) -> str:
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None  # type: ignore[attr-defined]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(tree, "cell", "exec"), names)
        value = eval(compile(last, "cell", "eval"), names) if last is not None else None
        if value is not None:
            print(repr(value))
    return said.getvalue()


def main(path: Path, target: Path) -> None:
    """Run a copy of a notebook in its own folder, and write what it prints into the original."""
    os.chdir(path.parent)
    printed = run(path)
    notebook = json.loads(target.read_text("utf-8"))
    for number, (cell, text) in enumerate(zip(code_cells(notebook), printed, strict=True), 1):
        cell["execution_count"] = number
        cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": text.splitlines(True)}] if text else []
    target.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
