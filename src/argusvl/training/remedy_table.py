"""Remedies as changes of the configuration, in the project's own keys; some of them the engine can apply by itself.

They are data: a slug of the catalogue → what to change, in the order in which it is worth trying. `*_lr` stands for
every learning rate; a finding that names its group means that group's alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Literal

from argus_doctor.findings import Finding

Change = tuple[Literal["times", "set", "at least", "at most", "plus"], Any]


@dataclass(frozen=True, slots=True)
class Remedy:
    """One change.

    Attributes:
        keys: Key of the configuration, or a pattern of keys → how it changes.
        why: What it does, where the keys do not say.
        engine: What the engine does where ``training.remedies`` lets it: ``rate``, ``clip``, ``balance``,
            ``thaw`` or ``stop``.
    """

    keys: Mapping[str, Change]
    why: str = ""
    engine: Literal["rate", "clip", "balance", "thaw", "stop"] | None = None

    def diff(self, config: Mapping[str, Any] | None = None, group: str | None = None) -> str:
        """The change in words: with the values of a configuration (its keys flat, with dots) where there is one."""
        lines = []
        for pattern, change in self.keys.items():
            wanted = f"{group}_lr" if group and pattern == "*_lr" else pattern
            matching = {} if config is None else _matching(config, wanted)
            lines += [
                f"{key}: {_shown(value)} → {_shown(new)}"
                for key, value in matching.items()
                if (new := changed(value, change)) != value
            ]
            if not matching and config is None:
                lines.append(f"{wanted}: {_in_words(change)}")
        return ", ".join(lines)


_IN_FLOAT32 = Remedy({"bf16": ("set", False)}, "computes in float32")
_CALMER = Remedy({"*_lr": ("times", 0.1), "max_grad_norm": ("times", 0.1)}), _IN_FLOAT32
_SMALLER = (
    Remedy({"gradient_checkpointing": ("set", True)}),
    Remedy({"per_device_train_batch_size": ("times", 0.5), "gradient_accumulation_steps": ("times", 2)}),
)
REMEDIES: dict[str, tuple[Remedy, ...]] = {
    "learning-rate-too-high": (
        Remedy({"*_lr": ("times", 0.1), "warmup_ratio": ("at least", 0.1)}, engine="rate"),
        Remedy({"max_grad_norm": ("times", 0.1)}, engine="clip"),
    ),
    "exploding-gradient": (
        Remedy({"max_grad_norm": ("times", 0.1)}, engine="clip"),
        Remedy({"*_lr": ("times", 0.5), "warmup_ratio": ("at least", 0.1)}, engine="rate"),
    ),
    "instability": (
        Remedy({"max_grad_norm": ("at most", 1.0), "warmup_ratio": ("at least", 0.1)}, engine="clip"),
        Remedy({"*_lr": ("times", 0.5)}, engine="rate"),
    ),
    "learning-rate-too-low": (Remedy({"*_lr": ("times", 10.0)}, engine="rate"),),
    "learning-rate-vanished": (Remedy({"lr_scheduler_type": ("set", "cosine")}),),
    "non-finite-loss": _CALMER,
    "mixed-precision-nan": _CALMER,
    "objective-starved": (
        Remedy(
            {"*_weight": ("times", 1.0)}, "bring the terms to one size by their moving averages", "balance"
        ),
    ),
    "poor-generalisation": (
        Remedy({}, "stop early: the best checkpoint is kept", "stop"),
        Remedy({"detection_dropout": ("at least", 0.1), "weight_decay": ("at least", 0.05)}),
        Remedy(
            {
                "brightness": ("at least", 0.4),
                "contrast": ("at least", 0.4),
                "saturation": ("at least", 0.4),
                "scale_min": ("at most", 0.8),
                "scale_max": ("at least", 1.2),
            },
            "augments more strongly",
        ),
    ),
    "mode-collapse": (
        Remedy({"positions": ("set", True)}, "patches know where they are"),
        Remedy({"sigma_reparam": ("set", True)}, "attention cannot narrow without bound"),
        Remedy({"diversity_weight": ("at least", 0.02)}),
        Remedy({"input_noise": ("at least", 0.1), "input_noise_epochs": ("at least", 2.0)}),
        Remedy({"wide_initialisation": ("set", True)}),
        Remedy({"weight_decay": ("at most", 0.05), "*_lr": ("times", 0.1)}),
        Remedy({"ema_decay": ("set", 0.99)}, "an average of the weights forgets a bad step"),
    ),
    "frozen-head": (Remedy({"detection_freeze_epochs": ("set", 0.0)}, engine="thaw"),),
    "out-of-memory": (*_SMALLER, Remedy({"bf16": ("set", True)})),
    "largest-batch-too-large": _SMALLER,
    "vision-token-inflation": (
        Remedy({"vision_tokens_policy": ("set", "resize"), "max_pixels": ("times", 0.5)}),
    ),
    "input-bound": (Remedy({"dataloader_num_workers": ("plus", 4)}),),
    "update-lost": (_IN_FLOAT32,),
}
"""Slug → remedies, the first first."""

APPLICABLE = tuple(slug for slug, remedies in REMEDIES.items() if any(one.engine for one in remedies))
"""Findings that the engine can do something about."""

WHEN_TO_RESTART = (
    "restart with the change in the configuration: nothing that was tried in the run made it better. Restart as well "
    "where predictions stay constant for 10 epochs, a loss that is no number comes back after a roll-back, or no "
    "evaluation has been better for 20 epochs"
)
"""Seed 001's policy."""


def change_of(found: Finding, config: Mapping[str, Any] | None = None) -> str:
    """The first remedy of a finding that changes something in a configuration, in words; empty where there is none."""
    group = found.numbers.get("group")
    diffs = (remedy.diff(config, group) for remedy in REMEDIES.get(found.slug, ()))
    return next((diff for diff in diffs if diff), "")


def changes_of(slug: str) -> list[str]:
    """All remedies of an entry as changes of the configuration, in words."""
    return [
        (one.diff() + (f" ({one.why})" if one.why else "")) if one.keys else one.why
        for one in REMEDIES.get(slug, ())
    ]


def changed(value: Any, change: Change) -> Any:
    """A key's value after a change; the value itself where the change does not apply to it."""
    how, by = change
    if how == "set" or (how == "plus" and value == "auto"):
        return by
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    match how:
        case "times":
            new = value * by
            return max(1, round(new)) if isinstance(value, int) else float(f"{new:.6g}")
        case "plus":
            return value + by
        case "at least":
            return max(value, by)
        case _:
            return min(value, by)


def _matching(config: Mapping[str, Any], pattern: str) -> dict[str, Any]:
    names = {key.rpartition(".")[2]: value for key, value in config.items()}
    return {name: value for name, value in names.items() if fnmatch(name, pattern)}


def _in_words(change: Change) -> str:
    how, by = change
    return {"times": f"× {_shown(by)}", "set": _shown(by), "plus": f"+ {_shown(by)}"}.get(
        how, f"{how} {_shown(by)}"
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
