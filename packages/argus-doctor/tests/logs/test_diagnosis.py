"""Why did it die? Over the logs that the rules were written with, and those that the benchmark holds."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from argus_doctor.logs.diagnosis import Diagnosis
from argus_doctor.logs.signs import CAUSES

Diagnosed = Callable[..., Diagnosis]

HERE = Path(__file__).parent
BUNDLES = [
    HERE / "development.txt",
    *sorted((HERE.parents[3] / "benchmarks" / "doctor_logs").glob("held_out*.txt")),
]


def corpus_module() -> object:
    path = HERE.parents[3] / "benchmarks" / "doctor_logs" / "corpus.py"
    spec = importlib.util.spec_from_file_location("corpus", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["corpus"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.stem)
def test_the_cause_of_death_is_named_and_nothing_for_runs_that_did_not_die(
    bundle: Path, diagnosed: Diagnosed
) -> None:
    cases = list(corpus_module().cases(bundle))  # type: ignore[attr-defined]
    said = {case.name + "/" + case.cause: diagnosed(case.text).cause for case in cases}
    wrong = {name: answer for name, answer in said.items() if not name.endswith(f"/{answer}")}
    assert len(cases) > 50 and not wrong
    assert {case.cause for case in cases} >= set(CAUSES) - {"timeout", "interrupted"}


def test_the_line_is_shown_and_what_to_do(diagnosed: Diagnosed) -> None:
    text = "step 1 loss 2\nTraceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 'x'\n"
    found = diagnosed(text)
    assert (found.cause, found.where) == ("traceback", "train.log:4")
    (death,) = found.findings
    assert death.slug == "died-traceback" and death.what == "KeyError: 'x'" and death.remedy
    assert found.to_json()["findings"][0]["where"] == "train.log:4"


OOM = """Traceback (most recent call last):
  File "a.py", line 1, in f
