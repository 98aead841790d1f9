"""The page says what is written in a picture, where that is what was found."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

import mmsearch

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import expect, sync_playwright  # noqa: E402

from tests.serve.browser import browser_path, serving  # noqa: E402

pytestmark = [pytest.mark.browser, pytest.mark.slow]


SIGN = "PALAIS DU LOUVRE"


@pytest.mark.parametrize(("theme", "size"), [("light", (500, 300)), ("dark", (330, 900))])
def test_a_sign_is_shown_with_what_is_written_on_it_and_where(
    tmp_path: Path, theme: str, size: tuple[int, int]
) -> None:
    pytest.importorskip("rapidocr")
    path = browser_path()
    (tmp_path / "media").mkdir()
    image, font = Image.new("RGB", size, "white"), ImageFont.load_default(28)
    ImageDraw.Draw(image).text((20, 30), SIGN, font=font, fill="black")
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
        expect(told).to_have_text(f"written “{SIGN}”", timeout=60_000)
        page.locator(".card-link").click()
        expect(page.locator(".facts q")).to_have_text(SIGN, timeout=60_000)
        expect(page.locator(".facts dt", has_text="Written")).to_be_visible()
        frame = page.get_by_label("Where it was found in the picture").locator("rect")
        drawn, shown = frame.bounding_box(), page.locator(".medium img").bounding_box()
        assert drawn is not None and shown is not None
        # The picture is fitted into its element; its letters begin 20 pixels from the left and are 30 from the top.
        scale = min(shown["width"] / size[0], shown["height"] / size[1])
        left = shown["x"] + (shown["width"] - size[0] * scale) / 2
        top = shown["y"] + (shown["height"] - size[1] * scale) / 2
        assert (drawn["x"] - left) / scale == pytest.approx(20, abs=12)
        assert (drawn["y"] - top) / scale == pytest.approx(30, abs=12)
        assert drawn["width"] / scale == pytest.approx(font.getlength(SIGN), abs=20)
        assert drawn["height"] / scale == pytest.approx(30, abs=14)
        browser.close()
