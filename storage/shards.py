"""A shard's object to and from memory in one piece: Zarr's sharding codec with one chunk a row, nothing compressed.

    row 0, CRC-32C | row 1, CRC-32C | … | (offset, size) of each row, uint64 | CRC-32C of those

Any Zarr v3 reader reads these bytes, chunk by chunk. Done here, a whole shard takes as long as its copy and
its checksums, a tenth of what zarr's own way through its codecs takes.
"""

from collections.abc import Iterator
from typing import Any

import google_crc32c
import numpy as np
import zarr

from storage import locations
from storage.errors import DamagedStoreError
from storage.layout import Array

CRC, ENTRY = 4, 16
NO_CHUNK = np.iinfo(np.uint64).max


class StoredRows:
    """Rows of one shard. A row is checked when it is copied: where the bytes are mapped, it is the copy that counts."""

    def __init__(self, url: str, chunks: Array) -> None:
        self.url, self.chunks = url, chunks

    def copy_to(self, place: Array, row: int) -> None:
        """Put a row's bytes at ``place`` (uint8). Raises DamagedStoreError."""
        chunk = self.chunks[row]
        place[:] = chunk[:-CRC]
        if google_crc32c.value(place) != int.from_bytes(chunk[-CRC:].tobytes(), "little"):
            raise DamagedStoreError(self.url)


def read_rows(url: str, array: zarr.Array[Any], rows: slice) -> Array:
    """The rows of one shard, whose object is at ``url``. Raises ValueError where that is not what was written."""
    chunks = open_chunks(url, array, rows) if array.shards else None
    if chunks is None:
        return np.asarray(array[rows])
    values = chunks[:, :-CRC].copy()  # for a map's bytes may change after they were checked
    if (_checksums(values) != chunks[:, -CRC:]).any():
        raise ValueError("a row has another checksum")
    return values.view(array.dtype).reshape(-1, *array.shape[1:])


def open_chunks(url: str, array: zarr.Array[Any], rows: slice) -> Array | None:
    """The chunks of one shard, (n, row's bytes + CRC), not checked yet; of a local file a map of it.

    None where there is no such object (to Zarr: all NaN), or another writer laid it out in another way. Raises
    ValueError where its index is not what was written.
    """
    try:
        data = locations.map_bytes(url)
    except FileNotFoundError:
        return None
    row_bytes = int(np.prod(array.shape[1:])) * array.dtype.itemsize
    assert array.shards is not None
    return split(data, rows.stop - rows.start, row_bytes, array.shards[0])


def encode(values_nX: Array, shard_rows: int) -> Iterator[Array]:
    """Pieces (uint8) of the object that holds ``values_nX``, of whose shard the last rows may be missing.

    No copies: large ones cost as much as the writing.
    """
    rows = np.ascontiguousarray(values_nX).reshape(len(values_nX), -1).view(np.uint8)
    count, row_bytes = rows.shape
    for row, checksum in zip(rows, _checksums(rows), strict=True):
        yield row
        yield checksum
    index = _index(count, row_bytes + CRC, shard_rows)
    yield index
    yield _checksums(index[None])[0]


def encode_chunks(rows_nB: Array) -> Array:
    """(n, row's bytes + CRC) bytes of (n, row's bytes)."""
    return np.concatenate([rows_nB, _checksums(rows_nB)], axis=1)


def split(data: Array, count: int, row_bytes: int, shard_rows: int) -> Array | None:
    """The chunks (count, row_bytes + CRC) in ``data`` (uint8); None where it is laid out in another way."""
    index, checksum = data[-ENTRY * shard_rows - CRC : -CRC], data[-CRC:]
    if len(index) != ENTRY * shard_rows or (_checksums(index[None])[0] != checksum).any():
        raise ValueError("the shard's index has another checksum")
    if (index != _index(count, row_bytes + CRC, shard_rows)).any():
        return None
    return data[: count * (row_bytes + CRC)].reshape(count, -1)


def _index(count: int, stride: int, shard_rows: int) -> Array:
    """The bytes of (shard_rows, 2) offsets and sizes; a row that is not there has the largest number twice."""
    index = np.full((shard_rows, 2), NO_CHUNK, "<u8")
    index[:count, 0] = np.arange(count) * stride
    index[:count, 1] = stride
    return index.view(np.uint8).ravel()


def _checksums(rows_nB: Array) -> Array:
    """(n, CRC) bytes."""
    return np.array([google_crc32c.value(row) for row in rows_nB], "<u4").view(np.uint8).reshape(-1, CRC)
