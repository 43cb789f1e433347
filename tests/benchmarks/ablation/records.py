"""The rows of the study, and what they claim: intervals over captions, and ratios to the group's baseline."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crf.evaluation.methods import Kind
from crf.statistics.comparisons import Ratio, adjust_holm, compare_errors
from crf.statistics.intervals import ErrorSummary, summarize_errors

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Network:
    """The form that a row was trained in, see ``forms``. ``ending``: key of the method that ends with it."""

    lead: str
    ending: str
    parameters: int
    mflop: float
    pairs: int
    family: str


@dataclass(frozen=True)
class Record:
    """One method of a group.

    ``errors`` and ``converged_errors``: latent MSE to the teacher's 50 steps and to the converged reference, a list
    per training seed of one error per caption; a method without a network has one list.
    """

    group: int
    name: str
    schedule: str
    kind: Kind
    passes: float
    errors: list[list[float]]
    converged_errors: list[list[float]]
    network: Network | None = None


@dataclass(frozen=True)
class Claim:
    """What the table says about a record. ``ratio`` and ``p_holm`` are None for the baseline itself."""

    record: Record
    to_full: ErrorSummary
    to_converged: ErrorSummary
    ratio: Ratio | None
    p_holm: float | None

    @property
    def is_significant(self) -> bool:
        """Whether the method surely differs from the baseline, among all comparisons of its group."""
        return self.p_holm is not None and self.p_holm < SIGNIFICANT


def average_seeds(errors: list[list[float]]) -> npt.NDArray[np.float64]:
    """Average each caption's errors over the trainings: the unit of statistics is the caption."""
    return np.mean(errors, axis=0, dtype=np.float64)


def summarize(errors: list[list[float]]) -> ErrorSummary:
    """Summarize the captions' errors."""
    errors_N = average_seeds(errors)
    return summarize_errors(errors_N, np.arange(len(errors_N)))


def make_claims(records: Sequence[Record], baseline: str) -> list[Claim]:
    """Compare the records of one group with the baseline, the record of that schedule.

    The p-values are adjusted by Holm's method over all other records of the group.
    """
    [base] = [record for record in records if record.schedule == baseline and record.kind == "sampler"]
    others = [record for record in records if record is not base]
    base_N = average_seeds(base.errors)
    ratios = [compare_errors(average_seeds(one.errors), base_N, np.arange(len(base_N))) for one in others]
    adjusted = adjust_holm([ratio.p for ratio in ratios if ratio.p is not None])
    compared = {id(one): (ratio, p) for one, ratio, p in zip(others, ratios, adjusted, strict=True)}
    return [
        Claim(one, summarize(one.errors), summarize(one.converged_errors), *compared.get(id(one), (None, None)))
        for one in records
    ]


def write_records(file: Path, records: Sequence[Record], baselines: dict[int, str], options: dict[str, Any]) -> None:
    """Write everything as JSON, a line per record."""
    lines = ",\n".join(json.dumps(asdict(record)) for record in records)
    head = f'"options": {json.dumps(options)},\n"baselines": {json.dumps(baselines)}'
    file.write_text(f'{{{head},\n"records": [\n{lines}\n]}}\n')
