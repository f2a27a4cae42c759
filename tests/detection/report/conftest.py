"""A page of the report in a headless Chromium, acted on as a reader acts: with keys, pointer and screen sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser


class ReadPage:
    """An open page.

    Attributes:
        tab: Playwright's page.
        complaints: Errors and warnings of the console, and exceptions.
        requests: Addresses that the page asked for, other than its own file and what it carries inside.
    """

    def __init__(self, browser: Browser, width: int, height: int, **options: Any) -> None:
        screen = {"width": width, "height": height}
        context = browser.new_context(viewport=screen, is_mobile=width < 600, offline=True, **options)
        self.tab = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.tab.on(
            "console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text)
        )
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda asked: self._asked(asked.url))

    def _asked(self, url: str) -> None:
        if not url.startswith(("data:", "blob:", "file:")):
            self.requests.append(url)

    def open(self, file: Path) -> None:
        """Goes to a file, and waits until it is loaded."""
        self.tab.goto(file.resolve().as_uri())

    def reads(self, expression: str) -> Any:
        """The value of an expression at once; works also where the page's own scripts do not."""
        return self.tab.evaluate(expression)

    def run(self, expression: str) -> Any:
        """The value of an expression after the next frame has been drawn."""
        return self.reads(
            f"new Promise(done => requestAnimationFrame(() => setTimeout(() => done({expression}))))"
        )

    def press(self, key: str) -> None:
        """Presses and releases a key."""
        self.tab.keyboard.press(key)

    def click(self, selector: str) -> None:
        """Clicks the middle of the first such element."""
        self.tab.click(selector)

    def point(self, selector: str) -> None:
        """Moves the pointer to the middle of the first such element, whatever lies over it."""
        self.tab.locator(selector).first.hover(force=True)


OpenPage = Callable[..., AbstractContextManager[ReadPage]]


@pytest.fixture(scope="session")
def open_page(browser: Browser) -> OpenPage:
    """Opens a file: ``with open_page(file, width, height) as page``; screens below 600 are phones'."""

    @contextmanager
    def opened(file: Path, width: int = 1280, height: int = 900, **options: Any) -> Iterator[ReadPage]:
        page = ReadPage(browser, width, height, **options)
        page.open(file)
        try:
            yield page
        finally:
            page.tab.context.close()

    return opened


@pytest.fixture(scope="module")
def desk(open_page: OpenPage, file: Path) -> Iterator[ReadPage]:
    """The page that a module's fixture ``file`` has written, for the tests that leave it as they find it."""
    with open_page(file) as page:
        yield page


@pytest.fixture
def page(desk: ReadPage, file: Path) -> ReadPage:
    """The same page, freshly loaded."""
    desk.open(file)
    return desk
