"""Loading: sections or flat, overrides, and errors that name the key, the place and the closest valid name."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from argusvl.config.loading import config_from_mapping, load_config, read_config, to_yaml
from argusvl.core.errors import ConfigError
from argusvl.detection.config import DetectionRunConfig

COMPLETE = (Path(__file__).parent / "complete.yaml").read_text(encoding="utf-8")
SEED = "  seed: 17\n"
Load = Callable[..., DetectionRunConfig]
Refused = Callable[..., str]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a text from a file, by default the complete one, with overrides."""

    def from_text(*overrides: str, text: str = COMPLETE) -> DetectionRunConfig:
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, DetectionRunConfig, overrides)

    return from_text


@pytest.fixture
def refused(load: Load) -> Refused:
    """What is said of such a text."""

    def said(*overrides: str, text: str = COMPLETE) -> str:
        with pytest.raises(ConfigError) as raised:
            load(*overrides, text=text)
        return str(raised.value)

    return said


def flat(mapping: dict[str, Any]) -> dict[str, Any]:
    """All keys at one level."""
    out: dict[str, Any] = {}
    for key, value in mapping.items():
        out |= flat(value) if isinstance(value, dict) else {key: value}
    return out


def line_of(text: str, part: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), start=1) if part in line)


# ---------------------------------------------------------------- forms


def test_sections_flat_and_mixed_load_to_the_same_config(load: Load) -> None:
    sectioned = load()
    all_flat = flat(yaml.safe_load(COMPLETE))
    assert "hue" in all_flat and "hidden_size" in all_flat and "data" not in all_flat
    assert load(text=yaml.safe_dump(all_flat)) == sectioned
    for seed in ("seed: 17\n", "training.seed: 17\n"):
        assert load(text=COMPLETE.replace(SEED, "") + seed) == sectioned
    augmentation_outside = yaml.safe_load(COMPLETE)
    augmentation_outside["augmentation"] = augmentation_outside["data"].pop("augmentation")
    assert load(text=yaml.safe_dump(augmentation_outside)) == sectioned


def test_a_written_config_loads_to_itself(load: Load) -> None:
    config = load("run_name='1e-4'", "labels=[螺丝, 'no', '010']")
    assert config.training.run_name == "1e-4"
    assert load(text=to_yaml(config)) == config


def test_a_config_comes_out_of_a_mapping_too(load: Load) -> None:
    config = load()
    values = config.model_dump(mode="json")
    assert config_from_mapping(values, DetectionRunConfig, "argus.json") == config
    del values["training"]["seed"]
    with pytest.raises(ConfigError, match=r"argus\.json: training\.seed: missing"):
        config_from_mapping(values, DetectionRunConfig, "argus.json")


def test_a_config_is_frozen(load: Load) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().training.seed = 2


# ---------------------------------------------------------------- overrides


@pytest.mark.parametrize("key", ["seed", "training.seed", "--seed", "--training.seed"])
def test_an_override_replaces_the_value_of_the_file(load: Load, key: str) -> None:
    assert load(f"{key}=3").training.seed == 3


@pytest.mark.parametrize("key", ["hue", "augmentation.hue", "data.hue", "data.augmentation.hue"])
def test_a_nested_key_may_be_written_with_all_some_or_no_sections(load: Load, key: str) -> None:
    assert load(f"{key}=0.25").data.augmentation.hue == 0.25


def test_values_of_overrides_are_yaml(load: Load) -> None:
    config = load(
        "labels=[a, b]", "ema_decay=0.99", "val=", "bf16=true", "augmentation={hue: 0.5, rotate90: 1}"
    )
    assert config.data.labels == ["a", "b"]
    assert config.training.ema_decay == 0.99
    assert config.data.val is None
    assert config.training.bf16 is True
    assert (config.data.augmentation.hue, config.data.augmentation.rotate90) == (0.5, 1.0)
    assert config.data.augmentation.horizontal_flip == 0.5  # not mentioned, so as in the file


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("true", True), ("false", False)])
def test_precision_is_decided_by_the_machine_or_by_the_user(load: Load, text: str, value: object) -> None:
    config = load(f"bf16={text}")
    assert config.training.bf16 is value or config.training.bf16 == value == "auto"
    assert f"bf16: {text}\n" in to_yaml(config)


def test_a_section_can_be_removed_and_brought_back(load: Load) -> None:
    config = load("architecture=null", "model_path=weights")
    assert config.model.architecture is None and config.model.model_path == Path("weights")
    with pytest.raises(ConfigError, match=r"model\.architecture\.num_hidden_layers: missing"):
        load("model_path=null", "architecture.hidden_size=64", text=to_yaml(config))


