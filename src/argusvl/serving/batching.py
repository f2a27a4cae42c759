"""Questions that come one by one → passes of the model over several; bounded in length and in time.

While a model works, the questions that come meanwhile wait in its queue and are the next batch. An idle model lets the
first question wait a few milliseconds for others. What a batch cannot do together, as where one picture is too much for
the memory, its questions are asked alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from argusvl.core.logging import get_logger
from argusvl.serving.limits import Limits
from argusvl.serving.metrics import Metrics
from argusvl.serving.problems import busy
from argusvl.task_parts import Endpoint

_log = get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Question:
    endpoint: Endpoint
    prepared: Any
    settings: BaseModel
    answer: asyncio.Future[Any]
    came: float = field(default_factory=time.monotonic)

    @property
    def kind(self) -> Hashable:
        """What is equal among the questions of a batch."""
        return self.endpoint.path, self.endpoint.together(self.settings)


class Batcher:
    """The queue before a model.

    Of the limits, ``queue``, ``batch`` and ``wait_ms`` count; the name stands in the metrics.
    """

    def __init__(self, name: str, limits: Limits, metrics: Metrics) -> None:
        self._name, self._limits, self._metrics = name, limits, metrics
        self._waiting: deque[_Question] = deque()
        self._came = asyncio.Event()
        # One thread: a model answers one batch at a time.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to answer; called in the event loop."""
        self._work = asyncio.create_task(self._answer_forever())

    async def stop(self) -> None:
        """Ends; what still waits is not answered."""
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
        self._thread.shutdown(wait=True, cancel_futures=True)

    @property
    def is_full(self) -> bool:
        """Whether another question would be refused."""
        return len(self._waiting) >= self._limits.queue

    async def ask(self, endpoint: Endpoint, prepared: Any, settings: BaseModel) -> Any:
        """The endpoint's answer; cancelled, the question leaves the queue.

        Raises:
            ProblemError: The queue is full (503).
        """
        if self.is_full:
            raise busy(f"{self._limits.queue} pictures wait already; come again")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        question = _Question(endpoint, prepared, settings, answer)
        self._waiting.append(question)
        self._tell()
        try:
            return await answer
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(question)
            self._tell()

    def _tell(self) -> None:
        self._metrics.queue.labels(self._name).set(len(self._waiting))
        self._came.set()

    async def _answer_forever(self) -> None:
        while True:
            await self._answer(await self._next_batch())

    async def _next_batch(self) -> list[_Question]:
        most = self._limits.batch
        while True:
            while not self._waiting:
                self._came.clear()
                await self._came.wait()
            oldest = self._waiting[0]
            until = oldest.came + self._limits.wait_ms / 1000
            while len(self._waiting) < most and (left := until - time.monotonic()) > 0:
                self._came.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._came.wait(), left)
            if batch := [one for one in self._waiting if one.kind == oldest.kind][:most]:
                for one in batch:
                    self._waiting.remove(one)
                self._tell()
                return batch

    async def _answer(self, batch: Sequence[_Question]) -> None:
        self._metrics.batch.labels(self._name).observe(len(batch))
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        told = await loop.run_in_executor(self._thread, _answers, batch)
        self._metrics.forward.labels(self._name).observe(time.monotonic() - began)
        for question, (answer, error) in zip(batch, told, strict=True):
            if question.answer.done():
                continue  # nobody waits for it any more
            if error is None:
                question.answer.set_result(answer)
            else:
                question.answer.set_exception(error)


def _answers(batch: Sequence[_Question]) -> list[tuple[Any, Exception | None]]:
    """Each question's answer, or why it has none; on the model's thread."""
    try:
        answers = batch[0].endpoint.answer([one.prepared for one in batch], [one.settings for one in batch])
        return [(answer, None) for answer in answers]
    except Exception as error:  # noqa: BLE001 - whatever happens in a model must not end the server
        if len(batch) == 1:
            return [(None, error)]
        _log.warning("a batch of %d failed and is asked one by one: %r", len(batch), error)
        return [told for one in batch for told in _answers([one])]
