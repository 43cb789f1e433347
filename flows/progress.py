"""Show a stage's progress: a bar on the terminal and, in a flow run, a progress artifact in the Prefect UI."""

from types import TracebackType
from typing import Self

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext
from tqdm import tqdm


class Progress:
    """Count the units (shards or steps) that a stage has done, and show them until the block ends."""

    def __init__(self, stage: str, done: int, total: int) -> None:
        self._bar = tqdm(desc=f"{stage:>8}", initial=done, total=total, dynamic_ncols=True, mininterval=0.5)
        self._artifact = None
        self._percent = -1
        if FlowRunContext.get():
            self._artifact = create_progress_artifact(100 * done / total, key=stage, description=stage)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    @property
    def percent(self) -> int:
        return int(100 * self._bar.n / (self._bar.total or 1))

    def describe(self) -> str:
        """Describe the progress: units done, rate and the time that is left."""
        done, total, rate = self._bar.n, self._bar.total or 0, self._bar.format_dict["rate"] or 0
        left = tqdm.format_interval((total - done) / rate) if rate else "?"
        return f"{done:,} of {total:,}, {rate:.3g} a second, {left} left"

    def advance(self, units: int = 1, **figures: float) -> None:
        """Add ``units`` to those done, and show ``figures``, such as a loss, beside the bar."""
        self._bar.update(units)
        if figures:
            self._bar.set_postfix({name: f"{value:.4g}" for name, value in figures.items()}, refresh=False)
        percent = int(100 * self._bar.n / (self._bar.total or 1))
        if self._artifact and percent >= self._percent + 5:
            self._percent = percent
            update_progress_artifact(self._artifact, min(100, percent))  # type: ignore[arg-type]
