"""Format a table of the paper beside our figures: for the terminal, as Markdown and as JSON."""

from dataclasses import asdict
from typing import Any

from flows.reproduce.differences import list_followed
from flows.reproduce.paper import UNKNOWN, PaperTable, QuantityName
from flows.reproduce.reports import Report
from flows.reproduce.side_by_side import Line, Ours

NAMES: dict[QuantityName, str] = {
    "fid": "FID (ours: Fréchet)",
    "clip": "CLIP score",
    "vendi": "Vendi",
    "vendi_drop": "drop in Vendi",
    "time_saved": "time saved",
}
"""Ours is not called FID, because it is one with certain weights only: what differs says which features it has."""
FORMATS: dict[QuantityName, str] = {"clip": "{:.3f}", "vendi_drop": "{:.0f} %", "time_saved": "{:.0f} %"}
WHY_UNKNOWN = "unknown: the table has this figure, but the text that it was transcribed from does not"


def format_title(table: PaperTable) -> str:
    """Format a table's title: number and subject."""
    return f"Table {table.number} of arXiv 2412.18596: {table.title}"


def format_lines(lines: list[Line]) -> list[dict[str, str]]:
    """Format the table: heading -> cell for each figure. What differs comes first."""
    return [
        {
            "what differs": "; ".join(each.short for each in line.ours.differences) if line.ours else line.missing[0],
            "method": line.method,
            "measure": NAMES[line.quantity],
            "paper": line.printed.text if line.printed else "–",
            "ours": format_ours(line.quantity, line.ours) if line.ours else "–",
        }
        for line in lines
    ]


def format_ours(quantity: QuantityName, ours: Ours) -> str:
    """Format a figure of ours, with the number of its report in brackets."""
    return f"{FORMATS.get(quantity, '{:.2f}').format(ours.value)} [{ours.report}]"


def format_notes(table: PaperTable, lines: list[Line], reports: list[Report]) -> list[str]:
    """List what stands below a table: the reports, what the paper has instead, what is missing, and sources."""
    notes = [f"[{number}] {format_report(each)}" for number, each in enumerate(reports, 1)]
    differences = dict.fromkeys(each for line in lines if line.ours for each in line.ours.differences)
    notes += [f"{each.short}: {each.instead}" for each in differences]
    for missing in dict.fromkeys(line.missing for line in lines if line.missing):
        methods = ", ".join(dict.fromkeys(line.method for line in lines if line.missing == missing))
        notes.append(f"{missing[0]}: {methods}: {missing[1]}")
    sources = dict.fromkeys(
        f"{line.printed.text} of {line.method}: from {line.printed.source}"
        for line in lines
        if line.printed and line.printed.source
    )
    unknown = any(line.printed is UNKNOWN for line in lines)
    return [*notes, *sources, *table.notes, *([WHY_UNKNOWN] if unknown else [])]


def format_report(report: Report) -> str:
    """Format where a report is and how it measured."""
    named = list_followed(report.document)
    follows = f", as {', '.join(named)}" if named else ", none of the named ones"
    return f"{report.url}: protocol {report.document.protocol_id}{follows}"


def format_markdown(table: PaperTable, lines: list[Line], reports: list[Report]) -> str:
    """Format a table as Markdown: title, table, and the notes as a list."""
    cells = format_lines(lines)
    rows = [list(cells[0]), ["---", "---", "---", "--:", "--:"], *(list(line.values()) for line in cells)]
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    notes = "\n".join(f"- {note}" for note in format_notes(table, lines, reports))
    return f"### {format_title(table)}\n\n{text}\n\n{notes}"


def format_json(table: PaperTable, lines: list[Line], reports: list[Report]) -> dict[str, Any]:
    """Format a table as JSON types. An unknown figure of the paper has the value None."""
    return {
        "table": table.number,
        "title": table.title,
        "reports": [
            {"url": each.url, "protocol_id": each.document.protocol_id, "follows": list_followed(each.document)}
            for each in reports
        ],
        "figures": [
            {
                "what_differs": [asdict(each) for each in line.ours.differences] if line.ours else None,
                "method": line.method,
                "quantity": line.quantity,
                "paper": asdict(line.printed) if line.printed else None,
                "ours": {"value": line.ours.value, "report": line.ours.report} if line.ours else None,
                "missing": ": ".join(line.missing) or None,
            }
            for line in lines
        ],
        "notes": list(table.notes),
    }
