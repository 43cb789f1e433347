"""The study's records end as JSON, tables and curves."""

import json
from pathlib import Path
from typing import Any

from crf.schedule import PAPERS_LEAD
from tests.benchmarks.ablation.forms import LEADS, list_endings, list_forms
from tests.benchmarks.ablation.study import record
from tests.benchmarks.ablation.table import write_table


def records() -> list[dict[str, Any]]:
    """As a study makes them, of every form and ending."""
    found = []
    for lead, evaluations in LEADS.items():
        found.append(record(lead, "DDIM", f"{evaluations}/{evaluations}", [0.0141], evaluations))
        for number, form in enumerate(list_forms(lead)):
            size = {"parameters": 1000 + number, "mflop": 2.5, "pairs": form.pairs or 256, "family": form.family}
            for key in list_endings(form.name):
                found.append(record(lead, form.name, key, [0.009, 0.011], evaluations, **size))
    return found


def test_every_record_has_its_place_in_the_tables(tmp_path: Path) -> None:
    output = tmp_path / "docs/ablation"
    write_table(output, records(), {"pairs": 256, "root": Path("runs/ablation")})
    assert json.loads(output.with_suffix(".json").read_text())["records"] == records()
    text = output.with_suffix(".md").read_text()
    for lead, evaluations in LEADS.items():
        assert f"## {evaluations} evaluations, the first {lead}" in text
        assert f"| DDIM | `{evaluations}/{evaluations}` | {evaluations} | 14.10 |" in text
    for form in list_forms(PAPERS_LEAD):
        [line] = [line for line in text.splitlines() if line.startswith(f"| {form.name} |")][:1]
        assert line.count("10.00 ± 1.41") == len(list_endings(form.name))
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
