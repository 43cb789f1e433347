"""Count the captions of a store that the teacher's text encoder truncated."""

import numpy as np

from crf.stages.arrays import TRUNCATED
from flows.runs.log import find_run_logger
from storage import ArraySpec, LatentStore, locations

TRUNCATED_SPEC = ArraySpec((), "bool", ())
CAPTIONS = "captions.json"


def write_truncated(store: LatentStore, captions: list[str] | None = None) -> int:
    """Count the truncated captions of a complete store, write the count to CAPTIONS, and warn if there are any.

    ``captions``: the id of each row's caption, if rows share captions.
    """
    truncated = np.asarray(store[TRUNCATED][:])
    ids = np.arange(len(store)) if captions is None else np.array(captions)
    count = len(np.unique(ids[truncated]))
    if count:
        find_run_logger().warning(
            "%d of %d captions are longer than the text encoder's input and were truncated",
            count,
            len(np.unique(ids)),
        )
    locations.write_new(locations.join(store.url, CAPTIONS), locations.encode_json({"truncated": count}))
    return count


def read_truncated(url: str) -> dict[str, int]:
    """Read the count that ``write_truncated`` wrote, as {"truncated": count}; empty if the output has none."""
    place = locations.join(url, CAPTIONS)
    return dict(locations.read_json(place)) if locations.exists(place) else {}
