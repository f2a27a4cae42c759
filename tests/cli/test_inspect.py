from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from argusvl.cli.main import run
from argusvl.config.loading import to_yaml
from argusvl.tasks import load_run_config

CONFIG = Path(__file__).parents[2] / "configs" / "bbu_room.yaml"


@pytest.fixture
def config_file(scenes: Path, tmp_path: Path) -> Path:
    """A run on the drawn scenes, each with a teacher out of the same file."""
    own = [f"train={scenes}", "val=null", f"teacher_pool={scenes}"]
    overrides = [*own, "teacher_ratio=1.0", "num_teachers=1"]
    path = tmp_path / "run.yaml"
    path.write_text(to_yaml(load_run_config(CONFIG, overrides)), encoding="utf-8")
    return path


@pytest.fixture
def trained_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """The tiny checkpoint with the configuration of a run."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    assets = json.loads((folder / "argus.json").read_text("utf-8"))
    assets["config"] = load_run_config(CONFIG, ["vision_lr=0", "llm_lr=0.5"]).model_dump(mode="json")
    (folder / "argus.json").write_text(json.dumps(assets), encoding="utf-8")
    return folder


def test_tokens_of_a_checkpoint_as_json(argus: Any, tiny_checkpoint: Path, scenes: Path) -> None:
    result = argus("inspect", "tokens", scenes, "--model", tiny_checkpoint, "--index", "1", "--json").json
    assert (result["records"], result["model_max_length"], result["too_long"]) == (5, 1024, 0)
    record = result["record"]
    assert record["source"].endswith("val.jsonl:2")
    assert sum(part["tokens"] for part in record["parts"]) == record["tokens"]
    answer = next(p for p in record["parts"] if p["part"] == "student answer")
    labels = [entry["label"] for entry in json.loads(answer["text"].removesuffix("<|im_end|>"))]
    assert labels == ["标签贴纸", "bbu基带处理单元/华为"]


def test_tokens_for_people_show_the_table_and_the_text(
    argus: Any, tiny_checkpoint: Path, scenes: Path
) -> None:
    output = argus("inspect", "tokens", scenes, "--model", tiny_checkpoint, "--index=-2")
    assert output.out == ""
    for text in ("student answer", "conversation", "Longest", "5 records, 0 of them", "val.jsonl:4"):
        assert text in output.err
    assert "<|im_start|>user" in output.err
    assert "<|image_pad|>×" in output.err
    assert "<|image_pad|><|image_pad|>" not in output.err


def test_tokens_by_a_configuration_show_its_teachers(argus: Any, config_file: Path, scenes: Path) -> None:
    result = argus("inspect", "tokens", scenes, "--config", config_file, "--json").json
    assert (result["with_teachers"], result["model_max_length"]) == (5, 2048)
    assert any(p["part"] == "teacher answer" for p in result["record"]["parts"])


def test_tokens_of_a_plain_hub_folder_use_its_own_limits(
    argus: Any, tiny_checkpoint: Path, scenes: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "hub"
    shutil.copytree(tiny_checkpoint / "qwen", folder)
    ask = ["inspect", "tokens", scenes, "--model", folder, "--json"]
    assert "preprocessor_config.json" in argus(*ask, code=2).err
    (folder / "preprocessor_config.json").write_text('{"min_pixels": 3136, "max_pixels": 7000}')
    result = argus(*ask).json
    assert result["model_max_length"] == 2048
    assert next(p for p in result["parts"] if p["part"] == "student image")["least"] <= 7000 // 784


def test_records_longer_than_the_limit_are_counted_not_refused(
    argus: Any, tiny_checkpoint: Path, scenes: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "short"
    shutil.copytree(tiny_checkpoint, folder)
    assets = json.loads((folder / "argus.json").read_text("utf-8")) | {"model_max_length": 10}
    (folder / "argus.json").write_text(json.dumps(assets))
    said = argus("inspect", "tokens", scenes, "--model", folder, "--max-examples", "3").err
    assert "3 records are longer than model_max_length, 10" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jsonl", "--model", "CHECKPOINT"], "missing.jsonl"),
        (["SCENES"], "--model and --config"),
        (["SCENES", "--model", "CHECKPOINT", "--config", "x.yaml"], "--model and --config"),
        (["SCENES", "--model", "CHECKPOINT", "--index", "5"], "0 to 4"),
        (["SCENES", "--model", "nowhere"], "nowhere"),
    ],
)
def test_a_users_mistake_is_named_and_ends_with_2(
    argus: Any, tiny_checkpoint: Path, scenes: Path, arguments: list[str], message: str
) -> None:
    places = {"SCENES": scenes, "CHECKPOINT": tiny_checkpoint}
    assert message in argus("inspect", "tokens", *(places.get(a, a) for a in arguments), code=2).err


def test_params_put_every_parameter_into_one_group(argus: Any, trained_checkpoint: Path) -> None:
    rows = {row["group"]: row for row in argus("inspect", "params", trained_checkpoint, "--json").json}
    assert set(rows) == {"vision", "merger", "llm", "detection", "adapter"}
    assert (rows["vision"]["trainable"], rows["vision"]["learning_rate"]) == (0, 0)
    assert rows["llm"]["learning_rate"] == 0.5
    assert all(".merger." in name for name in rows["merger"]["examples"])
    assert all("adapter" in name for name in rows["adapter"]["examples"])
    output = argus("inspect", "params", trained_checkpoint)
    assert output.out == ""
    for text in ("vision", "frozen", "adapter", "all"):
        assert text in output.err


def test_a_checkpoint_of_another_version_is_read(argus: Any, trained_checkpoint: Path) -> None:
    """Its stored configuration lacks keys that today's schema asks for, and has one that it does not know."""
    file = trained_checkpoint / "argus.json"
    assets = json.loads(file.read_text("utf-8"))
    for key in ("task", "detection", "data"):
        assets["config"].pop(key)
    rates = assets["config"]["training"]
    rates["of_yesterday"] = rates.pop("warmup_ratio")
    file.write_text(json.dumps(assets), encoding="utf-8")
    assert len(argus("inspect", "params", trained_checkpoint, "--json").json) == 5
    rates.pop("llm_lr")  # the one that is asked for
    file.write_text(json.dumps(assets), encoding="utf-8")
    assert "has no llm_lr" in argus("inspect", "params", trained_checkpoint, "--json", code=2).err


