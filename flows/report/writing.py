"""report.json and a self-contained report.html: table, plots, contact sheet."""

import base64
import io
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, PackageLoader

from crf.evaluation.methods import FEATURES
from crf.teacher.teacher import Teacher, to_images
from flows.report.table import HEADINGS, Measured, format_row
from flows.training.loss_curves import draw_curve
from storage import LatentStore, locations

PRODUCTS = ("report.json", "contact_sheet.png", "plots.png", "report.html")
SHOWN_CAPTIONS, MARGIN = 8, 26
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
    """PRODUCTS in ``url``. Where another driver has measured the same, all follow from its report: times differ."""
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
    sheet, plots = contact_sheet(rows, store, teacher, made["parameters"]["noises"]), draw_plots(rows, losses)
    template = Environment(loader=PackageLoader("flows.report"), autoescape=True).get_template("report.html.j2")
    page = template.render(
        headings=list(HEADINGS.values()),
        rows=[format_row(row) for row in report["rows"]],
        report=report,
        sheet=data_url(sheet),
        plots=data_url(plots),
    )
    for name, data in (("contact_sheet.png", sheet), ("plots.png", plots), ("report.html", page.encode())):
        locations.write_new(locations.join(url, name), data)


def data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def contact_sheet(rows: list[Measured], store: LatentStore, teacher: Teacher, noises: int) -> bytes:
    """A line a caption (its first noise), a column a row of the table -> PNG."""
    from PIL import Image, ImageDraw

    places = list(range(0, len(store), noises))[:SHOWN_CAPTIONS]
    columns = []
    for row in rows:
        latents = np.stack([np.asarray(store[f"latents_{row.key}"][place]) for place in places])
        z_BCHW = torch.from_numpy(latents).permute(0, 3, 1, 2).float()
        columns.append(to_images(teacher.decode(z_BCHW)))
    captions = store.index["caption"].to_pylist()
    side = columns[0][0].width
    sheet = Image.new("RGB", (side * len(columns), (side + MARGIN) * len(places) + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (row, images) in enumerate(zip(rows, columns, strict=True)):
        pen.text((column * side + 4, 6), row.label, fill="black")
        for line, image in enumerate(images):
            sheet.paste(image, (column * side, MARGIN + line * (side + MARGIN)))
    for line, place in enumerate(places):
        pen.text((4, MARGIN + line * (side + MARGIN) + side + 6), captions[place][:180], fill="dimgray")
    return _png(sheet.quantize(256))  # a third of the size; Prefect publishes no artifact above 1.5 MB


def draw_plots(rows: list[Measured], losses: Losses) -> bytes:
    """Both distances a row, and the training losses -> PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    labels = [row.label for row in rows][::-1]
    left.barh(labels, [row.distance_to_real for row in rows][::-1], color="tab:gray")
    left.set_title("Frechet distance to real images")
    middle.barh(labels, [row.distance_to_teacher for row in rows][::-1], color="tab:blue")
    middle.set_title("Frechet distance to full 50")
    middle.set_yticks([])
    for name, records in losses.items():
        draw_curve(right, name, records, "mse")
    right.set(title="training loss (MSE)", xlabel="step", yscale="log")
    right.legend()
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    return out.getvalue()


def _png(image: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
