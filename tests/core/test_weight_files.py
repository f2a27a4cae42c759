"""Fingerprints of weights: the same however they are divided into files, another for any other weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from argusvl.core.errors import CheckpointError
from argusvl.core.weight_files import weights_fingerprint


def write(folder: Path, *files: dict[str, torch.Tensor]) -> Path:
    folder.mkdir()
    for number, tensors in enumerate(files):
        save_file(tensors, folder / f"{number}.safetensors", metadata={"format": "pt"})
    return folder


def test_a_fingerprint_is_of_the_weights_and_not_of_the_files(tmp_path: Path) -> None:
    weights = {"a": torch.randn(300, 200), "b": torch.randn(7), "c": torch.zeros(0), "d": torch.tensor(1.5)}
    whole = weights_fingerprint(write(tmp_path / "whole", weights))
    parts = write(
        tmp_path / "parts", {"b": weights["b"], "d": weights["d"]}, {"c": weights["c"], "a": weights["a"]}
    )
    assert weights_fingerprint(parts) == whole
    for number, change in enumerate(
        (
            {"a": weights["a"] * 1.001},
            {"a": weights["a"].reshape(200, 300)},
            {"b": weights["b"].double()},
            {"d": torch.tensor(1.6)},
            {"e": torch.zeros(1)},
        )
    ):
        assert weights_fingerprint(write(tmp_path / str(number), weights | change)) != whole


def test_a_folder_without_weights_has_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no weights"):
        weights_fingerprint(write(tmp_path / "empty"))
    (tmp_path / "empty" / "a.safetensors").write_bytes(b"12345678901")
    with pytest.raises(CheckpointError, match="truncated"):
        weights_fingerprint(tmp_path / "empty")
