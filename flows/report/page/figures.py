"""Format the numbers of report.json for a reader: rounded alike in the page, in Markdown and in Prefect."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]  # one of report.json's rows
DIGITS = 3  # significant
MOST_DECIMALS = 6


@dataclass(frozen=True)
class Cell:
    """A figure of a table, as text. An empty text means that the report has no such figure.

    Args:
        text: The figure.
        interval: Its interval, "low to high", rounded to the same decimals; empty if there is none.
        mark: How the figure stands among others: "best" or "tied" at its cost, "nearer", "farther" or "n.s." in a
            comparison; empty for nothing to say.
    """

    text: str
    interval: str = ""
    mark: str = ""

    def __str__(self) -> str:
        marked = " (n.s.)" if self.mark == "n.s." else ""
        return f"{self.text} ({self.interval}){marked}" if self.interval else f"{self.text}{marked}"


def look_up(row: Row, path: str) -> Any:
    """Return a value of a row by its path, such as "latent_mse.mean"; None if the report has no such figure."""
    value: Any = row
    for name in path.split("."):
        value = None if value is None else value.get(name)
    return value


def count_decimals(value: float) -> int:
    """Count the decimals that show a value's significant digits: none for a whole number."""
    if float(value).is_integer():
        return 0
    return min(MOST_DECIMALS, max(0, DIGITS - 1 - math.floor(math.log10(abs(value)))))


def format_number(value: float, decimals: int | None = None) -> str:
    """Format a number with a true minus sign. By default it has three significant digits."""
    shown = f"{value:,.{count_decimals(value) if decimals is None else decimals}f}"
    return "−" + shown[1:] if shown.startswith("-") else shown


def make_cell(row: Row, path: str, value: str = "", scale: float = 1) -> Cell:
    """Format one figure and, if the report has one, its interval.

    Args:
        row: A row of report.json.
        path: Path of the figure, or of an object that has ``low`` and ``high``.
        value: Name of the value within that object; empty if ``path`` names the figure itself.
        scale: Factor of all numbers: 1000 shows thousandths.
    """
    number = look_up(row, f"{path}.{value}" if value else path)
    if number is None:
        return Cell("")
    decimals = count_decimals(number * scale)
    low, high = (look_up(row, f"{path}.{end}") if value else None for end in ("low", "high"))
    if low is None or high is None:
        return Cell(format_number(number * scale, decimals))
    ends = (format_number(end * scale, decimals) for end in (low, high))
    return Cell(format_number(number * scale, decimals), " to ".join(ends))


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, what it means, and how to format its cell of a row."""

    heading: str
    meaning: str
    make: Callable[[Row], Cell]


def make_column(heading: str, meaning: str, path: str, value: str = "", scale: float = 1) -> Column:
    """Make the column of one figure; the arguments after ``meaning`` are those of ``make_cell``."""
    return Column(heading, meaning, lambda row: make_cell(row, path, value, scale))
