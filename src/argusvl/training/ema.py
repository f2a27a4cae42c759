"""An exponential moving average of the weights (Polyak averaging), used for evaluation and saved checkpoints."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from argusvl.training.sharding import as_held, local


class ExponentialMovingAverage:
    """Averages the trainable parameters.

    The decay warms up as ``min(decay, (1 + n) / (10 + n))`` over the updates ``n`` (the rule of TensorFlow's
    ``ExponentialMovingAverage``), so that a short run is not dominated by its random start. The average is kept in
    float32: in bfloat16 an update by a thousandth of the difference is rounded away.

    Args:
        parameters: What is averaged, by name. Integer parameters are not.
        decay: Upper bound of the decay, in (0, 1).
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self._decay = decay
        self.follow(parameters)

    def follow(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Starts anew with these parameters."""
        self._parameters = {name: p for name, p in parameters.items() if p.is_floating_point()}
        self.reset()

    def _weights(self) -> list[Tensor]:
        """What of the parameters is held here: averaging and copying go value by value."""
        return [local(p.detach()) for p in self._parameters.values()]

    @torch.no_grad()
    def update(self) -> None:
        """Takes the current weights in. Call it after each optimizer step."""
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        averages = [local(average) for average in self._averages.values()]
        torch._foreach_lerp_(averages, [weight.float() for weight in self._weights()], 1.0 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """In the body the model has the averaged weights; afterwards its own again, bit by bit."""
        targets = self._weights()
        own = [weight.clone() for weight in targets]
        try:
            torch._foreach_copy_(targets, [local(average) for average in self._averages.values()])
            yield
        finally:
            torch._foreach_copy_(targets, own)

    def state(self) -> dict[str, Tensor]:
        """The averages by name, for the checkpoint (beside ``updates``)."""
        return dict(self._averages)

    def restore(self, averages: Mapping[str, Tensor], updates: int) -> None:
        """Takes what :meth:`state` returned.

        Raises:
            KeyError: An average is missing.
        """
        for name, average in self._averages.items():
            average.copy_(as_held(averages[name], average))
        self.updates = updates

    def reset(self) -> None:
        """Starts anew from the current weights."""
        self._averages = {name: p.detach().float().clone() for name, p in self._parameters.items()}
        self.updates = 0
