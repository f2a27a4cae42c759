"""What the server takes at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a server; each is an option of ``argus serve``.

    In memory are at most ``requests`` times ``bytes``, and two decoded pictures of ``megapixels``.

    Attributes:
        bytes: Of a request's body.
        megapixels: Of a picture, in millions, by its header.
        seconds: From a whole request to its answer.
        body_seconds: From the head of a request to the end of its body; also from a connection to a request's head.
        requests: That are read or answered at once; one more is told to come again.
        connections: Open at once; one more is closed.
        queue: Pictures that wait for a model; one more is told to come again.
        batch: Pictures in a pass of the model.
        wait_ms: How long the first picture of a batch waits for others, milliseconds.
    """

    bytes: int = 16 << 20
    megapixels: float = 64.0
    seconds: float = 30.0
    body_seconds: float = 20.0
    requests: int = 128
    connections: int = 512
    queue: int = 64
    batch: int = 8
    wait_ms: float = 5.0
