"""Draw training losses as curves: moving averages over 2 % of the steps."""

import io
from typing import Any

import numpy as np

Records = list[dict[str, float]]


def draw_curve(axes: Any, label: str, records: Records, name: str) -> None:
    """Add the curve of the loss ``name`` to a plot."""
    values = np.array([record[name] for record in records])
    width = max(1, len(values) // 50)
    smooth = np.convolve(values, np.ones(width) / width, "valid")
    axes.plot(np.arange(len(smooth)) + width, smooth, label=label)


def draw_curves(records: Records) -> bytes:
    """Draw one panel per loss; return the PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(records[0]), 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(records[0]), squeeze=False)[0], records[0], strict=True):
        draw_curve(axes, name, records, name)
        axes.set(title=name, xlabel="step", yscale="log")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    return out.getvalue()
