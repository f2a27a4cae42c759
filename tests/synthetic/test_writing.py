from __future__ import annotations

from pathlib import Path

import pytest

from argusvl.detection.data.manifest import ManifestSource, SplitOrigin, build_manifest, read_manifest
from argusvl.detection.data.records import RecordFile, write_records
from argusvl.synthetic import generator_of


@pytest.mark.parametrize("scene", ["bbu-room", "shapes"])
def test_a_drawn_set_is_a_data_folder_as_a_task_would_write_it(scene: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    generator_of(scene)(folder, images=10, seed=1, width=168, height=140)
    splits = {file.stem: list(RecordFile(file)) for file in folder.glob("*.jsonl")}
    for name, records in splits.items():
        write_records(tmp_path / "again.jsonl", records)
        assert (tmp_path / "again.jsonl").read_bytes() == (folder / f"{name}.jsonl").read_bytes()
    manifest = read_manifest(folder)
    request = {"scene": scene, "images": 10, "seed": 1, "width": 168, "height": 140, "language": "zh"}
    assert manifest.source.options == request | {"version": manifest.source.options["version"]}
    assert manifest == build_manifest(
        source=ManifestSource(path=scene, format="synthetic", options=manifest.source.options),
        limits=None,
        split_origin=SplitOrigin(made_by="source"),
        splits=splits,
        images=(),
    )
