"""The study's records as JSON, as tables and as curves."""

import json
import statistics
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from crf.schedule import PAPERS_LEAD
from tests.benchmarks.ablation.forms import LEADS, RENOISED_ENDINGS

Record = dict[str, Any]
CURVE_ENDING = "crf_0"


def write_table(output: Path, records: list[Record], options: dict[str, Any]) -> None:
    """OUTPUT.json, OUTPUT.md and OUTPUT.png."""
    output.parent.mkdir(parents=True, exist_ok=True)
    made = {name: value if isinstance(value, int | float) else str(value) for name, value in options.items()}
    output.with_suffix(".json").write_text(json.dumps({"options": made, "records": records}, indent=1) + "\n")
    groups = [(lead, [one for one in records if one["lead"] == lead]) for lead in LEADS]
    text = "\n".join(f"## {LEADS[lead]} evaluations, the first {lead}\n\n{table(own)}" for lead, own in groups)
    output.with_suffix(".md").write_text(text)
    draw_curves([one for one in records if one["lead"] == PAPERS_LEAD], output.with_suffix(".png"))


def table(records: list[Record]) -> str:
    """Controls line by line; then the forms, a column an ending."""
    controls = [record for record in records if "parameters" not in record]
    lines = ["| control | schedule | evaluations | latent MSE to full 50, thousandths |", "|---|---|--:|--:|"]
    for one in controls:
        lines.append(f"| {one['name']} | `{one['ending']}` | {one['cost']} | {figure(one['mse'])} |")
    forms: dict[str, dict[str, Record]] = {}
    for one in records:
        if "parameters" in one:
            forms.setdefault(one["name"], {})[one["ending"]] = one
    lines += [
        "",
        f"| network | {' | '.join(RENOISED_ENDINGS.values())} | parameters | MFLOP |",
        "|---|" + "--:|" * (len(RENOISED_ENDINGS) + 2),
    ]
    for form, by_ending in forms.items():
        size = by_ending[CURVE_ENDING]
        errors = " | ".join(figure(by_ending[name]["mse"]) if name in by_ending else "" for name in RENOISED_ENDINGS)
        lines.append(f"| {form} | {errors} | {size['parameters']:,} | {size['mflop']:.1f} |")
    return "\n".join(lines) + "\n"


def figure(errors: list[float]) -> str:
    """Mean and, over several seeds, standard deviation; in thousandths."""
    spread = f" ± {1000 * statistics.stdev(errors):.2f}" if len(errors) > 1 else ""
    return f"{1000 * statistics.mean(errors):.2f}{spread}"


def draw_curves(records: list[Record], file: Path) -> None:
    """Each family's error against pairs (one size), and against parameters (all pairs)."""
    drawn = [record for record in records if record["ending"] == CURVE_ENDING and record.get("family")]
    every = max(record["pairs"] for record in drawn)
    figure_ = Figure(figsize=(10, 3.6), layout="constrained")
    by_pairs, by_size = figure_.subplots(1, 2, sharey=True)
    for family in sorted({record["family"] for record in drawn}):
        own = [record for record in drawn if record["family"] == family]
        one_size = {record["parameters"] for record in own if record["pairs"] < every}
        errorbars(by_pairs, family, [(one["pairs"], one["mse"]) for one in own if one["parameters"] in one_size])
        errorbars(by_size, family, [(one["parameters"], one["mse"]) for one in own if one["pairs"] == every])
    by_pairs.set(xlabel="training pairs", xscale="log", ylabel="latent MSE to full 50, no evaluation after")
    by_size.set(xlabel="parameters", xscale="log")
    by_pairs.legend()
    figure_.savefig(file, dpi=90)


def errorbars(axes: Any, label: str, points: list[tuple[float, list[float]]]) -> None:
    points = sorted(points)
    spreads = [statistics.stdev(errors) if len(errors) > 1 else 0.0 for _, errors in points]
    axes.errorbar([x for x, _ in points], [statistics.mean(e) for _, e in points], spreads, marker="o", label=label)
