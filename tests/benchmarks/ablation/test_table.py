"""The study's records end as claims and as tables."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.ablation.curves import draw_curves, is_drawn
from tests.benchmarks.ablation.forms import GROUPS, LEADS, list_endings, list_forms
from tests.benchmarks.ablation.records import Network, Record, make_claims, write_records
from tests.benchmarks.ablation.table import format_tables

BASELINES = {group: f"{group}@981.." for group in GROUPS}
SEEDS = [[0.008, 0.016], [0.010, 0.020]]  # two trainings, two captions: means 0.009 and 0.018
BASELINE = [[0.012, 0.024]]


def make_control(group: int, name: str, schedule: str, errors: list[list[float]]) -> Record:
    """Make a row as the study makes them."""
    return Record(group, name, schedule, "sampler", 2.0 * group, errors, [[0.1, 0.3]])


def make_networks() -> Iterator[Record]:
    """Make the rows of every form and ending."""
    for lead, group in LEADS.items():
        for number, form in enumerate(list_forms(lead, ())):
            for ending in list_endings(form.name):
                network = Network(lead, ending, 1000 + number, 2.5, form.pairs or 256, form.family)
                yield Record(group, form.name, f"{lead} + {ending}", "crf", 2.0 * group, SEEDS, [[0.1, 0.3]], network)


def make_records() -> list[Record]:
    """Make a baseline per group, and all networks."""
    return [*(make_control(n, "DDIM", BASELINES[n], BASELINE) for n in GROUPS), *make_networks()]


def test_every_record_has_a_row_with_its_interval_and_ratio() -> None:
    groups = {group: [one for one in make_records() if one.group == group] for group in GROUPS}
    floor = make_control(33, "converged", "100@981..", [[0.001, 0.003]])
    text = format_tables(floor, groups, BASELINES)
    assert "differ by 2.00 [-10.71, 14.71]" in text  # t of 1 degree of freedom, 12.706
    for group, records in groups.items():
        section = text.split(f"## {group} evaluations")[1].split("\n## ")[0]
        rows = [line for line in section.splitlines() if re.match(r"\| [^|]+ \| `", line)]
        assert len(rows) == len(records)
        assert f"Baseline: `{BASELINES[group]}`; {len(records) - 1} comparisons." in section
        [baseline] = [row for row in rows if "| baseline |" in row]
        assert f"| DDIM | `{BASELINES[group]}` | {2 * group}.0 | 18.00 [-58.24, 94.24] | 16.97 |" in baseline
        assert baseline.endswith("| 200.00 [-1070.62, 1470.62] | 173.21 |")
        for record in records[1:]:
            [row] = [row for row in rows if row.startswith(f"| {record.name} | `{record.schedule}` |")]
            assert "| 13.50 [-43.68, 70.68] | 12.73 | ×0.75 [0.75, 0.75]" in row  # seeds averaged per caption


@pytest.mark.parametrize(("count", "significant"), [(1, True), (40, False)])
def test_many_comparisons_make_a_weak_difference_not_significant(count: int, significant: bool) -> None:
    base_N = np.exp(np.random.default_rng(0).normal(-7, 1, 64))
    spread_N = np.linspace(-0.5, 0.5, 64)
    weak_N, equal_N = base_N * np.exp(spread_N + 0.09), base_N * np.exp(spread_N)  # p is .02 and 1
    records = [make_control(33, "DDIM", BASELINES[33], [base_N.tolist()])]
    records.append(make_control(33, "weak", "weak", [weak_N.tolist()]))
    records += [make_control(33, f"equal {i}", f"equal {i}", [equal_N.tolist()]) for i in range(count - 1)]
    claims = make_claims(records, BASELINES[33])
    assert claims[0].ratio is None
    assert claims[1].ratio is not None
    assert claims[1].ratio.p is not None
    assert claims[1].ratio.p < 0.05
    assert claims[1].is_significant is significant


def test_json_holds_each_captions_errors(tmp_path: Path) -> None:
    write_records(tmp_path / "ablation.json", make_records(), BASELINES, {"pairs": 256})
    saved = json.loads((tmp_path / "ablation.json").read_text())
    assert saved["records"] == [asdict(record) for record in make_records()]
    assert saved["baselines"] == {str(group): text for group, text in BASELINES.items()}


def test_curves_are_a_picture(tmp_path: Path) -> None:
    draw_curves([record for record in make_records() if is_drawn(record)], tmp_path / "ablation.png")
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")
