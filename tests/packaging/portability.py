"""Which machines have wheels for all that mmsearch needs: `python -m tests.packaging.portability`.

Asks uv (`pip install uv`) to resolve the core and each extra for platforms that are not here, from wheels alone, and
writes the table into the docs. Nothing is installed or run: that a set of wheels exists does not say that they work.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import product
from pathlib import Path
from typing import TypeAlias

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "mmsearch" / "resources" / "docs" / "release.md"
BEGIN, END = "<!-- made by tests.packaging.portability -->\n", "<!-- end -->\n"

PLATFORMS: Mapping[str, str] = {
    "Linux x64": "x86_64-manylinux_2_28",
    "Linux arm64": "aarch64-manylinux_2_28",
    "macOS 14 arm64": "aarch64-apple-darwin",
    "Windows x64": "x86_64-pc-windows-msvc",
}
"""What people call it -> what uv does."""
MACOS = "14.0"
"""What uv takes for macOS: faiss-cpu has no wheels for an earlier one."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
CORE = "core"
AT_ONCE = 4

Answer: TypeAlias = str
""""yes", or what is in the way."""
Resolve: TypeAlias = Callable[[str, str, str], Answer]
"""(extra, platform, Python) -> its answer."""


def extras() -> list[str]:
    """The core, then the extras that pyproject.toml declares."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    return [CORE, *project["optional-dependencies"]]


def resolve(extra: str, platform: str, python: str) -> Answer:
    """What uv says of one combination, from wheels alone."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise SystemExit("there is no uv here: pip install uv")
    command = [
        uv,
        "pip",
        "compile",
        str(CHECKOUT / "pyproject.toml"),
        "--only-binary",
        ":all:",
        "--quiet",
        "--no-header",
    ]
    command += ["--python-platform", PLATFORMS[platform], "--python-version", python, "--color", "never"]
    command += [] if extra == CORE else ["--extra", extra]
    known = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": MACOS}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=known)
    return "yes" if done.returncode == 0 else reason(done.stderr)


def reason(said: str) -> Answer:
    """The package in the way, in uv's explanation, and whether the index lacks it or only wheels for that machine."""
    told = " ".join(said.replace("╰─▶", " ").split())
    if found := re.search(r"(?:Because )?([\w.-]+) was not found in the package registry", told):
        return f"{found[1]} is not in the index"
    if found := re.search(r"([A-Za-z][\w.-]*)(?:\{[^}]*\})?(?:[<>=!]+\S+)? has no (?:usable )?wheels", told):
        return f"no wheel of {found[1]}"
    if found := re.search(r"only the following versions? of ([\w.-]+)(?:\W| )", told):
        return f"no fitting version of {found[1]}"
    return told[:200] or "no answer"


def table(answers: Mapping[tuple[str, str, str], Answer], when: date) -> str:
    """As Markdown: a row for each platform and extra, a column for each Python."""
    lines = [f"Resolved on {when.isoformat()}.", ""]
    lines += [f"| platform | extra | {' | '.join(PYTHONS)} |", f"|---|---|{'---|' * len(PYTHONS)}"]
    for platform in PLATFORMS:
        for extra in dict.fromkeys(extra for extra, _, _ in answers):
            cells = [answers[extra, platform, python] for python in PYTHONS]
            lines.append(f"| {platform} | {extra} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def written(text: str, made: str) -> str:
    """The chapter with this table in place of the last one. Raises: ValueError if it has no place for it."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the chapter has no place for the table")
    return before + begin + made + end + after


def main(arguments: Sequence[str], resolved: Resolve = resolve) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=extras(), default=extras(), help="print, write nothing")
    options = parser.parse_args(arguments)
    asked = list(product(options.only, PLATFORMS, PYTHONS))
    # Most of the time is waiting for the index.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = dict(zip(asked, pool.map(lambda one: resolved(*one), asked), strict=True))
    made = table(answers, date.today())
    sys.stdout.write(made)
    if options.only == extras():
        DOCS.write_text(written(DOCS.read_text("utf-8"), made), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
