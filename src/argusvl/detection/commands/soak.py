"""Does the memory of a run grow? A short run of the engine on drawn data, and the slope of what it keeps."""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from argusvl.config.loading import load_config
from argusvl.core.files import write_text_atomically
from argusvl.core.memory_slope import MemoryRecorder, Verdict
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.init import make_starting_config
from argusvl.detection.task import DetectionTask
from argusvl.synthetic import bbu_room
from argusvl.training.listeners import Listener
from argusvl.training.run import run_training
from argusvl.training.step import StepRecord

_MIB = 2**20
_SAMPLES = 50
_WARM_UP = 0.2
"""Part of the steps after which buffers, caches and the optimizer's state are there."""
_LIMIT = 8.0
"""What a run may grow by, MiB per 1,000 steps: 1 GiB in 128,000 steps."""


@dataclass(frozen=True, slots=True)
class Soak:
    """How memory went: growth in MiB per 1,000 steps, its 95 % bounds, and what it may be."""

    steps: int
    per_1000_steps: float
    low: float
    high: float
    limit: float
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; a bound that is not known is ``None``."""
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()
        }


class _Watch(Listener):
    """Samples the memory every few steps."""

    def __init__(self, recorder: MemoryRecorder, every: int) -> None:
        self._recorder, self._every = recorder, every

    def on_step(self, record: StepRecord) -> None:
        """After a step."""
        if record.step % self._every == 0:
            self._recorder.sample(record.step)


def soak(model: str, steps: int) -> Soak:
    """Trains a checkpoint by the engine itself, as `argus train` would, and fits a line to the memory in use.

    ``model`` is a checkpoint, a folder in hub layout, or what ships; a few small images are drawn for it.
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        folder = Path(elsewhere)
        bbu_room.generate(
            folder / "data", images=24, seed=0, width=224, height=168, language="zh", progress=False
        )
        file, every = folder / "run.yaml", max(1, steps // _SAMPLES)
        write_text_atomically(file, make_starting_config(folder / "data", model=model).yaml)
        changes = [f"output_dir={folder}/run", "per_device_train_batch_size=2", "val=null", "report_to=[]"]
        changes += [f"{key}={steps}" for key in ("max_steps", "eval_steps", "save_steps")]
        config = load_config(file, DetectionRunConfig, [*changes, f"logging_steps={every}"])
        with MemoryRecorder() as recorder:
            run_training(DetectionTask(config), config, listeners=[_Watch(recorder, every)])
    scale = 1000 / _MIB
    limit = _LIMIT / scale
    slope = recorder.slopes(skip=round(_WARM_UP * steps), limit=limit)["resident"]
    return Soak(
        steps=steps,
        per_1000_steps=slope.per_step * scale,
        low=slope.low * scale,
        high=slope.high * scale,
        limit=_LIMIT,
        verdict=slope.verdict(limit),
    )
