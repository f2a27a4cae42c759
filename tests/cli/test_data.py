"""`argus data`: exit codes, what is printed where, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from argusvl.cli.main import run
from argusvl.detection.data.manifest import read_manifest
from argusvl.detection.data.records import RecordFile

pytestmark = pytest.mark.usefixtures("quiet_logging")

LIMITS = ["--min-pixels", "784", "--max-pixels", "3136"]


def out_of(voc: Any) -> Path:
    return Path(voc.root.parent / "out put")


def convert(voc: Any, *more: str) -> int:
    return run(
        ["data", "convert", "voc", str(voc.root), str(out_of(voc)), *LIMITS, "--val-fraction", "0", *more]
    )


def test_a_clean_conversion_exits_with_0(voc: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abcd":
        voc.pair(name)
    assert convert(voc, "--teacher-pool", "1", "--val-fraction", "0.4", "--seed", "3") == 0
    assert {p.name for p in out_of(voc).iterdir()} == {
        "images",
        "manifest.json",
        "train.jsonl",
        "val.jsonl",
        "teacher_pool.jsonl",
    }
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "teacher_pool" in shown.err


def test_a_refused_object_exits_with_1_is_named_and_the_rest_is_written(
    voc: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    voc.pair("a", [("good", (1, 1, 30, 30)), ("[bad]", (5, 5, 5, 5))])
    assert convert(voc, "--json") == 1
    shown = capsys.readouterr()
    assert "a.xml:4: box-zero-area: object 1 '[bad]': box [5, 5, 5, 5] has no area" in shown.err
    assert "correct or remove the box" in shown.err
    assert "Refused: 0 images, 1 object" in shown.err
    assert json.loads(shown.out)["refused"] == {"images": 0, "objects": 1}
    assert len(RecordFile(out_of(voc) / "train.jsonl")) == 1


def test_many_findings_of_one_kind_hide_no_other(voc: Any, capsys: pytest.CaptureFixture[str]) -> None:
    voc.pair("a", [("good", (1, 1, 30, 30)), *[("bad", (5, 5, 5, 5))] * 50, ("good", (1, 1, 30, 30))])
    voc.text("b.xml", "<annotation/>")
    assert run(["data", "check", str(voc.root), "--format", "voc"]) == 1
    shown = capsys.readouterr().err
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
    voc: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    voc.pair("a")
    places = {"src": str(voc.root), "out": str(out_of(voc))}
    assert run([argument.format(**places) for argument in arguments]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
    assert not out_of(voc).exists()


def test_check_exits_with_0_for_warnings_and_1_for_errors(
    voc: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    voc.pair("a", [("cell", (1, 1, 40, 40)), ("cell", (1, 1, 40, 40))])
    assert convert(voc) == 0
    data = str(out_of(voc))
    capsys.readouterr()
    assert run(["data", "check", data]) == 0
    shown = capsys.readouterr()
    assert "warning" in shown.err
    assert "0 errors, 2 warnings" in " ".join(shown.err.split())
    assert run(["data", "check", data, "--num-queries", "1", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["errors"], report["warnings"]) == (1, 2)
    assert report["kinds"] == {"too-many-objects": 1, "box-duplicate": 1, "rare-labels": 1}
    assert report["findings"][0]["what"].endswith("shows 2 objects, more than 1 queries can find")


def test_check_writes_a_page_and_counts_conversations(
    voc: Any, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voc.pair("a", [("cell", (1, 1, 40, 40)), ("cell", (1, 1, 40, 40))])
    assert convert(voc) == 0
    data, page = str(out_of(voc)), out_of(voc) / "check.html"
    capsys.readouterr()
    assert run(["data", "check", data, "--html", str(page), "--json", "--num-queries", "1"]) == 1
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    learned = report["histograms"]["tokens of a conversation"]
    found = {(one["id"], one["kind"]) for one in report["findings"]}
    assert {("N-145", "box-duplicate"), ("N-172", "too-many-objects")} <= found
    assert f"Page written to {page}" in "".join(shown.err.split("\n"))
    assert "too-many-objects" in page.read_text("utf-8")
    assert run(["data", "check", data, "--json", "--model", str(tiny_checkpoint)]) == 0
    assert json.loads(capsys.readouterr().out)["histograms"]["tokens of a conversation"] != learned
    assert run(["data", "check", data, "--model", str(voc.root)]) == 2
    assert run(["data", "check", data, "--html", str(page / "below.html")]) == 2
    assert run(["data", "check", data, "--html", str(page)]) == 0  # a page of its own is made anew
    page.write_text("my notes")
    assert run(["data", "check", data, "--html", str(page)]) == 2
    assert page.read_text() == "my notes"


def test_split_and_pool_divide_what_was_converted(voc: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        voc.pair(f"{number}", [("xy"[number % 2], (1, 1, 30, 30))])
        voc.image(f"{number}.jpg", seed=number)
    assert convert(voc) == 0
    data = str(out_of(voc))
    capsys.readouterr()
    assert run(["data", "split", data, "--val-fraction", "0.2", "--seed", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"train": 8, "val": 2}
    assert run(["data", "pool", data, "--size", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"teacher_pool": 2, "train": 6}
    assert run(["data", "pool", data, "--size", "2"]) == 2
    manifest = read_manifest(data)
    assert {name: counts.images for name, counts in manifest.splits.items()} == {
        "train": 6,
        "val": 2,
        "teacher_pool": 2,
    }
    assert run(["data", "check", data]) == 0


def test_drawn_scenes_pass_the_check(tmp_path: Path) -> None:
    out = str(tmp_path / "rooms")
    assert run(["data", "synth", "bbu-room", out, "--images", "10", "--seed", "1"]) == 0
    assert run(["data", "check", out, "--min-pixels", "784", "--max-pixels", "150528"]) == 0
    assert read_manifest(out).source.format == "synthetic"


def test_export_writes_another_format_and_exits_with_1_where_something_is_refused(
    voc: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    voc.pair("a", [("good", (1, 1, 30, 30))])
    assert convert(voc) == 0
    data, target = out_of(voc), str(voc.root.parent / "coco")
    capsys.readouterr()
    assert run(["data", "export", "coco", str(data), target, "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["splits"] == {"train": {"images": 1, "objects": 1}}
    assert "Written to" in shown.err
    assert run(["data", "export", "coco", str(data), target]) == 2
    (data / "train.jsonl").write_text(
        (data / "train.jsonl").read_text() + '{"images": ["images/gone.jpg"], "objects": []}\n'
    )
    assert run(["data", "export", "yolo", str(data), f"{target}2", "--images", "link"]) == 1
    assert "train.jsonl:2: missing-image" in "".join(capsys.readouterr().err.split("\n"))


def test_vendor_text_is_normalised_by_the_terms_that_ship(voc: Any) -> None:
    voc.image("a.jpg")
    entry = {"coordinates": [[1, 2], [30, 40]], "properties": {"label": "baffle", "state": "not installed"}}
    voc.text("a.json", json.dumps({"info": {"width": 64, "height": 48}, "dataList": [entry]}))
    voc.image("b.jpg")
    voc.text("b.json", json.dumps({"dataList": [entry]}))
    terms = ["--token-map", "bbu-room", "--label-hierarchy", "bbu-room", "--val-fraction", "0"]
    assert run(["data", "convert", "vendor", str(voc.root), str(out_of(voc)), *LIMITS, *terms]) == 1
    record = RecordFile(out_of(voc) / "train.jsonl")[0]
    assert [one.desc for one in record.student.objects] == ["挡风板/未安装"]
    manifest = read_manifest(out_of(voc))
    assert [f.where for f in manifest.findings] == ["b.json:1"]
    assert manifest.source.options["token_map"] == "bbu-room"
