"""Two processes that hold parts of the weights (FSDP2, over gloo) train as two that hold them whole, and as one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_ranks import OPTIONS, QUIET, both_ranks
from test_recovery import recovery
from torch.distributed.tensor import DTensor
from toy_task import GROUPS, SizedData, ToyModel, ToyTask, events, logged, toy_config, train

from argusvl.config.deepspeed import carry_out, read_deepspeed
from argusvl.core.errors import CheckpointError

WHOLE: dict[str, Any] = {
    **OPTIONS,
    "max_grad_norm": 0.5,
    "max_steps": 7,
    "save_steps": 5,
    "eval_steps": 4,
    "ema_decay": 0.9,
}
FSDP: dict[str, Any] = {"fsdp": True, "fsdp_config": {"transformer_layer_cls_to_wrap": ["Linear"]}}
SHARDED: dict[str, Any] = {**WHOLE, "trainer_arguments": FSDP}
ALONE: dict[str, Any] = {**WHOLE, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}

Trained = Callable[..., Path]


def close(ours: Sequence[dict[str, float]], theirs: Sequence[dict[str, float]]) -> None:
    assert [entry["step"] for entry in ours] == [entry["step"] for entry in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        for name in ("loss", "grad_norm", "fit_loss", "gn/head", "wn/body"):
            if name in other:
                assert mine[name] == pytest.approx(other[name], rel=1e-5, nan_ok=True), (
                    f"{name} at step {mine['step']}"
                )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(ToyModel.from_pretrained(folder).state_dict())


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two processes, with checkpoints of steps 5 and 7."""
    folder = tmp_path_factory.mktemp("sharded")
    both_ranks(folder, task=ToyTask(**QUIET, data=SizedData), **SHARDED)
    return folder


@pytest.fixture
def stopped(sharded: Path, tmp_path: Path) -> Path:
    """The same run, as if it had been killed after step 5."""
    folder = tmp_path / "stopped"
    shutil.copytree(sharded, folder, symlinks=True)
    shutil.rmtree(folder / "checkpoint-7")
    return folder


def test_it_computes_what_whole_weights_do(sharded: Path, tmp_path: Path, trained: Trained) -> None:
    both_ranks(tmp_path / "whole", **WHOLE)
    close(logged(sharded), logged(tmp_path / "whole"))
    close(logged(sharded), logged(trained(QUIET, **ALONE)))
    assert all(entry["grad_norm"] > 0.5 for entry in logged(sharded)), "nothing was clipped"
    ours, theirs = weights(sharded / "checkpoint-7"), weights(tmp_path / "whole" / "checkpoint-7")
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-5, atol=1e-6)


@dataclass
class SeenTask(ToyTask):
    """Notes of each training forward pass whether weights are in parts again at its end."""

    notes: Path = Path()

    def model(self) -> ToyModel:
        model = super().model()

        def note(module: torch.nn.Module, *_: Any) -> None:
            if torch.is_grad_enabled() and torch.distributed.get_rank() == 0:
                with self.notes.open("a") as stream:
                    stream.write(f"{isinstance(module.get_parameter('body.weight'), DTensor)}\n")

        model.register_forward_hook(note)
        return model


@pytest.mark.parametrize("stage", [2, 3])
def test_a_file_of_deepspeeds_trains_as_one_process(
    repository: Path, tmp_path: Path, trained: Trained, stage: int
) -> None:
    options = {**WHOLE, "per_device_train_batch_size": 2}
    file = repository / "configs" / "deepspeed" / f"zero{stage}.json"
    config = toy_config(
        tmp_path, **options, trainer_arguments={"fsdp_config": FSDP["fsdp_config"]}, bf16="auto"
    )
    carried = carry_out(read_deepspeed(file), config, 2, file).config
    seen = SeenTask(**QUIET, notes=tmp_path / "notes")
    both_ranks(tmp_path / "both", task=seen, **options, trainer_arguments=dict(carried.trainer_arguments))
    close(logged(tmp_path / "both"), logged(trained(QUIET, **ALONE)))
    assert (tmp_path / "both" / "checkpoint-7" / "training_state" / "shards" / "__1_0.distcp").is_file()
    assert {*seen.notes.read_text().split()} == {str(stage == 3)}


