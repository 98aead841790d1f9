"""An archive of teaching pictures: students find what is for teaching, and nothing else, however they ask.

What mmsearch has for this today: metadata of your own as filters, a filter as the bound of a server, and a token for
who may ask. It has no encryption, no token for each person and no audit log: see the page.
"""

import asyncio
import json
from pathlib import Path

from mcp import Client

import mmsearch
from mmsearch.integrations.mcp.server import mcp_server

HERE = Path(__file__).resolve().parent
CASES = json.loads((HERE / "cases.json").read_text("utf-8"))
BOUND = "meta.teaching = true"


def fill(library: mmsearch.Library) -> None:
    """A picture and its report, which are one item by their common name; both get what the archive says of them, since
    a filter looks at each."""
    library.ingest(HERE / "pictures")
    for case in CASES:
        facts = {"teaching": case["teaching"], "organ": case["organ"], "year": case["year"]}
        picture = HERE / "pictures" / case["file"]
        library.set_meta([picture, picture.with_suffix(".txt")], facts)


async def ask(library: mmsearch.Library, within: str | None, *questions: dict[str, str]) -> None:
    """What an assistant gets from a server with this bound."""
    async with Client(mcp_server(library, within)) as client:
        for question in questions:
            found = await client.call_tool("search", {"k": 3, **question})
            hits = (found.structured_content or {}).get("hits", [])
            names = [Path(hit["path"]).name for hit in hits if hit["level"] != "unlikely"]
            print(f"  {question['words']}: {', '.join(names) or 'nothing'}")


def main() -> None:
    retina = {"words": "vessels of a normal retina"}
    cell = {"words": "a cell floating in saline"}
    with mmsearch.open(HERE / "library") as library:
        fill(library)
        print("the archive")
        asyncio.run(ask(library, None, retina, cell))
        print(f"students, whose server was started with --filter '{BOUND}'")
        asyncio.run(ask(library, BOUND, retina, cell, {**cell, "filter": "meta.teaching = false"}))


if __name__ == "__main__":
    main()
