from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from argusvl.cli.predict_ray import RayPredictor, _predicting
from argusvl.core.errors import CheckpointError


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A Ray of two cores on this machine."""
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=80 * 2**20,
    )
    yield ray
    ray.shutdown()


@pytest.fixture
def photos(scenes: Path, tmp_path: Path) -> Path:
    """Seven photographs, and one that cannot be used between them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for k in range(7):
        shutil.copyfile(scenes.parent / f"{k % 4}.png", folder / f"{k}.png")
    (folder / "3b.png").write_bytes(b"no image")
    return folder


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")
def test_ray_goes_on_where_one_machine_was_killed_to_the_same_lines(
    argus: Any,
    cluster: Any,
    tiny_checkpoint: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["predict", tiny_checkpoint, photos, "--score-threshold", "0", "--batch-size", "2"]
    assert "3b.png" in argus(*words, "--out", tmp_path / "local.jsonl", code=1).err

    real = RayPredictor.stream

    def killed(self: RayPredictor, images: Any, **options: Any) -> Any:
        for k, result in enumerate(real(self, images, **options)):
            if k == 3:
                raise KeyboardInterrupt
            yield result

    out = tmp_path / "ray.jsonl"
    ray_words = [*words, "--out", out, "--engine", "ray", "--workers", "1"]
    monkeypatch.setattr(RayPredictor, "stream", killed)
    argus(*ray_words, code=130)
    (part,) = tmp_path.glob("ray.jsonl.*.part")
    assert len(part.read_text("utf-8").splitlines()) == 3
    monkeypatch.setattr(RayPredictor, "stream", real)
    assert "3b.png" in argus(*ray_words, "--resume", code=1).err
    assert out.read_bytes() == (tmp_path / "local.jsonl").read_bytes()


def test_an_actor_with_another_checkpoint_is_refused(tiny_checkpoint: Path) -> None:
    """The actor's own code, in this process: starting one more takes seconds."""
    for folder in (tiny_checkpoint, tiny_checkpoint / "missing"):
        with pytest.raises(CheckpointError, match="is missing or another one on"):
            _predicting(lambda: pytest.fail("loaded"), folder, "another", 1, None)
