"""Are all tensors float32 and in one place? Not float64 from NumPy, nor half of a model left on the CPU."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.pipeline.lease import networks_of
from argusvl.recognition.verification.pictures import Pictures
from argusvl.recognition.verification.verdict import Verdict, verdict


def check_tensors(backbone: Backbone, pictures: Pictures, batch_size: int) -> Iterator[Verdict]:
    """The checks of this group, on a batch."""
    prepared = [backbone.preprocess(image) for image in itertools.islice(pictures, batch_size)]
    yield _tensors("pixels", "pixels-wrong-dtype", prepared)
    batch = torch.stack(prepared)
    with _watched(backbone) as seen:
        vectors = backbone.embed(batch)
    yield _tensors("vectors", "vectors-wrong-dtype", [vectors])
    yield _shape(backbone, vectors, len(batch))
    yield _parameters(backbone)
    yield _evaluation_mode(backbone, batch)
    yield _inputs(backbone, seen)
    stated = backbone.fingerprint.dtype
    yield verdict("stated-dtype-wrong", stated == "float32", stated, {"stated": stated})


def _tensors(what: str, slug: str, tensors: list[Tensor]) -> Verdict:
    kinds = Counter(
        f"{_dtype(t.dtype)} on {t.device}" + ("" if t.is_contiguous() else ", not contiguous")
        for t in tensors
    )
    finite = all(bool(torch.isfinite(t).all()) for t in tensors)
    passed = finite and set(kinds) == {"float32 on cpu"}
    figure = "; ".join(kinds) + ("" if finite else f"; some {what} are not finite")
    return verdict(slug, passed, figure, {"kinds": dict(kinds), "finite": finite})


def _shape(backbone: Backbone, vectors: Tensor, number: int) -> Verdict:
    wanted, shape = [number, backbone.dimension], list(vectors.shape)
    figure = f"{shape}" + ("" if shape == wanted else f", stated {wanted}")
    return verdict("wrong-shape", shape == wanted, figure, {"shape": shape, "stated": wanted})


def _parameters(backbone: Backbone) -> Verdict:
    """All parameters and buffers: those of numbers in float32, all of them on the backbone's device."""
    modules = _modules(backbone)
    slug = "parameters-mixed"
    if not modules:
        return verdict(slug, None, "the backbone has no modules whose parameters could be looked at")
    owned = {id(t): t for module in modules for t in itertools.chain(module.parameters(), module.buffers())}
    wanted = _place(backbone.device)
    kinds: Counter[str] = Counter()
    wrong = 0
    for tensor in owned.values():
        kinds[f"{_dtype(tensor.dtype)} on {tensor.device}"] += 1
        other_type = tensor.is_floating_point() and tensor.dtype != torch.float32
        wrong += other_type or _place(tensor.device) != wanted
    figure = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    values = {"kinds": dict(kinds), "device": str(backbone.device), "wrong": wrong}
    return verdict(slug, wrong == 0, figure, values)


def _evaluation_mode(backbone: Backbone, batch: Tensor) -> Verdict:
    """Whether a module in training mode changes the vectors; many kinds do the same in both modes."""
    modules, slug = _modules(backbone), "in-training-mode"
    if not modules:
        return verdict(slug, None, "the backbone has no modules among its attributes")
    training = [module for module in modules if module.training]
    figure = f"{len(training)} of {len(modules)} modules in training mode"
    changes = False
    if training:
        as_it_is = backbone.embed(batch)
        for module in training:
            module.training = False
        changes = not torch.equal(as_it_is, backbone.embed(batch))
        for module in training:
            module.training = True
        figure += (
            f" (e.g. {type(training[0]).__name__}), which changes {'the vectors' if changes else 'nothing'}"
        )
    values = {"training": len(training), "modules": len(modules), "changes_vectors": changes}
    return verdict(slug, not changes, figure, values)


def _inputs(backbone: Backbone, seen: Counter[tuple[torch.dtype, torch.device]]) -> Verdict:
    wanted = _place(backbone.device)
    slug = "inputs-mixed"
    if not seen:
        return verdict(slug, None, "the backbone has no modules whose inputs could be watched")
    wrong = [kind for kind in seen if kind[0] != torch.float32 or _place(kind[1]) != wanted]
    figure = ", ".join(
        f"{number} {_dtype(dtype)} on {device}" for (dtype, device), number in seen.most_common()
    )
    return verdict(slug, not wrong, figure, {"inputs": sum(seen.values()), "wrong": len(wrong)})


@contextlib.contextmanager
def _watched(backbone: Backbone) -> Iterator[Counter[tuple[torch.dtype, torch.device]]]:
    """Counts the kinds of floating-point tensors that the backbone's modules are given."""
    seen: Counter[tuple[torch.dtype, torch.device]] = Counter()

    def note(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        for value in (*inputs, *named.values()):
            if isinstance(value, Tensor) and value.is_floating_point():
                seen[value.dtype, value.device] += 1

    modules = _modules(backbone)
    hooks = [module.register_forward_pre_hook(note, with_kwargs=True) for module in modules]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _modules(backbone: Backbone) -> list[nn.Module]:
    """Each once: a network may be an attribute, and its head another."""
    return list(dict.fromkeys(module for network in networks_of(backbone) for module in network.modules()))


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _place(device: torch.device) -> tuple[str, int]:
    return device.type, device.index or 0
