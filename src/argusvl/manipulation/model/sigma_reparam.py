"""Linear layers whose weight is divided by its largest singular value and multiplied by a learned scale.

``Ŵ = γ · W / σ(W)`` (Zhai et al., 2023, arXiv 2303.06296) bounds the attention's logits, whose growth is what entropy
collapse is made of. σ is the *spectral* norm, by one power iteration in each training forward; no norm of rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SigmaLinear(nn.Linear):
    """A linear layer with ``γ · W / σ(W)`` for its weight.

    Attributes:
        gamma: ``[1]``, and so without weight decay; σ of the first weight, which then is ``Ŵ`` itself.
        left: ``[out]`` estimate of the left singular vector; not trained.
        right: ``[in]``, of the right one.
    """

    left: Tensor
    right: Tensor

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        self.gamma = nn.Parameter(torch.ones(1))
        self.register_buffer("left", torch.zeros(out_features))
        self.register_buffer("right", torch.zeros(in_features))
        self.keep_function()

    @classmethod
    def of(cls, linear: nn.Linear) -> SigmaLinear:
        """The same function, reparameterised."""
        ours = cls(linear.in_features, linear.out_features, linear.bias is not None)
        ours.to(linear.weight.device, linear.weight.dtype)
        ours.load_state_dict(linear.state_dict(), strict=False)
        ours.keep_function()
        return ours

    @torch.no_grad()
    def keep_function(self) -> None:
        """Sets γ and the vectors so that ``Ŵ`` is the weight that is held now."""
        u, s, vh = torch.linalg.svd(self.weight.float(), full_matrices=False)
        self.left.copy_(u[:, 0])
        self.right.copy_(vh[0])
        self.gamma.copy_(s[:1])

    def spectral_norm(self) -> Tensor:
        """σ(W) in float32; its gradient reaches W alone. Training moves the vectors on by one iteration."""
        weight = self.weight.float()
        if self.training:
            with torch.no_grad():
                self.left.copy_(F.normalize(weight @ self.right.float(), dim=0))
                self.right.copy_(F.normalize(weight.T @ self.left.float(), dim=0))
        # Cloned: the next forward writes into the buffers while this one may still wait for its backward.
        return self.left.float().clone() @ weight @ self.right.float().clone()

    def effective_weight(self) -> Tensor:
        """``Ŵ``: ``[out, in]``."""
        with torch.autocast(self.weight.device.type, enabled=False):
            scale = self.gamma.float() / self.spectral_norm()
            return (self.weight.float() * scale).to(self.weight.dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """``[..., in]`` → ``[..., out]``."""
        return F.linear(inputs, self.effective_weight(), self.bias)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The same function as a plain layer, for export."""
        plain = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        plain.to(self.weight.device, self.weight.dtype).train(False)
        sigma = self.left.float() @ self.weight.float() @ self.right.float()
        plain.weight.copy_(self.weight.float() * (self.gamma.float() / sigma))
        if self.bias is not None:
            plain.bias.copy_(self.bias)
        return plain


def convert_linears(module: nn.Module) -> nn.Module:
    """Reparameterises every plain linear layer inside; outputs stay as they are."""
    return _replace(module, nn.Linear, SigmaLinear.of)


def merge_linears(module: nn.Module) -> nn.Module:
    """Makes every reparameterised layer inside a plain one; outputs stay as they are."""
    return _replace(module, SigmaLinear, SigmaLinear.merged)


def _replace(module: nn.Module, kind: type, change) -> nn.Module:  # type: ignore[no-untyped-def]
    for name, child in module.named_children():
        if type(child) is kind:
            setattr(module, name, change(child))
        else:
            _replace(child, kind, change)
    return module


def attention_entropy(weights: Tensor) -> Tensor:
    """How evenly attention is spread: ``[..., keys]`` probabilities → ``[...]``, 0 (one key) to 1 (all alike)."""
    weights = weights.float()
    # Clamped, as the slope of p · log p has no bound at 0.
    return -(weights * weights.clamp(min=1e-12).log()).sum(-1) / math.log(weights.shape[-1])
