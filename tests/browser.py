"""Real Chromium, driven by Playwright, for tests of the page, its pictures and its benchmark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

WAIT_S = 60
"""Far above what anything takes on a machine that has nothing else to do."""


def browser_path() -> str | None:
    """Where the browser is; None where there is none."""
    return shutil.which("chromium") or shutil.which("google-chrome")


def why_no_browser() -> str:
    """What keeps the browser from working on this machine; empty where it works."""
    if find_spec("playwright") is None:
        return "no Playwright: pip install playwright"
    return "" if browser_path() else "no Chromium: apt-get install chromium"


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        yield one
        one.close()


def opened(browser: Any, address: str, **options: Any) -> Any:
    """A page in a context of its own; its `errors` has whatever it complains of, and requests to other hosts."""
    page = browser.new_context(**options).new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: None if request.url.startswith(("blob:", address)) else page.errors.append(request.url),
    )
    page.goto(address)
    page.set_default_timeout(1000 * WAIT_S)
    return page


def wait(page: Any, expression: str) -> None:
    """Wait until something is so; what cannot be evaluated, as an element is not there, is not so yet.

    Playwright's own way needs `eval`, which the page's policy forbids.

    Raises:
        AssertionError: It is not so within a minute; says why it could not be evaluated.
    """
    from playwright.sync_api import Error

    why = ""
    for _ in range(10 * WAIT_S):
        try:
            if page.evaluate(expression):
                return
            why = ""
        except Error as error:
            why = f": {error.message.splitlines()[0]}"
        page.wait_for_timeout(100)
    raise AssertionError(f"not so: {expression}{why}")
