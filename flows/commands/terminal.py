"""What the commands print: text or one JSON object, and tables."""

import json
from typing import Annotated, Any

from cyclopts import Parameter

from storage import locations

LONGEST_CELL = 600
Json = Annotated[bool, Parameter(name="--json", negative="", help="print one JSON object as the last line")]


def report(result: dict[str, Any], text: str, as_json: bool) -> None:
    print(json.dumps(result) if as_json else text, flush=True)


def print_columns(lines: list[dict[str, str]], right: frozenset[str] | set[str] = frozenset()) -> None:
    """A table of records that share their keys; ``right``: the columns that stand to the right.

    Values may come from anyone: what would steer the terminal is escaped, and a long text is cut.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in lines[0] if lines else ():
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(_one_line(value)) for value in line.values()))  # a caption may look like markup
    Console().print(table, end="\n\n")


def _one_line(text: str) -> str:
    cut = text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in cut)


def size(count: float) -> str:
    """Bytes, in the unit that leaves up to three digits."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def print_table(report_url: str) -> None:
    """The evaluation's table."""
    from rich.console import Console
    from rich.table import Table

    from flows.report.table import format_row

    report = locations.read_json(locations.join(report_url, "report.json"))
    rows = [format_row(row) for row in report["rows"]]
    table = Table(title=f"{report['captions']} held-out captions, {report['samples']} samples a row")
    for heading in rows[0]:
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for row in rows:
        table.add_row(*row.values())
    Console(width=120).print(table)
    print(f"Distances: Frechet, features from {report['features']}.")
