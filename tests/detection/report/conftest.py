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
        self._scripts: bool = options.get("java_script_enabled", True)
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

    def run(self, expression: str) -> Any:
        """The value of an expression after the next frame has been drawn; at once where the page runs no scripts."""
        if self._scripts:
            expression = (
                f"new Promise(done => requestAnimationFrame(() => setTimeout(() => done({expression}))))"
            )
        return self.tab.evaluate(expression)

    def of_first(self, selector: str, expression: str) -> Any:
        """The value of an expression of ``e``, the first such element."""
        return self.run(f"(e => {expression})(document.querySelector({selector!r}))")

    def of_each(self, selector: str, expression: str = "e.textContent") -> list[Any]:
        """The same of every such element; by default their texts."""
        found: list[Any] = self.run(f"[...document.querySelectorAll({selector!r})].map(e => {expression})")
        return found

    def text(self, selector: str) -> str:
        """What the first such element says."""
        return str(self.of_first(selector, "e.textContent"))

    def seen(self, selector: str) -> int:
        """How many such elements take up room on the page."""
        return sum(self.of_each(selector, "e.getClientRects().length > 0"))

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
