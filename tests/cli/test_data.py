"""`argus data`: exit codes, what is printed where, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from argusvl.detection.data.manifest import read_manifest
from argusvl.detection.data.records import RecordFile

LIMITS = ["--min-pixels", "784", "--max-pixels", "3136"]


@pytest.fixture
def out(voc: Any) -> Path:
    return Path(voc.root.parent / "out put")


@pytest.fixture
def convert(argus: Any, voc: Any, out: Path) -> Any:
    """Converts the source, all of it into `train` if not told otherwise."""
    words = ["data", "convert", "voc", voc.root, out, *LIMITS, "--val-fraction", "0"]
    return lambda *more, code=0: argus(*words, *more, code=code)


def test_a_clean_conversion_exits_with_0(convert: Any, voc: Any, out: Path) -> None:
    for name in "abcd":
        voc.pair(name)
    shown = convert("--teacher-pool", "1", "--val-fraction", "0.4", "--seed", "3")
    records = {"train.jsonl", "val.jsonl", "teacher_pool.jsonl"}
    assert {p.name for p in out.iterdir()} == {"images", "manifest.json"} | records
    assert shown.out == "" and "teacher_pool" in shown.err


def test_a_refused_object_exits_with_1_is_named_and_the_rest_is_written(
    convert: Any, voc: Any, out: Path
) -> None:
    voc.pair("a", [("good", (1, 1, 30, 30)), ("[bad]", (5, 5, 5, 5))])
    shown = convert("--json", code=1)
    assert "a.xml:4: box-zero-area: object 1 '[bad]': box [5, 5, 5, 5] has no area" in shown.err
    assert "correct or remove the box" in shown.err
    assert "Refused: 0 images, 1 object" in shown.err
    assert shown.json["refused"] == {"images": 0, "objects": 1}
    assert len(RecordFile(out / "train.jsonl")) == 1


def test_many_findings_of_one_kind_hide_no_other(argus: Any, voc: Any) -> None:
    voc.pair("a", [("good", (1, 1, 30, 30)), *[("bad", (5, 5, 5, 5))] * 50, ("good", (1, 1, 30, 30))])
    voc.text("b.xml", "<annotation/>")
    shown = argus("data", "check", voc.root, "--format", "voc", code=1).err
    kinds = ("annotation-without-image:", "box-zero-area:", "box-duplicate:", "rare-labels:")
    places = [shown.index(kind) for kind in kinds]
    assert places == sorted(places)
    assert 3 <= shown.count("box-zero-area:") <= 20
    assert "more of 50: box-zero-area" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data", "convert", "vok", "{src}", "{out}", *LIMITS], "unknown format 'vok'"),
        (["data", "convert", "voc", "{src}/absent", "{out}", *LIMITS], "no such folder"),
        (["data", "convert", "voc", "{src}", "{out}", *LIMITS], "give --val-fraction"),
        (["data", "convert", "voc", "{src}", "{out}", *LIMITS, "--val-fraction", "2"], "val_fraction is 2"),
        (["data", "convert", "voc", "{src}", "{out}"], "give --val-fraction"),
        (["data", "convert", "voc", "{src}", "{src}/out", *LIMITS], "overlaps with the source"),
        (["data", "check", "{src}"], "holds no JSONL file"),
        (["data", "check", "{src}", "--min-pixels", "784"], "one pixel limit without the other"),
        (["data", "check", "{src}", "--pixel-offset", "1"], "add --format"),
        (["data", "split", "{src}", "--val-fraction", "0.2", "--seed", "1"], "no such records file"),
        (["data", "split", "{src}", "--val-fraction", "2", "--seed", "1"], "val_fraction is 2"),
        (["data", "pool", "{src}", "--size", "3"], "no such records file"),
        (["data", "synth", "bbu-rom", "{out}", "--images", "3", "--seed", "1"], "no scenes called 'bbu-rom'"),
    ],
)
def test_the_users_mistakes_exit_with_2(
    argus: Any, voc: Any, out: Path, arguments: list[str], said: str
) -> None:
    voc.pair("a")
    shown = argus(*(argument.format(src=voc.root, out=out) for argument in arguments), code=2)
    assert said in shown.err and shown.out == ""
    assert not out.exists()


def test_check_exits_with_0_for_warnings_and_1_for_errors(
    argus: Any, convert: Any, voc: Any, out: Path
) -> None:
    voc.pair("a", [("cell", (1, 1, 40, 40)), ("cell", (1, 1, 40, 40))])
    convert()
    shown = argus("data", "check", out)
    assert "warning" in shown.err and "0 errors, 2 warnings" in shown.err
    report = argus("data", "check", out, "--num-queries", "1", "--json", code=1).json
    assert (report["errors"], report["warnings"]) == (1, 2)
    assert report["kinds"] == {"too-many-objects": 1, "box-duplicate": 1, "rare-labels": 1}
    assert report["findings"][0]["what"].endswith("shows 2 objects, more than 1 queries can find")


def test_check_writes_a_page_and_counts_conversations(
    argus: Any, convert: Any, voc: Any, out: Path, tiny_checkpoint: Path
) -> None:
    voc.pair("a", [("cell", (1, 1, 40, 40)), ("cell", (1, 1, 40, 40))])
    convert()
    check, page, tokens = ("data", "check", out), out / "check.html", "tokens of a conversation"
    shown = argus(*check, "--html", page, "--json", "--num-queries", "1", code=1)
    found = {(one["id"], one["kind"]) for one in shown.json["findings"]}
    assert {("N-145", "box-duplicate"), ("N-172", "too-many-objects")} <= found
    assert f"Page written to {page}" in shown.err
    assert "too-many-objects" in page.read_text("utf-8")
    counted = argus(*check, "--json", "--model", tiny_checkpoint).json["histograms"][tokens]
    assert counted != shown.json["histograms"][tokens]
    argus(*check, "--model", voc.root, code=2)
    argus(*check, "--html", page / "below.html", code=2)
    argus(*check, "--html", page)  # a page of its own is made anew
    page.write_text("my notes")
    argus(*check, "--html", page, code=2)
    assert page.read_text() == "my notes"


def test_split_and_pool_divide_what_was_converted(argus: Any, convert: Any, voc: Any, out: Path) -> None:
    for number in range(10):
        voc.pair(f"{number}", [("xy"[number % 2], (1, 1, 30, 30))])
        voc.image(f"{number}.jpg", seed=number)
    convert()
    split = argus("data", "split", out, "--val-fraction", "0.2", "--seed", "1", "--json")
    assert split.json == {"train": 8, "val": 2}
    pool = ("data", "pool", out, "--size", "2", "--json")
    assert argus(*pool).json == {"teacher_pool": 2, "train": 6}
    argus(*pool, code=2)
    images = {name: counts.images for name, counts in read_manifest(out).splits.items()}
    assert images == {"train": 6, "val": 2, "teacher_pool": 2}
    argus("data", "check", out)


def test_drawn_scenes_pass_the_check(argus: Any, tmp_path: Path) -> None:
    out = tmp_path / "rooms"
    argus("data", "synth", "bbu-room", out, "--images", "10", "--seed", "1")
    argus("data", "check", out, "--min-pixels", "784", "--max-pixels", "150528")
    assert read_manifest(out).source.format == "synthetic"


def test_export_writes_another_format_and_exits_with_1_where_something_is_refused(
    argus: Any, convert: Any, voc: Any, out: Path
) -> None:
    voc.pair("a", [("good", (1, 1, 30, 30))])
    convert()
    target = voc.root.parent / "coco"
    shown = argus("data", "export", "coco", out, target, "--json")
    assert shown.json["splits"] == {"train": {"images": 1, "objects": 1}}
    assert "Written to" in shown.err
    argus("data", "export", "coco", out, target, code=2)
    with (out / "train.jsonl").open("a") as records:
        records.write('{"images": ["images/gone.jpg"], "objects": []}\n')
    shown = argus("data", "export", "yolo", out, f"{target}2", "--images", "link", code=1)
    assert "train.jsonl:2: missing-image" in shown.err


def test_vendor_text_is_normalised_by_the_terms_that_ship(argus: Any, voc: Any, out: Path) -> None:
    voc.image("a.jpg")
    entry = {"coordinates": [[1, 2], [30, 40]], "properties": {"label": "baffle", "state": "not installed"}}
    voc.text("a.json", json.dumps({"info": {"width": 64, "height": 48}, "dataList": [entry]}))
    voc.image("b.jpg")
    voc.text("b.json", json.dumps({"dataList": [entry]}))
    terms = ["--token-map", "bbu-room", "--label-hierarchy", "bbu-room", "--val-fraction", "0"]
    argus("data", "convert", "vendor", voc.root, out, *LIMITS, *terms, code=1)
    record = RecordFile(out / "train.jsonl")[0]
    assert [one.desc for one in record.student.objects] == ["挡风板/未安装"]
    manifest = read_manifest(out)
    assert [f.where for f in manifest.findings] == ["b.json:1"]
    assert manifest.source.options["token_map"] == "bbu-room"
