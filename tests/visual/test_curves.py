from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from argusvl.visual.curves import Chart, chart_groups


def charts(log: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Chart]:
    return {(group.title, chart.title): chart for group in chart_groups(log) for chart in group.charts}


def lines(log: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[str]]:
    return {key: [entry.name for entry in chart.legend] for key, chart in charts(log).items()}


def test_a_log_is_sorted_into_charts() -> None:
    log: list[dict[str, Any]] = [
        {"step": s, "epoch": s / 10, "loss": 9.0 - s, "bbox_l1_loss": 1 / (s + 1), "learning_rate": 1e-3}
        | {"bbox_l1_aux_loss": 2.0, "lm_loss": 3.0, "teacher_lm_loss": 1.0, "student_lm_loss": 2.0}
        | {"caption_loss": 5.0, "lr/vision": 1e-3, "lr/llm": 1e-4, "grad_norm": 3.0, "gn/vision": 2.0}
        | {"gs/bbox_l1": 0.75, "gs/lm": 0.25, "gt/bbox_l1": 3.0, "gt/lm": 1.0}
        | {f"ae/m.vision.layers.{n}.attn": 0.5 + n / 10 for n in range(2)}
        | {"wn/llm": 40.0, "throughput/images_per_second": 12.0, "train_runtime": 3.0}
        for s in range(3)
    ]
    log += [
        {"step": 2, "eval_loss": 4.0, "eval_AP50": 0.5, "eval_AP": 0.25, "eval_runtime": 1.0}
        | {"eval_AP50/a": 0.5, "eval_lm_loss": 2.5, "eval_caption_loss": 1.5}
    ]
    found = lines(log)
    assert found == {
        ("Quality", "all classes"): ["AP50", "AP"],
        ("Quality", "AP50 by class"): ["a"],
        ("Loss by term", "all terms"): ["bbox l1", "lm", "caption"],
        ("Loss by term", "share of the gradients at what objectives share"): ["bbox l1", "lm"],
        ("Loss by term", "total loss"): ["training", "held-out"],
        ("Loss by term", "bbox l1"): ["bbox l1", "aux"],
        ("Loss by term", "lm"): ["lm", "teacher", "student", "lm, held-out"],
        ("Loss by term", "caption"): ["training", "held-out"],
        ("By parameter group", "learning rate"): ["vision", "llm"],
        ("Gradients and weights", "gradient norm"): ["vision", "all"],
        ("Gradients and weights", "weight norm"): ["llm"],
        ("Gradients and weights", "entropy of attention, the narrowest layer"): ["vision.layers.attn"],
        ("Everything else", "throughput: images per second"): ["images per second"],
    }
    quality = charts(log)["Quality", "all classes"]
    assert [entry.last for entry in quality.legend] == ["0.500", "0.250"]


def test_a_parameter_group_has_one_colour() -> None:
    log = [{"step": 1, "grad_norm": 1.0} | {f"{kind}/{g}": 1.0 for kind in ("gn", "wn", "lr") for g in "ab"}]
    colours = [{e.name: e.colour for e in c.legend if e.name != "all"} for c in charts(log).values()]
    assert colours == [{"a": "s0", "b": "s1"}] * 3


@pytest.mark.parametrize(
    ("log", "warning", "marked"),
    [
        ([(1, math.nan), (2, 1.0), (3, math.inf)], "training: 2 values are not finite", 2),
        ([(1, math.nan)], "training: 1 value is not finite", 0),
        ([(None, 1.0), ("two", 10**400), (3, 0.5)], "training: 1 value is not finite", 1),
    ],
    ids=["some values", "every value: no chart, but its warning", "a log that somebody has changed"],
)
def test_a_loss_that_was_not_finite_is_said(log: list[tuple[Any, Any]], warning: str, marked: int) -> None:
    (chart,) = charts([{"step": step, "loss": loss} for step, loss in log]).values()
    assert chart.warning == warning and chart.svg.count('class="bad"') == marked
    assert bool(chart.svg) == (len(log) > 1)


def test_an_empty_log_has_no_charts() -> None:
    assert chart_groups([]) == []
    assert chart_groups([{"step": 1, "epoch": 0.1}]) == []
