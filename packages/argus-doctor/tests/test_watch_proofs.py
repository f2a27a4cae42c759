"""What is proven: each certain finding, and beside it the nearest thing in health, of which nothing is certain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from watched_loops import mlp, proven, said, trained

from argus_doctor.checks import examine
from argus_doctor.evidence import Evidence, Step
from argus_doctor.record.bounded import Course
from argus_doctor.record.ranks import RankSensor

Batches = Iterator[tuple[Tensor, Tensor]]


def rounds(*, by_class: bool = False, drawn: bool = True, seed: int = 0) -> Batches:
    """Batches of points around four centres: drawn anew, or round by round in one order."""
    rng = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(4, 8, generator=rng)
    labels = torch.randint(4, (256,), generator=rng)
    labels = labels.sort().values if by_class else labels
    inputs = centres[labels] + torch.randn(256, 8, generator=rng)
    while True:
        order = torch.randperm(256, generator=rng) if drawn else torch.arange(256)
        for rows in order.split(16):
            yield inputs[rows], labels[rows]


def pictures(prepare: Callable[[Tensor], Tensor], seed: int = 0) -> Batches:
    """Pictures of bytes, bright or dark, prepared for the model."""
    rng = torch.Generator().manual_seed(seed)
    while True:
        labels = torch.randint(2, (16,), generator=rng)
        pixels = torch.randint(0, 128, (16, 1, 8, 8), generator=rng) + 127 * labels[:, None, None, None]
        yield prepare(pixels.to(torch.uint8).float()), labels


def tokens(ahead: int, labels: int = 1, seed: int = 0) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor]]]:
    """Sequences with labels so many places ahead, and what the loss compares with instead."""
    rng = torch.Generator().manual_seed(seed)
    while True:
        text = torch.randint(12, (8, 20), generator=rng)
        yield text[:, :16], (text[:, labels : 16 + labels], text[:, ahead : 16 + ahead])


def rows(wanted: Callable[[Tensor], Tensor]) -> Batches:
    """Batches of random numbers, and what is wanted of them."""
    rng = torch.Generator().manual_seed(0)
    while True:
        inputs = torch.randn(32, 8, generator=rng)
        yield inputs, wanted(inputs)


def sum_of_two(inputs: Tensor) -> Tensor:
    return inputs[:, :1] + inputs[:, 1:2]


def convolution(*between: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3), *between, nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2))


def test_batches_of_one_class_in_an_order_that_comes_again() -> None:
    sorted_for_ever = trained(mlp(), rounds(by_class=True, drawn=False))
    assert proven(sorted_for_ever) == {"data-not-shuffled"}
    assert not proven(trained(mlp(), rounds(by_class=True)))
    assert not trained(mlp(), rounds(drawn=False))  # an order that mixes the classes harms little


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda pixels: pixels, {"inputs-not-normalised": "hint"}),
        (lambda pixels: pixels / 255 / 255, {"inputs-normalised-twice": "error"}),
        (
            lambda pixels: ((pixels / 255 - 0.5) / 0.25 / 255 - 0.5) / 0.25,
            {"inputs-normalised-twice": "hint"},
        ),
        (lambda pixels: pixels / 255, {}),
        (lambda pixels: pixels / 127.5 - 1, {}),
        (lambda pixels: (pixels / 255 - 0.5) / 0.25, {}),
    ],
)
def test_bytes_are_known_by_their_grid(prepare: Callable[[Tensor], Tensor], expected: dict[str, str]) -> None:
    assert said(trained(convolution(), pictures(prepare))) == expected


def test_bytes_into_a_model_that_normalises_by_itself() -> None:
    assert not proven(trained(convolution(nn.BatchNorm2d(8)), pictures(lambda pixels: pixels)))


@pytest.mark.parametrize(("scale", "certain"), [(1.0, True), (1 / 255, False), (0.2 / 255, False)])
def test_bytes_that_are_evaluated_on_another_scale(scale: float, certain: bool) -> None:
    model, asked = convolution(), pictures(lambda pixels: pixels * scale, seed=1)

    @torch.no_grad()
    def evaluate(step: int, _: Tensor) -> None:
        if step % 10 == 0:
            model.eval()
            model(next(asked)[0])
            model.train()

    found = trained(model, pictures(lambda pixels: pixels / 255), after=evaluate)
    assert ("evaluation-inputs-differ" in proven(found)) == certain


@pytest.mark.parametrize(("noise", "severity"), [(0.0, "error"), (1e-3, "hint")])
def test_a_column_that_is_the_target(noise: float, severity: str) -> None:
    rng = torch.Generator().manual_seed(1)
    batches = rows(lambda inputs: 3 * inputs[:, 2:3] - 1 + noise * torch.randn(32, 1, generator=rng))
    found = trained(mlp(outputs=1), batches, F.mse_loss)
    assert said(found) == {"target-in-inputs": severity}


@pytest.mark.parametrize(
    ("ahead", "labels", "expected"),
    [
        (1, 1, {}),
        (2, 1, {"labels-shifted": "error"}),
        (0, 1, {"labels-shifted": "error"}),
        (0, 0, {"labels-shifted": "hint"}),  # labels that are the inputs may be those of an auto-encoder
    ],
)
def test_labels_of_the_batch_that_the_loss_does_not_use(
    ahead: int, labels: int, expected: dict[str, str]
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(12, 16), nn.Linear(16, 12))
    assert said(trained(model, tokens(ahead, labels), of_next_tokens, steps=30)) == expected


@pytest.mark.parametrize(
    ("of", "attribute", "certain"),
    [
        ("parameters", "require_grad", True),
        ("parameters", "requires_grad", False),
        ("modules", "requires_grad", True),
    ],
)
def test_an_attribute_that_nobody_reads(of: str, attribute: str, certain: bool) -> None:
    model = mlp()
    for one in getattr(model[0], of)():
        setattr(one, attribute, False)
    found = trained(model, rounds(), steps=20)
    places = [(one.slug, one.where) for one in found if one.severity == "error"]
    assert places == ([("missing-freeze", "0")] if certain else [])


@pytest.mark.parametrize(("rate", "certain"), [(1e-13, True), (1e-7, False), (1e-2, False)])
def test_weights_that_no_step_changes_by_a_bit(rate: float, certain: bool) -> None:
    model = mlp()
    found = trained(model, rounds(), optimizer=torch.optim.SGD(model.parameters(), rate), steps=150)
    assert ("learning-rate-too-low" in proven(found)) == certain


@pytest.mark.parametrize(
    ("rate", "expected"), [(1e-12, {"update-lost": "error"}), (2e-5, {"update-lost": "hint"}), (1e-2, {})]
)
def test_updates_that_sixteen_bits_cannot_hold(rate: float, expected: dict[str, str]) -> None:
    model = mlp().to(torch.bfloat16)
    found = trained(
        model,
        ((inputs.bfloat16(), labels) for inputs, labels in rounds()),
        lambda scores, labels: F.cross_entropy(scores.float(), labels),
        optimizer=torch.optim.Adam(model.parameters(), rate),
        steps=150,
    )
    assert said(found) == expected


def test_weights_that_begin_far_too_large() -> None:
    model = mlp(nn.Linear(32, 32), nn.ReLU())
    for layer in (model[0], model[2], model[4]):
        nn.init.normal_(layer.weight, std=20.0)
    # It may learn all the same: a hint, however large they are.
    found = trained(model, rounds(), optimizer=torch.optim.SGD(model.parameters(), lr=0.02), steps=20)
    assert said(found)["bad-initialisation"] == "hint"


@pytest.mark.parametrize(
    "initialise",
    [
        lambda weight: nn.init.normal_(weight, std=0.02),
        nn.init.orthogonal_,
        nn.init.kaiming_normal_,
        nn.init.eye_,
    ],
)
def test_initialisations_of_health(initialise: Callable[[Tensor], Any]) -> None:
    model = mlp(nn.Linear(32, 32), nn.ReLU())
    for layer in (model[0], model[2], model[4]):
        initialise(layer.weight)
    assert "bad-initialisation" not in {one.slug for one in trained(model, rounds())}


@pytest.mark.parametrize(("value", "expected"), [(0.1, {"bad-initialisation": "error"}), (None, {})])
def test_units_that_are_all_the_same(value: float | None, expected: dict[str, str]) -> None:
    model = mlp()
    if value is None:  # the last layer may begin at zero: its gradient has as many directions
        nn.init.zeros_(model[2].weight)
    else:
        for parameter in model.parameters():
            nn.init.constant_(parameter, value)
    assert said(trained(model, rounds())) == expected


class Deep(nn.Module):
    """Many layers of sigmoids, one on top of another or each beside a way round."""

    def __init__(self, *, residual: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.residual = nn.Linear(8, 16), nn.Linear(16, 4), residual
        self.body = nn.ModuleList(nn.Linear(16, 16) for _ in range(14))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.sigmoid(self.first(inputs))
        for layer in self.body:
            hidden = torch.sigmoid(layer(hidden)) + (hidden if self.residual else 0)
        return self.last(hidden)


@pytest.mark.parametrize(
    ("residual", "optimizer", "expected"),
    [
        (False, torch.optim.SGD, {"vanishing-gradient": "error"}),  # the update is lost to the last digit
        (False, torch.optim.Adam, {"vanishing-gradient": "hint"}),  # which raises the smallest gradient
        (True, torch.optim.SGD, {}),
    ],
)
def test_a_gradient_that_is_lost_in_depth(
    residual: bool, optimizer: Callable[..., Any], expected: dict[str, str]
) -> None:
    model = Deep(residual=residual)
    found = trained(model, rounds(), optimizer=optimizer(model.parameters(), 1e-3), steps=100)
    assert said(found) == expected


@pytest.mark.parametrize(("decay", "certain"), [(5.0, True), (0.01, False)])
def test_answers_that_are_the_same_to_the_bit(decay: float, certain: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, weight_decay=decay)
    found = trained(model, rows(sum_of_two), F.mse_loss, optimizer=optimizer, steps=400)
    assert proven(found) == ({"mode-collapse"} if certain else set())


def test_a_weight_decay_that_points_up_the_gradient_is_not_taken_for_a_sign() -> None:
    model = mlp(outputs=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, weight_decay=20.0)
    found = trained(model, rows(sum_of_two), F.mse_loss, optimizer=optimizer, steps=100)
    assert "wrong-sign" not in proven(found)


@pytest.mark.parametrize("learned", [False, True])
def test_a_loss_that_is_climbed_by_what_has_learned_may_be_meant(learned: bool) -> None:
    model = mlp()
    if learned:
        trained(model, rounds(), lr=0.01)
    (found,) = trained(model, rounds(), lambda *pair: -F.cross_entropy(*pair), lr=1e-3, steps=40)
    assert (found.slug, found.severity) == ("wrong-sign", "hint" if learned else "error")


def test_what_is_to_be_given_back_is_no_leak() -> None:
    assert not proven(trained(mlp(outputs=8), rows(Tensor.clone), F.mse_loss))


@pytest.mark.parametrize(
    ("layer", "told", "certain"),
    [
        (nn.Dropout(0.5), True, True),
        (nn.Dropout(0.5), False, False),
        (nn.BatchNorm1d(32), True, False),  # statistics of the tests' own may be meant, as in meta-learning
    ],
)
def test_dropout_while_a_validation_loss_is_taken(layer: nn.Module, told: bool, certain: bool) -> None:
    model, asked = mlp(layer), rounds(seed=1)

    def validate(step: int, _: Tensor) -> Tensor | None:
        if step % 10:
            return None
        with torch.no_grad():  # and in training mode, as pictures of a generator are drawn
            inputs, targets = next(asked)
            loss = F.cross_entropy(model(inputs), targets)
        return loss if told else None

    assert ("evaluation-in-training-mode" in proven(trained(model, rounds(), after=validate))) == certain


@pytest.mark.parametrize(("seed", "certain"), [(0, True), (1, False)])
def test_a_validation_loss_of_training_samples(seed: int, certain: bool) -> None:
    model, asked = mlp(), rounds(drawn=False, seed=seed)
    held = [next(asked) for _ in range(4)]

    @torch.no_grad()
    def validate(step: int, _: Tensor) -> Tensor | None:
        losses = [F.cross_entropy(model(inputs), targets) for inputs, targets in held if step % 20 == 0]
        return torch.stack(losses).mean() if losses else None

    found = trained(model, rounds(), steps=80, after=validate)
    assert ("train-val-leak" in proven(found)) == certain


class Features(nn.Module):
    """A head on features that no gradient reaches."""

    def __init__(self, *, trained_before: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features, self.head = nn.Linear(8, 32), nn.Linear(32, 4)
        if trained_before:
            with torch.no_grad():
                self.features.weight.mul_(2 + torch.rand(32, 8))

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.features(inputs).relu()
        return self.head(features)


@pytest.mark.parametrize("trained_before", [False, True])
def test_features_without_gradient_that_were_handed_to_the_optimizer(trained_before: bool) -> None:
    model = Features(trained_before=trained_before)
    assert ("no-gradient" in proven(trained(model, rounds()))) != trained_before


class Towers(nn.Module):
    """Two towers for two kinds of inputs, of which one gets no gradient."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.other = nn.Linear(8, 16), nn.Linear(6, 16)

    def forward(self, inputs: Tensor, others: Tensor) -> Tensor:
        with torch.no_grad():
            keys = F.normalize(self.other(others), dim=1)
        return 10 * F.normalize(self.one(inputs), dim=1) @ keys.T


