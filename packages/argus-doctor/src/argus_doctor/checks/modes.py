"""Training and evaluation modes, as they were when the model was called."""

from __future__ import annotations

from collections.abc import Iterator

from argus_doctor.evidence import Evidence
from argus_doctor.suspicion import Suspicion


def evaluation(evidence: Evidence) -> Iterator[Suspicion]:
    """Evaluation with dropout at work, or with batch normalisation that learns from it."""
    found = evidence.evaluations
    # Passes without a gradient at most steps are part of the method: a teacher, a generator, a roll-out. And who asks
    # about a sample again averages over dropout.
    if not evidence.mode_matters or found.count < 2 or found.count > 0.5 * evidence.step or found.repeated:
        return
    never = not found.ever_in_evaluation_mode
    # Beside evaluations in evaluation mode others have reasons of their own: exact statistics, samples of dropout.
    if found.in_training_mode >= 0.9 * found.count and (never or found.validated_in_training_mode):
        # Pictures are drawn, and figures of training taken, in training mode: a validation loss is something else. With
        # batch normalisation alone it may be meant, as in meta-learning, whose tests use their own statistics.
        certain = never and evidence.draws and found.validated_in_training_mode == found.count >= 3
        sign = "never in evaluation mode" if never else "evaluated with dropout"
        if never and not (found.same_samples or found.validated_in_training_mode):
            sign = "others each time, never in evaluation mode"  # doubt by dropout chooses samples, too
        sign = "validation loss in training mode" if certain else sign
        what = f"at {found.in_training_mode} of {found.count} evaluations dropout or batch normalisation worked as in "
        what += f"training{'; eval() was never called' if never else ''}"
        where = f"step {found.first_in_training_mode}"
        yield Suspicion("evaluation-in-training-mode", sign, what, where, proven=certain)


def training(evidence: Evidence) -> Iterator[Suspicion]:
    """Training in evaluation mode."""
    (wrong, first), (right, before) = evidence.passes_in_eval_mode, evidence.passes_in_training_mode
    if not evidence.mode_matters or wrong < 5:
        return
    left = bool(right) and before < first
    words = f"from step {first} on, after an evaluation" if left else "from the start"
    if (left and wrong > 0.2 * (evidence.step - first + 1)) or not right:
        sign = "left in evaluation mode" if left else "trained in evaluation mode"
        what = f"{wrong} steps trained with the model in evaluation mode, {words}"
        yield Suspicion("training-in-evaluation-mode", sign, what, f"step {first}", proven=left)
