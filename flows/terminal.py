"""What the commands print: text or one JSON object, and tables."""

import json
from typing import Annotated, Any

from cyclopts import Parameter

from storage import locations

Json = Annotated[bool, Parameter(name="--json", negative="", help="print one JSON object as the last line")]


def report(result: dict[str, Any], text: str, as_json: bool) -> None:
    print(json.dumps(result) if as_json else text, flush=True)


def print_table(report_url: str) -> None:
    """The evaluation's table."""
    from rich.console import Console
    from rich.table import Table

    from flows.table import formatted

    report = locations.read_json(locations.join(report_url, "report.json"))
    rows = [formatted(row) for row in report["rows"]]
    table = Table(title=f"{report['captions']} held-out captions, {report['samples']} samples a row")
    for heading in rows[0]:
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for row in rows:
        table.add_row(*row.values())
    Console(width=120).print(table)
    print(f"Distances: Frechet, features from {report['features']}.")
