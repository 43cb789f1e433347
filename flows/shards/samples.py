"""The samples that schedules are compared on: captions, each with one or more noises."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from storage import LatentStore, UserError
from storage.inputs.captions import scan_captions
from storage.inputs.rows import Row


def iterate_samples(
    captions: str, limit: int | None, noises: int | Callable[[int], int] = 1, skip: int = 0
) -> Iterator[Row]:
    """Yield one row per sample: each caption's noises, one after another. ``uri`` is the caption's id.

    The first noise of a caption has the caption's own id, so that it is the same noise wherever the caption is used.

    Args:
        captions: URL of the captions.
        limit: Number of captions to use, after ``skip``; None for all.
        noises: Noises per caption, or a function of the caption's place, counted from 0 after ``skip``.
        skip: Number of captions to leave out at the start.

    Raises:
        UserError: A caption is empty or rejected. Schedules are compared on all samples.
    """
    rows: Iterable[Row] = scan_captions(captions, None if limit is None else skip + limit, keep_empty=True)
    for place, row in enumerate(islice(rows, skip, None)):
        if row["reason"]:
            found = f"row {row['id']} of {captions}: {row['reason']}"
            raise UserError("captions of which none is rejected", found, "correct the row or remove it")
        for number in range(noises if isinstance(noises, int) else noises(place)):
            name = f"{row['id']}/noise-{number}" if number else row["id"]
            yield {**row, "id": name, "uri": row["id"]}


def read_caption_ids(store: LatentStore) -> list[str]:
    """Read which caption each sample of a store belongs to: the caption's id per row."""
    ids: list[str] = store.index["uri"].to_pylist()
    return ids
