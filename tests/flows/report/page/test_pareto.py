"""The Pareto plot: families of methods as curves, and everything within its axes."""

from typing import Any

from flows.report.page.pareto import draw_pareto, group_families
from flows.report.page.svg import save_svg, use_style
from tests.support.hand_made_report import make_report


def name_families(report: dict[str, Any]) -> dict[str, list[str]]:
    families = group_families([row for row in report["rows"] if row["kind"] != "reference"], "latent_mse")
    return {name: [row["key"] for row in rows] for name, rows in families}


def test_methods_that_differ_in_numbers_alone_are_a_family() -> None:
    report = make_report()
    report["rows"] = report["rows"][:-1]
    assert name_families(report) == {
        "found by the search": ["front_17", "front_10"],
        "31 + CRF + 2": ["crf_2"],
        "DDIM": ["ddim_33", "ddim_17"],
        "31 + 0 + 2": ["none_2"],
    }


def test_methods_of_one_cost_are_no_curve() -> None:
    report = make_report()
    report["rows"] = [{**row, "passes": 34.0} for row in report["rows"] if row["kind"] == "sampler"]
    assert name_families(report) == {"33-step DDIM": ["ddim_33"], "17-step DDIM": ["ddim_17"]}


def test_every_mean_is_within_the_axes() -> None:
    report = make_report()
    report["rows"][1]["latent_mse"] |= {"low": -0.002, "mean": 0.0003}
    with use_style():
        (axes,) = draw_pareto(report, "latent_mse", "latent MSE").axes
        lowest, highest = axes.get_ylim()
        left, right = axes.get_xlim()
    assert lowest > 0
    for row in report["rows"][1:-1]:
        assert lowest < row["latent_mse"]["mean"] * 1e3 < highest
        assert left < row["passes"] < right


def test_a_plot_of_one_caption_has_no_bars() -> None:
    report = make_report()
    for row in report["rows"][1:]:
        row["latent_mse"] |= {"low": None, "high": None}
    with use_style():
        (axes,) = draw_pareto(report, "latent_mse", "latent MSE").axes
    assert not axes.collections


def test_equal_reports_give_equal_bytes() -> None:
    with use_style():
        first, second = (save_svg(draw_pareto(make_report(), "latent_mse", "latent MSE")) for _ in range(2))
    assert first == second
