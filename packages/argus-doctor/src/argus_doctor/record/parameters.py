"""Parameters, their gradients and their updates, seen by the hooks of the optimizers at *looks*.

Of a parameter some hundred bytes are kept, however long the training is; nothing of a parameter's or a gradient's
values outlives the optimizer's step that it was taken in.
"""

from __future__ import annotations

import cmath
import json
import math
import weakref
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.rnn import pad_sequence

from argus_doctor.evidence import SELDOM, STARTS, Evidence, Parameter
from argus_doctor.lint.rules import MISSPELT
from argus_doctor.record.hooks import may_look
from argus_doctor.record.host import HostReads
from argus_doctor.record.tensors import has_values, held_here

SLICE = 256
"""Values of a parameter that its update is measured on."""
_MOST_MEASURED = 64
"""Parameters whose update is measured at one look; of more, each look takes others."""
_EARLY = 60
"""Looks whose gradients are the early ones."""
_GUARDS = 4
"""Parameters that are asked at a backward pass whether a gradient is there already, and before a step whether it is a
number."""
_GUARD_VALUES, _FEW_VALUES = 4096, 256
_MOST_COUNTED = 60_000

_KEPT = np.dtype(
    [
        ("identity", "i8"), ("name", "u4"), ("start_print", "u4"), ("start", "u1"), ("flags", "u1"),
        ("looks", "u2"), ("without_gradient", "u2"), ("zero_gradient", "u2"), ("moved", "u2"), ("unmoved", "u2"),
        ("identical_rows", "u2"), ("dead_looks", "u2"), ("stuck_looks", "u2"),
        ("gradient_first", "f4"), ("gradient_early", "f4"), ("weight_first", "f4"), ("weight", "f4"),
        ("ratio", "f4"), ("ratio_first", "f4"), ("ratio_early", "f4"), ("peak_ratio", "f4"), ("direction", "f4"),
        ("dead", "f4"), ("dead_first", "f4"), ("dead_least", "f4"), ("stuck", "f4"),
    ]
)  # fmt: skip
_AS_KEPT = (
    "looks", "without_gradient", "zero_gradient", "peak_ratio", "direction", "unmoved", "identical_rows",
    "dead_looks", "dead", "dead_first", "dead_least", "stuck", "stuck_looks",
)  # fmt: skip
"""What of a row a :class:`~argus_doctor.evidence.Parameter` tells as it is."""
_TRAINS, _HELD, _DECLARED, _BY_OTHERS, _GRADED = 1, 2, 4, 8, 16
_DECAYS_APART = ("AdamW", "SGD", "AdamW8bit", "Lion", "LAMB")


