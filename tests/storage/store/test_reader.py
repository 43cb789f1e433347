from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage import ArraySpec, LatentStore, UserError
from storage.store.index import index_tables
from storage.store.reader import WINDOW_SHARDS, EpochOrder, shuffled_batches


def numbered_store(url: str, count: int, shard_rows: int, invalid: set[int]) -> LatentStore:
    """Row n holds the number n."""
    tables = index_tables(
        ({"id": str(i), "caption": "", "uri": "", "checksum": "", "reason": ""} for i in range(count)), shard_rows
    )
    store = LatentStore.create(
        url, {"n": ArraySpec((1,), "float32", ("x",))}, tables, shard_rows=shard_rows, provenance={}
    )
    for shard in range(store.shard_count):
        rows = np.arange(store.extent(shard).start, store.extent(shard).stop)
        valid = np.array([row not in invalid for row in rows])
        rejected = {int(row): "bad" for row in rows if int(row) in invalid}
        store.write_shard(
            shard,
            {"n": rows[:, None].astype(np.float32)},
            valid=valid,
            seed=rows.astype(np.uint64),
            rejected=rejected,
            timing={},
        )
    store.seal()
    return store


def rows(order: EpochOrder, epoch: int) -> npt.NDArray[np.int64]:
    return np.concatenate([step.rows for step in order.steps(epoch)])


def rows_at_once(order: EpochOrder, epoch: int) -> npt.NDArray[np.int64]:
    """The same by its definition, over all rows at a time. Shards without a row for the worker do not count."""
    place_of_shard = np.random.default_rng([order.seed, epoch]).permutation(-(-len(order.valid) // order.shard_rows))
    rows = np.flatnonzero(order.valid)
    places = place_of_shard[rows // order.shard_rows]
    dealt = np.argsort(places, kind="stable")[order.rank * order.share : (order.rank + 1) * order.share]
    _, ahead = np.unique(places[dealt], return_inverse=True)
    random = np.random.default_rng([order.seed, epoch, order.rank]).random(order.share)
    times = np.maximum(ahead - WINDOW_SHARDS, 0) + WINDOW_SHARDS * random
    return rows[dealt][np.argsort(times, kind="stable")]


@st.composite
def orders(draw: st.DrawFn) -> list[EpochOrder]:
    """The orders of all workers over one store, with at least one row for each."""
    ranks = draw(st.integers(1, 4))
    valid = np.array(draw(st.lists(st.booleans(), min_size=ranks, max_size=120)) + [True] * ranks)
    shard_rows, seed = draw(st.integers(1, 9)), draw(st.integers(0, 2**32))
    return [EpochOrder(valid, shard_rows, seed, rank, ranks) for rank in range(ranks)]


@given(orders(), st.integers(0, 5))
def test_an_epoch_is_a_permutation_dealt_to_the_workers(orders: list[EpochOrder], epoch: int) -> None:
    shares = [rows(order, epoch).tolist() for order in orders]
    seen = [row for share in shares for row in share]
    valid = np.flatnonzero(orders[0].valid).tolist()
    assert len(set(seen)) == len(seen), "a row twice"
    assert set(seen) <= set(valid)
    assert {len(share) for share in shares} == {len(valid) // len(orders)}


@example([EpochOrder(np.arange(18) >= 6, 1, seed=1)], 0)  # more shards than in a window, and some of them empty
@given(orders(), st.integers(0, 5))
def test_steps_give_the_order_by_its_definition(orders: list[EpochOrder], epoch: int) -> None:
    for order in orders:
        assert rows(order, epoch).tolist() == rows_at_once(order, epoch).tolist()


@given(orders(), st.integers(0, 200))
def test_a_start_at_any_sample_gives_the_same_rest_from_shards_that_are_held(orders: list[EpochOrder], at: int) -> None:
    for order in orders:
        whole = np.concatenate([rows(order, epoch) for epoch in range(at // order.share + 3)])
        given, held = np.empty(0, np.int64), set[int]()
        for step in order.steps_from(at):
            assert not held & set(step.read), "read twice"
            held |= set(step.read)
            assert held >= set((step.rows // order.shard_rows).tolist()) | step.drop
            held -= step.drop
            assert len(held) <= 2 * WINDOW_SHARDS
            given = np.concatenate([given, step.rows])
            if len(given) >= len(whole) - at:
                break
        assert given.tolist() == whole[at:].tolist()[: len(given)]


def test_a_row_is_mixed_with_its_neighbouring_shards_only() -> None:
    order = EpochOrder(np.ones(4000, bool), 10, seed=0)
    shards = rows(order, 0) // 10
    assert (rows(order, 0) != rows(order, 1)).any()
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for at, shard in enumerate(shards.tolist()):
        first.setdefault(shard, at)
        last[shard] = at
    held = [sum(first[shard] <= at <= last[shard] for shard in first) for at in range(0, 4000, 50)]
    assert max(held) <= 2 * WINDOW_SHARDS
    assert len(set(shards[:64].tolist())) > WINDOW_SHARDS / 2, "the first batches come from few shards"


def test_batches_hold_the_rows_they_name(tmp_path: Path) -> None:
    store = numbered_store(str(tmp_path / "s"), 20, 3, invalid={4, 11})
    batches = list(islice(shuffled_batches(store, ["n"], 6, seed=0), 3))
    assert all((batch["n"][:, 0] == batch["row"]).all() for batch in batches)
    seen = np.concatenate([batch["row"] for batch in batches]).tolist()
    assert sorted(seen) == [n for n in range(20) if n not in (4, 11)]
    assert seen != sorted(seen)


def test_workers_resume_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    store = numbered_store(str(tmp_path / "s"), 23, 4, invalid={3})

    def rows(rank: int, start: int, count: int) -> list[list[int]]:
        batches = shuffled_batches(store, ["n"], 3, 7, start_batch=start, rank=rank, ranks=2)
        return [batch["row"].tolist() for batch in islice(batches, count)]

    for rank in (0, 1):
        assert rows(rank, 5, 4) == rows(rank, 0, 9)[5:]
    epoch = [row for rank in (0, 1) for batch in rows(rank, 0, 3) for row in batch]
    assert len(set(epoch)) == 18


def test_the_seed_decides_the_order(tmp_path: Path) -> None:
    store = numbered_store(str(tmp_path / "s"), 20, 3, invalid=set())

    def first(seed: int) -> list[int]:
        return [row for batch in islice(shuffled_batches(store, ["n"], 5, seed), 6) for row in batch["row"].tolist()]

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_a_store_with_too_few_valid_rows_is_rejected(tmp_path: Path) -> None:
    store = numbered_store(str(tmp_path / "s"), 3, 2, invalid={0, 1})
    with pytest.raises(UserError, match="at least 2 valid rows"):
        next(shuffled_batches(store, ["n"], 2, seed=0, ranks=2))


def test_a_batch_larger_than_the_store_goes_over_epochs(tmp_path: Path) -> None:
    store = numbered_store(str(tmp_path / "s"), 3, 2, invalid=set())
    rows = next(shuffled_batches(store, ["n"], 7, seed=0))["row"].tolist()
    assert [rows.count(n) for n in range(3)] in ([3, 2, 2], [2, 3, 2], [2, 2, 3])
