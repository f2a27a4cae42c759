"""Vectors of pictures, computed once: a store in a cache, found again by what the files hold and what makes vectors.

    <cache>/<digest of the fingerprint>/<digest of the pictures' contents>/     as `argus recognize extract` makes
    <cache>/queries/<digest of the fingerprint and the pictures' names>/        likewise, of pictures to sort or to find

Names and dates of files decide nothing: a picture that was changed is computed anew, one that was moved is not.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from argusvl.core.errors import DataError
from argusvl.core.progress import track
from argusvl.core.workers import map_in_order
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.decoding import Lane
from argusvl.recognition.extraction.extractor import ExtractionReport, extract
from argusvl.recognition.extraction.fingerprint import (
    StoreFingerprint,
    fingerprint_of,
    require_same_fingerprint,
)
from argusvl.recognition.extraction.sources import Problem, find_images
from argusvl.recognition.extraction.store import HEADER, EmbeddingStore
from argusvl.recognition.few_shot.features import Vectors
from argusvl.recognition.ledger import read_entry
from argusvl.recognition.output_folder import StoreBusyError

CACHE_VARIABLE = "ARGUS_CACHE"
"""Environment variable that names another folder for the cache."""

_KEY_DIGITS = 16


@dataclass(frozen=True)
class Embedded:
    """The vectors of some pictures.

    Attributes:
        vectors: ``[N, D]``, each content once.
        rows: File → its row; two files of the same content have the same.
        digests: File → SHA-256 of its content, also of pictures that cannot be decoded.
        quarantined: File → why it has no vector.
    """

    vectors: Vectors
    rows: Mapping[Path, int]
    digests: Mapping[Path, str]
    quarantined: Mapping[Path, str]

    def of(self, files: Sequence[Path]) -> Vectors:
        """Vectors of files that have one, in their order, ``[len(files), D]``."""
        return self.vectors[[self.rows[file] for file in files]]


@dataclass(frozen=True)
class Queries:
    """Vectors of pictures, and the places that could not be searched for pictures."""

    store: EmbeddingStore
    problems: tuple[Problem, ...] = ()


def default_cache() -> Path:
    """The folder that ``$ARGUS_CACHE`` names, else ``argus`` in the user's cache folder."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "argus" / "embeddings"


def embed_pictures(
    files: Sequence[Path],
    backbone: Backbone,
    cache: Path,
    *,
    lane: Lane = "exact",
    workers: int | None = None,
    progress: bool = True,
) -> Embedded:
    """Vectors of picture files, from the cache as far as they are there.

    Interrupted, the same call goes on where it was.

    Raises:
        DataError: No picture can be used.
        StoreBusyError: Another process computes the same vectors.
        ArgusError: The cache cannot be written.
    """
    digests, quarantined = read_contents(files, workers=workers, progress=progress)
    if not digests:
        raise DataError(
            f"none of {len(files)} pictures can be read: {next(iter(quarantined.values()), 'there is none')}",
            where=files[0] if files else None,
            remedy="check the files and their permissions",
        )
    shelf = cache / digest_of_texts([json.dumps(asdict(fingerprint_of(backbone, lane)), sort_keys=True)])
    store = content_store(digests, shelf, backbone, lane=lane, workers=workers, progress=progress)
    try:
        _, vectors = store.vectors()
    except DataError:  # damaged: what a cache holds can be made again
        shutil.rmtree(store.folder)
        store = content_store(digests, shelf, backbone, lane=lane, workers=workers, progress=progress)
        _, vectors = store.vectors()
    rows, without = rows_of_contents(store, digests)
    return Embedded(vectors, rows, digests, quarantined | without)


def read_contents(
    files: Sequence[Path], *, workers: int | None = None, progress: bool = True
) -> tuple[dict[Path, str], dict[Path, str]]:
    """SHA-256 of each file's content, and the reason of each that cannot be read or has a name that is not UTF-8.

    A store keeps the reasons by content, so that one that lies in the name must not get that far.
    """

    def digest_of(file: Path) -> tuple[str | None, str | None]:
        try:
            os.fspath(file.absolute()).encode("utf-8")
        except UnicodeEncodeError:
            return None, "its name is not UTF-8: rename the file"
        entry, _ = read_entry(Path(), os.fspath(file))
        return entry.sha256, entry.reason

    digests, reasons = {}, {}
    found = track(map_in_order(digest_of, files, workers), len(files), "Reading", enabled=progress)
    for file, (digest, reason) in zip(files, found, strict=True):
        if digest is not None:
            digests[file] = digest
        else:
            reasons[file] = reason or "it cannot be read"
    return digests, reasons


