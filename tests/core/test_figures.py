from __future__ import annotations

from argusvl.core.figures import FigureSpec, spec_of


def test_a_figure_is_known_by_its_name_in_logs_and_of_one_class() -> None:
    figures = {
        "AP50": FigureSpec("mean over classes", "higher"),
        "mpjpe": FigureSpec("mean distance", "lower", "px"),
    }
    for name in ("AP50", "eval_AP50", "AP50/screw", "eval_AP50/a/b"):
        assert spec_of(name, figures) is figures["AP50"]
    assert spec_of("AP5", figures) is None
    assert figures["AP50"].note == "mean over classes" and figures["AP50"].higher_is_better
    assert figures["mpjpe"].note == "mean distance, px; lower is better"
