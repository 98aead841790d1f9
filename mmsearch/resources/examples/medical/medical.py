"""An archive of teaching pictures, encrypted: each person has a token, students find what is for teaching and nothing
else, and a log says who looked at what.
"""

import asyncio
import json
from pathlib import Path

from mcp import Client

import mmsearch
from mmsearch.integrations.mcp.server import mcp_server

HERE = Path(__file__).resolve().parent
CASES = json.loads((HERE / "cases.json").read_text("utf-8"))
KEY = HERE / "archive.key"
"""For a real archive: "keyring" or "passphrase", or a file on another disk."""
BOUND = "meta.teaching = true"
PEOPLE = {"teacher": None, "student": BOUND}
"""Whose tokens there are -> the filter of each."""


def fill(library: mmsearch.Library) -> None:
    """A picture and its report, which are one item by their common name; both get what the archive says of them, since
    a filter looks at each."""
    library.ingest(HERE / "pictures")
    for case in CASES:
        facts = {"teaching": case["teaching"], "organ": case["organ"], "year": case["year"]}
        picture = HERE / "pictures" / case["file"]
        library.set_meta([picture, picture.with_suffix(".txt")], facts)


def make_tokens(library: mmsearch.Library) -> None:
    """One for each person, unless they have it: it is shown once, and only its hash is kept."""
    known = {one.name for one in library.tokens.list()}
    for name, bound in PEOPLE.items():
        if name not in known:
            library.tokens.create(name, filter=bound)


def plain_files(library: mmsearch.Library) -> list[str]:
    """Files of the library that hold the name of a picture."""
    names = [case["file"].encode() for case in CASES]
    files = [path for path in library.path.rglob("*") if path.is_file()]
    return [path.name for path in files if any(name in path.read_bytes() for name in names)]


async def ask(library: mmsearch.Library, name: str, *questions: dict[str, str]) -> None:
    """What the assistant of a person gets from `mmsearch mcp --http`, which knows them by their token."""

    def noted(tool: str, items: tuple[int, ...], words: str | None) -> None:
        library.audit.record(name, f"mcp {tool}", items, query=words)

    async with Client(mcp_server(library, PEOPLE[name], noted)) as client:
        for question in questions:
            found = await client.call_tool("search", {"k": 3, **question})
            hits = (found.structured_content or {}).get("hits", [])
            shown = [hit for hit in hits if hit["level"] != "unlikely"]
            for hit in shown[:1]:
                await client.call_tool("view", {"item_id": hit["item_id"]})
            print(f"  {question['words']}: {', '.join(Path(hit['path']).name for hit in shown) or 'nothing'}")


def main() -> None:
    retina = {"words": "vessels of a normal retina"}
    cell = {"words": "a cell floating in saline"}
    with mmsearch.open(HERE / "library", encrypt=f"file:{KEY}") as library:
        fill(library)
        make_tokens(library)
        before = library.audit.verify().entries
        print(f"files of the library that name a picture: {', '.join(plain_files(library)) or 'none'}")
        print("the teacher")
        asyncio.run(ask(library, "teacher", retina, cell))
        print(f"a student, whose token has the filter {BOUND}")
        asyncio.run(ask(library, "student", retina, cell, {**cell, "filter": "meta.teaching = false"}))
        print("the log")
        for entry in list(library.audit.entries())[before:]:
            seen = [item.path.name for item in library.get_many(entry.items).values()]
            print(f"  {entry.who}: {' '.join([entry.what, *seen])}")
        print(f"  altered, cut or moved: {', '.join(library.audit.verify().problems) or 'nothing'}")


if __name__ == "__main__":
    main()
