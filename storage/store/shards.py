"""Zarr's chunks to and from memory, as this store lays them out; any Zarr v3 reader reads these bytes.

Of an array with a chunk a row, an object is a shard, of Zarr's sharding codec, nothing compressed:

    row 0, CRC-32C | row 1, CRC-32C | … | (offset, size) of each row, uint64 | CRC-32C of those

Done here, a whole shard takes as long as its copy and its checksums, a tenth of what zarr's own way through its
codecs takes. Of the flags, an object is one chunk: the values of all of the shard's rows, CRC-32C.
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
    """The rows of one shard in an object that stays open. A row is checked when it is copied, and as it was copied."""

    def __init__(self, url: str, stored: Object, row_bytes: int) -> None:
        self.url, self.stored, self._stride = url, stored, row_bytes + CRC

    @classmethod
    def in_memory(cls, url: str, values_nX: Array) -> Self:
        """Of values that came from ``url`` in another way."""
        pieces = b"".join(piece.data for piece in encode(values_nX, len(values_nX)))
        return cls(url, FetchedObject(pieces), values_nX[0].nbytes)

    def copy_to(self, place: Array, row: int) -> None:
        """Put a row's bytes at ``place`` (uint8). Raises DamagedStoreError."""
        checksum = bytearray(CRC)
        size = self.stored.read_into(row * self._stride, place, checksum)
        if size != self._stride or crc32c(place.data) != int.from_bytes(checksum, "little"):
            raise DamagedStoreError(self.url)


def open_rows(url: str, array: zarr.Array[Any], rows: slice) -> StoredRows | None:
    """The rows of one shard, whose object is at ``url``.

    None where there is no such object (to Zarr: all NaN), or another writer laid it out in another way. Raises
    DamagedStoreError where its index is not what was written.
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
    if (_checksums(index[None])[0] != checksum).any():
        raise DamagedStoreError(url)
    if (index != _index(rows.stop - rows.start, row_bytes + CRC, array.shards[0])).any():
        return None
    return StoredRows(url, stored, row_bytes)


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


def encode_flags(values_n: Array, shard_rows: int) -> Iterator[Array]:
    """The same of the values of one flag: a chunk is always whole, so zeros stand for rows beyond the last one."""
    chunk = np.zeros(shard_rows, values_n.dtype)
    chunk[: len(values_n)] = values_n
    yield chunk.view(np.uint8)
    yield _checksums(chunk.view(np.uint8)[None])[0]


def _index(count: int, stride: int, shard_rows: int) -> Array:
    """The bytes of (shard_rows, 2) offsets and sizes; a row that is not there has the largest number twice."""
    index = np.full((shard_rows, 2), NO_CHUNK, "<u8")
    index[:count, 0] = np.arange(count) * stride
    index[:count, 1] = stride
    return index.view(np.uint8).ravel()


def _checksums(rows_nB: Array) -> Array:
    """(n, CRC) bytes."""
    return np.array([crc32c(row.data) for row in rows_nB], "<u4").view(np.uint8).reshape(-1, CRC)
