"""Every failure mode of training, in the smallest loop that has it; the same loop without the fault is healthy."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from watched_loops import mlp, points, trained

from argus_doctor.checks import examine
from argus_doctor.evidence import Evidence, Stall, Step
from argus_doctor.findings import Finding
from argus_doctor.record.bounded import Course

Loop = Callable[[bool], list[Finding]]


def values(columns: int = 1, size: int = 32, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a linear function with a little noise, without end."""
    rng = torch.Generator().manual_seed(seed)
    weight = torch.randn(8, columns, generator=rng)
    while True:
        inputs = torch.randn(size, 8, generator=rng)
        yield inputs, inputs @ weight + 0.1 * torch.randn(size, columns, generator=rng)


def of_numbers(outputs: Tensor, classes: Tensor) -> Tensor:
    return F.mse_loss(outputs[:, 0], classes.float())


FAULTS: dict[str, Loop] = {
    "missing-zero-grad": lambda faulty: trained(mlp(), points(), clear=not faulty, steps=30),
    "no-gradient": lambda faulty: trained(mlp(Detached() if faulty else nn.Identity()), points(), steps=30),
    "learning-rate-too-high": lambda faulty: trained(mlp(), points(), lr=30.0 if faulty else 0.05, steps=40),
    "learning-rate-too-low": lambda faulty: trained(mlp(), points(), lr=1e-8 if faulty else 0.05, steps=70),
    "wrong-sign": lambda faulty: trained(
        mlp(), points(), lambda o, t: (-1 if faulty else 1) * F.cross_entropy(o, t), lr=0.01
    ),
    "double-softmax": lambda faulty: trained(
        mlp().append(nn.Softmax(-1) if faulty else nn.Identity()), points()
    ),
    "missing-softmax": lambda faulty: trained(
        mlp().append(nn.Identity() if faulty else nn.LogSoftmax(-1)), points(), F.nll_loss, lr=0.01
    ),
    "softmax-wrong-dimension": lambda faulty: trained(
        mlp().append(nn.LogSoftmax(0 if faulty else 1)), points(), F.nll_loss, steps=20
    ),
    "wrong-loss": lambda faulty: trained(
        mlp(outputs=1 if faulty else 4), points(), of_numbers if faulty else F.cross_entropy, lr=0.01
    ),
    "inputs-constant": lambda faulty: trained(mlp(), scaled(points(), 0 if faulty else 1)),
    "input-bound": lambda faulty: examine(
        Evidence(steps=Course(Step(k, wait=0.4 if faulty else 0.01, seconds=0.5) for k in range(1, 101)))
    ),
    "attention-collapsed": lambda faulty: examine(
        Evidence(attention={"layers.3": [0.8] * 5 + [0.001 if faulty else 0.3] * 5, "layers.4": [0.01] * 10})
    ),
    "stalled-step": lambda faulty: examine(
        Evidence(stalls=[Stall(70, 60.0, 0.5, "data", 59.4)] if faulty else [])
    ),
}
"""What a finding is called → a loop that has the fault where it is asked to; :func:`fault` adds the longer ones."""


def fault(loop: Loop) -> Loop:
    slug = loop.__name__.replace("_", "-")
    assert slug not in FAULTS
    FAULTS[slug] = loop
    return loop


@fault
def loss_broadcast(faulty: bool) -> list[Finding]:
    def loss_of(outputs: Tensor, targets: Tensor) -> Tensor:
        return (((outputs if faulty else outputs[:, 0]) - targets) ** 2).mean()

    batches = ((inputs, targets[:, 0]) for inputs, targets in values())
    return trained(mlp(outputs=1), batches, loss_of, lr=0.01)


@fault
def objective_starved(faulty: bool) -> list[Finding]:
    weights, model = torch.tensor([1.0, 1e-4 if faulty else 1.0]), mlp(outputs=2)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    return trained(
        model, values(2), lambda o, t: (weights * (o - t) ** 2).mean(), optimizer=optimizer, steps=40
    )


@fault
def exploding_gradient(faulty: bool) -> list[Finding]:
    model = Recurrence(2.0 if faulty else 1.0)
    return trained(model, values(), F.mse_loss, optimizer=torch.optim.Adam(model.parameters(), 1e-3))


