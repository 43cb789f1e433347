"""Read a store's arrays, checking every row. Objects that another writer laid out differently are read by zarr."""

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
    """Open one array of one shard, and let the system begin to read it."""
    url = store.object_url(name, shard)
    rows = open_rows(url, store[name], store.extent(shard))
    if rows is None:
        return StoredRows.from_values(url, read_shard(store, name, shard))
    rows.stored.read_ahead()
    return rows


def read_shard(store: OpenedStore, name: str, shard: int) -> Array:
    """Read one array of one shard (n rows)."""
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
    """Read the flag ``valid`` of all rows (N,)."""
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
    """Read one row of one array: of a local file only its bytes, elsewhere what zarr requests from the server."""
    array, (shard, place) = store[name], divmod(row, store.shard_rows)
    url = store.object_url(name, shard)
    local = locations.local_path(url) is not None
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
    """Tell whether the values may come from no object: to zarr, a missing or empty one is full of fill values."""
    return bool(np.isnan(values.flat[0]) or not values.flat[0])
