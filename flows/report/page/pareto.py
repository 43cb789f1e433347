"""Plot each method's cost against its fidelity, with one curve per family of methods."""

import re
from typing import Any

from flows.report.page.curves import format_plainly
from flows.report.page.figures import Row, format_number, look_up, make_cell
from flows.report.page.svg import POINT

THOUSANDTHS = 1e3
NUMBERS = re.compile(r"\d+(?:\.\d+)?(?:,\d+(?:\.\d+)?)*")
COUNT = re.compile(r"^\d+(?:-step| steps of| evaluations of| ×)? ?")
COLOURS = {
    "front": ["#d9480f"],
    "crf": ["#1c7ed6", "#6c7ce8", "#15aabf"],
    "sampler": ["#2f9e44", "#c2255c", "#b8860b", "#7048e8", "#0b8a7d", "#a0522d"],
    "control": ["#7d8590"],
}
MARKERS = {"front": "o", "crf": "Ds^vP", "sampler": "osD^vP", "control": "xXP*hp18"}
ZORDER = {"front": 4, "crf": 3, "sampler": 2, "control": 1}


def draw_pareto(report: dict[str, Any], measure: str, reached: str) -> Any:
    """Plot U-Net passes against a squared error; return the matplotlib figure.

    Args:
        report: The contents of report.json.
        measure: Which error: "latent_mse" or "converged_mse".
        reached: What the error is measured to, for the axis.
    """
    from matplotlib.figure import Figure

    families = group_families([row for row in report["rows"] if row["kind"] in COLOURS], measure)
    figure = Figure(figsize=(9.2, 6.4), layout="constrained")
    axes = figure.subplots()
    counts: dict[str, int] = dict.fromkeys(COLOURS, 0)
    for number, (name, rows) in enumerate(families):
        kind = rows[0]["kind"]
        colour = COLOURS[kind][counts[kind] % len(COLOURS[kind])]
        marker = MARKERS[kind][counts[kind] % len(MARKERS[kind])]
        counts[kind] += 1
        shift = 0.22 * (number - (len(families) - 1) / 2)  # so that intervals at one cost stand side by side
        add_family(axes, rows, measure, shift, {"label": name, "color": colour, "marker": marker})
    add_floor(axes, report["rows"])
    axes.set(yscale="log", xlabel="U-Net passes for one image", ylabel=f"{reached}, ×10⁻³")
    format_plainly(axes)
    axes.set_ylim(bottom=find_bottom(families, report["rows"], measure))
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    return figure


def add_family(axes: Any, rows: list[Row], measure: str, shift: float, style: dict[str, Any]) -> None:
    """Draw a family as a curve through its means, with interval bars and one marker per method for the tooltips."""
    zorder = ZORDER[rows[0]["kind"]]
    passes = [row["passes"] + shift for row in rows]
    means = [row[measure]["mean"] * THOUSANDTHS for row in rows]
    ends = [[row[measure][end] for row in rows] for end in ("low", "high")]
    bars = (
        None if None in ends[0] else [[abs(m - e * THOUSANDTHS) for m, e in zip(means, s, strict=True)] for s in ends]
    )
    width = 2.4 if rows[0]["kind"] == "front" else 1.4
    axes.errorbar(passes, means, bars, elinewidth=1, linewidth=width, markersize=6, zorder=zorder, **style)
    for row, x, y in zip(rows, passes, means, strict=True):
        axes.plot([x], [y], marker="o", markersize=11, alpha=0, zorder=5, gid=POINT + row["key"])


def add_floor(axes: Any, rows: list[Row]) -> None:
    """Draw the teacher's own cost as a vertical line, and its own distance to convergence as a horizontal one."""
    for row in rows:
        if row["kind"] != "reference":
            continue
        axes.axvline(row["passes"], linestyle=":", color="#7d8590", linewidth=1.2, label=f"{row['label']}: its passes")
        floor = look_up(row, "converged_mse.mean")
        if floor is not None:
            name = f"{row['label']} to converged"
            axes.axhline(floor * THOUSANDTHS, linestyle="--", color="#7d8590", linewidth=1.2, label=name)


def find_bottom(families: list[tuple[str, list[Row]]], rows: list[Row], measure: str) -> float:
    """Return the lower end of the axis: a mean's interval may reach below zero, where a logarithm has no place."""
    means = [row[measure]["mean"] for _, members in families for row in members]
    floors = [look_up(row, "converged_mse.mean") for row in rows if row["kind"] == "reference"]
    return 0.45 * THOUSANDTHS * float(min(mean for mean in (*means, *floors) if mean))


def group_families(rows: list[Row], measure: str) -> list[tuple[str, list[Row]]]:
    """Group methods of one family, as a search names it, or whose schedules differ in numbers alone.

    Returns:
        (name, rows by falling passes) per family, the front first and the controls last. Rows without the figure
        ``measure`` are left out.
    """
    shown = sorted(
        (row for row in rows if look_up(row, f"{measure}.mean")), key=lambda row: (-ZORDER[row["kind"]], -row["passes"])
    )
    families: dict[tuple[str, str], list[Row]] = {}
    for row in shown:
        shape = "" if row["kind"] == "front" else row.get("family") or NUMBERS.sub("n", row["schedule"])
        families.setdefault((row["kind"], shape), []).append(row)
    return [curve for members in families.values() for curve in split_curve(members)]


def split_curve(members: list[Row]) -> list[tuple[str, list[Row]]]:
    """Name a family. Methods of equal passes are no curve: each stands alone."""
    if members[0]["kind"] == "front":
        return [("found by the search", members)]
    if len({row["passes"] for row in members}) < len(members) or len(members) == 1:
        return [(row["label"], [row]) for row in members]
    return [(COUNT.sub("", members[0]["label"]), members)]


def describe_points(report: dict[str, Any], measure: str) -> dict[str, str]:
    """Describe each plotted method in one line, by the gid of its marker."""
    return {
        POINT + row["key"]: f"{row['label']}: {format_number(row['passes'])} passes, "
        f"{make_cell(row, measure, 'mean', THOUSANDTHS)} ×10⁻³"
        for row in report["rows"]
        if look_up(row, f"{measure}.mean")
    }
