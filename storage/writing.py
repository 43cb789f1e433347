"""One shard of a store: an object an array, then the commit record that makes it count."""

import asyncio
from typing import TYPE_CHECKING

import numpy as np
from zarr.core.sync import sync

from storage import locations
from storage.endpoints import WRITE_SECONDS, answering
from storage.layout import Array, commit_path
from storage.records import sha256, write_new_record

if TYPE_CHECKING:
    from storage.store import LatentStore


def write_shard(
    store: "LatentStore", shard: int, arrays: dict[str, Array], rejected: dict[int, str], timing: dict[str, float]
) -> None:
    """``arrays``: with ``valid`` and ``seed``. Where another process has committed the shard, nothing is written."""
    extent = store.extent(shard)
    expected = extent.stop - extent.start
    for name, values in arrays.items():
        if len(values) != expected:
            raise ValueError(f"shard {shard} of {store.url} has {expected} rows; {name} came with {len(values)}")
    commit = locations.join(store.url, commit_path(shard))
    if locations.exists(commit):
        return
    stored = {name: np.ascontiguousarray(values, dtype=store[name].dtype) for name, values in arrays.items()}
    try:
        for name, values in stored.items():
            _put(store, name, extent, values)
    except FileNotFoundError:  # another process has sealed, and taken this one's partial file for a killed one's
        if not locations.exists(commit):
            raise
    record = {
        "shard": shard,
        "rows": [extent.start, extent.stop],
        "valid": int(arrays["valid"].sum()),
        "rejected": {str(row): reason for row, reason in rejected.items()},
        "sha256": {name: sha256(values.tobytes()) for name, values in stored.items()},
        "timing": timing,
    }
    write_new_record(commit, record)


def _put(store: "LatentStore", name: str, extent: slice, values: Array) -> None:
    """A client does not end an upload that stands still; this does."""
    with answering(store.url):
        sync(asyncio.wait_for(store[name].async_array.setitem(extent, values), WRITE_SECONDS))
