"""How many objects each label has, and what is too few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from argus_doctor.findings import Finding
from argusvl.core.wording import counted, listed
from argusvl.detection.data.findings import finding
from argusvl.detection.data.labels import type_of

FEW_OBJECTS = 10
"""With fewer, a label is hardly learned, and its average precision is a matter of luck."""

GREAT_IMBALANCE = 100
"""From so many times as many objects the common label drowns the rare one in every batch."""

MOST_DESCRIPTIONS = 200
"""More different descriptions are free text; what is counted then is what stands before the first '/'."""

_NAMED = 8


@dataclass(slots=True)
class LabelCount:
    """Of one label: how many objects, in how many images, and by split; where the first stands, and in which image."""

    objects: int = 0
    images: int = 0
    where: str = ""
    image: str = ""
    splits: Counter[str] = field(default_factory=Counter)

    def add(self, other: LabelCount) -> None:
        """Adds what comes after it in the data."""
        self.objects += other.objects
        self.images += other.images
        self.where, self.image = self.where or other.where, self.image or other.image
        self.splits.update(other.splits)


def types_of(labels: Mapping[str, LabelCount]) -> dict[str, LabelCount]:
    """The labels by their first segment. An image that shows two labels of a type counts for each of them."""
    types: dict[str, LabelCount] = {}
    for label, count in labels.items():
        types.setdefault(type_of(label), LabelCount()).add(count)
    return types


def balance_findings(data: str, labels: Mapping[str, LabelCount]) -> list[Finding]:
    """Labels (description → counts) with few objects, and a few labels that have nearly all of them.

    Findings name the first place of a label, or else the data.
    """
    judged = labels if len(labels) <= MOST_DESCRIPTIONS else types_of(labels)
    ordered = sorted(judged.items(), key=lambda item: (item[1].objects, item[0]))
    if len(ordered) < 2 and sum(c.objects for c in judged.values()) >= FEW_OBJECTS:
        return []
    findings = []
    rare = [(label, count.objects) for label, count in ordered if count.objects < FEW_OBJECTS]
    if rare:
        have = "has" if len(rare) == 1 else "have"
        named = listed([f"{label!r} {count}" for label, count in rare], _NAMED)
        all_labels = counted(len(ordered), "label")
        text = f"{len(rare)} of {all_labels} {have} fewer than {FEW_OBJECTS} objects: {named}"
        label = rare[0][0]
        if judged[label].image:
            text += f"; {label!r} stands in {judged[label].image}"
        findings.append(finding("rare-labels", judged[label].where or data, text, label=label))
    others = [(label, count.objects) for label, count in ordered if count.objects >= FEW_OBJECTS]
    if len(others) > 1 and others[-1][1] >= GREAT_IMBALANCE * others[0][1]:
        (label, least), (common, most) = others[0], others[-1]
        text = f"{common!r} has {most} objects, {label!r} {least}: {most / least:.0f} to 1"
        findings.append(finding("imbalanced-labels", judged[label].where or data, text, label=label))
    return findings


def not_in_train(data: str, labels: Mapping[str, LabelCount]) -> list[Finding]:
    """Types of object that are measured and never learned."""
    findings = []
    for name, count in sorted(types_of(labels).items()):
        held_out = {split: n for split, n in count.splits.items() if split in ("val", "test")}
        if held_out and not count.splits["train"]:
            shown = " and ".join(f"{split} ({n} objects)" for split, n in held_out.items())
            text = f"{name!r} stands in {shown} but never in train"
            findings.append(finding("label-not-in-train", count.where or data, text, label=name))
    return findings
