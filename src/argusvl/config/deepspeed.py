"""A configuration of DeepSpeed's ZeRO, carried out by FSDP2, which shares out the same things.

DeepSpeed steps inside the backward pass, where a step that is not finite could no longer be passed over; so the
engine reads its file and does what the file asks for. :data:`RULES` says of each key what becomes of it. Nothing is
passed over in silence: a key is honoured, or refused by name, or said to be unneeded.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argus_doctor.wording import did_you_mean
from argusvl.config.schema import RunConfig
from argusvl.core.errors import ConfigError
from argusvl.core.files import read_json_object
from argusvl.core.strict_json import finite_number
from argusvl.core.wording import flat

AUTO = "auto"
"""As transformers has it: the value is ours."""


@dataclass(frozen=True, slots=True)
class Same:
    """Must be ``auto`` or what the run has.

    Attributes:
        ours: Our key, for the message.
        value: What the run has, of its configuration and the number of processes.
    """

    ours: str
    value: Callable[[RunConfig, int], Any]


@dataclass(frozen=True, slots=True)
class Only:
    """May be ``auto`` or one of a few values; what any other would mean, the engine does not do."""

    values: tuple[Any, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class Unneeded:
    """Has no counterpart here, and nothing is lost by that."""

    why: str


Rule = Same | Only | Unneeded | None
"""``None``: it decides how the run is trained, and :func:`carry_out` reads it."""

_RATES = Only((), "write auto: each part of the model has a learning rate of its own, such as llm_lr")
_SCHEDULE = Only((), "write auto: warmup_ratio and max_steps say it")
_OFFLOAD = Only(
    (None, "none"),
    "remove it: the engine keeps everything on the devices; for less memory more processes, gradient_checkpointing "
    "or a section peft",
)
_OFFLOADED = Unneeded("nothing is moved off the devices")
_BUCKETS = Unneeded("FSDP2 sends each wrapped layer as one piece")
_GATHERING = Unneeded("FSDP2 gathers one wrapped layer ahead of its use and frees it after it")
_SAVING = Unneeded("checkpoints always hold the whole weights, and the optimizer's state in parts")
_SPOKEN = Unneeded("logs, trackers and timings are the engine's: logging_steps, report_to, `argus report`")
_FP16 = Unneeded("it belongs to fp16, which is off")
_RECOMPUTED = Unneeded("gradient_checkpointing decides what is computed again")
_FULL_SUMS = Only((None, "fp32"), "remove it: gradients travel and are added in float32")
_OFF = Only((False,), "remove it, or write false: the engine has nothing like it")
_SCHEDULES = {"WarmupDecayLR": "linear", "WarmupCosineLR": "cosine", "WarmupLR": "constant_with_warmup"}


def _option(name: str, default: float) -> Callable[[RunConfig, int], Any]:
    """An option that the configuration may pass to transformers."""
    return lambda config, _: config.trainer_arguments.get(name, default)


RULES: dict[str, Rule] = {
    # ---- what a step is
    "train_batch_size": Same(
        "per_device_train_batch_size × gradient_accumulation_steps × processes",
        lambda config, processes: (
            config.training.per_device_train_batch_size
            * config.training.gradient_accumulation_steps
            * processes
        ),
    ),
    "train_micro_batch_size_per_gpu": Same(
        "per_device_train_batch_size", lambda config, _: config.training.per_device_train_batch_size
    ),
    "gradient_accumulation_steps": Same(
        "gradient_accumulation_steps", lambda config, _: config.training.gradient_accumulation_steps
    ),
    "gradient_clipping": Same("max_grad_norm", lambda config, _: config.training.max_grad_norm),
    "optimizer.type": Only(
        ("Adam", "AdamW"), "write AdamW, or remove the section: the engine steps by AdamW"
    ),
    "optimizer.params.lr": _RATES,
    "optimizer.params.betas": Same(
        "adam_beta1 (trainer_arguments), adam_beta2",
        lambda config, processes: [_option("adam_beta1", 0.9)(config, processes), config.training.adam_beta2],
    ),
    "optimizer.params.eps": Same("adam_epsilon (trainer_arguments)", _option("adam_epsilon", 1e-8)),
    "optimizer.params.weight_decay": Same("weight_decay", lambda config, _: config.training.weight_decay),
    "optimizer.params.adam_w_mode": Only((True,), "write true: weight decay is decoupled"),
    "optimizer.params.bias_correction": Only((True,), "write true"),
    "optimizer.params.torch_adam": Unneeded("it is PyTorch's AdamW"),
    "scheduler.type": Same(
        "lr_scheduler_type",
        lambda config, _: next(
            (name for name, ours in _SCHEDULES.items() if ours == config.training.lr_scheduler_type),
            f"no name for {config.training.lr_scheduler_type}",
        ),
    ),
    "scheduler.params.warmup_min_lr": Only((0, 0.0), "write 0 or auto: rates rise from 0"),
    "scheduler.params.warmup_max_lr": _RATES,
    "scheduler.params.warmup_num_steps": _SCHEDULE,
    "scheduler.params.total_num_steps": _SCHEDULE,
    "scheduler.params.warmup_type": Only(("linear",), "write linear: rates rise so"),
    # ---- precision
    "bf16.enabled": None,
    "bf16.immediate_grad_update": Unneeded("gradients are held in float32"),
    "fp16.enabled": Only((False,), "use bf16: the engine scales no losses"),
    "fp16.*": _FP16,
    "amp.enabled": Only((False,), "use bf16: Apex is not used"),
    "amp.*": Unneeded("it belongs to amp, which is off"),
    "data_types.grad_accum_dtype": _FULL_SUMS,
    "communication_data_type": _FULL_SUMS,
    "fp32_allreduce": Unneeded("gradients are added in float32 as it is"),
    "prescale_gradients": Unneeded("losses are divided by counts of the whole step before the backward pass"),
    "gradient_predivide_factor": Only((1, 1.0), "remove it: losses are divided before the backward pass"),
    "sparse_gradients": _OFF,
    # ---- what is shared out
    "zero_optimization.stage": None,
    "zero_optimization.offload_optimizer.device": _OFFLOAD,
    "zero_optimization.offload_optimizer.*": _OFFLOADED,
    "zero_optimization.offload_param.device": _OFFLOAD,
    "zero_optimization.offload_param.*": _OFFLOADED,
    "zero_optimization.cpu_offload": _OFF,
    "zero_optimization.overlap_comm": Unneeded("FSDP2 always sends while it computes"),
    "zero_optimization.contiguous_gradients": Unneeded(
        "FSDP2 holds a layer's gradients in one piece as it is"
    ),
    "zero_optimization.reduce_scatter": Only((True,), "write true: each process gets its part of a gradient"),
    "zero_optimization.allgather_partitions": _BUCKETS,
    "zero_optimization.allgather_bucket_size": _BUCKETS,
    "zero_optimization.reduce_bucket_size": _BUCKETS,
    "zero_optimization.use_multi_rank_bucket_allreduce": _BUCKETS,
    "zero_optimization.round_robin_gradients": _BUCKETS,
    "zero_optimization.sub_group_size": Unneeded("the optimizer steps over all of its part at once"),
    "zero_optimization.stage3_prefetch_bucket_size": _GATHERING,
    "zero_optimization.prefetch_bucket_size": _GATHERING,
    "zero_optimization.stage3_max_live_parameters": _GATHERING,
    "zero_optimization.max_live_parameters": _GATHERING,
    "zero_optimization.stage3_max_reuse_distance": _GATHERING,
    "zero_optimization.max_reuse_distance": _GATHERING,
    "zero_optimization.stage3_param_persistence_threshold": _GATHERING,
    "zero_optimization.param_persistence_threshold": _GATHERING,
    "zero_optimization.stage3_gather_16bit_weights_on_model_save": _SAVING,
    "zero_optimization.gather_16bit_weights_on_model_save": _SAVING,
    "zero_optimization.stage3_gather_fp16_weights_on_model_save": _SAVING,
    "zero_optimization.elastic_checkpoint": _SAVING,
    "zero_optimization.load_from_fp32_weights": _SAVING,
    "zero_optimization.ignore_unused_parameters": Unneeded("parameters without a gradient wait for nobody"),
    "zero_optimization.memory_efficient_linear": Unneeded("PyTorch's linear layers are kept"),
    "zero_optimization.zero_hpz_partition_size": Only(
        (1,), "remove it: weights are shared over all processes"
    ),
    "zero_optimization.mics_shard_size": Only((-1,), "remove it: weights are shared over all processes"),
    "zero_optimization.zero_quantized_weights": _OFF,
    "zero_optimization.zero_quantized_nontrainable_weights": _OFF,
    "zero_optimization.zero_quantized_gradients": _OFF,
    "zero_allow_untested_optimizer": Unneeded("AdamW needs no permission"),
    "zero_force_ds_cpu_optimizer": _OFFLOADED,
    # ---- around it
    "activation_checkpointing.cpu_checkpointing": _OFF,
    "activation_checkpointing.*": _RECOMPUTED,
    "checkpoint.*": _SAVING,
    "steps_per_print": _SPOKEN,
    "wall_clock_breakdown": _SPOKEN,
    "memory_breakdown": _SPOKEN,
    "dump_state": _SPOKEN,
    "disable_allgather": _OFF,
    **dict.fromkeys(
        ("tensorboard.*", "wandb.*", "comet.*", "csv_monitor.*", "flops_profiler.*", "comms_logger.*"),
        _SPOKEN,
    ),
}
"""Key of the file, with dots between its sections → what becomes of it. ``*`` stands for any key that has no line."""


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """What a file came to.

    Attributes:
        config: The run's configuration with what the file decides.
        said: For people: how weights are shared out, and which keys are not needed, with the reason.
    """

    config: RunConfig
    said: tuple[str, ...]


def read_deepspeed(path: str | Path) -> dict[str, Any]:
    """The settings in a file of DeepSpeed's.

    Raises:
        ConfigError: It is missing, no JSON, or holds no object.
    """
    if not Path(path).exists():
        raise ConfigError("no such file", where=path, remedy="check the path given to --deepspeed")
    return read_json_object(path, remedy="give a JSON file as DeepSpeed reads it", error=ConfigError)


def carry_out(
    settings: Mapping[str, Any], config: RunConfig, processes: int, where: str | Path
) -> CarriedOut:
    """What DeepSpeed was to do, as a configuration of the engine.

    Raises:
        ConfigError: A key is unknown, contradicts the configuration, or asks for what the engine does not do.
    """
    asked, unneeded = dict(flat(settings)), dict[str, list[str]]()
    for key, value in asked.items():
        rule = _rule(key, where)
        if isinstance(rule, Unneeded):
            unneeded.setdefault(rule.why, []).append(key.rpartition(".")[2])
        elif isinstance(rule, Same):
            ours = rule.value(config, processes)
            if not _equal(value, ours):
                raise ConfigError(
                    f"{key} is {value!r}, and the run has {ours!r} by {rule.ours}",
                    where=where,
                    remedy=f"make them the same, or write {AUTO}: then the run's own value holds",
                )
        elif isinstance(rule, Only) and not any(_equal(value, one) for one in (AUTO, *rule.values)):
            raise ConfigError(
                f"the engine cannot do {key}: {value!r}", where=f"{where}: {key}", remedy=rule.remedy
            )
    changed, shared = _sharing(asked.get("zero_optimization.stage", 0), config, where)
    bf16 = _bf16(asked.get("bf16.enabled", AUTO), config.training.bf16, where)
    training = config.training.model_copy(update={"bf16": bf16})
    alone = "" if processes > 1 else "; one process alone holds everything: --processes N shares it out"
    said = [shared + alone]
    said += [f"not needed: {', '.join(keys)} ({why})" for why, keys in unneeded.items()]
    changes = {"training": training, "trainer_arguments": changed}
    return CarriedOut(config.model_copy(update=changes), tuple(said))


def _rule(key: str, where: str | Path) -> Rule:
    if key in RULES:
        return RULES[key]
    for pattern, rule in RULES.items():
        if pattern.endswith(".*") and fnmatch.fnmatchcase(key, pattern):
            return rule
    if any(known.startswith(f"{key}.") for known in RULES):
        raise ConfigError(
            f"{key} is no object", where=where, remedy=f"write its keys in braces: {key}: {{...}}"
        )
    raise ConfigError(
        f"unknown key of DeepSpeed {key}{did_you_mean(key, RULES)}",
        where=where,
        remedy="correct it, or remove it: what the engine would have to do for it is not known",
    )


def _equal(value: Any, ours: Any) -> bool:
    """Whether the file says the same, or leaves it to us; ``True`` is not 1, as it is in Python."""
    if value == AUTO:
        return True
    if isinstance(value, list) and isinstance(ours, list):
        return len(value) == len(ours) and all(map(_equal, value, ours))
    number, our_number = finite_number(value), finite_number(ours)
    if number is not None and our_number is not None:
        return math.isclose(number, our_number, rel_tol=1e-9)
    return type(value) is type(ours) and bool(value == ours)


def _bf16(asked: Any, ours: Any, where: str | Path) -> Any:
    """Precision: the file's word where the configuration leaves it to the machine."""
    if asked == AUTO:
        return ours
    if not isinstance(asked, bool):
        raise ConfigError(f"bf16.enabled is {asked!r}", where=where, remedy="write true, false or auto")
    if ours not in (AUTO, asked):
        raise ConfigError(
            f"bf16.enabled is {asked}, and the run has bf16: {ours}",
            where=where,
            remedy=f"make them the same, or write {AUTO} in one of them",
        )
    return asked


