"""A file of DeepSpeed's comes to a configuration of the engine, key by key, or is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from argusvl.cli.main import run
from argusvl.config.deepspeed import RULES, CarriedOut, Only, Same, Unneeded, carry_out, read_deepspeed
from argusvl.config.schema import RunConfig
from argusvl.core.errors import ConfigError
from argusvl.tasks import load_run_config

SHIPPED = Path(__file__).parents[2] / "configs" / "deepspeed"
COMPLETE = Path(__file__).parent / "complete.yaml"


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return load_run_config(COMPLETE, ["bf16=auto"])


def carried(settings: dict[str, Any], config: RunConfig, processes: int = 2) -> CarriedOut:
    return carry_out(settings, config, processes, "zero.json")


def nested(key: str, value: Any) -> dict[str, Any]:
    """``a.b`` → ``{"a": {"b": value}}``."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value  # type: ignore[no-any-return]


@pytest.mark.parametrize(("stage", "reshard"), [(1, False), (2, False), (3, True)])
def test_a_stage_becomes_fsdp2(config: RunConfig, stage: int, reshard: bool) -> None:
    own = config.model_copy(
        update={"trainer_arguments": {"fsdp_config": {"transformer_layer_cls_to_wrap": ["A"]}}}
    )
    found = carried({"zero_optimization": {"stage": stage}}, own)
    assert found.config.trainer_arguments == {
        "fsdp": True,
        "fsdp_config": {"transformer_layer_cls_to_wrap": ["A"], "reshard_after_forward": reshard},
    }
    assert "in parts" in found.said[0]
    assert carried({"zero_optimization": {"stage": stage}}, found.config).config == found.config


def test_without_a_stage_it_is_ddp(config: RunConfig) -> None:
    found = carried({}, config)
    assert found.config == config and "each process holds everything" in found.said[0]


@pytest.mark.parametrize("name", ["zero2.json", "zero3.json"])
def test_the_shipped_files_run_and_each_key_of_theirs_is_accounted_for(config: RunConfig, name: str) -> None:
    settings = read_deepspeed(SHIPPED / name)
    found = carried(settings, config)
    said = " ".join(found.said)
    for key in settings["zero_optimization"]:
        assert key == "stage" or key in said, f"nothing was said of {key}"
    assert found.config.training.bf16 == "auto"


@pytest.mark.parametrize("value", [True, False])
def test_precision_is_the_files_where_the_run_leaves_it_to_the_machine(
    config: RunConfig, value: bool
) -> None:
    assert carried({"bf16": {"enabled": value}}, config).config.training.bf16 is value
    fixed = load_run_config(COMPLETE, [f"bf16={str(not value).lower()}"])
    with pytest.raises(ConfigError, match=r"bf16\.enabled is"):
        carried({"bf16": {"enabled": value}}, fixed)


def test_batch_sizes_are_those_of_all_processes(config: RunConfig) -> None:
    training = config.training
    micro, steps = training.per_device_train_batch_size, training.gradient_accumulation_steps
    fits = {
        "train_batch_size": micro * steps * 8,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": steps,
        "gradient_clipping": training.max_grad_norm,
    }
    assert carried(fits, config, processes=8).config == config
    with pytest.raises(ConfigError, match="train_batch_size is") as caught:
        carried(fits, config, processes=4)
    assert "write auto" in str(caught.value.remedy)


@pytest.mark.parametrize("key", [key for key, rule in RULES.items() if isinstance(rule, Same)])
def test_what_contradicts_the_run_is_refused_and_auto_is_not(config: RunConfig, key: str) -> None:
    rule = RULES[key]
    assert isinstance(rule, Same)
    assert carried(nested(key, "auto"), config).config == config
    ours = rule.value(config, 2)
    if not str(ours).startswith("no name"):
        assert carried(nested(key, ours), config).config == config
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        carried(nested(key, [0.123, 0.123] if isinstance(ours, list) else 123.5), config)


@pytest.mark.parametrize("key", [key for key, rule in RULES.items() if isinstance(rule, Only)])
def test_what_the_engine_does_not_do_is_refused_by_name(config: RunConfig, key: str) -> None:
    rule = RULES[key]
    assert isinstance(rule, Only)
    for value in (*rule.values, "auto"):
        carried(nested(key, value), config)
    with pytest.raises(ConfigError, match="the engine cannot do") as caught:
        carried(nested(key, True if False in rule.values else 7), config)
    assert key in str(caught.value) and caught.value.remedy == rule.remedy


@pytest.mark.parametrize("key", [key for key, rule in RULES.items() if isinstance(rule, Unneeded)])
def test_what_is_not_needed_is_said_with_its_reason(config: RunConfig, key: str) -> None:
    rule = RULES[key]
    assert isinstance(rule, Unneeded)
    written = key.replace("*", "something")
    found = carried(nested(written, 5), config)
    assert found.config == config
    assert f"not needed: {written.rpartition('.')[2]} ({rule.why})" in found.said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"zero_optimisation": {"stage": 2}}, "did you mean 'zero_optimization.stage'"),
        ({"zero_optimization": [1]}, "zero_optimization is no object"),
        ({"zero_optimization": {"stage": "auto"}}, "zero_optimization.stage is 'auto'"),
        ({"zero_optimization": {"stage": 3, "offload_param": {"device": "nvme"}}}, "offload_param.device"),
        ({"fp16": {"enabled": True, "loss_scale": 0}}, "fp16.enabled"),
        ({"bf16": {"enabled": 1}}, "bf16.enabled is 1"),
        ({"gradient_accumulation_steps": True}, "gradient_accumulation_steps is True"),
        ({"gradient_clipping": 10**400}, "gradient_clipping is 1000"),
        ({"optimizer": {"type": "OneBitAdam"}}, "optimizer.type: 'OneBitAdam'"),
    ],
)
def test_mistakes_are_named(config: RunConfig, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        carried(settings, config)
    assert said in str(caught.value)


def test_a_configuration_that_shards_otherwise_is_refused(config: RunConfig) -> None:
    passed = {"fsdp": True, "fsdp_config": {"reshard_after_forward": True}}
    own = config.model_copy(update={"trainer_arguments": passed})
    with pytest.raises(ConfigError, match="fsdp_config.reshard_after_forward"):
        carried({"zero_optimization": {"stage": 2}}, own)
    with pytest.raises(ConfigError, match="no stage of ZeRO"):
        carried({}, own)


def test_the_command_shows_what_it_comes_to(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", str(COMPLETE), "bf16=auto", "--deepspeed", str(SHIPPED / "zero2.json")]
    assert run([*words, "--print-config", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["trainer_arguments"]["fsdp_config"] == {"reshard_after_forward": False}
    assert "zero2.json: ZeRO-2 by FSDP2" in shown.err and "--processes N" in shown.err


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no such file"), ("[1]", "no JSON object"), ("{", "is damaged")]
)
def test_a_file_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "zero.json").write_text(content, encoding="utf-8")
    assert run(["train", str(COMPLETE), "--print-config", "--deepspeed", str(tmp_path / "zero.json")]) == 2
    assert said in capsys.readouterr().err
