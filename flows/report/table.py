"""Format the rows of report.json as a table of text."""

from typing import Any

HEADINGS = (
    "method",
    "passes",
    "s / image",
    "latent MSE ×10³",
    "p95",
    "vs. baseline",
    "PSNR",
    "distance to real",
    "Vendi",
)


def format_rows(report: dict[str, Any]) -> list[dict[str, str]]:
    """Format every row of a report: heading -> text, in the order of HEADINGS. A missing number is an empty text."""
    compared = {found["key"]: found for found in report["comparisons"]}
    return [format_row(row, compared.get(row["key"]), report["baseline"]) for row in report["rows"]]


def format_row(row: dict[str, Any], compared: dict[str, Any] | None, baseline: str) -> dict[str, str]:
    """Format a row with its comparison to the baseline, if there is one."""
    mse, psnr, seconds, distance = (row[name] for name in ("latent_mse", "psnr", "seconds", "distance_to_real"))
    cells = (
        row["label"],
        f"{row['passes']:g}",
        f"{seconds['median']:.3f}",
        f"{format_mean(mse, 1000, 2)}" if mse else "",
        f"{1000 * mse['p95']:.2f}" if mse else "",
        "baseline" if row["key"] == baseline else format_ratio(compared) if compared else "",
        format_mean(psnr, 1, 1) if psnr else "",
        format_distance(distance) if distance else "",
        format_mean(row["vendi"], 1, 2) if row["vendi"] else "",
    )
    return dict(zip(HEADINGS, cells, strict=True))


def format_mean(found: dict[str, Any], factor: float, digits: int) -> str:
    """Format a mean with the half-width of its interval: "2.16 ± 0.31"."""
    text = f"{factor * found['mean']:.{digits}f}"
    if found["low"] is None:
        return text
    return f"{text} ± {factor * (found['high'] - found['low']) / 2:.{digits}f}"


def format_ratio(found: dict[str, Any]) -> str:
    """Format a ratio with its interval, marked "n.s." unless it is significant: "×0.81 [0.60, 1.10] n.s."."""
    interval = "" if found["low"] is None else f" [{found['low']:.2f}, {found['high']:.2f}]"
    return f"×{found['ratio']:.2f}{interval}{'' if found['significant'] else ' n.s.'}"


def format_distance(found: dict[str, Any]) -> str:
    """Format a distance to the real images: its difference to the reference's or, for the reference, itself."""
    if found["difference"] is None:
        return f"{found['value']:.1f}"
    half = "" if found["low"] is None else f" ± {(found['high'] - found['low']) / 2:.1f}"
    return f"{found['difference']:+.1f}{half}"
