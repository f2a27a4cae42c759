"""Findings on pictures that stand in a data set more than once: in two splits, or twice in one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from argus_doctor.findings import Finding
from argusvl.detection.data.findings import finding
from argusvl.detection.data.preparing.copies import Copies, Likeness
from argusvl.detection.data.preparing.picture_check import CheckedPicture

_IS: dict[Likeness, str] = {
    "file": "is the same file as",
    "copy": "is a copy (encoded again, resized or brightened) of",
    "turned": "is a mirrored or turned copy of",
    "view": "shows nearly the same as",
}


def leakage(
    pictures: Sequence[CheckedPicture], open_picture: Callable[[Path], Image.Image], *, progress: bool = False
) -> list[Finding]:
    """Finds pictures that are learned from and measured on, and pictures that count twice.

    ``pictures`` are those of all splits, in their order; ``open_picture`` opens a file as the upright picture.
    """
    by_path: dict[Path, list[CheckedPicture]] = defaultdict(list)
    for picture in pictures:
        by_path[picture.path].append(picture)
    findings = [one for places in by_path.values() for one in _named_again(places)]
    firsts = (places[0] for places in by_path.values())
    marked = [(one, one.fingerprint) for one in firsts if one.fingerprint is not None]
    copies = Copies(
        [mark for _, mark in marked], lambda i: open_picture(marked[i][0].path), progress=progress
    )
    for group in copies.groups:
        findings += _in_group([(i, marked[i][0]) for i in group], copies)
    return findings


def _named_again(places: Sequence[CheckedPicture]) -> list[Finding]:
    findings = []
    first = places[0]
    for place in places[1:]:
        if place.split != first.split:
            text = f"the image {place.path.name} stands in {place.split} and in {first.split} ({first.where})"
            findings.append(finding("split-overlap", place.where, text, image=place.name))
        elif place.alone and first.alone and place.where != first.where:
            same = place.labels == first.labels and (place.boxes_xyxy_px == first.boxes_xyxy_px).all()
            objects = "with the same objects" if same else "with other objects"
            text = f"the image {place.path.name} stands in {place.split} twice, {objects} ({first.where})"
            findings.append(finding("copy-in-split", place.where, text, image=place.name))
    return findings


def _in_group(group: Sequence[tuple[int, CheckedPicture]], copies: Copies) -> list[Finding]:
    """At most one finding for a picture: its copy in another split, or else in its own."""
    findings = []
    for position, (number, picture) in enumerate(group):
        earlier = group[:position]
        others = [pair for pair in earlier if pair[1].split != picture.split]
        own = [pair for pair in earlier if pair[1].split == picture.split]
        for partner, other in [*others, *own]:
            likeness = copies.likeness(partner, number)
            across = other.split != picture.split
            if likeness is None or (likeness == "view" and not across):
                continue
            kind = "copy-in-split" if not across else "split-view" if likeness == "view" else "split-copy"
            text = f"{picture.name} in {picture.split} {_IS[likeness]} {other.name} in {other.split} ({other.where})"
            findings.append(finding(kind, picture.where, text, image=picture.name, other_image=other.name))
            break
    return findings
