"""Does the same picture give the same vector? Without it, no table comes out the same twice."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from argusvl.recognition.backbones.protocol import Backbone, BackboneFingerprint
from argusvl.recognition.verification.pictures import Pictures
from argusvl.recognition.verification.verdict import Verdict, verdict

BATCH_LIMIT = 1e-4
"""How far a vector may be from itself in another batch, in parts of its length. Kernels sum in another order for
another batch size, which float32 shows in its last digits; anything more is a dependence on the other pictures."""


class FirstLoad(NamedTuple):
    """What a second load of the backbone is compared with: vectors ``[N, D]``, and the fingerprint, JSON-ready."""

    fingerprint: dict[str, Any]
    vectors: Tensor


def embedded(backbone: Backbone, pictures: Pictures, batch_size: int, size: int | None = None) -> Tensor:
    """Vectors of the first pictures, ``size`` of them at a time; all at once when ``None``."""
    pixels = [backbone.preprocess(image) for image in itertools.islice(pictures, batch_size)]
    step = size or len(pixels)
    parts = [backbone.embed(torch.stack(pixels[i : i + step])) for i in range(0, len(pixels), step)]
    return torch.cat(parts).detach().to("cpu", copy=True)


def check_passes(
    backbone: Backbone, pictures: Pictures, batch_size: int, first: FirstLoad
) -> Iterator[Verdict]:
    """The checks that need one load of the backbone; ``first`` was found before any other check had used it."""
    again = embedded(backbone, pictures, batch_size)
    yield _identical("passes-differ", first.vectors, again)
    sizes = [size for size in (1, 7) if size < len(again)]
    worst = max((_difference(again, embedded(backbone, pictures, batch_size, s)) for s in sizes), default=0.0)
    yield verdict(
        "batch-dependent",
        worst <= BATCH_LIMIT,
        f"batches of {', '.join(map(str, [*sizes, len(again)]))} differ by {worst:.1e} of a vector's length "
        f"(limit {BATCH_LIMIT:.0e})",
        {"difference": worst, "limit": BATCH_LIMIT, "batch_sizes": [*sizes, len(again)]},
    )
    yield _fingerprint(backbone.fingerprint, first)


def check_second_load(first: FirstLoad, second: FirstLoad) -> Iterator[Verdict]:
    """The checks that compare two loads."""
    same = first.fingerprint == second.fingerprint
    changed = [key for key in first.fingerprint if first.fingerprint[key] != second.fingerprint.get(key)]
    figure = "the same" if same else f"another {', '.join(changed)}"
    yield verdict("reload-changes-fingerprint", same, figure, {"changed": changed})
    yield _identical("reload-changes-vectors", first.vectors, second.vectors)


def json_ready(fingerprint: BackboneFingerprint) -> dict[str, Any]:
    """As it comes back from a file."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(fingerprint), sort_keys=True))
    return values


def _fingerprint(fingerprint: BackboneFingerprint, first: FirstLoad) -> Verdict:
    slug = "fingerprint-unstable"
    try:
        now = json_ready(fingerprint)
        back = json_ready(BackboneFingerprint(**now))
    except (TypeError, ValueError) as error:
        return verdict(slug, False, f"not JSON-ready: {error}")
    passed = now == first.fingerprint and back == now
    return verdict(slug, passed, f"weights {fingerprint.weights_sha256[:12]}…", {"fingerprint": now})


def _identical(slug: str, vectors: Tensor, others: Tensor) -> Verdict:
    same = vectors.shape == others.shape and vectors.numpy().tobytes() == others.numpy().tobytes()
    if same:
        return verdict(slug, True, f"{len(vectors)} vectors, {vectors.numel() * 4} bytes")
    if vectors.shape != others.shape:
        return verdict(slug, False, f"shapes {list(vectors.shape)} and {list(others.shape)}")
    difference = _difference(vectors, others)
    figure = f"they differ by {difference:.1e} of a vector's length"
    return verdict(slug, False, figure, {"difference": difference})


def _difference(vectors: Tensor, others: Tensor) -> float:
    """The largest distance between two vectors of one picture, in parts of the first one's length."""
    lengths = vectors.double().norm(dim=1).clamp_min(torch.finfo(torch.float64).tiny)
    return float(((vectors.double() - others.double()).norm(dim=1) / lengths).max())
