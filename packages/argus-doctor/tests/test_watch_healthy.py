"""Loops that look odd and are right: nothing is found in them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import islice

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from watched_loops import mlp, points, trained

from argus_doctor import Watch
from argus_doctor.findings import Finding

CASES: dict[str, Callable[[], list[Finding]]] = {}


def healthy(case: Callable[[], list[Finding]]) -> Callable[[], list[Finding]]:
    CASES[case.__name__] = case
    return case


def by_adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), 0.01)


@healthy
def gan() -> list[Finding]:
    torch.manual_seed(0)
    maker = nn.Sequential(nn.Linear(4, 32), nn.LeakyReLU(0.2), nn.Linear(32, 8))
    judge = nn.Sequential(nn.Linear(8, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    optimizers = [
        torch.optim.Adam(m.parameters(), lr, betas=(0.5, 0.9)) for m, lr in ((maker, 1e-3), (judge, 2e-3))
    ]
    watches = [Watch(m, o, source=False) for m, o in zip((maker, judge), optimizers, strict=True)]
    ones, zeros = torch.ones(32, 1), torch.zeros(32, 1)
    for real, _ in islice(points(), 100):
        noise = torch.randn(32, 4)
        made = maker(noise)
        optimizers[1].zero_grad()
        loss = F.binary_cross_entropy_with_logits(judge(real), ones)
        loss = loss + F.binary_cross_entropy_with_logits(judge(made.detach()), zeros)
        loss.backward()
        optimizers[1].step()
        watches[1].step(loss=loss, batch=real)
        optimizers[0].zero_grad()
        loss = F.binary_cross_entropy_with_logits(judge(made), ones)
        loss.backward()
        optimizers[0].step()
        watches[0].step(loss=loss, batch=noise)
    return [found for watch in watches for found in watch.report()]


def accumulated(*, told_each: bool) -> list[Finding]:
    """A step for every five micro-batches: the watch is told each of them, or the step."""
    model = mlp()
    optimizer = by_adam(model)
    watch = Watch(model, optimizer, source=False)
    for number, (inputs, labels) in enumerate(islice(points(8), 500), 1):
        loss = F.cross_entropy(model(inputs), labels)
        (loss / 5).backward()
        if number % 5 == 0:
            optimizer.step()
            optimizer.zero_grad()
        if told_each or number % 5 == 0:
            watch.step(loss=loss, batch=(inputs, labels))
    return watch.report()


@healthy
def accumulation() -> list[Finding]:
    return accumulated(told_each=False)


@healthy
def micro_batches_that_are_told_one_by_one() -> list[Finding]:
    return accumulated(told_each=True)


@healthy
def gradients_that_are_written_and_not_added() -> list[Finding]:
    model = mlp()
    optimizer = by_adam(model)
    watch = Watch(model, optimizer, source=False)
    for inputs, labels in islice(points(), 100):
        loss = F.cross_entropy(model(inputs), labels)
        asked = torch.autograd.grad(loss, list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), asked, strict=True):
            if parameter.grad is None:
                parameter.grad = gradient
            else:
                parameter.grad.copy_(gradient)
        optimizer.step()
        watch.step(loss=loss, batch=(inputs, labels))
    return watch.report()


def by_turns(*, of_one_batch: bool, clear: Callable[[int], bool] = lambda number: True) -> list[Finding]:
    """Two optimizers for two parts of a model, each cleared before its own backward pass, which reaches both parts."""
    model = mlp()
    optimizers = [torch.optim.Adam(model[place].parameters(), 0.01) for place in (0, 2)]
    watch = Watch(model, optimizers, source=False)
    for step, (inputs, labels) in enumerate(islice(points(), 240)):
        for number in (0, 1) if of_one_batch else (step % 2,):
            if clear(number):
                optimizers[number].zero_grad()
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizers[number].step()
        watch.step(loss=loss, batch=(inputs, labels))
    return watch.report()


@healthy
def parts_that_train_in_turn() -> list[Finding]:
    return by_turns(of_one_batch=True)


@healthy
def parts_that_train_at_every_second_batch() -> list[Finding]:
    return by_turns(of_one_batch=False)


def test_of_two_optimizers_the_one_that_is_never_cleared_is_seen() -> None:
    assert "missing-zero-grad" in {one.slug for one in by_turns(of_one_batch=True, clear=bool)}


@healthy
def a_part_that_steps_once_in_four_batches() -> list[Finding]:
    model = mlp()
    often, rarely = (torch.optim.Adam(model[place].parameters(), 0.01) for place in (2, 0))
    watch = Watch(model, [often, rarely], source=False)
    for number, (inputs, labels) in enumerate(islice(points(), 320), 1):
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        for optimizer in [often] if number % 4 else [often, rarely]:
            optimizer.step()
            optimizer.zero_grad()
        watch.step(loss=loss, batch=(inputs, labels))
    return watch.report()


@healthy
def scaler_that_skips_steps() -> list[Finding]:
    model = mlp()
    optimizer = by_adam(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=40)
    watch = Watch(model, optimizer, source=False)
    for inputs, labels in islice(points(), 100):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), labels)
        scaler.scale(2 * loss).backward()
        scaler.step(optimizer)
        scaler.update()
        watch.step(loss=loss, batch=(inputs, labels))
    assert watch.evidence.skipped
    return watch.report()


@healthy
def warm_up() -> list[Finding]:
    model = mlp()
    optimizer = by_adam(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 100)
    return trained(model, points(), optimizer=optimizer, steps=100, after=lambda *_: schedule.step())


@healthy
def batch_norm_in_evaluation_mode() -> list[Finding]:
    model = mlp(nn.BatchNorm1d(32))
    trained(model, points())
    model[2].requires_grad_(False).eval()
    return trained(model, points(), steps=100, frozen=["2"])


@healthy
def a_layer_that_is_all_the_same_until_its_rate_rises() -> list[Finding]:
    torch.manual_seed(0)
    convolutions = nn.Conv2d(1, 8, 1), nn.Conv2d(8, 8, 3, groups=8)
    model = nn.Sequential(
        nn.Unflatten(1, (1, 2, 4)), nn.ZeroPad2d(1), *convolutions, nn.Flatten(), nn.Linear(64, 4)
    )
    nn.init.constant_(model[3].weight, 1 / 9)
    others = [one for one in model.parameters() if one is not model[3].weight]
    optimizer = torch.optim.Adam([{"params": others}, {"params": [model[3].weight]}], 3e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, [lambda step: 1.0, lambda step: float(step >= 20)]
    )
    return trained(model, points(), optimizer=optimizer, after=lambda *_: schedule.step())


@healthy
def batch_norm_that_is_the_same_in_both_modes() -> list[Finding]:
    model, asked = mlp(nn.BatchNorm1d(32, track_running_stats=False)), points(seed=0)

    @torch.no_grad()
    def validate(step: int, _: Tensor) -> Tensor | None:
        inputs, labels = next(asked)
        return F.cross_entropy(model(inputs), labels) if step % 10 == 0 else None

    return trained(model, points(), after=validate)


class WithTarget(nn.Module):
    """Learns to foretell another network, which is never called with gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.learner, self.target = mlp(outputs=16), nn.Linear(8, 16)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            wanted = self.target(inputs)
        return self.learner(inputs), wanted


