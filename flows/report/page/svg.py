"""Save matplotlib figures as PNG, as SVG files, and as SVG that a page embeds and colours like its own text."""

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from markupsafe import Markup

INK = "#313235"  # text, axes and grid; an embedded figure takes the page's colour instead
STYLE: Any = {
    "svg.hashsalt": "latentcrf",  # equal figures give equal bytes
    "text.parse_math": False,  # a label may hold a "$"
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    "grid.color": INK,
}
POINT = "point-"  # begins the SVG id of what has a tooltip
ID = re.compile(r' id="[\w.]+_\d+"')  # matplotlib numbers its artists; nothing refers to these


@contextmanager
def use_style() -> Iterator[None]:
    """Apply the report's style to figures that are made and saved within the block."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


def save_png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    return out.getvalue()


def save_svg(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="svg", facecolor="none", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return out.getvalue()


def embed_svg(svg: bytes, label: str, tooltips: dict[str, str]) -> Markup:
    """Turn an SVG file into an element of an HTML page.

    Args:
        svg: The file, by ``save_svg``.
        label: What a screen reader says instead.
        tooltips: Text by the ``gid`` of the artist that it belongs to; a gid begins with ``POINT``.

    Returns:
        The element. It takes the colour of the text around it. Its ids are hashes of what they name, so that a page
        can hold several.
    """
    text = svg.decode()
    element = ID.sub("", text[text.index("<svg") :]).replace(INK, "currentColor")
    for gid, tooltip in tooltips.items():
        element = element.replace(f'<g id="{gid}">', f"<g><title>{html.escape(tooltip)}</title>")
    return Markup(element.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1))
