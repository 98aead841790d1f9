"""The page says what is written in a picture, where that is what was found."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

import mmsearch

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import expect, sync_playwright  # noqa: E402

from tests.serve.browser import browser_path, serving  # noqa: E402

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_sign_is_shown_with_what_is_written_on_it(tmp_path: Path, theme: str) -> None:
    pytest.importorskip("rapidocr")
    path = browser_path()
    (tmp_path / "media").mkdir()
    image = Image.new("RGB", (500, 300), "white")
    ImageDraw.Draw(image).text((20, 30), "PALAIS DU LOUVRE", font=ImageFont.load_default(28), fill="black")
    image.save(tmp_path / "media" / "sign.png")
    with mmsearch.open(tmp_path / "library", ocr="on", workers=1) as library:
        library.ingest(tmp_path / "media")
    with serving(tmp_path) as served, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_context(color_scheme="dark" if theme == "dark" else "light").new_page()
        page.goto(served.sign_in)
        expect(page.get_by_role("searchbox")).to_be_visible(timeout=60_000)
        page.goto(served.url + "/?q=palais+du+louvre")
        told = page.locator(".card-facts .told")
        expect(told).to_have_text("written “PALAIS DU LOUVRE”", timeout=60_000)
        page.locator(".card-link").click()
        expect(page.locator(".facts q")).to_have_text("PALAIS DU LOUVRE", timeout=60_000)
        expect(page.locator(".facts dt", has_text="Written")).to_be_visible()
        browser.close()
