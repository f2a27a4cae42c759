"""A run's configuration → ``transformers.TrainingArguments``."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from accelerate.utils import broadcast_object_list
from torch.distributed.fsdp import MixedPrecisionPolicy
from transformers import TrainingArguments
from transformers.integrations import get_available_reporting_integrations

from argusvl.config.schema import RunConfig
from argusvl.config.trainer_arguments import OURS
from argusvl.core.environment import environment
from argusvl.core.errors import ConfigError
from argusvl.core.figures import FigureSpec, spec_of
from argusvl.core.precision import Precision, decide
from argusvl.core.threads import usable_cores
from argusvl.core.wording import flat
from argusvl.training.launch import processes_of_launcher
from argusvl.training.policies.phases import ever_freezes
from argusvl.training.protocol import ParameterGroup


def training_arguments(
    config: RunConfig, groups: Sequence[ParameterGroup], figures: Mapping[str, FigureSpec]
) -> TrainingArguments:
    """The sections ``training`` and ``infrastructure``, with ``trainer_arguments`` merged in.

    The configuration's loader has refused options that are not passed through.

    Raises:
        ConfigError: The device or a tracker is not there, the run is to be distributed in a way that the engine does
            not know, or transformers refuses a value.
    """
    training, infrastructure = config.training, config.infrastructure
    cuda = torch.cuda.is_available()
    if infrastructure.device == "cuda" and not cuda:
        raise ConfigError(
            "cuda is asked for, and torch sees no CUDA device",
            where="device",
            remedy="set device=cpu or device=auto, or install a torch with CUDA and its driver",
        )
    _refuse_missing_trackers(infrastructure.report_to)
    _refuse_what_cannot_work(config, groups)
    best_by = spec_of(training.metric_for_best_model, figures)
    if best_by is None:
        raise ConfigError(
            f"there is no figure {training.metric_for_best_model!r}",
            where="metric_for_best_model",
            remedy=f"use one of {', '.join(figures)}",
        )
    on_cpu = infrastructure.device == "cpu" or not cuda
    # Of the options that are called as ours; these two are decided below.
    alike = {name for name, key in OURS.items() if name == key} - {"bf16", "gradient_checkpointing"}
    ours: dict[str, Any] = {
        **{name: value for name, value in training if name in alike},
        "output_dir": str(training.output_dir),
        # Some schedules express their floor relative to it.
        "learning_rate": max((group.learning_rate for group in groups), default=0.0),
        "warmup_steps": training.warmup_ratio,  # below 1 it is a share of the steps
        "activation_checkpointing": training.gradient_checkpointing,
        "eval_strategy": "steps",
        "save_strategy": "steps",
        "save_total_limit": None,  # we rotate ourselves; Trainer may delete the newest checkpoint at the end
        "logging_strategy": "steps",
        "logging_nan_inf_filter": False,  # it would replace a NaN by the mean of the losses before
        "greater_is_better": best_by.higher_is_better,
        "report_to": list(infrastructure.report_to),
        "dataloader_num_workers": data_workers(infrastructure.dataloader_num_workers, on_cpu),
        "use_cpu": on_cpu,
        "remove_unused_columns": False,  # the batch also holds what the engine reads
        "disable_tqdm": True,  # the progress bar is ours
    }
    others: dict[str, Any] = {
        "dataloader_pin_memory": not on_cpu,
        # An epoch of few photographs lasts seconds: starting processes for each would take a good part of it.
        "dataloader_persistent_workers": ours["dataloader_num_workers"] > 0,
    }
    # transformers writes its defaults into the options of FSDP: the run keeps its own.
    passed = copy.deepcopy(dict(config.trainer_arguments))
    if processes_of_launcher() == 1:
        # Weights that one process alone would hold are whole: so it may go on with what several have begun.
        passed.pop("fsdp", None)
        passed.pop("fsdp_config", None)
    if ever_freezes(groups, training.phases):
        # A group that is frozen for a while gets no gradient, and DDP would wait for it (by Trainer's default it looks
        # for such parameters only without gradient checkpointing).
        others["ddp_find_unused_parameters"] = True
    if training.gradient_checkpointing:
        others["activation_checkpointing_kwargs"] = {"use_reentrant": False}
    try:
        arguments = TrainingArguments(**others | passed | ours)
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        raise ConfigError(
            f"transformers refuses the training arguments: {error}", where="training, trainer_arguments"
        ) from error
    if training.gradient_shares_every is not None and arguments.fsdp_plugin_args:
        # Passes that only one process makes must meet none of the others.
        raise ConfigError(
            "an objective's own backward pass would wait for other processes where each holds a part of the weights",
            where="gradient_shares_every",
            remedy="write gradient_shares_every: null, or train without fsdp",
        )
    if arguments.n_gpu > 1:
        # Several visible GPUs without a launcher would mean DataParallel, which cannot gather loss terms.
        arguments._n_gpu = 1
    return arguments


def _refuse_missing_trackers(names: Sequence[str]) -> None:
    """Trainer asks for them only once the model is loaded."""
    there = get_available_reporting_integrations()
    missing = [name for name in names if name not in there]
    if missing:
        raise ConfigError(
            f"{missing[0]} is not installed",
            where="report_to",
            remedy=f"pip install {' '.join(missing)}, or leave it out of report_to",
        )


def _asked_by_launcher(what: str) -> bool:
    return os.environ.get(f"ACCELERATE_USE_{what}", "false").lower() in ("1", "true")


def data_workers(wanted: int | Literal["auto"], on_cpu: bool) -> int:
    """Processes that prepare batches beside each one that trains: for ``auto`` as many as it has cores to spare."""
    if wanted != "auto":
        return wanted
    own = usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return 0 if on_cpu else max(0, min(8, own - 1))


def _refuse_what_cannot_work(config: RunConfig, groups: Sequence[ParameterGroup]) -> None:
    """What would hang, or compute something else than it says, once several processes train together."""
    passed = config.trainer_arguments
    if passed.get("deepspeed") or _asked_by_launcher("DEEPSPEED"):
        raise ConfigError(
            "the engine does not train through DeepSpeed: Accelerate lets it step inside the backward pass, before a "
            "step that is not finite could be passed over",
            where="trainer_arguments.deepspeed",
            remedy="give its file to `argus train CONFIG --deepspeed FILE`, or write fsdp: true instead: FSDP2 shares "
            "out what ZeRO-3 does (docs/distribution.md)",
        )
    if _asked_by_launcher("FSDP") and not passed.get("fsdp"):
        raise ConfigError(
            "FSDP is asked for by the launcher, and not by the configuration",
            where="accelerate launch (ACCELERATE_USE_FSDP)",
            remedy="write fsdp: true into the section trainer_arguments, and start with `argus train --processes`, "
            "torchrun, or accelerate launch --multi_gpu",
        )
    accelerator = _options(passed, "accelerator_config")
    if processes_of_launcher() == 1:
        return
    _refuse_sharding_that_cannot_work(passed)
    problems = {
        "accelerator_config.dispatch_batches": (
            bool(accelerator.get("dispatch_batches")),
            "the first process would read all batches, and those of text and errors cannot be sent",
        ),
        "accelerator_config.split_batches": (
            bool(accelerator.get("split_batches")),
            "per_device_train_batch_size would be the batch of all processes together",
        ),
        "accelerator_config.even_batches": (
            accelerator.get("even_batches") is False,
            "a process with a batch less would leave the others waiting",
        ),
        "ddp_static_graph": (
            bool(passed.get("ddp_static_graph")),
            "which parameters get a gradient differs from batch to batch",
        ),
        "ddp_find_unused_parameters": (
            passed.get("ddp_find_unused_parameters") is False
            and ever_freezes(groups, config.training.phases),
            "groups are frozen for a while: the others would wait for their gradients",
        ),
    }
    for key, (wrong, why) in problems.items():
        if wrong:
            raise ConfigError(
                f"cannot work on several processes: {why}",
                where=f"trainer_arguments.{key}",
                remedy="remove the key, or train with one process",
            )


_FSDP_OPTIONS = (
    "version",
    "reshard_after_forward",
    "auto_wrap_policy",
    "transformer_layer_cls_to_wrap",
    "min_num_params",
)


def _options(passed: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Options that transformers would read from a file as well."""
    options = passed.get(key) or {}
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"the path {options!r} would hide what is trained with",
            where=f"trainer_arguments.{key}",
            remedy="write the options themselves here",
        )
    return options


