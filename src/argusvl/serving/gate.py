"""What stands before every request: who asks, how much, how long, how many at once.

Bodies are read here, whole and within bounds, so that nothing behind ever waits for a client.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from argusvl.serving.limits import Limits
from argusvl.serving.metrics import Metrics
from argusvl.serving.problems import ProblemError, busy

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


class Gate:
    """An ASGI application around another, ``app``.

    Args:
        app: Gets requests that may be answered, with their bodies whole.
        limits: ``bytes``, ``body_seconds`` and ``requests``.
        metrics: Count requests.
        hosts: Names in ``Host`` that are answered, without ports; ``None``: any.
        token: What ``Authorization: Bearer`` must hold; ``None``: nothing is asked for.
        open_paths: Answered without the token.
        routes: Paths that metrics name; every other one is "other".
    """

    def __init__(
        self,
        app: App,
        limits: Limits,
        metrics: Metrics,
        *,
        hosts: Iterable[str] | None,
        token: str | None,
        open_paths: Iterable[str],
        routes: Iterable[str],
    ) -> None:
        self.app, self._limits, self._metrics = app, limits, metrics
        self._hosts = None if hosts is None else frozenset(hosts)
        self._token = None if token is None else token.encode()
        self._open_paths, self._routes = frozenset(open_paths), frozenset(routes)
        self._at_once = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, begun = time.monotonic(), 500, False

        async def send_noted(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(h for h in _HEADERS if h[0] not in own)]
            await send(message)

        route = scope["path"] if scope["path"] in self._routes else "other"
        try:
            await self._let_in(scope, receive, send_noted)
        except ProblemError as problem:
            if not begun:
                await problem.response()(scope, receive, send_noted)
        except _GoneError:
            status = 499
        finally:
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.monotonic() - began)

    async def _let_in(self, scope: Message, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        self._check_origin(headers)
        self._check_token(scope["path"], headers)
        if scope["method"] not in _WITH_BODY:
            await self.app(scope, receive, send)
            return
        if int(headers.get(b"content-length", b"0")) > self._limits.bytes:
            raise self._too_large()
        if self._at_once >= self._limits.requests:
            raise busy(f"{self._limits.requests} requests are being answered; come again")
        self._at_once += 1
        self._metrics.at_once.set(self._at_once)
        try:
            await self.app(scope, _replaying(await self._body(receive), receive), send)
        finally:
            self._at_once -= 1
            self._metrics.at_once.set(self._at_once)

    async def _body(self, receive: Receive) -> bytes:
        """A request's body to its end, if that comes in time and before the limit."""
        parts, size, ended = [], 0, False
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while not ended:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self._limits.bytes:
                        parts.clear()  # which the error's traceback would hold
                        raise self._too_large()
                    ended = not message.get("more_body", False)
                return b"".join(parts)
        except TimeoutError:
            seconds = self._limits.body_seconds
            raise ProblemError(
                408, f"the body did not come within {seconds:g} seconds", {"Connection": "close"}
            ) from None

    def _too_large(self) -> ProblemError:
        return ProblemError(413, f"the body has more than {self._limits.bytes} bytes; send a smaller picture")

    def _check_origin(self, headers: dict[bytes, bytes]) -> None:
        """A page of somebody else must reach this server neither by its name (DNS rebinding) nor by a form."""
        if self._hosts is not None:
            host = headers.get(b"host", b"").decode("latin-1").strip().lower()
            name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
            if name not in self._hosts:
                raise ProblemError(421, "this server answers only under the names of this machine")
        if headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
            raise ProblemError(403, "requests from pages of other sites are not answered")

    def _check_token(self, path: str, headers: dict[bytes, bytes]) -> None:
        if self._token is None or path in self._open_paths:
            return
        if not hmac.compare_digest(_shown_token(headers.get(b"authorization", b"")), self._token):
            raise ProblemError(
                401, "send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
            )


def _shown_token(authorization: bytes) -> bytes:
    """The token in the header: ``Bearer TOKEN``, or the password of ``Basic``, which is all that Label Studio knows."""
    scheme, _, given = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return given.strip()
    if scheme.lower() == b"basic":
        with contextlib.suppress(ValueError):
            return base64.b64decode(given.strip(), validate=True).partition(b":")[2]
    return b""


class _GoneError(Exception):
    """The client has gone before its body was whole."""


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Gives the whole body at once; after it, what comes (which can only be that the client has gone)."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
