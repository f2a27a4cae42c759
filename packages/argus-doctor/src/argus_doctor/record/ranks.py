"""Whether the ranks of a distributed training hold the same weights, asked without a collective.

Each rank writes a digest of its weights into the store that the process group was made with, and reads what the others
wrote at *earlier* looks: nobody waits, so ranks that are out of step cannot hang over the question. Only
``DistributedDataParallel`` promises that all ranks hold the same; sharded, expert and pipeline parallelism promise the
contrary, and a loop that averages gradients by itself may mean either.
"""

from __future__ import annotations

import json
import weakref

import torch
from torch import nn

from argus_doctor.evidence import Evidence

_PARAMETERS = 64
_VALUES = 1024
_REMEMBERED = 16


class RankSensor:
    """Compares weights over ranks.

    Args:
        model: As the loop calls it; its parameters are compared, but for those that are sharded.
    """

    def __init__(self, model: nn.Module) -> None:
        self._promised = isinstance(model, nn.parallel.DistributedDataParallel)
        self._model = weakref.ref(model)
        self._own: dict[int, list[float]] = {}
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
        store = distributed.distributed_c10d._get_default_store()
        with torch.no_grad():
            digest = [_digest(p) for p in list(model.parameters())[:_PARAMETERS]]
        self._own[step] = digest
        while len(self._own) > _REMEMBERED:  # of a rank that has ended, or makes fewer steps
            self._own.pop(next(iter(self._own)))
        store.set(f"argus-watch/{step}/{rank}", json.dumps(digest))
        for earlier, own in list(self._own.items()):
            keys = [f"argus-watch/{earlier}/{other}" for other in range(ranks) if other != rank]
            if not store.check(keys):
                continue
            del self._own[earlier]
            for key in keys:
                theirs = json.loads(store.get(key))
                if len(own) != len(theirs):
                    return  # other parts of the model: pipeline parallelism
                if not any(_unlike(a, b) for a, b in zip(own, theirs, strict=True)):
                    self._alike = True
                elif self._promised or self._alike:
                    who = f"rank {rank} and rank {key.rpartition('/')[2]} at step {earlier}"
                    evidence.ranks_differ = step, who, self._promised


def _digest(parameter: nn.Parameter) -> float:
    """The sum of the squares of some values: in float64 the order of additions is the same on every rank."""
    flat = parameter.detach().reshape(-1)
    return float(flat[:: max(1, len(flat) // _VALUES)].double().square().sum().real)


def _unlike(first: float, second: float) -> bool:
    return abs(first - second) > 1e-5 * max(abs(first), abs(second), 1e-12)
