"""The watch in a ``transformers.Trainer``: ``Trainer(..., callbacks=[WatchCallback()])``."""

from __future__ import annotations

import contextlib
from typing import Any

from torch import nn
from transformers import TrainerCallback

from argus_doctor.findings import Finding
from argus_doctor.watch import Watch


class WatchCallback(TrainerCallback):
    """Watches a trainer's training; shows what was found at its end.

    The loss of a step and its targets are those that the model is called with and returns; a trainer that computes
    its loss outside of the model shows its logged loss only. No source is read: the loop is the library's.

    Args:
        show: Whether findings are shown on the terminal when training ends.
        watching: What :class:`~argus_doctor.watch.Watch` takes further: ``frozen=``, ``probe=``.

    Attributes:
        watch: There once training has begun.
    """

    def __init__(self, *, show: bool = True, **watching: Any) -> None:
        self.watch: Watch | None = None
        self._show, self._watching = show, {"source": False, **watching}
        self._handles: list[Any] = []
        self._batch: Any = None
        self._loss: Any = None
        self._val_loss: float | None = None

    def report(self) -> list[Finding]:
        """What is wrong, the most probable cause first; nothing before training has begun."""
        return [] if self.watch is None else self.watch.report()

    def on_train_begin(self, *_: Any, **kwargs: Any) -> None:
        """Begins to watch."""
        model: nn.Module = kwargs["model"]
        self.watch = Watch(model, kwargs["optimizer"], **self._watching)
        self._handles = [model.register_forward_hook(self._see, with_kwargs=True)]

    def _see(self, module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        if not module.training:
            return
        self._batch = kwargs or args
        loss = output.get("loss") if hasattr(output, "get") else None
        self._loss = loss if loss is not None else self._loss

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Takes down a step."""
        if self.watch is not None:
            self.watch.step(
                loss=self._loss, batch=self._batch, targets=_labels(self._batch), val_loss=self._val_loss
            )
        self._batch = self._loss = self._val_loss = None

    def on_evaluate(self, *_: Any, **kwargs: Any) -> None:
        """Keeps the evaluation's loss for the next step."""
        self._val_loss = (kwargs.get("metrics") or {}).get("eval_loss")

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Takes all hooks away, and shows what was found."""
        for handle in self._handles:
            handle.remove()
        if self.watch is not None:
            if self._show:
                with contextlib.suppress(BrokenPipeError):
                    self.watch.print()
            self.watch.close()


def _labels(batch: Any) -> Any:
    """What a batch calls so; the batch where it calls nothing so."""
    if isinstance(batch, dict):
        return next((batch[name] for name in ("labels", "label_ids") if name in batch), batch)
    return batch
