"""Chat templates, which transformers renders with Jinja: what they may hold.

transformers renders them in Jinja's sandbox. What is refused here has no place in a template, and is what breaking out
of a sandbox, or never coming to an end, begins with.
"""

from pathlib import Path
from typing import Any

from mmsearch.errors import WeightsError

TEMPLATE_BYTES = 2**18
LONGEST_RANGE = 10_000
HINT = "take the files as they were published"


def check_template(path: Path, text: str) -> None:
    """Raises: WeightsError for a template that imports, reaches for what Python keeps to itself, or counts too far."""
    from jinja2 import TemplateError, nodes
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if len(text) > TEMPLATE_BYTES:
        raise WeightsError(f"{path} holds a chat template of {len(text):,} characters", hint=HINT)
    # `generation` is an extension of transformers', for training; its tags hold nothing of their own.
    plain = text.replace("generation %}", "if true %}").replace("endif true %}", "endif %}")
    try:
        parsed = ImmutableSandboxedEnvironment(extensions=[loopcontrols]).parse(plain)
    except (TemplateError, RecursionError) as error:
        raise WeightsError(f"the chat template in {path} is none: {str(error)[:200]}", hint=HINT) from error
    for other in parsed.find_all((nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends)):
        raise WeightsError(f"the chat template in {path} imports another ({type(other).__name__.lower()})", hint=HINT)
    for node in parsed.find_all((nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.Const, nodes.Call)):
        if (what := _odd(node, nodes)) is not None:
            raise WeightsError(f"the chat template in {path} asks for {what}", hint=HINT)


def _odd(node: Any, nodes: Any) -> str | None:
    """What in a template looks like code, in words."""
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        return f"the attribute {node.attr!r}"
    if isinstance(node, nodes.Const) and isinstance(node.value, str) and "__" in node.value:
        return f"{node.value[:60]!r}"
    if isinstance(node, nodes.Filter) and node.name == "attr":
        return "attributes by their names"
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "range":
        numbers = [one.value for argument in node.args for one in argument.find_all(nodes.Const)]
        numbers += [argument.value for argument in node.args if isinstance(argument, nodes.Const)]
        if any(isinstance(number, int) and abs(number) > LONGEST_RANGE for number in numbers):
            return "a loop without end"
    return None
