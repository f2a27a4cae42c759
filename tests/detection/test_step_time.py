"""What `argus init` says of a run's minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from argusvl.config.loading import load_config
from argusvl.detection.commands import step_time
from argusvl.detection.config import DetectionRunConfig


@pytest.mark.parametrize(
    ("cores", "batch", "hint"),
    [
        (1, 8, None),
        (2, 8, "per_device_train_batch_size=4 --processes 2"),
        (64, 8, "per_device_train_batch_size=2 --processes 4"),
        (2, 3, None),
        (3, 3, "per_device_train_batch_size=1 --processes 3"),
    ],
)
def test_minutes_and_the_processes_that_share_a_batch(
    repository: Path, monkeypatch: pytest.MonkeyPatch, cores: int, batch: int, hint: str | None
) -> None:
    monkeypatch.setattr(step_time, "usable_cores", lambda: cores)
    monkeypatch.setattr(step_time, "seconds_per_step", lambda config, *tokens: [0.1 * n for n in tokens])
    words = [f"per_device_train_batch_size={batch}", "max_steps=300", "max_pixels=47040", "device=cpu"]
    config = load_config(repository / "configs" / "bccd.yaml", DetectionRunConfig, words)
    said = step_time.price(config)
    assert "300 steps some 30 minutes" in said and "half of max_pixels some 15 minutes" in said
    assert hint in said if hint else "--processes" not in said
