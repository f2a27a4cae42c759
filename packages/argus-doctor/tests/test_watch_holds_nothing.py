"""A watch holds no model, batch, output or gradient, and what it keeps does not grow with the training."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_doctor import Watch
from argus_doctor.evidence import Step
from argus_doctor.record.bounded import Course, Ends
from argus_doctor.record.seen import SeenSamples


def step_of(
    model: nn.Module, optimizer: torch.optim.Optimizer, watch: Watch, inputs: Tensor, targets: Tensor
) -> Tensor:
    optimizer.zero_grad()
    outputs = model(inputs)
    loss = F.cross_entropy(outputs.flatten(0, -2), targets.flatten())
    loss.backward()
    optimizer.step()
    watch.step(loss=loss, batch=(inputs, targets))
    return outputs


def classifier() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    return model, torch.optim.Adam(model.parameters(), 1e-3)


def test_nothing_of_a_step_is_alive_after_it() -> None:
    model, optimizer = classifier()
    watch = Watch(model, optimizer, source=False)
    for _ in range(12):
        inputs, targets = torch.randn(16, 8), torch.randint(4, (16,))
        outputs = step_of(model, optimizer, watch, inputs, targets)
        alive = [weakref.ref(one) for one in (inputs, targets, outputs)]
        del inputs, targets, outputs
        assert [one() for one in alive] == [None] * 3


def test_the_model_can_be_deleted_and_the_report_is_still_given() -> None:
    model, optimizer = classifier()
    watch = Watch(model, torch.optim.Adam(model[2].parameters(), 1e-3), source=False)
    optimizer.param_groups.clear()
    for _ in range(12):
        inputs, targets = torch.randn(16, 8), torch.randint(4, (16,))
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        watch.step(loss=loss, batch=(inputs, targets))
    alive = weakref.ref(model)
    del model, loss
    gc.collect()
    assert alive() is None
    watch.step(loss=1.0)
    assert not [one for one in watch.report() if one.slug == "check-failed"]
    assert "2.weight" in watch.parameters


@pytest.mark.parametrize("tensors", [4, 2000])
def test_what_is_kept_is_a_mebibyte_and_a_hundred_bytes_a_parameter(tensors: int) -> None:
    small, its_optimizer = classifier()
    with Watch(small, its_optimizer, source=False) as first:  # what is imported and cached is not its
        step_of(small, its_optimizer, first, torch.randn(16, 8), torch.randint(4, (16,)))
        first.report()
    model = nn.ModuleList(nn.Linear(4, 4) for _ in range(tensors // 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    del first
    gc.collect()
    tracemalloc.start()
    watch = Watch(model, optimizer, source=False)
    watch.close()  # PyTorch's own records of hooks are not the watch's
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert before < 1e6 + 1000 * tensors
    rows = watch._parameters._rows
    assert rows.itemsize + len(watch._parameters._about) / max(len(rows), 1) < 110


def test_the_longer_the_training_the_same_is_kept() -> None:
    model, optimizer = classifier()
    watch = Watch(model, optimizer, source=False)
    sizes = []
    for step in range(1, 1501):
        step_of(model, optimizer, watch, torch.randn(4, 8), torch.randint(4, (4,)))
        if step in (800, 1500):
            sizes.append(len(watch.evidence.steps))
    assert sizes[0] <= 600 and sizes[1] <= 600
    kept = watch.evidence
    assert all(len(one) <= 256 for one in (kept.objectives, kept.inputs, kept.memory, kept.batch_labels))


def test_a_vocabulary_s_scores_are_not_copied() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(8192, 16), nn.Linear(16, 8192))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    watch = Watch(model, optimizer, source=False)
    largest = []
    real = Tensor.clone

    def clone(one: Tensor, *arguments: object, **named: object) -> Tensor:
        largest.append(one.numel())
        return real(one, *arguments, **named)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "clone", clone)
        for _ in range(3):
            tokens = torch.randint(8192, (4, 64))
            step_of(model, optimizer, watch, tokens[:, :-1], tokens[:, 1:])
    assert max(largest, default=0) <= 1 << 14
    assert {one.best for one in watch.evidence.objectives} == {"cross-entropy"}
    assert {one.offset for one in watch.evidence.objectives} == {1}


class Momentum(nn.Module):
    """Its second encoder follows the first in ``forward``, by weights that no optimizer has."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.online, self.slow, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4)
        self.slow.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            for mean, now in zip(self.slow.parameters(), self.online.parameters(), strict=True):
                mean.lerp_(now, 0.1)
        return self.head(self.online(inputs) + self.slow(inputs))


@pytest.mark.parametrize("probe", [False, True])
def test_a_momentum_encoder_is_the_same_with_a_watch(probe: bool) -> None:
    def train(watched: bool) -> dict[str, Tensor]:
        model = Momentum()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        watch = Watch(model, optimizer, source=False, probe=probe) if watched else None
        generator = torch.Generator().manual_seed(1)
        for _ in range(20):
            inputs = torch.randn(16, 8, generator=generator)
            targets = inputs[:, :4].argmax(1)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            if watch is not None:
                watch.step(loss=loss, batch=(inputs, targets))
        assert watch is None or (watch.report() == [] and watch.evidence.failures == {})
        return model.state_dict()

    alone, watched = train(False), train(True)
    assert all(torch.equal(value, watched[name]) for name, value in alone.items())


def test_without_being_asked_the_watch_calls_no_model() -> None:
    calls = []

    class Counted(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            calls.append(1)
            return super().forward(inputs)

    model = Counted(8, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watch = Watch(model, optimizer, source=False)
    for step in range(100):
        inputs = torch.randn(16, 8)
        if step == 50:
            inputs[0] = torch.nan
        step_of(model, optimizer, watch, inputs, torch.randint(4, (16,)))
    watch.report()
    assert len(calls) == 100


def test_calls_without_gradients_are_linear() -> None:
    model, optimizer = classifier()
    watch = Watch(model, optimizer, source=False)
    with torch.no_grad():
        for _ in range(5000):
            model(torch.zeros(1, 8))
    assert watch._calls._calls.evaluations == 5000 and len(watch._calls._calls.prints) <= 64


def numbers(count: int, seed: int) -> Any:
    return torch.randint(2**60, (count,), generator=torch.Generator().manual_seed(seed)).numpy()


def test_samples_are_remembered_in_a_memory_that_does_not_grow() -> None:
    seen = SeenSamples()
    for seed in range(100):
        seen.add(numbers(500, seed))
    assert 49_900 <= seen.distinct <= 50_000 == seen.total
    assert seen.share(numbers(2000, seed=1000)) < 0.005 and seen.share(numbers(500, seed=7)) == 1.0


def test_ends_keep_the_first_and_the_last() -> None:
    ends = Ends[int](64)
    for number in range(1000):
        ends.append(number)
    assert ends == [*range(32), *range(968, 1000)]


def test_a_course_keeps_the_first_the_last_and_some_between() -> None:
    course = Course(Step(number) for number in range(1, 100_001))
    numbers = [one.number for one in course]
    assert numbers == sorted(numbers) and len(numbers) <= 600
    assert numbers[:100] == list(range(1, 101)) and numbers[-200:] == list(range(99_801, 100_001))
    middle = numbers[100:-200]
    assert len({b - a for a, b in itertools.pairwise(middle)}) == 1 and len(middle) > 100
    assert course[-1].number == 100_000
