"""The tables: groups, empty columns, and which methods are marked as the best at their cost."""

from typing import Any

import pytest

from flows.report.page.tables import arrange_comparisons, arrange_tables, mark_best
from tests.support.hand_made_report import make_report


def make_row(key: str, passes: float, low: float, mean: float, high: float, kind: str = "sampler") -> dict[str, Any]:
    return {"key": key, "passes": passes, "kind": kind, "latent_mse": {"mean": mean, "low": low, "high": high}}


def test_the_best_at_each_cost_is_marked_and_so_is_what_may_be_as_good() -> None:
    rows = [
        make_row("near", 34, 1.0, 1.5, 2.0),
        make_row("uncertain", 34, 1.9, 3.0, 4.1),
        make_row("far", 34, 2.1, 3.0, 3.9),
        make_row("alone", 20, 9.0, 10.0, 11.0),
        make_row("floor", 34, 0.1, 0.2, 0.3, "floor"),
    ]
    assert mark_best(rows) == {"near": "best", "uncertain": "tied"}


def test_nothing_is_marked_without_intervals() -> None:
    rows = [make_row("one", 34, 1, 1, 1), make_row("other", 34, 2, 2, 2)]
    for row in rows:
        row["latent_mse"] |= {"low": None, "high": None}
    assert mark_best(rows) == {}


def test_methods_are_grouped_by_kind_and_fall_in_cost() -> None:
    fidelity = arrange_tables(make_report())[0]
    order = [(heading, [row["key"] for row, _ in rows]) for heading, rows in fidelity.groups]
    assert order == [
        ("Reference", ["full_50"]),
        ("Found by the search", ["front_17", "front_10"]),
        ("LatentCRF", ["crf_2"]),
        ("Other samplers", ["ddim_33", "ddim_17"]),
        ("Controls", ["none_2"]),
        ("Floors", ["other_noises"]),
    ]


def test_a_difference_to_real_images_that_may_be_nothing_is_not_significant() -> None:
    report = make_report()
    report["rows"][1]["distance_to_real"] |= {"low": 0.2, "high": 3.0}
    table = arrange_tables(report)[2]
    place = [column.heading for column in table.columns].index("difference to reference")
    marks = {row["key"]: cells[place].mark for _, rows in table.groups for row, cells in rows}
    assert marks["front_17"] == ""
    assert marks["front_10"] == marks["crf_2"] == "n.s."


@pytest.mark.parametrize(
    ("ratio", "significant", "mark"), [(0.5, True, "nearer"), (2.0, True, "farther"), (0.5, False, "n.s.")]
)
def test_a_comparison_says_what_is_certain(ratio: float, significant: bool, mark: str) -> None:
    report = make_report()
    report["comparisons"] = [{**report["comparisons"][0], "ratio": ratio, "significant": significant}]
    (line,) = arrange_comparisons(report)
    assert line["ratio"].mark == mark
    assert (line["method"], line["baseline"]) == ("front <17>", "17-step DDIM")


def test_a_comparison_of_one_caption_has_no_p() -> None:
    report = make_report()
    lacking = dict.fromkeys(("low", "high", "p", "p_holm"))
    report["comparisons"] = [{**report["comparisons"][0], **lacking, "significant": False}]
    (line,) = arrange_comparisons(report)
    assert (line["p"], line["p_holm"], str(line["ratio"])) == ("", "", "0.617 (n.s.)")
