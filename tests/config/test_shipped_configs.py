"""Every configuration in configs/ loads as it is, and comes back from its own text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from argusvl.config.loading import to_yaml
from argusvl.tasks import load_run_config

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = sorted(CONFIGS.glob("**/*.yaml"))


def test_there_are_shipped_configs() -> None:
    assert SHIPPED


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_a_shipped_config_loads_and_takes_overrides(path: Path, tmp_path: Path) -> None:
    config = load_run_config(path)
    copy = tmp_path / "copy.yaml"
    copy.write_text(to_yaml(config), encoding="utf-8")
    assert load_run_config(copy) == config
    assert config.training.bf16 == "auto", "no machine is assumed"
    other = load_run_config(path, ["seed=4321", "data.train=elsewhere.jsonl"])
    assert other.training.seed == 4321 and other.data.train == Path("elsewhere.jsonl")


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_itself_takes_its_configurations(stage: int) -> None:
    path = CONFIGS / "deepspeed" / f"zero{stage}.json"
    zero = json.loads(path.read_text("utf-8"))["zero_optimization"]
    assert zero["stage"] == stage and zero["reduce_bucket_size"] <= 5e7  # M-003: small buffers
    pytest.importorskip("deepspeed")
    from transformers.integrations.deepspeed import HfDeepSpeedConfig

    read = HfDeepSpeedConfig(str(path))
    assert (read.is_zero2(), read.is_zero3()) == (stage == 2, stage == 3)
