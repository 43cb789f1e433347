"""The evaluation's table on the terminal."""

from flows.table import formatted
from storage import locations


def print_table(report_url: str) -> None:
    from rich.console import Console
    from rich.table import Table

    report = locations.read_json(locations.join(report_url, "report.json"))
    rows = [formatted(row) for row in report["rows"]]
    table = Table(title=f"{report['captions']} held-out captions, {report['samples']} samples a row")
    for heading in rows[0]:
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for row in rows:
        table.add_row(*row.values())
    Console(width=120).print(table)
    print(f"Distances: Frechet, features from {report['features']}.")