@fault
def non_finite_loss(faulty: bool) -> list[Finding]:
    def loss_of(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.nll_loss((F.relu(outputs) if faulty else outputs.softmax(-1)).log(), targets)

    return trained(mlp(), points(), loss_of, steps=30)


@fault
def input_ignored(faulty: bool) -> list[Finding]:
    batches = (((inputs[:, :4], inputs[:, 4:]), labels) for inputs, labels in points())
    return trained(TwoTowers(not faulty), batches, probe=True)


@fault
def graph_kept(faulty: bool) -> list[Finding]:
    kept = []
    return trained(mlp(), points(), after=lambda _, loss: kept.append(loss if faulty else loss.item()))


@fault
def not_in_optimizer(faulty: bool) -> list[Finding]:
    model = mlp()
    held = model[2].parameters() if faulty else model.parameters()
    return trained(model, points(), optimizer=torch.optim.Adam(held, 0.01), steps=30)


@fault
def stale_optimizer(faulty: bool) -> list[Finding]:
    model = mlp(outputs=10)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    model[2] = nn.Linear(32, 4)
    if not faulty:
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
    return trained(model, points(), optimizer=optimizer, steps=30)


class Detached(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.detach()


class LoRA(nn.Module):
    def __init__(self, base: nn.Linear, first: Tensor) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(first)
        self.b = nn.Parameter(torch.zeros(base.out_features, len(first)))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.base(inputs) + inputs @ self.a.T @ self.b.T


@fault
def zero_gradient(faulty: bool) -> list[Finding]:
    base = mlp()
    trained(base, points(), steps=10)
    rank = torch.zeros(2, 32) if faulty else torch.randn(2, 32) / 6
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), LoRA(base[2], rank))
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 0.01)
    return trained(model, points(), optimizer=optimizer, steps=40)


@fault
def accidental_freeze(faulty: bool) -> list[Finding]:
    model = mlp()
    model[0].requires_grad_(False)
    return trained(model, points(), frozen=() if faulty else ("0.*",), steps=30)


@fault
def missing_freeze(faulty: bool) -> list[Finding]:
    model = mlp()
    if not faulty:
        model[0].requires_grad_(False)
    return trained(model, points(), frozen=("0.*",), steps=30)


def evaluated(
    model: nn.Module, data: Iterator[tuple[Tensor, Tensor]], every: int = 10
) -> Callable[..., None]:
    """What asks the model about one batch after every so many steps."""
    held_out = next(data)[0]

    @torch.no_grad()
    def after(step: int, _: Any) -> None:
        if step % every == 0:
            model(held_out)

    return after


@fault
def evaluation_in_training_mode(faulty: bool) -> list[Finding]:
    model = mlp(nn.Dropout(0.1))
    evaluate = evaluated(model, points(size=100))

    def after(step: int, loss: Tensor) -> None:
        model.train(faulty)
        evaluate(step, loss)
        model.train()

    return trained(model, points(seed=0), after=after)


@fault
def training_in_evaluation_mode(faulty: bool) -> list[Finding]:
    model = mlp(nn.Dropout(0.1))
    evaluate = evaluated(model, points(size=100))

    def after(step: int, loss: Tensor) -> None:
        if step % 10 == 0:
            model.eval()
            evaluate(step, loss)
            model.train(not faulty)

    return trained(model, points(), after=after)


def scaled(batches: Iterator[tuple[Tensor, Tensor]], by: float) -> Iterator[tuple[Tensor, Tensor]]:
    for inputs, targets in batches:
        yield by * inputs, targets


@fault
def evaluation_inputs_differ(faulty: bool) -> list[Finding]:
    model = mlp()
    return trained(model, points(), after=evaluated(model, scaled(points(size=100), 20 if faulty else 1)))


@fault
def labels_unrelated(faulty: bool) -> list[Finding]:
    rng = torch.Generator().manual_seed(1)
    shuffled = ((inputs, labels[torch.randperm(32, generator=rng)]) for inputs, labels in points())
    return trained(mlp(), shuffled if faulty else points(), lr=0.01, steps=150)


@fault
def data_not_shuffled(faulty: bool) -> list[Finding]:
    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        data = points(size=800)
        while True:
            inputs, labels = next(data)
            order = labels.argsort() if faulty else torch.arange(800)
            yield from zip(inputs[order].split(32), labels[order].split(32), strict=True)

    return trained(mlp(), batches(), lr=0.01)


@fault
def train_val_leak(faulty: bool) -> list[Finding]:
    model, data = mlp(), points(size=320)
    inputs, labels = next(data)
    held_out = next(data)[0]
    if faulty:
        held_out = torch.cat([held_out[:200], inputs[:100]])

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from zip(inputs.split(32), labels.split(32), strict=True)

    return trained(model, batches(), after=evaluated(model, iter([(held_out, labels)]), every=20))


