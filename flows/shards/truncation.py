"""Count the captions of a store that the teacher's text encoder truncated."""

import logging

import numpy as np
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

from crf.stages.arrays import TRUNCATED
from storage import ArraySpec, LatentStore, locations

TRUNCATED_SPEC = ArraySpec((), "bool", ())
CAPTIONS = "captions.json"


def write_truncated(store: LatentStore, rows_per_caption: int = 1) -> int:
    """Count the truncated captions of a complete store, write the count to CAPTIONS, and warn if there are any."""
    rows, total = int(np.asarray(store[TRUNCATED][:]).sum()), len(store)
    count = rows // rows_per_caption
    if count:
        logger = get_run_logger() if FlowRunContext.get() else logging.getLogger("latentcrf")
        logger.warning(
            "%d of %d captions are longer than the text encoder's input and were truncated",
            count,
            total // rows_per_caption,
        )
    locations.write_new(locations.join(store.url, CAPTIONS), locations.encode_json({"truncated": count}))
    return count


def read_truncated(url: str) -> dict[str, int]:
    """Read the count that ``write_truncated`` wrote, as {"truncated": count}; empty if the output has none."""
    place = locations.join(url, CAPTIONS)
    return dict(locations.read_json(place)) if locations.exists(place) else {}
