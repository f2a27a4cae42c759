"""What decides the vectors of a store, and what decides its bytes; stores that differ in it are not mixed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from argusvl.core.errors import DataError
from argusvl.recognition.backbones.protocol import BackboneFingerprint
from argusvl.recognition.decoding import Lane


@dataclass(frozen=True, eq=False)
class StoreFingerprint:
    """What decides the vectors. Vectors of stores with equal fingerprints may be compared and put together.

    Attributes:
        backbone: Its weights, preprocessing, pooling, dtype and libraries.
        lane: How files become pixels.
        decoder: Library → version of those that decode in this lane.
    """

    backbone: BackboneFingerprint
    lane: Lane
    decoder: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, and the same whether it was read from a file or not."""
        values = {"backbone": asdict(self.backbone), "lane": self.lane, "decoder": dict(self.decoder)}
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        backbone = BackboneFingerprint(**values["backbone"])
        return cls(backbone=backbone, lane=values["lane"], decoder=values["decoder"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoreFingerprint) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_dict(), sort_keys=True))


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


def differing_fields(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """The fields in which two nested mappings differ: name, value of the first, value of the second.

    Names are dotted; a field that is absent has the value ``None``.
    """
    one, other = dict(_flat(first)), dict(_flat(second))
    return [
        (name, one.get(name), other.get(name))
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]


def require_same_fingerprint(stored: StoreFingerprint, wanted: StoreFingerprint, where: object) -> None:
    """Refuses to mix vectors that were made in different ways.

    Args:
        stored: Of the store.
        wanted: Of what is to be put into it or compared with it.
        where: The store.

    Raises:
        DataError: They differ; each field that does is named.
    """
    differences = fingerprint_differences(stored, wanted)
    views = next((new for name, _, new in differences if name == "views"), None)
    require_no_difference(
        differences,
        where,
        remedy=f"make vectors of the wanted views into another folder: argus recognize extract --views {views}"
        if views
        else "use what the store was made with, or extract into another folder",
    )


def fingerprint_differences(stored: StoreFingerprint, wanted: StoreFingerprint) -> list[tuple[str, Any, Any]]:
    """The fields in which two fingerprints differ; the views alone, where it is they.

    With them all numbers of the preprocessing differ, and none of those says why.
    """
    there, now = views_of(stored.backbone), views_of(wanted.backbone)
    if there != now:
        return [("views", there, now)]
    return differing_fields(stored.to_dict(), wanted.to_dict())


def views_of(backbone: BackboneFingerprint) -> str:
    """What ``--views`` was when the vectors were made."""
    return {0: "one", 1: "two"}.get(len(backbone.preprocessing.get("views", ())), "four")


def require_no_difference(differences: list[tuple[str, Any, Any]], where: object, *, remedy: str) -> None:
    """Names what differs.

    Raises:
        DataError: Something does.
    """
    if differences:
        lines = [f"\n  {name}: the store has {old!r}, now it is {new!r}" for name, old, new in differences]
        raise DataError(f"the store was made in another way:{''.join(lines)}", where=where, remedy=remedy)


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", value))
    return found
