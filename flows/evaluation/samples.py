"""The samples of an evaluation: every caption with one noise or several."""

from collections.abc import Iterator

from flows.parameters import EvaluateParameters
from storage import LatentStore
from storage.errors import UserError
from storage.inputs.captions import scan_captions
from storage.inputs.rows import Row


def iterate_samples(params: EvaluateParameters) -> Iterator[Row]:
    """Yield one row per sample: each caption's noises, one after another. ``uri`` is the caption's id.

    The first noise has the caption's own id, so that it is the noise of every other measurement on that caption.
    Raises UserError for an empty or a rejected caption, because the table compares the methods on all samples.
    """
    for place, row in enumerate(scan_captions(params.captions, params.limit, keep_empty=True)):
        if row["reason"]:
            found = f"row {row['id']} of {params.captions}: {row['reason']}"
            raise UserError("captions of which none is rejected", found, "correct the row or remove it")
        for number in range(params.count_noises(place)):
            name = f"{row['id']}/noise-{number}" if number else row["id"]
            yield {**row, "id": name, "uri": row["id"]}


def read_caption_ids(store: LatentStore) -> list[str]:
    """Read which caption each sample of an evaluation's store belongs to: the caption's id per row."""
    ids: list[str] = store.index["uri"].to_pylist()
    return ids
