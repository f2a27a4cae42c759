from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from argusvl.core.errors import ArgusError, DataError
from argusvl.visual.run_folder import load_run


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), encoding="utf-8"
    )


def state(folder: Path, steps: int, **last: float) -> None:
    write(
        folder / f"checkpoint-{steps}" / "trainer_state.json",
        {
            "global_step": steps,
            "log_history": [{"step": 1, "loss": 2.0}, {"step": steps, "loss": 1.0, **last}],
        },
    )


def test_a_whole_run_is_read(tmp_path: Path) -> None:
    run = tmp_path / "demo"
    for steps in (9, 100, 20):
        state(run, steps)
    Image.new("RGB", (40, 30)).save(run / "a.jpg")
    figures = {"AP50": 0.9, "AP": 0.6, "images": 12, "caption_exact": None}
    write(
        run / "summary.json",
        {"ap50": 0.9, "train_seconds": 12.5, "before": {"AP50": 0.0}, "after": figures}
        | {"per_class": {"螺丝": {"AP50": 0.9, "AP": None}}},
    )
    found = {"bbox_2d": [1, 2, 9, 9], "label": "螺丝", "score": 0.5}
    truth = {"bbox_2d": [1, 2, 9, 8.5], "desc": "螺丝/a"}
    write(
        run / "gallery.json",
        {"score_threshold": 0.3, "images": [{"image": "a.jpg", "truth": [truth], "predictions": [found]}]},
    )
    write(run / "config.yaml", "task: detection\n")
    write(
        run / "environment.json",
        {"python": "3.11", "packages": {"torch": "2.13"}, "devices": ["cpu", "cuda:0"]},
    )
    data = load_run(run)
    assert (data.title, data.subtitle) == ("demo", "100 training steps")
    assert [entry["step"] for entry in data.log_history] == [1, 100]
    assert [(row.name, row.before, row.after) for row in data.figures] == [
        ("AP50", 0.0, 0.9),
        ("AP", None, 0.6),
        ("caption_exact", None, None),
    ]
    assert data.facts == {"train_seconds": 12.5, "images evaluated": 12}
    assert data.per_class == {"螺丝": {"AP50": 0.9, "AP": None}}
    (item,) = data.gallery
    assert item.image == run / "a.jpg"
    assert [(b.label, b.score) for b in (*item.truth, *item.predicted)] == [("螺丝/a", None), ("螺丝", 0.5)]
    assert "0.3" in data.gallery_note
    assert data.configuration == "task: detection\n"
    assert data.environment == {"python": "3.11", "torch": "2.13", "devices": "cpu, cuda:0"}


def test_without_a_summary_the_last_evaluation_of_the_log_gives_the_figures(tmp_path: Path) -> None:
    state(tmp_path, 50, eval_AP50=0.4, eval_AP=0.2, eval_runtime=3.0)
    data = load_run(tmp_path)
    assert [(row.name, row.before, row.after) for row in data.figures] == [
        ("AP50", None, 0.4),
        ("AP", None, 0.2),
    ]


def test_a_log_with_nan_is_read(tmp_path: Path) -> None:
    state(tmp_path, 5, grad_norm=math.nan)
    assert math.isnan(load_run(tmp_path).log_history[-1]["grad_norm"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("summary.json", "{", "not valid JSON"),
        ("summary.json", [1], "write one JSON object"),
        ("summary.json", {"after": 3}, "field 'after'"),
        ("summary.json", {"per_class": {"a": 1}}, "field 'per_class'"),
        ("gallery.json", {"image": []}, "field 'images'"),
        ("gallery.json", [{"truth": []}], r"images\[0\]\.image"),
        ("gallery.json", [{"image": "a.jpg", "truth": 1}], r"images\[0\]\.truth"),
        (
            "gallery.json",
            [{"image": "a.jpg", "predictions": [{"bbox_2d": [1, 2], "desc": "a"}]}],
            r"images\[0\]\.predictions\[0\]\.bbox_2d",
        ),
        ("gallery.json", [{"image": "a.jpg", "truth": [{"bbox_2d": [1, 2, 3, 4]}]}], r"truth\[0\]\.desc"),
        ("checkpoint-3/trainer_state.json", {"global_step": 3}, "log_history"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it_and_the_field(
    tmp_path: Path, name: str, content: Any, message: str
) -> None:
    write(tmp_path / name, content)
    with pytest.raises(DataError, match=message) as error:
        load_run(tmp_path)
    assert Path(name).name in str(error.value)


def test_a_folder_with_nothing_to_show_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgusError, match="no such run folder"):
        load_run(tmp_path / "none")
    with pytest.raises(ArgusError, match="nothing to report"):
        load_run(tmp_path)
