"""Everything that a run is, at one step: kept in memory to roll back to, or in files: then it is a checkpoint.

checkpoint-200/
  model.safetensors, …            the weights, averaged where an average is kept, and what a predictor needs
  optimizer.pt, scheduler.pt      of torch
  trainer_state.json              transformers' state: step, epoch, log
  training_state/
    engine.json                   position in the data, policies, what is still due
    ranks.pt                      of each rank: random generators, the logging window that is not full yet
    task.json                     what the task has learned in training beside the weights
    config.json                   the run's configuration
    raw_weights.safetensors       the weights that train, where the checkpoint's own are averaged
    averages.safetensors          the average, exactly
    shards/                       where weights are in parts (FSDP2): optimizer, raw weights and average, in the format
                                  of torch.distributed.checkpoint, which any number of processes reads
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeInt
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only
from transformers import PreTrainedModel, TrainerState

from argusvl.core.errors import CheckpointError
from argusvl.core.files import read_json, read_text
from argusvl.core.weight_files import load_pickled, load_safetensors
from argusvl.run.checkpoints import OPTIMIZER, SCHEDULER, STATE_FOLDER
from argusvl.run.layout import TRAINER_STATE
from argusvl.training.protocol import ReadsCheckpoints
from argusvl.training.sharding import load_shards

_ENGINE, _RANKS, _TASK, _CONFIG = "engine.json", "ranks.pt", "task.json", "config.json"
_RAW_WEIGHTS, _AVERAGES = "raw_weights.safetensors", "averages.safetensors"
SHARDS = "shards"


@dataclass(frozen=True, slots=True)
class EngineState:
    """The engine's own state, the same on all ranks.

    Attributes:
        position: What a position in the order of samples depends on, by name.
        evaluation_due: Whether an evaluation was due at this step and did not come to its end.
        last_logged: Step of the last log entry.
        ema_updates: Updates of the moving average; ``None`` where there is none.
        data: Fingerprint of the training data; ``None`` where it has none.
        max_steps: Steps that the run was planned for.
        bf16: Whether the run computes in bfloat16.
        total_loss: Sum of the losses of all steps that were taken and are logged.
        steps_taken: Their number.
        policies: State of the policies.
    """

    position: dict[str, int]
    evaluation_due: bool
    last_logged: int
    ema_updates: int | None
    data: str | None
    max_steps: int
    bf16: bool
    total_loss: float
    steps_taken: int
    policies: dict[str, Any]


@dataclass(slots=True)
class Snapshot:
    """A run at one step.

    Attributes:
        trainer: ``TrainerState`` as JSON text.
        weights: Parameters and buffers by name, not averaged: those that change at least.
        ranks: Of each rank, tensors and plain values only.
        task: What the task has learned beside the weights; plain values.
        config: The run's configuration; empty where it was read from files, which :attr:`SavedSnapshot.config` reads.
    """

    engine: EngineState
    trainer: str
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    ranks: list[dict[str, Any]]
    task: dict[str, Any]
    averages: dict[str, Tensor] | None
    config: dict[str, Any] = field(default_factory=dict)

    def kept(self) -> Snapshot:
        """A copy on the CPU that training does not reach."""
        changing = ("weights", "optimizer", "scheduler", "ranks", "task", "averages")
        return replace(self, **{n: tree_map_only(Tensor, _copied, getattr(self, n)) for n in changing})

    def shards(self, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is in parts and therefore written by all processes together; empty where weights are whole."""
        shards: dict[str, Tensor] = {
            f"optimizer/{number}/{key}": value
            for number, state in self.optimizer["state"].items()
            for key, value in state.items()
            if isinstance(value, DTensor)
        }
        if self.averages is not None:
            for kind, tensors in (("weight", trained), ("average", self.averages)):
                parts = {name: p.detach() for name, p in tensors.items() if isinstance(p, DTensor)}
                shards.update((f"{kind}/{name}", part) for name, part in parts.items())
        return shards

    def write(self, checkpoint: Path, trained: Mapping[str, Tensor], shards: Path | None = None) -> None:
        """Writes the state that resuming needs beside the checkpoint's weights.

        The folder in which :meth:`shards` were written is moved into the checkpoint.
        """
        whole = {
            number: {key: value for key, value in state.items() if not isinstance(value, DTensor)}
            for number, state in self.optimizer["state"].items()
        }
        torch.save({**self.optimizer, "state": whole}, checkpoint / OPTIMIZER)
        torch.save(self.scheduler, checkpoint / SCHEDULER)
        (checkpoint / TRAINER_STATE).write_text(self.trainer, encoding="utf-8")
        folder = checkpoint / STATE_FOLDER
        folder.mkdir()
        for name, value in ((_ENGINE, asdict(self.engine)), (_TASK, self.task), (_CONFIG, self.config)):
            (folder / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        torch.save(self.ranks, folder / _RANKS)
        if shards is not None:
            shards.rename(folder / SHARDS)
        elif self.averages is not None:
            save_file({name: p.detach().contiguous() for name, p in trained.items()}, folder / _RAW_WEIGHTS)
            save_file(self.averages, folder / _AVERAGES)


class _TrainerState(BaseModel):
    """What transformers and we take from ``trainer_state.json`` without another look at its types."""

    model_config = ConfigDict(strict=True)

    global_step: NonNegativeInt
    max_steps: int
    epoch: float | None
    log_history: list[dict[str, Any]]
    total_flos: float
    best_metric: float | None
    best_global_step: int | None
    best_model_checkpoint: str | None
    num_train_epochs: float
    logging_steps: float
    eval_steps: float
    save_steps: float
    train_batch_size: int | None
    stateful_callbacks: dict[str, Any]


class SavedSnapshot:
    """A verified checkpoint, read to go on from it.

    Raises:
        CheckpointError: A file of its state is damaged.
    """

    def __init__(self, checkpoint: str | Path) -> None:
        self.checkpoint = Path(checkpoint)
        self._folder = self.checkpoint / STATE_FOLDER
        self._weights: dict[str, Tensor] | None = None
        try:
            self.engine = EngineState(**self._json(_ENGINE))
            self.engine.position["seed"]
        except (TypeError, KeyError) as error:
            raise _damaged(self._folder / _ENGINE, error) from error
        try:
            state = read_json(self.checkpoint / TRAINER_STATE)
            _TrainerState.model_validate(state)
            TrainerState(**state)
        except (OSError, ValueError, TypeError) as error:
            raise _damaged(self.checkpoint / TRAINER_STATE, error) from error

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the run that wrote it."""
        config = self._json(_CONFIG)
        if not (isinstance(config, dict) and config.get("training")):
            raise _damaged(self._folder / _CONFIG, ValueError("no configuration"))
        return config

    def read_weights(self, network: PreTrainedModel) -> None:
        """Reads the weights now and keeps them for :meth:`load`: a model in parts can no longer load in place.

        Raises:
            CheckpointError: A file is damaged, or of another model.
        """
        read = self._read_weights(network)
        self._weights = {name: weight.detach().to("cpu", copy=True) for name, weight in read.items()}

    def _read_weights(self, network: PreTrainedModel) -> dict[str, Tensor]:
        if isinstance(network, ReadsCheckpoints):
            return network.checkpoint_weights(self.checkpoint)
        return dict(type(network).from_pretrained(self.checkpoint).state_dict())

    def load(self, network: PreTrainedModel, optimizer: Optimizer, trained: Mapping[str, Tensor]) -> Snapshot:
        """All of it, the weights through the model or its class.

        Raises:
            CheckpointError: A file is damaged.
        """
        weights, self._weights = dict(self._weights or self._read_weights(network)), None
        averages, state = None, _read(load_pickled, self.checkpoint / OPTIMIZER)
        if (self._folder / SHARDS).is_dir():
            shards = load_shards(self._folder / SHARDS, optimizer, trained)
            weights |= shards.get("weight", {})
            averages = shards.get("average")
            for name, tensor in shards["optimizer"].items():
                number, _, key = name.partition("/")
                state["state"][int(number)][key] = tensor
        elif self.engine.ema_updates is not None:
            weights |= load_safetensors(self._folder / _RAW_WEIGHTS)
            averages = load_safetensors(self._folder / _AVERAGES)
        return Snapshot(
            engine=self.engine,
            trainer=read_text(self.checkpoint / TRAINER_STATE),
            weights=weights,
            optimizer=state,
            scheduler=_read(load_pickled, self.checkpoint / SCHEDULER),
            ranks=_read(load_pickled, self._folder / _RANKS),
            task=self._json(_TASK),
            averages=averages,
        )

    def _json(self, name: str) -> Any:
        return _read(read_json, self._folder / name)


def _read(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except Exception as error:  # zipfile, pickle, struct, JSON: whatever a damaged file makes of it
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    # torch's own text proposes to load it in a way that runs code out of the file.
    return CheckpointError(
        f"cannot be read ({type(error).__name__}): it is damaged, or was not written by a run",
        where=path,
        remedy=f"move {path.parent} away to go on from the checkpoint before it, or copy it again",
    )


def _copied(tensor: Tensor) -> Tensor:
    # A part stays on its device: it is small.
    tensor = tensor.detach()
    return tensor.clone() if isinstance(tensor, DTensor) else tensor.to("cpu", copy=True)
