"""Who may start a server how, and who is let in: clocks and files instead of a network."""

import asyncio
import io
from collections.abc import MutableMapping
from pathlib import Path

import pytest

from mmsearch.errors import InvalidInput, SignInNeeded, TooManyRequests
from mmsearch.serve.access import FREE_TRIES, TRY_S, Access, Sessions, TriedTokens
from mmsearch.serve.media import CHUNK, FileAnswer, byte_range, media_type
from mmsearch.serve.options import ServeOptions, read_token

TOKEN = "a token of the tests".replace(" ", "-")
CHOSEN = {"token": TOKEN, "made_token": False}


def test_a_token_is_made_at_each_start_and_not_shown() -> None:
    one, other = ServeOptions(), ServeOptions()
    assert one.token and other.token and one.token != other.token and len(one.token) >= 40
    assert one.token not in repr(one)


@pytest.mark.parametrize(
    "refused",
    [
        {"host": "0.0.0.0"},
        {"host": "192.168.1.5"},
        {"host": "media.home"},
        {"proxies": ("127.0.0.1",)},
        {"token": None, "proxies": ("127.0.0.1",)},
        {"token": None, "host": "0.0.0.0"},
        {"token": None, "host": "::"},
        {**CHOSEN, "proxies": ("everybody",)},
        {**CHOSEN, "read_only": True, "manage": True},
    ],
)
def test_what_would_let_others_in_is_refused(refused: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as found:
        ServeOptions(**refused)  # type: ignore[arg-type]
    assert found.value.hint


def test_what_is_safe_starts() -> None:
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert ServeOptions(host=host).on_loopback and ServeOptions(host=host, token=None).on_loopback
    ServeOptions(host="0.0.0.0", proxies=("10.0.0.0/8", "::1"), **CHOSEN)  # type: ignore[arg-type]


def test_a_token_file_is_one_line_that_others_can_t_read(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    assert read_token(file) == TOKEN
    file.chmod(0o644)
    with pytest.raises(InvalidInput, match="others can read"):
        read_token(file)
    file.chmod(0o600)
    for wrong in ("", "short", f"{TOKEN} {TOKEN}", f"{TOKEN}\n{TOKEN}", "ä" * 20, "x" * 600):
        file.write_text(wrong)
        with pytest.raises(InvalidInput):
            read_token(file)
    with pytest.raises(InvalidInput):
        read_token(tmp_path / "none")


def test_the_right_token_is_the_owner_and_a_wrong_one_is_nobody() -> None:
    for chosen, rights in (({}, {"search", "tag"}), ({"manage": True}, {"search", "tag", "manage"})):
        access = Access(ServeOptions(**CHOSEN, **chosen))  # type: ignore[arg-type]
        assert access.caller(TOKEN, None, "1.2.3.4").rights == rights
    reader = Access(ServeOptions(read_only=True, **CHOSEN))  # type: ignore[arg-type]
    assert reader.caller(TOKEN, None, "").rights == {"search"}
    for bearer in (None, "", TOKEN[:-1], f"{TOKEN} ", "\udcff"):
        with pytest.raises(SignInNeeded):
            reader.caller(bearer, "no session", "1.2.3.4")
    assert Access(ServeOptions(token=None)).caller(None, None, "").name == "owner"


def test_sessions_expire_and_the_oldest_make_room() -> None:
    now = [0.0]
    sessions = Sessions(10.0, 2, lambda: now[0])
    first = sessions.begin(TOKEN)
    now[0] = 9.0
    assert sessions.token_of(first)
    now[0] = 18.9
    assert sessions.token_of(first), "it goes on while it is used"
    now[0] = 29.0
    assert not sessions.token_of(first)
    one, two = sessions.begin(TOKEN), sessions.begin(TOKEN)
    assert sessions.token_of(one)
    sessions.begin(TOKEN)
    assert sessions.token_of(one) and not sessions.token_of(two), "that which was not used longest has gone"
    sessions.end(one)
    assert not sessions.token_of(one) and one.encode() not in repr(sessions).encode()


def test_wrong_tokens_cost_time_for_their_address_alone() -> None:
    now = [100.0]
    tried = TriedTokens(lambda: now[0])
    for _ in range(FREE_TRIES):
        tried.check("1.1.1.1")
        tried.wrong("1.1.1.1")
    with pytest.raises(TooManyRequests) as found:
        tried.check("1.1.1.1")
    assert found.value.wait_s == TRY_S
    tried.check("2.2.2.2")
    now[0] += TRY_S
    tried.check("1.1.1.1")


@pytest.mark.parametrize(
    ("name", "modality", "kind"),
    [
        ("a.JPG", "image", "image/jpeg"),
        ("a.svg", "image", "application/octet-stream"),
        ("a.html", "text", "text/plain; charset=utf-8"),
        ("a.svg", "text", "text/plain; charset=utf-8"),
        ("a.pdf", "text", "application/octet-stream"),
        ("a.mp4", "audio", "audio/mp4"),
        ("a.ogg", "video", "video/ogg"),
        ("a.jpg", "text", "text/plain; charset=utf-8"),
        ("noname", "image", "application/octet-stream"),
        ("a.xhtml", "image", "application/octet-stream"),
    ],
)
def test_only_media_are_sent_as_such(name: str, modality: str, kind: str) -> None:
    assert media_type(name, modality) == kind


def test_nobody_reads_on_for_who_has_gone() -> None:
    class Counted(io.BytesIO):
        read_bytes = 0

        def read(self, size: int | None = -1, /) -> bytes:
            part = super().read(size)
            Counted.read_bytes += len(part)
            return part

    file, sent = Counted(b"x" * 40 * CHUNK), list[str]()

    async def main() -> None:
        gone = asyncio.Event()

        async def receive() -> dict[str, object]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, object]) -> None:
            sent.append(str(message["type"]))
            if len(sent) == 3:
                gone.set()
            await asyncio.sleep(0)

        answer = FileAnswer(file, 40 * CHUNK, "etag", "video/mp4", "a.mp4")
        await answer({"type": "http", "method": "GET", "headers": []}, receive, send)

    asyncio.run(main())
    assert file.closed and Counted.read_bytes < 10 * CHUNK


def test_ranges_of_a_file() -> None:
    assert byte_range("bytes=0-0", 10) == (0, 1) and byte_range("bytes=-3", 10) == (7, 10)
    assert byte_range("bytes=-30", 10) == (0, 10) and byte_range("bytes=10-", 10) == (0, 0)
    assert byte_range("bytes=-0", 10) == (0, 0) and byte_range("bytes=3-2", 10) is None
    assert byte_range("bytes=0-", 0) == (0, 0)
