"""The study's records as tables."""

from collections.abc import Sequence

from crf.statistics.comparisons import Ratio
from crf.statistics.intervals import ErrorSummary
from tests.benchmarks.ablation.records import Claim, Record, make_claims, summarize

ERRORS = (
    "passes",
    "latent MSE to full 50",
    "geometric mean",
    "ratio to the baseline",
    "latent MSE to converged",
    "geometric mean",
)
INTRODUCTION = """Latent MSE in thousandths, with 95 % t-intervals over the {captions} held-out captions; a caption's
errors are averaged over training seeds. Ratios are those of geometric means of the MSE to the teacher's 50 steps,
paired by caption. "n.s.": not significantly different from the baseline at 5 %, after Holm's correction over all
comparisons of the group. Passes: through the U-Net, two per guided evaluation.

The teacher's 50 steps and the converged reference (`{converged}`) differ by {floor}, geometric mean {geometric}.
"""


def format_tables(floor: Record, groups: dict[int, list[Record]], baselines: dict[int, str]) -> str:
    """Format one section per group; its baseline, its controls and its networks."""
    distance = summarize(floor.errors)
    introduction = INTRODUCTION.format(
        captions=len(floor.errors[0]),
        converged=floor.schedule,
        floor=format_mean(distance),
        geometric=format_thousandths(distance.geometric_mean),
    )
    return "\n".join([introduction, *(format_group(n, groups[n], baselines[n]) for n in groups)])


def format_group(group: int, records: Sequence[Record], baseline: str) -> str:
    """Format the tables of one group."""
    claims = make_claims(records, baseline)
    lines = [f"## {group} evaluations", "", f"Baseline: `{baseline}`; {len(claims) - 1} comparisons.", ""]
    lines += format_rows([claim for claim in claims if claim.record.network is None], "control")
    networks = [claim for claim in claims if claim.record.network is not None]
    if networks:
        lines += ["", *format_rows(networks, "network")]
    return "\n".join(lines) + "\n"


def format_rows(claims: Sequence[Claim], heading: str) -> list[str]:
    """Format a table, a line per claim."""
    sizes = ("parameters", "MFLOP") if heading == "network" else ()
    columns = (heading, "schedule", *ERRORS, *sizes)
    lines = [format_row(columns), "|---|---|" + "--:|" * (len(columns) - 2)]
    for claim in claims:
        record = claim.record
        network = record.network
        size = (f"{network.parameters:,}", f"{network.mflop:.1f}") if network else ()
        errors = (
            f"{record.passes:.1f}",
            format_mean(claim.to_full),
            format_thousandths(claim.to_full.geometric_mean),
            format_ratio(claim.ratio, claim.is_significant),
            format_mean(claim.to_converged),
            format_thousandths(claim.to_converged.geometric_mean),
        )
        lines.append(format_row((record.name, f"`{record.schedule}`", *errors, *size)))
    return lines


def format_row(cells: Sequence[str]) -> str:
    """Format a line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def format_mean(summary: ErrorSummary) -> str:
    """Format a mean and its interval, in thousandths: "0.97 [0.66, 1.27]"."""
    return f"{format_thousandths(summary.mean)} [{format_thousandths(summary.low)}, {format_thousandths(summary.high)}]"


def format_thousandths(value: float | None) -> str:
    """Format an error in thousandths; "?" if unknown."""
    return "?" if value is None else f"{1000 * value:.2f}"


def format_ratio(ratio: Ratio | None, significant: bool) -> str:
    """Format a ratio and its interval: "×0.31 [0.25, 0.39]"; "baseline" without one."""
    if ratio is None:
        return "baseline"
    return f"×{ratio.ratio:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" + ("" if significant else " n.s.")
