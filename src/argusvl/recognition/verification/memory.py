"""Does memory stay where it is over many pictures? Where it does not, a process dies in the end."""

from __future__ import annotations

import contextlib
import gc
import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from argusvl.core.memory_slope import LIMIT_BYTES_PER_IMAGE, MemoryRecorder, Slope
from argusvl.core.progress import track
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.pipeline.lease import allocated_bytes
from argusvl.recognition.verification.pictures import Pictures
from argusvl.recognition.verification.verdict import Verdict, verdict

WARM_UP = 0.2
"""Part of the pictures that is gone through before the first sample: buffers and caches of the first calls grow."""

_SAMPLES = 60


def check_memory(
    backbone: Backbone, pictures: Pictures, count: int, batch_size: int, *, progress: bool
) -> Iterator[Verdict]:
    """The checks of this group: over ``count`` pictures after the warm-up, and in one forward pass."""
    yield from _slopes(backbone, pictures, count, batch_size, progress)
    batch = torch.stack([backbone.preprocess(image) for image in itertools.islice(pictures, batch_size)])
    yield _no_graph(backbone, batch)
    yield _outputs_off_device(backbone, batch)


def _slopes(
    backbone: Backbone, pictures: Pictures, count: int, batch_size: int, progress: bool
) -> Iterator[Verdict]:
    tensors: list[int] = []
    recorder = MemoryRecorder(backbone.device)
    done, warm_up = 0, int(count * WARM_UP)
    every = max(batch_size, count // _SAMPLES)
    next_sample = warm_up
    number = -(-(count + warm_up) // batch_size)
    again = itertools.chain.from_iterable(itertools.repeat(pictures))  # they begin again where they end
    each = (list(itertools.islice(again, batch_size)) for _ in range(number))
    batches = track(each, number, "Verifying memory", unit="batches", enabled=progress)
    with recorder, contextlib.closing(batches):
        for batch in batches:
            vectors = backbone.embed(torch.stack([backbone.preprocess(image) for image in batch]))
            done += len(vectors)
            del vectors, batch
            if done >= next_sample:
                recorder.sample(done)
                tensors.append(sum(issubclass(type(value), Tensor) for value in gc.get_objects()))
                next_sample = done + every
    slugs = {"resident": "host-memory-grows", "device": "device-memory-grows"}
    for kind, slope in recorder.slopes().items():
        yield _slope_verdict(slugs[kind], slope, done - warm_up)
    grown = tensors[-1] - tensors[0]
    figure = f"{f'{grown} more' if grown > 0 else 'none'} after {done - warm_up} pictures"
    yield verdict("tensors-stay", grown <= 0, figure, {"tensors_more": grown, "images": done - warm_up})


def _slope_verdict(slug: str, slope: Slope, images: int) -> Verdict:
    found = slope.verdict()
    words = {
        "flat": f"at most {slope.high:.0f} bytes a picture",
        "grows": f"grows by {slope.per_step:.0f} bytes a picture (at least {slope.low:.0f})",
        "undecided": f"between {slope.low:.0f} and {slope.high:.0f} bytes a picture: too few pictures to tell, "
        "give a larger --count",
    }
    return verdict(
        slug,
        found == "flat",
        f"{words[found]} over {images} (limit {LIMIT_BYTES_PER_IMAGE:.0f}, 95 %)",
        {**slope.as_dict(), "limit": LIMIT_BYTES_PER_IMAGE, "verdict": found, "images": images},
    )


def _no_graph(backbone: Backbone, batch: Tensor) -> Verdict:
    """Whether a forward pass keeps anything for a backward pass: autograd says so itself."""
    saved = 0

    def count(_: Tensor) -> None:  # what it returns is kept in the tensor's stead: nothing
        nonlocal saved
        saved += 1

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda kept: kept):
        vectors = backbone.embed(batch)
    attached = vectors.requires_grad or vectors.grad_fn is not None
    figure = f"{saved} tensors saved for a backward pass"
    figure += ", the vectors require gradients" if attached else ""
    values = {"saved_tensors": saved, "vectors_require_grad": attached}
    return verdict("graph-built", saved == 0 and not attached, figure, values)


def _outputs_off_device(backbone: Backbone, batch: Tensor) -> Verdict:
    """Whether vectors are on the CPU at once, without a larger tensor that they are a part of."""
    before = allocated_bytes(backbone.device)
    vectors = backbone.embed(batch)
    own, held = vectors.nbytes, vectors.untyped_storage().nbytes()
    left = allocated_bytes(backbone.device) - before
    passed = vectors.device.type == "cpu" and held <= own and left <= 0
    figure = f"{len(vectors)} vectors on {vectors.device}, {held} bytes held for {own}"
    if backbone.device.type == "cuda":
        figure += f", {left} left on the GPU"
    values = {"device": str(vectors.device), "bytes": own, "bytes_held": held, "left_on_device": left}
    return verdict("vectors-held-elsewhere", passed, figure, values)
