from __future__ import annotations

import pytest
import torch
from torch import nn

from argusvl.visual.feature_statistics import LayerStatistics, layer_statistics


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def small() -> nn.Sequential:
    """Of its second layer, two of three units are dead."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout(0.5))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        model[0].bias.copy_(torch.tensor([0.0, -100.0, 0.0]))
    return model.eval()


def statistics(model: nn.Module, batch: torch.Tensor) -> dict[str, LayerStatistics]:
    return {one.name: one for one in layer_statistics(model, lambda: model(batch))}


def test_statistics_and_dead_units_of_each_layer() -> None:
    found = statistics(small(), torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    assert list(found) == ["0", "1"]  # dropout says nothing of its own
    relu = found["1"]
    assert (relu.kind, relu.units, relu.dead, relu.minimum, relu.maximum) == ("ReLU", 3, 2, 0.0, 3.0)
    assert relu.mean == pytest.approx(4 / 6) and relu.std == pytest.approx((10 / 6 - (4 / 6) ** 2) ** 0.5)
    assert relu.dead_share == pytest.approx(2 / 3)
    assert found["0"].dead == 1 and found["0"].minimum == -100.0


def test_channels_are_the_units_of_a_convolution_and_a_shared_layer_counts_all_its_calls() -> None:
    conv = nn.Conv2d(1, 4, 1, bias=False)
    with torch.no_grad():
        conv.weight.zero_()[0] = 1.0
    one = statistics(nn.Sequential(conv), torch.ones(2, 1, 5, 5))["0"]
    assert (one.units, one.dead) == (4, 3)
    relu = nn.ReLU()
    shared = nn.ModuleDict({"act": relu})
    (both,) = layer_statistics(
        shared, lambda: (relu(torch.tensor([[1.0, -1.0]])), relu(torch.tensor([[-1.0, 1.0]])))
    )
    assert both.dead == 0 and both.mean == 0.5


def test_values_that_are_not_finite_are_counted_and_their_units_are_not_dead() -> None:
    one = statistics(small(), torch.tensor([[torch.nan, 0.0], [1.0, 0.0]]))["0"]
    assert one.not_finite == 3 and one.maximum == 1.0
    assert one.dead == 0


def test_hooks_are_removed_and_weights_untouched_even_where_the_model_fails() -> None:
    model = small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layer_statistics(model, lambda: model(torch.ones(1, 2)))
    assert hooks(model) == 0
    with pytest.raises(RuntimeError):
        layer_statistics(model, lambda: model(torch.ones(1, 7)))
    assert hooks(model) == 0 and not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
