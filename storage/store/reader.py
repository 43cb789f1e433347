"""The training reader: shuffled batches of a sealed store, in an order that a seed determines.

A worker's samples are an endless sequence of epochs. Batch b has its samples b*size to (b+1)*size, so the reader can
start at any batch and continue as if it had read all batches before.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, count, islice

import numpy as np

from storage.errors import UserError
from storage.store.latent_store import LatentStore
from storage.store.layout import Array
from storage.store.reading import open_shard
from storage.store.shards import StoredRows

WINDOW_SHARDS = 16
AHEAD, THREADS = 4, 2

OpenShard = dict[str, StoredRows]
"""Array name -> its rows in one shard."""
Place = tuple[int, OpenShard]
"""A row's number, and the shard that holds it."""


@dataclass(frozen=True)
class Step:
    """A part of an epoch: open the shards ``read``, then yield ``rows``, then drop the shards ``drop``."""

    read: list[int]
    rows: Array
    drop: set[int]


@dataclass(frozen=True)
class EpochOrder:
    """The order in which a worker (``rank`` of ``ranks``) sees the valid rows in each epoch.

    Each epoch distributes the shards to the workers in random order. Every worker gets the same number of valid rows;
    up to ``ranks`` - 1 rows are left out of an epoch. A row is mixed with the rows of the worker's WINDOW_SHARDS
    shards around it, so whole shards are read in sequence and only a few are open. The order is computed shard by
    shard: its memory does not grow with the number of rows.
    """

    valid: Array
    shard_rows: int
    seed: int
    rank: int = 0
    ranks: int = 1

    @property
    def share(self) -> int:
        """Samples per worker and epoch."""
        return int(self.valid.sum()) // self.ranks

    def steps(self, epoch: int) -> Iterator[Step]:
        """Yield one step per shard of an epoch. Together they have ``share`` row numbers."""
        random = np.random.default_rng([self.seed, epoch, self.rank])
        rows, times = np.empty(0, np.int64), np.empty(0)  # of the rows that were read but not yet yielded
        for ahead, (shard, dealt, last) in enumerate(self._deal(epoch)):
            # A row comes at most WINDOW_SHARDS before the turn of its shard, and at the latest at that turn.
            rows = np.concatenate([rows, dealt])
            times = np.concatenate([times, max(ahead - WINDOW_SHARDS, 0) + WINDOW_SHARDS * random.random(len(dealt))])
            now = times < (np.inf if last else max(ahead + 1 - WINDOW_SHARDS, 0))
            given, rows = rows[now][np.argsort(times[now], kind="stable")], rows[~now]
            times = times[~now]
            drop = set((given // self.shard_rows).tolist()) - set((rows // self.shard_rows).tolist())
            yield Step([shard], given, drop)

    def _deal(self, epoch: int) -> Iterator[tuple[int, Array, bool]]:
        """Yield the worker's shards in the epoch's order, as (number, the worker's rows in it, is it the last)."""
        starts = np.arange(0, len(self.valid), self.shard_rows)
        shards = np.argsort(np.random.default_rng([self.seed, epoch]).permutation(len(starts)))
        ends = np.add.reduceat(self.valid, starts, dtype=np.int64)[shards].cumsum()
        first, stop = self.rank * self.share, (self.rank + 1) * self.share
        for place in range(np.searchsorted(ends, first, "right"), np.searchsorted(ends, stop) + 1):
            start = starts[shards[place]]
            rows = start + np.flatnonzero(self.valid[start : start + self.shard_rows])
            begin = ends[place] - len(rows)
            mine = rows[max(first - begin, 0) : stop - begin]
            if len(mine):
                yield int(shards[place]), mine, bool(ends[place] >= stop)

    def steps_from(self, sample: int) -> Iterator[Step]:
        """Yield the steps of all epochs, without end, from the worker's sample number ``sample`` on."""
        first_epoch, skip = divmod(sample, self.share)
        held: list[int] = []
        steps = chain.from_iterable(self.steps(epoch) for epoch in count(first_epoch))
        for step in steps:
            held += step.read
            if len(step.rows) > skip:
                yield replace(step, read=held, rows=step.rows[skip:])
                break
            skip -= len(step.rows)
            held = [shard for shard in held if shard not in step.drop]
        yield from steps


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
    """Yield shuffled batches of a store's valid rows, epoch after epoch, without end.

    The order depends only on the store, the seed and the number of workers, so a training that resumes at
    ``start_batch`` gets the batches of an uninterrupted one. Threads read whole shards ahead and keep up to 32 shards
    open. A batch may span two epochs.

    Args:
        store: A sealed store.
        names: Names of the arrays to read.
        batch_size: Samples per batch and worker.
        seed: Seed of the order.
        start_batch: Number of batches to skip, which this worker has already seen. Default 0.
        rank: This worker's number, from 0 to ``ranks`` - 1. Default 0.
        ranks: Number of workers that share the rows. In an epoch, each row goes to at most one worker. Default 1.

    Yields:
        A batch of B = ``batch_size`` samples: each array of ``names`` in its stored dtype, (B, y, x, channel) or
        (B, feature), and ``row`` int64 (B,), the row numbers in the store.

    Raises:
        UserError: The store has fewer valid rows than there are workers.
        DamagedStoreError: A value is not what was written.

    Example:
        >>> store = LatentStore.open("runs/demo/encode/0123456789abcdef")
        >>> batch = next(shuffled_batches(store, ["latents", "text"], batch_size=8, seed=0))
        >>> batch["latents"].shape
        (8, 64, 64, 8)
    """
    order = EpochOrder(store.valid, store.shard_rows, seed, rank, ranks)
    if not order.share:
        raise UserError(
            f"at least {ranks} valid rows, one per worker",
            f"{int(order.valid.sum())} in {store.url}",
            "see the reasons for rejected rows in its index",
        )
    places = _list_places(store, names, order.steps_from(start_batch * batch_size))
    with ThreadPoolExecutor(1) as thread:
        while True:
            batch = list(islice(places, batch_size))
            arrays = {name: _read_batch(thread, store, name, batch) for name in names}
            yield {"row": np.array([row for row, _ in batch]), **arrays}


def _list_places(store: LatentStore, names: list[str], steps: Iterator[Step]) -> Iterator[Place]:
    """Yield the rows one by one, with the open shard that holds each."""
    held: dict[int, OpenShard] = {}
    for step, opened in _read_ahead(store, names, steps):
        held |= opened
        for row in step.rows.tolist():
            yield row, held[row // store.shard_rows]
        for shard in step.drop:
            del held[shard]


def _read_ahead(
    store: LatentStore, names: list[str], steps: Iterator[Step]
) -> Iterator[tuple[Step, dict[int, OpenShard]]]:
    """Yield each step with its opened shards, while threads open those of the next AHEAD steps."""

    def load(shard: int) -> OpenShard:
        return {name: open_shard(store, name, shard) for name in names}

    waiting: deque[tuple[Step, dict[int, Future[OpenShard]]]] = deque()
    threads = ThreadPoolExecutor(THREADS)
    try:
        for step in steps:
            waiting.append((step, {shard: threads.submit(load, shard) for shard in step.read}))
            if len(waiting) > AHEAD:
                now, futures = waiting.popleft()
                yield now, {shard: future.result() for shard, future in futures.items()}
    finally:
        threads.shutdown(cancel_futures=True)


def _read_batch(thread: ThreadPoolExecutor, store: LatentStore, name: str, places: list[Place]) -> Array:
    """Copy and check the rows of one array of a batch. ``thread`` copies every other row."""
    array = store[name]
    batch = np.empty((len(places), *array.shape[1:]), array.dtype)
    rows = batch.reshape(len(places), -1).view(np.uint8)

    def copy(part: slice) -> None:
        for row_B, (row, shard) in zip(rows[part], places[part], strict=True):
            shard[name].copy_to(row_B, row % store.shard_rows)

    other = thread.submit(copy, slice(1, None, 2))
    copy(slice(0, None, 2))
    other.result()
    return batch
