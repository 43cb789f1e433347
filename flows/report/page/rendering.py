"""Render the report's page: one HTML file that needs no other file and no network."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from flows.report.page.sheets import Sheets
from flows.report.page.tables import arrange_comparisons, arrange_tables

OPTIONS = ("size", "noises", "vendi_captions", "vendi_noises", "guidance_scale", "seed", "baseline")
"""Options of ``evaluate`` that its identity keeps as they were given."""


@dataclass(frozen=True)
class Chart:
    """A chart: title, how to read it, and its SVG element."""

    title: str
    note: str
    svg: Markup


def render_page(report: dict[str, Any], costs: list[Chart], charts: list[Chart], sheets: Sheets) -> str:
    """Render the page.

    Args:
        report: The contents of report.json.
        costs: Charts of cost against fidelity, which are shown first.
        charts: Further charts, which are shown after the pictures.
        sheets: The pictures.
    """
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("flows.report.page"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        report=report,
        facts=list_facts(report),
        tables=[table for table in arrange_tables(report) if table.columns],
        comparisons=arrange_comparisons(report),
        costs=costs,
        charts=charts,
        sheets=sheets,
        protocol=json.dumps(report["protocol"], indent=1, ensure_ascii=False),
        made=json.dumps(
            {name: report[name] for name in ("subject", "environment", "made")}, indent=1, ensure_ascii=False
        ),
        command=make_command(report),
    )


def list_facts(report: dict[str, Any]) -> list[tuple[str, str]]:
    """List what a reader asks first: (name, value)."""
    environment = report["environment"]
    facts = [
        ("captions", str(report["captions"])),
        ("samples per method", str(report["samples"])),
        ("methods", str(len(report["rows"]))),
        ("timed on", f"{environment['device']}, {environment['dtype']}"),
        ("captions seen in training", report["seen_captions"]),
        ("protocol", report["protocol_id"]),
    ]
    if report["truncated_captions"]:
        facts.insert(2, ("captions cut by the text encoder", str(report["truncated_captions"])))
    return facts


def make_command(report: dict[str, Any]) -> str:
    """Write the command that makes this report again. The user names the inputs; their fingerprints are on the page."""
    parameters = report["made"]["parameters"]
    values = {"limit": report["captions"], **{name: parameters[name] for name in OPTIONS if name in parameters}}
    lines = ["latentcrf evaluate", "--teacher TEACHER", "--captions CAPTIONS", "--images IMAGES"]
    if report["subject"]["crf"]:
        lines.append("--crf CRF")
    if report["subject"]["front"]:
        lines.append("--front FRONT")
    lines += [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in values.items()]
    return " \\\n  ".join(lines)
