"""The whole study at its smallest, on a tiny teacher: nothing may be missing from it."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crf.front import Front, FrontPoint
from tests.benchmarks.ablation.__main__ import main
from tests.benchmarks.ablation.forms import BEST, GROUPS, LEADS, list_endings
from tests.benchmarks.ablation.samples import Samples

FORM = f"{BEST}, 88 filters"
IN_FRONT = "17@981.. (unipc) (power 1.1)"
SMALLEST = {"pairs": 2, "calibrate": 2, "heldout": 3, "natural": 4, "seeds": 1, "steps": 2, "workers": 1}
SAMPLERS = (
    "{n}/{n}",
    "{n}@981..",
    "{n}@981.. (dpm++) (power 1)",
    "{n}@981.. (dpm++) (power 1.15)",
    "{n}@981.. (dpm++3m) (power 1)",
    "{n}@981.. (unipc) (power 1)",
    "{n}@981.. (dpm++) (karras)",
    "{n}@981.. (dpm++) (ays)",
    "{n}@981.. (dpm++) (power 1), guided to 400",
)
AFTER_LEADS = (
    "{lead} + x0",
    "{lead} + 2@201,21",
    "{lead} + x0 + 2@101,21 (consistent)",
    "{lead} + 11@201,181,161,141,121,101,81,61,41,21,1",
)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_smallest_study_has_every_control_every_ending_and_every_interval(tiny_teacher: Path, tmp_path: Path) -> None:
    points = (FrontPoint(17, 34, IN_FRONT, (981,), 0.1, 0.1, 0.1),)
    (tmp_path / "schedule.json").write_text(Front(points, None, {}, 4.0, ()).format())
    arguments = [word for name, value in SMALLEST.items() for word in (f"--{name}", str(value))]
    arguments += ["--forms", FORM, "--teacher", str(tiny_teacher), "--front", str(tmp_path / "schedule.json")]
    arguments += ["--root", str(tmp_path / "runs"), "--output", str(tmp_path / "ablation")]
    main(arguments)
    floor, *records = json.loads((tmp_path / "ablation.json").read_text())["records"]

    assert floor["kind"] == "floor"
    check_controls(records)
    check_networks(records)
    for record in records:
        for errors in (record["errors"], record["converged_errors"]):
            assert np.shape(errors) == (1, SMALLEST["heldout"])
            assert np.isfinite(errors).all()
    check_tables((tmp_path / "ablation.md").read_text(), records)
    assert (tmp_path / "ablation.png").exists()

    logs = {file: file.read_bytes() for file in (tmp_path / "runs").glob("*.jsonl")}
    main([*arguments, "--controls-only"])  # finds everything in the logs
    assert {file: file.read_bytes() for file in logs} == logs
    again = json.loads((tmp_path / "ablation.json").read_text())["records"]
    assert again == [floor, *(record for record in records if record["network"] is None)]


def test_nothing_is_trained_or_searched_on_the_captions_that_are_measured() -> None:
    heldout = set(Samples.draw("images/heldout.parquet", 64, 1).captions)
    for file in ("images/train.parquet", "images/calibrate.txt", "images/select.txt"):
        assert heldout.isdisjoint(Samples.draw(file, 256, 0).captions)


def check_controls(records: list[dict[str, Any]]) -> None:
    """Check that every group has its samplers, and every lead its controls."""
    for group in GROUPS:
        found = {record["schedule"] for record in records if record["group"] == group}
        assert {text.format(n=group) for text in SAMPLERS} <= found
        searched = [re.fullmatch(rf"{group}@981(,\d+){{{group - 1}}}( \(dpm\+\+\))?", text) for text in found]
        assert {match[2] for match in searched if match} == {None, " (dpm++)"}  # by dynamic programming
    for lead, group in LEADS.items():
        found = {record["schedule"] for record in records if record["group"] == group}
        assert {text.format(lead=lead) for text in AFTER_LEADS} <= found
    everywhere = {record["schedule"] for record in records}
    for interval in (2, 3, 5):
        assert {f"50/50 (deepcache {interval})", f"50/50 (deepcache {interval}, extrapolated)"} <= everywhere
    [front] = [record for record in records if record["kind"] == "front"]
    assert (front["group"], front["schedule"], front["passes"]) == (17, IN_FRONT, 34)


def check_networks(records: list[dict[str, Any]]) -> None:
    """Check that the form has a row for every lead and ending."""
    networks = [record for record in records if record["network"]]
    found = [(one["name"], one["network"]["lead"], one["network"]["ending"]) for one in networks]
    assert sorted(found) == sorted((FORM, lead, ending) for lead in LEADS for ending in list_endings(FORM))


def check_tables(text: str, records: list[dict[str, Any]]) -> None:
    """Check that every record has a row with two intervals, and a ratio with an interval unless it is the baseline."""
    rows = [line for line in text.splitlines() if re.match(r"\| [^|]+ \| `", line)]
    assert len(rows) == len(records)
    number = r"-?\d+\.\d\d"
    mean, ratio = rf"{number} \[{number}, {number}\] \| {number}", rf"×{number} \[{number}, {number}\]( n\.s\.)?"
    for row in rows:
        assert re.search(rf"`( \| )\d+\.\d\1{mean}\1({ratio}|baseline)\1{mean} \|", row), row
    assert sum("| baseline |" in row for row in rows) == len(GROUPS)
