"""index.parquet: which sample each row holds. One row group per shard."""

import errno
import io
import json
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from storage import locations
from storage.store.records import sha256

SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "caption", "uri", "checksum", "reason")])


def write_index(url: str, shards: Iterable[pa.Table], rejected: dict[int, str] | None = None) -> tuple[int, list[str]]:
    """Write the tables as one row group each. Returns the number of rows, and each shard's checksum.

    ``rejected`` (row -> reason) takes the place of the reasons in the tables. Without it, an index that exists stays.
    """
    row, checksums = 0, []
    with tempfile.NamedTemporaryFile() as file:  # not in memory, which millions of rows would fill
        # Each value stands once, and nobody asks for a shard's smallest: both would be most of a large index's footer.
        with pq.ParquetWriter(file, SCHEMA, compression="zstd", use_dictionary=False, write_statistics=False) as writer:
            for table in shards:
                if rejected is not None:
                    reasons = [rejected.get(row + offset) for offset in range(len(table))]
                    table = table.set_column(SCHEMA.names.index("reason"), "reason", pa.array(reasons, pa.string()))
                checksums.append(table_checksum(table))
                writer.write_table(table, row_group_size=max(1, len(table)))
                row += len(table)
        file.flush()
        locations.write_file(url, file.name, new=rejected is None)
    return row, checksums


def table_checksum(table: pa.Table) -> str:
    """Over a shard's rows, whatever their encoding."""
    return sha256(json.dumps(table.to_pylist()).encode())


def parse_index(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data))


def read_index_shard(url: str, shard: int) -> pa.Table:
    """One shard's rows, without reading the others'."""
    try:
        return _read_row_group(url, shard)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EBUSY:  # s3fs: replaced while it was read
            raise
    return _read_row_group(url, shard)  # another process has sealed in between: of two objects nobody has read a part


def _read_row_group(url: str, shard: int) -> pa.Table:
    fs, path = fsspec.url_to_fs(url)
    with fs.open(path, "rb") as file:
        return pq.ParquetFile(file).read_row_group(shard)


def index_shards(url: str) -> Iterator[pa.Table]:
    """All shards' rows, one shard after the other, of one moment: another process may replace the index meanwhile."""
    with locations.local_copy(url) as path, pq.ParquetFile(path) as parquet:
        yield from (parquet.read_row_group(shard) for shard in range(parquet.num_row_groups))


def index_tables(rows: Iterable[dict[str, Any]], shard_rows: int) -> Iterable[pa.Table]:
    """Group rows into one table per shard. ``reason`` is null unless a row was rejected. One shard is in memory."""
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append({**row, "reason": row.get("reason") or None})
        if len(group) == shard_rows:
            yield pa.Table.from_pylist(group, SCHEMA)
            group = []
    if group:
        yield pa.Table.from_pylist(group, SCHEMA)
