"""Numbers that a training loop prints: losses and the like, and how far it has come."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

# All of them look at small letters, for speed.
_NUMBER = r"[-+]?(?:\d[\d,]*\.?\d*(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?|nan\b|inf(?:inity)?\b)"
_WORTH = re.compile(r"loss|epoch|step|iter|%\||grad.?norm")
_VALUE = re.compile(
    r"(?:loss(?:es)?|ppl|perplexity|lr|learning[_ ]rate|grad(?:ient)?[_ ]norm|gnorm)(?:[_/][a-z\d_/]+)?"
    r"['\"]?\s{0,8}(?:[:=|]|\bis\b|\bof\b)?\s{0,8}\[?['\"]?(?:tensor\(\[?|np\.float\d+\()?"
    rf"(?P<value>{_NUMBER})(?![\d./]*[a-z%])"
)
_NAME_BEFORE = re.compile(r"(?:\b[a-z_][a-z_/.\d-]*[ _/.-]){0,3}[a-z_/.\d-]*$")
_NAME = re.compile(r"(?:learning[_ ]rate|grad(?:ient)?[_ ]norm|[a-z]+)(?:[_/][a-z\d_/]+)?")
_STEP = re.compile(
    r"(?<![\w/.])(?:global[_ ]?step|steps?|iter(?:ation)?s?|it|batch|num_updates|update|ba)['\"]?\s{0,4}[:=#]?"
    r"\s{0,8}[\[(]?\s{0,8}['\"]?(\d[\d,]*)(?![\d.]*[a-z%])"
)
_EPOCH = re.compile(
    r"(?<![\w/.])ep(?:och)?s?['\"]?\s{0,4}[:=#]?\s{0,4}[\[(]?\s{0,4}['\"]?(\d+(?:\.\d+)?)(?![a-z])"
)
_BAR = re.compile(r"(?<![\d.])(\d+)/(\d+|\?)\s?(?:\[|\s*━|\s+\d+(?:\.\d+)?s\b|\s+•)")
_SETTING = re.compile(r"warmup|max|total_steps|save|eval_steps|logging|num|accumulation|scale|fn|weight|type")
_LONGEST = 4000
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Printed:
    """What a line tells of a run.

    Attributes:
        values: Name → number.
        step: Its step, as far as told.
        position: Unit → how far the run has come, e.g. ``{"step": 10, "epoch": 1}``.
        bar: Whether it is a progress bar's.
    """

    values: dict[str, float] = field(default_factory=dict)
    step: float | None = None
    position: dict[str, float] = field(default_factory=dict)
    bar: bool = False


def printed_in(text: str) -> Printed | None:
    """The numbers of a line, by names in small letters; ``None`` where it has none that say something of training."""
    if len(text) > _LONGEST:
        return None
    low = text.lower()
    if not _WORTH.search(low):
        return None
    values: dict[str, float] = {}
    for found in _VALUE.finditer(low):
        start = found.start()
        before = _NAME_BEFORE.search(low, max(0, start - _LONGEST_NAME), start)
        own = _NAME.match(low, start, found.start("value"))
        name = ((before[0] if before else "") + (own[0] if own else "")).strip(" _-./").removeprefix("the ")
        if not _SETTING.match(name) and name not in values:
            values[name] = _number(found["value"])
    position: dict[str, float] = {}
    bar = _BAR.search(low) if "/" in low else None
    if bar:
        position[f"of {bar[2]}"] = float(bar[1])
    if step := _STEP.search(low):
        position["step"] = float(step[1].replace(",", ""))
    if "ep" in low and (epoch := _EPOCH.search(low)):
        position["epoch"] = float(epoch[1])
    if not values and not position:
        return None
    return Printed(values, position.get("step"), position, bar is not None and "%|" in low)


def _number(text: str) -> float:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return math.nan
