"""Docstrings and signatures as Markdown, read from the source alone, so that every Python writes the same reference."""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Attributes|Example|Examples):[ ]*(.*)$")
ITEM = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)$")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a class: its name, its type and default as written, and the string below it."""

    name: str
    annotation: str
    default: str
    text: str


@cache
def node_of(thing: Any) -> ast.ClassDef | ast.FunctionDef:
    """The definition of a class or a function."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    (node,) = tree.body
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    return node


def signature(function: Any, name: str) -> str:
    """`name(arguments) -> type`, as written, without `self`; over several lines where it is long."""
    node = node_of(function)
    assert isinstance(node, ast.FunctionDef)
    parts = list(_arguments(node.args))
    returns = f" -> {_unquoted(node.returns)}" if node.returns else ""
    line = f"{name}({', '.join(parts)}){returns}"
    if len(line) <= 76:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"


def _arguments(arguments: ast.arguments) -> Iterator[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + [*arguments.defaults]
    for argument, default in zip(positional, defaults, strict=True):
        if argument.arg not in ("self", "cls"):
            yield _argument(argument, default)
    if arguments.vararg:
        yield f"*{_argument(arguments.vararg, None)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _argument(argument, default)
    if arguments.kwarg:
        yield f"**{_argument(arguments.kwarg, None)}"


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    said = f"{argument.arg}: {_unquoted(argument.annotation)}" if argument.annotation else argument.arg
    if default is None:
        return said
    return f"{said} = {ast.unparse(default)}" if argument.annotation else f"{said}={ast.unparse(default)}"


def _unquoted(annotation: ast.expr | None) -> str:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return _BY_MODULE.sub(_as_offered, ast.unparse(annotation)) if annotation else ""


_BY_MODULE = re.compile(r"\b([a-z_]+)\.([A-Z]\w+)")


def _as_offered(named: re.Match[str]) -> str:
    """What is no part of Python stands without the module that the code has it from."""
    return named[0] if named[1] in sys.stdlib_module_names else named[2]


def doc(thing: Any) -> str:
    """The docstring as written, "" where there is none: a dataclass makes one up for itself."""
    return ast.get_docstring(node_of(thing)) or ""


def doc_of_alias(module: ModuleType, name: str) -> str:
    """The type of an alias as written, and the string below it. Raises: LookupError, where the module defines none."""
    body = ast.parse(inspect.getsource(module)).body
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign):
            target: ast.expr = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        else:
            continue
        if not (isinstance(target, ast.Name) and target.id == name):
            continue
        value = f"`{_unquoted(statement.value)}`"
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            return f"{value}. {' '.join(str(following.value.value).split())}"
        return value
    raise LookupError(f"{module.__name__} defines no {name}")


def class_fields(owner: type) -> list[Field]:
    """The annotated public fields of a class, with the strings below them; inherited ones first."""
    above = [field for base in owner.__mro__[1:-1] if base.__module__.startswith("mmsearch") for field in own(base)]
    return [*above, *own(owner)]


def own(owner: type) -> list[Field]:
    body = node_of(owner).body
    found = []
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        if statement.target.id.startswith("_"):
            continue
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = " ".join(str(following.value.value).split())
        default = ast.unparse(statement.value) if statement.value else ""
        found.append(Field(statement.target.id, _unquoted(statement.annotation), default, text))
    return found


def markdown(text: str) -> str:
    """A docstring of the Google form as Markdown: sections in bold, arguments as a list, examples as code."""
    out: list[str] = []
    in_items = False
    for line in text.splitlines():
        bare = line.strip()
        if (section := SECTION.match(line)) is not None:
            _break(out)
            out.append(f"**{section[1]}:** {section[2]}".rstrip())
            in_items = section[1] in ("Args", "Attributes")
            if in_items:
                out.append("")
        elif in_items and bare:
            item = ITEM.match(bare) if len(line) - len(line.lstrip()) <= 4 else None
            if item:
                names = ", ".join(f"`{name}`" for name in item[1].split(", "))
                out.append(f"- {names}: {item[2]}")
            else:
                out.append(f"  {bare}")
        else:
            in_items = False
            out.append(line if bare.startswith((">>>", "... ")) else bare)
    return "\n".join(_fenced(out)).strip()


def _break(out: list[str]) -> None:
    if out and out[-1]:
        out.append("")


def _fenced(lines: Sequence[str]) -> Iterator[str]:
    """Put what is typed at a Python prompt into a block of code."""
    within = False
    for line in lines:
        code = line.strip().startswith(">>>") or (within and bool(line.strip()))
        if code and not within:
            yield "```pycon"
        if within and not code:
            yield "```"
        within = code
        yield line.strip().removesuffix("  # doctest: +SKIP") if code else line
    if within:
        yield "```"
