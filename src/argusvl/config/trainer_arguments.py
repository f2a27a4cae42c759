"""Which options of ``transformers.TrainingArguments`` a configuration may pass through, and which keys of ours
stand for the others.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import typing
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from argus_doctor.wording import did_you_mean
from argusvl.config.messages import describe

_UNDER_THE_SAME_NAME = (
    "adam_beta2", "bf16", "dataloader_num_workers", "eval_steps", "gradient_accumulation_steps",
    "gradient_checkpointing", "log_level", "logging_steps", "lr_scheduler_type", "max_grad_norm", "max_steps",
    "metric_for_best_model", "num_train_epochs", "output_dir", "per_device_eval_batch_size",
    "per_device_train_batch_size", "report_to", "run_name", "save_steps", "save_total_limit", "seed", "weight_decay",
)  # fmt: skip
OURS: dict[str, str] = {name: name for name in _UNDER_THE_SAME_NAME} | {
    "activation_checkpointing": "gradient_checkpointing",
    "fp16": "bf16",
    "learning_rate": "a learning rate for each part of the model, such as llm_lr",
    "resume_from_checkpoint": "`argus train --resume`",
    "use_cpu": "device",
    "warmup_steps": "warmup_ratio",
}
"""Options that a key (or a command) of ours sets."""

ENGINE = frozenset({
    "auto_find_batch_size", "average_tokens_across_devices", "batch_eval_metrics", "data_seed", "disable_tqdm",
    "do_eval", "do_predict", "do_train", "enable_jit_checkpoint", "eval_accumulation_steps",
    "eval_do_concat_batches", "eval_strategy", "eval_use_gather_object", "greater_is_better", "ignore_data_skip",
    "include_for_metrics", "include_num_input_tokens_seen", "label_names", "label_smoothing_factor",
    "length_column_name", "load_best_model_at_end", "local_rank", "log_level_replica", "logging_nan_inf_filter",
    "logging_strategy", "parallelism_config", "prediction_loss_only", "push_to_hub", "remove_unused_columns",
    "restore_callback_states_from_checkpoint", "save_on_each_node", "save_only_model", "save_strategy",
    "train_sampling_strategy",
})  # fmt: skip
"""Options that the engine sets and that would break its promises (global counts, exact resume) if changed, or that it
does not serve, such as uploads from the loop."""


@functools.cache
def field_types() -> dict[str, Any]:
    """Name → type of every field of ``TrainingArguments``; imported on first use only, it takes seconds."""
    from transformers import TrainingArguments

    hints = typing.get_type_hints(TrainingArguments) | {"fsdp": bool | None}  # its texts are of old versions
    return {field.name: hints[field.name] for field in dataclasses.fields(TrainingArguments)}


def passable() -> set[str]:
    """Names that ``trainer_arguments`` takes."""
    return set(field_types()) - set(OURS) - ENGINE


def owner_of(name: str) -> str | None:
    """What to write instead of an option that is not passed through; ``None`` where it is, or is unknown."""
    if name in OURS:
        return f"use {OURS[name]} instead"
    if name in ENGINE:
        return "remove it: the engine sets it"
    return None


def value_problem(hint: Any, value: object) -> str | None:
    """Why ``value`` is none for an option of another library, by its type there; ``None`` where it is fine."""
    for choice in typing.get_args(hint):
        # transformers writes such options as `SomeEnum | str` and looks the text up later.
        if isinstance(choice, type) and issubclass(choice, enum.Enum) and isinstance(value, str):
            values = [str(member.value) for member in choice]
            return None if value in values else f"found {value!r}{did_you_mean(value, values)}"
    adapter: TypeAdapter[Any] = TypeAdapter(
        hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True)
    )
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        return describe(error.errors()[0])
    return None
