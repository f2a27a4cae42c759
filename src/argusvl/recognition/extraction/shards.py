"""One Parquet file of a store: names, digests and vectors, the same bytes for the same content."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from argusvl.core.errors import DataError
from argusvl.core.wording import first_line
from argusvl.recognition.ledger import Entry

WRITER = f"pyarrow {pa.__version__}"
"""What writes the files: their bytes depend on it."""

_FINGERPRINT_KEY = b"argus.fingerprint"
REMEDY = "bring it back from a copy, or extract into another folder"


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a store, in order.

    Attributes:
        paths: Names of the images.
        digests: SHA-256 of their files, hexadecimal.
        vectors: ``[N, D]`` float32, not normalised.
    """

    paths: list[str]
    digests: list[str]
    vectors: NDArray[np.float32]


def shard_file(folder: Path, number: int) -> Path:
    """Where a shard of a store is."""
    return folder / "shards" / f"part-{number:06d}.parquet"


def shard_bytes(entries: Sequence[Entry], vectors: NDArray[np.float32], fingerprint: str) -> bytes:
    """The file's content: of embedded images their entries and vectors ``[N, D]``.

    The digest of the store's fingerprint stands there so that a file of another store is noticed.
    """
    dimension = vectors.shape[1]
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1), pa.float32())
    schema = pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("sha256", pa.string(), nullable=False),
            pa.field("embedding", pa.list_(pa.float32(), dimension), nullable=False),
        ],
        metadata={_FINGERPRINT_KEY: fingerprint.encode("ascii")},
    )
    columns = [
        pa.array([entry.path for entry in entries], pa.string()),
        pa.array([entry.sha256 for entry in entries], pa.string()),
        pa.FixedSizeListArray.from_arrays(flat, dimension),
    ]
    stream = io.BytesIO()
    # Everything that could change the bytes is stated. Vectors do not compress: 7 % at four times the time.
    pq.write_table(
        pa.Table.from_arrays(columns, schema=schema),
        stream,
        version="2.6",
        data_page_version="1.0",
        compression="NONE",
        use_dictionary=False,
        write_statistics=False,
        row_group_size=max(len(entries), 1),
        write_page_checksum=True,
    )
    return stream.getvalue()


def count_rows(file: Path) -> int:
    """Rows of a shard, from its footer.

    Raises:
        DataError: It is damaged or cannot be read.
    """
    try:
        return int(pq.read_metadata(file).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(file, error) from None


def read_shard(file: Path, dimension: int, fingerprint: str) -> Rows:
    """The rows of a shard.

    Raises:
        DataError: It is damaged, of another store, or cannot be read.
    """
    try:
        columns = ["path", "sha256", "embedding"]
        # Of a store that was made before there were checksums, nothing is checked.
        table = pq.read_table(file, columns=columns, page_checksum_verification=True)
        embedding = table.column("embedding").combine_chunks()
        wanted = pa.list_(pa.float32(), dimension)
        metadata = table.schema.metadata or {}
        if embedding.type != wanted or metadata.get(_FINGERPRINT_KEY) != fingerprint.encode("ascii"):
            raise DataError("the shard is of another store", where=file, remedy=REMEDY)
        # The caller's own, not Arrow's.
        vectors = np.array(embedding.flatten()).reshape(len(embedding), dimension)
        return Rows(table.column("path").to_pylist(), table.column("sha256").to_pylist(), vectors)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(f"the shard cannot be read: {first_line(error)}", where=file, remedy=REMEDY)
