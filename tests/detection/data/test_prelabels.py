from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from argusvl.core.errors import DataError
from argusvl.detection.data.formats import format_of
from argusvl.detection.data.formats.base import ReadOptions
from argusvl.detection.data.prelabels import write_prelabels


def predicted(folder: Path, **changes: object) -> Path:
    """A file as ``argus predict --out`` writes it, of two pictures in different folders."""
    lines = []
    for name in ("one/a.jpg", "two/a.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48)).save(folder / name)
        scores = {"score": 0.75, "label_score": 0.9}
        entry = {"bbox_2d": [16, 12, 48, 24], "label": "cell", **scores, "desc": "cell/<red>"}
        line = {"image": str(folder / name), "width": 64, "height": 48, "objects": [entry]} | changes
        lines.append(json.dumps(line))
    file = folder / "found.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_predictions_become_tasks_to_correct_with_the_pictures_and_the_interface(tmp_path: Path) -> None:
    done = write_prelabels(predicted(tmp_path), tmp_path / "out", model_version="m", labels=["other"])
    assert (done.images, done.boxes, done.labels) == (2, 2, ("other", "cell/<red>"))
    tasks = json.loads((tmp_path / "out/label-studio.json").read_text("utf-8"))
    assert [one["data"]["image"] for one in tasks] == [
        f"/data/local-files/?d=images/{name}" for name in ("one/a.jpg", "two/a.jpg")
    ]
    (prediction,) = tasks[0]["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("m", 0.75)
    edges = {"x": 25, "y": 25, "width": 50, "height": 25, "rotation": 0}
    assert prediction["result"][0]["value"] == {**edges, "rectanglelabels": ["cell/<red>"]}
    interface = ElementTree.parse(tmp_path / "out/labels.xml")
    assert [one.get("value") for one in interface.iter("Label")] == ["other", "cell/<red>"]


def test_pre_labels_that_are_submitted_as_they_are_come_back(tmp_path: Path) -> None:
    served, out = tmp_path / "all", tmp_path / "all/round-1"
    write_prelabels(predicted(tmp_path), out, model_version="m", served=served, images="link")
    assert (out / "images/one/a.jpg").samefile(tmp_path / "one/a.jpg")
    tasks = json.loads((tmp_path / "all/round-1/label-studio.json").read_text("utf-8"))
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=round-1/images/one/a.jpg"
    export = [{**one, "annotations": one["predictions"]} for one in tasks]
    (tmp_path / "all/export.json").write_text(json.dumps(export), encoding="utf-8")
    listed = format_of("label-studio").read(tmp_path / "all/export.json", ReadOptions())
    assert [one.name for one in listed.images] == ["round-1/images/one/a.jpg", "round-1/images/two/a.jpg"]
    assert listed.images[0].annotate().objects[0].box_xyxy_px == (0.25, 0.25, 0.75, 0.5)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"objects": [{"label": "cell"}]}, "found.jsonl:1: is no line of `argus predict`"),
        ({"width": "wide"}, "found.jsonl:1: is no line"),
        ({"image": "absent.jpg"}, "not there"),
    ],
)
def test_what_is_no_prediction_is_refused(changes: dict[str, object], what: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=what):
        write_prelabels(predicted(tmp_path, **changes), tmp_path / "out", model_version="m")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, b"\xff\xd8\xff\xe0 a picture"])
def test_a_file_that_holds_no_predictions_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "found.jsonl").write_bytes(content)
    with pytest.raises(DataError, match="found.jsonl"):
        write_prelabels(tmp_path / "found.jsonl", tmp_path / "out", model_version="m")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_served_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not lie in"):
        write_prelabels(predicted(tmp_path), tmp_path / "out", model_version="m", served=tmp_path / "other")
