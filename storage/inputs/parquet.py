"""Read Parquet files a few rows at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import UserError

BUFFER = 1 << 20


@contextmanager
def open_parquet(url: str) -> Iterator[pq.ParquetFile]:
    """Open a file so that its columns are streamed page by page. Raises UserError if it is damaged or not Parquet."""
    fs, path = fsspec.url_to_fs(url)
    with fs.open(path, "rb") as file:
        try:
            yield pq.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # the filesystem's, not Arrow's
                raise
            found = " ".join(str(error).split())[:200]
            raise UserError("a Parquet file", f"{url}: {found}", "write or download it again") from None


def read_cells(
    parquet: pq.ParquetFile, columns: list[str], batch_rows: int, groups: list[int] | None = None
) -> Iterator[tuple[Any, ...]]:
    """Yield rows as tuples of the columns' values, in order. Holds one batch in memory. ``groups``: row groups."""
    for batch in parquet.iter_batches(batch_rows, row_groups=groups, columns=columns):
        for row in range(len(batch)):
            yield tuple(batch.column(name)[row].as_py() for name in columns)


def holds_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds text, or only nulls."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )


def holds_bytes(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds bytes, or only nulls."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_null(kind)
    )