def test_an_override_with_an_equals_sign_in_its_value(load: Load) -> None:
    assert load("run_name=a=b").training.run_name == "a=b"


# ---------------------------------------------------------------- wrong keys


def test_an_unknown_key_names_file_line_and_the_closest_name(refused: Refused) -> None:
    text = COMPLETE.replace("  seed: 17", "  sed: 17")
    line = line_of(text, "sed: 17")
    said = refused(text=text)
    assert f"run.yaml:{line}: training.sed: unknown key; did you mean 'training.seed'?" in said


def test_a_key_of_an_earlier_version_is_to_be_deleted(refused: Refused) -> None:
    said = refused(text=COMPLETE.replace("    min_visible:", "    mosaic: 0.3\n    min_visible:"))
    assert "augmentation.mosaic: " in said and "earlier version" in said and "delete the line" in said


def test_a_misspelt_section_is_one_problem(refused: Refused) -> None:
    said = refused(text=COMPLETE.replace("training:", "trainin:"))
    assert said.count("trainin:") == 1 and "did you mean 'training'?" in said


def test_a_missing_key_names_the_file_and_says_what_it_is(refused: Refused) -> None:
    said = refused(text=COMPLETE.replace(SEED, ""))
    assert "run.yaml: training.seed: missing. It is: Seed of weights" in said


def test_a_missing_section_names_its_keys(refused: Refused) -> None:
    message = refused(text="task: detection\n")
    assert "data.train: missing" in message and "keys are wrong" in message
    assert message.count("\n") < 25 and "more" in message


def test_several_problems_are_told_together(refused: Refused) -> None:
    wrong = ("seed=a", "hidden_size=65", "hue=0.7")
    said = refused(*wrong)
    assert "3 keys are wrong" in said and all(f"override '{one}'" in said for one in wrong)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=seventeen", "training.seed: should be a valid integer, found 'seventeen'"),
        ("seed='17'", "training.seed: should be a valid integer, found '17', which is text"),
        ("seed=17.5", "training.seed: should be a valid integer, found 17.5"),
        ("seed=true", "training.seed: should be a valid integer, found True"),
        ("seed=-1", "training.seed: should be greater than or equal to 0, found -1"),
        ("bf16=yes", "training.bf16: should be auto, true or false, found 'yes'"),
        ("bf16=1", "training.bf16: should be auto, true or false, found 1"),
        ("run_name=3", "training.run_name: should be a valid string, found 3; put it in quotes"),
        ("train=3", "data.train: should be a path, written as text, found 3"),
        ("vision_lr=.nan", "training.vision_lr: should be a finite number, found nan"),
        ("vision_lr=-1", "training.vision_lr: should be greater than or equal to 0"),
        ("report_to=wandb", "report_to: should be a valid list, found 'wandb'; write [wandb]"),
        ("labels=RBC,WBC", "labels: should be a valid list, found 'RBC,WBC'; write [RBC,WBC]"),
        ("report_to=[tensorbord]", "infrastructure.report_to[0]: should be 'tensorboard'"),
        ("detection_queries=proposal", "found 'proposal'; did you mean 'proposals'?"),
        ("metric_for_best_model=AP60", "training.metric_for_best_model: should be 'AP', 'AP50'"),
        ("detection_num_queries=0", "detection.detection_num_queries: should be greater than or equal to 1"),
        ("log_level=loud", "infrastructure.log_level: unknown log level 'loud'"),
        ("data=3", "data: is a section of keys, found 3"),
        ("data=null", "data: is a section of keys, found None"),
        ("seed.x=3", "'training.seed' is a value and has no keys"),
        ("visoin_lr=1", "visoin_lr: unknown key; did you mean 'training.vision_lr'"),
        ("model.seed=1", "unknown key in section 'model'; it belongs to section 'training'"),
        ("labels=[a", "not valid YAML: expected ',' or ']'"),
        ("seed", "not of the form key=value"),
        ("=3", "not of the form key=value"),
        ("", "not of the form key=value"),
        # What transformers has, and we do not pass through.
        ("learning_rate=1", "learning_rate: is not passed through; use a learning rate for each part"),
        ("trainer_arguments.use_cpu=true", "use_cpu: is not passed through; use device instead"),
        ("remove_unused_columns=false", "remove it: the engine sets it"),
        ("trainer_arguments.seed=1", "use seed instead"),
        ("trainer_arguments.optm=adamw_torch", "unknown to TrainingArguments; did you mean 'optim'?"),
        ("optm=adamw_torch", "optm: unknown key; did you mean 'trainer_arguments.optim'?"),
        ("optim=adamw_tork", "found 'adamw_tork'; did you mean 'adamw_torch'?"),
        ("dataloader_pin_memory=3", "dataloader_pin_memory: should be a valid boolean, found 3"),
        ("trainer_arguments=3", "trainer_arguments: should be a valid dictionary, found 3"),
    ],
)
def test_a_wrong_override_is_named_with_what_is_wrong_and_what_to_write(
    refused: Refused, override: str, message: str
) -> None:
    said = refused(override)
    assert f"override {override!r}: " in said and message in said and "What to do" in said


