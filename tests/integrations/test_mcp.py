"""`mmsearch mcp`, asked by the client of the package `mcp`: what an assistant finds, sees and is refused."""

import base64
import io
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from PIL import Image

import mmsearch
from mmsearch.errors import InvalidInput
from mmsearch.integrations.mcp.http import PATH, mcp_over_http
from mmsearch.integrations.mcp.server import mcp_server
from mmsearch.library import Library
from mmsearch.serve.listening import Listening, running
from mmsearch.serve.options import ServeOptions
from tests.conftest import CHECKOUT, Run
from tests.generated import picture
from tests.module_library import ModuleLibrary
from tests.serve.running import TOKEN
from tests.serve.running import fill as fill

TOOLS = {"search", "more_like", "explain", "view", "status"}


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.fixture
def library(open_tiny: Callable[..., Library]) -> Library:
    return open_tiny()


def asked(server: Any, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """What the client is answered, call by call."""

    async def ask() -> list[Any]:
        async with Client(server) as client:
            return [await client.call_tool(name, given) for name, given in calls]

    return anyio.run(ask)


def names(answer: Any) -> list[str]:
    return [Path(hit["path"]).name for hit in answer.structured_content["hits"]]


def seen(answer: Any) -> tuple[str, tuple[int, int], tuple[int, ...]]:
    """Type, size, and the colour in the middle of the picture that an answer holds."""
    (content,) = answer.content
    shown = Image.open(io.BytesIO(base64.b64decode(content.data))).convert("RGB")
    middle = shown.getpixel((shown.width // 2, shown.height // 2))
    assert isinstance(middle, tuple)
    return content.mime_type, shown.size, tuple(round(channel / 255) for channel in middle)


def test_a_client_finds_a_photo_by_words_and_sees_it(library: Library) -> None:
    server = mcp_server(library)
    (found,) = asked(server, ("search", {"words": "something green", "modalities": ["image"], "k": 1}))
    assert names(found) == ["green.png"] and found.structured_content["more"] is True
    assert found.structured_content["hits"][0]["confidence"] > 0.5 and found.structured_content["level"] == "sure"
    (shown,) = asked(server, ("view", {"item_id": found.structured_content["hits"][0]["item_id"], "side": 64}))
    assert not shown.is_error and seen(shown) == ("image/webp", (32, 32), (0, 1, 0))


@pytest.mark.slow
def test_a_client_sees_the_moment_of_a_video(library: Library) -> None:
    server = mcp_server(library)
    (found,) = asked(server, ("search", {"words": "blue", "modalities": ["video"]}))
    (hit,) = found.structured_content["hits"]
    assert (hit["matched"], hit["start"], hit["end"]) == ("image", 1.333, 2.667)
    middle = (hit["start"] + hit["end"]) / 2
    early, late = asked(
        server, ("view", {"item_id": hit["item_id"], "at": 0.5}), ("view", {"item_id": hit["item_id"], "at": middle})
    )
    assert seen(early)[2] == (1, 0, 0) and seen(late)[2] == (0, 0, 1)


def test_more_like_goes_across_kinds_and_away_from_words(library: Library, tmp_path: Path) -> None:
    red = library.get(tmp_path / "media" / "red.png")
    assert red is not None
    near, far = asked(
        mcp_server(library),
        ("more_like", {"item_id": red.id, "modalities": ["video"]}),
        ("more_like", {"item_id": red.id, "words": "blue", "without": "red", "modalities": ["text"], "k": 1}),
    )
    assert names(near) == ["clip.mp4"] and names(far) == ["note.txt"]


def test_why_an_item_was_found_and_what_there_is(library: Library, tmp_path: Path) -> None:
    library.tag(tmp_path / "media" / "red.png", add=["brick"])
    note = library.get(tmp_path / "media" / "notes" / "note.txt")
    assert note is not None
    why, facts = asked(mcp_server(library), ("explain", {"words": "a blue house", "item_id": note.id}), ("status", {}))
    assert why.structured_content["by"] == ["vector"] and why.structured_content["confidence"] > 0.9
    assert why.structured_content["sentences"][0] == "blue", "the word that counts most"
    assert facts.structured_content["items"] == {"text": 2, "image": 2, "audio": 1, "video": 1}
    assert facts.structured_content["tags"] == {"brick": 1} and facts.structured_content["model"] == "tiny"


def test_every_tool_is_read_only_and_says_what_it_answers(library: Library) -> None:
    async def tools() -> Any:
        async with Client(mcp_server(library)) as client:
            assert client.instructions and "unlikely" in client.instructions
            return (await client.list_tools()).tools

    listed = {tool.name: tool for tool in anyio.run(tools)}
    assert set(listed) == TOOLS
    for tool in listed.values():
        hints = tool.annotations
        assert hints.read_only_hint and hints.idempotent_hint
        assert hints.destructive_hint is False and hints.open_world_hint is False
        assert tool.description and (tool.output_schema is not None) == (tool.name != "view")
    assert listed["search"].input_schema["properties"]["words"]["description"]


def test_an_error_of_ours_comes_with_its_hint(library: Library, tmp_path: Path) -> None:
    sound = library.get(tmp_path / "media" / "low.wav")
    assert sound is not None
    told = asked(
        mcp_server(library),
        ("search", {"words": "red", "filter": "tagg = dog"}),
        ("view", {"item_id": 999}),
        ("view", {"item_id": sound.id}),
        ("search", {"words": "red", "k": 0}),
        ("search", {"words": " "}),
    )
    assert all(answer.is_error for answer in told)
    said = [answer.content[0].text for answer in told]
    assert "did you mean tag?" in said[0] and "Hint: columns: path" in said[0]
    assert "UnknownName: there is no item 999. Hint: ids are in the answers" in said[1]
    assert "is a sound, which has no picture. Hint:" in said[2]
    assert "greater than or equal to 1" in said[3] and "Hint:" in said[4]


def test_an_empty_library_says_how_to_fill_it(open_tiny: Callable[..., Library]) -> None:
    (told,) = asked(mcp_server(open_tiny("none")), ("search", {"words": "red"}))
    assert told.is_error and "mmsearch ingest" in told.content[0].text


def test_what_the_filter_of_a_server_leaves_out_is_not_there(library: Library, tmp_path: Path) -> None:
    library.tag(tmp_path / "media" / "red.png", add=["teaching"])
    green = library.get(tmp_path / "media" / "green.png")
    assert green is not None
    everything = "modality in (text, image, audio, video)"
    told = asked(
        mcp_server(library, "tag = teaching"),
        ("search", {"words": "green"}),
        ("search", {"words": "green", "filter": everything}),
        ("search", {"words": "green", "filter": "not tag = teaching"}),
        ("status", {}),
        *((tool, {"item_id": green.id}) for tool in ("view", "more_like")),
        ("explain", {"item_id": green.id, "words": "green"}),
    )
    assert [names(answer) for answer in told[:3]] == [["red.png"], ["red.png"], []]
    assert told[3].structured_content["items"] == {"image": 1} and told[3].structured_content["tags"] == {"teaching": 1}
    assert all(f"there is no item {green.id}" in answer.content[0].text for answer in told[4:])


def test_a_filter_that_is_none_is_refused_before_anything_is_served(library: Library) -> None:
    with pytest.raises(InvalidInput, match="there is no column"):
        mcp_server(library, "tagg = dog")


@pytest.fixture
def over_http(library: Library) -> Iterator[Listening]:
    chosen = ServeOptions(port=0, token=TOKEN, made_token=False, read_only=True)
    server = mcp_over_http(library, chosen)
    with running(server):
        yield server


def through(server: Listening, ask: Callable[[Client], Awaitable[Any]], token: str = TOKEN) -> Any:
    async def connected() -> Any:
        headers = {"authorization": f"Bearer {token}"}
        async with create_mcp_http_client(headers=headers) as sender:
            transport = streamable_http_client(f"{server.address}{PATH}", http_client=sender)
            async with Client(transport) as client:
                return await ask(client)

    return anyio.run(connected)


@pytest.mark.slow
def test_over_http_a_client_with_the_token_finds_and_sees(over_http: Listening) -> None:
    async def ask(client: Client) -> Any:
        found: Any = await client.call_tool("search", {"words": "red", "modalities": ["image"], "k": 1})
        return found, await client.call_tool("view", {"item_id": found.structured_content["hits"][0]["item_id"]})

    found, shown = through(over_http, ask)
    assert names(found) == ["red.png"] and seen(shown)[2] == (1, 0, 0)


@pytest.mark.slow
def test_over_http_each_token_has_its_own_library(over_http: Listening, library: Library) -> None:
    async def ask(client: Client) -> Any:
        return await client.call_tool("search", {"words": "green", "k": 9}), await client.call_tool("status", {})

    sounds, everything = library.tokens.create("sounds", filter="modality = audio"), library.tokens.create("all")
    for token, kinds in ((sounds, {"audio"}), (everything, {"audio", "image", "text", "video"}), (sounds, {"audio"})):
        found, status = through(over_http, ask, token)
        assert {hit["modality"] for hit in found.structured_content["hits"]} <= kinds
        assert set(status.structured_content["items"]) == kinds
    assert [(one.who, one.what) for one in library.audit.entries()] == [
        (who, what) for who in ("sounds", "all", "sounds") for what in ("mcp search", "mcp status")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong-token-of-somebody"}, 401),
        ({"authorization": f"Bearer {TOKEN}", "host": "evil.example"}, 421),
        ({"authorization": f"Bearer {TOKEN}", "origin": "http://evil.example"}, 403),
        ({"authorization": f"Bearer {TOKEN}", "sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_over_http_the_guard_of_the_server_stands_before_it(
    over_http: Listening, headers: dict[str, str], status: int
) -> None:
    hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    with httpx.Client(base_url=over_http.address, timeout=60) as client:
        assert client.post(PATH, json=hello, headers={**accept, **headers}).status_code == status
        assert client.get("/").status_code == 404


@pytest.mark.slow
def test_over_http_a_request_has_a_bound(over_http: Listening) -> None:
    with httpx.Client(base_url=over_http.address, timeout=60) as client:
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        assert client.post(PATH, content=b" " * 1_000_001, headers=headers).status_code == 413


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "0"), b"--port goes with --http"),
        (("--http", "--host", "0.0.0.0"), b"--token-file"),
        (("--http", "--no-token", "--token-file", "token"), b"don't go together"),
        (("--filter", "tagg = dog"), b"did you mean tag?"),
    ],
)
def test_the_command_refuses_what_means_nothing_or_lets_others_in(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: bytes
) -> None:
    (tmp_path / "token").write_text("a-token-of-many-characters")
    done = run("mcp", *arguments)
    assert done.returncode == 2 and said in done.stderr and done.stdout == b""


def test_without_the_package_the_command_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "mcp" or "integrations.mcp" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    done = run("mcp")
    assert done.returncode == 2 and b"pip install 'mmsearch[mcp]'" in done.stderr


@pytest.mark.slow
@pytest.mark.extras
def test_the_command_speaks_over_standard_input_and_output(tmp_path: Path, environment: dict[str, str]) -> None:
    known = {**os.environ, **environment, "PYTHONPATH": str(CHECKOUT)}
    server = StdioServerParameters(command=sys.executable, args=["-m", "mmsearch", "mcp"], env=known, cwd=tmp_path)

    async def ask() -> Any:
        async with Client(stdio_client(server)) as client:
            found: Any = await client.call_tool("search", {"words": "red", "modalities": ["image"], "k": 1})
            item = found.structured_content["hits"][0]["item_id"]
            return found, await client.call_tool("view", {"item_id": item})

    found, shown = anyio.run(ask)
    assert names(found) == ["red.png"] and seen(shown)[2] == (1, 0, 0)
    # Whoever writes meanwhile is seen by the next process; nothing of the library was changed by this one.
    with mmsearch.open(tmp_path / "library", space="tests.tiny:space", workers=1) as again:
        picture(tmp_path / "media" / "blue.png", "blue")
        assert again.ingest(tmp_path / "media").new == 1
