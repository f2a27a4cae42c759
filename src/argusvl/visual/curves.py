"""Sorting a training log into charts: which numbers belong together, and on which scale."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from argusvl.core.figures import FigureSpec, spec_of
from argusvl.core.strict_json import finite_number
from argusvl.visual.plots import NUM_COLOURS, Series, colour_class, format_number, line_chart

# What the trainer adds to its logs that says nothing about the model.
_BOOKKEEPING = re.compile(
    r"step|epoch|total_flos|train_loss|(train|eval)_(runtime|(samples|steps)_per_second)"
)
_NORMS = (
    ("gradient norm", r"gn/|grad_norm$"),
    ("weight norm", r"wn/"),
    ("update over weight norm", r"(ur|update_ratio)/"),
)
_MAX_CLASS_LINES = 2 * NUM_COLOURS  # more lines say nothing; the table of classes has the final figures


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A line's name, its classes in the style sheet, and its last value."""

    name: str
    colour: str
    last: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, ready for the page.

    Attributes:
        warning: What a reader must know, e.g. of values that are not finite.
        wide: Whether it deserves the page's whole width.
    """

    title: str
    svg: str
    legend: Sequence[LegendEntry] = ()
    warning: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class ChartGroup:
    """Charts that answer one question; ``folded``: one that is seldom asked; ``health``: one about the run itself."""

    title: str
    note: str
    charts: Sequence[Chart]
    folded: bool = False
    health: bool = False


@dataclass(slots=True)
class _Log:
    """A log's series, and which of them are in a chart."""

    series: dict[str, Series]
    taken: set[str] = field(default_factory=set)

    def named(self, prefix: str) -> list[str]:
        """The series whose names begin so."""
        return [n for n in self.series if n.startswith(prefix)]

    def chart(self, title: str, names: Sequence[str], in_legend: Callable[[str], str], **look: Any) -> Chart:
        """A chart of some series, which are marked as shown, under the names that the legend gives them."""
        self.taken.update(names)
        return curve_chart(title, [replace(self.series[n], name=in_legend(n)) for n in names], **look)


def chart_groups(
    log_history: Sequence[Mapping[str, Any]], figures: Mapping[str, FigureSpec] | None = None
) -> list[ChartGroup]:
    """Charts of a log as the trainer keeps it (``log_history`` of ``trainer_state.json``).

    Quality figures that are shares have a chart together; one with a unit has its own. The loss terms share one, on a
    logarithmic axis, and each has one of its own with its parts (``lm``: ``teacher_lm`` and ``student_lm``) and its
    value on held-out data; beside them stands how strongly each objective pulls, where a run has measured it. The
    parameter groups' learning rates, gradient norms, weight norms and updates have one
    each, and so have memory and the seconds of a step. Every other number follows.

    Args:
        log_history: One dictionary for each time something was logged; ``step`` says when.
        figures: What the task declares of its figures; by default shares on held-out data are taken for quality.
    """
    log = _Log(log_series(log_history))
    groups = [
        ChartGroup(
            "Quality", "on held-out pictures, while training", drawn(_quality_charts(log, figures or {}))
        ),
        ChartGroup("Loss by term", "before weighting, as the trainer logs it", drawn(_loss_charts(log))),
        ChartGroup("By parameter group", "what the optimizer did with each", drawn(_rate_charts(log))),
        ChartGroup("Gradients and weights", "by parameter group", drawn(_norm_charts(log)), health=True),
        ChartGroup("Memory and time", "of the first process", drawn(_cost_charts(log)), health=True),
        ChartGroup("Everything else", "", drawn(_other_charts(log)), folded=True),
    ]
    return [group for group in groups if group.charts]


def drawn(charts: Iterable[Chart]) -> list[Chart]:
    """Those that have something to say."""
    return [chart for chart in charts if chart.svg or chart.warning]


