"""Whether the ranks of a distributed training hold the same weights, asked without a collective.

Each rank writes a digest of its weights into the store that the process group was made with, and reads what the others
wrote at *earlier* looks: nobody waits, so ranks that are out of step cannot hang over the question.
"""

from __future__ import annotations

import json

import torch
from torch import nn

_KEPT = 64


class RankSensor:
    """Compares weights over ranks.

    Args:
        model: Its parameters are compared, but for those that are sharded.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._own: dict[int, list[float]] = {}

    def compare(self, step: int) -> str | None:
        """Writes this look's digest and compares those of earlier ones; what differs, if anything does."""
        distributed = torch.distributed
        if (
            not (distributed.is_available() and distributed.is_initialized())
            or distributed.get_world_size() < 2
        ):
            return None
        store = distributed.distributed_c10d._get_default_store()
        rank, ranks = distributed.get_rank(), distributed.get_world_size()
        with torch.no_grad():
            parameters = [
                p for p in self._model.parameters() if type(p.data) is torch.Tensor and not p.is_meta
            ]
            # Of sums of squares in float64 the order of additions is the same on every rank.
            digest = [float(p.detach().double().square().sum()) for p in parameters[:_KEPT]]
        self._own[step] = digest
        store.set(f"argus-watch/{step}/{rank}", json.dumps(digest))
        for earlier, own in list(self._own.items()):
            keys = [f"argus-watch/{earlier}/{other}" for other in range(ranks) if other != rank]
            if not store.check(keys):
                continue
            del self._own[earlier]
            for key in keys:
                theirs = json.loads(store.get(key))
                if any(_unlike(a, b) for a, b in zip(own, theirs, strict=False)) or len(own) != len(theirs):
                    return f"rank {rank} and rank {key.rpartition('/')[2]} at step {earlier}"
        return None


def _unlike(first: float, second: float) -> bool:
    return abs(first - second) > 1e-5 * max(abs(first), abs(second), 1e-12)
