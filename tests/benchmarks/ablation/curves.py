"""Each family's error against pairs and against parameters, as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from crf.schedule import PAPERS_LEAD
from tests.benchmarks.ablation.records import Record, summarize

ENDING = "crf_0"
Points = list[tuple[int, Record]]


def is_drawn(record: Record) -> bool:
    """Return whether a row is on a curve: a family after the paper's lead, without evaluations after the network."""
    network = record.network
    return network is not None and bool(network.family) and (network.lead, network.ending) == (PAPERS_LEAD, ENDING)


def draw_curves(records: Sequence[Record], file: Path) -> None:
    """Draw the families of the rows that ``is_drawn`` selects: one size against pairs, all pairs against size."""
    drawn = [(one.network, one) for one in records if one.network]
    every = max(network.pairs for network, _ in drawn)
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    by_pairs, by_size = figure.subplots(1, 2, sharey=True)
    for family in sorted({network.family for network, _ in drawn}):
        own = [(network, one) for network, one in drawn if network.family == family]
        one_size = {network.parameters for network, _ in own if network.pairs < every}
        draw_family(by_pairs, family, [(n.pairs, one) for n, one in own if n.parameters in one_size])
        draw_family(by_size, family, [(n.parameters, one) for n, one in own if n.pairs == every])
    by_pairs.set(xlabel="training pairs", xscale="log", ylabel="geometric mean of the latent MSE to full 50")
    by_size.set(xlabel="parameters", xscale="log")
    by_size.legend()
    figure.savefig(file, dpi=90)


def draw_family(axes: Any, label: str, points: Points) -> None:
    """Draw the geometric means. Intervals over captions would hide that the families share captions."""
    points = sorted(points, key=lambda point: point[0])
    means = [summarize(one.errors).geometric_mean for _, one in points]
    axes.plot([x for x, _ in points], means, marker="o", label=label)
