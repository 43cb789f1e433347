"""Each worker's share of a store's shuffled batches."""

from collections.abc import Iterator
from dataclasses import dataclass

from crf.training.pairs import Stored
from storage import LatentStore, UserError
from storage.store.reader import shuffled_batches


@dataclass(frozen=True)
class Share:
    """A worker's share of every batch: ``size`` samples. The worker is number ``rank`` of ``ranks``."""

    rank: int
    ranks: int
    size: int


def check_rows(url: str, workers: int) -> None:
    """Raise UserError if the store has fewer valid rows than there are workers."""
    valid = int(LatentStore.open(url).valid.sum())
    if valid < max(1, workers):
        raise UserError(
            f"at least {max(1, workers)} valid rows, one per worker",
            f"{valid} in {url}",
            "see the reasons in its index",
        )


def read_batches(url: str, names: list[str], seed: int, first_step: int, share: Share) -> Iterator[Stored]:
    """Yield a worker's share of a store's shuffled batches."""
    store = LatentStore.open(url)
    return shuffled_batches(store, names, share.size, seed, start_batch=first_step, rank=share.rank, ranks=share.ranks)
