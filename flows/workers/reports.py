"""What a job's workers tell their driver while they work: the rows that they have done, and their warnings.

All of it is best effort: no worker waits for a report to arrive, and no lost report fails a job.

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
    """All that was reported until now: the rows done of each block, by its first row; warnings with their nodes."""

    rows: dict[int, int]
    warnings: dict[str, str]


class Reports:
    """Collect reports, in an actor on the driver's node."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._warnings: dict[str, str] = {}

    def count_rows(self, first: int, rows: int) -> None:
        """Set the rows done of the block that begins at row ``first``. A block that is tried again starts again."""
        self._rows[first] = rows

    def warn(self, texts: list[str], node: str) -> None:
        """Add warnings from the node with that address, unless they came before."""
        for text in texts:
            if len(self._warnings) < MOST_WARNINGS:
                self._warnings.setdefault(text, node)

    def read(self) -> Snapshot:
        return Snapshot(self._rows, self._warnings)


class Reporter:
    """A worker's way to the ``Reports`` in an actor. Calls return at once, whether or not they arrive."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def count_rows(self, first: int, rows: int) -> None:
        self._send("count_rows", first, rows)

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
