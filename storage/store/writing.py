"""One shard of a store: an object an array, then the commit record that makes it count."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from storage import locations
from storage.store.handle import OpenedStore
from storage.store.layout import Array, commit_path
from storage.store.records import sha256, write_new_record
from storage.store.shards import encode, encode_flags


def write_shard(
    store: OpenedStore,
    shard: int,
    arrays: dict[str, Array],
    rejected: dict[int, str],
    timing: dict[str, float],
    fingerprint: str | None,
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
    hashing = {}
    with ThreadPoolExecutor(1) as thread:  # beside the writing, for it takes as long
        try:
            for name, values in arrays.items():
                stored = np.ascontiguousarray(values, dtype=store[name].dtype)
                hashing[name] = thread.submit(sha256, stored.data)
                _put(store, name, shard, stored)
        except FileNotFoundError:  # another process has sealed, and taken this one's partial file for a killed one's
            if not locations.exists(commit):
                raise
            return
    record = {
        "shard": shard,
        "rows": [extent.start, extent.stop],
        "fingerprint": fingerprint,
        "valid": int(arrays["valid"].sum()),
        "rejected": {str(row): reason for row, reason in rejected.items()},
        "sha256": {name: checksum.result() for name, checksum in hashing.items()},
        "timing": timing,
    }
    write_new_record(commit, record)


def _put(store: OpenedStore, name: str, shard: int, values: Array) -> None:
    encoded = encode if store[name].shards else encode_flags
    url = store.object_url(name, shard)
    locations.write_pieces(url, lambda: (piece.data for piece in encoded(values, store.shard_rows)))
