"""Where a model's files are: a folder, the cache, or an error that says what to do without a network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from argusvl.core.errors import CheckpointError
from argusvl.recognition.backbones.hub import model_folder, weight_files
from argusvl.recognition.backbones.table import load_backbone


def test_a_folder_is_taken_as_it_is(
    hub_folders: dict[str, Path], no_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hub_folders["resnet50"]
    assert model_folder(str(folder)) == folder
    monkeypatch.chdir(folder.parent)
    assert model_folder("resnet50") == Path("resnet50")
    monkeypatch.setenv("HOME", str(folder.parent))
    assert model_folder("~/resnet50") == folder


@pytest.mark.parametrize(
    "place", ["./models/dinov2", "/srv/models/dinov2", "~/dinov2", "a/b/c", "model folder"]
)
def test_a_folder_that_is_not_there_is_no_model_id(no_network: Path, place: str) -> None:
    with pytest.raises(CheckpointError, match="no such folder") as raised:
        model_folder(place)
    assert "hf download" not in str(raised.value)


@pytest.mark.parametrize(
    "spec", ["dinov2-base", "dinov2-base:facebook/dinov2-base", "dinov2-base:no-such-folder"]
)
def test_without_a_network_the_error_says_what_to_do(no_network: Path, spec: str) -> None:
    with pytest.raises(
        CheckpointError, match="no such folder, and no model of this id could be loaded"
    ) as raised:
        load_backbone(spec)
    assert "hf download MODEL_ID --local-dir FOLDER" in str(raised.value)
    assert (spec.partition(":")[2] or "facebook/dinov2-base") in str(raised.value)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_the_cache_needs_no_network(hub_folders: dict[str, Path], no_network: Path, weights: str) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = no_network / "models--someone--small-dino"
    snapshot = repository / "snapshots" / commit
    shutil.copytree(hub_folders["dinov2-base"], snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    if weights == "pytorch_model.bin":
        from safetensors.torch import load_file

        torch.save(load_file(snapshot / "model.safetensors"), snapshot / weights)
        (snapshot / "model.safetensors").unlink()
    backbone = load_backbone("dinov2-base:someone/small-dino")
    assert backbone.dimension == 24
    assert weight_files(model_folder("someone/small-dino")) == [snapshot / weights]

    (snapshot / weights).unlink()
    with pytest.raises(CheckpointError, match=r"someone/small-dino: no such folder, and no model"):
        load_backbone("dinov2-base:someone/small-dino")


def test_a_damaged_index_of_shards_is_named(tmp_path: Path) -> None:
    for content in ("", "{}", "[]", '{"weight_map": 3}'):
        (tmp_path / "model.safetensors.index.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json: is damaged"):
            weight_files(tmp_path)
