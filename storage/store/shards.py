"""Encode shards as Zarr chunks and decode them; any Zarr v3 reader reads these bytes.

In an array with one chunk per row, an object is one shard in Zarr's sharding codec, without compression:

    row 0, CRC-32C | row 1, CRC-32C | … | (offset, size) of each row, uint64 | CRC-32C of these

For a whole shard this takes as long as copying it and computing its checksums: a tenth of the time of zarr's own
codecs. A flag's object is one chunk: the values of all rows of the shard, and their CRC-32C.
"""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import zarr
from crc32c import crc32c

from storage.errors import DamagedStoreError
from storage.store.layout import Array
from storage.store.objects import FetchedObject, Object, open_object

CRC, ENTRY = 4, 16
NO_CHUNK = np.iinfo(np.uint64).max


class StoredRows:
    """The rows of one array in one shard, in an open object. Each row is checked after it is copied."""

    def __init__(self, url: str, stored: Object, row_bytes: int) -> None:
        self.url, self.stored, self._stride = url, stored, row_bytes + CRC

    @classmethod
    def from_values(cls, url: str, values_nX: Array) -> Self:
        """Wrap values that zarr has read from ``url``."""
        pieces = b"".join(piece.data for piece in encode(values_nX, len(values_nX)))
        return cls(url, FetchedObject(pieces), values_nX[0].nbytes)

    def copy_to(self, place: Array, row: int) -> None:
        """Copy the bytes of a row to ``place`` (uint8). Raises DamagedStoreError if its checksum is wrong."""
        checksum = bytearray(CRC)
        size = self.stored.read_into(row * self._stride, place, checksum)
        if size != self._stride or crc32c(place.data) != int.from_bytes(checksum, "little"):
            raise DamagedStoreError(self.url)


def open_rows(url: str, array: zarr.Array[Any], rows: slice) -> StoredRows | None:
    """Open the rows of one shard, whose object is at ``url``.

    Returns None if there is no such object (zarr reads NaN there), or if another writer laid it out differently.
    Raises DamagedStoreError if the shard's index is not what was written.
    """
    try:
        stored = open_object(url)
    except FileNotFoundError:
        return None
    assert array.shards is not None
    row_bytes = int(np.prod(array.shape[1:])) * array.dtype.itemsize
    index, checksum = np.empty(ENTRY * array.shards[0], np.uint8), np.empty(CRC, np.uint8)
    start = stored.size - index.size - CRC
    if start < 0 or stored.read_into(start, index, checksum) != stored.size - start:
        raise DamagedStoreError(url)
    if (_compute_checksums(index[None])[0] != checksum).any():
        raise DamagedStoreError(url)
    if (index != _encode_index(rows.stop - rows.start, row_bytes + CRC, array.shards[0])).any():
        return None
    return StoredRows(url, stored, row_bytes)


def encode(values_nX: Array, shard_rows: int) -> Iterator[Array]:
    """Yield the pieces (uint8) of the object that holds ``values_nX``, whose rows may be fewer than ``shard_rows``.

    The pieces are views, because copying a large shard takes as long as writing it.
    """
    rows = np.ascontiguousarray(values_nX).reshape(len(values_nX), -1).view(np.uint8)
    count, row_bytes = rows.shape
    for row, checksum in zip(rows, _compute_checksums(rows), strict=True):
        yield row
        yield checksum
    index = _encode_index(count, row_bytes + CRC, shard_rows)
    yield index
    yield _compute_checksums(index[None])[0]


def encode_flags(values_n: Array, shard_rows: int) -> Iterator[Array]:
    """Yield the pieces (uint8) of a flag's object. A chunk is always whole: zeros stand for rows beyond the last."""
    chunk = np.zeros(shard_rows, values_n.dtype)
    chunk[: len(values_n)] = values_n
    yield chunk.view(np.uint8)
    yield _compute_checksums(chunk.view(np.uint8)[None])[0]


def _encode_index(count: int, stride: int, shard_rows: int) -> Array:
    """Encode the offset and size of each row. For a row that does not exist, both are the largest uint64."""
    index = np.full((shard_rows, 2), NO_CHUNK, "<u8")
    index[:count, 0] = np.arange(count) * stride
    index[:count, 1] = stride
    return index.view(np.uint8).ravel()


def _compute_checksums(rows_nB: Array) -> Array:
    """Compute the CRC-32C of each row, uint8 (n, CRC)."""
    return np.array([crc32c(row.data) for row in rows_nB], "<u4").view(np.uint8).reshape(-1, CRC)
