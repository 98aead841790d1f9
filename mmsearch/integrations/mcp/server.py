"""The tools as a server of the package `mcp`: their descriptions for a model, errors of ours with their hints."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, ParamSpec, TypeAlias, TypeVar

from pydantic import Field

from mmsearch import Library, __version__
from mmsearch.core.filters.ast import Filter
from mmsearch.errors import MmsearchError
from mmsearch.integrations.mcp.answers import FoundItems, Kind, LibraryFacts, LibraryTools, Mode, WhyFound

try:
    from mcp.server.mcpserver import Image, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.types import ToolAnnotations
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error}: pip install 'mmsearch[mcp]'", name=error.name) from error

P = ParamSpec("P")
T = TypeVar("T")

INSTRUCTIONS = (
    "A library of the user's own photos, sounds, videos and documents, searched by meaning. search takes a plain "
    "description of what is to be seen, heard or read ('a dog on a beach', not 'find dog photos'); view shows a photo, "
    "or a video at a moment. Cite a hit by its path with its page, or with start and end in seconds. The level says "
    "whether it answers at all: where the first hit is 'unlikely', say that nothing was found."
)

READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)

Words = Annotated[str, Field(max_length=2_000, description="What is to be seen, heard or read, in plain words.")]
Id = Annotated[int, Field(ge=0, le=2**63 - 1, description="The item_id of a hit.")]
Count = Annotated[int, Field(ge=1, le=50, description="How many hits.")]
Offset = Annotated[int, Field(ge=0, le=10_000, description="Hits to pass over.")]
Kinds = Annotated[list[Kind] | None, Field(description="Only these kinds of file; all by default.")]
Asked = Annotated[
    str | None,
    Field(
        max_length=2_000,
        description="Only files that match, such as: taken >= 2024-05 and tag = dog and duration > 1:30. Columns: "
        "path, name, folder, camera, title, tag, taken, modified, size, duration, width, height, latitude, longitude, "
        "meta.KEY.",
    ),
]
Matching = Annotated[Mode, Field(description="hybrid: by meaning and by words; keyword: words alone; vector: meaning.")]


Noted: TypeAlias = Callable[[str, tuple[int, ...], str | None], None]
"""Told of what is asked: the tool, the items, and the words."""


def mcp_server(
    library: Library | Callable[[], Library],
    within: str | Filter | None = None,
    noted: Noted = lambda tool, items, words: None,
) -> MCPServer:
    """A server that answers from one library. Whoever runs it closes the library.

    Args:
        library: One, or what says which one is there for whoever asks now.
        within: A filter: what it does not match is not there for whoever asks (`Library.only`).
        noted: Called before an answer is given.

    Raises: InvalidInput for a filter that is none.
    """
    if isinstance(library, Library):
        only = library if within is None else library.only(within)
        tools = LibraryTools(lambda: only)
    else:
        tools = LibraryTools(library)
    server: MCPServer = MCPServer(
        "mmsearch", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING", subscriptions=False
    )

    @server.tool(annotations=READS, title="Search the library")
    def search(
        words: Words, k: Count = 10, modalities: Kinds = None, filter: Asked = None, mode: Matching = "hybrid",
        offset: Offset = 0,
    ) -> FoundItems:  # fmt: skip
        """Find photos, sounds, videos and documents by a description, with the moment, page or passage that fits."""
        noted("search", (), words)
        return _told(tools.search, words, k, modalities, filter, mode, offset)

    @server.tool(annotations=READS, title="More like this")
    def more_like(
        item_id: Id, words: Words | None = None, without: Words | None = None, k: Count = 10, modalities: Kinds = None,
        filter: Asked = None,
    ) -> FoundItems:  # fmt: skip
        """Find what is like an item that was found, of any kind; words draw the answer nearer, `without` away."""
        noted("more_like", (item_id,), words)
        return _told(tools.more_like, item_id, words, without, k, modalities, filter)

    @server.tool(annotations=READS, title="Why it was found")
    def explain(words: Words, item_id: Id) -> WhyFound:
        """Say why an item answers words: concepts, sentences, or parts of a picture."""
        noted("explain", (item_id,), words)
        return _told(tools.explain, words, item_id)

    @server.tool(annotations=READS, title="Look at it", structured_output=False)
    def view(
        item_id: Id,
        at: Annotated[
            float | None, Field(ge=0, description="Seconds into a video: between the hit's start and end.")
        ] = None,
        side: Annotated[int, Field(ge=64, le=1280, description="Pixels of the longer side.")] = 512,
    ) -> Image:
        """Show a photo, or the frame of a video at a moment."""
        noted("view", (item_id,), None)
        return Image(data=_told(tools.view, item_id, at, side), format="webp")

    @server.tool(annotations=READS, title="What there is")
    def status() -> LibraryFacts:
        """Say what the library holds: how many files of each kind, and the user's tags."""
        noted("status", (), None)
        return _told(tools.status)

    return server


def serve_stdio(library: Library, within: str | Filter | None = None) -> None:
    """Answer one client over standard input and output until it closes them. Raises: as `mcp_server`."""

    def noted(tool: str, items: tuple[int, ...], words: str | None) -> None:
        library.audit.record("stdio", f"mcp {tool}", items, query=words)

    server = mcp_server(library, within, noted)
    load_meanwhile(library)
    server.run("stdio")


def load_meanwhile(library: Library) -> None:
    """Load what queries need while the client says hello; an empty library has nothing to load."""

    def load() -> None:
        with suppress(MmsearchError):
            library.load_encoders()

    threading.Thread(target=load, name="mmsearch-mcp-load", daemon=True).start()


def _told(ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """An answer; an error as the client may read it: the package tells no other."""
    try:
        return ask(*args, **kwargs)
    except MmsearchError as error:
        hint = f" Hint: {error.hint}" if error.hint else ""
        raise ToolError(f"{type(error).__name__}: {error.message}.{hint}") from error
