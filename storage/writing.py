"""One shard of a store: an object an array, then the commit record that makes it count."""

from typing import TYPE_CHECKING

import numpy as np

from storage import locations
from storage.layout import Array, commit_path
from storage.records import sha256, write_record

if TYPE_CHECKING:
    from storage.store import LatentStore


def write_shard(
    store: "LatentStore", shard: int, arrays: dict[str, Array], rejected: dict[int, str], timing: dict[str, float]
) -> None:
    """``arrays``: with ``valid`` and ``seed``."""
    extent = store.extent(shard)
    expected = extent.stop - extent.start
    checksums = {}
    for name, values in arrays.items():
        if len(values) != expected:
            raise ValueError(f"shard {shard} of {store.url} has {expected} rows; {name} came with {len(values)}")
        stored = np.ascontiguousarray(values, dtype=store[name].dtype)
        # zarr leaves out what it takes for the fill value, and to it one NaN is as good as another.
        store[name].with_config({"write_empty_chunks": True})[extent] = stored
        checksums[name] = sha256(stored.tobytes())
    record = {
        "shard": shard,
        "rows": [extent.start, extent.stop],
        "valid": int(arrays["valid"].sum()),
        "rejected": {str(row): reason for row, reason in rejected.items()},
        "sha256": checksums,
        "timing": timing,
    }
    write_record(locations.join(store.url, commit_path(shard)), record)