def plain(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer within a wrapper such as Accelerate's or a Lookahead, which may have none of its hooks."""
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    while isinstance(optimizer, torch.optim.Optimizer) and not hasattr(
        optimizer, "_optimizer_step_pre_hooks"
    ):
        within = [one for one in vars(optimizer).values() if isinstance(one, torch.optim.Optimizer)]
        if len(within) != 1:
            break
        optimizer = within[0]
    return optimizer  # type: ignore[no-any-return]


class ParameterRecord:
    """Watches what an optimizer does to a model's parameters.

    Args:
        model: Its parameters are named; it is not held.
        optimizers: All that train it; they are not held.
        evidence: Is filled in.
        frozen: Patterns of the names that were declared frozen.
        before_step: Called with the gradients there and the weights still as they were, where one of some gradients is
            not finite.
        host: Brings numbers from a GPU.

    Attributes:
        looking: Whether the step that is being made is looked at; nothing is done at others.
        stepped: Whether an optimizer has stepped.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        evidence: Evidence,
        frozen: Collection[str] = (),
        before_step: Callable[[], None] = lambda: None,
        host: HostReads | None = None,
    ) -> None:
        self._model = weakref.ref(model)
        self._optimizers = [weakref.ref(one) for one in optimizers]
        self._evidence, self._before_step, self._host = evidence, before_step, host or HostReads()
        self._frozen = tuple(frozen)
        self._rows, self._about = np.zeros(0, _KEPT), zlib.compress(b"[]")
        self._norms: list[tuple[int, Tensor]] = []
        self._slices: dict[int, tuple[Tensor, Tensor]] = {}
        self._buffers: dict[str, float] = {}
        self._moved_buffers: set[str] = set()
        self._unstepped: bytes | None = None
        self._turn, self._unknown = 0, False
        self._stale: dict[int, list[int]] = {}
        self._foreign: dict[int, bool] = {}
        self._guards: list[_Guard] = []
        self.looking, self.stepped = True, False
        self._handles: list[Any] = []
        self._guarding_now: list[Any] = []
        evidence.quietly("parameters", self.take_stock)
        for optimizer in optimizers:
            self._handles.append(optimizer.register_step_pre_hook(self._before))
            self._handles.append(optimizer.register_step_post_hook(self._after))
        self._guard()

    def close(self) -> None:
        """Takes all hooks away."""
        self.look(False)
        for handle in self._handles:
            handle.remove()

    def look(self, whether: bool) -> None:
        """Whether the next step is looked at; where it is not, no hook is in the way of its backward pass."""
        self.looking = whether
        if not whether:
            for handle in self._guarding_now:
                handle.remove()
            self._guarding_now = []
            for guard in self._guards:
                guard.followed = False
        elif not self._guarding_now:
            for guard in self._guards:
                parameter = guard.parameter()
                if parameter is not None and parameter.requires_grad:  # it may have been frozen since
                    self._guarding_now += self._guarding(guard, parameter)

    def _held(self) -> Iterator[tuple[torch.optim.Optimizer, Mapping[str, Any]]]:
        for reference in self._optimizers:
            optimizer = reference()
            for group in () if optimizer is None else optimizer.param_groups:
                yield optimizer, group  # type: ignore[misc]

    def _named(self) -> list[tuple[str, nn.Parameter]]:
        model = self._model()
        if model is None:
            return []
        return [(name, p) for name, p in model.named_parameters() if not _has_no_values(p)]

    def take_stock(self) -> None:
        """Which parameters there are, and who holds them; done at each look, for both may change."""
        model, named = self._model(), self._named()
        if model is None:  # it was deleted: what is known of it stays
            return
        identities = np.fromiter((id(p) for _, p in named), np.int64, len(named))
        held = {id(p) for _, group in self._held() for p in group["params"]}
        if not np.array_equal(identities, self._rows["identity"]):
            self._begin(named)
        flags = self._rows["flags"]
        for place, (_, parameter) in enumerate(named):
            kept = flags[place] & (_DECLARED | _BY_OTHERS | _GRADED)
            now = (_TRAINS * parameter.requires_grad) | (_HELD * (id(parameter) in held))
            flags[place] = kept | now | (_GRADED * (parameter.grad is not None))
        self._compare(named)
        self._compare_unstepped(named)
        self._compare_buffers()
        self._find_misspelt(model, named)
        foreign = []
        if not held <= set(identities.tolist()):
            every = {id(p) for p in model.parameters()}
            foreign = [p for _, group in self._held() for p in group["params"] if id(p) not in every]
        self._foreign = {id(p): self._foreign.get(id(p), False) or p.grad is not None for p in foreign}
        self._evidence.foreign = len(self._foreign), sum(self._foreign.values())
        # Where decay is no part of the gradient, each step takes this share of every weight.
        decays = (
            float(group["lr"]) * float(group["weight_decay"])
            for optimizer, group in self._held()
            if type(optimizer).__name__ in _DECAYS_APART and group.get("lr") and group.get("weight_decay")
        )
        self._evidence.decay = max(self._evidence.decay, *decays, 0.0)
        # Neither alone is a fault: minimising the negated loss is maximising.
        self._evidence.maximises = any(
            g.get("maximize") or (g.get("lr") is not None and g["lr"] < 0) for _, g in self._held()
        )

    def _find_misspelt(self, model: nn.Module, named: Sequence[tuple[str, nn.Parameter]]) -> None:
        """Attributes that PyTorch does not know, on what trains all the same."""
        found = {}
        for name, parameter in named:
            for attribute in vars(parameter):
                if attribute in MISSPELT and not vars(parameter)[attribute] and parameter.requires_grad:
                    found[name] = attribute
        for name, module in model.named_modules():
            own = vars(module)
            said = [one for one in ("requires_grad", *MISSPELT) if own.get(one, True) is False]
            # A module of somebody's own may read what it keeps under this name.
            theirs = type(module).__module__.startswith("torch.nn.")
            if said and theirs and any(p.requires_grad for p in module.parameters()):
                found[name or "model"] = said[-1]
        self._evidence.misspelt = found

    def _begin(self, named: Sequence[tuple[str, nn.Parameter]]) -> None:
        """Rows for the parameters that there are now; what is known of those that were there before stays."""
        known = {int(row["name"]): row for row in self._rows}
        rows = np.zeros(len(named), _KEPT)
        for place, (name, parameter) in enumerate(named):
            key = crc32(f"{name}{tuple(parameter.shape)}".encode())
            if key in known:
                rows[place] = known[key]
            else:
                rows[place]["start"] = STARTS.index(_look_of(parameter))
                rows[place]["dead_least"] = 1.0
                rows[place]["flags"] = _DECLARED * matches(name, self._frozen)
            rows[place]["name"], rows[place]["identity"] = key, id(parameter)
        self._rows = rows
        kinds = {} if (model := self._model()) is None else dict(model.named_modules())
        about = [
            [name, type(kinds.get(name.rpartition(".")[0])).__name__, list(p.shape), str(p.dtype)]
            for name, p in named
        ]
        # Names alone would take as much as all numbers; the report may be asked for when the model is gone.
        self._about = zlib.compress(json.dumps(about).encode(), 1)

    def _compare(self, named: Sequence[tuple[str, nn.Parameter]]) -> None:
        """Whether those have changed that no optimizer is to change."""
        rows, flags = self._rows, self._rows["flags"]
        resting = ((flags & (_HELD | _TRAINS)) != _HELD | _TRAINS) | ((flags & _DECLARED) > 0)
        asked = [int(place) for place in np.flatnonzero(resting & ((flags & _BY_OTHERS) == 0))]
        for device in {named[place][1].device for place in asked}:
            there = [place for place in asked if named[place][1].device == device]
            prints = torch.stack([_print(named[place][1]) for place in there])

            def take(values: Tensor, there: list[int] = there) -> None:
                for place, value in zip(there, values.numpy(), strict=True):
                    now = crc32(value.tobytes()) | 1
                    known = rows[place]["start_print"]
                    if known == 0:
                        rows[place]["start_print"] = now
                    elif known != now:
                        rows[place]["flags"] |= _BY_OTHERS

            self._host.ask(prints, take)

    def _compare_unstepped(self, named: Sequence[tuple[str, nn.Parameter]]) -> None:
        """Whether weights change while no optimizer that is known has made a step: then another trains them."""
        trained = [p for _, p in named if p.requires_grad]
        if not trained or not 0 < self._evidence.skipped == self._evidence.step:
            return

        def take(there: list[Tensor]) -> None:
            now = b"".join(values.numpy().tobytes() for values in there)
            self._evidence.moved_unstepped |= self._unstepped not in (None, now)
            self._unstepped = now

        devices = {p.device for p in trained}
        self._host.ask_all(
            [
                torch.stack([_print(p) for p in trained if p.device == one]).sum(0, keepdim=True)
                for one in devices
            ],
            take,
        )

    def _compare_buffers(self) -> None:
        model = self._model()
        if model is None or not self._frozen:
            return
        for name, buffer in model.named_buffers():
            if buffer.is_floating_point() and not buffer.is_meta and matches(name, self._frozen):
                now = float(_print(buffer))
                if self._buffers.setdefault(name, now) != now:
                    self._moved_buffers.add(name)

    # --- gradients that were there before --------------------------------------------------------------------------

    def _guard(self) -> None:
        """Some small parameters tell at the backward passes of a look whether they add to an older gradient.

        What an optimizer's step trains with is old where *every* backward pass since its last step found a gradient:
        accumulation finds none at its first, and a gradient that another loss left behind is cleared before this one's.
        """
        optimizers = {id(p): id(optimizer) for optimizer, group in self._held() for p in group["params"]}
        small = sorted(
            (p for _, p in self._named() if p.requires_grad and id(p) in optimizers), key=Tensor.numel
        )
        chosen = small[:: max(1, len(small) // _GUARDS)][:_GUARDS]
        self._guards = [_Guard(weakref.ref(p), optimizers[id(p)]) for p in chosen]
        self.look(True)

    def _guarding(self, guard: _Guard, parameter: nn.Parameter) -> list[Any]:
        """Hooks that run before a gradient is computed, and after it was added: one asked for by itself is not."""

        def ask() -> None:
            there = guard.parameter()
            old = None if there is None else there.grad
            guard.found_none = old is None or old.is_sparse
            if old is None or old.is_sparse:
                return
            if old.device.type == "cpu":
                guard.found_none = not bool(held_here(old).any())
            else:  # asking a GPU would wait for it: whether it was zero is known a step later
                self._host.ask(held_here(old).detach().any(), lambda there: self._recant(guard, bool(there)))

        def before(gradient: Tensor) -> None:
            if may_look(gradient):
                self._evidence.quietly("gradients", ask)

        def after(_: Tensor) -> None:
            if guard.found_none is not None:  # FSDP2 calls this itself, of gradients that no graph leads to
                guard.added, guard.clean = True, guard.clean or guard.found_none
            guard.found_none = None

        return [
            parameter.register_hook(before),  # type: ignore[no-untyped-call]
            parameter.register_post_accumulate_grad_hook(after),  # type: ignore[no-untyped-call]
        ]

    def _recant(self, guard: _Guard, stale: bool) -> None:
        """A gradient on a GPU was taken for an old one, and was zero."""
        if not stale and guard.optimizer in self._stale:
            self._count_stale(guard.optimizer, -1, 0)

    def _count_stale(self, optimizer: int, stale: int, looks: int) -> None:
        counts = self._stale.setdefault(optimizer, [0, 0])
        counts[:] = max(0, counts[0] + stale), counts[1] + looks
        most = max(self._stale.values())
        self._evidence.stale_gradients = most[0], most[1]

    # --- a step ----------------------------------------------------------------------------------------------------

    def _before(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        closure = next((one for one in (*args[1:], *kwargs.values()) if callable(one)), None)
        if closure is None:
            self._see(optimizer)
            return None
        self._evidence.by_closure |= type(optimizer).__name__ == "LBFGS"
        if not self.looking:
            return None

        # Gradients come about within the step, as Lightning and LBFGS have it.
        def seen() -> Any:
            result = closure()
            self._see(optimizer)
            return result

        args = tuple(seen if one is closure else one for one in args)
        return args, {name: seen if one is closure else one for name, one in kwargs.items()}

    def _see(self, optimizer: torch.optim.Optimizer) -> None:
        try:
            if not may_look():
                return
            if self.looking:
                self._see_gradients(optimizer)
                self._begin_guarding(optimizer)
            if self._evidence.not_finite is None:
                self._check_guards()
        except Exception as error:  # noqa: BLE001 - a watcher never stops a training: it becomes a finding
            self._evidence.failed("gradients", error)
            self._unknown = True

    def _check_guards(self) -> None:
        """On the CPU a gradient that is no number is met before the weights take it up."""
        guards, step = self._guards, self._evidence.step
        if step > SELDOM and guards:  # what is no number spreads: late in a training they take turns
            guards = [guards[step % len(guards)]]
        there = [one for guard in guards if (one := guard.parameter()) is not None]
        gradients = [held_here(g) for p in there if (g := p.grad) is not None and not g.is_sparse]
        if not all(cmath.isfinite(_total(g)) for g in gradients if g.is_cpu):
            self._before_step()

    def _see_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        named = self._named()
        if len(named) != len(self._rows):
            return  # they have changed since the last look: the next one counts them
        there = [(place, p) for place, (_, p) in enumerate(named) if id(p) in held and p.grad is not None]
        told = [one for one in self._guards if one.optimizer == id(optimizer) and one.followed and one.added]
        if told:
            self._count_stale(id(optimizer), not all(one.clean for one in told), 1)
        dense = [(place, _plain(p.grad)) for place, p in there if p.grad is not None]
        # A fused optimizer takes the scaler's factor out by itself.
        scale = getattr(optimizer, "grad_scale", None)
        self._norms += [(place, norm if scale is None else norm / scale) for place, norm in _norms(dense)]
        measured = [(place, p) for place, p in there if p.grad is not None and not p.grad.is_sparse]
        if len(measured) > _MOST_MEASURED:
            begin = self._turn % len(measured)
            measured = (measured[begin:] + measured[:begin])[:_MOST_MEASURED]
            self._turn += _MOST_MEASURED
        self._slices = {}
        for place, parameter in measured:
            assert parameter.grad is not None
            gradient = _slice(parameter.grad)
            gradient = gradient.clone() if scale is None else gradient / scale
            self._slices[place] = _slice(parameter).clone(), gradient
            self._see_units(place, named[place][0], held_here(parameter.grad).detach())

    def _see_units(self, place: int, name: str, gradient: Tensor) -> None:
        """The share of output units whose gradient is zero."""
        if gradient.ndim < 2 or gradient.shape[0] < 2 or "embed" in name.lower() or gradient.is_complex():
            return
        rows = gradient[:: math.ceil(gradient.shape[0] / 64)].flatten(1)
        dead = (rows.abs().amax(1) == 0).float().mean()
        row = self._rows[place]

        def take(there: Tensor) -> None:
            share, looks = float(there), _count(row, "dead_looks")
            if looks <= 3:
                _average(row, "dead_first", share, looks)
            elif looks > 4:
                _average(row, "dead", share, looks - 4)
                row["dead_least"] = min(row["dead_least"], share)

        self._host.ask(dead, take)

    def _begin_guarding(self, optimizer: torch.optim.Optimizer) -> None:
        """From here on what reaches its parameters is of another step."""
        for guard in self._guards:
            if guard.optimizer == id(optimizer):
                guard.followed, guard.added, guard.clean = True, False, False

    def _after(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self.stepped = True
        self._begin_guarding(optimizer)
        if self.looking and may_look():
            self._evidence.quietly("updates", self._see_updates)

    def _see_updates(self) -> None:
        slices, self._slices = self._slices, {}
        named = self._named()
        by_device: dict[torch.device, list[int]] = {}
        for place in (place for place in slices if place < len(named)):
            parameter = held_here(named[place][1]).detach()
            by_device.setdefault(parameter.device, []).append(place)
            if STARTS[self._rows[place]["start"]] in ("constant", "identical-rows"):
                flat = parameter.flatten(1) if parameter.ndim > 1 else parameter[:, None]
                moved = not torch.equal(
                    _slice(parameter), slices[place][0]
                )  # what rests stays the same in health
                if moved and bool((flat == flat[:1]).all()) and bool(flat.any()):
                    _count(self._rows[place], "identical_rows")
        for rows in by_device.values():
            before, gradients = ([slices[place][n] for place in rows] for n in (0, 1))
            table = _updates(before, gradients, [_slice(named[place][1]) for place in rows])
            self._host.ask(table, partial(self._take_updates, rows))

    def _take_updates(self, places: Sequence[int], table: Tensor) -> None:
        changed, pulled = bool((table[:, 0] != 0).any()), bool((table[:, 1] > 0).any())
        looks, since, before = self._evidence.still
        if changed:
            self._evidence.still = 0, 0, True
        elif pulled:
            self._evidence.still = looks + 1, since or self._evidence.step, before
        for place, (moved, steep, size, stuck, along, now) in zip(places, table.tolist(), strict=True):
            row = self._rows[place]
            if row["weight_first"] == 0 and row["moved"] + row["unmoved"] == 0:
                row["weight_first"] = size
            row["weight"] = now
            if not math.isfinite(moved * steep * size):
                continue
            if steep > 0:
                _average(row, "stuck", stuck, _count(row, "stuck_looks"))
            if moved == 0:
                if steep > 0:
                    _count(row, "unmoved")
                continue
            looks = _count(row, "moved")
            if steep > 0:
                _average(row, "direction", along, looks)
            if size > 0:
                ratio = math.log(moved / size)
                _average(row, "ratio", ratio, looks)
                row["peak_ratio"] = max(row["peak_ratio"], moved / size)
                if looks <= 3:
                    _average(row, "ratio_first", ratio, looks)
                if 3 <= looks <= 12:
                    _average(row, "ratio_early", ratio, looks - 2)

    def finish_step(self, then: Callable[[float], None] = lambda norm: None) -> None:
        """Takes down the norms of the step that was made, and tells the norm of all."""
        if not self.stepped:
            return
        unknown, self.stepped, self._unknown = self._unknown, False, False
        if not self.looking or unknown:  # how the gradients were, nobody knows
            return
        norms, self._norms = self._norms, []
        trained = (self._rows["flags"] & (_TRAINS | _HELD)) == _TRAINS | _HELD
        devices = {norm.device for _, norm in norms}
        if len(devices) != 1:  # of a model over several their numbers are brought together
            self._take_norms(trained, {place: float(norm) for place, norm in norms}, then)
            return
        there = torch.stack([norm.float().reshape(()) for _, norm in norms])
        places = [place for place, _ in norms]

        def take(values: Tensor) -> None:
            self._take_norms(trained, dict(zip(places, values.tolist(), strict=True)), then)

        self._host.ask(there, take)

    def _take_norms(self, trained: Any, norms: Mapping[int, float], then: Callable[[float], None]) -> None:
        if len(trained) != len(self._rows):
            return
        for place in np.flatnonzero(trained):
            row = self._rows[place]
            _count(row, "looks")
            norm = norms.get(int(place))
            if norm is None:
                _count(row, "without_gradient")
                continue
            if norm == 0:
                _count(row, "zero_gradient")
            seen = int(row["looks"]) - int(row["without_gradient"])
            if seen == 1:
                row["gradient_first"] = norm
            if seen <= _EARLY and 0 < norm < math.inf:
                _average(row, "gradient_early", math.log(norm), seen)
        if norms:
            then(math.sqrt(sum(value * value for value in norms.values())))

    # --- what is known ---------------------------------------------------------------------------------------------

    def summary(self) -> dict[str, Parameter]:
        """What is known of each parameter, by its name."""
        about = json.loads(zlib.decompress(self._about))
        return {one[0]: _summary(one, row) for one, row in zip(about, self._rows, strict=True)}

    def declare(self, frozen: Collection[str]) -> None:
        """Exactly these parameters are frozen on purpose, at present."""
        for place, (name, _) in enumerate(self._named()):
            if place < len(self._rows):
                declared = _DECLARED if name in frozen else 0
                self._rows[place]["flags"] = (int(self._rows[place]["flags"]) & ~_DECLARED) | declared

    def declared_frozen_that_moved(self) -> set[str]:
        """Parameters, and running statistics, that were declared frozen and have other values than at the start."""
        moved = (self._rows["flags"] & (_DECLARED | _BY_OTHERS)) == _DECLARED | _BY_OTHERS
        if not moved.any():
            return set(self._moved_buffers)
        about = json.loads(zlib.decompress(self._about))
        return {about[place][0] for place in np.flatnonzero(moved)} | self._moved_buffers


@dataclass(slots=True)
class _Guard:
    """A parameter that is asked at backward passes.

    Attributes:
        parameter: It is not held.
        optimizer: The identity of the one that holds it.
        followed: Whether every backward pass since that optimizer's last step was seen.
        added: Whether one of them added a gradient to it.
        found_none: Whether the one that is under way found none there, or zeros.
        clean: Whether any that added one did.
    """

    parameter: weakref.ref[nn.Parameter]
    optimizer: int
    followed: bool = True
    added: bool = False
    found_none: bool | None = None
    clean: bool = False


def _count(row: Any, name: str) -> int:
    """One more, as far as two bytes hold it; and how many there are now."""
    count = int(row[name]) + 1
    row[name] = min(count, _MOST_COUNTED)
    return count


def _average(row: Any, name: str, value: float, count: int) -> None:
    """Takes a value into a mean, as the last of so many."""
    row[name] += (value - row[name]) / count


def _summary(about: tuple[str, str, list[int], str], row: Any) -> Parameter:
    name, kind, shape, dtype = about
    flags, moved = int(row["flags"]), int(row["moved"])
    # The root of how many values an update is measured on.
    size = math.prod(shape)
    values = math.sqrt(max(math.ceil(size / max(1, math.ceil(size / SLICE))), 1))
    graded = int(row["looks"]) - int(row["without_gradient"])
    return Parameter(
        name=name,
        module=name.rpartition(".")[0],
        kind=kind,
        shape=tuple(shape),
        requires_grad=bool(flags & _TRAINS),
        in_optimizer=bool(flags & _HELD),
        declared_frozen=bool(flags & _DECLARED),
        start=STARTS[int(row["start"])],
        dtype=dtype.removeprefix("torch."),
        got_gradient=bool(flags & _GRADED) or graded > 0,
        first_gradient=float(row["gradient_first"]) if graded else None,
        early_gradient=math.exp(float(row["gradient_early"])) if graded and row["gradient_early"] else 0.0,
        first_weight=float(row["weight_first"]) / values,
        weight=float(row["weight"]) / values,
        updates=moved,
        ratio=math.exp(float(row["ratio"])) if moved else 0.0,
        first_ratio=math.exp(float(row["ratio_first"])) if moved else 0.0,
        early_ratio=math.exp(float(row["ratio_early"] if moved > 2 else row["ratio"])) if moved else 0.0,
        moved_by_others=bool(flags & _BY_OTHERS),
        **{name: row[name].item() for name in _AS_KEPT},
    )


def matches(name: str, patterns: Collection[str]) -> bool:
    """Whether a parameter's or buffer's name is one of these, or within a module that is."""
    return any(fnmatch(name, one) or fnmatch(name, f"{one}.*") for one in patterns)


def _has_no_values(parameter: nn.Parameter) -> bool:
    """Meta or fake, of a lazy module that was never called, sparse, or with all of its part on other ranks."""
    if is_lazy(parameter) or not has_values(parameter):
        return True
    return parameter.numel() > 0 == held_here(parameter).numel()


def _plain(gradient: Tensor) -> Tensor:
    """Dense and real; of a sharded one the part that is here."""
    gradient = held_here(gradient).detach()
    if gradient.is_sparse:
        gradient = gradient.coalesce().values()
    return torch.view_as_real(gradient.resolve_conj()) if gradient.is_complex() else gradient


def _total(gradient: Tensor) -> complex:
    """Of what is small or of a part; of few numbers Python adds up sooner than PyTorch finds how to."""
    if gradient.ndim == 1 and len(gradient) <= _FEW_VALUES:
        return sum(gradient.tolist())  # type: ignore[no-any-return]
    part = gradient if gradient.numel() <= _GUARD_VALUES else gradient.reshape(-1)[:_GUARD_VALUES]
    return part.sum().item()


def _norms(gradients: Sequence[tuple[int, Tensor]]) -> list[tuple[int, Tensor]]:
    """Of each; those of 16 bits are summed up in 32."""
    found: list[tuple[int, Tensor]] = []
    for half in (True, False):
        alike = [(place, g) for place, g in gradients if (g.dtype.itemsize < 4) == half]
        if alike:
            norms = torch._foreach_norm([g for _, g in alike], 2, dtype=torch.float32 if half else None)
            found += zip((place for place, _ in alike), norms, strict=True)
    return found


def _updates(before: Sequence[Tensor], gradients: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """Of each parameter ``[P, 6]``: norms of update, gradient and weights; the share that did not move
    in spite of a gradient; the cosine between update and gradient; the norm of the new weights.
    """
    old, pull, new = (_in_rows(parts) for parts in (before, gradients, after))
    change, pulled = new - old, pull != 0
    moved, steep = change.norm(dim=1), pull.norm(dim=1)
    stuck = ((change == 0) & pulled).sum(1) / pulled.sum(1).clamp_min(1)
    along = (change * pull).sum(1) / (moved * steep).clamp_min(1e-30)
    return torch.stack([moved, steep, old.norm(dim=1), stuck, along, new.norm(dim=1)], 1)


def _in_rows(parts: Sequence[Tensor]) -> Tensor:
    """Vectors one below the other, filled up with zeros: a few operations for all instead of a few for each."""
    exact = any(one.dtype == torch.float64 for one in parts)
    return pad_sequence([one.double() if exact else one.float() for one in parts], batch_first=True)


def _slice(tensor: Tensor) -> Tensor:
    tensor = held_here(tensor).detach()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    flat = tensor.reshape(-1)
    stride = math.ceil(flat.shape[0] / SLICE) if flat.shape[0] else 1
    return flat[::stride]


def _print(tensor: Tensor) -> Tensor:
    """A number that is another where values have changed."""
    part = _slice(tensor).double()
    return (part * torch.arange(1, len(part) + 1, dtype=torch.float64, device=part.device)).sum()


def _look_of(parameter: nn.Parameter) -> str:
    """How the values look at the start, by some of them."""
    values = held_here(parameter).detach()
    if not values.is_floating_point() or values.numel() < 2:
        return "other"
    rows = values.flatten(1) if values.ndim > 1 else values[:, None]
    few = rows[:: math.ceil(rows.shape[0] / 64), :: max(1, math.ceil(rows.shape[1] / 64))].float()
    low, high = (float(one) for one in torch.aminmax(few))
    if low == high:
        # Of what looks constant all is asked.
        if bool((values == values.reshape(-1)[0]).all()):
            return "zero" if low == 0 else "constant"
        return "other"
    if values.ndim < 2:
        return "other"
    if rows.shape[0] > 1 and bool((few == few[:1]).all()):
        return "identical-rows" if bool((rows == rows[:1]).all()) else "other"
    # Linear and convolution layers are drawn uniformly from ±1/sqrt(fan_in).
    bound, number = 1 / math.sqrt(rows.shape[1]), few.numel()
    drawn = max(-low, high) <= bound * 1.0001
    drawn = drawn and abs(float(few.std()) - bound / math.sqrt(3)) < (0.06 + 1 / math.sqrt(number)) * bound
    return "default" if drawn and values.numel() >= 64 else "other"
