"""Hooks that belong to one model: whoever copies or saves the model gets a model that nobody watches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor

from argus_doctor.evidence import Evidence

_FUNCTORCH = torch._C._functorch
_TRACERS = tuple(getattr(torch._C._TorchDispatchModeKey, one) for one in ("FAKE", "PROXY", "FUNCTIONAL"))


def may_look(gradient: Tensor | None = None) -> bool:
    """Whether what is computed now are numbers of the training.

    They are not within a transform of ``torch.func``, nor while a model is traced, exported or run with fake tensors:
    there they have no values, and what is asked of them becomes part of what is traced.

    Args:
        gradient: One that comes back; ``vmap`` of old, as ``torch.autograd.functional`` uses it, is known by it alone.
    """
    # The compiler goes through hooks as through any code: what follows is not for it.
    if torch.compiler.is_compiling():
        return not getattr(torch.compiler, "is_exporting", bool)()
    if _FUNCTORCH.peek_interpreter_stack() is not None or torch._C._get_tracing_state() is not None:
        return False
    if torch._C._len_torch_dispatch_stack() and any(map(torch._C._get_dispatch_mode, _TRACERS)):
        return False
    return gradient is None or not _FUNCTORCH.is_legacy_batchedtensor(gradient)


class Hook:
    """A hook on a module: it looks only where it may, and stops no training. A copy or a pickle of it does nothing.

    Args:
        call: What it does.
        evidence: Takes down what goes wrong.
    """

    def __init__(self, call: Callable[..., None], evidence: Evidence) -> None:
        self._call, self._evidence = call, evidence

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """As a hook is called."""
        if may_look():
            self._evidence.quietly("calls", partial(self._call, *args, **kwargs))

    @property
    def __name__(self) -> NoReturn:
        """What ``torch.jit.script`` asks first."""
        raise AttributeError(
            "a model that is watched cannot be scripted: close() the watch, or script it before"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Of the standard library: a saved model can be read where this package is not.
        return getattr, (contextlib.nullcontext(), "__exit__")
