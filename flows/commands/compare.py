"""``latentcrf compare``: two evaluations side by side, for people and for continuous integration."""

import sys
from typing import Annotated, Any

from cyclopts import Parameter

from flows.commands.terminal import Json, print_columns, report


def compare(
    first: str,
    second: str,
    /,
    *,
    method: str | None = None,
    tolerance: float = 0.0,
    force: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> None:
    """Compare two evaluations sample by sample. Exits with code 1 if a method is worse in the SECOND than in the FIRST.

    Both must have the same protocol and teacher. A method is worse if the geometric mean of its latent MSE has
    increased by more than the tolerance, and certainly so: the whole 95 % interval of the ratio lies above
    1 + tolerance.

    Parameters
    ----------
    first
        URL of the evaluation to compare with, as printed by evaluate
    second
        URL of the evaluation to judge
    method
        key of the only method to compare; by default all that both evaluations have
    tolerance
        relative increase of the geometric mean latent MSE to accept, such as 0.05 for 5 %
    force
        compare evaluations of different protocols or teachers, too, and mark the result as not comparable
    """
    from flows.evaluation.comparing import compare_evaluations

    found = compare_evaluations(first, second, method, tolerance, force)
    if not json:
        print_columns([format_line(line) for line in found["methods"]], right={"latent MSE", "p (Holm)", "PSNR, dB"})
    report(found, describe_verdict(found), json)
    if found["regressed"]:
        sys.exit(1)


def format_line(line: dict[str, Any]) -> dict[str, str]:
    """Format a method's line: heading -> text."""
    has_interval = line["low"] is not None
    psnr = line["psnr_difference"]
    return {
        "method": line["key"],
        "latent MSE": f"×{line['ratio']:.3f}" + (f" [{line['low']:.3f}, {line['high']:.3f}]" if has_interval else ""),
        "p (Holm)": f"{line['p_holm']:.2g}" if has_interval else "",
        "better on": f"{line['wins']} of {line['captions']}",
        "PSNR, dB": f"{psnr['mean']:+.2f}"
        + (f" ± {(psnr['high'] - psnr['low']) / 2:.2f}" if psnr["low"] is not None else ""),
        "": describe_change(line),
    }


def describe_change(line: dict[str, Any]) -> str:
    """Say in a word or two how a method has changed."""
    if line["regressed"]:
        return "worse"
    if not line.get("significant"):
        return "n.s."
    return "better" if line["ratio"] < 1 else "within tolerance"


def describe_verdict(found: dict[str, Any]) -> str:
    """Say in a few lines what was compared and what came out."""
    lines = [
        f"The second divided by the first, on {found['captions']} common captions ({found['samples']} samples). "
        f"[ ] and ±: 95 % intervals over captions."
    ]
    if not found["comparable"]:
        lines.append(f"Not comparable: they differ in {'; '.join(found['differences'])}.")
    worse = ", ".join(found["regressed"]) or "none"
    lines.append(f"Worse by more than {found['tolerance']:.1%}: {worse}.")
    return "\n".join(lines)
