"""A headless Chromium for tests, spoken to over its DevTools pipe: no driver, no port, no package.

Pages are acted on as a reader acts: with real keys, pointer and screen sizes. What a page says on its console, and
what it asks of the network, is kept.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
REQUIRED = "ARGUS_REQUIRE_CHROMIUM"
"""Set in CI, where a missing browser must not pass for tests that passed."""

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
_PATIENCE_S = 60.0
_KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Escape": 27,
    "Tab": 9,
    "Enter": 13,
}


def find_chromium() -> str | None:
    """The browser's command, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """A running browser."""

    def __init__(self, command: str, profile: Path) -> None:
        # The browser reads commands from descriptor 3 and writes answers to 4. Copies above 10, so that
        # neither is overwritten before it is moved to its place.
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        copies = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs_in, theirs_out)]

        def place() -> None:
            for copy, fixed in zip(copies, (3, 4), strict=True):
                os.dup2(copy, fixed)

        self._process = subprocess.Popen(
            [command, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=place,
            pass_fds=(3, 4),
        )
        for fd in (theirs_in, theirs_out, *copies):
            os.close(fd)
        self._buffer = b""
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []

    def close(self) -> None:
        """Ends the browser."""
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        number = self._number
        self.wait(lambda: number in self._answers, method)
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]  # type: ignore[no-any-return]

    def wait(self, done: Callable[[], bool], what: str) -> None:
        """Reads messages until something has happened."""
        until = time.monotonic() + _PATIENCE_S
        while not done():
            left = until - time.monotonic()
            assert left > 0, f"Chromium did not answer {what} within {_PATIENCE_S:g} s"
            ready, _, _ = select.select([self._in], [], [], left)
            if not ready:
                continue
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "Chromium has ended"
            *messages, self._buffer = (self._buffer + chunk).split(b"\0")
            for text in messages:
                message = json.loads(text)
                if "id" in message:
                    self._answers[message["id"]] = message
                else:
                    self.events.append(message)

    @contextmanager
    def page(
        self,
        file: Path,
        width: int = 1280,
        height: int = 900,
        *,
        dark: bool = False,
        scripts: bool = True,
        online: bool = False,
    ) -> Iterator[Page]:
        """Opens a file; a width below 600 is a phone's.

        Args:
            file: The HTML file.
            width: Of the screen, in CSS pixels.
            height: Of the screen.
            dark: Whether the reader's system is dark.
            scripts: Whether JavaScript works.
            online: Whether there is a network.
        """
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        page.call(
            "Network.emulateNetworkConditions",
            offline=not online,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )
        page.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        page.prefer(dark)
        page.open(file)
        try:
            yield page
        finally:
            self.call("Target.disposeBrowserContext", browserContextId=context)


class Page:
    """An open page."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self.browser = browser
        self.session = session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command to this page."""
        return self.browser.call(method, self.session, **parameters)

    def events(self, method: str) -> list[dict[str, Any]]:
        """The parameters of this page's events of a kind, so far."""
        return [
            e["params"]
            for e in self.browser.events
            if e.get("sessionId") == self.session and e["method"] == method
        ]

    def open(self, file: Path) -> None:
        """Goes to a file, and waits until it is loaded."""
        before = len(self.events("Page.loadEventFired"))
        self.call("Page.navigate", url=file.resolve().as_uri())
        self.browser.wait(lambda: len(self.events("Page.loadEventFired")) > before, f"loading {file}")

    def prefer(self, dark: bool) -> None:
        """What the reader's system prefers."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def run(self, expression: str) -> Any:
        """The value of an expression in the page, after the next frame has been drawn."""
        return self.reads(
            f"new Promise(done => requestAnimationFrame(() => setTimeout(() => done({expression}))))"
        )

    def reads(self, expression: str) -> Any:
        """The value of an expression at once; works also where the page's own scripts do not."""
        result = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def press(self, key: str) -> None:
        """Presses and releases a key."""
        what: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": _KEYS.get(key, ord(key[0].upper()))}
        if len(key) == 1:
            what["text"] = key
        self.call("Input.dispatchKeyEvent", type="keyDown" if len(key) == 1 else "rawKeyDown", **what)
        self.call("Input.dispatchKeyEvent", type="keyUp", **what)

    def point(self, x: float, y: float) -> None:
        """Moves the pointer."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector: str) -> None:
        """Clicks the middle of an element, which is scrolled into view first."""
        x, y = self.middle(selector)
        self.point(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def middle(self, selector: str) -> tuple[float, float]:
        """Where an element is on the screen, after it was scrolled into view."""
        x, y = self.run(
            f"(() => {{ const part = document.querySelector({json.dumps(selector)});"
            " part.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const box = part.getBoundingClientRect();"
            " return [box.left + box.width / 2, box.top + box.height / 2]; })()"
        )
        return x, y

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and exceptions."""
        said = [e["exceptionDetails"]["text"] for e in self.events("Runtime.exceptionThrown")]
        said += [
            str(e["args"])
            for e in self.events("Runtime.consoleAPICalled")
            if e["type"] in ("error", "warning", "assert")
        ]
        logged = [e["entry"] for e in self.events("Log.entryAdded")]
        return said + [e["text"] for e in logged if e["level"] in ("error", "warning")]

    def requests(self) -> list[str]:
        """Addresses that the page asked for, other than its own files and what it carries inside."""
        urls = [e["request"]["url"] for e in self.events("Network.requestWillBeSent")]
        return [url for url in urls if not url.startswith(("data:", "blob:", "file:"))]

    def screenshot(self, file: Path, whole: bool = False) -> None:
        """A picture of what is seen, or of the whole page."""
        import base64

        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))


@contextmanager
def running(command: str) -> Iterator[Chromium]:
    """A browser with a profile of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Chromium(command, Path(profile))
        try:
            yield browser
        finally:
            browser.close()
