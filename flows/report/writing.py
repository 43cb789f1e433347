"""Write an evaluation's report: report.json, two pictures, and a report.html that needs no other file."""

import base64
import io
from dataclasses import asdict
from typing import Any

from jinja2 import Environment, PackageLoader

from crf.evaluation.methods import FEATURES
from crf.teacher.teacher import Teacher
from flows.report.contact_sheet import draw_contact_sheet
from flows.report.table import HEADINGS, Measured, format_row
from flows.training.loss_curves import draw_curve
from storage import LatentStore, locations

PRODUCTS = ("report.json", "contact_sheet.png", "plots.png", "report.html")
Losses = dict[str, list[dict[str, float]]]


def write_report(
    url: str,
    rows: list[Measured],
    store: LatentStore,
    teacher: Teacher,
    losses: Losses,
    made: dict[str, Any],
    truncated: int,
) -> None:
    """Write PRODUCTS to ``url``.

    If another driver has already written report.json, this one draws everything from it, because the times that
    the two drivers measured differ.

    Args:
        url: URL of the evaluation's output.
        rows: The table's rows.
        store: The samples, for the contact sheet.
        teacher: Decodes the contact sheet's images.
        losses: Training stage -> loss records, for the plots.
        made: Provenance of the report.
        truncated: Number of captions that the text encoder truncated.
    """
    measured = {
        "rows": [asdict(row) for row in rows],
        "features": FEATURES,
        "samples": len(store),
        "captions": len(store) // made["parameters"]["noises"],
        "truncated_captions": truncated,
        "made": made,
    }
    locations.write_new(locations.join(url, "report.json"), locations.encode_json(measured))
    report = locations.read_json(locations.join(url, "report.json"))
    rows = [Measured(**row) for row in report["rows"]]
    sheet, plots = draw_contact_sheet(rows, store, teacher, made["parameters"]["noises"]), draw_plots(rows, losses)
    template = Environment(loader=PackageLoader("flows.report"), autoescape=True).get_template("report.html.j2")
    page = template.render(
        headings=list(HEADINGS.values()),
        rows=[format_row(row) for row in report["rows"]],
        report=report,
        sheet=encode_data_url(sheet),
        plots=encode_data_url(plots),
    )
    for name, data in (("contact_sheet.png", sheet), ("plots.png", plots), ("report.html", page.encode())):
        locations.write_new(locations.join(url, name), data)


def encode_data_url(png: bytes) -> str:
    """Encode a PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def draw_plots(rows: list[Measured], losses: Losses) -> bytes:
    """Plot each method's two distances and the training losses; return the PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    labels = [row.label for row in rows][::-1]
    left.barh(labels, [row.distance_to_real for row in rows][::-1], color="tab:gray")
    left.set_title("Fréchet distance to real images")
    middle.barh(labels, [row.distance_to_teacher for row in rows][::-1], color="tab:blue")
    middle.set_title("Fréchet distance to full 50")
    middle.set_yticks([])
    for name, records in losses.items():
        draw_curve(right, name, records, "mse")
    right.set(title="training loss (MSE)", xlabel="step", yscale="log")
    right.legend()
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    return out.getvalue()
