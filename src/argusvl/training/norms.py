"""Norms of many tensors by fused kernels, without a copy to the host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from argusvl.training.parameter_groups import AssignedGroup
from argusvl.training.sharding import add_squares, local


def tensor_norms(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norm of each tensor: ``[len(tensors)]`` float32 on the first one's device.

    Of tensors in parts all processes ask at the same time.
    """
    if not tensors:
        return torch.zeros(0)
    norms = torch._foreach_norm([local(tensor) for tensor in tensors], 2, dtype=torch.float32)
    device = norms[0].device
    return add_squares(torch.stack([norm.to(device) for norm in norms]), tensors)


@dataclass(frozen=True, slots=True)
class GradientNorms:
    """Norms of one step's gradients before clipping.

    Attributes:
        names: Names of the parameters that have a gradient.
        norms: Norm of each, ``[len(names)]``.
        total: Norm of all together, a scalar tensor.
    """

    names: tuple[str, ...]
    norms: Tensor
    total: Tensor

    def first_non_finite(self) -> str | None:
        """The first parameter whose gradient is not finite. Copies to the host."""
        finite = torch.isfinite(self.norms).tolist()
        return next((name for name, good in zip(self.names, finite, strict=True) if not good), None)


def gradient_norms(parameters: Mapping[str, nn.Parameter]) -> GradientNorms:
    """The norms of the gradients that are there."""
    with_gradient = [(name, p.grad) for name, p in parameters.items() if p.grad is not None]
    norms = tensor_norms([gradient for _, gradient in with_gradient])
    return GradientNorms(tuple(name for name, _ in with_gradient), norms, torch.linalg.vector_norm(norms))


def norm_figures(
    groups: Sequence[AssignedGroup], gradients: GradientNorms, device: torch.device
) -> dict[str, float]:
    """Norms of each group's weights (``wn/<group>``) and gradient (``gn/<group>``), in one copy to the host.

    Frozen weights are included, but for those that are held in codes (4 or 8 bits); a group without any gradient has no
    norm of it.
    """
    position = {name: index for index, name in enumerate(gradients.names)}
    norms: dict[str, Tensor] = {}
    for group in groups:
        weights = [p.detach() for p in group.parameters.values() if p.is_floating_point()]
        if weights:
            norms[f"wn/{group.name}"] = torch.linalg.vector_norm(tensor_norms(weights))
    for group in groups:
        members = [position[name] for name in group.parameters if name in position]
        if members:
            norms[f"gn/{group.name}"] = torch.linalg.vector_norm(gradients.norms[members])
    values = torch.stack([norm.to(device) for norm in norms.values()]).tolist()
    return dict(zip(norms, values, strict=True))


@contextlib.contextmanager
def update_ratios(groups: Sequence[AssignedGroup], ratios: dict[str, Tensor]) -> Iterator[None]:
    """Fills in, for each group, the norm of what the body changed over the norm of the weights before."""
    before = {group.name: [p.detach().clone() for p in group.trainable_parameters()] for group in groups}
    yield
    for group in groups:
        if before[group.name]:
            old = before[group.name]
            change = [new.detach() - was for new, was in zip(group.trainable_parameters(), old, strict=True)]
            norm = torch.linalg.vector_norm(tensor_norms(old))
            ratios[group.name] = torch.linalg.vector_norm(tensor_norms(change)) / norm
