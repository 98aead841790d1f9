"""The shipped docs: a chapter is a file `docs/TOPIC.md` that begins with a title and a line that says what it holds."""

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parent / "docs"

CONTENTS = "contents"
"""The chapter that lists the others; made from the code, so it is not in its own list."""

ORDER = (
    "guide", "terminal", "server", "page", "watch", "filters", "duplicates", "regions", "answers", "languages",
    "models", "training", "settings", "index", "python", "items", "media_in_memory", "assistants", "integrations",
    "examples", "stability", "api", "api_http", "shell", "errors", "names", "limits", "security", "access", "privacy",
    "release",
    "library_format", "design",
)  # fmt: skip
"""Where chapters stand in the list; others follow in alphabetical order."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter of the docs."""

    topic: str
    """The name of its file without suffix: what `mmsearch help` takes."""
    title: str
    summary: str
    """The first sentence below the title."""
    path: Path


def chapters() -> dict[str, Chapter]:
    """Topic -> chapter, in reading order; `CONTENTS` is left out."""
    topics = sorted(path.stem for path in DOCS.glob("*.md") if path.stem != CONTENTS)
    ordered = sorted(topics, key=lambda topic: ORDER.index(topic) if topic in ORDER else len(ORDER))
    return {topic: _chapter(topic) for topic in ordered}


def chapter_text(topic: str) -> str:
    """The Markdown of a chapter, `CONTENTS` among them. Raises: FileNotFoundError for a topic that there is not."""
    return (DOCS / f"{topic}.md").read_text("utf-8")


def _chapter(topic: str) -> Chapter:
    head, _, rest = chapter_text(topic).partition("\n")
    paragraph = " ".join(rest.strip().partition("\n\n")[0].split())
    # A sentence ends at a full stop before a space and a capital; "e.g." and "mmsearch.toml" end none.
    summary = re.split(r"(?<=[.:])\s+(?=[A-Z`*])", paragraph)[0].rstrip(":")
    return Chapter(topic, head.removeprefix("# ").strip(), summary, DOCS / f"{topic}.md")
