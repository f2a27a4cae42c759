from __future__ import annotations

import pytest
import torch
from torch import nn

from argusvl.visual.loss_landscape import filter_normalised, loss_landscape


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.LayerNorm(27), nn.Linear(27, 2))


def bits(one: nn.Module) -> list[bytes]:
    return [p.detach().numpy().tobytes() for p in one.parameters()]


def test_each_filter_of_a_direction_has_the_norm_of_its_weights() -> None:
    weights = {"conv": torch.randn(3, 2, 5, 5), "linear": torch.randn(4, 6)}
    weights["linear"][1] = 0.0
    for name, direction in filter_normalised(weights, seed=1).items():
        torch.testing.assert_close(direction.flatten(1).norm(dim=1), weights[name].flatten(1).norm(dim=1))
    again = filter_normalised(weights, seed=1)["conv"]
    assert torch.equal(again, filter_normalised(weights, seed=1)["conv"])
    assert not torch.equal(again, filter_normalised(weights, seed=2)["conv"])


def test_the_middle_is_the_model_itself_and_the_weights_are_the_same_bits_afterwards() -> None:
    one = model()
    before, seen = bits(one), set()

    def loss() -> float:
        seen.add(bits(one)[0])
        assert bits(one)[1:4] == before[1:4]  # biases and norms do not move
        return sum(float(p.detach().square().sum()) for p in one.parameters())

    here = loss()
    found = loss_landscape(one, loss, points=5)
    assert found.offsets == (-1.0, -0.5, 0.0, 0.5, 1.0)
    assert [len(row) for row in found.losses] == [5] * 5
    assert found.centre == pytest.approx(here) and len(seen) == 25
    assert bits(one) == before


def test_the_weights_come_back_where_the_loss_fails_or_is_interrupted() -> None:
    one = model()
    before, calls = bits(one), iter(range(100))

    def fails(error: BaseException) -> float:
        if next(calls) % 7 == 6:
            raise error
        return 1.0

    for error in (RuntimeError("out of memory"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            loss_landscape(one, lambda error=error: fails(error), points=5)  # type: ignore[misc]
        assert bits(one) == before
