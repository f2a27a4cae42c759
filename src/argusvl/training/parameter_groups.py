"""Parameters → named groups with learning rates of their own, and proof that the optimizer holds them.

A pattern that matches nothing, or a trainable parameter in no group, is an error: both are how a part of a model
stays silently untrained, or is trained at a rate that nobody chose.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from argusvl.core.errors import ConfigError
from argusvl.core.logging import get_logger
from argusvl.core.wording import counted, listed
from argusvl.training.protocol import ParameterGroup

logger = get_logger(__name__)

_KEEPS_GROUPS = "use an optimizer (key optim of trainer_arguments) that keeps parameter groups"


@dataclass(frozen=True, slots=True)
class AssignedGroup:
    """A group and the parameters that fell into it.

    Attributes:
        parameters: By name, in the model's order; frozen ones included.
        trainable: Names of those that may train: the model had not frozen them, and the rate is not 0.
    """

    spec: ParameterGroup
    parameters: Mapping[str, nn.Parameter]
    trainable: frozenset[str]

    @property
    def name(self) -> str:
        """The group's name."""
        return self.spec.name

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The parameters that may train, in the model's order."""
        return [p for name, p in self.parameters.items() if name in self.trainable]


def assign_parameters(model: nn.Module, specs: Sequence[ParameterGroup]) -> list[AssignedGroup]:
    """Puts every parameter into the first group whose pattern is found in its name.

    Raises:
        ConfigError: A rate or pattern is invalid; a pattern matches nothing (or only what earlier groups took) and is
            not optional; a trainable parameter is in no group; two names of one tied tensor fall into two groups.
    """
    patterns = _compiled(specs)
    members: dict[str, dict[str, nn.Parameter]] = {spec.name: {} for spec in specs}
    shadowed: dict[str, set[str]] = {spec.name: set() for spec in specs}
    group_of: dict[int, tuple[str, str]] = {}
    homeless: list[str] = []
    for name, parameter in model.named_parameters(remove_duplicate=False):
        matching = [spec.name for spec, pattern in patterns if pattern.search(name)]
        if not matching:
            if parameter.requires_grad and id(parameter) not in group_of:
                homeless.append(name)
            continue
        group, *passed_over = matching
        for other in passed_over:
            shadowed[other].add(group)
        first = group_of.setdefault(id(parameter), (name, group))
        if first[1] != group:
            raise _wrong(
                f"the tied parameter has two names in two groups: {first[0]} in {first[1]!r}, {name} in {group!r}",
                "change a pattern so that both names fall into one group",
            )
        if first[0] == name:
            members[group][name] = parameter
    if homeless:
        raise _wrong(
            f"{counted(len(homeless), 'trainable parameter')} in no group: {listed(homeless, 3)}",
            "add a group whose pattern matches, or freeze these parameters in the model",
        )
    for spec in specs:
        if not members[spec.name] and not spec.optional:
            why = "matches no parameter"
            if shadowed[spec.name]:
                why = f"matches only parameters that {listed(sorted(shadowed[spec.name]), 3)} took before"
            raise _wrong(
                f"the pattern {spec.pattern!r} of group {spec.name!r} {why}",
                "mend the pattern, or mark the group as optional where the model may lack this part",
            )
    return [
        AssignedGroup(
            spec,
            members[spec.name],
            frozenset(n for n, p in members[spec.name].items() if p.requires_grad and spec.learning_rate > 0),
        )
        for spec in specs
    ]


def freeze_untrained(groups: Sequence[AssignedGroup]) -> None:
    """Takes the groups with rate 0 out of training: no gradient, no optimizer state.

    Raises:
        ConfigError: Nothing is left to train.
    """
    for group in groups:
        for name, parameter in group.parameters.items():
            if name not in group.trainable:
                parameter.requires_grad_(False)
    if not any(group.trainable and not group.spec.frozen_epochs for group in groups):
        raise _wrong(
            "no parameter is left to train from the first step on",
            f"give a learning rate above 0 (and no freezing) to one of {listed([g.name for g in groups], 3)}",
        )


def optimizer_groups(
    model: nn.Module, groups: Sequence[AssignedGroup], weight_decay: float
) -> list[dict[str, Any]]:
    """The ``params`` of a torch optimizer: for each group one entry that decays and one that does not.

    Weight decay leaves out biases and other parameters of fewer than two dimensions, norms, and ``nn.Embedding``
    weights unless the group has ``decay_embeddings``.
    """
    norms, embeddings = _owned_by_norms_and_embeddings(model)
    entries: list[dict[str, Any]] = []
    for group in groups:
        spared = norms if group.spec.decay_embeddings else norms | embeddings
        by_decay: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for parameter in group.trainable_parameters():
            by_decay[parameter.ndim >= 2 and id(parameter) not in spared].append(parameter)
        for decays, parameters in by_decay.items():
            if parameters:
                entries.append(
                    {
                        "params": parameters,
                        "lr": group.spec.learning_rate,
                        "weight_decay": weight_decay if decays else 0.0,
                        "group": group.name,
                        "decays": decays,
                    }
                )
    return entries


