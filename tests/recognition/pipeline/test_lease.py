"""The device lease: one model at a time, outputs of their own on the CPU, and memory that comes back, or an error."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from argusvl.core.errors import ModelError
from argusvl.recognition.pipeline.lease import lease

MIB = 2**20


class Wide(nn.Module):
    """A layer of so many MiB."""

    def __init__(self, mib: int = 1) -> None:
        super().__init__()
        self.layer = nn.Linear(256, mib * MIB // 1024, bias=False)
        self.register_buffer("shift", torch.zeros(1))

    def forward(self, values: Tensor) -> Tensor:
        out: Tensor = self.layer(values) + self.shift
        return out


class Holder:
    """As a backbone is: no module itself, its network an attribute."""

    def __init__(self) -> None:
        self._network = Wide()

    def embed(self, batch: Tensor) -> Tensor:
        vectors: Tensor = self._network(batch)
        return vectors


def made(_: torch.device) -> Wide:
    return Wide()


def parts_of(model: Wide) -> list[weakref.ref[Any]]:
    return [weakref.ref(part) for part in (model, model.layer, model.layer.weight, model.shift)]


def test_outputs_are_copies_of_their_own_without_a_graph_that_can_be_trained_on() -> None:
    def embed(model: Wide) -> Tensor:
        with torch.inference_mode():
            return model(torch.ones(1, 256))

    with lease(made, name="wide") as leased:
        output = leased.run(lambda model: model(torch.ones(2, 256)))
        weight = leased.run(lambda model: model.layer.weight)
        part = leased.run(lambda model: model(torch.ones(64, 256))[:, 0])
        vectors = leased.run(embed)
    assert output.shape == (2, 1024) and not output.requires_grad
    assert weight.grad_fn is None and not isinstance(weight, nn.Parameter)
    assert part.untyped_storage().nbytes() == 64 * 4  # not the whole that it is of
    nn.Linear(1024, 2)(vectors).sum().backward()
    assert leased.report is not None and leased.report.model_bytes == MIB + 4


def test_tensors_are_found_at_any_depth() -> None:
    def results(model: Wide) -> dict[str, Any]:
        weight = model.layer.weight
        return {
            "plain": "text",
            "nested": {"label": "a", "vectors": [weight[:1]]},
            "output": BaseModelOutput(last_hidden_state=weight),
            "pair": (weight, 3),
            "named": weight.max(dim=0),
        }

    with lease(made, name="wide") as leased:
        found = leased.run(results)
    assert found["plain"] == "text" and found["pair"][1] == 3 and found["nested"]["label"] == "a"
    assert isinstance(found["output"], BaseModelOutput)
    assert torch.equal(found["output"].last_hidden_state[:1], found["nested"]["vectors"][0])
    assert found["named"].values.grad_fn is None


def test_nothing_of_the_model_is_left_and_the_memory_is_back() -> None:
    alive: list[weakref.ref[Any]] = []

    def load(_: torch.device) -> Wide:
        model = Wide(48)
        alive.extend(parts_of(model))
        return model

    with lease(load, name="wide") as leased:
        leased.run(lambda model: model(torch.ones(1, 256)))
        assert all(part() is not None for part in alive)
    assert len(alive) == 4 and all(part() is None for part in alive)
    report = leased.report
    assert report is not None
    assert report.resident_loaded - report.resident_before > 44 * MIB
    assert report.resident_loaded - report.resident_after > 44 * MIB


def test_a_loaded_model_is_in_evaluation_mode() -> None:
    with lease(lambda _: nn.Sequential(nn.Dropout(0.5)), name="dropout") as leased:
        assert leased.run(lambda model: model.training) is False


def test_a_backbone_is_no_module_and_its_network_is_released() -> None:
    with lease(lambda _: Holder(), name="holder") as leased:
        leased.run(lambda holder: holder.embed(torch.ones(1, 256)))
    assert leased.report is not None and leased.report.model_bytes == MIB + 4


HELD: dict[str, Callable[[Wide], object]] = {
    "list": lambda model: [model],
    "weight": lambda model: model.layer.weight,
    "view": lambda model: model.layer.weight.detach()[:1],
    "hook": lambda model: functools.partial(print, model.layer),
}


@pytest.mark.parametrize("way", HELD)
def test_a_model_that_is_still_held_is_reported(way: str) -> None:
    kept: list[object] = []
    error = "1.0 of the model's 1.0 MiB are still there"
    with pytest.raises(ModelError, match=error) as raised, lease(made, name="wide") as leased:
        leased.run(lambda model: kept.append(HELD[way](model)))
    assert "wide" in str(raised.value) and "keep no module" in str(raised.value)
    kept.clear()
    with lease(made, name="again"):
        pass  # the device is free for the next


def test_a_model_that_was_there_before_and_stays_is_reported() -> None:
    model = Wide()
    with pytest.raises(ModelError, match="load it inside the function"), lease(lambda _: model, name="old"):
        pass


def test_a_constant_that_a_model_shares_with_others_may_stay() -> None:
    constant = torch.ones(3)

    def load(_: torch.device) -> Wide:
        model = Wide()
        model.mean = constant
        return model

    with lease(load, name="wide"):
        pass
    assert constant.sum() == 3


def test_leases_on_one_device_do_not_nest() -> None:
    with lease(made, name="caption"):
        second = lease(made, torch.device("cpu", 0), name="detect")
        with pytest.raises(ModelError, match="'caption' is resident on cpu, so 'detect'"), second:
            pass
    with lease(made, name="detect"):
        pass


def test_an_error_inside_goes_on_and_its_traceback_holds_no_model() -> None:
    parts: list[weakref.ref[Any]] = []

    def fail(model: Wide) -> None:
        parts.extend(parts_of(model))
        model(torch.ones(1, 3))

    error = "shapes cannot be multiplied"
    with pytest.raises(RuntimeError, match=error) as raised, lease(made, name="wide") as leased:
        leased.run(fail)
    assert raised.tb and parts and all(part() is None for part in parts)


def test_an_error_that_has_a_cause_holds_no_model_by_it() -> None:
    weights: list[weakref.ref[Any]] = []

    def fail(model: Wide) -> None:
        weights.append(weakref.ref(model.layer.weight))
        raise MemoryError

    with pytest.raises(ValueError, match="a smaller batch") as raised, lease(made, name="wide") as leased:
        try:
            leased.run(fail)
        except MemoryError as error:
            raise ValueError("a smaller batch") from error
    assert raised.value.__cause__ is not None and weights[0]() is None


def test_an_error_inside_keeps_its_place_where_memory_did_not_come_back_either() -> None:
    kept: list[Wide] = []
    with pytest.raises(KeyboardInterrupt), lease(made, name="wide") as leased:
        leased.run(kept.append)
        raise KeyboardInterrupt
    assert kept
    with lease(made, name="again"):
        pass  # the device is free for the next


def test_a_failed_load_leaves_the_device_free_and_nothing_behind() -> None:
    made_before_failing: list[weakref.ref[Any]] = []

    def load(_: torch.device) -> Wide:
        model = Wide()
        made_before_failing.append(weakref.ref(model))
        raise OSError("no weights")

    with pytest.raises(OSError, match="no weights"), lease(load, name="wide"):
        pass
    assert made_before_failing[0]() is None


def test_an_ended_lease_is_of_no_use() -> None:
    with lease(made, name="wide") as leased:
        pass
    with pytest.raises(ModelError, match="has ended"):
        leased.run(lambda model: model)
