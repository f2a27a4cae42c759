"""Whether the ranks of a distributed training hold the same weights, asked without a collective.

Each rank writes a digest of its weights into the store that the process group was made with, and reads what the others
wrote at *earlier* looks: nobody waits, so ranks that are out of step cannot hang over the question. Only
``DistributedDataParallel`` promises that all ranks hold the same; sharded, expert and pipeline parallelism promise the
contrary, and a loop that averages gradients by itself may mean either.
"""

from __future__ import annotations

import json
import math
import weakref

import torch
from torch import nn

from argus_doctor.evidence import Evidence

_PARAMETERS = 64
_VALUES = 1024
_REMEMBERED = 16
_PROPORTIONS = 3
"""Parameters whose proportions must agree."""
_SCALED = 1e-3
"""Least difference of the factor from 1."""


class RankSensor:
    """Compares weights over ranks.

    Args:
        model: As the loop calls it; its parameters are compared, but for those that are sharded.
    """

    def __init__(self, model: nn.Module) -> None:
        self._promised = isinstance(model, nn.parallel.DistributedDataParallel)
        self._model = weakref.ref(model)
        self._own: dict[int, tuple[list[float], list[float]]] = {}
        self._alike = False

    def compare(self, step: int, evidence: Evidence) -> None:
        """Writes this look's digest and compares those of earlier ones; notes what differs, if anything does."""
        distributed, model = torch.distributed, self._model()
        if model is None or evidence.ranks_differ is not None:
            return
        if not (distributed.is_available() and distributed.is_initialized()):
            return
        rank, ranks = distributed.get_rank(), distributed.get_world_size()
        if ranks < 2 or any(type(p.data) is not torch.Tensor or p.is_meta for p in model.parameters()):
            return
        # A hook decides what ranks share: gradients in sixteen bits, or, as of local SGD, none but now and then.
        hooked = bool(getattr(model, "_comm_hooks", ()))
        store = distributed.distributed_c10d._get_default_store()
        parameters = list(model.parameters())[:_PARAMETERS]
        with torch.no_grad():
            digest = [_digest(p) for p in parameters]
            pulled = [_digest(p.grad) for p in parameters if p.grad is not None and not p.grad.is_sparse]
        self._own[step] = digest, pulled
        while len(self._own) > _REMEMBERED:  # of a rank that has ended, or makes fewer steps
            self._own.pop(next(iter(self._own)))
        store.set(f"argus-watch/{step}/{rank}", json.dumps([digest, pulled]))
        for earlier, (own, own_pulled) in list(self._own.items()):
            keys = [f"argus-watch/{earlier}/{other}" for other in range(ranks) if other != rank]
            if not store.check(keys):
                continue
            del self._own[earlier]
            for key in keys:
                theirs, their_pulled = json.loads(store.get(key))
                if len(own) != len(theirs):
                    return  # other parts of the model: pipeline parallelism
                who = f"rank {rank} and rank {key.rpartition('/')[2]} at step {earlier}"
                factor = _factor(own_pulled, their_pulled)
                if self._alike and factor is not None and evidence.rank_scaled is None:
                    evidence.rank_scaled = step, who, factor
                if _same(own, theirs):
                    self._alike = True
                elif hooked and not (own_pulled and _same(own_pulled, their_pulled)):
                    continue
                elif self._promised or self._alike:
                    evidence.ranks_differ = step, who, self._promised and not hooked


def _digest(tensor: torch.Tensor) -> float:
    """The sum of the squares of some values: in float64 the order of additions is the same on every rank."""
    flat = tensor.detach().reshape(-1)
    return float(flat[:: max(1, len(flat) // _VALUES)].double().square().sum().real)


def _factor(own: list[float], theirs: list[float]) -> float | None:
    """By what one rank's gradient is another's, the same in every parameter; ``None`` where it is not, or is by 1.

    Averaged gradients are alike on all ranks. The sums of squares of several parameters, in one proportion to the last
    digits, are those of one gradient: what each rank found by itself has no such proportion.
    """
    pairs = [(a, b) for a, b in zip(own, theirs, strict=False) if a > 0 and b > 0]
    if len(own) != len(theirs) or len(pairs) < max(_PROPORTIONS, len(own)):
        return None
    ratios = [a / b for a, b in pairs]
    if not all(math.isfinite(one) for one in ratios) or max(ratios) > (1 + 1e-5) * min(ratios):
        return None
    factor = math.sqrt(ratios[0])
    return factor if abs(factor - 1) > _SCALED else None


def _same(own: list[float], theirs: list[float]) -> bool:
    pairs = zip(own, theirs, strict=False)
    return len(own) == len(theirs) and all(abs(a - b) <= 1e-5 * max(abs(a), abs(b), 1e-12) for a, b in pairs)
