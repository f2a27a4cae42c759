"""The process: loads, listens, answers, and at SIGTERM finishes what it has taken."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

import uvicorn

from argusvl.core.errors import ArgusError, ConfigError
from argusvl.serving.gate import Gate
from argusvl.serving.limits import Limits
from argusvl.serving.protocol import bounded_protocol

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_KEEP_ALIVE_SECONDS = 15
_LONGEST_HEAD = 32 << 10
_BACKLOG = 1024


class Server(uvicorn.Server):
    """uvicorn's, whose end by a signal is an ordinary one: what was taken is answered, and the exit code is 0."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, and says so."""
        await super().startup(sockets)
        self._on_start()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first SIGTERM or SIGINT ends in order, a second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Takes no more connections."""
        self.force_exit = self.should_exit
        self.should_exit = True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound, before anything is loaded.

    Raises:
        ArgusError: The address is taken, or is none of this machine's.
    """
    try:
        (family, kind, proto, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        bound = socket.socket(family, kind, proto)
    except OSError as error:
        raise _cannot_listen(host, port, error) from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _cannot_listen(host, port, error) from None
    return bound


def make_server(gate: Gate, limits: Limits, on_start: Callable[[], None] = lambda: None) -> Server:
    """A server that answers by the gate; ``on_start`` is called when it listens."""
    config = uvicorn.Config(
        app=gate,
        http=bounded_protocol(limits),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(limits.seconds + limits.body_seconds) + 1,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # Of malformed forms, whose sender is told.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    return Server(config, on_start)


def require_token_beyond_loopback(host: str, token: str | None) -> None:
    """What others can reach is not open to everyone by mistake.

    Raises:
        ConfigError: The address is reachable from elsewhere, and no token is asked for.
    """
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"{host} can be reached from other machines, and everyone could ask",
            where="--host",
            remedy="give --token-file FILE, or listen on 127.0.0.1 behind a proxy that knows its users",
        )


def allowed_hosts(host: str, also: Sequence[str]) -> list[str] | None:
    """Names in ``Host`` that are answered: on loopback this machine's, elsewhere any, or those that are given."""
    if is_loopback(host):
        return [*LOOPBACK_NAMES, f"[{host}]" if ":" in host else host.lower(), *map(str.lower, also)]
    return [name.lower() for name in also] or None


def _cannot_listen(host: str, port: int, error: OSError) -> ArgusError:
    return ArgusError(
        f"cannot listen on {host}:{port}: {error.strerror}",
        where="--host, --port",
        remedy="choose another port, or end what listens there",
    )
