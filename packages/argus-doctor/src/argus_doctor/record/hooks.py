"""Hooks that belong to one model: whoever copies or saves the model gets a model that nobody watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Hook:
    """A hook on a module. Copies of it, and what is read back of a pickle, do nothing.

    Args:
        call: What it does.
    """

    def __init__(self, call: Callable[..., None]) -> None:
        self._call = call

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """As a hook is called."""
        self._call(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., None]:
        return nothing

    def __reduce__(self) -> tuple[Any, ...]:
        return Hook, (nothing,)


def nothing(*_: Any, **__: Any) -> None:
    """What a copy does."""
