"""Freed memory stays with the process: what is asked for again comes without page faults."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_PROGRAM = """
import resource, sys
import torch
from argusvl.core.allocator import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
    assert keep_freed_memory()  # a second time changes nothing


def layers():
    x = torch.ones(10 << 20)  # 40 MiB
    for _ in range(3):
        x = x + 1


for _ in range(3):
    layers()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    layers()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than glibc's")
def test_large_blocks_are_mapped_once() -> None:
    faults = {
        way: int(
            subprocess.run([sys.executable, "-c", _PROGRAM, way], capture_output=True, check=True).stdout
        )
        for way in ("kept", "given back")
    }
    assert faults["given back"] > 10 * faults["kept"]