@pytest.mark.parametrize("whole", [True, False])
def test_a_target_that_the_optimizer_holds(whole: bool) -> None:
    model = WithTarget()
    call = model if whole else model.forward  # of which no hook of the whole model knows
    optimizer = by_adam(model)
    with Watch(model, optimizer, source=False) as watch:
        for inputs, _ in islice(points(), 40):
            optimizer.zero_grad()
            loss = F.mse_loss(*call(inputs))
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=inputs)
    assert watch.report() == []


@healthy
def tied_weights() -> list[Finding]:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    model[2].weight = model[0].weight
    return trained(model, points(), steps=100)


@healthy
def teacher_of_moving_averages() -> list[Finding]:
    model = mlp(nn.Dropout(0.1))
    teacher = copy.deepcopy(model).requires_grad_(False)

    def loss_of(scores: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(scores, batch[1]) + 0.1 * F.mse_loss(scores, teacher(batch[0]))

    @torch.no_grad()
    def follow(*_: object) -> None:
        for mean, now in zip(teacher.parameters(), model.parameters(), strict=True):
            mean.lerp_(now, 0.05)

    return trained(model, ((one[0], one, one) for one in points()), loss_of, steps=100, after=follow)


@healthy
def loss_on_a_scale_of_its_own() -> list[Finding]:
    def loss_of(outputs: Tensor, inputs: Tensor) -> Tensor:
        return 1e5 * ((outputs - inputs[:, :2]).abs() ** 1.2 * inputs[:, 2:4].abs()).mean()

    model, batches = mlp(outputs=2), ((inputs, inputs, inputs) for inputs, _ in points())
    return trained(model, batches, loss_of, optimizer=by_adam(model), steps=100)


@healthy
def a_part_of_a_table_by_lbfgs() -> list[Finding]:
    torch.manual_seed(0)
    table = torch.randn(80, 9)
    inputs, targets = table[16:, :8], table[16:, :8].sum(1, keepdim=True).tanh()
    model = mlp(outputs=1)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)
    watch = Watch(model, optimizer, source=False)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(inputs), targets)
        loss.backward()
        return loss

    for _ in range(40):
        watch.step(loss=optimizer.step(closure), batch=(inputs, targets))
    return watch.report()


@healthy
def an_autoencoder_that_leaves_out_a_dimension() -> list[Finding]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 1), nn.Linear(1, 4))
    wide = torch.tensor([3.0, 3.0, 3.0, 0.5])
    batches = ((x, x.clone()) for x in (torch.randn(64, 4)[:, [0, 0, 0, 1]] * wide for _ in range(200)))
    return trained(model, batches, F.mse_loss, optimizer=by_adam(model), steps=200)


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_found(name: str) -> None:
    assert CASES[name]() == []
