"""Label Studio's protocol: boxes in percent; nothing outside of the request and of the folder is read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("quiet_logging")

CONFIG = """<View><Image name="photo" value="$picture"/>
<RectangleLabels name="box" toName="photo">{}</RectangleLabels></View>"""


@pytest.fixture(scope="module")
def studio(kit: Any, tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server with a folder, and a secret beside it."""
    root = tmp_path_factory.mktemp("studio")
    (root / "files" / "upload").mkdir(parents=True)
    (root / "files" / "upload" / "ä 1.png").write_bytes(kit.picture((80, 60), seed=5))
    (root / "secret.png").write_bytes(kit.picture())
    (root / "files" / "link.png").symlink_to(root / "secret.png")
    with kit.serving([tiny], label_studio_files=root / "files") as client:
        yield client


def ask(client: Any, path: str, **members: Any) -> Any:
    return client.post(path, json.dumps(members).encode(), "application/json")


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def test_boxes_are_those_of_detect_in_percent(studio: Any, kit: Any) -> None:
    assert studio.get("/health").json["status"] == "UP"
    picture = kit.picture((80, 60), seed=5)
    objects = studio.post("/v1/detect", picture).json["objects"]
    names = ["data/upload/ä 1.png", "/data/upload/%C3%A4%201.png", "/data/local-files/?d=upload/ä 1.png"]
    tasks = [{"id": k, "data": {"picture": name}} for k, name in enumerate([data_url(picture), *names[1:]])]
    config = CONFIG.format("")
    version = ask(studio, "/setup", project="1", schema=config).json["model_version"]
    for result in ask(studio, "/predict", tasks=tasks, label_config=config).json["results"]:
        assert result["model_version"] == version
        assert len(result["result"]) == len(objects)
        for region, found in zip(result["result"], objects, strict=True):
            x1, y1, x2, y2 = found["box_xyxy_px"]
            value = region["value"]
            assert (region["from_name"], region["to_name"]) == ("box", "photo")
            assert (region["original_width"], region["original_height"]) == (80, 60)
            assert [value[k] for k in ("x", "y", "width", "height")] == pytest.approx(
                [x1 / 0.8, y1 / 0.6, (x2 - x1) / 0.8, (y2 - y1) / 0.6], abs=1e-3
            )
            assert (value["rectanglelabels"], region["score"]) == ([found["label"]], found["score"])


def test_labels_that_the_project_lacks_are_left_out(studio: Any, kit: Any) -> None:
    config = CONFIG.format('<Label value="nothing of ours"/>')
    task = {"data": {"picture": data_url(kit.picture())}}
    (result,) = ask(studio, "/predict", tasks=[task], label_config=config).json["results"]
    assert (result["result"], result["score"]) == ([], 0)


@pytest.mark.parametrize(
    "named",
    [
        "http://example.com/a.png",
        "https://127.0.0.1:1/a.png",
        "//example.com/a.png",
        "s3://bucket/a.png",
        "file:///etc/passwd",
        "ftp://example.com/a",
        "\\\\host\\share",
        "http://[",
        "../secret.png",
        "/data/upload/../../secret.png",
        "/data/local-files/?d=../secret.png",
        "/data/local-files/?d=/etc/passwd",
        "/data/upload/%2e%2e/%2e%2e/secret.png",
        "/data/link.png",
        "/data/nowhere.png",
        "/data/upload",
        "a\0b",
        "",
        "data:text/plain,hello",
        "data:image/png;base64,***",
    ],
)
def test_foreign_addresses_and_other_files_are_refused(studio: Any, named: str) -> None:
    reply = ask(studio, "/predict", tasks=[{"data": {"image": named}}])
    assert (reply.status, reply.is_problem) == (422, True), reply.body
    assert "task 1" in reply.json["detail"] and "secret" not in reply.json["detail"]


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({}, 422),
        ({"tasks": [{}]}, 422),
        ({"tasks": [{"data": {}}]}, 422),
        ({"tasks": [{"data": {"image": 5}}]}, 422),
        ({"tasks": [{"data": {"image": "x"}}] * 65}, 422),
        ({"tasks": [], "label_config": "<View"}, 422),
        ({"tasks": [], "label_config": "<View><Text name='a'/></View>"}, 422),
        ({"tasks": [], "label_config": '<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>'}, 422),
        ({"tasks": [{"data": {"image": "data:image/png;base64,aGVsbG8="}}]}, 415),
        ({"tasks": []}, 200),
    ],
)
def test_what_is_no_task_is_refused(studio: Any, members: dict[str, Any], status: int) -> None:
    reply = ask(studio, "/predict", **members)
    assert reply.status == status, reply.body
    assert status == 200 or reply.is_problem


def test_without_a_folder_no_file_is_named(kit: Any, tiny: Any, tmp_path: Path) -> None:
    with kit.serving([tiny]) as client:
        reply = ask(client, "/predict", tasks=[{"data": {"image": "/data/upload/a.png"}}])
        assert (reply.status, "--label-studio-files" in reply.json["detail"]) == (422, True)
