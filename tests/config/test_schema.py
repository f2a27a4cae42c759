"""The schema's promises: strict, without defaults, every key documented and of one place."""

from __future__ import annotations

import dataclasses

import pytest
from transformers import SchedulerType, TrainingArguments

from argusvl.config import trainer_arguments
from argusvl.config.key_index import KeyIndex
from argusvl.config.schema import Section
from argusvl.tasks import TASKS

SCHEMAS = {name: entry.config_class() for name, entry in TASKS.items()}

# What is plainly absent when it is not named; everything else must be written.
EVERYWHERE = """
    data.root data.val model.model_path trainer_arguments
    training.attention_entropy_every training.balance_decay training.early_stopping_patience
    training.gradient_shares_every training.phases training.rate_scaling training.recovery training.remedies
"""
OF_DETECTION = """
    data.caption_vocabulary data.labels data.packed_max_tokens data.teacher_pool
    model.architecture model.peft model.tokenizer_path model.transfer_vocab_size
    detection.detection_second_eye training.gradient_checkpointing_parts
"""
MAY_BE_LEFT_OUT = {
    "detection": {*EVERYWHERE.split(), *OF_DETECTION.split()},
    "manipulation": {*EVERYWHERE.split(), "data.train_options", "data.val_options"},
}


@pytest.mark.parametrize("task", TASKS)
def test_only_what_may_be_absent_has_a_default(task: str) -> None:
    index = KeyIndex.of(SCHEMAS[task])
    optional = {
        ".".join((*path, name))
        for path, section in index.sections.items()
        for name, field in section.model_fields.items()
        if not field.is_required()
    }
    assert optional == MAY_BE_LEFT_OUT[task]


@pytest.mark.parametrize("task", TASKS)
def test_every_key_and_section_is_documented(task: str) -> None:
    index = KeyIndex.of(SCHEMAS[task])
    assert len(index.descriptions) > 50
    for path, description in index.descriptions.items():
        assert len(description) > 15, f"{'.'.join(path)} needs a docstring"
        assert description.endswith("."), path
    assert all(section.__doc__ for section in index.sections.values())


@pytest.mark.parametrize("task", TASKS)
def test_every_section_is_strict_frozen_and_closed(task: str) -> None:
    for section in KeyIndex.of(SCHEMAS[task]).sections.values():
        assert section.model_config["strict"] and section.model_config["frozen"]
        assert section.model_config["extra"] == "forbid"
        assert issubclass(section, Section)


def test_a_name_in_two_places_is_found_when_a_schema_is_read() -> None:
    base = SCHEMAS["detection"]

    class Extra(Section):
        seed: int

    class Twice(base):  # type: ignore[misc, valid-type]
        extra: Extra

    with pytest.raises(AssertionError, match="seed belongs to"):
        KeyIndex.of(Twice)


def test_owned_options_are_options_of_training_arguments() -> None:
    names = {field.name for field in dataclasses.fields(TrainingArguments)}
    assert set(trainer_arguments.OURS) <= names
    assert names >= trainer_arguments.ENGINE
    assert not set(trainer_arguments.OURS) & trainer_arguments.ENGINE


def test_what_replaces_an_owned_option_is_a_key() -> None:
    by_name = KeyIndex.of(SCHEMAS["detection"]).by_name
    replacements = {value for value in trainer_arguments.OURS.values() if " " not in value}
    assert replacements <= set(by_name)


def test_every_passable_option_can_be_checked() -> None:
    for name in trainer_arguments.passable():
        assert trainer_arguments.value_problem(trainer_arguments.field_types()[name], object()) is not None


def test_schedules_are_transformers_own() -> None:
    field = SCHEMAS["detection"].model_fields["training"].annotation.model_fields["lr_scheduler_type"]
    assert set(field.annotation.__args__) <= {schedule.value for schedule in SchedulerType}
