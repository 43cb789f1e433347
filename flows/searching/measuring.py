"""Measure a search's candidates on a set of captions. Each round is an output of ``measure``."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crf.search.candidates import Candidate
from crf.search.racing import Errors
from crf.stages.arrays import CONVERGED_MSE, LATENT_MSE
from crf.statistics.intervals import summarize_errors
from flows.measure import MEASURE
from flows.parameters.evaluation import MeasureParameters
from flows.parameters.searching import SearchParameters
from flows.stage import run_stage
from storage import LatentStore, locations

# Rows of different files may have equal ids; no two sets share a noise.
SEED_OFFSETS = {"test": 0, "calibrate": 1, "select": 2}
Pools = dict[int, list[Candidate]]  # number of evaluations -> its candidates


@dataclass(frozen=True)
class Round:
    """The errors of one round.

    ``errors``: schedule -> latent MSE per sample. ``converged``: schedule -> error to the converged reference, with
    the teacher's own 50 steps under "50/50"; empty if it was not measured. ``captions``: each sample's caption.
    """

    url: str
    errors: Errors
    converged: Errors
    captions: npt.NDArray[Any]


def measure(
    params: SearchParameters, name: str, pools: Pools, limit: int | None = None, skip: int = 0, converged: bool = False
) -> Round:
    """Measure all candidates on a set of captions, or on a part of it."""
    captions, whole = params.caption_sets[name]
    schedules = list(dict.fromkeys(str(candidate.schedule) for pool in pools.values() for candidate in pool))
    same = {"teacher", "crf", "size", "shard_rows", "guidance_scale", "dtype", "micro_batch", "root", "resources"}
    shared = params.model_dump(include=same)
    wanted = MeasureParameters(
        **shared,
        seed=params.seed + SEED_OFFSETS[name],
        schedules=schedules,
        captions=captions,
        limit=limit if limit else None if whole is None else whole - skip,
        skip=skip,
        converged=converged,
    )
    url = run_stage(MEASURE, wanted, params.root).url
    return read_round(url, schedules)


def read_round(url: str, schedules: list[str]) -> Round:
    """Read the errors of a round from its store."""
    store = LatentStore.open(url)
    errors = dict(zip(schedules, np.asarray(store[LATENT_MSE][:]).T, strict=True))
    converged = {}
    if CONVERGED_MSE in store.names:
        converged = dict(zip(["50/50", *schedules], np.asarray(store[CONVERGED_MSE][:]).T, strict=True))
    return Round(url, errors, converged, np.array(store.index["uri"].to_pylist()))


def record_round(url: str, number: int, pools: Pools, measured: Round) -> None:
    """Write what a round measured, for the reader of an unfinished search."""
    rows: Iterable[dict[str, Any]] = (
        {
            "evaluations": count,
            "schedule": str(candidate.schedule),
            "family": candidate.family,
            "geometric_mean": summarize_errors(
                measured.errors[str(candidate.schedule)], measured.captions
            ).geometric_mean,
        }
        for count, pool in pools.items()
        for candidate in pool
    )
    record = {"measured": measured.url, "captions": len(set(measured.captions)), "rows": list(rows)}
    locations.write_json(locations.join(url, f"round-{number}.json"), record)
