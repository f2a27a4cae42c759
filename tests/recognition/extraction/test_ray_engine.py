from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from interruptions import StoppedError, content, interrupted_by, stop
from samples import write_photos

from argusvl.core.errors import ArgusError, DataError
from argusvl.recognition.backbones.table import load_backbone
from argusvl.recognition.extraction.extractor import extract, plan_store
from argusvl.recognition.extraction.ray_engine import RayEngine, _embedding
from argusvl.recognition.extraction.sources import find_images

LOAD = partial(load_backbone, "efficientnet-lite0")


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


def load_other() -> Any:
    """The same network under the name of other weights: a machine where something else is installed."""
    backbone = LOAD()
    backbone.fingerprint = replace(backbone.fingerprint, weights_sha256="b" * 64)
    return backbone


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")
def test_ray_goes_on_to_equal_bytes(cluster: Any, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 13, corrupt=(2, 8))
    shutil.copyfile(photos / "000.png", os.fsencode(photos) + b"/latin-\xe9\n.png")
    options: dict[str, Any] = {"batch_size": 2, "shard_rows": 4}
    local = extract(photos, tmp_path / "local", LOAD(), **options)
    with pytest.raises(StoppedError):
        extract(photos, tmp_path / "ray", interrupted_by(stop, LOAD(), 1), **options, workers=1)
    report = extract(photos, tmp_path / "ray", LOAD(), engine=RayEngine(LOAD, actors=1))
    assert (report.inputs, report.embedded, report.quarantined, report.skipped) == (14, 9, 3, 2)
    assert report.quarantined_entries == local.quarantined_entries
    assert content(tmp_path / "ray") == content(tmp_path / "local")


def test_an_actor_with_another_backbone_is_refused(tmp_path: Path) -> None:
    """The actor's own code, in this process: starting one more takes seconds."""
    photos = write_photos(tmp_path / "photos", 2)
    header = plan_store(tmp_path / "store", LOAD(), find_images(photos), lane="exact")
    with pytest.raises(DataError, match=r"Ray actor on .*\n  backbone.weights_sha256: the store has"):
        _embedding(load_other, photos, header, None)


def test_a_missing_ray_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ArgusError, match=r"pip install 'argusvl\[ray\]'"):
        RayEngine(LOAD)
