"""What all backbones share: the precision of a GPU, and hashes of weights that are spread over files."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from argusvl.core.errors import CheckpointError
from argusvl.core.precision import full_precision
from argusvl.recognition.backbones.frozen import FrozenBackbone, weights_sha256


def settings() -> tuple[bool, ...]:
    """TF32 in convolutions, the same results each time, kernels chosen by a race, TF32 in matrix products."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, matmul.allow_tf32


class Watcher(FrozenBackbone):
    """Notes how a GPU would compute while the network runs."""

    def __init__(self) -> None:
        made: dict[str, Any] = {"weights_sha256": "", "preprocessing": {}, "pooling": "none", "libraries": ()}
        sizes: dict[str, Any] = {"dimension": 1, "size_hw": (2, 2), "decode_side_px": 2}
        super().__init__(name="watcher", device=torch.device("cpu"), **sizes, **made)
        self.seen: tuple[bool, ...] = ()
        self.fails = False

    def _pixels(self, image: Image.Image) -> torch.Tensor:
        return torch.zeros(3, 2, 2)

    def _vectors(self, batch: torch.Tensor) -> torch.Tensor:
        assert torch.is_inference_mode_enabled()
        self.seen = settings()
        if self.fails:
            raise RuntimeError("no memory")
        return batch.flatten(1)[:, :1]


@pytest.fixture
def callers_settings() -> Iterator[tuple[bool, ...]]:
    """Of a program that prefers speed."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, matmul.allow_tf32
    cudnn.benchmark, matmul.allow_tf32 = True, True
    yield settings()
    cudnn.benchmark, matmul.allow_tf32 = before


@pytest.mark.parametrize("fails", [False, True])
def test_a_gpu_computes_in_float32(fails: bool, callers_settings: tuple[bool, ...]) -> None:
    backbone = Watcher()
    backbone.fails = fails
    try:
        backbone.embed(torch.zeros(1, 3, 2, 2))
    except RuntimeError:
        assert fails
    assert backbone.seen == (False, True, False, False)
    assert settings() == callers_settings == (True, False, True, True)


def test_the_hash_is_of_the_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b.bin").write_bytes(b"second")
    (tmp_path / "a.bin").write_bytes(b"first ")
    files = [tmp_path / "b.bin", tmp_path / "a.bin"]
    assert weights_sha256(files) == weights_sha256(files[::-1]) == hashlib.sha256(b"first second").hexdigest()
    with pytest.raises(CheckpointError, match=r"gone\.bin: the weights cannot be read: No such file"):
        weights_sha256([tmp_path / "gone.bin"])


def test_threads_at_once_leave_the_settings_as_they_were(callers_settings: tuple[bool, ...]) -> None:
    first, second = threading.Event(), threading.Event()

    def earlier() -> None:
        with full_precision():
            first.set()
            second.wait()

    thread = threading.Thread(target=earlier)
    thread.start()
    first.wait()
    with full_precision():  # begins within the other, and ends after it
        second.set()
        thread.join()
        assert settings() == (False, True, False, False)
    assert settings() == callers_settings
