"""Publish results as Prefect artifacts: an evaluation's report and a training's loss curves."""

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext

from flows.report.table import format_rows
from storage import locations


def publish(report_url: str) -> None:
    """Publish an evaluation's table, contact sheet and plots in the Prefect UI."""
    from flows.report.writing import encode_data_url

    report = locations.read_json(locations.join(report_url, "report.json"))
    create_table_artifact(format_rows(report), key="evaluation-table")
    for name in ("contact_sheet", "plots"):
        png = locations.read_bytes(locations.join(report_url, f"{name}.png"))
        create_image_artifact(encode_data_url(png), key=f"evaluation-{name.replace('_', '-')}")
    create_markdown_artifact(
        f"{report['summary']} Protocol `{report['protocol_id']}`. The whole report: `{report_url}/report.html`",
        key="evaluation-report",
    )


def publish_losses(stage: str, url: str) -> None:
    """Publish a training's loss curves in the Prefect UI. Does nothing outside a flow run."""
    if not FlowRunContext.get():
        return
    from flows.report.writing import encode_data_url
    from flows.training.loss_curves import draw_curves

    losses = locations.read_json(locations.join(url, "losses.json"))
    create_image_artifact(encode_data_url(draw_curves(losses)), key=f"{stage}-losses")
