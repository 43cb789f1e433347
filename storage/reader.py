"""Shuffled batches from a sealed store, reading whole shards."""

from collections.abc import Iterator

import numpy as np

from storage.errors import UserError
from storage.store import Array, LatentStore

POOLED_SHARDS = 16


def shuffled_batches(store: LatentStore, names: list[str], batch_size: int, seed: int) -> Iterator[dict[str, Array]]:
    """Batches of the valid rows, for ever: each epoch in another order, the same for the same seed.

    Shards are read in random order, POOLED_SHARDS at a time, and their rows mixed. A pool's
    last rows that do not fill a batch are left for another epoch.
    """
    if not store.manifest["valid"]:
        raise UserError("a store with valid rows", f"none in {store.url}", "see the reasons in its index")
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(store.shard_count)
        for start in range(0, len(order), POOLED_SHARDS):
            shards = [store.shard(int(shard)) for shard in order[start : start + POOLED_SHARDS]]
            pool = {name: np.concatenate([shard[name] for shard in shards]) for name in [*names, "valid"]}
            rows = random.permutation(np.flatnonzero(pool["valid"]))
            size = min(batch_size, len(rows))
            for first in range(0, len(rows) - size + 1, max(1, size)):
                chosen = rows[first : first + size]
                yield {name: pool[name][chosen] for name in names}
