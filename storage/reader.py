"""The training reader: shuffled batches from a sealed store, in an order that follows from the seed alone.

A worker's samples are one endless row of epochs; batch b is its samples b*size to (b+1)*size.
So the reader can start at any batch, and what it gives from there is what it would have given.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, count

import numpy as np

from storage.errors import UserError
from storage.layout import Array
from storage.store import LatentStore

WINDOW_SHARDS = 16


@dataclass(frozen=True)
class EpochOrder:
    """Which rows a worker (``rank`` of ``ranks``) sees in each epoch, and in what order.

    An epoch's shards are dealt in random order, to each worker as many valid rows as to any other
    (up to ``ranks`` - 1 are left for another epoch). A row is mixed with those of the WINDOW_SHARDS
    shards around it, so that whole shards can be read one after the other and few are held.
    """

    valid: Array
    shard_rows: int
    seed: int
    rank: int = 0
    ranks: int = 1

    @property
    def share(self) -> int:
        """A worker's samples an epoch."""
        return int(self.valid.sum()) // self.ranks

    def rows(self, epoch: int) -> Array:
        """(share,) row numbers."""
        shard_count = -(-len(self.valid) // self.shard_rows)
        place_of_shard = np.random.default_rng([self.seed, epoch]).permutation(shard_count)
        rows = np.flatnonzero(self.valid)
        places = place_of_shard[rows // self.shard_rows]
        dealt = np.argsort(places, kind="stable")[self.rank * self.share : (self.rank + 1) * self.share]
        ahead = places[dealt] - places[dealt].min()
        random = np.random.default_rng([self.seed, epoch, self.rank]).random(self.share)
        times = np.maximum(ahead - WINDOW_SHARDS, 0) + WINDOW_SHARDS * random
        return rows[dealt][np.argsort(times, kind="stable")]

    def batches(self, batch_size: int, start_batch: int) -> Iterator[Array]:
        """(batches, batch_size) row numbers at a time, for ever: an epoch, less the samples that fill no batch.

        Those open the next one.
        """
        first_epoch, done = divmod(start_batch * batch_size, self.share)
        rows = self.rows(first_epoch)[done:]
        for epoch in count(first_epoch + 1):
            full = len(rows) // batch_size * batch_size
            yield rows[:full].reshape(-1, batch_size)
            rows = np.concatenate([rows[full:], self.rows(epoch)])


def shuffled_batches(
    store: LatentStore,
    names: list[str],
    batch_size: int,
    seed: int,
    *,
    start_batch: int = 0,
    rank: int = 0,
    ranks: int = 1,
) -> Iterator[dict[str, Array]]:
    """Batches of the valid rows for ever, from ``start_batch`` on: the arrays ``names`` and ``row`` (B,).

    ``batch_size`` is that of one worker. Whole shards are read, the next one in a thread.
    """
    order = EpochOrder(store.valid, store.shard_rows, seed, rank, ranks)
    if not order.share:
        raise UserError(
            f"at least {ranks} valid rows, one a worker",
            f"{int(order.valid.sum())} in {store.url}",
            "see the reasons in its index",
        )
    with ThreadPoolExecutor(1) as thread:
        for rows in order.batches(batch_size, start_batch):
            yield from _read(store, names, rows, thread)


def _read(
    store: LatentStore, names: list[str], rows_nB: Array, thread: ThreadPoolExecutor
) -> Iterator[dict[str, Array]]:
    """The batches of ``rows_nB``; a shard is held from its first use to its last."""

    def load(shard: int) -> dict[str, Array]:
        return {name: store.values(name, shard) for name in names}

    shards_nB = (rows_nB // store.shard_rows).tolist()
    last_use = {shard: batch for batch, shards in enumerate(shards_nB) for shard in shards}
    unread = list(dict.fromkeys(chain.from_iterable(shards_nB)))[::-1]
    held: dict[int, dict[str, Array]] = {}
    ahead = thread.submit(load, unread[-1]) if unread else None
    for batch, (rows, shards) in enumerate(zip(rows_nB, shards_nB, strict=True)):
        while ahead and not held.keys() >= set(shards):
            held[unread.pop()] = ahead.result()
            ahead = thread.submit(load, unread[-1]) if unread else None
        places = list(zip(shards, rows % store.shard_rows, strict=True))
        yield {"row": rows, **{name: np.stack([held[shard][name][at] for shard, at in places]) for name in names}}
        held = {shard: arrays for shard, arrays in held.items() if last_use[shard] > batch}