def content_store(
    digests: Mapping[Path, str],
    shelf: Path,
    backbone: Backbone,
    *,
    lane: Lane,
    workers: int | None = None,
    progress: bool = True,
) -> EmbeddingStore:
    """The store of these contents in a folder of such stores; made or finished where it is not there.

    Of files with the same content (``digests``: file → SHA-256) one is read. The folder, ``shelf``, is of one
    fingerprint; a store in it of which all is in the new one goes.

    Raises:
        StoreBusyError: Another process is making it.
        ArgusError: It cannot be written.
    """
    by_content: dict[str, Path] = {}
    for file in sorted(digests, key=os.fsencode):
        by_content.setdefault(digests[file], file.absolute())
    folder = shelf / digest_of_texts(sorted(by_content))
    fingerprint = fingerprint_of(backbone, lane)
    store = _finished(folder, fingerprint)
    if store is not None:
        reasons = {entry.sha256 for entry in store.quarantined}
        if by_content.keys() <= reasons.union(store.digests()):
            return store
    older = _largest_store(shelf, fingerprint, but=folder)
    # Begun from files of other names, damaged, or made otherwise: then it is made again, at last without the older one.
    extract_into_cache(
        list(by_content.values()), folder, backbone, (older, older, None), lane, workers, progress
    )
    store = EmbeddingStore.open(folder)
    if older is not None and set(EmbeddingStore.open(older).digests()) <= by_content.keys():
        shutil.rmtree(older, ignore_errors=True)  # all of it is in the new one
    return store


def rows_of_contents(
    store: EmbeddingStore, digests: Mapping[Path, str]
) -> tuple[dict[Path, int], dict[Path, str]]:
    """The row of each file whose content has a vector in its store, and of the others why they have none."""
    row_of = {digest: row for row, digest in enumerate(store.digests())}
    reasons = {entry.sha256: entry.reason for entry in store.quarantined}
    rows = {file: row_of[digest] for file, digest in digests.items() if digest in row_of}
    # What is neither there nor quarantined had another content when it was to be decoded.
    changed = "it was changed while it was being read"
    return rows, {f: reasons.get(d) or changed for f, d in digests.items() if f not in rows}


def query_vectors(
    images: Sequence[Path],
    backbone: Backbone,
    lane: Lane,
    cache: Path,
    *,
    workers: int | None = None,
    progress: bool = True,
) -> Queries:
    """Vectors of pictures: of a store that was made before, or computed into one in the cache.

    ``images`` are folders, lists and files, or one store of vectors.

    Raises:
        DataError: There is no picture, or the store was made in another way.
        StoreBusyError: Another process computes the same vectors.
        ArgusError: The cache cannot be written.
    """
    if len(images) == 1 and (images[0] / HEADER).is_file():
        store = EmbeddingStore.open(images[0])
        require_same_fingerprint(store.fingerprint, fingerprint_of(backbone, lane), store.folder)
        return Queries(store)
    beside = [place for place in images if (place / HEADER).is_file()]
    if beside:
        raise DataError(
            "a store of vectors is named beside other places",
            where=beside[0],
            remedy="give the store alone, and the pictures in a command of their own",
        )
    sources = images[0] if len(images) == 1 else images
    listing = find_images(sources)
    names = [repr(name) for name in (str(listing.root.absolute()), *listing.paths)]
    key = digest_of_texts([repr(asdict(fingerprint_of(backbone, lane))), *names])
    folder = cache / "queries" / key
    older = folder.with_name(f"{folder.name}.old")
    if older.is_dir() and not folder.exists():
        older.rename(folder)  # cut off between the two renames below
    try:
        report = extract(sources, folder, backbone, lane=lane, workers=workers, progress=progress)
    except StoreBusyError:
        raise
    except DataError:
        if not folder.is_dir():
            raise
        # The pictures are not what they were: those that are the same are taken over.
        shutil.rmtree(older, ignore_errors=True)
        folder.rename(older)
        report = extract_into_cache(sources, folder, backbone, (older, None), lane, workers, progress)
        shutil.rmtree(older, ignore_errors=True)
    return Queries(EmbeddingStore.open(folder), report.problems)


def extract_into_cache(
    sources: Path | Sequence[Path],
    folder: Path,
    backbone: Backbone,
    reuse: Sequence[Path | None],
    lane: Lane,
    workers: int | None,
    progress: bool,
) -> ExtractionReport:
    """A store in a cache, made or gone on with; where that fails it is made anew, with the next older store.

    Raises:
        StoreBusyError: Another process is making it.
        ArgusError: What the last try raises.
    """
    make = partial(extract, sources, folder, backbone, lane=lane, workers=workers, progress=progress)
    *earlier, last = reuse
    for older in earlier:
        try:
            return make(reuse=older)
        except StoreBusyError:
            raise
        except DataError:
            if not folder.is_dir():
                raise
            shutil.rmtree(folder, ignore_errors=True)
    return make(reuse=last)


def _finished(folder: Path, fingerprint: StoreFingerprint) -> EmbeddingStore | None:
    """The store, unless it is not begun, not finished, damaged, or made in another way."""
    try:
        store = EmbeddingStore.open(folder)
    except DataError:
        return None
    return store if store.fingerprint == fingerprint else None


def _largest_store(shelf: Path, fingerprint: StoreFingerprint, but: Path) -> Path | None:
    """Of the finished stores of this fingerprint, one excepted."""
    folders = [folder for folder in sorted(shelf.iterdir()) if folder != but] if shelf.is_dir() else []
    stores = [store for folder in folders if (store := _finished(folder, fingerprint)) is not None]
    return max(stores, key=len).folder if stores else None


def digest_of_texts(texts: Sequence[str]) -> str:
    """A short name for texts, in their order."""
    return hashlib.sha256("\n".join(texts).encode("utf-8")).hexdigest()[:_KEY_DIGITS]
