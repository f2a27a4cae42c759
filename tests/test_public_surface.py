"""What others build on: the names of docs/stability.md are there, and calls that were right stay right."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "stability.md").read_text("utf-8")
STABLE = {
    module: re.findall(r"`(\w+)`", names)
    for module, names in re.findall(r"^\| `([\w.]+)` \| (.+) \|$", PAGE, flags=re.MULTILINE)
}
NEEDS = {"argus_doctor.integrations.lightning": "lightning"}

CALLS = {
    "argus_doctor:Watch": "model optimizer frozen source probe",
    "argus_doctor:Watch.step": "self loss batch inputs targets outputs val_loss lr terms",
    "argus_doctor:Watch.report": "self",
    "argus_doctor:Watch.print": "self",
    "argus_doctor:Watch.close": "self",
    "argus_doctor.errors:ArgusError": "what where remedy",
    "argus_doctor.findings:Finding": "id slug severity where what numbers remedy probability",
    "argusvl.detection.predict:Predictor.from_pretrained": "path device min_pixels max_pixels",
    "argusvl.detection.predict:Predictor.predict_detection": "self images prompt labels teachers batch_size captions "
    "open_captions raw_scores score_threshold",
    "argusvl.detection.predict:Predictor.predict_text": "self images prompt teachers max_new_tokens batch_size",
    "argusvl.detection.predict:Predictor.stream": "self images prompt labels teachers batch_size captions "
    "open_captions raw_scores score_threshold on_error",
    "argusvl.manipulation.predict:HandPredictor.from_pretrained": "path device",
    "argusvl.manipulation.predict:HandPredictor.predict": "self images queries",
    "argusvl.manipulation.predict:HandPredictor.stream": "self images query batch_size on_error",
    "argusvl.manipulation.predict:HandQuery": "box_xyxy_px side camera",
    "argusvl.synthetic:generator_of": "name",
    "argusvl.tasks:load_run_config": "path overrides",
    "argusvl.tasks:task_entry": "name",
    "argusvl.training.protocol:LossTerm": "name count weight log_as",
    "argusvl.training.protocol:ParameterGroup": "name pattern learning_rate optional frozen_epochs decay_embeddings",
    "argusvl.training.run:run_training": "task config resume callbacks allow_changes policies listeners",
}
"""Callable → its parameters, in their order. New ones may come, with a default."""


def test_the_page_names_the_packages() -> None:
    assert len(STABLE) >= 14 and all(STABLE.values())
    assert {place.partition(":")[0] for place in CALLS} <= set(STABLE)


@pytest.mark.parametrize("module", STABLE)
def test_the_stable_names_are_there(module: str) -> None:
    if module in NEEDS:
        pytest.importorskip(NEEDS[module])
    found = importlib.import_module(module)
    assert [name for name in STABLE[module] if not hasattr(found, name)] == []
    if hasattr(found, "__all__"):
        assert sorted(found.__all__) == sorted(STABLE[module]), "exported and not on the page, or the reverse"


@pytest.mark.parametrize("place", CALLS)
def test_a_call_that_was_right_stays_right(place: str) -> None:
    parameters = inspect.signature(pkgutil.resolve_name(place)).parameters
    stable = CALLS[place].split()
    assert [name for name in parameters if name in stable] == stable
    new = [p for name, p in parameters.items() if name not in stable]
    assert all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in new)
    # A new one between old ones would take a place that callers fill without its name.
    positional = [p.name for p in parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    assert all(name in stable for name in positional[: len([n for n in positional if n in stable])])
