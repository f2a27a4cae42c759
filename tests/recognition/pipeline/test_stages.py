"""Models in strict sequence: one resident, memory back, results on the disk, and nothing lost when it is cut off."""

from __future__ import annotations

import itertools
import json
import random
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from interruptions import full_after
from PIL import Image
from torch import Tensor, nn

from argusvl.core import appending
from argusvl.core.errors import ArgusError, DataError, ModelError
from argusvl.recognition.pipeline.stages import Picture, Stage, run_stages

MIB = 2**20


class Counted(nn.Module):
    """A model of some MiB that knows how many of its kind are alive."""

    alive: ClassVar[weakref.WeakSet[Counted]] = weakref.WeakSet()

    def __init__(self, mib: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(mib * MIB // 4))
        Counted.alive.add(self)

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.mean(dim=(1, 2)) * self.weight[0]


def tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(np.asarray(picture.image, dtype=np.float32).copy()).permute(2, 0, 1)


def caption(model: Counted, pictures: list[Picture]) -> list[dict[str, Any]]:
    return [{"text": f"a picture of {p.image.width} by {p.image.height}"} for p in pictures]


def detect(model: Counted, pictures: list[Picture]) -> list[dict[str, Any]]:
    return [{"boxes_xyxy_px": [[0, 0, *p.image.size]], "of": p.earlier["caption"]["text"]} for p in pictures]


def embed(model: Counted, pictures: list[Picture]) -> list[dict[str, Any]]:
    return [{"vector": model(tensor(p)).tolist()} for p in pictures]


def stage(name: str, run: Callable[..., Any], **changes: Any) -> Stage[Any]:
    values: dict[str, Any] = {"load": lambda _: Counted(), "settings": {"version": 1}, "batch_size": 3}
    return Stage(name=name, run=run, **(values | changes))


RUNS: dict[str, Callable[..., Any]] = {"caption": caption, "detect": detect, "embed": embed}


def three(**changes: Any) -> list[Stage[Any]]:
    """A stage of each kind, the first with changes."""
    first, *others = RUNS.items()
    return [stage(*first, **changes), *(stage(*other) for other in others)]


def draw(folder: Path) -> Path:
    """Ten pictures of different sizes; number 4 is cut off, one name is not ASCII."""
    folder.mkdir()
    for number in range(10):
        file = folder / f"{number}{'é' if number == 7 else ''}.png"
        Image.new("RGB", (20 + number, 10), (number, 2 * number, 3 * number)).save(file)
        if number == 4:
            file.write_bytes(file.read_bytes()[:50])
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return draw(tmp_path / "pictures")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run of three stages that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    run_stages(draw(folder / "pictures"), folder / "out", three())
    return contents(folder / "out")


def written(out: Path, files: Mapping[str, bytes]) -> Path:
    """A folder of such files."""
    out.mkdir()
    for name, data in files.items():
        (out / name).write_bytes(data)
    return out


def results(out: Path) -> dict[str, Any]:
    """Of the pictures that have passed every stage: stage → result."""
    files = sorted(out.glob("*-*.jsonl"))
    found: dict[str, Any] = {}
    for file in files:
        for line in map(json.loads, file.read_text("utf-8").splitlines()):
            if line["status"] == "done":
                found.setdefault(line["path"], {})[file.stem.partition("-")[2]] = line["result"]
    return {path: of_stages for path, of_stages in found.items() if len(of_stages) == len(files)}


def contents(out: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(out.iterdir()) if file.name != ".lock"}


def test_stages_see_what_the_earlier_ones_have_written(pictures: Path, tmp_path: Path) -> None:
    report = run_stages(pictures, tmp_path / "out", three())
    assert (report.inputs, report.finished) == (10, 9)
    assert [(s.name, s.inputs, s.done, s.quarantined) for s in report.stages] == [
        ("caption", 10, 9, 1),
        ("detect", 9, 9, 0),
        ("embed", 9, 9, 0),
    ]
    assert [(q.path, q.stage) for q in report.quarantined] == [("4.png", "caption")]
    assert "truncated" in report.quarantined[0].reason
    found = results(tmp_path / "out")
    assert list(found) == [f"{n}{'é' if n == 7 else ''}.png" for n in (0, 1, 2, 3, 5, 6, 7, 8, 9)]
    assert found["7é.png"] == {
        "caption": {"text": "a picture of 27 by 10"},
        "detect": {"boxes_xyxy_px": [[0, 0, 27, 10]], "of": "a picture of 27 by 10"},
        "embed": {"vector": [7.0, 14.0, 21.0]},
    }
    assert json.loads(json.dumps(report.to_dict()))["stages"][2]["lease"]["device"] == "cpu"


def test_at_most_one_model_is_resident_and_memory_returns(pictures: Path, tmp_path: Path) -> None:
    resident: list[int] = []

    def watched(run: Callable[..., Any]) -> Callable[..., Any]:
        def watch(model: Counted, batch: list[Picture]) -> Any:
            resident.append(len(Counted.alive))
            return run(model, batch)

        return watch

    def load(_: torch.device) -> Counted:
        resident.append(len(Counted.alive) + 1)
        return Counted(48)

    stages = [stage(name, watched(run), load=load) for name, run in RUNS.items()]
    report = run_stages(pictures, tmp_path / "out", stages)
    assert len(resident) == 3 + 4 + 3 + 3  # loads, and the batches of each stage
    assert set(resident) == {1}
    assert len(Counted.alive) == 0
    for done in report.stages:
        assert done.lease is not None
        assert done.lease.resident_loaded - done.lease.resident_before > 44 * MIB
        assert done.lease.resident_loaded - done.lease.resident_after > 44 * MIB


def test_a_stage_that_keeps_its_model_is_stopped(pictures: Path, tmp_path: Path) -> None:
    kept: list[Any] = []

    def hoard(model: Counted, batch: list[Picture]) -> Any:
        kept.append(model)
        return caption(model, batch)

    def never(_: torch.device) -> Counted:
        raise AssertionError("the second model was loaded")

    stages = [stage("caption", hoard), stage("detect", detect, load=never)]
    with pytest.raises(ModelError, match="still there after its release"):
        run_stages(pictures, tmp_path / "out", stages)
    kept.clear()


@pytest.mark.parametrize("after", [0, 1, 3, 4, 6, 7, 9])
def test_an_interrupted_run_goes_on_at_its_batch(
    pictures: Path, tmp_path: Path, whole: dict[str, bytes], after: int
) -> None:
    calls = itertools.count()

    def cut(run: Callable[..., Any]) -> Callable[..., Any]:
        def step(model: Counted, batch: list[Picture]) -> Any:
            if next(calls) == after:
                raise KeyboardInterrupt
            return run(model, batch)

        return step

    with pytest.raises(KeyboardInterrupt):
        run_stages(pictures, tmp_path / "out", [stage(n, cut(f)) for n, f in RUNS.items()])
    loads: list[str] = []
    stages = [stage(n, f, load=lambda _, n=n: loads.append(n) or Counted()) for n, f in RUNS.items()]
    report = run_stages(pictures, tmp_path / "out", stages)
    assert sum(s.resumed for s in report.stages) == {0: 0, 1: 3, 3: 9, 4: 10, 6: 16, 7: 19, 9: 25}[after]
    assert loads == ["caption", "detect", "embed"][(after >= 4) + (after >= 7) :]
    assert contents(tmp_path / "out") == whole


def test_whatever_a_kill_leaves_of_a_batch_or_of_a_plan_is_cut_away(
    pictures: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    rng = random.Random(0)
    for trial in range(8):
        left = dict(whole)
        # As if the last stage had been killed somewhere between its lines.
        lines = left.pop("3-embed.jsonl")
        left["3-embed.jsonl.part"] = lines[: rng.randrange(len(lines) + 1)]
        out = written(tmp_path / f"out{trial}", left)
        run_stages(pictures, out, three())
        assert contents(out) == whole
    out = written(tmp_path / "out", {".pipeline.json.k1ll3d.part": b'{"format"'})
    run_stages(pictures, out, three())
    assert contents(out) == whole


@pytest.mark.parametrize("stages", ["caption", ["caption"], [3], [None], [["name"]], [{}]])
def test_a_plan_whose_stages_are_damaged_is_an_error(
    pictures: Path, tmp_path: Path, whole: dict[str, bytes], stages: Any
) -> None:
    plan = json.loads(whole["pipeline.json"]) | {"stages": stages}
    out = written(tmp_path / "out", whole | {"pipeline.json": json.dumps(plan).encode()})
    with pytest.raises(DataError, match=r"pipeline\.json: cannot be read"):
        run_stages(pictures, out, three()[:1])


def test_finished_stages_are_not_run_again_and_more_can_follow(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_stages(pictures, out, three()[:1])
    report = run_stages(pictures, out, three())
    assert [s.lease is None for s in report.stages] == [True, False, False]
    again = run_stages(pictures, out, three())
    assert [s.resumed for s in again.stages] == [10, 9, 9] and all(s.lease is None for s in again.stages)
    assert again.quarantined == report.quarantined
    fewer = run_stages(pictures, out, three()[:2])
    assert fewer.finished == 9 and len(results(out)["0.png"]) == 3


def test_a_picture_on_which_a_model_fails_is_named(pictures: Path, tmp_path: Path) -> None:
    def picky(model: Counted, batch: list[Picture]) -> list[dict[str, Any]]:
        for picture in batch:
            if picture.path in ("5.png", "9.png"):
                raise ValueError(f"cannot look at {picture.image.width} pixels")
        return detect(model, batch)

    stages = [stage("caption", caption), stage("detect", picky), stage("embed", embed)]
    report = run_stages(pictures, tmp_path / "out", stages)
    assert [(q.path, q.stage, q.reason) for q in report.quarantined[1:]] == [
        ("5.png", "detect", "ValueError: cannot look at 25 pixels"),
        ("9.png", "detect", "ValueError: cannot look at 29 pixels"),
    ]
    assert report.finished == 7 and "5.png" not in results(tmp_path / "out")


def test_a_model_that_fails_on_every_picture_is_not_blamed_on_them(pictures: Path, tmp_path: Path) -> None:
    def broken(model: Counted, batch: list[Picture]) -> Any:
        raise RuntimeError("shapes do not fit")

    for size in (1, 3):
        bad = [stage("caption", broken, batch_size=size)]
        with pytest.raises(ModelError, match="first [89] pictures have all failed.*shapes do not fit"):
            run_stages(pictures, tmp_path / f"out{size}", bad)
        mended = [stage("caption", caption, batch_size=size)]
        assert run_stages(pictures, tmp_path / f"out{size}", mended).finished == 9


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.\nTried")])
def test_too_little_memory_is_no_fault_of_the_pictures(
    pictures: Path, tmp_path: Path, error: Exception
) -> None:
    def large(model: Counted, batch: list[Picture]) -> Any:
        raise error

    with pytest.raises(ArgusError, match="a batch of 3 pictures does not fit into memory: .*[Mm]emory"):
        run_stages(pictures, tmp_path / "out", [stage("caption", large)])


def test_many_corrupt_pictures_in_front_do_not_stop_the_others(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"a{number:02}.jpg").write_bytes(b"\xff\xd8" if number % 2 else b"")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.png")
    report = run_stages(tmp_path, tmp_path / "out", [stage("caption", caption, batch_size=4)])
    assert report.finished == 1 and len(report.quarantined) == 20


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda m, batch: [{}], "gave 1 results for 3 pictures"),
        (lambda m, batch: [{"score": float("nan")} for _ in batch], "no JSON-ready mapping for 0.png"),
        (lambda m, batch: ["text" for _ in batch], "no JSON-ready mapping for 0.png: got str"),
        (lambda m, batch: [m(tensor(p)) for p in batch], "no JSON-ready mapping for 0.png: got Tensor"),
    ],
)
def test_a_wrong_result_is_named(pictures: Path, tmp_path: Path, run: Callable[..., Any], words: str) -> None:
    with pytest.raises(ModelError, match=f"stage 'odd'.*{words}"):
        run_stages(pictures, tmp_path / "out", [stage("odd", run)])


def test_a_picture_that_changes_between_stages_is_named(
    pictures: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    out = written(tmp_path / "out", {name: whole[name] for name in ("pipeline.json", "1-caption.jsonl")})
    Image.new("RGB", (99, 9)).save(pictures / "3.png")
    report = run_stages(pictures, out, three())
    assert [(q.path, q.stage, q.reason) for q in report.quarantined[1:]] == [
        ("3.png", "detect", "the file has changed since stage 'caption'")
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": {"version": 2}}, "stage 1.settings.version: the store has 1, now it is 2"),
        ({"batch_size": 5}, "stage 1.batch_size: the store has 3, now it is 5"),
    ],
)
def test_a_run_with_other_settings_is_refused(
    pictures: Path, tmp_path: Path, whole: dict[str, bytes], change: dict[str, Any], words: str
) -> None:
    out = written(tmp_path / "out", whole)
    with pytest.raises(DataError, match=words):
        run_stages(pictures, out, three(**change))
    assert contents(out) == whole


def test_a_run_on_other_pictures_is_refused(pictures: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    (pictures / "0.png").rename(pictures / "00.png")
    with pytest.raises(DataError, match="other pictures \\(10 then, 10 now"):
        run_stages(pictures, written(tmp_path / "out", whole), three())


def test_a_folder_with_other_files_is_refused_and_left_alone(pictures: Path) -> None:
    with pytest.raises(DataError, match="holds other files"):
        run_stages(pictures, pictures, three())
    assert len(list(pictures.iterdir())) == 10


def test_a_full_disk_is_reported(
    pictures: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "write_all", full_after(5, appending.write_all))
    with pytest.raises(ArgusError, match=r"No space left on device(.|\n)*goes on"):
        run_stages(pictures, tmp_path / "out", three())
    monkeypatch.undo()
    run_stages(pictures, tmp_path / "out", three())
    assert contents(tmp_path / "out") == whole


def test_a_second_process_is_kept_out(pictures: Path, tmp_path: Path) -> None:
    def intrude(model: Counted, batch: list[Picture]) -> Any:
        run_stages(pictures, tmp_path / "out", three())

    with pytest.raises(ModelError, match="another process is writing into this store"):
        run_stages(pictures, tmp_path / "out", [stage("caption", intrude)])


def test_a_damaged_line_is_named(pictures: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    damaged = whole["1-caption.jsonl"].replace(b'"status": "done"', b'"status": "quarantined"', 1)
    out = written(tmp_path / "out", whole | {"1-caption.jsonl": damaged})
    with pytest.raises(DataError, match="1-caption.jsonl, line 1: the line is damaged"):
        run_stages(pictures, out, three())