def test_params_of_something_else_are_a_users_mistake(argus: Any, tmp_path: Path) -> None:
    assert "argus.json" in argus("inspect", "params", tmp_path, code=2).err


def test_memory_of_a_checkpoint_by_strategy(argus: Any, tiny_checkpoint: Path) -> None:
    ask = ["inspect", "memory", tiny_checkpoint, "--samples", "2", "--tokens", "100", "--image-tokens", "4"]
    said = argus(*ask, "--json").json
    assert said["batch"]["samples"] == 2 and said["configured"] == "all weights, float32"
    needs = {one["name"]: one for one in said["strategies"]}
    parameters = sum(said["parameters"].values())
    plain = needs["all weights, float32"]
    assert plain["start"] == 12 * parameters < plain["forward"] <= plain["peak"]
    assert plain["fits_on_gib"] == [24, 40, 80]


def test_memory_of_a_folder_as_the_hub_has_it_is_that_of_a_training_from_it(
    argus: Any, tiny_checkpoint: Path
) -> None:
    said = argus(
        "inspect", "memory", tiny_checkpoint / "qwen", "--tokens", "100", "--image-tokens", "4", "--json"
    ).json
    own = argus("inspect", "memory", tiny_checkpoint, "--tokens", "100", "--image-tokens", "4", "--json").json
    assert {part: said["parameters"][part] for part in ("vision", "language")} == {
        part: own["parameters"][part] for part in ("vision", "language")
    }
    assert said["parameters"]["head"] > own["parameters"]["head"]  # that of configs/qwen25_vl_3b.yaml


def test_memory_of_a_configuration_with_a_lora_is_that_of_a_lora(
    argus: Any, repository: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    shipped = (repository / "configs/qwen25_vl_3b_lora_24gib.yaml").read_text("utf-8")
    config = tmp_path / "lora.yaml"
    qwen = str(tiny_checkpoint / "qwen")
    config.write_text(shipped.replace("models/Qwen2.5-VL-3B-Instruct", qwen), "utf-8")
    found = argus("inspect", "memory", config, "--tokens", "128", "--image-tokens", "16", "--json").json
    assert found["configured"] == "LoRA 16, checkpointing"


def test_a_soak_trains_and_tells_how_memory_went(
    capsys: pytest.CaptureFixture[str], quiet_logging: None, tiny_checkpoint: Path
) -> None:
    ended = run(["inspect", "memory", str(tiny_checkpoint), "--soak", "20", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["steps"], said["limit"]) == (20, 8.0)
    assert ended == (1 if said["verdict"] == "grows" else 0)  # of so few steps either may be said


@pytest.mark.parametrize("what", ["nothing.yaml", "nowhere", "13B"])
def test_memory_of_nothing_is_the_users_mistake(argus: Any, what: str) -> None:
    assert f"{what}: no such" in argus("inspect", "memory", what, code=2).err
