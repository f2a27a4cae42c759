"""The global random generators: their state as plain data, kept aside and put back."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.random.mtrand import get_bit_generator, set_bit_generator

RandomState = dict[str, Any]


def random_state() -> RandomState:
    """The state of Python's, NumPy's and torch's generators (every CUDA device included).

    Made of tensors, numbers and strings only, so that ``torch.load(weights_only=True)`` reads it.
    """
    name, keys, position, has_gauss, gauss = np.random.get_state()
    state: RandomState = {
        "python": random.getstate(),
        "numpy": (str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: RandomState) -> None:
    """Puts back what :func:`random_state` returned."""
    random.setstate(state["python"])
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextlib.contextmanager
def preserved_randomness() -> Iterator[None]:
    """Whatever the body draws, the generators are afterwards as they were."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)


_SCRATCH = np.random.MT19937(0)


@contextlib.contextmanager
def preserved_cpu_randomness() -> Iterator[None]:
    """As :func:`preserved_randomness`, for the generators that data loading uses; cheap enough for each batch.

    Not to be nested.
    """
    python, cpu = random.getstate(), torch.get_rng_state()
    # NumPy's state costs 50 microseconds to copy out and in; changing the generator under its functions costs 2.
    numpy = get_bit_generator()
    assert numpy is not _SCRATCH
    set_bit_generator(_SCRATCH)
    try:
        yield
    finally:
        random.setstate(python)
        set_bit_generator(numpy)
        torch.set_rng_state(cpu)


def seed_cpu(seed: int) -> None:
    """Seeds Python's, NumPy's and torch's CPU generators (``torch.manual_seed`` would reach CUDA's too)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed % 2**63)


def seed_all(seed: int) -> None:
    """Seeds every global generator, those of CUDA devices included."""
    seed_cpu(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed % 2**63)


def mixed_seed(*parts: int) -> int:
    """One 64-bit seed from several numbers: neighbouring parts give unrelated seeds, on every machine the same."""
    value = 0x9E3779B97F4A7C15
    for part in parts:
        # The finaliser of SplitMix64 (Steele, Lea, Flood 2014), chained.
        value = (value ^ (part & 0xFFFFFFFFFFFFFFFF)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 31
    return value
