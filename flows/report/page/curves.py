"""Draw curves: training losses, the CRF's convergence (paper's Fig. A.2), variance by step (paper's Fig. A.1)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.report.training_losses import Losses
from flows.training.loss_curves import draw_curve
from storage import LatentStore

MOST_SAMPLES = 256
FIRST, SECOND, THIRD = "#1c7ed6", "#d9480f", "#7d8590"


def draw_losses(losses: Losses) -> Any:
    """Plot the mean squared error of both training stages; return the figure."""
    figure, axes = make_figure()
    for name, records in losses.items():
        draw_curve(axes, name, records, "mse")
    axes.set(xlabel="training step", ylabel="MSE", yscale="log")
    format_plainly(axes)
    axes.legend()
    return figure


def draw_convergence(changes_BK: NDArray[np.float32], trained: int) -> Any:
    """Plot how far each update of the CRF moves the field; return the figure.

    Args:
        changes_BK: Mean absolute change, by sample and update.
        trained: Number of updates that the CRF was trained with.
    """
    figure, axes = make_figure()
    updates = np.arange(1, changes_BK.shape[1] + 1)
    axes.plot(updates, changes_BK.T, color=THIRD, alpha=0.35, linewidth=0.8)
    axes.plot(updates, changes_BK.mean(0), color=FIRST, linewidth=2.2, marker="o", markersize=4, label="mean")
    axes.axvline(trained, color=SECOND, linestyle=":", label=f"trained with {trained} updates")
    axes.set(xlabel="update", ylabel="mean |Δx|", yscale="log", xticks=updates)
    format_plainly(axes)
    axes.legend()
    return figure


def draw_variance(state_NS: NDArray[np.float32], x0_NS: NDArray[np.float32]) -> Any:
    """Plot each step's variance within a sample, as mean and 10th to 90th percentile; return the figure.

    Args:
        state_NS: Variance of the states, by sample and step.
        x0_NS: Variance of the x0 predictions.
    """
    figure, axes = make_figure()
    steps = np.arange(1, state_NS.shape[1] + 1)
    for name, values, colour in (("state", state_NS, FIRST), ("x0 prediction", x0_NS, SECOND)):
        axes.plot(steps, values.mean(0), color=colour, linewidth=2, label=name)
        axes.fill_between(steps, *np.percentile(values, [10, 90], axis=0), color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="step", ylabel="variance within a sample", ylim=(0, None))
    axes.legend()
    return figure


def measure_variance(store: LatentStore, name: str) -> NDArray[np.float32]:
    """Compute the variance of each sample's latents at each step, of at most 256 samples.

    Args:
        store: A teacher's store with trajectories.
        name: "trajectory_state" or "trajectory_x0", (N, S, h, w, C).

    Returns:
        The variances of the first valid rows, float32 (n, S).
    """
    rows = np.flatnonzero(store.valid)[:MOST_SAMPLES]
    return np.stack([np.asarray(store.value(name, int(row)), np.float32).var((1, 2, 3)) for row in rows])


def format_plainly(axes: Any) -> None:
    """Write the y axis's numbers without powers: the style draws no formulas."""
    from matplotlib.ticker import FuncFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def make_figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    return figure, figure.subplots()
