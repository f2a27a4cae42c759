"""What is asked about a backbone, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from argus_doctor.findings import Finding, catalogue, finding

Group = Literal["memory", "preprocessing", "dtypes and devices", "reproducibility"]

GROUPS: tuple[Group, ...] = ("memory", "preprocessing", "dtypes and devices", "reproducibility")

QUESTIONS: dict[str, tuple[Group, str]] = {
    "memory-not-returned": ("memory", "its memory comes back when it is released"),
    "host-memory-grows": ("memory", "resident memory does not grow"),
    "device-memory-grows": ("memory", "GPU memory does not grow"),
    "tensors-stay": ("memory", "no tensor stays behind"),
    "graph-built": ("memory", "no graph is built"),
    "vectors-held-elsewhere": ("memory", "vectors are on the CPU at once"),
    "sizes-differ": ("preprocessing", "every picture becomes one size"),
    "pixels-constant": ("preprocessing", "black and white differ"),
    "wrong-channel-order": ("preprocessing", "channels are RGB"),
    "wrong-geometry": ("preprocessing", "aspect and crop"),
    "other-than-reference": ("preprocessing", "equal to the library's own processor"),
    "colours-unseen": ("preprocessing", "RGB and BGR are told apart"),
    "normalisation-unseen": ("preprocessing", "wrong normalisation is noticed"),
    "pixels-wrong-dtype": ("dtypes and devices", "pixels are float32, contiguous, on the CPU"),
    "vectors-wrong-dtype": ("dtypes and devices", "vectors are float32, contiguous, on the CPU"),
    "wrong-shape": ("dtypes and devices", "a vector for each picture"),
    "parameters-mixed": ("dtypes and devices", "parameters are float32 on the one device"),
    "in-training-mode": ("dtypes and devices", "evaluation mode"),
    "inputs-mixed": ("dtypes and devices", "what the modules are given is float32 on the one device"),
    "stated-dtype-wrong": ("dtypes and devices", "the fingerprint states float32"),
    "passes-differ": ("reproducibility", "two passes give identical bytes"),
    "batch-dependent": ("reproducibility", "a vector does not depend on its batch"),
    "fingerprint-unstable": ("reproducibility", "its fingerprint is stable and goes through JSON"),
    "reload-changes-fingerprint": ("reproducibility", "loaded again, its fingerprint is the same"),
    "reload-changes-vectors": ("reproducibility", "loaded again, its vectors are the same bytes"),
}
"""What fails, as the catalogue of findings calls it → its group, and what is asked for."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one question.

    ``slug`` is what it is found as where it fails; ``passed`` is ``None`` where the question does not arise; the figure
    is in words, its numbers are the JSON-ready values.
    """

    slug: str
    group: Group
    name: str
    passed: bool | None
    figure: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def finding(self, backbone: str) -> Finding:
        """What is wrong with the backbone of this name, where the answer is no."""
        return finding(self.slug, backbone, f"{self.name}: {self.figure}", numbers=self.values)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "id": catalogue()[self.slug].id,
            "group": self.group,
            "name": self.name,
            "passed": self.passed,
            "figure": self.figure,
            "values": dict(self.values),
        }


def verdict(slug: str, passed: bool | None, figure: str, values: Mapping[str, Any] | None = None) -> Verdict:
    """The answer to one of :data:`QUESTIONS`."""
    return Verdict(slug, *QUESTIONS[slug], passed, figure, values or {})
