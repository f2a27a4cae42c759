"""What decides the vectors of a store, and what decides its bytes; stores that differ in it are not mixed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from argusvl.core.errors import DataError
from argusvl.core.wording import flat
from argusvl.recognition.backbones.protocol import Backbone, BackboneFingerprint
from argusvl.recognition.decoding import Lane, decoder_versions


@dataclass(frozen=True)
class StoreFingerprint:
    """What decides the vectors. Vectors of stores with equal fingerprints may be compared and put together.

    The lane says how files become pixels; ``decoder`` names the libraries that decode in it, with their versions.
    """

    backbone: BackboneFingerprint
    lane: Lane
    decoder: Mapping[str, str]


def fingerprint_of(backbone: Backbone, lane: Lane) -> StoreFingerprint:
    """What a store of this backbone's vectors says, in the very values that its file gives back."""
    values = json.loads(json.dumps(asdict(backbone.fingerprint)))
    return StoreFingerprint(BackboneFingerprint(**values), lane, decoder_versions(lane))


@dataclass(frozen=True)
class Plan:
    """How one store is made: with the same plan, images and fingerprint it is the same bytes.

    Attributes:
        batch_size: Images of one forward pass; batches begin at its multiples in the list of images.
        shard_rows: Images of one Parquet file, a multiple of ``batch_size``.
        device: Kind of device that computes: ``cpu`` or ``cuda``.
        threads: That one batch is divided among on the CPU: a sum that is divided differs in its last bits.
        processor: Kind of processor, which chooses among the arithmetic kernels.
        writer: Library and version that writes the Parquet files.
    """

    batch_size: int
    shard_rows: int
    device: str
    threads: int
    processor: str
    writer: str


def views_of(backbone: BackboneFingerprint) -> str:
    """What ``--views`` was when the vectors were made."""
    return {0: "one", 1: "two"}.get(len(backbone.preprocessing.get("views", ())), "four")


def require_same_fingerprint(
    stored: StoreFingerprint, wanted: StoreFingerprint, where: object, *, remedy: str | None = None
) -> None:
    """Refuses to mix vectors that were made in different ways; without a remedy, one that fits is told.

    Raises:
        DataError: They differ; each field that does is named, or the views alone where it is they: with them all
            numbers of the preprocessing differ, and none of those says why.
    """
    there, now = views_of(stored.backbone), views_of(wanted.backbone)
    if there != now:
        fitting = (
            f"make vectors of the wanted views into another folder: argus recognize extract --views {now}"
        )
        require_same({"views": there}, {"views": now}, where, remedy=remedy or fitting)
    fitting = "use what the store was made with, or extract into another folder"
    require_same(asdict(stored), asdict(wanted), where, remedy=remedy or fitting)


def require_same(stored: Mapping[str, Any], wanted: Mapping[str, Any], where: object, *, remedy: str) -> None:
    """Refuses a store that was made with other values; in nested mappings.

    Raises:
        DataError: Some differ; each is named by its dotted name, an absent one has the value ``None``.
    """
    old, new = dict(flat(stored)), dict(flat(wanted))
    lines = [
        f"\n  {name}: the store has {old.get(name)!r}, now it is {new.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    if lines:
        raise DataError(f"the store was made in another way:{''.join(lines)}", where=where, remedy=remedy)
