"""Running a model in the middle of its training without leaving a trace."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards everything is as it was.

    Restored: every module's train/eval mode (a frozen part may be in eval mode on purpose), the random states
    of Python, NumPy, torch and its CUDA devices, and Qwen2.5-VL's ``rope_deltas``: a forward overwrites it.
    """
    modes = {module: module.training for module in model.modules()}
    deltas = {module: module.rope_deltas for module in modes if hasattr(module, "rope_deltas")}
    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            model.eval()
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        for module, delta in deltas.items():
            module.rope_deltas = delta
        random.setstate(python)
        np.random.set_state(numpy)