def verify_optimizer(optimizer: Optimizer, groups: Sequence[AssignedGroup]) -> None:
    """Checks the optimizer as it is after wrapping: what was declared is what it holds.

    (In QwenLM's own trainer the vision rate is ignored unless the projector's is set.)

    Raises:
        ConfigError: A trainable parameter is missing, held twice, or has another peak rate than declared; or the
            optimizer holds a parameter that is not to be trained.
    """
    held: dict[int, list[float]] = {}
    for entry in optimizer.param_groups:
        # A scheduler keeps the peak rate as `initial_lr` and puts the momentary one into `lr`.
        rate = float(entry.get("initial_lr", entry["lr"]))
        for parameter in entry["params"]:
            held.setdefault(id(parameter), []).append(rate)
    for group in groups:
        for name, parameter in group.parameters.items():
            rates = held.pop(id(parameter), [])
            expected = [group.spec.learning_rate] if name in group.trainable else []
            if rates != expected:
                raise _wrong(
                    f"the optimizer holds {name} with rates {rates}, the group {group.name!r} declares {expected}",
                    _KEEPS_GROUPS,
                )
    if held:
        raise _wrong(f"the optimizer holds {counted(len(held), 'parameter')} of no group", _KEEPS_GROUPS)


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One line of ``argus inspect params``.

    Attributes:
        group: Name of the group; ``(none)`` for parameters that the model itself froze and no pattern matches.
    """

    group: str
    tensors: int
    parameters: int
    trainable: int
    learning_rate: float
    examples: tuple[str, ...]


def describe_groups(model: nn.Module, specs: Sequence[ParameterGroup]) -> list[GroupRow]:
    """The groups as training would use them; the model is left as it is.

    Raises:
        ConfigError: As :func:`assign_parameters`.
    """
    groups = assign_parameters(model, specs)
    rows = []
    for group in groups:
        sizes = {name: parameter.numel() for name, parameter in group.parameters.items()}
        rows.append(
            GroupRow(
                group=group.name,
                tensors=len(sizes),
                parameters=sum(sizes.values()),
                trainable=sum(size for name, size in sizes.items() if name in group.trainable),
                learning_rate=group.spec.learning_rate,
                examples=tuple(sizes)[:3],
            )
        )
    grouped = {id(p) for group in groups for p in group.parameters.values()}
    rest = {name: p.numel() for name, p in model.named_parameters() if id(p) not in grouped}
    if rest:
        rows.append(GroupRow("(none)", len(rest), sum(rest.values()), 0, 0.0, tuple(rest)[:3]))
    return rows


def _wrong(what: str, remedy: str | None = None) -> ConfigError:
    return ConfigError(what, where="parameter groups", remedy=remedy)


def _compiled(specs: Sequence[ParameterGroup]) -> list[tuple[ParameterGroup, re.Pattern[str]]]:
    names = [spec.name for spec in specs]
    if len(set(names)) != len(names):
        raise _wrong(f"two groups have one name: {names}")
    compiled = []
    for spec in specs:
        if not math.isfinite(spec.learning_rate) or spec.learning_rate < 0:
            raise _wrong(
                f"the rate of group {spec.name!r} is {spec.learning_rate}",
                "give a finite number of at least 0; 0 freezes the group",
            )
        try:
            compiled.append((spec, re.compile(spec.pattern)))
        except re.error as error:
            raise _wrong(
                f"the pattern {spec.pattern!r} of group {spec.name!r} is no regular expression: {error}"
            ) from error
    return compiled


def _owned_by_norms_and_embeddings(model: nn.Module) -> tuple[set[int], set[int]]:
    norms: set[int] = set()
    embeddings: set[int] = set()
    for module in model.modules():
        owned = {id(p) for p in module.parameters(recurse=False)}
        if isinstance(module, nn.Embedding):
            embeddings |= owned
        elif "norm" in type(module).__name__.lower():
            norms |= owned
    return norms, embeddings


def make_optimizer(
    kind: Callable[..., Optimizer],
    options: Mapping[str, Any],
    model: nn.Module,
    groups: Sequence[AssignedGroup],
    weight_decay: float,
) -> Optimizer:
    """An optimizer with the groups and their rates, proven to hold them.

    Raises:
        ConfigError: It cannot take groups, or does not hold them as they are.
    """
    if {"params", "model", "optimizer_dict"} & set(options):
        raise ConfigError(
            f"the optimizer {getattr(kind, '__name__', kind)} builds its own parameter groups",
            where="optim",
            remedy="use one that takes the task's groups, e.g. adamw_torch_fused",
        )
    optimizer = kind(optimizer_groups(model, groups, weight_decay), **options)
    verify_optimizer(optimizer, groups)
    return optimizer


def hold_configured_options(
    optimizer: Optimizer, scheduler: LRScheduler, groups: Sequence[AssignedGroup], weight_decay: float
) -> None:
    """An optimizer's restored state brings the options of the run that wrote it; the configuration decides."""
    base_rates = getattr(scheduler, "base_lrs", None)
    declared = {group.name: group.spec.learning_rate for group in groups}
    common = {k: v for k, v in optimizer.defaults.items() if k not in ("lr", "weight_decay")}
    for index, entry in enumerate(optimizer.param_groups):
        entry.update(common, weight_decay=weight_decay if entry["decays"] else 0.0)
        before, rate = entry.get("initial_lr", entry["lr"]), declared[entry["group"]]
        if before != rate:
            logger.warning("the peak rate of group %s changes from %g to %g", entry["group"], before, rate)
            entry["lr"] *= rate / before
            entry["initial_lr"] = rate
            if base_rates is not None:
                base_rates[index] = rate