def test_each_process_writes_its_parts(sharded: Path) -> None:
    checkpoint = sharded / "checkpoint-7"
    parts = {path.name for path in (checkpoint / "training_state" / "shards").iterdir()}
    assert parts == {".metadata", "__0_0.distcp", "__1_0.distcp"}
    assert not list((checkpoint / "training_state").glob("*.safetensors")), "no whole copies beside them"
    state = torch.load(checkpoint / "optimizer.pt", weights_only=True)["state"]
    assert all("exp_avg" not in of_parameter for of_parameter in state.values())
    assert not list(sharded.glob(".*"))


def test_it_goes_on_with_two_processes(sharded: Path, stopped: Path) -> None:
    both_ranks(stopped, resume=True, **SHARDED)
    close(logged(stopped), logged(sharded))


def test_one_process_goes_on_with_the_same_configuration(sharded: Path, stopped: Path) -> None:
    alone = train(ToyTask(**QUIET), stopped, resume=True, **ALONE, trainer_arguments=FSDP)
    close(alone, logged(sharded))


def test_what_one_process_began_two_go_on_with_in_parts(sharded: Path, copied: Trained) -> None:
    run = copied(QUIET, **ALONE)
    shutil.rmtree(run / "checkpoint-7")
    both_ranks(run, resume=True, **SHARDED)
    close(logged(run), logged(sharded))


def test_another_number_of_samples_a_step_is_refused(stopped: Path) -> None:
    with pytest.raises(CheckpointError, match="ranks 2, now it is 1") as caught:
        train(ToyTask(**QUIET), stopped, resume=True, **ALONE | {"gradient_accumulation_steps": 1})
    assert "twice the gradient_accumulation_steps" in str(caught.value.remedy)


def test_parts_that_are_damaged_are_named(stopped: Path) -> None:
    shutil.rmtree(stopped / "checkpoint-4")
    part = stopped / "checkpoint-5" / "training_state" / "shards" / "__1_0.distcp"
    part.write_bytes(part.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="__1_0.distcp is truncated"):
        train(ToyTask(**QUIET), stopped, resume=True, **ALONE)


def test_phases_and_accumulated_gradients(tmp_path: Path) -> None:
    groups = (replace(GROUPS[0], frozen_epochs=1.0), GROUPS[1])
    changes = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2, "max_steps": 6}
    both_ranks(tmp_path / "sharded", task=ToyTask(**QUIET, groups=groups), **SHARDED | changes)
    alone = changes | {"gradient_accumulation_steps": 4}
    close(
        logged(tmp_path / "sharded"),
        train(ToyTask(**QUIET, groups=groups), tmp_path / "one", **WHOLE | alone),
    )


def test_a_bad_step_is_examined_by_all_and_passed_over(tmp_path: Path) -> None:
    limits = recovery(max_consecutive_nan=3, max_nan_ratio=1.0, nan_window=10, snapshot_steps=2)
    both_ranks(tmp_path / "sharded", task=ToyTask(**QUIET, broken=9), **SHARDED, recovery=limits)
    both_ranks(tmp_path / "whole", task=ToyTask(**QUIET, broken=9), **WHOLE, recovery=limits)
    close(logged(tmp_path / "sharded"), logged(tmp_path / "whole"))
    runs = tmp_path / "sharded", tmp_path / "whole"
    skipped = [[(e["step"], e["why"]) for e in events(run, "skipped")] for run in runs]
    assert skipped[0] == skipped[1] != []
    bundles = [sorted((run / "non_finite").glob("step-*")) for run in runs]
    assert [b.name for b in bundles[0]] == [b.name for b in bundles[1]]
    for ours, theirs in zip(*bundles, strict=True):
        kept = load_file(ours / "weights.safetensors"), load_file(theirs / "weights.safetensors")
        torch.testing.assert_close(*kept, rtol=1e-5, atol=1e-6)
