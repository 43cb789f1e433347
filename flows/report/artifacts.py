"""Publish results as Prefect artifacts: rejected rows, a training's loss curves, an evaluation's report."""

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext

from storage import locations


def publish_rejected(stage: str, rows: list[dict[str, str]]) -> None:
    """Publish rejected rows as a table in the Prefect UI. Does nothing outside a flow run."""
    if FlowRunContext.get():
        create_table_artifact(rows, key=f"{stage}-rejected", description=f"Rows that {stage} could not use, and why")


def publish_losses(stage: str, url: str) -> None:
    """Publish a training's loss curves in the Prefect UI. Does nothing outside a flow run."""
    if not FlowRunContext.get():
        return
    from flows.report.page.pictures import encode_data_url
    from flows.training.loss_curves import draw_curves

    losses = locations.read_json(locations.join(url, "losses.json"))
    create_image_artifact(encode_data_url(draw_curves(losses)), key=f"{stage}-losses")


def publish_report(url: str) -> None:
    """Publish an evaluation in the Prefect UI: its table, its Markdown, the Pareto plot and the contact sheet."""
    from flows.report.page.exports import list_lines
    from flows.report.page.pictures import encode_data_url

    report = locations.read_json(locations.join(url, "report.json"))
    create_table_artifact(list_lines(report), key="evaluation-table")
    for name in ("pareto", "contact_sheet"):
        png = locations.read_bytes(locations.join(url, f"{name}.png"))
        create_image_artifact(encode_data_url(png), key=f"evaluation-{name.replace('_', '-')}")
    markdown = locations.read_bytes(locations.join(url, "report.md")).decode()
    create_markdown_artifact(f"{markdown}\nThe whole report: `{url}/report.html`", key="evaluation-report")


def publish_search(url: str) -> None:
    """Publish a search in the Prefect UI: what it found, the front's schedules and the plot."""
    from flows.report.page.pictures import encode_data_url

    record = locations.read_json(locations.join(url, "search.json"))
    front = locations.read_json(locations.join(url, "schedule.json"))["points"]
    shown = ("evaluations", "passes", "latent_mse", "low", "high", "schedule")
    create_table_artifact([{name: point[name] for name in shown} for point in front], key="search-front")
    png = locations.read_bytes(locations.join(url, "front.png"))
    create_image_artifact(encode_data_url(png), key="search-plot")
    create_markdown_artifact(f"{record['summary']}\n\nTo run it: `{url}/schedule.json`", key="search-summary")
