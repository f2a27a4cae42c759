"""`argus doctor check`, `watch` and `new`, on the toy task."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from test_watching import STEPS, CarefulTask
from toy_task import toy_config, train

from argusvl.run.events import append_event
from argusvl.training.preflight import CheckResult, preflight
from argusvl.training.protocol import ParameterGroup

FAST = ParameterGroup("head", r"^head\.", 0.02), ParameterGroup("body", r".", 30.0)


def asked(task: CarefulTask, folder: Path, **changes: Any) -> dict[str, CheckResult]:
    config = toy_config(folder / "run", **STEPS | {"per_device_train_batch_size": 8} | changes)
    return {answer.name: answer for answer in preflight(task, config)}


def test_a_sound_run_has_no_finding_and_leaves_no_folder(tmp_path: Path) -> None:
    answers = asked(CarefulTask(), tmp_path)
    assert [name for name, answer in answers.items() if answer.findings] == []
    assert list(answers)[:4] == ["configuration", "data", "parameters", "batch"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        (FAST, ["batch-not-learned"]),
        ((ParameterGroup("slow, and still learning", r".", 1.5e-4),), []),
        ((ParameterGroup("too slow", r".", 1e-6),), ["batch-not-learned"]),
    ],
)
def test_rates_at_which_a_batch_is_not_learned_are_found(
    tmp_path: Path, groups: tuple[ParameterGroup, ...], found: list[str]
) -> None:
    answers = asked(CarefulTask(groups=groups), tmp_path)
    assert [one.slug for one in answers["one batch"].findings] == found


def test_weights_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    class Broken(CarefulTask):
        def model(self) -> Any:
            model = super().model()
            with torch.no_grad():
                model.body.weight[0, 0] = float("nan")
            return model

    answers = asked(Broken(), tmp_path)
    assert [(one.slug, one.where) for one in answers["parameters"].findings] == [
        ("weights-not-finite", "body.weight")
    ]
    assert answers["first loss"].findings[0].slug == "non-finite-loss"


def test_watch_shows_what_a_run_has_found_and_ends_with_it(argus: Any, tmp_path: Path) -> None:
    train(CarefulTask(groups=FAST), tmp_path / "run", **STEPS)
    assert "learning-rate-too-high" in argus("doctor", "watch", tmp_path / "run", code=1).out
    shown = argus("doctor", "watch", tmp_path / "run", "--json", code=1).json["findings"]
    assert shown[0]["id"] == "N-408" and shown[0]["group"] == "body"


def test_watch_takes_a_run_that_has_hardly_begun_and_refuses_what_is_none(argus: Any, tmp_path: Path) -> None:
    append_event(tmp_path / "young", 0, "started", max_steps=3, processes=1)
    with (tmp_path / "young" / "events.jsonl").open("a") as stream:
        stream.write('{"event": "found", "find')  # half a line
    argus("doctor", "watch", tmp_path / "young", "--once")
    (tmp_path / "empty").mkdir()
    assert "output_dir" in argus("doctor", "watch", tmp_path / "empty", code=2).err
    (tmp_path / "young" / "events.jsonl").write_bytes(b"\x00\xff\n" * 40)
    assert "no line of it can be read" in argus("doctor", "watch", tmp_path / "young", "--once", code=2).err


@pytest.mark.parametrize("expression", [" + ".join(["x"] * 20_000), "-" * 20_000 + "1", "(" * 20_000])
def test_a_script_without_end_is_refused(argus: Any, expression: str, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(f"y = {expression}\n", encoding="utf-8")
    said = argus("doctor", "check", script, code=2).err
    assert str(script) in said and "What to do" in said


def test_new_prints_an_entry_with_a_free_id(argus: Any) -> None:
    assert 'slug = "tokens-shifted"' in argus("doctor", "new", "tokens-shifted").out
    argus("doctor", "new", "mode-collapse", code=2)


SCRIPT = """import torch.nn.functional as F

def fit(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = -F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
"""


def test_a_script_is_read_and_what_mends_it_is_printed_as_a_diff(argus: Any, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    shown = argus("doctor", "check", script, code=1)
    assert "missing-zero-grad" in shown.out and shown.err == "2 findings\n"
    found = argus("doctor", "check", script, "--json", code=1).json["findings"]
    assert {one["kind"] for one in found} >= {"missing-zero-grad"} and len(found) == 2
    shown = argus("doctor", "check", script, "--diff", code=1)
    assert "+        optimizer.zero_grad()" in shown.out
    assert "cross_entropy" not in shown.out.replace("         loss = -F.cross_entropy(model(x), y)\n", "")
    assert "N-410" in shown.err and "N-401" in shown.err
    assert script.read_text(encoding="utf-8") == SCRIPT
    argus("doctor", "check", script, "--diff", "--json", code=2)
