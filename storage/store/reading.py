"""A store's arrays back into memory, every row checked. Zarr itself reads what another writer laid out."""

import numpy as np

from storage import locations
from storage.endpoints import translate_errors
from storage.errors import DamagedStoreError
from storage.store.handle import OpenedStore
from storage.store.layout import Array
from storage.store.records import sha256
from storage.store.shards import StoredRows, open_rows


def open_shard(store: OpenedStore, name: str, shard: int) -> StoredRows:
    """One array of one shard, opened, and on its way into memory."""
    url = store.object_url(name, shard)
    rows = open_rows(url, store[name], store.extent(shard))
    if rows is None:
        return StoredRows.in_memory(url, read_shard(store, name, shard))
    rows.stored.read_ahead()
    return rows


def read_shard(store: OpenedStore, name: str, shard: int) -> Array:
    """One array of one shard (n rows)."""
    array, extent, url = store[name], store.extent(shard), store.object_url(name, shard)
    rows = open_rows(url, array, extent) if array.shards else None
    if rows is None:
        values = _by_zarr(store, name, shard, extent)
    else:
        values = np.empty((extent.stop - extent.start, *array.shape[1:]), array.dtype)
        for row, place in enumerate(values.reshape(len(values), -1).view(np.uint8)):
            rows.copy_to(place, row)
    checked = _may_be_missing(values) and store.sealed
    if checked and sha256(values.tobytes()) != store.manifest["shards"][shard]["sha256"][name]:
        raise DamagedStoreError(url)
    return values


def read_row(store: OpenedStore, name: str, row: int) -> Array:
    """One row of one array: of a local file just its bytes, elsewhere what Zarr asks the server for."""
    array, (shard, place) = store[name], divmod(row, store.shard_rows)
    url = store.object_url(name, shard)
    rows = open_rows(url, array, store.extent(shard)) if array.shards and locations.local_path(url) else None
    if rows is None:
        values = _by_zarr(store, name, shard, row)
        return read_shard(store, name, shard)[place] if _may_be_missing(values) else values
    values = np.empty(array.shape[1:], array.dtype)
    rows.copy_to(values.reshape(-1).view(np.uint8), place)
    return values


def _by_zarr(store: OpenedStore, name: str, shard: int, selection: slice | int) -> Array:
    url = store.object_url(name, shard)
    try:
        with translate_errors(url):
            return np.asarray(store[name][selection])
    except ValueError:  # a chunk's checksum is wrong
        raise DamagedStoreError(url) from None


def _may_be_missing(values: Array) -> bool:
    """To Zarr an object that is missing, or empty, is one full of fill values."""
    return bool(np.isnan(values.flat[0]) or not values.flat[0])
