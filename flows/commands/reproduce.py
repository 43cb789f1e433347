"""The command that prints a table of the paper beside figures of ours."""

from typing import Annotated, Literal

from cyclopts import Parameter

from flows.commands.terminal import Json, print_columns, report

TableNumber = Literal["1", "2", "3", "4", "5", "6", "A.1", "A.2"]


def reproduce(
    table: Annotated[TableNumber, Parameter(help="number of the table in the paper, such as 4 or A.2")],
    *,
    report_urls: Annotated[
        list[str] | None,
        Parameter(
            name="--report",
            negative_iterable="",
            help="URL of an evaluation, as printed by evaluate; repeat for several; by default the newest under ROOT",
        ),
    ] = None,
    root: Annotated[str, Parameter(help="root of the outputs, for the newest evaluation")] = "runs/demo",
    markdown: Annotated[bool, Parameter(negative="", help="print Markdown")] = False,
    json: Json = False,
) -> None:
    """Print a table of the paper (arXiv 2412.18596) beside the figures of your evaluations, and what differs.

    The first column says what differs. As long as it says anything, the figures beside each other do not compare.
    """
    from flows.reproduce.formatting import format_json, format_lines, format_markdown, format_notes, format_title
    from flows.reproduce.paper import TABLES
    from flows.reproduce.reports import find_reports
    from flows.reproduce.side_by_side import compare_with_paper

    reports = find_reports(report_urls or [], root)
    paper = TABLES[table]
    lines = compare_with_paper(paper, reports)
    if json or markdown:
        report(format_json(paper, lines, reports), format_markdown(paper, lines, reports), json)
        return
    print(format_title(paper))
    print_columns(format_lines(lines), right={"paper", "ours"})
    print("\n".join(format_notes(paper, lines, reports)))
