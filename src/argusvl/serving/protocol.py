"""uvicorn's HTTP/1.1 with bounds on what comes before a request: connections, and the time for a request's head.

uvicorn bounds the length of a head and nothing else of it: a client that sends a byte a minute keeps its connection for
ever, and each takes a file descriptor.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from argusvl.serving.limits import Limits
from argusvl.serving.problems import MEDIA_TYPE, ProblemError, busy


def bounded_protocol(limits: Limits) -> type[H11Protocol]:
    """The protocol with the bounds ``connections`` and ``body_seconds``."""

    class Bounded(H11Protocol):
        _head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                self._end_with(busy(f"{limits.connections} connections are open; come again"))
            else:
                self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            self._await_head()  # what is left of a refused body is thrown away meanwhile
            super().on_response_complete()

        def send_400_response(self, msg: str) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self._end_with(ProblemError(400, "this is no HTTP request, or its head is too long"))
            else:
                self.transport.close()

        def _await_head(self) -> None:
            self._stop_timer()
            self._head_timer = self.loop.call_later(limits.body_seconds, self._no_head)

        def _stop_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _no_head(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

        def _end_with(self, problem: ProblemError) -> None:
            body = problem.body()
            lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"]
            lines += [f"content-type: {MEDIA_TYPE}", f"content-length: {len(body)}", "connection: close"]
            lines += [f"{name}: {value}" for name, value in problem.headers.items()]
            self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
            self.transport.close()

    return Bounded
