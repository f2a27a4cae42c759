"""Figures of a server for Prometheus; labels are names of our own, so that no request can make new ones."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_PICTURES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """What a server counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        on = self.registry
        self.requests = Counter("argus_requests", "Requests", ["route", "status"], registry=on)
        self.seconds = Histogram(
            "argus_request_seconds", "Request to answer", ["route"], registry=on, buckets=_SECONDS
        )
        self.at_once = Gauge("argus_requests_at_once", "Requests read or answered now", registry=on)
        self.queue = Gauge("argus_queue_pictures", "Pictures that wait", ["model"], registry=on)
        self.batch = Histogram(
            "argus_batch_pictures", "Pictures in a pass", ["model"], registry=on, buckets=_PICTURES
        )
        self.forward = Histogram(
            "argus_batch_seconds", "Seconds of a pass", ["model"], registry=on, buckets=_SECONDS
        )

    def text(self) -> bytes:
        """In the format that Prometheus reads."""
        return generate_latest(self.registry)
