"""Publish results as Prefect artifacts: rejected rows, a training's loss curves, an evaluation's report."""

import io
import logging
from collections.abc import Callable
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext

from storage import locations

LARGEST_PICTURE = 1_000_000  # bytes; as a data URL a third more, and Prefect drops events over 1.5 MB


def publish(create: Callable[..., Any], *content: Any, **more: str) -> None:
    """Create an artifact. A server that does not take it is a warning: an artifact is not worth a stage."""
    try:
        create(*content, **more)
    except Exception as error:
        logging.getLogger("latentcrf").warning("%s is not in the Prefect UI: %r", more["key"], error)


def publish_picture(png: bytes, key: str) -> None:
    """Publish a picture, smaller if it is too large for Prefect."""
    from flows.report.page.pictures import encode_data_url

    publish(create_image_artifact, encode_data_url(shrink_picture(png)), key=key)


def shrink_picture(png: bytes, largest: int = LARGEST_PICTURE) -> bytes:
    """Halve a PNG's sides until it has at most so many bytes."""
    from PIL import Image

    while len(png) > largest:
        with Image.open(io.BytesIO(png)) as picture:
            smaller = picture.resize((picture.width // 2, picture.height // 2))
        out = io.BytesIO()
        smaller.save(out, "PNG")
        png = out.getvalue()
    return png


def publish_rejected(stage: str, rows: list[dict[str, str]]) -> None:
    """Publish rejected rows as a table in the Prefect UI. Does nothing outside a flow run."""
    if FlowRunContext.get():
        described = f"Rows that {stage} could not use, and why"
        publish(create_table_artifact, rows, key=f"{stage}-rejected", description=described)


def publish_losses(stage: str, url: str) -> None:
    """Publish a training's loss curves in the Prefect UI. Does nothing outside a flow run."""
    if not FlowRunContext.get():
        return
    from flows.training.loss_curves import draw_curves

    losses = locations.read_json(locations.join(url, "losses.json"))
    publish_picture(draw_curves(losses), f"{stage}-losses")


def publish_report(url: str) -> None:
    """Publish an evaluation in the Prefect UI: its table, its Markdown, the Pareto plot and the contact sheet."""
    from flows.report.page.exports import list_lines

    report = locations.read_json(locations.join(url, "report.json"))
    publish(create_table_artifact, list_lines(report), key="evaluation-table")
    for name in ("pareto", "contact_sheet"):
        png = locations.read_bytes(locations.join(url, f"{name}.png"))
        publish_picture(png, f"evaluation-{name.replace('_', '-')}")
    markdown = locations.read_bytes(locations.join(url, "report.md")).decode()
    text = f"{markdown}\nThe whole report: `{url}/report.html`"
    publish(create_markdown_artifact, text, key="evaluation-report")


def publish_search(url: str) -> None:
    """Publish a search in the Prefect UI: what it found, the front's schedules and the plot."""
    record = locations.read_json(locations.join(url, "search.json"))
    front = locations.read_json(locations.join(url, "schedule.json"))["points"]
    shown = ("evaluations", "passes", "latent_mse", "low", "high", "schedule")
    publish(create_table_artifact, [{name: point[name] for name in shown} for point in front], key="search-front")
    png = locations.read_bytes(locations.join(url, "front.png"))
    publish_picture(png, "search-plot")
    text = f"{record['summary']}\n\nTo run it: `{url}/schedule.json`"
    publish(create_markdown_artifact, text, key="search-summary")
