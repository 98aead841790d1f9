"""The page in a real browser: each of its features as a person uses it, and no fault of access in any page or theme."""

import base64
import json
import mimetypes
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Locator, Page, expect, sync_playwright  # noqa: E402

from tests.serve.browser import HOSTILE, RIGHT_TO_LEFT, SAMPLES, Served, browser_path, picture_bytes, serving  # noqa: E402

pytestmark = pytest.mark.browser
SLOW_MS = 60_000
expect.set_options(timeout=SLOW_MS)

Opener = Callable[..., Page]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    browser_path()
    with serving(tmp_path_factory.mktemp("page"), "--manage") as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = browser_path()
    with sync_playwright() as started:
        arguments = [
            "--no-sandbox",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            "--mute-audio",
        ]
        launched = started.chromium.launch(executable_path=path, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def opened(browser: Browser, served: Served) -> Iterator[Opener]:
    """Opens a place of the page in a browser that has signed in; whatever a page says on its console fails the test."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def heard(said: ConsoleMessage) -> None:
        if said.type == "error":
            faults.append(said.text)

    def dismissed(dialog: Dialog) -> None:
        faults.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def open_it(place: str = "/", width: int = 1280, height: int = 850, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(SLOW_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", dismissed)
        page.goto(served.sign_in)
        expect(page.get_by_role("searchbox")).to_be_visible()
        if place != "/":
            page.goto(served.url + place)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert faults == []


def cards(page: Page) -> Locator:
    return page.locator(".card")


def names(page: Page) -> list[str]:
    return page.locator(".card-name").all_inner_texts()


def ask(page: Page, words: str) -> None:
    page.get_by_role("searchbox").fill(words)
    page.keyboard.press("Enter")
    expect(page.locator(".found")).to_be_visible()


def hand_over(page: Page, name: str, data: bytes, event: str) -> None:
    """Drop or paste a file."""
    given = [base64.b64encode(data).decode(), name, mimetypes.guess_type(name)[0] or "", event]
    page.evaluate(
        """([data, name, type, event]) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], name, { type }));
          const options = { bubbles: true, cancelable: true };
          document.body.dispatchEvent(event === "drop" ? new DragEvent("drop", { ...options, dataTransfer: transfer })
            : new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
        }""",
        given,
    )


def test_what_is_less_sure_stands_behind_a_divider_and_each_hit_says_how_sure(opened: Opener) -> None:
    page = opened("/?q=a+dog")
    expect(cards(page).first).to_be_visible()
    levels = page.locator(".cards .level").all_inner_texts()
    assert levels and all(level.split()[0] in ("sure", "likely") for level in levels)
    shown = cards(page).count()
    page.get_by_role("button", name="Less sure").click()
    expect(page.locator("#less-sure .card").first).to_be_visible()
    assert cards(page).count() > shown
    assert all(level.startswith("unlikely") for level in page.locator("#less-sure .level").all_inner_texts())


def test_more_like_this_and_less_like_this_become_parts_of_the_query(opened: Opener) -> None:
    page = opened("/?q=gull-over-the-beach.jpg")
    page.locator(".card-link").first.click()
    page.get_by_role("button", name="More like this").click()
    expect(page.locator(".chip.part")).to_contain_text("gull-over-the-beach.jpg")
    expect(cards(page).first).to_be_visible()
    assert not any("gull" in name for name in names(page)), "what is asked with is no answer"
    assert "part=like" in page.url
    page.get_by_label("Weight of gull-over-the-beach.jpg").select_option("2")
    page.wait_for_url("**/*like%3A2%3A*")


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_dropped_or_pasted_file_is_the_query(opened: Opener, served: Served, event: str) -> None:
    page = opened()
    hand_over(page, "unknown.png", picture_bytes(served.media / "photos" / "tennis-serve.jpg"), event)
    expect(page.locator(".chip.part")).to_contain_text("unknown.png")
    expect(page.locator(".card-name").first).to_contain_text("tennis-serve.jpg")


def test_a_chosen_sound_finds_sounds(opened: Opener) -> None:
    page = opened()
    page.set_input_files("input[type=file]", SAMPLES / "sounds" / "rooster-brahma.ogg")
    expect(page.locator(".card-name").first).to_contain_text("rooster-crowing.ogg")


def test_a_file_that_is_no_medium_says_so(served: Served, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(served.sign_in)
    expect(page.get_by_role("link", name="a dog on a beach")).to_be_visible()
    page.wait_for_load_state("networkidle")
    hand_over(page, "nothing.jpg", b"\xff\xd8\xff nothing", "drop")
    expect(page.get_by_role("alert")).to_contain_text("nothing.jpg")
    expect(page.locator(".chip.part")).to_have_count(0)
    context.close()


def test_a_filter_is_a_chip_in_the_language_of_the_shell(opened: Opener) -> None:
    page = opened("/?q=dog")
    page.get_by_role("button", name="Filter", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Size", exact=True).click()
    dialog.get_by_label("From").fill("10kB")
    expect(dialog.locator("code")).to_have_text("size >= 10kB")
    dialog.get_by_role("button", name="Apply").click()
    expect(page.locator(".chip", has_text="size >= 10kB")).to_be_visible()
    assert "filter=size" in page.url
    page.get_by_role("button", name="Remove the filter size >= 10kB").click()
    expect(page.locator(".chip", has_text="size >= 10kB")).to_have_count(0)


def test_a_senseless_filter_says_what_is_wrong(served: Served, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(served.sign_in)
    page.goto(f"{served.url}/?q=dog&filter=colour+%3D+red")
    expect(page.get_by_role("alert")).to_contain_text("colour")
    context.close()


def test_results_are_ordered_by_date_within_what_is_sure(opened: Opener, served: Served) -> None:
    page = opened("/?q=dog")
    expect(cards(page).nth(2)).to_be_visible()
    surest = names(page)
    page.get_by_label("Order").select_option("date")
    page.wait_for_url("**sort=date**")
    newest = sorted(surest, key=lambda name: -os.stat(next(served.media.rglob(name.strip()))).st_mtime)
    assert names(page) == newest != surest


def test_a_name_finds_its_file_in_the_same_box_as_meaning(opened: Opener) -> None:
    page = opened()
    ask(page, "rye-bread.md")
    expect(page.locator(".card-name").first).to_contain_text("rye-bread.md")
    ask(page, "pizza")
    expect(page.locator(".card-name").first).to_contain_text("pizza-and-wine.jpg")


def test_a_video_that_the_browser_can_t_play_is_converted(opened: Opener) -> None:
    page = opened("/?q=old+camera.avi&in=video")
    page.locator(".card-link").first.click()
    expect(page.get_by_text("can't play this file itself")).to_be_visible()
    expect(page.locator("video")).to_have_js_property("videoWidth", 160)


def test_hovering_scrubs_through_a_video_and_leaving_it_ends_that(opened: Opener) -> None:
    page = opened("/?q=flower-opening.webm&in=video")
    face = page.locator(".face.moving").first
    box = face.bounding_box()
    assert box is not None
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.mouse.move(box["x"] + 5, box["y"] + 40)
    first = page.locator(".scrub").first.evaluate("one => one.style.backgroundPosition")
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + 40)
    last = page.locator(".scrub").first.evaluate("one => one.style.backgroundPosition")
    assert first.startswith("0%") and last.startswith("100%")
    assert [url for url in asked if url.endswith("/sprite")]
    page.mouse.move(2, 2)
    expect(page.locator(".scrub")).to_have_count(0)


def test_a_video_plays_from_its_moment_which_is_a_tick_on_its_time_line(opened: Opener) -> None:
    page = opened("/?q=a+big+grey+rabbit&in=video")
    page.locator(".card-link").first.click()
    tick = page.locator(".tick").first
    expect(tick).to_be_visible()
    wanted = page.locator("video").evaluate("video => Number(video.src.match(/#t=([0-9.]+)/)?.[1] ?? 0)")
    tick.click()
    page.wait_for_function("wanted => document.querySelector('video').currentTime >= wanted", arg=wanted)


def test_results_are_walked_opened_and_selected_by_keys(opened: Opener) -> None:
    page = opened("/?q=dog&view=all")
    expect(cards(page).nth(2)).to_be_visible()
    page.locator("body").evaluate("() => document.activeElement.blur()")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.dataset.index") == "1"
    page.keyboard.press("x")
    expect(page.locator(".selection")).to_contain_text("1 selected")
    page.keyboard.press("Enter")
    expect(page.locator("dialog.viewer")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".viewer-place")).to_contain_text("1 of")
    page.keyboard.press("Escape")
    expect(page.locator("dialog.viewer")).to_have_count(0)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.locator("body").evaluate("() => document.activeElement.blur()")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("More like this")


def test_a_range_is_selected_its_paths_copied_and_its_files_saved(opened: Opener, served: Served) -> None:
    page = opened("/?q=dog", permissions=["clipboard-read", "clipboard-write"])
    expect(cards(page).nth(2)).to_be_visible()
    page.get_by_role("checkbox").nth(0).click()
    page.get_by_role("checkbox").nth(2).click(modifiers=["Shift"])
    expect(page.locator(".selection")).to_contain_text("3 selected")
    page.get_by_role("button", name="Copy paths").click()
    expect(page.locator(".said")).to_contain_text("3 paths copied")
    copied = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert len(copied) == 3 and all(Path(path).is_relative_to(served.media) for path in copied)
    page.get_by_role("button", name="Clear the selection").click()
    page.get_by_role("checkbox").nth(0).click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download").click()
    first = Path(copied[0])
    assert saved.value.suggested_filename == first.name
    assert Path(saved.value.path()).read_bytes() == first.read_bytes()


def test_selected_files_are_tagged_and_a_tag_is_a_filter(opened: Opener) -> None:
    page = opened("/?q=pizza-and-wine.jpg")
    page.get_by_role("checkbox").first.click()
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_label("Name of the tag").fill("dinner party")
    page.keyboard.press("Enter")
    expect(page.locator(".said")).to_contain_text("1 file tagged dinner party")
    page.goto(page.url.split("/?")[0] + "/")
    page.get_by_role("link", name="dinner party 1").click()
    expect(page.locator(".card-name").first).to_contain_text("pizza-and-wine.jpg")
    assert cards(page).count() == 1
    page.locator(".card-link").first.click()
    page.get_by_role("button", name="Remove the tag dinner party").click()
    expect(page.locator(".side .chip", has_text="dinner party")).to_have_count(0)


def test_minus_turns_a_part_into_its_opposite(opened: Opener) -> None:
    page = opened("/?q=dog")
    page.locator(".card-link").first.click()
    page.get_by_role("button", name="Less like this").click()
    expect(page.locator(".chip.part.negative")).to_be_visible()
    assert "-0.5" in page.url
    page.get_by_role("button", name="Look for it").click()
    expect(page.locator(".chip.part.negative")).to_have_count(0)


def test_a_sound_shows_its_waveform_with_the_matched_stretch_shaded(opened: Opener) -> None:
    page = opened("/?q=rooster-crowing.ogg&in=audio")
    expect(page.locator(".waveform .peak").first).to_be_attached()
    expect(page.locator(".waveform .matched").first).to_be_attached()
    assert page.locator(".face.sound").first.locator(".peak.inside").count() > 10


def test_folders_are_walked_and_searched(opened: Opener, served: Served) -> None:
    page = opened("/folders")
    page.get_by_role("link", name="media").first.click()
    page.get_by_role("link", name="notes").click()
    expect(page.locator(".card-name", has_text="rye-bread.md")).to_be_visible()
    assert cards(page).count() == 5
    page.get_by_label("Search in notes").fill("dog")
    page.keyboard.press("Enter")
    expect(page.locator(".found")).to_be_visible()
    page.wait_for_url("**folder=**")
    assert all(name.endswith((".md", ".txt")) for name in names(page))


def test_a_search_is_saved_found_again_and_forgotten(opened: Opener) -> None:
    page = opened("/?q=waves&in=audio")
    page.get_by_role("button", name="Save this search").click()
    page.get_by_label("Name of the search").fill("the sea")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="the sea")).to_be_visible()
    page.goto(page.url.split("/?")[0] + "/")
    page.get_by_role("link", name="the sea").click()
    page.wait_for_url("**q=waves**")
    assert "in=audio" in page.url
    page.get_by_role("button", name="Forget the saved search the sea").click()
    expect(page.get_by_role("link", name="the sea")).to_have_count(0)


def test_the_address_is_the_state_and_back_works(opened: Opener) -> None:
    page = opened()
    ask(page, "pizza")
    expect(page.locator(".card-name").first).to_contain_text("pizza")
    ask(page, "rooster")
    expect(page.locator(".card-name").first).to_contain_text("rooster")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("pizza")
    expect(page.locator(".card-name").first).to_contain_text("pizza")
    page.reload()
    expect(page.locator(".card-name").first).to_contain_text("pizza")


def test_duplicates_are_shown_with_the_one_to_keep(opened: Opener) -> None:
    page = opened("/duplicates")
    group = page.locator(".group").first
    expect(group).to_contain_text("dog-at-a-laptop.jpg")
    expect(group).to_contain_text("the same dog.jpg")
    expect(group.locator(".kept")).to_contain_text("keep")


def test_the_microphone_records_and_the_recording_is_the_query(opened: Opener) -> None:
    page = opened("/", permissions=["microphone"])
    page.evaluate(
        """() => {
          const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getUserMedia = (asked) => { window.asked = asked; return given(asked); };
        }"""
    )
    page.get_by_role("button", name="Search with the microphone").click()
    expect(page.get_by_role("timer")).to_contain_text("2 s")
    untouched = {"echoCancellation": False, "noiseSuppression": False, "autoGainControl": False}
    assert page.evaluate("window.asked") == {"audio": untouched}, "what makes speech pleasant ruins other sounds"
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator(".chip.part")).to_contain_text("recording")
    expect(page.locator(".found")).to_be_visible()


def test_the_library_page_shows_counts_failures_and_a_running_ingest(opened: Opener, served: Served) -> None:
    page = opened("/library")
    expect(page.locator(".counts")).to_contain_text("Pictures")
    expect(page.locator("details")).to_contain_text("broken.jpg")
    shutil.copy(SAMPLES / "photos" / "airport-hall.jpg", served.media / "photos" / "airport-hall.jpg")
    pictures = int(page.locator(".counts li").first.locator("strong").inner_text())
    page.get_by_role("button", name="Look for changes").click()
    expect(page.locator(".job").first).to_contain_text("done")
    expect(page.locator(".counts li").first.locator("strong")).to_have_text(str(pictures + 1))


def test_the_models_page_says_which_model_serves(opened: Opener) -> None:
    page = opened("/models")
    expect(page.locator(".model.active")).to_contain_text("starter")


def test_why_a_result_was_found_is_shown_with_its_places(opened: Opener) -> None:
    page = opened("/?q=a+dog&in=image")
    page.locator(".card-link").first.click()
    page.get_by_role("button", name="Why was this found?").click()
    expect(page.locator(".reasons h3").first).to_be_visible()
    expect(page.locator(".overlay .region").first).to_be_attached()


def test_a_moment_is_saved_as_a_clip(opened: Opener) -> None:
    page = opened("/?q=rooster-crowing.ogg&in=audio")
    page.locator(".card-link").first.click()
    page.get_by_label("Clip from").fill("1")
    page.get_by_label("to", exact=True).fill("2")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save this moment as a clip").click()
    data = Path(saved.value.path()).read_bytes()
    assert data[:4] == b"\x1a\x45\xdf\xa3" and len(data) > 1000


def test_the_guide_is_shown_with_its_chapters(opened: Opener) -> None:
    page = opened("/help/filters")
    expect(page.locator("article h1")).to_have_text("Filters")
    assert page.locator("article table").count() >= 1
    page.get_by_role("navigation", name="Help").get_by_role("link", name="Files").click()
    expect(page.locator("article h1")).to_have_text("Files")


def test_names_and_passages_are_never_markup_and_keep_their_direction(opened: Opener) -> None:
    page = opened("/?q=lighthouses&in=text")
    expect(page.locator(".card-name", has_text="<img src=x onerror=alert(1)>")).to_be_visible()
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("bdi", has_text=RIGHT_TO_LEFT).count() >= 1
    page.locator(".card-link", has_text=HOSTILE).first.click()
    expect(page.locator("blockquote")).to_contain_text(HOSTILE)
    assert page.locator("img[src='x']").count() == 0


def test_an_empty_library_explains_how_to_fill_it(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, filled=False) as empty:
        page = browser.new_context().new_page()
        page.goto(empty.sign_in)
        expect(page.get_by_role("heading", name="This library is empty")).to_be_visible()
        expect(page.locator("pre")).to_contain_text("mmsearch ingest")
        page.context.close()


def test_without_the_token_nothing_is_shown_but_how_to_get_in(browser: Browser, served: Served) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{served.url}/?q=dog")
    expect(page.get_by_role("heading", name="This page needs the token")).to_be_visible()
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the token")
    assert cards(page).count() == 0
    context.close()


PLACES = ["/", "/?q=a+dog", "/?q=a+dog&view=lanes", "/folders", "/duplicates", "/library", "/models", "/help/guide"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280, 3840])
def test_no_page_has_a_fault_of_access_or_scrolls_sideways(opened: Opener, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = opened("/", width, 900, color_scheme=scheme, reduced_motion="reduce")
    base = page.url.rstrip("/")
    found: dict[str, list[str]] = {}
    for place in [*PLACES, "viewer", "filter"]:
        if place == "viewer":
            page.goto(f"{base}/?q=a+dog")
            page.locator(".card-link").first.click()
            expect(page.locator("dialog.viewer")).to_be_visible()
        elif place == "filter":
            page.goto(f"{base}/?q=a+dog")
            page.get_by_role("button", name="Filter", exact=True).click()
        else:
            page.goto(base + place)
        page.wait_for_load_state("networkidle")
        told = axe.Axe().run(page).response
        faults = [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in told["violations"]]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            faults.append("scrolls sideways")
        if faults:
            found[place] = faults
    assert found == {}, json.dumps(found, indent=1)
