"""Parameters, their gradients and their updates, seen by the hooks of the optimizers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from argus_doctor.evidence import Evidence, Parameter
from argus_doctor.record.tensors import held_here

KEPT = 200
"""Norms that are kept of each parameter: of the last steps."""
SLICE = 1024
"""Values of a parameter that its update is measured on."""
_GUARDS = 4
"""Parameters that are asked at every backward pass whether a gradient is there already."""

Hook = Callable[[], None]


def plain(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer within a wrapper such as Accelerate's."""
    while hasattr(optimizer, "optimizer"):  # Accelerate's calls itself an optimizer and has none of its hooks
        optimizer = optimizer.optimizer
    return optimizer  # type: ignore[no-any-return]


class ParameterSensor:
    """Watches what an optimizer does to a model's parameters.

    Args:
        model: Its parameters are named.
        optimizers: All that train it.
        evidence: Is filled in.
        frozen: Patterns of the names that were declared frozen.
        before_step: Called with the gradients there and the weights still as they were, with whether all gradients are
            finite (``None`` where asking would wait for a GPU).
        every_step: Whether norms are taken at each step; else at looks alone, and nothing is done between them.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        evidence: Evidence,
        frozen: Collection[str],
        before_step: Callable[[bool | None], None],
        every_step: bool = True,
    ) -> None:
        self._model, self._optimizers, self._evidence = model, optimizers, evidence
        self._frozen, self._before_step, self._every_step = frozen, before_step, every_step
        self._named: dict[str, nn.Parameter] = {}
        self._kinds = dict(model.named_modules())
        self._norms: dict[str, Tensor] = {}
        self._slices: dict[str, tuple[Tensor, Tensor]] = {}
        self._clean: set[int] = set()
        self._reached: set[int] = set()
        self._stale = [0, 0]
        self._foreign: dict[int, bool] = {}
        self.looking = True
        self.stepped = False
        self._unknown = False
        self._handles: list[Any] = []
        self._starts: dict[str, Tensor] = {}
        try:
            self.take_stock()
            self.declared_frozen_that_moved()
        except Exception as error:  # noqa: BLE001 - a watcher never stops a training: it becomes a finding
            evidence.failures.setdefault("parameters", repr(error))
        for optimizer in optimizers:
            self._handles.append(optimizer.register_step_pre_hook(self._before))
            self._handles.append(optimizer.register_step_post_hook(self._after))
        self._guard()

    def close(self) -> None:
        """Takes all hooks away."""
        for handle in self._handles:
            handle.remove()

    def take_stock(self) -> None:
        """Which parameters there are, and who holds them; done again from time to time, for both may change."""
        held = {id(p) for o in self._optimizers for group in o.param_groups for p in group["params"]}
        known = self._evidence.parameters
        self._named = {name: p for name, p in self._model.named_parameters() if not _has_no_values(p)}
        self._kinds = dict(self._model.named_modules())
        every = {id(p) for _, p in self._model.named_parameters(remove_duplicate=False)}
        for name, parameter in self._named.items():
            found = known.get(name)
            if found is None or found.shape != tuple(parameter.shape):
                module = name.rpartition(".")[0]
                found = known[name] = Parameter(
                    name,
                    module,
                    type(self._kinds.get(module)).__name__,
                    tuple(parameter.shape),
                    parameter.requires_grad,
                    False,
                    declared_frozen=any(fnmatch(name, p) or fnmatch(name, f"{p}.*") for p in self._frozen),
                    start=_look_of(parameter),
                    dtype=str(parameter.dtype).removeprefix("torch."),
                )
                if found.declared_frozen or id(parameter) not in held:
                    self._starts[name] = _slice(parameter)
            found.requires_grad = parameter.requires_grad
            found.in_optimizer = id(parameter) in held
            if not found.in_optimizer and name in self._starts and not found.moved_by_others:
                found.moved_by_others = not torch.equal(_slice(parameter), self._starts[name])
        foreign = [
            p for o in self._optimizers for g in o.param_groups for p in g["params"] if id(p) not in every
        ]
        for parameter in foreign:
            self._foreign[id(parameter)] = (
                self._foreign.get(id(parameter), False) or parameter.grad is not None
            )
        self._foreign = {
            key: value for key, value in self._foreign.items() if key in {id(p) for p in foreign}
        }
        self._evidence.foreign = len(self._foreign), sum(self._foreign.values())
        # Neither alone is a fault: minimising the negated loss is maximising.
        self._evidence.maximises = any(
            g.get("maximize") or g["lr"] < 0 for o in self._optimizers for g in o.param_groups
        )

    def declared_frozen_that_moved(self) -> list[str]:
        """Parameters, and running statistics, that were declared frozen and have other values than at the start."""
        buffers = self._model.named_buffers()
        now = self._named | {n: b for n, b in buffers if b.is_floating_point() and not b.is_meta}
        moved = []
        for name, tensor in now.items():
            if any(fnmatch(name, one) or fnmatch(name, f"{one}.*") for one in self._frozen):
                values = _slice(tensor)
                if not torch.equal(self._starts.setdefault(name, values), values):
                    moved.append(name)
        return moved

    # --- gradients that were there before --------------------------------------------------------------------------

    def _guard(self) -> None:
        """Some small parameters tell at each backward pass whether it adds to an older gradient.

        A hook on a leaf runs before its gradient is added to what is there. What a step trains with is old where
        *every* backward pass since the last step found a gradient: accumulation finds none at its first, and a
        gradient that another loss left behind is cleared before this one's.
        """
        held = {id(p) for o in self._optimizers for group in o.param_groups for p in group["params"]}
        small = sorted(
            (p for p in self._named.values() if p.requires_grad and id(p) in held), key=Tensor.numel
        )
        chosen = small[:: max(1, len(small) // _GUARDS)][:_GUARDS]
        for parameter in chosen:
            self._handles.append(parameter.register_hook(self._guarding(parameter)))  # type: ignore[no-untyped-call]

    def _guarding(self, parameter: nn.Parameter) -> Callable[[Tensor], None]:
        def hook(_: Tensor) -> None:
            if not (self._every_step or self.looking):
                return
            self._reached.add(id(parameter))
            if parameter.grad is None:
                self._clean.add(id(parameter))
            elif parameter.grad.device.type == "cpu" or self.looking:  # asking a GPU would wait for it
                if not bool(held_here(parameter.grad).any()):
                    self._clean.add(id(parameter))
            else:
                self._clean.add(id(parameter))

        return hook

    # --- a step ----------------------------------------------------------------------------------------------------

    def _before(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not (self._every_step or self.looking):
            return None
        closure = next((one for one in (*args[1:], *kwargs.values()) if callable(one)), None)
        if closure is None:
            self._see(optimizer)
            return None

        # Gradients come about within the step, as Lightning and LBFGS have it.
        def seen() -> Any:
            result = closure()
            self._see(optimizer)
            return result

        return (
            tuple(seen if one is closure else one for one in args),
            {name: seen if one is closure else one for name, one in kwargs.items()},
        )

    def _see(self, optimizer: torch.optim.Optimizer) -> None:
        try:
            self._see_gradients(optimizer)
        except Exception as error:  # noqa: BLE001 - a watcher never stops a training: it becomes a finding
            self._evidence.failures.setdefault("gradients", repr(error))
            self._unknown = True

    def _see_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        with_gradient = {
            name: p.grad for name, p in self._named.items() if id(p) in held and p.grad is not None
        }
        dense = {name: _plain(gradient) for name, gradient in with_gradient.items()}
        if self._reached:
            self._stale[1] += 1
            self._stale[0] += bool(self._reached - self._clean)
            self._evidence.stale_gradients = self._stale[0], self._stale[1]
        self._reached.clear()
        self._clean.clear()
        finite: bool | None = True
        if dense:
            self._norms.update(_norms(dense))
            if all(gradient.device.type == "cpu" for gradient in dense.values()):
                finite = math.isfinite(sum(self._norms[name].item() for name in dense))
            else:
                finite = None
        self._before_step(finite)
        if self.looking and finite is not False:
            self._slices = {
                name: (_slice(self._named[name]), _slice(gradient))
                for name, gradient in dense.items()
                if not with_gradient[name].is_sparse
            }
            for name in self._slices:
                gradient = dense[name]
                found = self._evidence.parameters[name]
                if gradient.ndim >= 2 and gradient.shape[0] > 1 and found.kind != "Embedding":
                    dead = gradient.detach().flatten(1).abs().amax(1) == 0
                    found.dead_rows.append(float(dead.double().mean()))

    def _after(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self.stepped = self._every_step or self.looking
        if not self.stepped:
            return
        try:
            slices, self._slices = self._slices, {}
            for name, (before, gradient) in slices.items():
                parameter, found = self._named[name], self._evidence.parameters[name]
                after = _slice(parameter)
                change = (after - before).float()
                moved, steep, size = (float(one.float().norm()) for one in (change, gradient, before))
                pulled = gradient != 0
                if steep > 0:
                    found.stuck.append(float((change[pulled] == 0).double().mean()))
                if moved == 0:
                    found.unmoved += steep > 0
                else:
                    found.moved += 1
                    if size > 0:
                        found.ratios.append(moved / size)
                    if steep > 0 and math.isfinite(moved * steep):
                        found.directions.append(float((change * gradient.float()).sum()) / (moved * steep))
                if parameter.ndim >= 2:
                    flat = held_here(parameter).detach().flatten(1)
                    alike = (
                        flat.shape[0] > 1
                        and flat.shape[1] > 0
                        and bool((flat == flat[:1]).all())
                        and bool(flat.any())
                    )
                    found.identical_rows += alike
        except Exception as error:  # noqa: BLE001 - a watcher never stops a training: it becomes a finding
            self._evidence.failures.setdefault("updates", repr(error))

    def finish_step(self) -> float | None:
        """Takes down the norms of the step that was made; the norm of all."""
        if not self.stepped:
            return None
        self.stepped = False
        if self._unknown:  # how the gradients were, nobody knows
            self._unknown, self._norms = False, {}
            return None
        by_name: dict[str, float] = {}
        for device in {norm.device for norm in self._norms.values()}:  # one copy, not one for each parameter
            there = {name: norm.float() for name, norm in self._norms.items() if norm.device == device}
            by_name |= zip(there, torch.stack(list(there.values())).tolist(), strict=True)
        values = list(by_name.values())
        self._norms = {}
        for name, found in self._evidence.parameters.items():
            if not (found.requires_grad and found.in_optimizer):
                continue
            found.steps += 1
            norm = by_name.get(name)
            if norm is None:
                found.without_gradient += 1
                continue
            found.zero_gradient += norm == 0
            found.gradients.append(norm)
            if len(found.gradients) > 2 * KEPT:
                del found.gradients[:KEPT]
        if self.looking:
            for name, parameter in self._named.items():
                if parameter.is_floating_point():
                    part = _slice(parameter).float()
                    rms = float(part.square().mean().sqrt()) if len(part) else 0.0
                    self._evidence.parameters[name].weights.append(rms)
        return math.sqrt(sum(value * value for value in values)) if values else None


def _has_no_values(parameter: nn.Parameter) -> bool:
    """On the meta device, of a lazy module that was never called, or with all of its part on other ranks."""
    return parameter.is_meta or is_lazy(parameter) or (parameter.numel() > 0 == held_here(parameter).numel())


def _plain(gradient: Tensor) -> Tensor:
    """Dense and real; of a sharded one the part that is here."""
    gradient = held_here(gradient).detach()
    if gradient.is_sparse:
        gradient = gradient.coalesce().values()
    return torch.view_as_real(gradient.resolve_conj()) if gradient.is_complex() else gradient


def _norms(gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of each; those of 16 bits are summed up in 32."""
    found: dict[str, Tensor] = {}
    for half in (True, False):
        alike = {name: g for name, g in gradients.items() if (g.dtype.itemsize < 4) == half}
        if alike:
            wide = torch.float32 if half else None
            found |= zip(alike, torch._foreach_norm(list(alike.values()), 2, dtype=wide), strict=True)
    return found


def _slice(tensor: Tensor) -> Tensor:
    tensor = held_here(tensor).detach()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    flat = tensor.reshape(-1)
    stride = math.ceil(flat.shape[0] / SLICE) if flat.shape[0] else 1
    return flat[::stride].clone()


def _look_of(parameter: nn.Parameter) -> str:
    """How the values look at the start."""
    values = held_here(parameter).detach()
    if not values.is_floating_point() or values.numel() < 2:
        return "other"
    values = values.float()
    low, high = float(values.min()), float(values.max())
    if low == high == 0:
        return "zero"
    if low == high:
        return "constant"
    if values.ndim < 2:
        return "other"
    flat = values.flatten(1)
    if flat.shape[0] > 1 and flat.shape[1] > 0 and bool((flat == flat[:1]).all()):
        return "identical-rows"
    # Linear and convolution layers are drawn uniformly from ±1/sqrt(fan_in).
    bound = 1 / math.sqrt(flat.shape[1])
    spread = float(flat.std())
    drawn = max(-low, high) <= bound * 1.0001 and abs(spread - bound / math.sqrt(3)) < 0.06 * bound
    return "default" if drawn and flat.numel() >= 64 else "other"
