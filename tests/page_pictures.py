"""`python -m tests.page_pictures FOLDER`: pictures of the page of `keepbusy serve --demo`, as the docs show it.

Real Chromium, real streets: desktop in both themes, in Chinese, one stream enlarged, the engine, a phone. Each is a
WebP of 1280 pixels at most across. Look at them before you put them into docs/images.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil

from tests.browser import chromium, opened, wait, why_no_browser
from tests.served import Server, begin, soon

MAX_WIDTH = 1280
MAX_BYTES = 150_000

IS_LIVE = "document.querySelectorAll('.state.good').length"
SETTLE_MS = 12_000
"""Numbers look back ten seconds: before that they tell of the start."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture.

    Attributes:
        name: Of its file, without the ending.
        size_wh: Of the window, pixels.
        act: What is done before.
        options: Of the browser's context.
    """

    name: str
    size_wh: tuple[int, int]
    act: Callable[[Any], None] = lambda page: None
    options: tuple[tuple[str, Any], ...] = ()


def why_no_chinese() -> str:
    """Why the browser cannot show Chinese: it draws boxes where no font has the character. Empty where it can."""
    try:
        fonts = subprocess.run(["fc-list", ":lang=zh"], capture_output=True, check=False).stdout
    except FileNotFoundError:
        return "fc-list is not installed: apt install fontconfig"
    return "" if fonts.strip() else "no font has Chinese characters: apt install fonts-noto-cjk"


def _enlarge(page: Any) -> None:
    page.locator(".tile").nth(1).click()
    wait(page, "!document.querySelector('#large .screen').classList.contains('stale')")
    page.wait_for_timeout(1000)


def _show_engine(page: Any) -> None:
    page.keyboard.press("e")
    wait(page, "document.querySelectorAll('#stages .bar').length >= 4")
    page.wait_for_timeout(3000)


def _speak_chinese(page: Any) -> None:
    page.click("#language")
    _show_engine(page)


DESKTOP = (1280, 980)

SHOTS = (
    Shot("serve", DESKTOP),
    Shot("serve-dark", DESKTOP, options=(("color_scheme", "dark"),)),
    Shot("serve-zh", (1280, 1100), _speak_chinese),
    Shot("serve-large", (1280, 760), _enlarge),
    Shot("serve-engine", (1280, 700), _show_engine, (("color_scheme", "dark"),)),
    Shot("serve-phone", (390, 844), options=(("device_scale_factor", 2), ("is_mobile", True), ("has_touch", True))),
)


def take(browser: Any, server: Server, shot: Shot, folder: Path) -> Path:
    """Make one picture.

    Raises:
        AssertionError: The page complains of something.
    """
    from PIL import Image

    width, height = shot.size_wh
    options = {"locale": "en-GB", "color_scheme": "light", **dict(shot.options)}
    page = opened(browser, server.address, viewport={"width": width, "height": height}, **options)
    wait(page, f"{IS_LIVE} >= {server.num_running()}")
    page.wait_for_timeout(2000)
    shot.act(page)
    page.evaluate("document.activeElement.blur()")
    picture = Image.open(BytesIO(page.screenshot()))
    errors = page.errors
    page.context.close()
    assert errors == [], errors
    picture.thumbnail((MAX_WIDTH, 10_000))
    path = folder / f"{shot.name}.webp"
    for quality in range(90, 40, -5):
        picture.convert("RGB").save(path, quality=quality, method=6)
        if path.stat().st_size <= MAX_BYTES:
            break
    return path


def main() -> int:
    """Make all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", choices=[one.name for one in SHOTS])
    options = parser.parse_args()
    if missing := why_no_browser() or why_no_chinese():
        print(missing, file=sys.stderr)
        return 1
    options.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        begin("--demo", "--port", "0", folder=Path(folder)) as process,
        chromium() as browser,
    ):
        server = Server(process)
        try:
            for one in psutil.Process().children(recursive=True):
                if one.pid != process.pid:
                    one.nice(15)  # The browser draws on the same cores, and is not to take the server's.
            soon(lambda: server.ask("/readyz").status == 200 and server.num_running() == 4, "the streets do not run")
            browser.new_page().wait_for_timeout(SETTLE_MS)
            for shot in SHOTS:
                if options.only is None or shot.name in options.only:
                    path = take(browser, server, shot, options.folder)
                    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
        finally:
            server.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
