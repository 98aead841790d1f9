"""An assistant's side of `mmsearch mcp`: it asks over recordings and slides, and cites moments and pages.

A language model would choose the calls; here they are written out, so that what is asked and answered can be seen.
"""

import asyncio
import base64
import sys
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters, stdio_client

import mmsearch

HERE = Path(__file__).resolve().parent
QUESTIONS = (
    "When is the roof to be repaired?",
    "Who is the film's hero?",
    "rain on a roof",
)


def cited(hit: dict[str, Any]) -> str:
    """Where an answer stands: the page, or the moment in minutes and seconds."""
    name = Path(hit["path"]).name
    if hit["place"] or hit["page"]:
        return f"{name}, {hit['place'] or 'page ' + str(hit['page'])}"
    if hit["start"] is not None:
        return f"{name}, {int(hit['start'] // 60)}:{int(hit['start'] % 60):02}"
    return name


async def converse(server: StdioServerParameters) -> None:
    async with Client(stdio_client(server)) as client:
        for question in QUESTIONS:
            answer: Any = await client.call_tool("search", {"words": question, "k": 1})
            hit = answer.structured_content["hits"][0]
            print(f"{question}\n  {cited(hit)}: {hit['passage'] or hit['matched']}")
        found: Any = await client.call_tool(
            "search", {"words": "a rabbit in a meadow", "modalities": ["video"], "k": 1}
        )
        hit = found.structured_content["hits"][0]
        seen: Any = await client.call_tool("view", {"item_id": hit["item_id"], "at": hit["start"]})
        (HERE / "seen.webp").write_bytes(base64.b64decode(seen.content[0].data))
        print(f"a rabbit in a meadow\n  {cited(hit)}: see seen.webp, {seen.content[0].mime_type}")


def main() -> None:
    library = HERE / "library"
    with mmsearch.open(library) as opened:
        opened.ingest(HERE / "slides", HERE / "media", exclude=["CREDITS.md"])
    arguments = ["-m", "mmsearch", "mcp", "--library", str(library)]
    asyncio.run(converse(StdioServerParameters(command=sys.executable, args=arguments)))


if __name__ == "__main__":
    main()
