"""CSV holds every figure in full; Markdown is a table whatever the labels hold."""

import csv
import io

from flows.report.page.exports import list_lines, make_csv, make_markdown
from tests.support.hand_made_report import METHODS, make_report


def test_csv_holds_every_figure_in_full() -> None:
    report = make_report()
    lines = list(csv.DictReader(io.StringIO(make_csv(report))))
    assert [line["label"] for line in lines] == [label for _, label, *_ in METHODS]
    for line, row in zip(lines, report["rows"], strict=True):
        assert float(line["passes"]) == row["passes"]
        for name in ("mean", "low", "high", "geometric_mean", "p95"):
            expected = row["latent_mse"] and row["latent_mse"][name]
            assert (float(line[f"latent_mse_{name}"]) if line[f"latent_mse_{name}"] else None) == expected
    assert "kid_to_real" not in lines[0]


def test_csv_holds_the_comparison_with_the_baseline() -> None:
    report = make_report()
    report["comparisons"].append({**report["comparisons"][0], "baseline": "ddim_33", "ratio": 99.0})
    lines = {line["key"]: line for line in csv.DictReader(io.StringIO(make_csv(report)))}
    assert lines["front_17"]["to_baseline_ratio"] == "0.617"
    assert lines["ddim_17"]["to_baseline_ratio"] == ""


def test_a_markdown_line_has_a_cell_per_heading() -> None:
    report = make_report()
    report["rows"][2]["label"] = "a | b <script> *c*"
    markdown = make_markdown(report)
    assert "`0a1b2c3d4e5f`" in markdown
    assert "<script>" not in markdown.replace("\\<", "")
    tables = [part.splitlines() for part in markdown.split("\n\n") if part.startswith("|")]
    assert [len(table) - 2 for table in tables] == [len(METHODS)] * 3 + [3]
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1


def test_the_table_of_fidelity_has_a_line_per_method() -> None:
    lines = list_lines(make_report())
    assert [line["method"] for line in lines] == [label for _, label, *_ in METHODS]
    assert lines[1]["latent MSE, ×10⁻³"] == "1.92 (1.59 to 2.44) ●"