def _sharing(stage: Any, config: RunConfig, where: str | Path) -> tuple[dict[str, Any], str]:
    """``trainer_arguments`` with FSDP2 as the stage asks for it, and what that is."""
    if isinstance(stage, bool) or stage not in (0, 1, 2, 3):
        wrong = f"zero_optimization.stage is {stage!r}"
        raise ConfigError(wrong, where=where, remedy="write 0, 1, 2 or 3: auto is no stage")
    passed = dict(config.trainer_arguments)
    if stage == 0:
        if passed.get("fsdp"):
            raise _contradiction("no stage of ZeRO", "fsdp: true", where)
        return passed, "ZeRO-0 by DDP: each process holds everything"
    reshard = stage == 3
    options = passed.get("fsdp_config") or {}
    if not isinstance(options, Mapping):
        raise _contradiction(f"stage {stage}", f"fsdp_config: {options!r}", where)
    if passed.get("fsdp") is False or options.get("reshard_after_forward", reshard) is not reshard:
        found = "fsdp: false" if passed.get("fsdp") is False else "fsdp_config.reshard_after_forward"
        raise _contradiction(f"stage {stage}", found, where)
    passed |= {"fsdp": True, "fsdp_config": {**options, "reshard_after_forward": reshard}}
    what = {
        1: "ZeRO-1 as ZeRO-2 by FSDP2: optimizer state in parts, and gradients as well",
        2: "ZeRO-2 by FSDP2: gradients and optimizer state in parts; weights are whole from forward to backward pass",
        3: "ZeRO-3 by FSDP2: weights, gradients and optimizer state in parts",
    }
    return passed, what[stage]


def _contradiction(theirs: str, ours: str, where: str | Path) -> ConfigError:
    return ConfigError(
        f"the file asks for {theirs}, and the configuration says {ours} under trainer_arguments",
        where=where,
        remedy="remove one of them",
    )
