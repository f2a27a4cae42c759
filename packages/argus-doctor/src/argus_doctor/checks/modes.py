"""Training and evaluation modes, as they were when the model was called."""

from __future__ import annotations

from collections.abc import Iterator

from argus_doctor.evidence import Evidence
from argus_doctor.suspicion import Suspicion


def evaluation(evidence: Evidence) -> Iterator[Suspicion]:
    """Evaluation with dropout at work, or with batch normalisation that learns from it."""
    found = evidence.evaluations
    # Passes without a gradient at most steps are part of the method: a teacher, a generator, a roll-out.
    if not evidence.mode_matters or len(found.steps) < 2 or len(found.steps) > 0.5 * evidence.step:
        return
    if len(found.in_training_mode) >= 0.9 * len(found.steps):
        yield Suspicion(
            "evaluation-in-training-mode",
            0.95,
            f"at {len(found.in_training_mode)} of {len(found.steps)} evaluations dropout or batch normalisation "
            "worked as in training",
            f"step {found.in_training_mode[0]}",
        )


def training(evidence: Evidence) -> Iterator[Suspicion]:
    """Training in evaluation mode."""
    wrong, right = evidence.passes_in_eval_mode, evidence.passes_in_training_mode
    if not evidence.mode_matters or len(wrong) < 5:
        return
    left = bool(right) and min(right) < min(wrong)
    words = f"from step {wrong[0]} on, after an evaluation" if left else "from the start"
    if (left and len(wrong) > 0.2 * (evidence.step - wrong[0] + 1)) or not right:
        yield Suspicion(
            "training-in-evaluation-mode",
            0.97 if left else 0.8,
            f"{len(wrong)} steps trained with the model in evaluation mode, {words}",
            f"step {wrong[0]}",
        )
