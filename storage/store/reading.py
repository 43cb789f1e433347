"""Read a store's arrays and check every row. zarr reads the objects that another writer laid out differently.

``read_row`` and ``read_shard`` are the methods ``value`` and ``values`` of ``LatentStore``.
"""

import numpy as np
import numpy.typing as npt

from storage import locations
from storage.endpoints import translate_errors
from storage.errors import DamagedStoreError
from storage.records import compute_sha256
from storage.store.handle import OpenedStore
from storage.store.layout import Array
from storage.store.shards import StoredRows, open_rows


def open_shard(store: OpenedStore, name: str, shard: int) -> StoredRows:
    """Open one array of one shard, and let the system start reading it."""
    url = store.object_url(name, shard)
    rows = open_rows(url, store[name], store.extent(shard))
    if rows is None:
        return StoredRows.from_values(url, read_shard(store, name, shard))
    rows.stored.read_ahead()
    return rows


def read_shard(store: OpenedStore, name: str, shard: int) -> Array:
    """Read one array of one shard (n rows), with one request.

    Args:
        name: The array's name.
        shard: The shard's number, from 0 to ``shard_count`` - 1.

    Returns:
        The values, in the array's dtype: (n, y, x, channel), (n, feature) or (n,).

    Raises:
        DamagedStoreError: A value is not what was written.
    """
    array, extent, url = store[name], store.extent(shard), store.object_url(name, shard)
    rows = open_rows(url, array, extent) if array.shards else None
    if rows is None:
        values = _read_by_zarr(store, name, shard, extent)
    else:
        values = np.empty((extent.stop - extent.start, *array.shape[1:]), array.dtype)
        for row, place in enumerate(values.reshape(len(values), -1).view(np.uint8)):
            rows.copy_to(place, row)
    suspicious = _may_be_missing(values) and store.sealed
    if suspicious and compute_sha256(values.tobytes()) != store.manifest.shards[shard].sha256[name]:
        raise DamagedStoreError(url)
    return values


def read_valid(store: OpenedStore) -> npt.NDArray[np.bool_]:
    """Read the flag ``valid`` of all rows, bool (N,). Raises DamagedStoreError."""
    url = locations.join(store.url, "valid")
    try:
        with translate_errors(url):
            valid = np.asarray(store["valid"][:], dtype=np.bool_)
    except ValueError:  # a chunk's checksum is wrong
        raise DamagedStoreError(url) from None
    if store.sealed and valid.sum() != store.manifest.valid:  # an object is missing
        raise DamagedStoreError(url)
    return valid


def read_row(store: OpenedStore, name: str, row: int) -> Array:
    """Read one row of one array: only its bytes from a local file, two or more requests to an object store.

    Args:
        name: The array's name.
        row: The row's number, from 0 to ``len(store)`` - 1.

    Returns:
        The row's values, in the array's dtype: (y, x, channel), (feature,) or ().

    Raises:
        IndexError: There is no such row.
        DamagedStoreError: A value is not what was written.
    """
    if not 0 <= row < len(store):
        raise IndexError(f"row {row} of {len(store)} in {store.url}")
    array, (shard, place) = store[name], divmod(row, store.shard_rows)
    url = store.object_url(name, shard)
    local = locations.find_local_path(url) is not None
    rows = open_rows(url, array, store.extent(shard)) if array.shards and local else None
    if rows is None:
        values = _read_by_zarr(store, name, shard, row)
        return read_shard(store, name, shard)[place] if _may_be_missing(values) else values
    values = np.empty(array.shape[1:], array.dtype)
    rows.copy_to(values.reshape(-1).view(np.uint8), place)
    return values


def _read_by_zarr(store: OpenedStore, name: str, shard: int, selection: slice | int) -> Array:
    url = store.object_url(name, shard)
    try:
        with translate_errors(url):
            return np.asarray(store[name][selection])
    except ValueError:  # a chunk's checksum is wrong
        raise DamagedStoreError(url) from None


def _may_be_missing(values: Array) -> bool:
    """Return whether the values may come from a missing object, which zarr reads as fill values."""
    return bool(np.isnan(values.flat[0]) or not values.flat[0])
