"""Detectors, by the name that ``--with`` takes."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING

from argus_doctor.wording import did_you_mean
from argusvl.core.errors import ArgusError

if TYPE_CHECKING:
    from doctor_bench.detectors.protocol import Detector

OURS, NONE = "argus", "none"

DETECTORS = {
    OURS: f"{__name__}.ours:OurDetector",
    NONE: f"{__name__}.protocol:NoDetector",
    "guardtower": f"{__name__}.peers:Guardtower",
    "runmedic": f"{__name__}.peers:Runmedic",
    "torch-preflight": f"{__name__}.peers:TorchPreflight",
    "gradsnitch": f"{__name__}.peers:Gradsnitch",
    "traintools": f"{__name__}.peers:Traintools",
    "torch-audit": f"{__name__}.peers:TorchAudit",
    "sagemaker-rules": f"{__name__}.rules:SagemakerRules",
    "autotrainer-rules": f"{__name__}.rules:AutotrainerRules",
    "spike-detection": f"{__name__}.rules:SpikeDetection",
}
"""Name → ``module:class``. A detector of somebody else's is given as such a place instead of a name."""


def make_detector(name: str) -> Detector:
    """The detector of a name, of a place ``module:class``, or of several names with ``+`` between them.

    Raises:
        ArgusError: There is none.
    """
    check_detector(name)
    if "+" in name:
        from doctor_bench.detectors.together import Together

        return Together({one: make_detector(one) for one in name.split("+")})
    made: Detector = pkgutil.resolve_name(DETECTORS.get(name, name))()
    return made


def check_detector(name: str) -> None:
    """Refuses what is neither a name nor a place.

    Raises:
        ArgusError: It is neither.
    """
    for one in name.split("+"):
        if one not in DETECTORS and ":" not in one:
            raise ArgusError(
                f"no detector is called {one!r}{did_you_mean(one, DETECTORS)}",
                remedy=f"take one of: {', '.join(DETECTORS)}; or module:class of your own",
            )
