from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from toy_task import ToyModel, ToyTask, contents, logged, losses, toy_config, train

from argusvl.core.errors import CheckpointError, ConfigError, DataError
from argusvl.core.figures import FigureSpec
from argusvl.run import checkpoints
from argusvl.run.checkpoints import (
    checkpoint_at,
    list_checkpoints,
    read_best,
    remove_leftovers,
    verify_checkpoint,
)
from argusvl.training.snapshot import Snapshot
from argusvl.training.trainer import ArgusTrainer


def hidden(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


# ---- a disk that is full -------------------------------------------------------------------------------------


def full_disk(*args: Any, **kwargs: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def torch_cannot_write(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")


WRITERS: dict[str, tuple[Any, str, Callable[..., None]]] = {
    "weights": (ToyModel, "save_pretrained", full_disk),
    "assets": (ToyTask, "save_assets", full_disk),
    "optimizer": (Snapshot, "write", torch_cannot_write),
    "manifest": (checkpoints, "_write_manifest", full_disk),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_failed_write_leaves_the_rest(
    copied: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    options: dict[str, Any] = {"save_steps": 3, "eval_steps": 100, "max_steps": 6}
    run = copied(**options)
    whole, before = logged(run), contents(run / "checkpoint-3")
    shutil.rmtree(run / "checkpoint-6")  # as if it had died after step 3
    place, name, failing = WRITERS[writer]
    monkeypatch.setattr(place, name, failing)
    with pytest.raises(CheckpointError) as caught:
        train(ToyTask(), run, resume=True, **options)

    assert "checkpoint-6" in str(caught.value.where) and "was not written" in caught.value.what
    assert "--resume" in str(caught.value.remedy)
    if failing is full_disk:
        assert "the disk is full" in caught.value.what
    assert [step for step, _ in list_checkpoints(run)] == [3]
    assert before and contents(run / "checkpoint-3") == before
    assert hidden(run) == []

    monkeypatch.undo()
    parts = train(ToyTask(), run, resume=True, **options)
    assert losses(parts) == losses(whole)


@pytest.mark.parametrize("writer", ["safetensors", "torch", "python"])
def test_a_disk_that_is_really_full(small_disk: Callable[[str], Path], writer: str) -> None:
    class Filling(ToyTask):
        """Its second checkpoint does not fit."""

        def save_assets(self, folder: Path) -> None:
            super().save_assets(folder)
            assert shutil.disk_usage(folder).free > 2**22
            if writer == "safetensors":
                save_file({"big": torch.zeros(2**21 + 2**20)}, folder / "more.safetensors")
            elif writer == "torch":
                torch.save(torch.zeros(2**21 + 2**20), folder / "more.pt")
            else:
                (folder / "more.bin").write_bytes(bytes(3 * 2**22))

    run, options = small_disk("8m") / "run", {"save_steps": 2, "eval_steps": 100}
    train(ToyTask(), run, max_steps=2, **options)
    before = contents(run / "checkpoint-2")
    with pytest.raises(CheckpointError, match="the disk is full") as caught:
        train(Filling(), run, resume=True, max_steps=4, **options)
    assert "free space" in str(caught.value.remedy) and "checkpoint-4" in str(caught.value.where)
    with pytest.raises(CheckpointError) as first:
        train(Filling(), small_disk("8m") / "other", max_steps=2, **options)
    assert "train again" in str(first.value.remedy) and "--resume" not in str(first.value.remedy)
    assert [step for step, _ in list_checkpoints(run)] == [2]
    assert contents(run / "checkpoint-2") == before
    assert hidden(run) == []


def test_an_error_that_is_no_failed_write_is_not_called_one(tmp_path: Path) -> None:
    class Buggy(ToyTask):
        def save_assets(self, folder: Path) -> None:
            raise DataError("no labels")

    with pytest.raises(DataError, match="no labels"):
        train(Buggy(), tmp_path / "run", max_steps=2)
    assert hidden(tmp_path / "run") == [] and list_checkpoints(tmp_path / "run") == []


# ---- what is in a checkpoint ---------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(copied: Callable[..., Path]) -> Path:
    return copied(max_steps=2, ema_decay=0.9) / "checkpoint-2"


INDEX = "model.safetensors.index.json"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def test_a_whole_checkpoint_is_accepted(checkpoint: Path) -> None:
    verify_checkpoint(checkpoint)
    verify_checkpoint(checkpoint, for_resume=True)
    (checkpoint / "toy.json").write_text('{"edited": "by hand"}')
    verify_checkpoint(checkpoint, for_resume=True)


TRUNCATED = (
    "model.safetensors",
    "optimizer.pt",
    "training_state/ranks.pt",
    "training_state/averages.safetensors",
)
MISSING = "model.safetensors", "config.json", "toy.json", "trainer_state.json"
DAMAGES = [(name, truncate, "is truncated") for name in TRUNCATED]
DAMAGES += [(name, Path.unlink, "is missing") for name in MISSING]


@pytest.mark.parametrize(("name", "damage", "said"), DAMAGES)
def test_a_damaged_file_is_refused_by_name(
    checkpoint: Path, name: str, damage: Callable[[Path], None], said: str
) -> None:
    damage(checkpoint / name)
    with pytest.raises(CheckpointError, match=said) as caught:
        verify_checkpoint(checkpoint, for_resume=True)
    assert caught.value.where == str(checkpoint / name)
    if name.endswith(".pt") or name.startswith("training_state"):
        verify_checkpoint(checkpoint)  # prediction does not need it


@pytest.mark.parametrize("damage", [b"", b"\x00" * 4, b"\xff" * 40, (5).to_bytes(8, "little") + b"[1,2]"])
def test_what_is_no_safetensors_file_is_refused_by_name(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(damage)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        verify_checkpoint(tmp_path)


def test_shards_are_checked_against_their_index(tmp_path: Path) -> None:
    """As in a folder of a hub, which has no manifest of ours."""
    save_file({"a": torch.ones(3)}, tmp_path / "model-1.safetensors")
    save_file({"b": torch.ones(3)}, tmp_path / "model-2.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / INDEX).write_text(json.dumps(index))
    verify_checkpoint(tmp_path)
    for damage, said in ((truncate, "truncated"), (Path.unlink, "missing")):
        damage(tmp_path / "model-2.safetensors")
        with pytest.raises(CheckpointError, match=rf"model-2\.safetensors: is {said}"):
            verify_checkpoint(tmp_path)


def test_folders_without_weights_or_manifest(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        verify_checkpoint(tmp_path / "none")
    with pytest.raises(CheckpointError, match="holds no weights"):
        verify_checkpoint(tmp_path)
    save_file({"a": torch.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"checkpoint\.json: is missing"):
        verify_checkpoint(tmp_path, for_resume=True)


def test_a_damaged_only_checkpoint_is_named_when_resuming(checkpoint: Path) -> None:
    truncate(checkpoint / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"no checkpoint is complete.*model\.safetensors is truncated"):
        train(ToyTask(), checkpoint.parent, resume=True)


# ---- rotation and the best -----------------------------------------------------------------------------------


def test_rotation_keeps_the_best_and_the_newest(tmp_path: Path) -> None:
    scores = [0.1, 0.9, 0.2, 0.3, 0.4, 0.5]
    task = ToyTask(scores=list(scores))
    train(task, tmp_path / "run", save_steps=1, eval_steps=2, save_total_limit=2)
    assert [step for step, _ in list_checkpoints(tmp_path / "run")] == [4, 12]
    best = read_best(tmp_path / "run")
    assert best is not None
    assert (best.checkpoint, best.step, best.metric, best.value) == ("checkpoint-4", 4, "score", 0.9)
    assert (tmp_path / "run" / "best").resolve() == (tmp_path / "run" / "checkpoint-4").resolve()
    verify_checkpoint(tmp_path / "run" / "best")


def test_the_best_is_saved_between_two_save_steps_and_is_never_one_without_a_number(tmp_path: Path) -> None:
    task = ToyTask(scores=[float("nan"), 0.5, 0.3, float("nan")])
    train(task, tmp_path / "run", save_steps=100, eval_steps=3)
    assert [step for step, _ in list_checkpoints(tmp_path / "run")] == [6, 12]
    state = json.loads((tmp_path / "run" / "checkpoint-12" / "trainer_state.json").read_text())
    assert Path(state["best_model_checkpoint"]).name == "checkpoint-6"


def test_the_best_survives_a_resumption_and_a_move(tmp_path: Path) -> None:
    task = ToyTask(scores=[0.9, 0.2, 0.3, 0.1])
    options: dict[str, Any] = {"eval_steps": 3, "save_steps": 3, "save_total_limit": 1}
    train(task, tmp_path / "run", max_steps=6, **options)
    (tmp_path / "run").rename(tmp_path / "moved")
    train(task, tmp_path / "moved", resume=True, max_steps=12, **options)
    assert [step for step, _ in list_checkpoints(tmp_path / "moved")] == [3, 12]
    best = read_best(tmp_path / "moved")
    assert best is not None and best.step == 3


@pytest.mark.parametrize("killed", [False, True])
def test_training_ends_where_the_figure_no_longer_gains(tmp_path: Path, killed: bool) -> None:
    scores = [0.1, 0.5, 0.3, 0.5, 0.2, 0.9]
    options: dict[str, Any] = {"eval_steps": 2, "save_steps": 2, "early_stopping_patience": 3}
    task = ToyTask(scores=list(scores))
    if killed:
        train(task, tmp_path / "run", max_steps=6, **options)
    train(task, tmp_path / "run", resume=killed, max_steps=12, **options)
    best = read_best(tmp_path / "run")
    assert best is not None and best.step == 4
    assert [step for step, _ in list_checkpoints(tmp_path / "run")][-1] == 10


def test_a_figure_that_is_declared_and_not_given_is_named_and_the_state_is_saved(tmp_path: Path) -> None:
    class Promising(ToyTask):
        def figures(self) -> dict[str, FigureSpec]:
            return super().figures() | {"AP51": FigureSpec("promised", "higher")}

    options: dict[str, Any] = {"save_steps": 100, "eval_steps": 3}
    with pytest.raises(ConfigError, match="gives no figure 'AP51'") as caught:
        train(Promising(), tmp_path / "run", metric_for_best_model="AP51", **options)
    assert "error, score" in str(caught.value.remedy) and caught.value.where == "metric_for_best_model"
    train(ToyTask(), tmp_path / "run", resume=True, **options)
    assert (tmp_path / "run" / "checkpoint-12").is_dir()


def test_a_task_without_figures_has_no_best(tmp_path: Path) -> None:
    class Silent(ToyTask):
        def evaluate(self, model: Any, dataset: Any, parallel: Any) -> dict[str, float]:
            return {}

    train(Silent(), tmp_path / "run")
    assert read_best(tmp_path / "run") is None and (tmp_path / "run" / "checkpoint-12").is_dir()


def test_a_kept_best_that_was_removed_by_hand_does_not_stop_the_next_best(tmp_path: Path) -> None:
    checkpoints.write_best(tmp_path, checkpoints.BestCheckpoint("best-3", 3, "accuracy", 0.5))
    (tmp_path / "checkpoint-5").mkdir()
    better = checkpoints.BestCheckpoint("checkpoint-5", 5, "accuracy", 0.75)
    assert checkpoints.record_best(tmp_path, better) == tmp_path / "checkpoint-5"
    assert read_best(tmp_path) == better


BEST = {"checkpoint": "checkpoint-3", "step": 3, "metric": "accuracy", "value": 0.5}
ELSEWHERE = "names .*, which is not in the folder"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"step": 3}, "field 'checkpoint': Field required"),
        (BEST | {"by": "hand"}, "field 'by'"),
        (BEST | {"step": "x"}, "field 'step': .* a valid integer"),
        (BEST | {"value": "x"}, "field 'value': .* a valid number"),
        (BEST | {"checkpoint": "../elsewhere"}, ELSEWHERE),
        (BEST | {"checkpoint": "checkpoint-2/../../elsewhere"}, ELSEWHERE),
        (BEST | {"checkpoint": str(Path(__file__).parent)}, ELSEWHERE),
    ],
)
def test_a_damaged_pointer_is_named(tmp_path: Path, told: dict[str, Any], said: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "best_checkpoint.json").write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match=rf"best_checkpoint\.json: {said}"):
        checkpoint_at(tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "told", "said"),
    [
        ("checkpoint.json", {"files": {"model.safetensors": "x"}}, "without its size"),
        ("checkpoint.json", {"files": {"m" * 300: 3}}, "mmm"),
        ("checkpoint.json", {"files": {"../a.safetensors": 80}}, ELSEWHERE),
        (INDEX, {"weight_map": {"weight": 5}}, "names no file"),
        (INDEX, {"weight_map": {"c": "model.safetensors"}}, "lacks the tensor c"),
        (INDEX, {"weight_map": {"weight": "m" * 300}}, "mmm"),
        (INDEX, {"weight_map": {"a": "../a.safetensors"}}, ELSEWHERE),
    ],
)
def test_a_list_of_files_that_is_none_is_refused(
    tmp_path: Path, name: str, told: dict[str, Any], said: str
) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"weight": torch.ones(2)}, folder / "model.safetensors")
    (folder / name).write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match=said):
        verify_checkpoint(folder)


def test_leftovers_of_a_killed_process_are_removed_or_put_back(tmp_path: Path) -> None:
    for name in (
        ".checkpoint-5.abc.part",
        ".deleted-checkpoint-1",
        "checkpoint-4",
        ".checkpoint-4.abc.old/checkpoint-4",
    ):
        (tmp_path / name).mkdir(parents=True)
    # Killed in the moment between the two renames of a replacement: the old folder is the only whole one.
    (tmp_path / ".checkpoint-6.abc.old" / "checkpoint-6").mkdir(parents=True)
    (tmp_path / ".mine").mkdir()
    remove_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mine", "checkpoint-4", "checkpoint-6"]


def test_the_saved_weights_load_and_the_state_reads_without_pickled_code(tmp_path: Path) -> None:
    trainer = ArgusTrainer(ToyTask(), toy_config(tmp_path / "run", max_steps=2))
    trainer.train()
    folder = tmp_path / "run" / "checkpoint-2"
    loaded = ToyModel.from_pretrained(folder).state_dict()
    for name, value in trainer.run.network.state_dict().items():
        assert torch.equal(value, loaded[name]), name
    for path in folder.rglob("*.pt"):
        torch.load(path, weights_only=True)
    assert not (folder / "training_args.bin").exists()
