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
from tenacity import retry, retry_if_exception, stop_after_attempt

from storage import locations
from storage.endpoints import translate_errors
from storage.records import compute_sha256

SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "caption", "uri", "checksum", "reason")])


def write_index(url: str, shards: Iterable[pa.Table], rejected: dict[int, str] | None = None) -> tuple[int, list[str]]:
    """Write the tables as one row group each. Returns the number of rows, and each shard's checksum.

    ``rejected`` (row -> reason) takes the place of the reasons in the tables. Without it, an index that exists stays.
    """
    row, checksums = 0, []
    with tempfile.NamedTemporaryFile() as file:  # not in memory, which millions of rows would fill
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
    """SHA-256 over the rows of a shard, whatever their encoding."""
    return compute_sha256(json.dumps(table.to_pylist()).encode())


def parse_index(data: bytes) -> pa.Table:
    """The whole index, from its bytes."""
    return pq.read_table(io.BytesIO(data))


def read_index_shard(url: str, shard: int) -> pa.Table:
    """Read the rows of one shard, without those of the others."""
    with translate_errors(url):
        return _read_row_group(url, shard)


def _may_be_replaced(error: BaseException) -> bool:
    """Tell whether an error may come from parts of two indexes: another process sealed while this one was reading."""
    if isinstance(error, OSError):
        return error.errno == errno.EBUSY  # s3fs says so
    return isinstance(error, pa.ArrowException)


@retry(retry=retry_if_exception(_may_be_replaced), stop=stop_after_attempt(2), reraise=True)
def _read_row_group(url: str, shard: int) -> pa.Table:
    fs, path = fsspec.url_to_fs(url)
    with fs.open(path, "rb") as file:
        return pq.ParquetFile(file).read_row_group(shard)


def read_index_shards(url: str) -> Iterator[pa.Table]:
    """Yield the rows of one shard after the other, as the index was at first: another process may replace it."""
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
