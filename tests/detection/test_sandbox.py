from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from argusvl.detection.sandbox import undisturbed


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_random_states_modes_and_rope_deltas_are_as_before() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Linear(2, 2))
    model[1].rope_deltas = torch.ones(1)  # type: ignore[assignment]
    model[0].eval()  # frozen on purpose

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = [draw(), draw()]
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    first = draw()
    with undisturbed(model):
        assert not any(m.training for m in model.modules())
        assert not torch.is_grad_enabled()
        draw()
        model[1].rope_deltas = None  # type: ignore[assignment]
    assert [first, draw()] == expected
    assert [m.training for m in model] == [False, True]
    assert torch.is_grad_enabled()
    assert torch.equal(model[1].rope_deltas, torch.ones(1))  # type: ignore[arg-type]


def test_an_error_inside_restores_as_well() -> None:
    model = nn.Sequential(nn.Dropout())
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with pytest.raises(ValueError, match="inside"), undisturbed(model):
        torch.rand(5)
        raise ValueError("inside")
    assert model.training
    assert torch.equal(torch.rand(2), expected)
