"""A remedy is tried on the same steps from the same snapshot, kept where it is better, and otherwise the run ends."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_recovery import recovery
from test_watching import FAST, STEPS, CarefulTask, found
from toy_task import GROUPS, ToyModel, events, logged, losses, train
from transformers import PreTrainedModel

from argus_doctor.checks import examine
from argusvl.config.schema import RemediesSection
from argusvl.core.errors import ConfigError, TrainingError
from argusvl.training import watching
from argusvl.training.parallel import Parallel


def remedies(*slugs: str, attempts: int = 3) -> RemediesSection:
    return RemediesSection(
        apply=list(slugs or ("learning-rate-too-high",)), trial_steps=20, attempts=attempts
    )


def test_a_rate_that_is_too_high_is_lowered_and_the_run_ends_well(tmp_path: Path) -> None:
    options = STEPS | {"max_steps": 60}
    broken = train(CarefulTask(groups=FAST), tmp_path / "broken", **options)
    mended = train(CarefulTask(groups=FAST), tmp_path / "mended", **options, remedies=remedies())
    assert mended[-1]["loss"] < 0.2 * broken[-1]["loss"]
    tried = events(tmp_path / "mended", "remedy")
    kept = [one for one in tried if one["kept"]]
    assert len(kept) == 1 and "body" in kept[0]["change"]
    assert len(kept[0]["losses_with"]) == len(kept[0]["losses_without"]) >= 5
    assert kept[0]["losses_with"][0] == kept[0]["losses_without"][0]  # of the same weights and batch
    (back,) = events(tmp_path / "mended", "rolled_back")
    assert "learning-rate-too-high" in back["why"] and back["to"] == 0
    assert [one["kind"] for one in found(tmp_path / "mended")] == ["learning-rate-too-high"]
    assert mended[-1]["lr/body"] < 1 and mended[-1]["lr/head"] == broken[-1]["lr/head"]


class Noise(ToyModel):
    """Its loss has nothing to do with its weights, so that no remedy can help."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = super().forward(*args, **kwargs)
        fit = output.loss_terms["fit"]
        output.loss_terms = {"fit": fit - fit.detach() + 5.0 * len(output.predictions)}
        return output


NOISE: dict[str, Any] = {"groups": FAST, "network": Noise}


def test_a_hint_that_no_trial_proves_ends_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        curve = train(CarefulTask(**NOISE), tmp_path, **STEPS, remedies=remedies(attempts=2))
    assert int(curve[-1]["step"]) == STEPS["max_steps"]
    (told,) = (one.getMessage() for one in caplog.records if "Tried in vain" in one.getMessage())
    assert "the run goes on" in told and "restart with" in told
    tried = events(tmp_path, "remedy")
    assert len(tried) == 2 and not any(one["kept"] for one in tried)
    assert not events(tmp_path, "rolled_back")


class SizeTask(CarefulTask):
    """Its figure says what its loss does not: weights that have run away are bad."""

    def evaluate(self, model: PreTrainedModel, dataset: Any, parallel: Parallel) -> dict[str, float]:
        error = sum(p.detach().square().sum().item() for p in model.parameters()) ** 0.5
        return {"score": -error, "error": error}


def test_the_figure_that_users_choose_by_decides_before_the_loss(tmp_path: Path) -> None:
    train(SizeTask(**NOISE), tmp_path, **STEPS, remedies=remedies())
    (kept,) = [one for one in events(tmp_path, "remedy") if one["kept"]]
    without, with_it = kept["figures"]
    assert with_it > 0.1 * without  # both are negative
    assert kept["losses_with"] == kept["losses_without"]


def test_a_group_that_would_never_train_trains_as_if_nothing_had_frozen_it(
    tmp_path: Path, trained: Callable[..., Path]
) -> None:
    healthy = logged(trained(kind=CarefulTask, **STEPS))
    groups = replace(GROUPS[0], frozen_epochs=50.0), GROUPS[1]
    options = STEPS | {"save_steps": 20, "remedies": remedies("frozen-head")}
    cured = train(CarefulTask(groups=groups), tmp_path, **options)
    assert [(e["loss"], e["lr/head"]) for e in cured] == [(e["loss"], e["lr/head"]) for e in healthy]
    (kept,) = events(tmp_path, "remedy")
    assert kept["kept"] and "head" in kept["change"]
    (told,) = found(tmp_path)
    assert told["kind"] == "frozen-head"
    shutil.rmtree(tmp_path / "checkpoint-40")
    resumed = train(CarefulTask(groups=groups), tmp_path, resume=True, **options)
    assert losses(resumed) == losses(healthy), "what was thawed trains after a resumption, too"


def test_an_error_that_nothing_mends_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def proven(*asked: Any) -> list[Any]:
        return [replace(one, severity="error") for one in examine(*asked)]

    monkeypatch.setattr(watching, "examine", proven)
    with pytest.raises(TrainingError, match="Tried in vain: .*times") as raised:
        train(CarefulTask(**NOISE), tmp_path, **STEPS, remedies=remedies(attempts=2))
    assert "restart" in str(raised.value.remedy)


def test_a_healthy_run_is_the_same_with_remedies(tmp_path: Path, trained: Callable[..., Path]) -> None:
    ready = train(CarefulTask(), tmp_path, **STEPS, remedies=remedies())
    assert losses(ready) == losses(logged(trained(kind=CarefulTask, **STEPS)))


def test_a_finding_that_the_engine_cannot_mend_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'exploding-gradient'"):
        train(CarefulTask(), tmp_path, **STEPS, remedies=remedies("exploding-gradients"))


class Broken(ToyModel):
    """At steps 6 and 7 its loss is not finite, once."""

    passes = 0

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = super().forward(*args, **kwargs)
        if self.training:
            Broken.passes += 1
            if Broken.passes in (6, 7, 8):  # the one between looks for the module
                output.loss_terms = {name: term * float("nan") for name, term in output.loss_terms.items()}
        return output


def test_a_trial_has_the_steps_of_the_way_that_was_gone_and_no_others(tmp_path: Path) -> None:
    """Recovery rolls back in the middle of the steps that a remedy is compared on."""
    Broken.passes = 0
    settings = recovery(max_consecutive_nan=1, snapshot_steps=2, rate_factor=1.0, clip_factor=1.0)
    task, options = CarefulTask(groups=FAST, network=Broken), STEPS | {"max_steps": 60}
    mended = train(task, tmp_path, **options, remedies=remedies(), recovery=settings)
    backs = events(tmp_path, "rolled_back")
    assert [one["to"] for one in backs] == [4, 0]
    (kept,) = [one for one in events(tmp_path, "remedy") if one["kept"]]
    assert kept["steps"] == [1, 20] and len(kept["losses_without"]) == 20
    assert kept["losses_with"][0] == kept["losses_without"][0]
    assert mended[-1]["lr/body"] < 1
    assert int(mended[-1]["step"]) == 60