def _refuse_sharding_that_cannot_work(passed: Mapping[str, Any]) -> None:
    if not passed.get("fsdp"):
        return
    options = _options(passed, "fsdp_config")
    instead = {
        "activation_checkpointing": "use gradient_checkpointing instead",
        "state_dict_type": "remove it: a checkpoint holds the whole weights, and the optimizer's state in parts",
    }
    for name in options:
        if name not in _FSDP_OPTIONS:
            raise ConfigError(
                "this option of FSDP is not for the engine",
                where=f"trainer_arguments.fsdp_config.{name}",
                remedy=instead.get(name, f"remove it; there are {', '.join(_FSDP_OPTIONS)}"),
            )
    if options.get("version", 2) != 2:
        raise ConfigError(
            "the engine knows FSDP2 alone",
            where="trainer_arguments.fsdp_config.version",
            remedy="remove it, or write 2",
        )


def started_with(config: RunConfig) -> dict[str, Any]:
    """What every process of a run must have in common: the configuration, and the versions of what computes."""
    versions = environment()
    return {
        **dict(flat(config.model_dump(mode="json"))),
        "the version of argusvl": versions["argus"],
        **{f"the version of {name}": version for name, version in versions["packages"].items()},
    }


def decide_together(arguments: TrainingArguments, config: RunConfig, begun_with: bool | None) -> Precision:
    """Decides the precision on rank 0, for all ranks, and puts it into the arguments; a run that goes on keeps its own.

    Only now: ranks can tell each other once the arguments have found their devices.
    """
    first = arguments.process_index == 0
    wanted, key = config.precision
    decided = [decide(wanted, arguments.device, asked_by=key, begun_with=begun_with) if first else None]
    (precision,) = broadcast_object_list(decided)
    assert isinstance(precision, Precision)
    arguments.bf16 = precision.bf16
    arguments.mixed_precision = "bf16" if precision.bf16 else "no"  # whatever `accelerate launch` has set
    if arguments.fsdp_plugin_args is not None:
        # Weights and gradients travel as they are held, and autocast rounds as it does without FSDP.
        arguments.fsdp_plugin_args["mixed_precision_policy"] = MixedPrecisionPolicy()
    return precision
