"""A training comes out the same, bit for bit, with and without a watch on it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_doctor import Watch


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(2, 12, batch_first=True, num_layers=2, dropout=0.3), nn.Linear(12, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.gru(inputs.reshape(-1, 4, 2))[0][:, -1])


class Restless(nn.Module):
    """Draws at chance from every source, in training and evaluation, and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        chance = torch.rand(()) + random.random() + float(np.random.rand())
        return self.head(inputs + 0.01 * chance)


class Carrying(nn.Module):
    """Keeps its hidden state, a running mean and what it was called with where no buffer is."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, 3)
        self.state: Any = None
        self.mean, self.lengths = torch.zeros(8), list[int]()

    def forward(self, inputs: Tensor) -> Tensor:
        out, state = self.cell(inputs[:, None], self.state)
        self.state = tuple(one.detach() for one in state)
        self.mean.mul_(0.9).add_(out.detach().mean((0, 1)))
        self.lengths.append(len(inputs))
        return self.head(out[:, 0] + self.mean) * (1 + 0.1 * len(self.lengths))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "dropout": lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3)),
    "batch-norm": lambda: nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)),
    "recurrent": Recurrent,
    "attention": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 4)),
        nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
        nn.Flatten(),
        nn.Linear(8, 3),
    ),
    "in-place": lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(inplace=True), nn.Linear(16, 3)),
    "restless": Restless,
    "carrying": Carrying,
}

State = tuple[list[float], dict[str, Tensor], Tensor, float, float]


def run(build: Callable[[], nn.Module], watched: bool, broken_at: int, probe: bool = False) -> State:
    """16 steps, with an evaluation now and then; beyond the probe at step 12."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    watch = Watch(model, optimizer, source=False, probe=probe) if watched else None
    losses = []
    for step in range(1, 17):
        inputs = torch.randn(12, 8)
        targets = inputs[:, :3].argmax(1)
        if step == broken_at:
            inputs[0, 0] = torch.inf
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if watch is not None:
            watch.step(loss=loss, batch=(inputs, targets))
        if step % 5 == 0:
            model.eval()
            with torch.no_grad():
                losses.append(model(inputs).sum().item())
            model.train()
    if watch is not None:
        watch.report()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert all(module.training for module in model.modules())
    return losses, state, torch.get_rng_state(), random.random(), float(np.random.rand())


@pytest.mark.parametrize("broken_at", [0, 14])
@pytest.mark.parametrize("probe", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_training_is_the_same_bit_for_bit(name: str, probe: bool, broken_at: int) -> None:
    losses, state, chance, *others = run(MODELS[name], False, broken_at)
    losses_there, state_there, chance_there, *others_there = run(MODELS[name], True, broken_at, probe)
    np.testing.assert_array_equal(losses, losses_there)
    assert list(state) == list(state_there)
    for key, value in state.items():
        assert torch.equal(value.nan_to_num(7.0), state_there[key].nan_to_num(7.0)), key
    assert torch.equal(chance, chance_there) and others == others_there
