"""Images → a store of vectors: streaming, resumable, counted.

    find_images → [new or interrupted store] → batches → engine → writer

In memory are the names of the images and a batch for each thread; whatever happens, what was written stays whole.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argusvl.core.errors import DataError
from argusvl.core.files import real_path
from argusvl.core.logging import get_logger
from argusvl.core.progress import progress_bar, track
from argusvl.core.workers import map_in_order
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.decoding import Lane
from argusvl.recognition.extraction.agreement import require_agreement
from argusvl.recognition.extraction.engines import Engine, LocalEngine, processor_of
from argusvl.recognition.extraction.fingerprint import Plan, fingerprint_of
from argusvl.recognition.extraction.shards import WRITER
from argusvl.recognition.extraction.sources import Listing, Problem, find_images
from argusvl.recognition.extraction.store import HEADER, LEDGER, Header
from argusvl.recognition.extraction.writer import StoreWriter, changed_inputs, inputs_sha256
from argusvl.recognition.ledger import Entry, read_entry, read_ledger

BATCH_SIZE = {"cpu": 4, "cuda": 64}
"""By the kind of device. On a CPU the activations of more images leave its cache: 8 take half as long again."""

SHARD_ROWS = 2048

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ExtractionReport:
    """What an extraction did. ``inputs`` is the sum of ``embedded``, ``quarantined`` and ``skipped``.

    Attributes:
        store: Where the vectors are.
        inputs: Images that were found.
        embedded: Vectors computed by this run.
        quarantined: Images of this run that have no vector; the ledger says why.
        skipped: Images that were not computed: they were done before, or are in the store that was reused.
        vectors: In the store now.
        quarantined_entries: All that the store has, also of earlier runs.
        noted: Images that have a vector, and what is odd about them; also of earlier runs.
        problems: Places that could not be searched for images.
        other_files: Files that are no images by their names: suffix → number.
        repeated: Entries that named an image once more.
        seconds: That this run took.
    """

    store: Path
    inputs: int
    embedded: int
    quarantined: int
    skipped: int
    vectors: int
    quarantined_entries: tuple[Entry, ...]
    noted: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    other_files: Mapping[str, int]
    repeated: int
    seconds: float

    def __post_init__(self) -> None:
        assert self.inputs == self.embedded + self.quarantined + self.skipped
        assert self.inputs == self.vectors + len(self.quarantined_entries)

    @property
    def images_per_second(self) -> float:
        """Of those that this run processed."""
        return (self.embedded + self.quarantined) / self.seconds if self.seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "store": str(self.store),
            "inputs": self.inputs,
            "embedded": self.embedded,
            "quarantined": self.quarantined,
            "skipped": self.skipped,
            "vectors": self.vectors,
            "quarantined_images": [{"path": e.path, "reason": e.reason} for e in self.quarantined_entries],
            "noted_images": [{"path": e.path, "note": e.note} for e in self.noted],
            "problems": [{"path": p.path, "reason": p.reason} for p in self.problems],
            "other_files": dict(self.other_files),
            "repeated": self.repeated,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
        }


def extract(
    images: Path | Sequence[Path],
    out: Path,
    backbone: Backbone,
    *,
    lane: Lane = "exact",
    batch_size: int | None = None,
    shard_rows: int | None = None,
    workers: int | None = None,
    engine: Engine | None = None,
    reuse: Path | None = None,
    progress: bool = True,
) -> ExtractionReport:
    """Makes a store of the images' vectors, or goes on with one that was interrupted.

    Killed at any point and given again, it leaves the same bytes as without the kill.

    Args:
        images: A folder, a list, or files; see :func:`~argusvl.recognition.extraction.sources.find_images`.
        out: Folder of the store.
        backbone: Gives the vectors.
        lane: How files are decoded.
        batch_size: Images of a forward pass; of the store that is gone on with, or :data:`BATCH_SIZE`, when ``None``.
        shard_rows: Images of a Parquet file, a multiple of ``batch_size``; about 2048 when ``None``.
        workers: Threads; as many as there are cores when ``None``.
        engine: What computes; this process when ``None``.
        reuse: An older store whose vectors are taken over where a file has the same hash.
        progress: Whether to show a bar.

    Raises:
        DataError: There is no image; the scaled lane changes too many answers; the store is of other images, another
            backbone or another lane, or is damaged; the images have changed since it was begun; ``reuse`` is no such
            store.
        ArgusError: The store cannot be written; what was written is whole.
    """
    began = time.perf_counter()
    if reuse is not None and real_path(reuse) == real_path(out):
        raise DataError("is the new store itself", where=reuse, remedy="name the older store with --reuse")
    listing = find_images(images, exclude=out if out.is_dir() else None)
    header = plan_store(out, backbone, listing, lane=lane, batch_size=batch_size, shard_rows=shard_rows)
    if lane == "scaled" and not (out / HEADER).exists():
        require_agreement(backbone, listing.root, listing.paths, progress=progress)
    total, size = len(listing.paths), header.plan.batch_size
    with StoreWriter(out, header, listing.paths) as writer:
        done = writer.position
        if done:
            _log.debug("%d of %d images are in %s already; going on", done, total, out)
            _require_same_content(out, listing, done, workers, progress)
        batches = [listing.paths[start : start + size] for start in range(done, total, size)]
        chosen = engine or LocalEngine(backbone, workers)
        counts: Counter[str] = Counter()
        with (
            closing(chosen.run(batches, root=listing.root, header=header, reuse=reuse)) as computed,
            progress_bar("Extracting", total - done, shown=progress) as advance,
        ):
            for batch in computed:
                writer.append(batch)
                counts.update(entry.status for entry in batch.entries)
                counts["reused"] += batch.reused
                for _ in batch.entries:
                    advance()
    odd = [entry for entry, _ in read_ledger(out / LEDGER) if entry.row is None or entry.note is not None]
    return ExtractionReport(
        store=out,
        inputs=total,
        embedded=counts["embedded"] - counts["reused"],
        quarantined=counts["quarantined"],
        skipped=done + counts["reused"],
        vectors=writer.rows,
        quarantined_entries=tuple(entry for entry in odd if entry.row is None),
        noted=tuple(entry for entry in odd if entry.row is not None),
        problems=listing.problems,
        other_files=listing.other_files,
        repeated=listing.repeated,
        seconds=time.perf_counter() - began,
    )


def plan_store(
    out: Path,
    backbone: Backbone,
    listing: Listing,
    *,
    lane: Lane,
    batch_size: int | None = None,
    shard_rows: int | None = None,
) -> Header:
    """What is to be made; what the caller leaves open is taken from the store that is there.

    Raises:
        DataError: The store that is there cannot be read, or the numbers do not fit together.
    """
    stored = Header.read(out).plan if (out / HEADER).exists() else None
    size = batch_size or (stored.batch_size if stored else BATCH_SIZE.get(backbone.device.type, 64))
    rows = shard_rows or (stored.shard_rows if stored else max(1, SHARD_ROWS // size) * size)
    if size < 1 or rows < size or rows % size:
        raise DataError(
            f"a shard of {rows} images is no multiple of a batch of {size}",
            where=out,
            remedy="choose a multiple, so that batches do not cross shards",
        )
    processor = processor_of(backbone.device)
    if stored is not None and stored.processor != processor:
        _log.warning(
            "%s was begun on %s, this is %s: the vectors still to come may differ in their last bits from what it "
            "would have given",
            out,
            stored.processor,
            processor,
        )
    plan = Plan(
        batch_size=size,
        shard_rows=rows,
        device=backbone.device.type,
        threads=1,
        processor=stored.processor if stored else processor,
        writer=WRITER,
    )
    return Header(
        fingerprint_of(backbone, lane),
        plan,
        backbone.dimension,
        len(listing.paths),
        inputs_sha256(listing.paths),
    )


def _require_same_content(
    out: Path, listing: Listing, done: int, workers: int | None, progress: bool
) -> None:
    """Reads what is done already once more; images that are not what they were are named in a ``DataError``."""

    def changed_name(entry: Entry) -> str | None:
        now = read_entry(listing.root, entry.path)[0].sha256
        return entry.path if now != entry.sha256 else None

    entries = (entry for entry, _ in read_ledger(out / LEDGER))
    answers = track(map_in_order(changed_name, entries, workers), done, "Checking", enabled=progress)
    changed = [name for name in answers if name is not None]
    if changed:
        raise changed_inputs(out, changed=changed)
