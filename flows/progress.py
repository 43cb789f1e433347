"""Show a stage's progress: a bar on the terminal and, in a flow run, a progress artifact in the Prefect UI."""

import logging
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType
from typing import Any, Self

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext
from tqdm import tqdm

SECONDS_BETWEEN_UPDATES = 5.0
SECONDS_TO_END = 5.0


class Progress:
    """Count the units (rows, rounds or steps) that a stage has done, and show them until the block ends.

    Nothing is shown before ``start``. May be called from several threads.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.done, self.total, self.unit = 0, 0, ""
        self._first, self._started = 0, time.monotonic()
        self._lock = threading.Lock()
        self._bar: tqdm[Any] | None = None
        self._artifact: ProgressArtifact | None = None

    def start(self, done: int, total: int, unit: str) -> None:
        """Begin to show the progress. ``unit``: what is counted, in the plural."""
        self.done, self.total, self.unit = done, total, unit
        self._first, self._started = done, time.monotonic()
        self._bar = tqdm(
            desc=f"{self.stage:>8}",
            initial=done,
            total=total,
            unit=f" {unit}",
            dynamic_ncols=True,
            mininterval=0.5,
            miniters=1,
        )
        if FlowRunContext.get():
            self._artifact = ProgressArtifact(self.stage, lambda: (self.percent, self.describe()))

    @property
    def percent(self) -> int:
        return int(100 * self.done / (self.total or 1))

    def describe(self) -> str:
        """Describe the progress, for example as "192 of 512 rows, 1.07 rows/s, 04:59 left"."""
        text = f"{self.done:,} of {self.total:,} {self.unit}"
        if not self._bar or not self._first < self.done < self.total:
            return text
        # The bar's rate is that of the last updates, once there are several.
        mean = (self.done - self._first) / (time.monotonic() - self._started)
        rate = self._bar.format_dict["rate"] or mean
        return f"{text}, {rate:.3g} {self.unit}/s, {tqdm.format_interval((self.total - self.done) / rate)} left"

    def advance(self, units: int = 1, **figures: float) -> None:
        """Add ``units`` to those done, and show ``figures``, such as a loss, beside the bar."""
        self.reach(self.done + units, **figures)

    def reach(self, done: int, **figures: float) -> None:
        """Set the units done, unless more were done before: what is tried again was shown already."""
        with self._lock:
            assert self._bar is not None, "start first"
            if figures:
                self._bar.set_postfix({name: f"{value:.4g}" for name, value in figures.items()}, refresh=False)
            if done > self.done:
                self._bar.update(done - self.done)
                self.done = done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._artifact:
            self._artifact.end()
        if self._bar is not None:
            self._bar.close()


class ProgressArtifact:
    """A flow run's progress artifact. A thread keeps it up to date, so that nothing waits for the Prefect server.

    Args:
        stage: The artifact's key.
        read: Returns the progress in percent, and its description.
    """

    def __init__(self, stage: str, read: Callable[[], tuple[int, str]]) -> None:
        self._stage, self._read = stage, read
        self._ended = threading.Event()
        # The thread has this run's context, by which Prefect knows whose artifact it is.
        self._thread = threading.Thread(target=copy_context().run, args=(self._keep_up,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Show the last state, unless the server does not answer."""
        self._ended.set()
        self._thread.join(SECONDS_TO_END)

    def _keep_up(self) -> None:
        artifact, shown, last = None, None, False
        while not last:
            last = self._ended.is_set()
            percent, text = now = self._read()
            if now != shown:
                try:
                    if artifact is None:
                        artifact = create_progress_artifact(percent, key=self._stage, description=text)
                    else:
                        update_progress_artifact(artifact, percent, description=text)  # type: ignore[arg-type]
                    shown = now
                except Exception as error:  # whatever it is: an artifact is not worth a stage
                    logging.getLogger("latentcrf").debug("the progress is not in the Prefect UI: %r", error)
            if not last:
                self._ended.wait(SECONDS_BETWEEN_UPDATES)
