"""One shard of a store: an object an array, then the commit record that makes it count."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from storage import locations
from storage.layout import Array, commit_path, shard_object
from storage.records import sha256, write_record
from storage.shards import encode

if TYPE_CHECKING:
    from storage.store import LatentStore


def write_shard(
    store: "LatentStore",
    shard: int,
    arrays: dict[str, Array],
    rejected: dict[int, str],
    timing: dict[str, float],
    fingerprint: str | None,
) -> None:
    """``arrays``: with ``valid`` and ``seed``."""
    extent = store.extent(shard)
    expected = extent.stop - extent.start
    hashing = {}
    with ThreadPoolExecutor(1) as thread:  # beside the writing, for it takes as long
        for name, values in arrays.items():
            if len(values) != expected:
                raise ValueError(f"shard {shard} of {store.url} has {expected} rows; {name} came with {len(values)}")
            array = store[name]
            stored = np.ascontiguousarray(values, dtype=array.dtype)
            hashing[name] = thread.submit(sha256, stored.data)
            if array.shards:
                object_url = locations.join(store.url, name, shard_object(array, shard))
                locations.write_pieces(object_url, (piece.data for piece in encode(stored, store.shard_rows)))
            else:
                # zarr leaves out what it takes for the fill value, and to it one NaN is as good as another.
                array.with_config({"write_empty_chunks": True})[extent] = stored
    record = {
        "shard": shard,
        "rows": [extent.start, extent.stop],
        "fingerprint": fingerprint,
        "valid": int(arrays["valid"].sum()),
        "rejected": {str(row): reason for row, reason in rejected.items()},
        "sha256": {name: checksum.result() for name, checksum in hashing.items()},
        "timing": timing,
    }
    write_record(locations.join(store.url, commit_path(shard)), record)
