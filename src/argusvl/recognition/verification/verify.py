"""What makes a backbone trustworthy, as a command: memory, preprocessing, dtypes and devices, reproducibility.

Each check looks at a backbone from outside, through its protocol, and says what it found in figures; none trusts what
the backbone says of itself. The backbone is loaded twice, one load after the other, each under a device lease.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from argus_doctor.findings import Finding
from argusvl.core.errors import ConfigError, ModelError
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.pipeline.lease import LeaseReport, lease
from argusvl.recognition.verification.memory import check_memory
from argusvl.recognition.verification.pictures import Pictures, drawn_pictures
from argusvl.recognition.verification.preprocessing import check_preprocessing
from argusvl.recognition.verification.reproducibility import (
    FirstLoad,
    check_passes,
    check_second_load,
    embedded,
    json_ready,
)
from argusvl.recognition.verification.tensors import check_tensors
from argusvl.recognition.verification.verdict import GROUPS, Group, Verdict, verdict

COUNT = 1000
BATCH_SIZE = 32

_BATCHES = 8
"""So many at least: memory is looked at after a batch."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Attributes:
        backbone: Its name.
        device: Where it was checked.
        pictures: What it was checked with.
        verdicts: In the order of the groups.
        seconds: That it took.
    """

    backbone: str
    device: str
    pictures: str
    verdicts: tuple[Verdict, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether no check has failed."""
        return not self.findings

    @property
    def findings(self) -> list[Finding]:
        """What is wrong."""
        return [one.finding(self.backbone) for one in self.verdicts if one.passed is False]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "backbone": self.backbone,
            "device": self.device,
            "pictures": self.pictures,
            "passed": self.passed,
            "seconds": round(self.seconds, 2),
            "checks": [one.as_dict() for one in self.verdicts],
            "findings": [one.to_json() for one in self.findings],
        }


def verify(
    load: Callable[[torch.device], Backbone],
    *,
    device: str | torch.device = "cpu",
    pictures: Pictures | None = None,
    count: int = COUNT,
    batch_size: int = BATCH_SIZE,
    groups: Sequence[Group] = GROUPS,
    progress: bool = True,
) -> Verification:
    """Runs the checks on a backbone.

    ``load`` makes the backbone on a device, and keeps it nowhere. ``pictures`` are drawn ones when ``None``; over
    ``count`` of them memory must stay flat.

    Raises:
        ConfigError: The device cannot be used, or ``count`` is less than eight batches.
        CheckpointError: The backbone cannot be loaded.
    """
    began = time.perf_counter()
    if count < _BATCHES * batch_size:
        raise ConfigError(
            f"{count} pictures are {count / batch_size:.1f} batches of {batch_size}, too few to see growth in",
            where="--count",
            remedy=f"write at least {_BATCHES * batch_size}, or a smaller --batch-size",
        )
    chosen = pictures if pictures is not None else drawn_pictures()
    verdicts: list[Verdict] = []
    loads: list[FirstLoad] = []
    name: list[str] = []
    wanted = [group for group in GROUPS if group in groups]

    def state(backbone: Backbone) -> tuple[()]:
        loads.append(FirstLoad(json_ready(backbone.fingerprint), embedded(backbone, chosen, batch_size)))
        return ()

    def first_load(backbone: Backbone) -> None:
        name[:] = [backbone.name, str(backbone.device)]
        steps: dict[Group, Callable[[], Iterable[Verdict]]] = {
            "memory": lambda: check_memory(backbone, chosen, count, batch_size, progress=progress),
            "preprocessing": lambda: check_preprocessing(backbone, chosen, batch_size),
            "dtypes and devices": lambda: check_tensors(backbone, chosen, batch_size),
            "reproducibility": lambda: check_passes(backbone, chosen, batch_size, loads[0]),
        }
        if _runs(wanted[0], verdicts, lambda: state(backbone)):
            for group in wanted:
                _runs(group, verdicts, steps[group])

    returned = _leased(load, device, first_load)
    if "memory" in wanted:
        verdicts.append(returned)
    if "reproducibility" in wanted and loads and returned.passed:
        _leased(load, device, state)
        verdicts.extend(check_second_load(*loads))
    order = {group: place for place, group in enumerate(GROUPS)}
    verdicts.sort(key=lambda one: order[one.group])
    return Verification(name[0], name[1], chosen.description, tuple(verdicts), time.perf_counter() - began)


def _runs(group: Group, verdicts: list[Verdict], step: Callable[[], Iterable[Verdict]]) -> bool:
    """Takes a step; an error in it is a failed check of the group, and the other groups are run."""
    try:
        verdicts.extend(step())
    except Exception as error:  # noqa: BLE001 - what a faulty backbone raises nobody knows; it is a finding
        first_line = str(error).strip().split("\n", 1)[0]
        what = f"{type(error).__name__}: {first_line}"
        verdicts.append(Verdict("backbone-raises", group, "runs without an error", False, what))
        return False
    return True


def _leased(
    load: Callable[[torch.device], Backbone], device: str | torch.device, use: Callable[[Backbone], object]
) -> Verdict:
    """Uses the backbone; says whether its memory came back."""
    finished = False
    slug = "memory-not-returned"
    try:
        with lease(load, device, name="backbone") as leased:
            leased.run(use)
            finished = True
    except ModelError as error:
        if not finished:
            raise
        return verdict(slug, False, error.what)
    report = leased.report
    assert isinstance(report, LeaseReport)
    if not report.model_bytes:
        return verdict(slug, None, "the backbone has no networks among its attributes", asdict(report))
    taken = report.model_bytes / 2**20
    return verdict(slug, True, f"all of {taken:.1f} MiB", asdict(report))
