"""A model that is tried or evaluated in the middle of training is afterwards exactly as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from argusvl.training.randomness import preserved_randomness

_CONTAINERS = {"_parameters", "_buffers", "_modules"}


@contextlib.contextmanager
def preserved(model: nn.Module) -> Iterator[None]:
    """Whatever the body does to them, these are afterwards as they were: random generators, modes, buffers, caches.

    Caches are plain attributes of modules (Qwen2.5-VL's ``rope_deltas`` is one). Weights and gradients are not put
    back.
    """
    modules = list(model.modules())
    attributes = [{k: v for k, v in vars(module).items() if k not in _CONTAINERS} for module in modules]
    buffers = [{name: buffer for name, buffer in m._buffers.items() if buffer is not None} for m in modules]
    contents = [{name: buffer.clone() for name, buffer in held.items()} for held in buffers]
    with preserved_randomness():
        try:
            yield
        finally:
            for module, before, held, content in zip(modules, attributes, buffers, contents, strict=True):
                for name in vars(module).keys() - before.keys() - _CONTAINERS:
                    del vars(module)[name]
                vars(module).update(before)  # `training` is one of them
                with torch.no_grad():
                    for name, buffer in held.items():
                        module._buffers[name] = buffer.copy_(content[name])


@contextlib.contextmanager
def evaluation_sandbox(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients in the body; afterwards everything that it touched is put back."""
    with preserved(model), torch.no_grad():
        model.eval()
        yield
