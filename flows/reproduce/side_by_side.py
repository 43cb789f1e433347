"""Put the paper's figures and those of our evaluations side by side, with what sets them apart."""

from dataclasses import dataclass

from flows.reproduce.differences import MEASURED_BY, Difference, list_differences, name_network
from flows.reproduce.paper import Counterpart, PaperRow, PaperTable, Printed, QuantityName
from flows.reproduce.reports import Report, Row

COMPONENTS = ("with_text", "with_higher_order")
"""The components of the CRF that the paper's table 5 leaves out. A CRF without one belongs to that row alone."""
NEEDS: dict[QuantityName, str] = {
    "fid": "it needs real images, and at least as many samples as the features have dimensions",
    "clip": "it needs the features of a CLIP network",
    "vendi": "it needs several noises per caption",
    "vendi_drop": "it needs several noises per caption",
    "time_saved": "it needs the teacher's own 50 steps beside the method",
}
"""Why an evaluation that ran a method may have no figure of a quantity."""


@dataclass(frozen=True)
class Ours:
    """A figure of ours, the number of the report that it comes from (from 1 on), and what sets it apart."""

    value: float
    report: int
    differences: list[Difference]


@dataclass(frozen=True)
class Line:
    """One figure of the paper beside ours.

    Args:
        method: The paper's label of the row.
        quantity: What the figure measures.
        printed: The paper's figure; None if the paper has none, but we have.
        ours: Our figure; None if the reports do not have it.
        missing: Why there is no figure of ours: in a few words, then what to do about it; () if there is one.
    """

    method: str
    quantity: QuantityName
    printed: Printed | None
    ours: Ours | None
    missing: tuple[str, ...]


def compare_with_paper(table: PaperTable, reports: list[Report]) -> list[Line]:
    """Find our figure for every figure of a table. Leaves out what neither the paper nor we have."""
    lines = [compare_figure(row, quantity, reports) for row in table.rows for quantity in table.quantities]
    return [line for line in lines if line.printed or line.ours]


def compare_figure(row: PaperRow, quantity: QuantityName, reports: list[Report]) -> Line:
    """Find our figure for one of the paper's: in the report that differs least from how the paper measured it."""
    printed = row.printed.get(quantity)
    if row.ours is None:
        return Line(row.label, quantity, printed, None, ("not measured here", row.why_not))
    rows = [(number, report, find_row(row.ours, report)) for number, report in enumerate(reports, 1)]
    ran = [(number, report, found) for number, report, found in rows if found]
    figures = [
        Ours(value, number, list_differences(quantity, row.ours, found, report.document))
        for number, report, found in ran
        if (value := read_figure(quantity, found, report.reference)) is not None
    ]
    if figures:
        return Line(row.label, quantity, printed, min(figures, key=lambda each: len(each.differences)), ())
    missing = ("no figure", NEEDS[quantity]) if ran else ("not run", format_commands(row.ours, quantity))
    return Line(row.label, quantity, printed, None, missing)


def find_row(counterpart: Counterpart, report: Report) -> Row | None:
    """Find a method in a report by its schedule or, if none has that, by its key."""
    methods = [row for row in report.document.rows if row.kind != "floor"]  # a floor has the reference's schedule
    rows = [row for row in methods if row.kind != "crf" or has_components(counterpart, report)]
    same = [row for row in rows if row.schedule == counterpart.schedule]
    return next(iter(same + [row for row in rows if row.key == counterpart.key]), None)


def has_components(counterpart: Counterpart, report: Report) -> bool:
    """Return whether a report's CRF has those components that the paper's has, and no other."""
    config = report.document.made.crf or {}
    return all(config.get(name, True) == counterpart.crf.get(name, True) for name in COMPONENTS)


def read_figure(quantity: QuantityName, row: Row, reference: Row | None) -> float | None:
    """Read a figure of a row; None if it was not measured.

    Time saved and drop in Vendi are in per cent of the reference's, the teacher's own 50 steps.
    """
    if quantity == "fid":
        return row.distance_to_real.value if row.distance_to_real else None
    if quantity == "clip":
        return row.clip_score
    if quantity == "vendi":
        return row.vendi.mean if row.vendi else None
    if reference is None or row is reference:
        return None
    if quantity == "time_saved":
        return 100 * (1 - row.seconds.median / reference.seconds.median)
    return 100 * (1 - row.vendi.mean / reference.vendi.mean) if row.vendi and reference.vendi else None


def format_commands(counterpart: Counterpart, quantity: QuantityName) -> str:
    """Return the commands that measure a quantity of a method."""
    network = name_network(quantity)
    named = f" --protocol {MEASURED_BY[quantity]} --features {network.upper()}" if network else ""
    evaluate = f"latentcrf evaluate{named} --crf CRF --teacher TEACHER --captions CAPTIONS --images IMAGES"
    if not counterpart.key:
        return f"{evaluate} --schedules '{counterpart.schedule}'"
    if not counterpart.crf:
        return evaluate
    options = " ".join(f"--crf.no-{name.replace('_', '-')}" for name in counterpart.crf)
    train = f"latentcrf train {options} --latents LATENTS --teacher TEACHER"
    return f"{train}; latentcrf distill --pairs PAIRS --initial STAGE_1; {evaluate}"
