"""The largest batch is tried before the first step: nothing else changes, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import SizedData, ToyTask, losses, train

from argusvl.core.errors import ConfigError
from argusvl.training import largest_first


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The largest batches that were tried, by their samples."""
    batches: list[int] = []
    original = largest_first._largest_batch

    def noted(trainer: Any) -> Any:
        batch = original(trainer)
        batches.extend([] if batch is None else [sample.index for sample in batch.samples])
        return batch

    monkeypatch.setattr(largest_first, "_largest_batch", noted)
    return batches


def test_losses_are_those_of_a_run_without_it(tmp_path: Path, tries: list[int]) -> None:
    plain = train(ToyTask(dropout=0.3), tmp_path / "plain", max_steps=3)
    assert not tries
    sized = train(ToyTask(dropout=0.3, data=SizedData), tmp_path / "sized", max_steps=3)
    assert tries and {index % 4 for index in tries} == {3}
    assert losses(sized) == losses(plain)


def test_a_run_that_goes_on_has_been_through_it(tmp_path: Path, tries: list[int]) -> None:
    train(ToyTask(data=SizedData), tmp_path, max_steps=2, save_steps=2)
    tries.clear()
    train(ToyTask(data=SizedData), tmp_path, resume=True, max_steps=4, save_steps=2)
    assert not tries


def test_a_batch_that_does_not_fit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7 GiB.")

    monkeypatch.setattr(largest_first, "batch_loss", full)
    with pytest.raises(ConfigError) as raised:
        train(ToyTask(data=SizedData), tmp_path)
    assert "toy-3" in str(raised.value) and "7 GiB" in str(raised.value)
    assert raised.value.where == "per_device_train_batch_size"
    assert "gradient_checkpointing" in str(raised.value.remedy)


def test_other_errors_are_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(largest_first, "batch_loss", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        train(ToyTask(data=SizedData), tmp_path)
