"""Write the methods' figures as CSV and as Markdown."""

import csv
import io
from typing import Any

from flows.report.page.tables import Table, arrange_comparisons, arrange_tables

MARKS = {"best": " ●", "tied": " ○"}


def make_csv(report: dict[str, Any]) -> str:
    """List every figure of every method, one line per method, with all digits.

    A nested figure's column is named by its path, such as ``latent_mse_mean``. The comparison with the report's
    baseline is in the columns that begin with ``to_baseline_``. A figure that the report lacks is an empty cell.
    """
    compared = {c["key"]: c for c in report["comparisons"] if c["baseline"] == report["baseline"]}
    lines = []
    for row in report["rows"]:
        line = flatten(row)
        if row["key"] in compared:
            line |= {f"to_baseline_{name}": value for name, value in compared[row["key"]].items() if name != "key"}
        lines.append(line)
    fullest_first = sorted(lines, key=len, reverse=True)  # so that nested figures keep their place among the others
    names = dict.fromkeys(name for line in fullest_first for name, value in line.items() if value is not None)
    out = io.StringIO()
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts; the names of a path are joined by "_"."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}_")
        else:
            flat[prefix + name] = value
    return flat


def make_markdown(report: dict[str, Any]) -> str:
    """Write the summary, the tables and the comparisons as Markdown."""
    parts = [
        f"**{escape(report['summary'])}**",
        f"{report['captions']} captions, {report['samples']} samples per method. Protocol `{report['protocol_id']}`.",
    ]
    for table in arrange_tables(report):
        if table.columns:
            parts += [f"### {table.title}", escape(table.note), format_lines(list_cells(table))]
    if report["comparisons"]:
        headings = ["method", "baseline", "ratio of latent MSE", "p", "p (Holm)", "captions nearer"]
        lines = [map(str, line.values()) for line in arrange_comparisons(report)]
        parts += ["### Paired comparisons", format_lines([dict(zip(headings, line, strict=True)) for line in lines])]
    return "\n\n".join(parts) + "\n"


def list_lines(report: dict[str, Any]) -> list[dict[str, str]]:
    """List the table of fidelity, one dict of heading -> text per method."""
    return list_cells(arrange_tables(report)[0])


def list_cells(table: Table) -> list[dict[str, str]]:
    """List a table's lines, one dict of heading -> text per method."""
    headings = ["method", *(column.heading for column in table.columns)]
    return [
        dict(zip(headings, [row["label"], *(f"{cell}{MARKS.get(cell.mark, '')}" for cell in cells)], strict=True))
        for _, rows in table.groups
        for row, cells in rows
    ]


def format_lines(lines: list[dict[str, str]]) -> str:
    """Format a Markdown table; the first column is aligned left, the others right."""
    headings = list(lines[0])
    rule = ["---", *("--:" for _ in headings[1:])]
    body = [headings, rule, *(list(line.values()) for line in lines)]
    return "\n".join("| " + " | ".join(map(escape, line)) + " |" for line in body)


def escape(text: str) -> str:
    """Escape what Markdown would take for markup."""
    return " ".join("".join(f"\\{letter}" if letter in "\\|<`*_" else letter for letter in text).split())
