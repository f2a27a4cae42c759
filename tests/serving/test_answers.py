"""What the server answers: as `argus predict` does, in the form that its OpenAPI document states."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from argusvl.serving.answers import answer_class
from argusvl.serving.app import make_app
from argusvl.serving.hosting import LoadedModel, load_store
from argusvl.serving.limits import Limits
from argusvl.serving.page_files import PAGE

pytestmark = pytest.mark.usefixtures("quiet_logging")


@pytest.fixture
def photo(kit: Any, tmp_path: Path) -> Path:
    file = tmp_path / "photo.jpg"
    file.write_bytes(kit.picture((120, 90), seed=3, kind="JPEG", orientation=6))
    return file


def test_objects_are_those_of_argus_predict(argus: Any, shipped: Any, photo: Path) -> None:
    reply = shipped.post("/v1/detect?threshold=0.01", photo.read_bytes(), "image/jpeg")
    assert reply.status == 200
    line = argus("predict", "argus-tiny", photo, "--score-threshold", "0.01").json
    answer = reply.json
    assert answer["image"] == {"width": 90, "height": 120, "turned": True}
    assert answer["image"]["width"] == line["width"]
    assert len(answer["objects"]) == len(line["objects"]) > 0
    for found, wanted in zip(answer["objects"], line["objects"], strict=True):
        assert found == {
            "box_xyxy_px": wanted["bbox_2d"],
            "score": wanted["score"],
            "label": wanted["label"],
            "label_score": wanted["label_score"],
            "description": wanted["desc"],
        }


def test_a_form_is_answered_as_the_bytes_are(shipped: Any, kit: Any) -> None:
    picture = kit.picture(seed=1)
    raw = shipped.post("/v1/detect?threshold=0.02", picture).json
    parts = [kit.file_part(picture, filename="../../etc/passwd"), kit.text_part("threshold", "0.02")]
    form = shipped.form("/v1/detect", parts).json
    assert raw["objects"] and form["objects"] == raw["objects"]


def test_the_text_path_answers_with_what_is_written(shipped: Any, kit: Any) -> None:
    from argusvl.detection.predict import Predictor

    picture = kit.picture(seed=2)
    reply = shipped.post("/v1/describe?max_new_tokens=24", picture)
    with Image.open(io.BytesIO(picture)) as opened:
        (wanted,) = Predictor.from_pretrained("argus-tiny").predict_text(opened, max_new_tokens=24)
    assert (reply.json["text"], reply.json["complete"]) == (wanted.text, wanted.complete)


def test_hands_are_those_of_argus_predict(argus: Any, shipped: Any, photo: Path) -> None:
    camera, box = "150,150,45,60", "10,10,80,100"
    path = f"/v1/hands?side=left&box={box}&camera={camera}"
    (hand,) = shipped.post(path, photo.read_bytes(), "image/jpeg").json["hands"]
    line = argus("predict", "argus-hand", photo, "--side", "left", "--box", box, "--camera", camera).json
    assert hand["joints_px"] == line["joints_px"]
    assert (hand["side"], hand["box_xyxy_px"]) == ("left", [10, 10, 80, 100])
    assert hand["joints_mm"][0] == [0, 0, 0]
    for relative, absolute in zip(hand["joints_mm"], line["joints_mm"], strict=True):
        back = [r + w for r, w in zip(relative, hand["wrist_mm"], strict=True)]
        assert back == pytest.approx(absolute, abs=0.02)


def test_what_there_is_is_listed(shipped: Any, tiny: LoadedModel) -> None:
    listed = shipped.get("/v1/models").json
    assert [(m["name"], m["task"], m["endpoints"]) for m in listed["models"]] == [
        ("argus-tiny", "detection", ["/v1/detect", "/v1/describe"]),
        ("argus-hand", "manipulation", ["/v1/hands"]),
    ]
    assert listed["models"][0]["fingerprint"] == tiny.fingerprint
    assert listed["models"][0]["labels"] == list(tiny.service.labels)
    assert listed["limits"]["bytes"] == Limits().bytes


def test_health_readiness_and_metrics(shipped: Any, kit: Any) -> None:
    assert shipped.get("/healthz").json == {"status": "ok"}
    assert shipped.get("/readyz").json == {"status": "ready"}
    shipped.post("/v1/detect", kit.picture())
    shipped.get("/nowhere/at/all")
    text = shipped.get("/metrics").body.decode()
    assert 'argus_requests_total{route="/v1/detect",status="200"}' in text
    assert 'route="other",status="404"' in text and "nowhere" not in text


def test_every_answer_is_safe_to_show(shipped: Any, kit: Any) -> None:
    for reply in (shipped.get("/healthz"), shipped.get("/nowhere"), shipped.post("/v1/detect", b"x")):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert "access-control-allow-origin" not in reply.headers


def test_the_page_is_served_from_a_table(shipped: Any) -> None:
    page = shipped.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.body == shipped.get("/index.html").body == (PAGE / "index.html").read_bytes()
    for path in ("/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "/page/../../app.py", "//etc/passwd"):
        assert shipped.get(path).status == 404


def test_the_openapi_document_has_examples_that_are_answers(tiny: LoadedModel, hand: LoadedModel) -> None:
    document = make_app([tiny, hand], Limits(), token="t" * 16).app.openapi()
    assert document["security"] == [{"token": []}]
    endpoints = [endpoint for model in (tiny, hand) for endpoint in model.service.endpoints]
    for endpoint in endpoints:
        operation = document["paths"][endpoint.path]["post"]
        example = operation["responses"]["200"]["content"]["application/json"]["example"]
        answered = answer_class(endpoint).model_validate(example)
        assert json.loads(answered.model_dump_json()) == example
        assert set(operation["requestBody"]["content"]) >= {"multipart/form-data", "image/jpeg"}
        for status in ("400", "413", "415", "422", "503"):
            assert list(operation["responses"][status]["content"]) == ["application/problem+json"]


def test_a_store_answers_as_argus_recognize_does(
    argus: Any, kit: Any, tmp_path: Path, few_shot: Any, tiny_backbone: Any
) -> None:
    fruit, store = few_shot.make_category(tmp_path / "data") / "fruit", tmp_path / "support"
    queries = sorted((fruit / "6.preprocessed").rglob("*.png"))[:3]
    words = ("--backbone", "tiny", "--workers", "1")
    argus("recognize", "enroll", store, fruit / "2.support-set", *words)
    lines = argus("recognize", "classify", store, *queries, "--workers", "1").lines
    with kit.serving([load_store(store, backbone=None, device="cpu")]) as client:
        for query, line in zip(queries, lines, strict=True):
            answer = client.post("/v1/recognize", query.read_bytes()).json
            assert (answer["label"], answer["nearest"]) == (line["class"], line["nearest"])
            assert answer["score"] == pytest.approx(line["score"], abs=1e-4)
            assert answer["possible"] == line["set"]
