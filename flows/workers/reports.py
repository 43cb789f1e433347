"""What a job's workers tell their driver while they work: the rows or steps that they have done, and their
warnings.

All of it is best effort: no worker waits for a report to arrive, and no lost report fails a job.

A training reports in the same way. ``ray.train.report`` is no help: all workers must call it together, and it calls
back in Ray Train's controller, which is another actor, so that the figures would still have to come here.

Keep the imports light: every worker process pays for them.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from flows.workers.kept_warnings import KEPT

MOST_WARNINGS = 100  # different ones of a job; more are dropped


@dataclass(frozen=True)
class Snapshot:
    """All that was reported until now.

    ``rows``: done of each block, by its first row. ``step``: the steps done of a training, with the newest
    ``figures``. ``warnings``: text -> the address of the first node that sent it.
    """

    rows: dict[int, int]
    step: int
    figures: dict[str, float]
    warnings: dict[str, str]


class Reports:
    """Collect reports, in an actor on the driver's node."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._step, self._figures = 0, dict[str, float]()
        self._warnings: dict[str, str] = {}

    def count_rows(self, first: int, rows: int) -> None:
        """Set the rows done of the block that begins at row ``first``. A block that is tried again starts again."""
        self._rows[first] = rows

    def show_step(self, step: int, figures: dict[str, float]) -> None:
        """Set the steps done of a training, and its newest figures."""
        self._step, self._figures = step, figures

    def warn(self, texts: list[str], node: str) -> None:
        """Add warnings from the node with that address, unless they came before."""
        for text in texts:
            if len(self._warnings) < MOST_WARNINGS:
                self._warnings.setdefault(text, node)

    def read(self) -> Snapshot:
        return Snapshot(self._rows, self._step, self._figures, self._warnings)


class Reporter:
    """A worker's way to the ``Reports`` in an actor. Calls return at once, whether or not they arrive."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def count_rows(self, first: int, rows: int) -> None:
        self._send("count_rows", first, rows)

    def show_step(self, step: int, figures: dict[str, float]) -> None:
        self._send("show_step", step, figures)

    def send_warnings(self) -> None:
        """Send the warnings that were kept since the last time."""
        from ray.util import get_node_ip_address

        if texts := KEPT.take():
            self._send("warn", texts, get_node_ip_address())

    def _send(self, method: str, *arguments: Any) -> None:
        from ray.exceptions import RayError

        with suppress(RayError):
            getattr(self._actor, method).remote(*arguments)


@contextmanager
def report_warnings(reporter: Reporter | None) -> Iterator[None]:
    """Report the warnings of this process from within the block, even if it fails. Without a reporter do nothing."""
    if reporter is None:
        yield
        return
    KEPT.start()
    try:
        yield
    finally:
        reporter.send_warnings()