torch.OutOfMemoryError: CUDA out of memory. Tried
"""


@pytest.mark.parametrize(
    ("before", "after", "cause"),
    [
        ("step 1 loss 2\nstep 2 loss 2\n", "step 3 loss 1\nstep 4 loss 1\n", "none"),
        ("step 1 loss 2\nstep 2 loss 2\n", "", "cuda_oom"),
        ("step 1 loss 2\n", "Training complete\n", "none"),
        # A bar is drawn once more as it is closed.
        (
            "  1%|  | 1/99 [00:01<01:00]\r  2%|  | 2/99 [00:02<01:00]\n",
            "  3%|  | 3/99 [00:03<01:00]\n",
            "cuda_oom",
        ),
        # Standard output was held back: what was printed before comes after.
        ("step 1 loss 2\nstep 2 lo", "ss 2\nstep 3 loss 1\nstep 4 loss 1\n", "cuda_oom"),
        ("step 100 loss 2\n", "Resuming from checkpoint-90\nstep 91 loss 1\nstep 92 loss 1\n", "none"),
    ],
)
def test_what_a_run_survives_is_no_death(before: str, after: str, cause: str, diagnosed: Diagnosed) -> None:
    assert diagnosed(before + OOM + after).cause == cause


@pytest.mark.parametrize("last", [1, 2])
def test_a_log_that_ends_with_a_loss_that_is_no_number_gets_a_hint_and_no_cause(
    last: int, diagnosed: Diagnosed
) -> None:
    losses = ["0.9", "0.8", "0.7", "0.6", *["nan"] * last]
    log = "".join(f"step {k} loss: {value}\n" for k, value in enumerate(losses))
    judged = diagnosed(log)
    assert judged.cause == "none"
    assert [(one.severity, one.numbers["step"]) for one in judged.findings] == [("hint", 4)]
    assert diagnosed(log + "step 9 loss: 0.5\n").findings == []


def json_lines(**curves: list[float]) -> str:
    rows = [dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)]
    return "\n".join(json.dumps({"step": step} | row) for step, row in enumerate(rows))


def test_values_that_are_told_are_those_of_the_log(diagnosed: Diagnosed) -> None:
    (found,) = diagnosed(json_lines(loss=[1.2**step for step in range(80)])).findings
    assert found.what == "rises from 1 (step 0) to 1.8e+06 (step 79) and does not come back"
    assert found.numbers["lowest"] == 1 and found.numbers["step"] == 0
    fell_and_rose = [max(2 - 0.02 * step, 0.5) for step in range(80)] + [
        0.5 + 0.4 * step for step in range(20)
    ]
    (found,) = diagnosed(json_lines(loss=fell_and_rose)).findings
    assert found.what.startswith("rises from 0.5 (step 75) to 8.1 (step 99)") and "began at 2" in found.what
    held_out = [max(2 - 0.2 * step, 1 + 0.1 * (step - 5)) for step in range(30)]
    found = diagnosed(json_lines(val_loss=held_out, loss=[0.8**step for step in range(30)])).findings[0]
    assert found.what.startswith("is lowest at step 5 (1) and 3.4 at the end")


def test_one_fact_is_told_once_and_what_came_first_before(diagnosed: Diagnosed) -> None:
    nan = math.nan
    loss = [2 - 0.05 * step for step in range(20)] + [1.5**step for step in range(15)] + [nan] * 5
    norm = [1.0] * 34 + [nan] * 6
    judged = diagnosed(json_lines(loss=loss, grad_norm=norm))
    assert (judged.cause, judged.findings[0].slug) == ("nan_loss", "died-nan-loss")
    told = [(one.numbers["curve"], one.numbers["step"]) for one in judged.findings[1:]]
    assert told == [("loss", 20), ("grad_norm", 34)]


def test_curves_that_were_read_are_named_or_that_there_were_none(diagnosed: Diagnosed) -> None:
    judged = diagnosed("step 1 loss 2.0\nstep 2 loss 1.9 grad_norm 0.1\n")
    assert judged.to_json()["curves"] == {"loss": 2, "grad_norm": 1}
    assert judged.in_short() == "No cause of death: the log shows none. Curves read: loss (2), grad_norm (1)."
    for text in ("Dear diary, today loss: the dog.\n", "第 1 轮 损失: 2.3\n"):
        nothing = diagnosed(text)
        assert nothing.cause == "none" and nothing.to_json()["curves"] == {}
        assert nothing.in_short().endswith("No curve was recognised in it.")


def test_a_rank_that_prints_a_little_longer_does_not_hide_the_death_of_another(diagnosed: Diagnosed) -> None:
    died = "".join(f"[rank1]: {line}\n" for line in OOM.splitlines())
    others = "[rank0]: step 2 loss 1\n[rank2]: step 2 loss 1\n[rank0]: step 3 loss 1\n"
    assert diagnosed(f"[rank0]: step 1 loss 2\n{died}{others}").cause == "cuda_oom"


def test_two_interleaved_tracebacks_are_told_apart_by_rank(diagnosed: Diagnosed) -> None:
    lines = [
        "[rank0]: Traceback (most recent call last):",
        "[rank1]: Traceback (most recent call last):",
        '[rank1]:   File "a.py", line 1',
        '[rank0]:   File "a.py", line 1',
        "[rank1]: AssertionError: first",
        "[rank0]: RuntimeError: NCCL communicator was aborted on rank 0.",
    ]
    found = diagnosed("\n".join(lines))
    assert (found.cause, found.where) == ("assertion", "train.log:5")


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_log_cut_anywhere_is_read(cut: int, diagnosed: Diagnosed) -> None:
    text = (
        "step 1 loss 2.0\n"
        + OOM
        + "\nDuring handling of the above exception, another exception occurred:\n\n"
        + OOM
    )
    assert diagnosed(text[: cut + 1]).cause in CAUSES
