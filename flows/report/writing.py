"""Write an evaluation's report: report.json, two pictures, and a report.html that needs no other file."""

import base64
import io
from typing import Any

from jinja2 import Environment, PackageLoader

from crf.teacher.teacher import Teacher
from flows.report.contact_sheet import draw_contact_sheet
from flows.report.table import HEADINGS, format_rows
from flows.report.training_losses import Losses
from flows.training.loss_curves import draw_curve
from storage import LatentStore, locations

PRODUCTS = ("report.json", "contact_sheet.png", "plots.png", "report.html")


def write_report(url: str, report: dict[str, Any]) -> dict[str, Any]:
    """Write report.json to ``url`` and return the report that counts.

    If another driver has already written one, that one counts, because the times that the two drivers measured
    differ.
    """
    locations.write_new(locations.join(url, "report.json"), locations.encode_json(report))
    return dict(locations.read_json(locations.join(url, "report.json")))


def draw_report(url: str, report: dict[str, Any], store: LatentStore, teacher: Teacher, losses: Losses) -> None:
    """Draw everything but report.json, and write it to ``url``.

    Args:
        url: URL of the evaluation's output.
        report: The content of report.json.
        store: The samples, for the contact sheet.
        teacher: Decodes the contact sheet's images.
        losses: Training stage -> loss records, for the plots.
    """
    sheet, plots = draw_contact_sheet(report["rows"], store, teacher), draw_plots(report["rows"], losses)
    template = Environment(loader=PackageLoader("flows.report"), autoescape=True).get_template("report.html.j2")
    page = template.render(
        headings=HEADINGS,
        rows=format_rows(report),
        report=report,
        sheet=encode_data_url(sheet),
        plots=encode_data_url(plots),
    )
    for name, data in (("contact_sheet.png", sheet), ("plots.png", plots), ("report.html", page.encode())):
        locations.write_new(locations.join(url, name), data)


def encode_data_url(png: bytes) -> str:
    """Encode a PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def draw_plots(rows: list[dict[str, Any]], losses: Losses) -> bytes:
    """Plot each method's latent MSE and the training losses; return the PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    shown = [row for row in rows if row["latent_mse"]][::-1]
    left.barh([row["label"] for row in shown], [row["latent_mse"]["geometric_mean"] for row in shown])
    left.set(title="latent MSE to full 50 (geometric mean)", xscale="log")
    for name, records in losses.items():
        draw_curve(right, name, records, "mse")
    right.set(title="training loss (MSE)", xlabel="step", yscale="log")
    if losses:
        right.legend()
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    return out.getvalue()
