"""Sigma-reparameterisation against exact spectral norms; it is no norm of rows, and leaves no linear layer out."""

from __future__ import annotations

import torch
from made_models import make_model
from torch import nn

from argusvl.manipulation.model.layers import Attention
from argusvl.manipulation.model.sigma_reparam import (
    SigmaLinear,
    attention_entropy,
    convert_linears,
    merge_linears,
)


def linear(seed: int = 0, outputs: int = 12, inputs: int = 20) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(inputs, outputs)


def spectral(weight: torch.Tensor) -> torch.Tensor:
    return torch.linalg.matrix_norm(weight, ord=2)


def test_the_norm_is_the_largest_singular_value() -> None:
    layer = SigmaLinear.of(linear())
    torch.testing.assert_close(layer.spectral_norm(), spectral(layer.weight))
    with torch.no_grad():
        layer.weight.copy_(torch.randn_like(layer.weight) * torch.linspace(0.1, 3, 12)[:, None])
    for _ in range(200):  # the power iteration finds the new vectors
        layer(torch.ones(20))
    torch.testing.assert_close(layer.spectral_norm(), spectral(layer.weight), rtol=1e-4, atol=0)
    # One number scales the whole matrix, and its norm is γ: rows keep their proportions.
    effective = layer.effective_weight()
    torch.testing.assert_close(spectral(effective), layer.gamma[0], rtol=1e-4, atol=0)
    ratios = effective / layer.weight
    torch.testing.assert_close(ratios, ratios[:1, :1].expand_as(ratios))


def test_the_gradient_is_that_through_the_exact_norm() -> None:
    layer = SigmaLinear.of(linear())
    inputs, upstream = torch.randn(5, 20), torch.randn(5, 12)
    (layer(inputs) * upstream).sum().backward()
    weight = layer.weight.detach().clone().requires_grad_()
    gamma = layer.gamma.detach().clone().requires_grad_()
    exact = inputs @ (gamma * weight / spectral(weight)).T + layer.bias.detach()
    (exact * upstream).sum().backward()
    torch.testing.assert_close(layer.weight.grad, weight.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.gamma.grad, gamma.grad, rtol=1e-4, atol=1e-5)
    # A step along W itself changes nothing, so there is no gradient along it.
    assert abs((layer.weight.grad * layer.weight).sum().item()) < 1e-3


def test_conversion_and_merging_keep_what_is_computed() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(linear(1), nn.GELU(), nn.Sequential(nn.Linear(12, 4, bias=False)))
    inputs = torch.randn(7, 20)
    before = network(inputs)
    convert_linears(network)
    assert sum(isinstance(m, SigmaLinear) for m in network.modules()) == 2
    torch.testing.assert_close(network(inputs), before)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        network(inputs).square().sum().backward()
        optimizer.step()
    network.eval()
    trained = network(inputs)
    merge_linears(network)
    assert not any(isinstance(m, SigmaLinear) for m in network.modules())
    torch.testing.assert_close(network(inputs), trained)


def test_two_forwards_may_precede_a_backward() -> None:
    layer = SigmaLinear.of(linear()).train()
    first, second = layer(torch.ones(20)), layer(torch.zeros(20))
    (first.sum() + second.sum()).backward()
    assert layer.weight.grad is not None and torch.isfinite(layer.weight.grad).all()


def test_evaluation_leaves_the_vectors_alone() -> None:
    layer = SigmaLinear.of(linear())
    with torch.no_grad():
        layer.weight.add_(torch.randn_like(layer.weight))
    layer.eval()
    before = layer.left.clone()
    layer(torch.ones(20))
    assert torch.equal(layer.left, before)
    layer.train()(torch.ones(20))
    assert not torch.equal(layer.left, before)


def test_the_norm_is_float32_under_autocast() -> None:
    layer = SigmaLinear.of(linear())
    exact = layer.effective_weight()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.eval().effective_weight(), exact)
        assert layer(torch.ones(2, 20)).dtype == torch.bfloat16


def test_every_linear_layer_of_attention_has_it() -> None:
    for reparameterised, kind in ((True, SigmaLinear), (False, nn.Linear)):
        model = make_model(sigma_reparam=reparameterised)
        attentions = [m for m in model.modules() if isinstance(m, Attention)]
        # One in the encoder, two in each of two decoder layers, two in the refinement.
        assert len(attentions) == 7
        for attention in attentions:
            for name in ("query", "key", "value", "out"):
                assert type(getattr(attention, name)) is kind
        assert not any(isinstance(m, nn.MultiheadAttention) for m in model.modules())


def test_scale_and_vectors_are_no_matrices_to_decay() -> None:
    model = make_model()
    gammas = [p for name, p in model.named_parameters() if name.endswith("gamma")]
    assert len(gammas) == 28 and all(p.ndim == 1 for p in gammas)
    assert not any(name.endswith(("left", "right")) for name, _ in model.named_parameters())


def test_entropy_goes_from_one_key_to_all() -> None:
    even, single = torch.full((3, 8), 1 / 8), torch.eye(8)[:3]
    torch.testing.assert_close(attention_entropy(even), torch.ones(3))
    torch.testing.assert_close(attention_entropy(single), torch.zeros(3))
