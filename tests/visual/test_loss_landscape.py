from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from torch import nn

from argusvl.visual.loss_landscape import (
    Landscape,
    contour,
    filter_normalised,
    landscape_chart,
    loss_landscape,
)


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


def bowl(points: int = 5) -> Landscape:
    offsets = tuple(2 * i / (points - 1) - 1 for i in range(points))
    return Landscape(offsets, tuple(tuple(1 + x * x + y * y for x in offsets) for y in offsets))


def test_a_contour_is_where_the_level_is() -> None:
    line = contour(np.array([[0.0, 1.0], [0.0, 1.0]]), 0.25)
    assert line == "M250.0 0.0L250.0 400.0"
    assert contour(np.zeros((3, 3)), 1.0) == ""


def test_a_landscape_is_drawn_and_losses_that_are_not_finite_are_counted() -> None:
    chart = landscape_chart(bowl())
    ET.fromstring(chart.svg)
    assert chart.svg.count('class="contour"') == 9 and not chart.warning
    assert "1 in the middle, up to 3" in chart.title
    rows = [list(row) for row in bowl().losses]
    rows[0][0] = math.inf
    some = landscape_chart(Landscape(bowl().offsets, tuple(map(tuple, rows))))
    assert some.warning == "1 of 25 losses not finite, drawn as the highest" and some.svg
    none = landscape_chart(Landscape((-1.0, 0.0, 1.0), ((math.nan,) * 3,) * 3))
    assert not none.svg and none.warning
    flat = landscape_chart(Landscape((-1.0, 0.0, 1.0), ((2.0,) * 3,) * 3))
    assert flat.svg and "contour" not in flat.svg
