"""What a checkpoint holds beside weights and optimizer, so that a run goes on exactly where it was.

checkpoint-200/training_state/
engine.json                 position in the data, what is still due
ranks.pt                    of each rank: random generators, the logging window that is not full yet
raw_weights.safetensors     the weights that train  } where a moving average is kept: then the
averages.safetensors        the average, exactly    } checkpoint's own weights are the average
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from argusvl.core.errors import CheckpointError
from argusvl.core.files import read_json
from argusvl.core.logging import get_logger
from argusvl.training.checkpoints import STATE_FOLDER
from argusvl.training.ema import ExponentialMovingAverage

logger = get_logger(__name__)

_RANKS = "ranks.pt"
_ENGINE = "engine.json"
_RAW_WEIGHTS = "raw_weights.safetensors"
_AVERAGES = "averages.safetensors"


@dataclass(frozen=True, slots=True)
class EngineState:
    """The engine's own state, the same on all ranks.

    Attributes:
        position: What a position in the order of samples depends on, by name.
        evaluation_due: Whether an evaluation was due at this step and did not come to its end.
        last_logged: Step of the last log entry.
        ema_updates: Updates of the moving average; ``None`` where there is none.
        data: Fingerprint of the training data; ``None`` where it has none.
        max_steps: Steps that the run was planned for; ``None`` in old checkpoints.
        bf16: Whether the run computes in bfloat16; ``None`` in old checkpoints.
    """

    position: dict[str, int]
    evaluation_due: bool
    last_logged: int
    ema_updates: int | None
    data: str | None = None
    max_steps: int | None = None
    bf16: bool | None = None


def write_run_state(
    checkpoint: Path,
    engine: EngineState,
    ranks: Sequence[Mapping[str, Any]],
    trainable: Mapping[str, nn.Parameter],
    ema: ExponentialMovingAverage | None,
) -> None:
    """Writes the folder.

    Args:
        checkpoint: The checkpoint's folder.
        engine: The engine's state.
        ranks: Of each rank, tensors and plain values only.
        trainable: The parameters that train.
        ema: Their average.
    """
    folder = checkpoint / STATE_FOLDER
    folder.mkdir()
    (folder / _ENGINE).write_text(json.dumps(asdict(engine)), encoding="utf-8")
    torch.save([dict(rank) for rank in ranks], folder / _RANKS)
    if ema is not None:
        save_file({name: p.detach().contiguous() for name, p in trainable.items()}, folder / _RAW_WEIGHTS)
        save_file(ema.state(), folder / _AVERAGES)


class SavedRun:
    """A verified checkpoint, read to go on from it.

    Args:
        checkpoint: Its folder.
    """

    def __init__(self, checkpoint: str | Path) -> None:
        self.checkpoint = Path(checkpoint)
        self._folder = self.checkpoint / STATE_FOLDER
        self.engine = EngineState(**read_json(self._folder / _ENGINE))

    def rank(self, index: int) -> dict[str, Any]:
        """What that rank saved."""
        state: dict[str, Any] = torch.load(self._folder / _RANKS, weights_only=True)[index]
        return state

    def check_position(self, now: Mapping[str, int]) -> None:
        """Refuses a run that would see its samples in another order.

        Raises:
            CheckpointError: Something that the position depends on has changed.
        """
        saved = self.engine.position
        for name, value in now.items():
            if saved[name] != value:
                raise CheckpointError(
                    f"it was trained with {name} {saved[name]}, now it is {value}: "
                    "the position in the data would differ",
                    where=self.checkpoint,
                    remedy=f"resume with {name} {saved[name]}, or start a new run in another output_dir",
                )

    def restore_weights(
        self,
        network: PreTrainedModel,
        trainable: Mapping[str, nn.Parameter],
        ema: ExponentialMovingAverage | None,
    ) -> None:
        """Loads the weights through the model's own class, then what the moving average needs.

        Raises:
            CheckpointError: The model, or which of its parameters train, is not what the run had.
        """
        loaded = type(network).from_pretrained(self.checkpoint)
        try:
            network.load_state_dict(loaded.state_dict())
        except RuntimeError as error:
            raise CheckpointError(
                f"its weights do not fit the configured model: {error}",
                where=self.checkpoint,
                remedy="resume with the model settings of the run that wrote it",
            ) from error
        del loaded
        if self.engine.ema_updates is None:
            if ema is not None:
                logger.warning("%s has no moving average; it starts from the weights", self.checkpoint)
                ema.reset()
            return
        raw = load_file(self._folder / _RAW_WEIGHTS)
        if raw.keys() != trainable.keys():
            changed = sorted(raw.keys() ^ trainable.keys())
            raise CheckpointError(
                f"{len(changed)} parameters trained then and not now, or the other way round: {changed[0]}",
                where=self.checkpoint,
                remedy="resume with the groups of the run that wrote it (which rates are 0 must not change)",
            )
        with torch.no_grad():
            for name, parameter in trainable.items():
                parameter.copy_(raw[name])
        if ema is not None:
            ema.restore(load_file(self._folder / _AVERAGES), self.engine.ema_updates)
