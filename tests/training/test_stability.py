from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import ToyModel, ToyTask, logged, toy_config, train

from argusvl.core.batch import Batch
from argusvl.core.errors import DataError, TrainingError
from argusvl.run.events import read_events
from argusvl.training.sampling import EpochSampler
from argusvl.training.trainer import ArgusTrainer


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_loss_that_is_not_finite_stops_before_the_step(tmp_path: Path, accumulation: int) -> None:
    order = [index for _, index in EpochSampler(22, seed=3)]
    batch = order.index(9) // 4
    indices = order[4 * batch : 4 * batch + 4]
    step = batch // accumulation + 1
    trainer = ArgusTrainer(
        ToyTask(broken=9), toy_config(tmp_path, gradient_accumulation_steps=accumulation, save_steps=1)
    )
    with pytest.raises(TrainingError) as caught:
        trainer.train()

    message = str(caught.value)
    assert "loss term 'fit' is not finite" in message and f"at step {step};" in message
    assert ", ".join(f"toy-{i}" for i in indices) in message
    assert "--resume" in message
    assert trainer.state.global_step == step - 1
    last = list(read_events(tmp_path))[-1]
    assert last["event"] == "stopped" and "loss term 'fit' is not finite" in last["why"]
    if step > 1:
        saved = ToyModel.from_pretrained(tmp_path / f"checkpoint-{step - 1}").state_dict()
        for name, value in trainer.run.network.state_dict().items():
            if name != "seen":
                assert torch.equal(value, saved[name]), f"{name}: the step was taken"

    folder = tmp_path / "non_finite" / f"step-{step}"
    report = json.loads((folder / "report.json").read_text())
    assert report["term"] == "fit" and report["step"] == step
    assert [f"toy-{i}" for i in indices] in report["samples"]
    kept = torch.load(folder / "batches.pt", weights_only=True)
    assert len(kept) == accumulation
    assert kept[report["suspect_micro_batch"]]["y"].isnan().any()
    assert report["counts"]["rows"] >= len(kept[0]["y"])


class SteepModel(ToyModel):
    """A finite loss with an infinite gradient: the square root at 0."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = super().forward(*args, **kwargs)
        output.loss_terms["size"] = output.loss_terms["size"] + (self.head.bias * 0.0).abs().sum().sqrt()
        return output


@pytest.mark.parametrize("max_grad_norm", [1.0, 1e9])
def test_a_gradient_that_is_not_finite_is_named(tmp_path: Path, max_grad_norm: float) -> None:
    trainer = ArgusTrainer(ToyTask(network=SteepModel), toy_config(tmp_path, max_grad_norm=max_grad_norm))
    before = trainer.run.network.body.weight.detach().clone()
    with pytest.raises(
        TrainingError, match=r"losses are finite, the gradient of head\.bias is not, first in head at step 1"
    ):
        trainer.train()
    assert torch.equal(trainer.run.network.body.weight, before)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_error_arrives_whole(tmp_path: Path, workers: int) -> None:
    class Picky(ToyTask):
        def collate(self, samples: Any) -> Batch:
            raise DataError("too odd", where="file.jsonl:7", remedy="mend line 7")

    with pytest.raises(DataError) as caught:
        train(Picky(), tmp_path, dataloader_num_workers=workers)
    assert str(caught.value) == "file.jsonl:7: too odd\n  What to do: mend line 7"


def test_an_evaluation_that_fails_loses_no_training(tmp_path: Path) -> None:
    class Failing(ToyTask):
        def evaluate(self, model: Any, dataset: Any, parallel: Any) -> dict[str, float]:
            raise DataError("a picture is gone", where="val.jsonl")

    options: dict[str, Any] = {"eval_steps": 3, "save_steps": 100, "max_steps": 6}
    with pytest.raises(DataError, match="a picture is gone"):
        train(Failing(), tmp_path, **options)
    assert (tmp_path / "checkpoint-3").is_dir()

    # The evaluation that is still due is the first thing that a resumed run does.
    train(ToyTask(scores=[0.5, 0.1]), tmp_path, resume=True, **options)
    entries = json.loads((tmp_path / "trainer_state.json").read_text())["log_history"]
    assert [(e["step"], e["eval_score"]) for e in entries if "eval_score" in e] == [(3, 0.5), (6, 0.1)]
    assert json.loads((tmp_path / "best_checkpoint.json").read_text())["checkpoint"] == "checkpoint-3"
    assert len(logged(tmp_path)) == 6
