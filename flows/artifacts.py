"""The report as Prefect artifacts: table, contact sheet and plots."""

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from flows.table import formatted
from storage import locations


def publish(report_url: str) -> None:
    """Attach an evaluation's report to the flow run."""
    from flows.report import data_url

    report = locations.read_json(locations.join(report_url, "report.json"))
    create_table_artifact([formatted(row) for row in report["rows"]], key="evaluation-table")
    for name in ("contact_sheet", "plots"):
        png = locations.read_bytes(locations.join(report_url, f"{name}.png"))
        create_image_artifact(data_url(png), key=f"evaluation-{name.replace('_', '-')}")
    create_markdown_artifact(
        f"{report['captions']} captions, {report['samples']} samples a row. Features: {report['features']}. "
        f"The whole report: `{report_url}/report.html`",
        key="evaluation-report",
    )
