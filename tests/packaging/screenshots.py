"""The pictures of the page in the README: `python -m tests.packaging.screenshots` serves the samples and takes them.

It needs a browser (`tests.serve.browser`) and Playwright.
"""

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.conftest import CHECKOUT
from tests.serve.browser import SAMPLES, browser_path, serving

FOLDER = CHECKOUT / "tests" / "assets"
WIDTH, HEIGHT = 1280, 800
PLACES = {"page-light": ("light", "/?q=a+kitchen"), "page-dark": ("dark", "/?q=waves+rolling+onto+a+beach")}


def save(page: Page, name: str) -> Path:
    """What the page shows, as WebP: a tenth of a PNG."""
    path = FOLDER / f"{name}.webp"
    with Image.open(io.BytesIO(page.screenshot())) as image:
        image.convert("RGB").save(path, "WEBP", quality=82, method=6)
    return path


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        command = [sys.executable, "-m", "mmsearch", "ingest", str(SAMPLES), "--library", str(place / "library")]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, check=True, capture_output=True)
        with serving(place) as served, sync_playwright() as started:
            browser = started.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
            for name, (scheme, address) in PLACES.items():
                size = {"width": WIDTH, "height": HEIGHT}
                context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
                page = context.new_page()
                page.goto(served.sign_in)
                page.goto(served.url + address)
                page.get_by_role("button", name="Less sure").click()
                page.mouse.move(0, 0)
                page.evaluate("scrollTo(0, 0)")
                page.wait_for_load_state("networkidle")
                print(save(page, name))
                context.close()
            browser.close()


if __name__ == "__main__":
    main()
