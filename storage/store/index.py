"""index.parquet: the id, caption, uri, checksum and reason of each row. One row group per shard."""

import errno
import io
import json
import tempfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from tenacity import retry, retry_if_exception, stop_after_attempt

from storage import locations
from storage.endpoints import translate_errors
from storage.records import compute_sha256

SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "caption", "uri", "checksum", "reason")])


def write_index(url: str, shards: Iterable[pa.Table], rejected: dict[int, str] | None = None) -> tuple[int, list[str]]:
    """Write the tables as one row group each. Returns the number of rows, and the checksum of each shard's rows.

    ``rejected`` (row -> reason) replaces the reasons in the tables. Without it, an existing index is not replaced.
    """
    row, checksums = 0, []
    with tempfile.NamedTemporaryFile() as file:  # millions of rows do not fit in memory
        # Values rarely repeat and no reader filters by them; dictionaries and statistics would be most of the file.
        with pq.ParquetWriter(file, SCHEMA, compression="zstd", use_dictionary=False, write_statistics=False) as writer:
            for table in shards:
                if rejected is not None:
                    reasons = [rejected.get(row + offset) for offset in range(len(table))]
                    table = table.set_column(SCHEMA.names.index("reason"), "reason", pa.array(reasons, pa.string()))
                checksums.append(hash_table(table))
                writer.write_table(table, row_group_size=max(1, len(table)))
                row += len(table)
        file.flush()
        locations.write_file(url, file.name, new=rejected is None)
    return row, checksums


def hash_table(table: pa.Table) -> str:
    """Compute the SHA-256 of a shard's rows. It does not depend on their encoding in Parquet."""
    return compute_sha256(json.dumps(table.to_pylist()).encode())


def parse_index(data: bytes) -> pa.Table:
    """Parse the whole index from its bytes."""
    return pq.read_table(io.BytesIO(data))


def read_index_shard(url: str, shard: int) -> pa.Table:
    """Read the rows of one shard alone."""
    with translate_errors(url):
        return _read_row_group(url, shard)


def _may_be_replaced(error: BaseException) -> bool:
    """Return whether the index may have been replaced during a read, because another process sealed the store."""
    if isinstance(error, OSError):
        return error.errno == errno.EBUSY  # raised by s3fs
    return isinstance(error, pa.ArrowException)


@lru_cache(maxsize=2)
def _read_footer(url: str, version: str) -> pq.FileMetaData:
    """Read the footer, kept for this version of the file: it grows with the shards, and workers read one by one."""
    fs, path = fsspec.url_to_fs(url)
    with fs.open(path, "rb") as file:
        return pq.read_metadata(file)


@retry(
    retry=retry_if_exception(_may_be_replaced),
    stop=stop_after_attempt(2),
    before_sleep=lambda _: _read_footer.cache_clear(),
    reraise=True,
)
def _read_row_group(url: str, shard: int) -> pa.Table:
    fs, path = fsspec.url_to_fs(url)
    footer = _read_footer(url, fs.ukey(path))
    with fs.open(path, "rb") as file:
        return pq.ParquetFile(file, metadata=footer).read_row_group(shard)


def read_index_shards(url: str) -> Iterator[pa.Table]:
    """Yield the rows of each shard, in order. They are consistent even if another process replaces the index."""
    with locations.open_local_copy(url) as path, pq.ParquetFile(path) as parquet:
        yield from (parquet.read_row_group(shard) for shard in range(parquet.num_row_groups))


def index_tables(rows: Iterable[dict[str, Any]], shard_rows: int) -> Iterator[pa.Table]:
    """Group rows into one table per shard, as ``LatentStore.create`` takes them. Holds one shard in memory.

    Args:
        rows: Dicts with ``id``, ``caption``, ``uri``, ``checksum`` and, for a rejected row, ``reason``, all str. A
            missing entry becomes null, as does an empty ``reason``.
        shard_rows: Rows per shard.

    Yields:
        One table per shard; the last may have fewer rows.

    Example:
        >>> rows = [{"id": str(n), "caption": f"image {n}", "uri": "", "checksum": ""} for n in range(5)]
        >>> [len(table) for table in index_tables(rows, shard_rows=2)]
        [2, 2, 1]
    """
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append({**row, "reason": row.get("reason") or None})
        if len(group) == shard_rows:
            yield pa.Table.from_pylist(group, SCHEMA)
            group = []
    if group:
        yield pa.Table.from_pylist(group, SCHEMA)