@fault
def same_batch(faulty: bool) -> list[Finding]:
    batches = points()
    first = next(batches)
    again = iter(lambda: tuple(one.clone() for one in first), None)  # as next(iter(loader)) gives it
    return trained(mlp(), again if faulty else batches)


@fault
def dead_units(faulty: bool) -> list[Finding]:
    model = mlp(nn.Linear(32, 32), nn.ReLU())
    if faulty:
        with torch.no_grad():
            model[2].bias[:30] = -100
    return trained(model, points())


class Recurrence(nn.Module):
    def __init__(self, gain: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.read, self.step, self.head = nn.Linear(8, 32), nn.Linear(32, 32), nn.Linear(32, 1)
        nn.init.orthogonal_(self.step.weight, gain)

    def forward(self, inputs: Tensor) -> Tensor:
        state = self.read(inputs)
        for _ in range(15):
            state = self.step(state)
        return self.head(state)


@fault
def non_finite_input(faulty: bool) -> list[Finding]:
    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for number, (inputs, targets) in enumerate(points()):
            if faulty and number >= 5:
                inputs[3, 2] = torch.nan
            yield inputs, targets

    return trained(mlp(), batches(), steps=30)


class TwoTowers(nn.Module):
    def __init__(self, seen: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right, self.head = nn.Linear(4, 16), nn.Linear(4, 16), nn.Linear(32, 4)
        self.seen = seen

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.head(torch.cat([self.left(left), self.right(right if self.seen else left)], 1).relu())


@fault
def augmentation_inconsistent(faulty: bool) -> list[Finding]:
    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        rng = torch.Generator().manual_seed(1)
        for inputs, targets in values(2):
            if faulty:  # mirrored now and then, and nobody told the inputs
                targets[:, 1] *= 2.0 * torch.randint(2, (len(targets),), generator=rng) - 1
            yield inputs, targets

    return trained(mlp(outputs=2), batches(), F.mse_loss, lr=0.02, steps=150)


@fault
def learning_rate_vanished(faulty: bool) -> list[Finding]:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7 if faulty else 0.97)
    return trained(model, points(), optimizer=optimizer, steps=200, after=lambda *_: schedule.step())


@fault
def check_failed(faulty: bool) -> list[Finding]:
    def broken(_: Evidence) -> list[Any]:
        raise KeyError("layer")

    with pytest.MonkeyPatch.context() as patch:
        if faulty:
            patch.setattr("argus_doctor.checks.CHECKS", (broken,))
        return trained(mlp(), points(), steps=20)


LIKELIHOODS = {
    *(
        "accidental-freeze",
        "attention-collapsed",
        "augmentation-inconsistent",
        "data-not-shuffled",
        "dead-units",
    ),
    *("evaluation-in-training-mode", "evaluation-inputs-differ", "exploding-gradient", "input-bound"),
    *("input-ignored", "labels-unrelated", "learning-rate-too-low", "non-finite-loss", "objective-starved"),
    *("missing-softmax", "same-batch", "stalled-step", "train-val-leak", "wrong-loss"),
}
"""Of the faults, those of which these loops show no more than a hint."""
ELSEWHERE = {
    "target-not-updated": "lint/test_rules.py",
    **dict.fromkeys(
        [
            *("bad-initialisation", "future-visible", "inputs-normalised-twice", "inputs-not-normalised"),
            *("labels-shifted", "ranks-disagree"),
            *("target-in-inputs", "update-lost", "vanishing-gradient"),
        ],
        "test_watch_proofs.py",
    ),
}
"""What needs a model or a script of its own, and the file whose test has it."""


def test_every_failure_mode_of_training_has_a_loop() -> None:
    file = resources.files("argus_doctor") / "catalogue" / "training.toml"
    slugs = {entry["slug"] for entry in tomllib.loads(file.read_text(encoding="utf-8"))["entry"]}
    assert slugs == set(FAULTS) | set(ELSEWHERE) and not set(FAULTS) & set(ELSEWHERE)
    for slug, name in ELSEWHERE.items():
        assert f'"{slug}"' in (Path(__file__).parent / name).read_text("utf-8")


@pytest.mark.parametrize("slug", FAULTS)
def test_a_fault_is_named(slug: str) -> None:
    found = FAULTS[slug](True)
    assert [one.slug for one in found] == [slug], "\n".join(map(str, found))
    assert found[0].what and found[0].where and found[0].remedy
    assert (found[0].severity == "hint") == (slug in LIKELIHOODS)


@pytest.mark.parametrize("slug", FAULTS)
def test_the_same_loop_without_the_fault_is_healthy(slug: str) -> None:
    assert FAULTS[slug](False) == []
