"""The watch in a ``lightning.Trainer``: ``Trainer(..., callbacks=[WatchCallback()])``."""

from __future__ import annotations

from typing import Any

from argus_doctor.errors import ArgusError
from argus_doctor.findings import Finding
from argus_doctor.watch import Watch

try:
    import lightning.pytorch as pl
except ImportError as error:
    raise ArgusError("Lightning is not installed", where=__name__, remedy="pip install lightning") from error


class WatchCallback(pl.Callback):  # type: ignore[misc, unused-ignore]
    """Watches a trainer's training; shows what was found at its end.

    What is watched is the module whose ``training_step`` returns the loss: a model that is an attribute of it is
    watched by its name, so that its calls are seen.

    Args:
        model: The attribute of the Lightning module that the training step calls; the module itself where not said.
        show: Whether findings are shown on the terminal when training ends.
        watching: What :class:`~argus_doctor.watch.Watch` takes further: ``frozen=``, ``source=``, ``probe=``.

    Attributes:
        watch: There once training has begun.
    """

    def __init__(self, model: str | None = None, *, show: bool = True, **watching: Any) -> None:
        self.watch: Watch | None = None
        self._name, self._show, self._watching = model, show, {"source": False, **watching}
        self._val_loss: Any = None

    def report(self) -> list[Finding]:
        """What is wrong, the most probable cause first; nothing before training has begun."""
        return [] if self.watch is None else self.watch.report()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begins to watch."""
        model = pl_module if self._name is None else getattr(pl_module, self._name)
        self.watch = Watch(model, trainer.optimizers, **self._watching)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes down a step, where this batch ended one."""
        if self.watch is not None and self.watch.optimizer_stepped:
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            self.watch.step(loss=loss, batch=batch, val_loss=self._val_loss)
            self._val_loss = None

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Keeps the evaluation's loss, if it was logged, for the next step."""
        self._val_loss = trainer.callback_metrics.get("val_loss")

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Shows what was found, and takes all hooks away."""
        if self.watch is not None:
            if self._show and trainer.is_global_zero:
                self.watch.print()
            self.watch.close()
