from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import pytest
from PIL import ExifTags, Image

pytest.importorskip("mcp")

from mcp import Client

from argusvl.core.errors import ArgusError
from argusvl.recognition.backbones.views import load_with_views
from argusvl.recognition.few_shot.enrolment import enroll
from argusvl.serving.agents.server import make_server
from argusvl.serving.agents.worker import Worker, tools_for
from argusvl.serving.agents.workplace import Settings, named

T = TypeVar("T")
Ask = Callable[..., dict[str, Any]]


def finished(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives. On a thread of its own: the browser of other tests keeps a loop in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The folder that the agents of this module may read."""
    folder = tmp_path_factory.mktemp("allowed")
    shutil.copytree(Path(__file__).parent / "place", folder, dirs_exist_ok=True)
    Image.new("RGB", (120, 90), "white").save(folder / "white.png")
    (folder / "data").mkdir()
    Image.new("RGB", (64, 48)).save(folder / "data" / "a.jpg")
    return folder


@pytest.fixture(scope="module")
def settings(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The folder, and a support store of three red and three blue pictures."""
    place = tmp_path_factory.mktemp("support")
    examples: dict[str, list[Path]] = {"red": [], "blue": []}
    for n in range(3):
        for colour, rgb in (("red", (255 - 9 * n, 3 * n, 0)), ("blue", (0, 3 * n, 255 - 9 * n))):
            examples[colour].append(place / f"{colour}-{n}.png")
            Image.new("RGB", (64, 64), rgb).save(examples[colour][n])
    network = load_with_views("efficientnet-lite0", "one", device="cpu")
    enroll(place / "store", examples, network, spec="efficientnet-lite0", views="one", progress=False)
    return Settings([files], {}, {"colours": place / "store"})


@pytest.fixture(scope="module")
def worker(settings: Settings) -> Iterator[Worker]:
    worker = Worker(settings, seconds=100)
    yield worker
    worker.end()


@pytest.fixture
def ask(settings: Settings, worker: Worker) -> Ask:
    """Calls a tool by the protocol's own client, and holds the answer to the schema that was announced."""

    async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        async with Client(make_server(settings, worker)) as client:
            schemas = {one.name: one.output_schema for one in (await client.list_tools()).tools}
            result = await client.call_tool(tool, arguments)
            if result.is_error:
                return {"problem": result.content[0].text}  # type: ignore[union-attr]
            jsonschema.validate(result.structured_content, schemas[tool])
            found: dict[str, Any] = result.structured_content
            return found

    return lambda tool, **arguments: finished(call(tool, arguments))


def test_every_tool_says_what_it_takes_and_gives_and_that_it_only_reads(
    settings: Settings, worker: Worker
) -> None:
    async def listed() -> list[Any]:
        async with Client(make_server(settings, worker)) as client:
            return list((await client.list_tools()).tools)

    tools = {tool.name: tool for tool in finished(listed())}
    general = {"list_places", "check_training_script", "why_log_ended", "explain_finding", "run_figures"}
    assert tools.keys() == general | {"detect", "describe", "check_data", "find_hands", "recognize"}
    assert "recognize" not in tools_for(Settings(settings.folders, {}, {})), "without a support store"
    assert all(tool.annotations.read_only_hint and tool.output_schema for tool in tools.values())
    assert "untrusted" in tools["why_log_ended"].description
    assert all("description" in p for p in tools["detect"].input_schema["properties"].values())


def test_places_are_listed_without_where_they_are_on_the_machine(ask: Ask, files: Path) -> None:
    found = ask("list_places", folder=".")
    script = {"name": "train.py", "kind": "file", "bytes": (files / "train.py").stat().st_size}
    assert script in found["entries"] and found["stores"] == ["colours"]
    assert [one["name"] for one in found["checkpoints"]] == ["argus-tiny", "argus-hand", "argus-hand-finder"]
    assert [one["name"] for one in ask("list_places")["entries"]] == [files.name]


def test_objects_are_found_and_described(ask: Ask) -> None:
    found = ask("describe", image="white.png", score_threshold=0, labels=["cell", "screw"])
    assert (found["image"], found["width"], found["height"]) == ("white.png", 120, 90)
    assert {one["label"] for one in found["objects"]} <= {"cell", "screw"}
    assert all(0 <= one["box_xyxy_px"][0] <= one["box_xyxy_px"][2] <= 120 for one in found["objects"])
    assert all(isinstance(one["description"], str) for one in found["objects"])
    plain = ask("detect", image="white.png", score_threshold=0, labels=["cell", "screw"])
    assert len(plain["objects"]) == len(found["objects"]) > 0
    assert all(one["description"] == one["label"] for one in plain["objects"])


def test_a_hand_has_21_joints(ask: Ask, files: Path) -> None:
    (found,) = ask("find_hands", image="white.png", side="left", box_xyxy_px=[10, 10, 80, 80])["hands"]
    assert (found["side"], found["score"], next(iter(found["confidence"]))) == ("left", None, "wrist")
    assert (len(found["joints_px"]), found["joints_mm"][0]) == (21, [0, 0, 0])
    assert ask("find_hands", image="white.png")["hands"] == []
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (90, 60), "white").save(files / "turned.jpg", exif=exif)
    assert "turned upright" in ask("find_hands", image="turned.jpg", box_xyxy_px=[10, 10, 50, 80])["note"]
    assert "problem" in ask("find_hands", image="white.png", box_xyxy_px=[500, 500, 600, 600])


