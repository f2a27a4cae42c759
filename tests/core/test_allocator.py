"""Freed memory stays with the process: what is asked for again comes without page faults."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_PROGRAM = """
import resource
from argusvl.core.allocator import keep_freed_memory

def faults():
    for _ in range(3):
        b"x" * (40 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        b"x" * (40 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
assert keep_freed_memory() and keep_freed_memory()  # a second time changes nothing
print(given_back, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than glibc's")
def test_large_blocks_are_mapped_once() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, check=True)
    given_back, kept = map(int, done.stdout.split())
    assert given_back > 10 * kept
