"""Arrange report.json as tables of formatted figures: fidelity, cost, images as a set, comparisons."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from flows.report.page.figures import Cell, Column, Row, format_number, look_up, make_cell, make_column

KINDS = {
    "reference": "Reference",
    "front": "Found by the search",
    "crf": "LatentCRF",
    "sampler": "Other samplers",
    "control": "Controls",
    "floor": "Floors",
}
"""Kind of method -> heading of its group, in the order of the tables."""
RANKED = ("front", "crf", "sampler", "control")
THOUSANDTHS = 1e3


@dataclass(frozen=True)
class Table:
    """A table: title, a sentence on how to read it, columns, and groups of (heading, rows of cells)."""

    title: str
    note: str
    columns: list[Column]
    groups: list[tuple[str, list[tuple[Row, list[Cell]]]]]


def arrange_tables(report: dict[str, Any]) -> list[Table]:
    """Arrange the three tables of methods. A column of which the report has no figure is left out."""
    marks = mark_best(report["rows"])
    ratios = {comparison["key"]: comparison for comparison in report["comparisons"]}
    baseline = find_label(report, report["baseline"])

    def make_error_cell(row: Row) -> Cell:
        return replace(make_cell(row, "latent_mse", "mean", THOUSANDTHS), mark=marks.get(row["key"], ""))

    def make_ratio_cell(row: Row) -> Cell:
        if row["key"] == report["baseline"]:
            return Cell("baseline")
        return make_comparison_cell(ratios[row["key"]]) if row["key"] in ratios else Cell("")

    fidelity = [
        make_column("U-Net passes", "Passes through the network; a guided evaluation is two.", "passes"),
        Column("latent MSE, ×10⁻³", "Mean squared error to the latents of the teacher's own steps.", make_error_cell),
        make_column(
            "geometric mean, ×10⁻³", "Geometric mean of the same errors.", "latent_mse.geometric_mean", "", THOUSANDTHS
        ),
        make_column("95th percentile, ×10⁻³", "95 % of the captions are nearer.", "latent_mse.p95", "", THOUSANDTHS),
        Column(f"ratio to {baseline}", "Ratio of the geometric means; below 1 is nearer.", make_ratio_cell),
        make_column(
            "MSE to converged, ×10⁻³",
            "Mean squared error to the latents of very many steps.",
            "converged_mse",
            "mean",
            THOUSANDTHS,
        ),
        make_column("PSNR, dB", "Peak signal-to-noise ratio of the decoded images, to the teacher's.", "psnr", "mean"),
        make_column(
            "feature distance", "Mean squared distance of image features, to the teacher's.", "feature_distance", "mean"
        ),
    ]
    reference = next((row for row in report["rows"] if row["kind"] == "reference"), None)
    return [
        arrange_table(
            report,
            "Fidelity to the teacher",
            "All methods start from the same noise. Small print: 95 % intervals over captions. ● lowest latent MSE "
            "at this cost; ○ its interval meets the lowest one's, so the order is not certain.",
            fidelity,
        ),
        arrange_table(
            report,
            "Cost",
            "One image, on the machine that evaluated. Small print: the interval of the timed rounds.",
            list_cost_columns(reference),
        ),
        arrange_table(
            report,
            "Images as a set",
            "These scores ask whether the images look real, vary and fit their captions, not whether they are the "
            "teacher's. A difference whose interval holds 0 is not significant (n.s.).",
            list_set_columns(),
        ),
    ]


def list_cost_columns(reference: Row | None) -> list[Column]:
    def make_saving_cell(row: Row, path: str) -> Cell:
        own, full = look_up(row, path), look_up(reference, path) if reference else None
        return Cell(f"{full / own:.1f}×" if own and full else "")

    return [
        make_column("U-Net evaluations", "A guided evaluation counts once.", "evaluations"),
        make_column("U-Net passes", "A guided evaluation is two passes.", "passes"),
        Column("fewer passes", "The reference's passes by this method's.", lambda row: make_saving_cell(row, "passes")),
        make_column("TFLOP", "Floating-point operations of one image.", "flops", "", 1e-12),
        make_column("seconds", "From noise to pixels; the median.", "seconds", "median"),
        Column(
            "faster", "The reference's seconds by this method's.", lambda row: make_saving_cell(row, "seconds.median")
        ),
        make_column("peak memory, GB", "Most memory allocated on the device.", "peak_bytes", "", 1e-9),
    ]


def list_set_columns() -> list[Column]:
    def make_difference_cell(row: Row) -> Cell:
        cell = make_cell(row, "distance_to_real", "difference")
        low, high = look_up(row, "distance_to_real.low"), look_up(row, "distance_to_real.high")
        return replace(cell, mark="n.s.") if cell.interval and low <= 0 <= high else cell

    return [
        make_column("distance to real", "Fréchet distance of image features.", "distance_to_real.value"),
        Column("difference to reference", "The same distance minus the reference's own.", make_difference_cell),
        make_column("KID to real", "Kernel distance.", "kid_to_real"),
        make_column("precision", "Share of images that fall among real ones.", "precision"),
        make_column("recall", "Share of real images that fall among generated ones.", "recall"),
        make_column("density", "How densely real images surround the generated.", "density"),
        make_column("coverage", "Share of real images with a generated one nearby.", "coverage"),
        make_column("CLIP score", "Alignment of image and caption.", "clip_score"),
        make_column("ST-LPIPS", "Perceptual distance to the teacher's image.", "st_lpips"),
        make_column("caption accuracy", "Share of images whose own caption denoises best.", "caption_accuracy"),
        make_column("Vendi", "Number of distinct images among one caption's noises.", "vendi", "mean"),
    ]


def arrange_table(report: dict[str, Any], title: str, note: str, columns: list[Column]) -> Table:
    """Format all rows, grouped by kind, and leave out empty columns."""
    kept = [column for column in columns if any(column.make(row).text for row in report["rows"])]
    groups = [(KINDS[kind], [(row, [c.make(row) for c in kept]) for row in rows]) for kind, rows in group_rows(report)]
    return Table(title, note, kept, groups)


def group_rows(report: dict[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """Yield (kind, rows) in the order of the tables; within a kind, the costliest method first."""
    order = list(KINDS)
    rows = sorted(report["rows"], key=lambda row: (order.index(row["kind"]), -row["passes"]))
    for kind, group in groupby(rows, key=lambda row: row["kind"]):
        yield kind, list(group)


def mark_best(rows: list[Row]) -> dict[str, str]:
    """Mark at each cost that several methods share the lowest latent MSE, and those it is not surely below.

    Without intervals, as for a single caption, nothing is marked.

    Returns:
        Key -> "best" or "tied". A method that needs fewer passes competes only with those that need as many.
    """
    marks: dict[str, str] = {}
    ranked = [row for row in rows if row["kind"] in RANKED and look_up(row, "latent_mse.low") is not None]
    for _, group in groupby(sorted(ranked, key=lambda row: row["passes"]), key=lambda row: round(row["passes"])):
        rivals = sorted(group, key=lambda row: row["latent_mse"]["mean"])
        if len(rivals) > 1:
            tied = [row for row in rivals if row["latent_mse"]["low"] <= rivals[0]["latent_mse"]["high"]]
            marks |= {row["key"]: "tied" for row in tied} | {rivals[0]["key"]: "best"}
    return marks


def make_comparison_cell(comparison: dict[str, Any]) -> Cell:
    """Format a ratio with its interval: "nearer" if it is surely below 1, "farther" if above, or else "n.s."."""
    cell = make_cell({"ratio": comparison}, "ratio", "ratio")
    if not comparison["significant"]:
        return replace(cell, mark="n.s.")
    return replace(cell, mark="nearer" if comparison["ratio"] < 1 else "farther")


def find_label(report: dict[str, Any], key: str) -> str:
    return str(next((row["label"] for row in report["rows"] if row["key"] == key), key))


def arrange_comparisons(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Format the paired comparisons in the order of the tables, one dict of texts per line."""
    order = [row["key"] for _, rows in group_rows(report) for row in rows]
    return [
        {
            "method": find_label(report, comparison["key"]),
            "baseline": find_label(report, comparison["baseline"]),
            "ratio": make_comparison_cell(comparison),
            "p": format_p(comparison["p"]),
            "p_holm": format_p(comparison["p_holm"]),
            "wins": f"{comparison['wins']} of {comparison['captions']}",
        }
        for comparison in sorted(report["comparisons"], key=lambda comparison: order.index(comparison["key"]))
    ]


def format_p(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else format_number(p, 3)