def make_chart(
    title: str,
    series: Sequence[Series],
    *,
    warning: str = "",
    wide: bool = False,
    last: Sequence[str] = (),
    **look: Any,
) -> Chart:
    """A chart with its legend, which shows ``last`` beside each name, by default the last value.

    ``look`` is as in :func:`~argusvl.visual.plots.line_chart`, the rest as in :class:`Chart`.
    """
    shown = last or [format_number(s.values[-1]) if s.values else "" for s in series]
    legend = [
        LegendEntry(s.name, colour_class(i, s.style), text)
        for i, (s, text) in enumerate(zip(series, shown, strict=True))
        if s.style != "guide"
    ]
    return Chart(title, line_chart(series, wide=wide, **look), legend, warning, wide)


def log_series(log_history: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    """A series for each number that was logged, in order of first appearance."""
    points: dict[str, tuple[list[float], list[float]]] = {}
    for position, entry in enumerate(log_history):
        told = finite_number(entry.get("step"))
        step = float(position) if told is None else told
        for name, value in entry.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or _BOOKKEEPING.fullmatch(name):
                continue
            steps, values = points.setdefault(name, ([], []))
            if steps and step < steps[-1]:
                continue  # a repeated stretch after a resumption; what was logged first stands
            number = finite_number(value)
            steps.append(step)
            values.append(math.nan if number is None else number)
    return {name: Series(name, *xy) for name, xy in points.items()}


def _quality_charts(log: _Log, figures: Mapping[str, FigureSpec]) -> Iterator[Chart]:
    quality = [n for n in log.series if _is_quality(n, log.series[n], figures)]
    plain = [n for n in quality if "/" not in n]
    shares = [n for n in plain if _is_share(log.series[n], spec_of(n, figures))]
    look: dict[str, Any] = {"zero_based": True, "smooth": False}
    if shares:
        title = "all classes" if len(plain) < len(quality) else "figures"
        yield log.chart(title, shares, lambda n: _figure_name(n, figures), **look)
    for name in (n for n in plain if n not in shares):
        spec = spec_of(name, figures)
        unit = f" ({spec.unit})" if spec and spec.unit else ""
        yield log.chart(f"{_figure_name(name, figures)}{unit}", [name], _title, **look)
    for figure in dict.fromkeys(n.split("/")[0] for n in quality if "/" in n):
        names = log.named(f"{figure}/")
        log.taken.update(names)
        if len(names) <= _MAX_CLASS_LINES:
            yield log.chart(f"{_title(figure)} by class", names, _line_name, **look)


def _loss_charts(log: _Log) -> Iterator[Chart]:
    terms = [n.removesuffix("_loss") for n in log.series if n.endswith("_loss") and not n.startswith("eval_")]
    families: dict[str, list[str]] = {}
    for term in terms:
        families.setdefault(_family(term, terms), []).append(term)
    if len(families) > 1:
        heads = [f"{head}_loss" for head in families]
        yield log.chart(
            "all terms", heads, lambda n: _title(n.removesuffix("_loss")), wide=True, log_scale=True
        )
    if shares := log.named("gs/"):
        log.taken.update(log.named("gt/"))  # the norms that these are shares of
        title = "share of the gradients at what objectives share"
        yield log.chart(title, shares, lambda n: _title(_line_name(n)), zero_based=True)
    if total := [n for n in ("loss", "eval_loss") if n in log.series]:
        yield log.chart("total loss", total, _by_data, zero_based=True)
    for head, members in families.items():
        members = sorted(members, key=lambda m: m != head)
        if len(members) == 1:
            rename = {n: _by_data(n) for n in (f"{head}_loss", f"eval_{head}_loss")}
        else:
            rename = {f"{m}_loss": _part(m, head) for m in members}
            rename |= {f"eval_{m}_loss": f"{_part(m, head)}, held-out" for m in members}
        names = [n for n in rename if n in log.series]
        yield log.chart(_title(head), names, rename.__getitem__, zero_based=True)


def _rate_charts(log: _Log) -> Iterator[Chart]:
    if rates := log.named("lr/") or [n for n in log.series if n == "learning_rate"]:
        log.taken.add("learning_rate")  # the groups' own rates say more than the first group's alone
        yield log.chart("learning rate", rates, _line_name, zero_based=True, smooth=False)


def _norm_charts(log: _Log) -> Iterator[Chart]:
    """Groups of a thousand and of a million parameters: a logarithmic axis shows both."""
    for title, pattern in _NORMS:
        # The norm over everything last, so that a group has one colour in all charts.
        names = sorted((n for n in log.series if re.match(pattern, n)), key=lambda n: n == "grad_norm")
        if names:
            yield log.chart(title, names, _line_name, log_scale=True, smooth=title != "weight norm")
    if entropies := log.named("ae/"):
        log.taken.update(entropies)
        yield _entropy_chart([log.series[n] for n in entropies])


def _entropy_chart(layers: Sequence[Series]) -> Chart:
    """Of each part's layers the one whose attention looks at least: it is the one to worry about."""
    parts: dict[str, dict[float, float]] = {}
    for layer in layers:
        kind = re.sub(r"\.\d+", "", layer.name.removeprefix("ae/"))
        least = parts.setdefault(".".join(kind.split(".")[-3:]), {})
        for step, value in layer.finite():
            least[step] = min(value, least.get(step, value))
    lines = [Series(part, list(least), list(least.values())) for part, least in parts.items()]
    return curve_chart("entropy of attention, the narrowest layer", lines, zero_based=True, smooth=False)


def _cost_charts(log: _Log) -> Iterator[Chart]:
    for title, prefix in (("memory, MiB", "memory/"), ("seconds of a step", "seconds/")):
        if names := log.named(prefix):
            yield log.chart(
                title,
                names,
                lambda n: _title(_line_name(n).removesuffix("_mib")),
                zero_based=True,
                smooth=False,
            )


def _other_charts(log: _Log) -> Iterator[Chart]:
    for name in [name for name in log.series if name not in log.taken]:
        yield log.chart(_title(name), [name], lambda n: _title(n.split("/")[-1]))


def _family(term: str, terms: Sequence[str]) -> str:
    """The shortest other term that this one's name begins or ends with: ``lm`` for ``teacher_lm``."""
    heads = [t for t in terms if term.startswith(f"{t}_") or term.endswith(f"_{t}")]
    return min(heads, key=len, default=term)


def _part(term: str, head: str) -> str:
    """What is a member of a family called beside the family's name."""
    if term == head:
        return _title(head)
    return _title(
        term.removeprefix(f"{head}_") if term.startswith(f"{head}_") else term.removesuffix(f"_{head}")
    )


def _by_data(loss: str) -> str:
    return "held-out" if loss.startswith("eval_") else "training"


def curve_chart(title: str, series: Sequence[Series], *, smooth: bool = True, **look: Any) -> Chart:
    """As :func:`make_chart`, of numbers that were logged: how many of them are not finite is said under it."""
    bad = {s.name: len(s.values) - len(s.finite()) for s in series}
    warning = ", ".join(
        f"{name}: {count} value{'s are' if count > 1 else ' is'} not finite"
        for name, count in bad.items()
        if count
    )
    return make_chart(title, series, warning=warning, smooth=smooth, **look)


def _line_name(name: str) -> str:
    """The parameter group behind a series."""
    return name.split("/", 1)[1] if "/" in name else "all"


def _title(name: str) -> str:
    return name.removeprefix("eval_").replace("/", ": ").replace("_", " ")


def _figure_name(name: str, figures: Mapping[str, FigureSpec]) -> str:
    """Names keep their underscores: they are what ``metric_for_best_model`` takes."""
    spec = spec_of(name, figures)
    return name.removeprefix("eval_") + (", lower is better" if spec and not spec.higher_is_better else "")


def _is_quality(name: str, series: Series, figures: Mapping[str, FigureSpec]) -> bool:
    """Whether it is a figure of the task; where none are declared, whether these are shares on held-out data."""
    if not name.startswith("eval_") or name.endswith("_loss"):
        return False
    return spec_of(name, figures) is not None if figures else _is_share(series, None)


def _is_share(series: Series, spec: FigureSpec | None) -> bool:
    points = series.finite()
    without_unit = spec is None or not spec.unit
    return without_unit and bool(points) and all(-0.001 <= y <= 1.001 for _, y in points)
