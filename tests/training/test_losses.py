from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import ToyTask, toy_config, train

from argusvl.core.batch import Batch
from argusvl.core.errors import ModelError
from argusvl.training.listeners import Listener, Listeners
from argusvl.training.losses import LossAggregation
from argusvl.training.protocol import LossTerm
from argusvl.training.step import StepRecord
from argusvl.training.trainer import ArgusTrainer

QUIET = {"dropout": 0.0, "noise": 0.0}
PLAIN_SGD: dict[str, Any] = {
    "trainer_arguments": {"optim": "sgd"},
    "weight_decay": 0.0,
    "max_grad_norm": 1e9,
    "warmup_ratio": 0.0,
    "lr_scheduler_type": "constant",
    "max_steps": 1,
}


def step_of_sgd(folder: Path, batch: int, accumulation: int) -> dict[str, torch.Tensor]:
    """What one step of plain SGD changed: the gradient, up to each group's rate."""
    config = toy_config(
        folder, per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation, **PLAIN_SGD
    )
    torch.manual_seed(0)
    trainer = ArgusTrainer(ToyTask(**QUIET), config)
    before = {name: p.detach().clone() for name, p in trainer.run.network.named_parameters()}
    trainer.train()
    return {name: before[name] - p.detach() for name, p in trainer.run.network.named_parameters()}


def test_accumulated_micro_batches_give_the_gradient_of_one_batch(tmp_path: Path) -> None:
    task = ToyTask(**QUIET)
    data = task.train_dataset()
    rows = [task.collate([data[i], data[i + 1]]).counts["rows"] for i in range(0, 8, 2)]
    assert len(set(rows)) > 1, "of equal counts the mean of means would be right as well"
    whole = step_of_sgd(tmp_path / "whole", batch=8, accumulation=1)
    parts = step_of_sgd(tmp_path / "parts", batch=2, accumulation=4)
    for name, gradient in whole.items():
        assert gradient.abs().sum() > 0, name
        torch.testing.assert_close(
            parts[name], gradient, rtol=1e-5, atol=1e-7 * float(gradient.abs().max()) + 1e-8
        )


def test_a_short_last_step_is_divided_by_its_own_counts(tmp_path: Path) -> None:
    # 22 samples: micro-batches of 4 make 6, of which the second step of 4 has only 2, the last one of 2 samples.
    entries = train(ToyTask(**QUIET), tmp_path / "a", gradient_accumulation_steps=4, num_train_epochs=1.0)
    whole = train(ToyTask(**QUIET), tmp_path / "b", per_device_train_batch_size=16, num_train_epochs=1.0)

    assert [e["loss"] for e in entries] == pytest.approx([e["loss"] for e in whole], rel=1e-5)
    assert [e["grad_norm"] for e in entries] == pytest.approx([e["grad_norm"] for e in whole], rel=1e-5)


def test_logged_terms_are_means_over_the_window_without_weights(tmp_path: Path) -> None:
    task = ToyTask(**QUIET, weights={"fit": 3.0, "rare": 0.5, "size": 0.0})
    frozen = {"max_steps": 3, "logging_steps": 3, "save_steps": 100}
    config = toy_config(tmp_path / "run", lr_scheduler_type="constant", warmup_ratio=0.0, **frozen)
    torch.manual_seed(0)
    trainer = ArgusTrainer(task, config)
    sums = {"fit": 0.0, "rare": 0.0}
    rows = rare = 0

    class Watching(Listener):
        def on_step(self, record: StepRecord) -> None:
            nonlocal rows, rare
            for name, value in zip(record.terms, record.sums.sum(0).tolist(), strict=True):
                if name in sums:
                    sums[name] += value
            rows, rare = rows + record.counts["rows"], rare + record.counts["rare_rows"]

    trainer.run.listeners = Listeners([Watching()])
    trainer.train()

    (entry,) = [e for e in trainer.state.log_history if "loss" in e]
    assert entry["fit_loss"] == pytest.approx(sums["fit"] / rows, rel=1e-5)
    assert entry["rare_loss"] == pytest.approx(sums["rare"] / rare, rel=1e-5)
    assert entry["all_loss"] == pytest.approx(entry["fit_loss"] + entry["rare_loss"])
    assert "size" not in entry and "size_loss" not in entry


TERMS = (LossTerm("a", "n", 2.0, "a_loss"), LossTerm("b", "m", 10.0, ("b_loss", "sum_loss")))


def test_a_term_that_nothing_counts_is_skipped_and_stays_in_the_graph() -> None:
    aggregation = LossAggregation(TERMS)
    a, b = torch.tensor(6.0, requires_grad=True), torch.tensor(0.0, requires_grad=True)

    loss, sums = aggregation.combine({"a": a, "b": b}, {"n": 3, "m": 0}, scale=1.0)
    loss.backward()

    assert loss.item() == 4.0
    assert a.grad is not None and a.grad.item() == pytest.approx(2 / 3)
    assert b.grad is not None and b.grad.item() == 0.0
    assert aggregation.figures(sums.tolist(), {"n": 3, "m": 0}) == {"a_loss": 2.0}


def test_a_missing_term_counts_as_nothing() -> None:
    loss, sums = LossAggregation(TERMS).combine({"b": torch.tensor(1.0)}, {"n": 3, "m": 5}, scale=2.0)
    assert loss.item() == pytest.approx(2 * 10 / 5)
    assert sums.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"a": torch.tensor(1.0), "c": torch.tensor(1.0)}, "c"),
        ({}, "no loss term"),
        ({"a": torch.ones(2)}, r"shape \(2,\)"),
    ],
)
def test_terms_that_do_not_fit_are_errors(terms: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        LossAggregation(TERMS).combine(terms, {"n": 1, "m": 1}, scale=1.0)


@pytest.mark.parametrize("counts", [{"n": 1}, {"n": 1, "m": 1.5}, {"n": 1, "m": -1}, {}])
def test_counts_that_are_missing_or_no_numbers_are_errors(counts: Any) -> None:
    with pytest.raises(ModelError, match=r"counts\['m'\]"):
        LossAggregation(TERMS).counts_of([Batch({}, counts)])


def test_compute_loss_is_a_scalar_and_the_model_sees_neither_counts_nor_bookkeeping(tmp_path: Path) -> None:
    trainer = ArgusTrainer(ToyTask(), toy_config(tmp_path / "run"))
    batch = next(iter(trainer.get_train_dataloader()))

    loss = trainer.compute_loss(trainer.model, batch)

    assert loss.shape == () and loss.requires_grad
    assert all(type(v) in (int, float) for v in [*batch.counts.values()])
