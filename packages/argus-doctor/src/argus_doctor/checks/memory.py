"""Does memory climb, and what does: tensors that are held, the GPU's fragments, or what libraries keep?

Memory that grows is no fault by itself: caches fill, and the heap grows with the largest batch so far. Both flatten. So
growth counts only where every fifth of the run after its first adds about as much as the others. It stays a hint: a
replay buffer that fills grows as evenly.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from argus_doctor.evidence import Evidence, MemorySample
from argus_doctor.suspicion import Suspicion, median

_FROM_STEP = 200
_UNEXPLAINED_FROM_STEP = 1_000
"""Caches of compiled kernels have been seen to fill for 400 steps."""
_PARTS = 5
_LEAST_RISE_MIB, _LEAST_RISE = 100.0, 1.15


def memory_climbs(evidence: Evidence) -> Iterator[Suspicion]:
    """Growth that does not flatten, by its cause."""
    samples = evidence.memory
    if len(samples) < 16 or evidence.step < _FROM_STEP:
        return
    allocated = [(one.step, one.allocated) for one in samples if one.allocated is not None]
    reserved = [(one.step, one.reserved) for one in samples if one.reserved is not None]
    if grown := _steady_rise(allocated):
        yield _tensors_climb("GPU tensors that are alive", grown)
        return
    if grown := _steady_rise(reserved):
        what = "the allocator's reserve grew {}, the tensors alive did not"
        yield _climbs("gpu-memory-fragments", "reserve climbs", what, "GPU memory", grown)
    grown = _steady_rise([(one.step, one.resident) for one in samples])
    if tensors := _rise_of_tensors(samples, evidence.step):
        yield _tensors_climb("live tensors", tensors)
    elif grown and evidence.step >= _UNEXPLAINED_FROM_STEP:
        what = "host memory rose evenly {}, the tensors alive did not: "
        what += "other objects that are kept, caches of libraries, or a heap in fragments"
        yield _climbs("memory-beside-tensors-climbs", "host memory climbs", what, "host memory", grown)


def _tensors_climb(tensors: str, grown: tuple[float, float]) -> Suspicion:
    what = f"{tensors} rose {{}} and go on rising: something keeps them from step to step"
    return _climbs("memory-climbs", "live tensors climb", what, "memory", grown)


def _climbs(slug: str, sign: str, what: str, where: str, grown: tuple[float, float]) -> Suspicion:
    first, last = grown
    numbers = {"first_mib": first, "last_mib": last}
    return Suspicion(slug, sign, what.format(f"from {first:.0f} to {last:.0f} MiB"), where, numbers)


def _steady_rise(curve: Sequence[tuple[int, float]]) -> tuple[float, float] | None:
    """First and last level of a curve that rises in each fifth of the steps, after the first, about as much."""
    if len(curve) < 2 * _PARTS:
        return None
    begin, end = curve[0][0], curve[-1][0]
    begin += (end - begin) // _PARTS
    width = max(1.0, (end - begin) / _PARTS)
    parts: list[list[float]] = [[] for _ in range(_PARTS)]
    for step, value in curve:
        if step >= begin:
            parts[min(_PARTS - 1, int((step - begin) / width))].append(value)
    if not all(parts):
        return None
    levels = [median(part) for part in parts]
    rises = [later - earlier for earlier, later in itertools.pairwise(levels)]
    even = min(rises) > 0.4 * median(rises) > 0
    enough = levels[-1] > max(levels[0] + _LEAST_RISE_MIB, levels[0] * _LEAST_RISE)
    return (levels[0], levels[-1]) if even and enough else None


def _rise_of_tensors(samples: Sequence[MemorySample], step: int) -> tuple[float, float] | None:
    """First and last count of live tensors, where they grow, to the end, and are most of what has grown."""
    counts = [one for one in samples if one.tensors is not None and one.step >= step // 10]
    if len(counts) < 4 or counts[-1].step < 0.7 * step:
        return None
    tensors = [one.tensors or 0.0 for one in counts]
    rise, resident = tensors[-1] - tensors[0], counts[-1].resident - counts[0].resident
    grows = all(later > earlier for earlier, later in itertools.pairwise(tensors))
    return (tensors[0], tensors[-1]) if grows and rise > max(_LEAST_RISE_MIB, 0.5 * resident) else None
