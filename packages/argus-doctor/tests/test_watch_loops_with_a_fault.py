"""Faults of the loop, of the loss and of the optimizer, each beside its nearest healthy neighbour."""

from __future__ import annotations

import copy
from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from watched_loops import Batches, mlp, points, said, trained

from argus_doctor import Watch
from argus_doctor.findings import Finding

VOCABULARY = 12


class Tagger(nn.Module):
    """Scores of each token, by its neighbours before it; with a table of positions that may go unused."""

    def __init__(self, *, positions: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.word, self.position = nn.Embedding(VOCABULARY, 16), nn.Embedding(8, 16)
        self.body, self.head = nn.GRU(16, 32, batch_first=True), nn.Linear(32, VOCABULARY)
        self.with_positions = positions

    def forward(self, ids: Tensor, begun: Tensor | None = None) -> Tensor:
        asked = ids if begun is None else begun
        x = self.word(asked)
        if self.with_positions:
            x = x + self.position(torch.arange(asked.shape[1]))
        scores: Tensor = self.head(self.body(x)[0])
        return scores if begun is None else scores + self.word(ids).mean((1, 2), keepdim=True)


def by_name(found: list[Finding]) -> dict[str, Finding]:
    return {one.slug: one for one in found}


def written_by(model: nn.Module, begin: int, *, encoder: bool = False) -> dict[str, Finding]:
    """What is found where labels begin at a token: at 1, each is the next one of what the model is given."""

    def batches() -> Batches:
        rng = torch.Generator().manual_seed(0)
        for _ in range(40):
            ids = torch.randint(VOCABULARY, (16, 9), generator=rng)
            source = torch.randint(VOCABULARY, (16, 8), generator=rng)
            labels = ids[:, begin : begin + 8]
            if encoder:
                yield (source, ids[:, :-1]), labels, {"source": source, "ids": ids}
            else:
                yield ids[:, :-1], labels, ids

    return by_name(
        trained(model, batches(), lambda scores, labels: F.cross_entropy(scores.transpose(1, 2), labels))
    )


@pytest.mark.parametrize("encoder", [False, True])
def test_labels_that_are_the_models_own_tokens_are_found_in_a_slice_of_a_batch(encoder: bool) -> None:
    assert "own input token" in written_by(Tagger(), begin=0, encoder=encoder)["labels-shifted"].what
    assert "labels-shifted" not in written_by(Tagger(), begin=1, encoder=encoder)


def test_a_table_of_positions_that_nobody_calls_is_found() -> None:
    assert written_by(Tagger(positions=False), begin=1)["no-gradient"].where == "position"
    assert "no-gradient" not in written_by(Tagger(), begin=1)


def over_samples(scores: Tensor, labels: Tensor) -> Tensor:
    return F.nll_loss(F.log_softmax(scores, 0), labels)


def test_a_softmax_over_the_samples_outside_of_the_model_is_proven() -> None:
    assert said(trained(mlp(), points(), over_samples, steps=20))["softmax-wrong-dimension"] == "error"


def test_one_direction_of_a_contrast_is_no_softmax_over_the_wrong_dimension() -> None:
    batches = ((inputs, torch.arange(4)) for inputs, _ in points(4))
    assert "softmax-wrong-dimension" not in said(trained(mlp(), batches, over_samples, steps=20))


@pytest.mark.parametrize("dimension", [0, 1])
def test_a_softmax_over_the_samples_of_soft_targets_is_a_hint(dimension: int, tmp_path: Path) -> None:
    """No targets of the batch tell which loss it is: the text does, and the outputs are scores of classes."""
    script = tmp_path / "distil.py"
    script.write_text(f"soft = F.kl_div(F.log_softmax(logits / 2, {dimension}), teacher.softmax(1))\n")

    def distilled(scores: Tensor, labels: Tensor) -> Tensor:
        teacher = F.one_hot(labels, 4) * 0.9
        soft = F.kl_div(F.log_softmax(scores / 2, dimension), teacher, reduction="batchmean")
        return 0.2 * soft + F.cross_entropy(scores, labels)

    found = said(trained(mlp(), points(), distilled, steps=20, source=script))
    assert found.get("softmax-wrong-dimension") == ("hint" if dimension == 0 else None)


@pytest.mark.parametrize("shared", [0, 40])
def test_training_samples_are_found_in_a_validation_set_that_is_asked_after_the_training_set(
    shared: int,
) -> None:
    data = points(240)
    (inputs, labels), (others, _) = next(data), next(data)
    asked = torch.cat([inputs[:shared], others[shared:80]])
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    watch = Watch(model, optimizer, source=False)
    for epoch in range(6):
        order = torch.randperm(240, generator=torch.Generator().manual_seed(epoch))
        for rows in order.split(24):
            loss = F.cross_entropy(model(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=(inputs[rows], labels[rows]))
        with torch.no_grad():
            for part in (*inputs[order].split(24), asked):
                model(part)
    found = by_name(watch.report()).get("train-val-leak")
    assert (found is None) == (shared == 0)
    assert found is None or "50%" in found.what


@pytest.mark.parametrize(("decay", "expected"), [(0.05, False), (50.0, True)])
def test_weight_decay_that_takes_the_weights_is_found(decay: float, expected: bool) -> None:
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=decay)
    found = by_name(trained(model, points(), optimizer=optimizer, steps=100)).get("mode-collapse")
    assert (found is not None) == expected
    assert found is None or (found.severity == "hint" and found.where == "weight decay")


class Masked(Tagger):
    """Computes its loss itself, of the labels that it is given beside its tokens."""

    def forward(self, ids: Tensor, begun: Tensor | None = None) -> dict[str, Tensor]:  # type: ignore[override]
        assert begun is not None
        scores = super().forward(ids)
        return {"loss": F.cross_entropy(scores.transpose(1, 2), begun, ignore_index=-100), "logits": scores}


def test_labels_that_a_model_is_given_for_its_own_loss_are_not_its_tokens() -> None:
    def batches() -> Batches:
        rng = torch.Generator().manual_seed(0)
        for _ in range(30):
            ids = torch.randint(1, VOCABULARY, (16, 8), generator=rng)
            masked = torch.rand(ids.shape, generator=rng) < 0.3
            yield (ids.masked_fill(masked, 0), ids.masked_fill(~masked, -100)), None, ids

    assert "labels-shifted" not in said(trained(Masked(), batches(), lambda answer, _: answer["loss"]))


def unmoved(loop: str) -> dict[str, Finding]:
    """What is found where the weights do not move, for a reason of the loop's own; or ``remade``, where they do."""
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    watch = Watch(model, optimizer, source=False)
    called = copy.deepcopy(model) if loop == "copied" else model
    if loop == "other weights":
        optimizer = torch.optim.Adam(mlp().parameters(), 1e-2)
    elif loop == "remade":
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for inputs, labels in islice(points(), 40):
        optimizer.zero_grad()
        loss = F.cross_entropy(called(inputs), labels)
        if loop != "no backward":
            loss.backward()
        if loop == "cleared":
            optimizer.zero_grad()
        if loop != "no step":
            optimizer.step()
        watch.step(loss=loss, batch=(inputs, labels))
        with torch.no_grad():
            model(inputs)
    return by_name(watch.report())


@pytest.mark.parametrize(
    ("loop", "what", "remedy"),
    [
        ("no step", "has never stepped, and no weight has changed", "call step() after backward()"),
        (
            "other weights",
            "another optimizer was made since",
            "on the optimizer that holds the model's parameters",
        ),
        ("cleared", "none is there when the optimizer steps", "call zero_grad() before backward()"),
        ("no backward", "no backward() has come back", "call backward() on a loss"),
        (
            "copied",
            "is called only without gradients (evaluation, no_grad)",
            "the model that the loop trains",
        ),
    ],
)
def test_where_nothing_trains_it_is_said_what_was_seen_and_what_to_do(
    loop: str, what: str, remedy: str
) -> None:
    found = unmoved(loop)
    assert list(found) == ["no-gradient"] and found["no-gradient"].severity == "error"
    assert what in found["no-gradient"].what and remedy in found["no-gradient"].remedy
    assert "cuts the graph" not in found["no-gradient"].what and "detach" not in found["no-gradient"].remedy


def test_an_optimizer_that_was_made_anew_is_no_fault_where_the_weights_move() -> None:
    assert unmoved("remade") == {}


def test_updates_that_no_weight_can_hold_say_nothing_of_the_targets() -> None:
    model = mlp(nn.BatchNorm1d(32))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)

    def clip(*_: object) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1e-8)

    optimizer.register_step_pre_hook(clip)
    (found,) = trained(model, points(), optimizer=optimizer, steps=150)
    assert (found.slug, found.severity) == ("learning-rate-too-low", "hint")
    assert "no weight of 0, 3 changed by a bit" in found.what and "labels-unrelated" not in str(found.numbers)


def test_targets_are_blamed_where_weights_move() -> None:
    rng = torch.Generator().manual_seed(0)
    batches = ((inputs, torch.randint(4, (32,), generator=rng)) for inputs, _ in points())
    found = by_name(trained(mlp(), batches, lr=0.001, steps=150))
    assert "a step changes the weights by" in found["labels-unrelated"].what


def test_units_that_are_all_dead_stand_for_answers_that_are_alike() -> None:
    model = mlp()
    nn.init.constant_(model[0].bias, -100.0)
    (found,) = trained(model, points(), steps=150)
    assert (found.slug, found.severity) == ("dead-units", "error")
    assert "mode-collapse" in found.numbers["explains"]