# ---------------------------------------------------------------- given twice


def test_a_key_in_both_forms_is_an_error_that_names_both_places(refused: Refused) -> None:
    text = COMPLETE + "seed: 17\n"
    first, last = line_of(text, SEED.rstrip()), len(text.splitlines())
    assert f"run.yaml:{last}: seed: given twice, also as 'training.seed'" in (said := refused(text=text))
    assert f"run.yaml:{first})" in said


def test_a_key_twice_in_one_mapping_is_an_error(refused: Refused) -> None:
    assert "the key 'seed' stands here and in line" in refused(text=COMPLETE.replace(SEED, 2 * SEED))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("train=a data.train=b", "given twice, also as 'train'"),
        ("seed=1 seed=2", "override 'seed=2': seed: given twice, also as override 'seed=1'; write it once"),
        ("architecture=null hidden_size=64", "given twice"),
    ],
)
def test_an_override_given_twice_or_into_what_is_null_is_an_error(
    refused: Refused, overrides: str, said: str
) -> None:
    assert said in refused(*overrides.split())


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n", r"run\.yaml: the file is empty\n.*argus init"),
        (b"- a\n- b\n", "not a mapping of keys to values"),
        (b"a: 1\nb: ]\n", r"run\.yaml:2: not valid YAML"),
        (b"seed: !!int abc\n", "not valid YAML"),
        (b"seed: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
        (b"run_name: caf\xe9\n", r"run\.yaml: the configuration cannot be read"),
        (b"run_name: \x00\n", r"run\.yaml: not valid YAML"),
        (None, r"run\.yaml: no such configuration file"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "run.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        load_config(tmp_path / "run.yaml", DetectionRunConfig)


# ---------------------------------------------------------------- trainer_arguments


@pytest.mark.parametrize("key", ["trainer_arguments.optim", "optim"])
def test_options_of_training_arguments_pass_through(load: Load, key: str) -> None:
    assert load(f"{key}=adafactor").trainer_arguments == {"optim": "adafactor"}


def test_options_may_hold_mappings(load: Load) -> None:
    text = COMPLETE + "trainer_arguments:\n  lr_scheduler_kwargs:\n    min_lr: 1e-6\n"
    config = load("lr_scheduler_type=cosine_with_min_lr", text=text)
    assert config.trainer_arguments == {"lr_scheduler_kwargs": {"min_lr": 1e-6}}
    assert load(text=to_yaml(config)) == config


# ---------------------------------------------------------------- cost and warnings


def test_warnings_are_logged_with_key_and_remedy(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load()
        assert not caplog.records
        load("teacher_ratio=0.7")
    assert "data.teacher_pool: is not given while teacher_ratio is 0.7" in caplog.text


def test_epochs_that_max_steps_leaves_without_effect_are_said(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    assert load("max_steps=7").training.max_steps == 7
    load("num_train_epochs=3", "max_steps=-1")
    assert not caplog.records
    load("num_train_epochs=3", "max_steps=7")
    assert "override 'num_train_epochs=3' has no effect: max_steps is 7; add max_steps=-1" in caplog.text


# ---------------------------------------------------------------- the file itself, and the paths in it


def test_what_is_no_ordinary_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (1 << 20) + b"\n")
    for path, reason in (
        (tmp_path / "run.yaml", "a pipe, not a file"),
        (Path("/dev/zero"), "a device, not a file"),
        (tmp_path, "a folder, not a file"),
        (tmp_path / "large.yaml", "the file has 1048577 bytes, more than"),
        (tmp_path / ("x" * 5000), "File name too long"),
    ):
        with pytest.raises(ConfigError, match=f"the configuration cannot be read: {reason}"):
            read_config(path)


def test_an_empty_path_is_refused(refused: Refused) -> None:
    said = refused(text=COMPLETE.replace("output_dir: runs/example", 'output_dir: ""'))
    assert "training.output_dir: a path is empty" in said
    assert "data.train: a path is empty" in refused('train=""')


def test_a_tilde_in_a_path_is_the_home_folder(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = load("output_dir=~/runs/a", text=COMPLETE.replace("data/val.jsonl", "~/val.jsonl"))
    assert config.data.val == tmp_path / "val.jsonl"
    assert config.training.output_dir == tmp_path / "runs" / "a"
