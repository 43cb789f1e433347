"""Print a command's result: text or one JSON object, and tables."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import cyclopts
import pydantic
from cyclopts import Parameter

from storage import locations

LONGEST_CELL = 600
Json = Annotated[bool, Parameter(name="--json", negative="", help="print one JSON object as the last line")]


def report(result: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the text, or instead the result as one line of JSON."""
    print(json.dumps(result) if as_json else text, flush=True)


@contextmanager
def hold_native_stderr() -> Iterator[None]:
    """Hold back what native code, such as Ray's C++, writes to stderr, and print it only if the block fails.

    Python's own stderr stays on the terminal, so progress bars are not interrupted. Ray also keeps
    its messages in its log folder.
    """
    python_stderr, terminal = sys.stderr, os.dup(2)
    with tempfile.TemporaryFile() as held:
        # Left open: loggers that were set up in the block keep it.
        sys.stderr = open(terminal, "w", buffering=1, closefd=False)  # noqa: SIM115
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            sys.stderr = python_stderr


def describe_usage_error(error: cyclopts.CycloptsError) -> str:
    """Describe what is wrong with the options, in one line. Repeats no value that may hold credentials."""
    if not isinstance(error.__cause__, pydantic.ValidationError):
        return " ".join(str(error).split())
    lines = []
    for each in error.__cause__.errors():
        option = "--" + ".".join(str(part) for part in each["loc"]).replace("_", "-") if each["loc"] else "options"
        found = "" if each["type"] in ("value_error", "missing") else f", found {each['input']!r}"
        lines.append(f"{option}: {each['msg'].removeprefix('Value error, ')}{found}")
    return " ".join("; ".join(lines).split())


def format_counts(result: Any) -> str:
    """Say how many of a stage's rows were rejected and how many captions truncated, if any."""
    counts = {"rejected": result.rejected, "with a truncated caption": result.truncated}
    told = [f"{count:,} {what}" for what, count in counts.items() if count]
    return f" ({result.rows:,} rows, {', '.join(told)})" if told else ""


def print_columns(lines: list[dict[str, str]], right: frozenset[str] | set[str] = frozenset()) -> None:
    """Print records that share their keys as a table.

    ``right`` names the columns to align right. Control characters are escaped and long values cut,
    because values may come from untrusted files.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in lines[0] if lines else ():
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(clean_cell(value)) for value in line.values()))  # a caption may look like markup
    Console().print(table, end="\n\n")


def clean_cell(text: str) -> str:
    cut = text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in cut)


def print_table(report_url: str) -> None:
    """Print an evaluation's table of methods, and what it found in one sentence."""
    from rich.console import Console
    from rich.table import Table

    from flows.report.table import format_rows

    report = locations.read_json(locations.join(report_url, "report.json"))
    rows = format_rows(report)
    table = Table(title=f"{report['captions']} held-out captions, {report['samples']} samples per row")
    for heading in rows[0]:
        method = heading == "method"
        table.add_column(heading, justify="left" if method else "right", no_wrap=method)
    for row in rows:
        table.add_row(*row.values())
    Console(width=165).print(table)
    print(f"± and [ ]: 95 % intervals over captions; n.s.: not significant (Holm). Protocol {report['protocol_id']}.")
    print(report["summary"])