def test_a_script_is_read_and_its_mistakes_come_with_a_diff(ask: Ask) -> None:
    found = ask("check_training_script", script="train.py")
    assert "missing-zero-grad" in {one["kind"] for one in found["findings"]}
    assert "+    optimizer.zero_grad" in found["diff"]
    assert found["findings"][0]["where"].startswith("train.py:")
    assert "no Python file" in ask("check_training_script", script="train.log")["problem"]


def test_a_log_is_judged_and_what_it_orders_is_only_quoted(ask: Ask) -> None:
    found = ask("why_log_ended", log="train.log")
    assert found["cause"] == "cuda_oom"
    assert found["where"] == "train.log:8"
    # Where the description of the field says that it is untrusted.
    assert "IGNORE" in found["findings"][0]["what"]


def test_a_finding_is_explained(ask: Ask) -> None:
    found = ask("explain_finding", id="N-144")
    assert found["kind"] == "box-out-of-bounds"
    assert "list_places" not in ask("explain_finding", id="N-9999")["problem"]


def test_figures_of_a_run_come_with_what_they_mean(ask: Ask) -> None:
    found = ask("run_figures", run="run")
    ap50 = next(one for one in found["figures"] if one["name"] == "AP50")
    assert (ap50["before"], ap50["after"], ap50["lower_is_better"]) == (0.04, 0.91, False)
    assert found["measured_on"] == "val.jsonl"


def test_data_are_checked_and_nothing_is_written_beside_them(ask: Ask, files: Path) -> None:
    line = '{"images": ["%s"], "objects": [{"box": [1, 1, 90, 40], "desc": "cell"}]}\n'
    outside = files.parent / "outside.jpg"
    Image.new("RGB", (64, 48)).save(outside)
    names = ["a.jpg"] * 1000 + [f"../../{outside.name}", str(outside)]
    (files / "data" / "train.jsonl").write_text("".join(line % name for name in names))
    before = sorted(files.rglob("*"))
    found = ask("check_data", data="data/train.jsonl")
    assert found["errors"] > 0
    assert (len(found["findings"]), found["left_out"] > 800) == (100, True)
    assert str(files) not in str(found)
    assert sorted(files.rglob("*")) == before


@pytest.mark.parametrize(
    ("tool", "argument"),
    [
        ("detect", "image"),
        ("describe", "image"),
        ("find_hands", "image"),
        ("check_data", "data"),
        ("check_training_script", "script"),
        ("why_log_ended", "log"),
        ("run_figures", "run"),
        ("list_places", "folder"),
    ],
)
def test_outside_is_refused_by_every_tool(ask: Ask, files: Path, tool: str, argument: str) -> None:
    link = files / "leads-out"
    if not link.is_symlink():
        link.symlink_to("/etc")
    for name in ("/etc/passwd", "/etc", "..", "leads-out/passwd", "leads-out"):
        assert "is not in a folder that may be read" in ask(tool, **{argument: name})["problem"]
    link.unlink()


def test_arguments_that_are_wrong_are_named_in_a_sentence(ask: Ask) -> None:
    too_high = ask("detect", image="white.png", score_threshold=2)
    assert too_high["problem"].startswith("field 'score_threshold': ")
    assert ask("detect")["problem"] == "field 'image': Field required"
    assert ask("detect", image="white.png", outt="x")["problem"].startswith("field 'outt': ")
    assert "no detection checkpoint '/etc'" in ask("detect", image="white.png", checkpoint="/etc")["problem"]
    assert ask("rm")["problem"] == "there is no tool 'rm'"


def test_a_call_that_takes_too_long_is_ended_and_the_next_one_is_answered(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as impatient:
        impatient.setattr(worker, "_seconds", 0.001)
        told = worker.call("describe", {"image": "white.png"}).problem
    assert told == "describe took longer than 0.001 seconds and was ended; ask for less at a time"
    assert worker.call("explain_finding", {"id": "N-144"}).answer is not None


def test_a_worker_that_dies_is_replaced(worker: Worker) -> None:
    assert worker.call("explain_finding", {"id": "N-144"}).answer is not None
    assert worker._process is not None and worker._process.pid is not None
    os.kill(worker._process.pid, 9)
    answers = [worker.call("explain_finding", {"id": "N-144"}) for _ in range(2)]
    assert answers[-1].answer is not None


def test_an_image_is_recognized_by_a_support_store(ask: Ask, files: Path) -> None:
    Image.new("RGB", (64, 64), (240, 10, 10)).save(files / "red.png")
    before = sorted(files.rglob("*"))
    answer = ask("recognize", image="red.png")
    assert (answer["nearest"], answer["image"]) == ("red", "red.png")
    assert 0 <= answer["score"] <= 1 and answer["example_of"] is None
    assert sorted(files.rglob("*")) == before


def test_checkpoints_are_named_as_given_or_as_their_folder() -> None:
    assert named(["cells=runs/a", "runs/b"], "--checkpoint") == {"cells": Path("runs/a"), "b": Path("runs/b")}
    with pytest.raises(ArgusError, match="given twice"):
        named(["runs/b", "b=x"], "--checkpoint")