def test_a_tower_without_gradient_is_no_target() -> None:
    pairs = (((inputs, inputs[:, :6]), torch.arange(len(inputs))) for inputs, _ in rounds())
    assert proven(trained(Towers(), pairs)) == {"no-gradient"}


@pytest.mark.parametrize("freeze", ["declared", "left out", "later"])
def test_frozen_in_health(freeze: str) -> None:
    model = mlp()
    model[0].requires_grad_(False)
    parameters = model.parameters() if freeze == "later" else model[2].parameters()

    def thaw(step: int, _: Tensor) -> None:
        if freeze == "later" and step == 5:
            model[0].requires_grad_(True)

    optimizer = torch.optim.SGD(parameters, 0.02)
    frozen = ["0.*"] if freeze == "declared" else []
    assert not trained(model, rounds(), optimizer=optimizer, after=thaw, frozen=frozen)


class Language(nn.Module):
    """One layer of attention over embedded tokens."""

    def __init__(self, *, causal: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head, self.causal = nn.Embedding(12, 16), nn.Linear(16, 12), causal

    def forward(self, text: Tensor) -> Tensor:
        hidden = self.embedding(text)
        return self.head(
            hidden + F.scaled_dot_product_attention(hidden, hidden, hidden, is_causal=self.causal)
        )


def of_next_tokens(scores: Tensor, wanted: tuple[Tensor, Tensor]) -> Tensor:
    return F.cross_entropy(scores.transpose(1, 2), wanted[1])


@pytest.mark.parametrize("causal", [True, False])
def test_a_language_model_that_sees_what_it_is_to_foretell(causal: bool) -> None:
    found = trained(Language(causal=causal), tokens(ahead=1), of_next_tokens, steps=20, probe=True)
    assert ("future-visible" in proven(found)) != causal


@pytest.mark.parametrize(
    ("kind", "seen", "certain"),
    [
        ("scaled", True, True),
        ("drifted", True, False),
        ("drifted, promised", True, True),
        ("drifted, promised, by a hook", True, False),
        ("shared", False, False),
        ("own", False, False),
        ("own, drifted, promised, by a hook", False, False),
    ],
)
def test_ranks_that_should_be_alike(kind: str, seen: bool, certain: bool) -> None:
    evidence = Evidence(steps=Course(Step(number) for number in range(1, 5)))
    store = torch.distributed.HashStore()
    models = [mlp(), mlp()]
    sensors = [RankSensor(one) for one in models]
    for model, sensor in zip(models, sensors, strict=True):
        sensor._promised = "promised" in kind  # as DistributedDataParallel does
        vars(model)["_comm_hooks"] = [("a hook", None)] if "hook" in kind else []
    batches = rounds()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.distributed, "is_initialized", lambda: True)
        patch.setattr(torch.distributed, "get_world_size", lambda: 2)
        patch.setattr(torch.distributed.distributed_c10d, "_get_default_store", lambda: store)
        for step in range(4):
            inputs, targets = next(batches)
            for rank, (model, sensor) in enumerate(zip(models, sensors, strict=True)):
                if "own" in kind:  # gradients that are averaged seldom, as in local SGD
                    inputs, targets = next(batches)
                model.zero_grad()
                F.cross_entropy(model(inputs), targets).backward()
                if kind == "scaled" and rank == 0:
                    nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
                if "drifted" in kind and step == 2 and rank == 1:
                    model[0].weight.data[0, 0] += 1
                patch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
                sensor.compare(step, evidence)
    found = examine(evidence)
    assert [one.slug for one in found] == (["ranks-disagree"] if seen else [])
    assert bool(proven(found)) == certain
