"""Losses as many frameworks print them."""

from __future__ import annotations

import math

import pytest

from argus_doctor.logs.metrics_in_text import printed_in


@pytest.mark.parametrize(
    ("line", "values", "position"),
    [
        (
            "{'loss': '0.1', 'learning_rate': 1e-5, 'epoch': 0.3}",
            {"loss": 0.1, "learning_rate": 1e-5},
            {"epoch": 0.3},
        ),
        ("step 250: train loss 1.2, val loss 1.3", {"train loss": 1.2, "val loss": 1.3}, {"step": 250}),
        ("Epoch 1/3  loss: 0.2", {"loss": 0.2}, {"epoch": 1}),
        (
            "9/938 [==>..] - 5s 5ms/step - loss: 0.2 - val_loss: 0.1",
            {"loss": 0.2, "val_loss": 0.1},
            {"of 938": 9},
        ),
        ("Epoch 0:  10%|█  | 10/100 [00:01<00:10, loss=2.3]", {"loss": 2.3}, {"of 100": 10, "epoch": 0}),
        (" iteration 90/ 500 | lm loss: 2.1E+00 | loss scale: 1.0 |", {"lm loss": 2.1}, {"step": 90}),
        ("Loss 0.3 (0.4)", {"loss": 0.3}, {}),
        ("the loss is tensor(0.3, device='cuda:0')", {"loss": 0.3}, {}),
        ("iter: 19  total_loss: 1.2  lr: 0.01", {"total_loss": 1.2, "lr": 0.01}, {"step": 19}),
    ],
)
def test_numbers_are_found(line: str, values: dict[str, float], position: dict[str, float]) -> None:
    printed = printed_in(line)
    assert printed is not None
    assert (printed.values, printed.position) == (values, position)


def test_nan_is_a_number_that_is_none() -> None:
    printed = printed_in("step 3 Loss: nan")
    assert printed is not None and math.isnan(printed.values["loss"])


@pytest.mark.parametrize("line", ["", "loading data", "max_loss_scale 3", "epochs", "the lossless codec"])
def test_other_lines_say_nothing(line: str) -> None:
    assert printed_in(line) is None
