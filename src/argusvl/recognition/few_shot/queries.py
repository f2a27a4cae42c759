"""Vectors of the query pictures: a store of their own, made on the way and kept in the cache.

Interrupted, the same call goes on there.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from argusvl.core.errors import DataError
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.decoding import Lane
from argusvl.recognition.extraction.extractor import extract
from argusvl.recognition.extraction.fingerprint import fingerprint_of, require_same_fingerprint
from argusvl.recognition.extraction.sources import Problem, find_images
from argusvl.recognition.extraction.store import HEADER, EmbeddingStore
from argusvl.recognition.few_shot.embeddings import digest_of_texts, extract_into_cache
from argusvl.recognition.output_folder import StoreBusyError


@dataclass(frozen=True)
class Queries:
    """Vectors of pictures, and the places that could not be searched for pictures."""

    store: EmbeddingStore
    problems: tuple[Problem, ...] = ()


def query_vectors(
    images: Sequence[Path],
    backbone: Backbone,
    lane: Lane,
    cache: Path,
    *,
    workers: int | None = None,
    progress: bool = True,
) -> Queries:
    """Vectors of pictures in folders, lists and files, computed into a store in the cache, or of one store that was
    made before.

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
    key = digest_of_texts([repr(fingerprint_of(backbone, lane).to_dict()), *names])
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
