"""Which methods of PEFT a configuration may name, and which of their options it may pass through."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from argus_doctor.wording import did_you_mean
from argusvl.config.trainer_arguments import value_problem

LORA_OPTIONS = ("r", "lora_alpha", "lora_dropout")
"""What a LoRA must say: no hyper-parameter has a default."""

_AROUND_THE_LAYERS = "works around the layers, by prompts or by routing, and not in them"
_REFUSED = {
    "adalora": "shares out its ranks anew after each step, which the engine does not do; lora has fixed ranks",
    **dict.fromkeys(
        (
            "adaption_prompt",
            "cartridge",
            "cpt",
            "multitask_prompt_tuning",
            "p_tuning",
            "poly",
            "prefix_tuning",
            "prompt_tuning",
            "shadow",
            "xlora",
        ),
        _AROUND_THE_LAYERS,
    ),
}
"""Methods of PEFT that are not for us, and why."""

_OURS = {
    "auto_mapping": "remove it: PEFT writes it",
    "base_model_name_or_path": "use model_path instead",
    "inference_mode": "remove it: training and prediction set it",
    "peft_type": "use peft_method instead",
    "peft_version": "remove it: PEFT writes it",
    "revision": "use model_path instead",
    "task_type": "remove it: the model is ours",
}
"""Options that are not passed through."""


@functools.cache
def methods() -> dict[str, type]:
    """Name in small letters → PEFT's configuration class; imported on first use only, it takes seconds."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    every = {kind.value.lower(): found for kind, found in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    return {name: found for name, found in sorted(every.items()) if name not in _REFUSED}


def method_problem(method: str) -> str | None:
    """Why a method is none for us; ``None`` where it is fine."""
    if method in methods():
        return None
    if method in _REFUSED:
        return f"{method} {_REFUSED[method]}"
    return f"PEFT has no method {method!r}{did_you_mean(method, methods())}"


def option_problems(method: str, options: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the options of one of :func:`methods`: the option, what, and what to do."""
    config_class = methods()[method]
    hints = typing.get_type_hints(config_class)
    fields = {field.name for field in dataclasses.fields(config_class) if field.init}
    wrong = False
    for name, value in options.items():
        problem = None
        if name in _OURS:
            problem = "is not passed through", _OURS[name]
        elif name not in fields:
            problem = (
                f"unknown to {config_class.__name__}{did_you_mean(name, fields - _OURS.keys())}",
                ("correct or remove it"),
            )
        elif name == "target_modules":
            if not (isinstance(value, list) and value and all(isinstance(one, str) for one in value)):
                problem = f"should be names of layers in a list, found {value!r}", "correct the value"
        elif (found := value_problem(hints[name], value)) is not None:
            problem = found, "correct the value"
        if problem is not None:
            wrong = True
            yield (name, *problem)
    for name in LORA_OPTIONS if method == "lora" else ():
        if name not in options:
            wrong = True
            yield name, "missing: a LoRA's size and strength have no default", f"write one, e.g. {name}: 16"
    if not wrong:
        try:
            make_config(method, options, "")
        except (ValueError, TypeError, ImportError) as error:
            yield "", f"PEFT refuses the options: {error}", "correct them"


def make_config(method: str, options: Mapping[str, Any], target_modules: str) -> Any:
    """PEFT's own configuration of a method, for the layers that a pattern matches."""
    config_class = methods()[method]
    aimed = any(field.name == "target_modules" for field in dataclasses.fields(config_class))
    return config_class(**{**options, **({"target_modules": target_modules} if aimed else {})})


def has_bitsandbytes() -> bool:
    """Whether weights can be held in 4 or 8 bits here."""
    return importlib.util.find_spec("bitsandbytes") is not None
