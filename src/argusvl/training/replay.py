"""A step that was not finite, computed once more from its bundle."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from argusvl.config.schema import RunConfig
from argusvl.core.batch import Batch
from argusvl.core.errors import ArgusError, CheckpointError
from argusvl.core.files import read_json
from argusvl.core.weight_files import load_pickled, load_safetensors
from argusvl.run import checkpoints
from argusvl.training.bad_step import BATCHES, REPORT, WEIGHTS, gradient_norms, term_sums, watched_modules
from argusvl.training.protocol import LearnsAssets, Task
from argusvl.training.state import TrainState
from argusvl.training.stepping import forward_backward
from argusvl.training.trainer import ArgusTrainer


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replayed step came to.

    Attributes:
        term_sums: Each micro-batch's loss terms, as exact text.
        module: The first module whose output is not finite, in the order of computing.
        parameter: The first parameter whose gradient is not finite.
        differences: What is not as the bundle says, bit for bit; empty where the step was reproduced.
    """

    step: int
    term_sums: list[dict[str, str]]
    module: str | None
    parameter: str | None
    samples: list[list[str]]
    differences: list[str]


def replay(task: Task, config: RunConfig, bundle: Path) -> Replay:
    """Computes a kept step again: with its weights, batches and draws. Nothing is written to the run's folder.

    Raises:
        CheckpointError: The bundle is missing, damaged, or of another model.
    """
    report = _read(bundle, REPORT, read_json)
    batches = _read(bundle, BATCHES, load_pickled)
    weights = _read(bundle, WEIGHTS, load_safetensors)
    saved = checkpoints.list_checkpoints(config.training.output_dir)
    if saved and isinstance(task, LearnsAssets):
        task.load_assets(saved[-1][1])  # what the run learned from its data, whatever they hold now
    with tempfile.TemporaryDirectory() as elsewhere:
        changes = {"output_dir": Path(elsewhere), "bf16": report["bf16"]}
        training = config.training.model_copy(update=changes)
        run = ArgusTrainer(task, config.model_copy(update={"training": training})).run
        _load_weights(run, weights, bundle)
        run.wrapped = run.accelerator.prepare_model(run.network)
        with watched_modules(run.network) as seen:
            record = forward_backward(
                run,
                [Batch(inputs) for inputs in batches],
                report["counts"],
                report["step"],
                rank=report["rank"],
            )
    found: dict[str, Any] = {"term_sums": term_sums(record)}
    if report["ranks"] == 1:  # of several, gradients were added up
        found["gradient_norms"] = gradient_norms(record)
    return Replay(
        step=record.step,
        term_sums=found["term_sums"],
        module=seen.first_bad,
        parameter=record.gradients.first_non_finite(),
        samples=report["samples"],
        differences=[
            difference
            for name, values in found.items()
            for difference in _differences(name, report[name], json.loads(json.dumps(values)))
        ],
    )


def _differences(name: str, then: Any, now: Any) -> list[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*then, *now])
        return [d for k in keys for d in _differences(f"{name}.{k}", then.get(k), now.get(k))]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [
            d
            for k, pair in enumerate(zip(then, now, strict=True))
            for d in _differences(f"{name}[{k}]", *pair)
        ]
    return [] if then == now else [f"{name} was {then}, is {now}"]


def _load_weights(run: TrainState, weights: Mapping[str, torch.Tensor], bundle: Path) -> None:
    own = dict(run.trainable) | dict(run.network.named_buffers())
    wrong = [n for n in own if n not in weights or weights[n].shape != own[n].shape]
    if wrong or len(weights) != len(own):
        raise CheckpointError(
            f"its weights are not those of this model: {wrong[0] if wrong else 'there are others, too'}",
            where=bundle,
            remedy="give the configuration that the run was started with",
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(weights[name])


def _read(bundle: Path, name: str, read: Any) -> Any:
    try:
        return read(bundle / name)
    except ArgusError:
        raise
    except Exception as error:  # zipfile, pickle, safetensors, JSON: whatever a damaged file makes of it
        raise CheckpointError(
            f"cannot be read ({type(error).__name__}): it is missing or damaged",
            where=bundle / name,
            remedy="name a folder non_finite/step-<N> that a run has kept",
        ) from error
