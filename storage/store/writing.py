"""Write one shard of a store: one object per array, then the commit record, which completes it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from storage import locations
from storage.errors import UserError
from storage.records import compute_sha256, write_new_record
from storage.store.handle import OpenedStore
from storage.store.layout import Array, make_commit_path
from storage.store.records import CommitRecord
from storage.store.shards import encode, encode_flags


def write_shard(
    store: OpenedStore,
    shard: int,
    arrays: dict[str, Array],
    rejected: dict[int, str],
    timing: dict[str, float],
    fingerprint: str | None,
    note: str | None,
) -> None:
    """Write all ``arrays``, which include ``valid`` and ``seed``, unless the shard is already committed."""
    extent = store.extent(shard)
    _check_rows(arrays, extent.stop - extent.start, f"shard {shard} of {store.url}")
    commit = locations.join(store.url, make_commit_path(shard))
    if locations.exists(commit):
        return
    hashing = {}
    with ThreadPoolExecutor(1) as thread:  # hash while writing: both take equally long
        try:
            for name, values in arrays.items():
                stored = np.ascontiguousarray(values, dtype=store[name].dtype)
                hashing[name] = thread.submit(compute_sha256, stored.data)
                _write_object(store, name, shard, stored)
        except (
            FileNotFoundError
        ):  # another process has sealed the store and removed our partial file as a killed writer's
            if not locations.exists(commit):
                raise
            return
    record = CommitRecord(
        shard=shard,
        rows=[extent.start, extent.stop],
        fingerprint=fingerprint,
        valid=int(arrays["valid"].sum()),
        rejected=rejected,
        sha256={name: checksum.result() for name, checksum in hashing.items()},
        timing=timing,
        note=note,
    )
    write_new_record(commit, record)


def _check_rows(arrays: dict[str, Array], expected: int, shard: str) -> None:
    for name, values in arrays.items():
        if len(values) != expected:
            raise UserError(
                f"{expected} rows for {shard}", f"{len(values)} in {name!r}", "pass the values of the whole shard"
            )


def _write_object(store: OpenedStore, name: str, shard: int, values: Array) -> None:
    encoded = encode if store[name].shards else encode_flags
    url = store.object_url(name, shard)
    locations.write_pieces(url, lambda: (piece.data for piece in encoded(values, store.shard_rows)))
