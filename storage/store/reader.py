"""The training reader: shuffled batches from a sealed store, in an order that follows from the seed alone.

A worker's samples are one endless row of epochs; batch b is its samples b*size to (b+1)*size.
So the reader can start at any batch, and what it gives from there is what it would have given.
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
"""A shard's arrays by name."""
Place = tuple[int, OpenShard]
"""A row's number, and the shard that it lies in."""


@dataclass(frozen=True)
class Step:
    """A piece of an epoch: read these shards, then give these rows, then drop those shards."""

    read: list[int]
    rows: Array
    drop: set[int]


@dataclass(frozen=True)
class EpochOrder:
    """Which rows a worker (``rank`` of ``ranks``) sees in each epoch, and in what order.

    An epoch's shards are dealt in random order, to each worker as many valid rows as to any other
    (up to ``ranks`` - 1 are left for another epoch). A row is mixed with those of the WINDOW_SHARDS
    shards around it, not counting those without rows for the worker, so that whole shards can be read
    one after the other and few are held. Worked out a shard at a time, so that it takes no more memory
    for 10 million rows than for a thousand.
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

    def steps(self, epoch: int) -> Iterator[Step]:
        """A step a shard; all of them together give ``share`` row numbers."""
        random = np.random.default_rng([self.seed, epoch, self.rank])
        rows, times = np.empty(0, np.int64), np.empty(0)  # of the shards read, what was not given yet
        for ahead, (shard, dealt, last) in enumerate(self._dealt(epoch)):
            # A row may come WINDOW_SHARDS before its shard's own turn, and up to its turn.
            rows = np.concatenate([rows, dealt])
            times = np.concatenate([times, max(ahead - WINDOW_SHARDS, 0) + WINDOW_SHARDS * random.random(len(dealt))])
            now = times < (np.inf if last else max(ahead + 1 - WINDOW_SHARDS, 0))
            given, rows = rows[now][np.argsort(times[now], kind="stable")], rows[~now]
            times = times[~now]
            drop = set((given // self.shard_rows).tolist()) - set((rows // self.shard_rows).tolist())
            yield Step([shard], given, drop)

    def _dealt(self, epoch: int) -> Iterator[tuple[int, Array, bool]]:
        """The worker's shards in the epoch's order: number, those of its rows that are the worker's, is it the last."""
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
        """The steps of all epochs, for ever, from the worker's sample number ``sample`` on."""
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
    """Batches of the valid rows for ever, from ``start_batch`` on: the arrays ``names`` and ``row`` (B,).

    ``batch_size`` is that of one worker. Whole shards are read, the next ones in threads; up to twice
    WINDOW_SHARDS of them are held. A shard that is not what was written raises DamagedStoreError.
    """
    order = EpochOrder(store.valid, store.shard_rows, seed, rank, ranks)
    if not order.share:
        raise UserError(
            f"at least {ranks} valid rows, one a worker",
            f"{int(order.valid.sum())} in {store.url}",
            "see the reasons in its index",
        )
    places = _places(store, names, order.steps_from(start_batch * batch_size))
    with ThreadPoolExecutor(1) as thread:
        while True:
            batch = list(islice(places, batch_size))
            arrays = {name: _fill(thread, store, name, batch) for name in names}
            yield {"row": np.array([row for row, _ in batch]), **arrays}


def _places(store: LatentStore, names: list[str], steps: Iterator[Step]) -> Iterator[Place]:
    """Row after row, with the shard that it lies in; whoever has the row keeps its shard open."""
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
    """Each step with the shards that it reads, while threads read those of the next AHEAD steps."""

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


def _fill(thread: ThreadPoolExecutor, store: LatentStore, name: str, places: list[Place]) -> Array:
    """The rows of one array, checked, each in its place in a batch: a thread sees to every other one."""
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
